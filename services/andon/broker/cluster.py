"""Three nodes of Kafka on one box: any of them may be lost. Start, stop, status, reset; all of them, or one."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from andon.broker import (
    archive,
    crash,
    disk,
    download,
    java,
    launch,
    node,
    ports,
    process,
    replicas,
    seats,
    storage,
    wire,
)
from andon.broker.crash import Node
from andon.broker.download import Progress
from andon.broker.errors import BrokerError
from andon.broker.jvm import Runtime
from andon.broker.layout import Layout
from andon.broker.locks import locked, wait_on
from andon.broker.node import Running, Status
from andon.broker.seats import Plan
from andon.broker.wire import Share
from andon.broker.writer import refuse_second_writer

QUORUM = 2
PORT = 8792
HEAP_MB = 256
READY_S = 180.0  # three at once on two cores
LEFT_BEHIND_S = 10.0  # a controller that leads waits for 5 s for another to take over
LONE = "One node of three can decide nothing: start all of them."


@dataclass(frozen=True)
class Cluster:
    """A cluster whose `nodes` answer; `bootstrap` lists all of them. `absent`: why another could not be started."""

    bootstrap: str
    data: Path
    nodes: tuple[Running, ...]
    absent: Mapping[int, str]


@dataclass(frozen=True)
class Member:
    """A node as `andon broker status` shows it. `controls`: its controller decides for the cluster."""

    node: int
    status: Status | None
    controls: bool
    share: Share


def start(
    data: Path,
    *,
    only: int | None = None,
    port: int | None = None,
    strict_port: bool = False,
    tie_to_parent: bool = False,
    heap_mb: int = HEAP_MB,
    progress: Progress | None = None,
    go_on: Callable[[], None] = wait_on,
    hosts: Sequence[str] = (ports.LOOPBACK,) * seats.SIZE,
    within: Mapping[int, Sequence[str]] | None = None,
) -> Cluster:
    """Starts what does not run of the three nodes on `data`, or the one named by `only`, and returns when a topic can
    be created on each.

    The ports are found at the first start, from `port` (8792) upwards, and stay the same from then on; a `port` that is
    given moves them while no node runs. Of three that have run before, one that cannot be started does not keep the
    others from it. What was acknowledged is on two nodes at least: it survives the loss of any one with its disk.
    `hosts` and `within` (what stands before the command of a node) put nodes in places of their own.
    Otherwise as `node.start`.

    Raises BrokerError, with one sentence that says what to do.
    """
    data = data.absolute()
    storage.refuse_comma(data)
    if storage.is_formatted(Layout(data)):
        raise BrokerError(f"{data} has a single node, which cannot become three: choose another --data, or reset it.")
    try:
        with locked(Layout(data).lock, go_on), ExitStack() as stack:
            known = seats.read(data)
            plan = known or Plan(data, storage.new_id(), ())
            if not plan.seats or (port is not None and not _running(plan)):
                found = seats.free(stack, port or PORT, hosts, strict=strict_port and port is not None)
                plan = replace(plan, seats=found)
                seats.write(plan)
            return _started(plan, only, Start(heap_mb, within or {}, progress, go_on, tie_to_parent=tie_to_parent))
    except OSError as problem:
        raise BrokerError(f"The broker's directory {data} cannot be used ({problem}).") from problem


@dataclass(frozen=True)
class Start:
    """How nodes are to be started."""

    heap_mb: int
    within: Mapping[int, Sequence[str]]
    progress: Progress | None
    go_on: Callable[[], None]
    tie_to_parent: bool


def _started(plan: Plan, only: int | None, how: Start) -> Cluster:
    running = _running(plan)
    wanted = [plan.seat(only)] if only is not None else plan.seats
    missing = [seat for seat in wanted if seat.node not in running]
    if len(running) + len(missing) < QUORUM:
        raise BrokerError(LONE)
    runtime = Runtime(java.find(), download.fetch(progress=how.progress, go_on=how.go_on), how.heap_mb)
    quorum = _Quorum(set(running), from_nothing=not running, only=only)
    those = [
        Node(plan.layout(seat.node), seat, replace(runtime, within=tuple(how.within.get(seat.node, ()))))
        for seat in missing
    ]
    nodes = [one for one in those if _prepared(one, plan.cluster, quorum)]
    quorum.refuse_too_few()
    options = archive.options(runtime)
    if not running:
        _complete([plan.layout(seat.node) for seat in plan.seats])
    if quorum.crashed and len(running) < QUORUM:
        others = [plan.layout(number) for number in running]
        crash.end_registrations(nodes, options, plan.seats, others, tie_to_parent=how.tie_to_parent)
    begun: dict[int, launch.Record] = {}
    try:
        for one in nodes:
            try:
                begun[one.seat.node] = launch.begin(
                    one.layout, one.runtime, options, one.seat, plan.seats, tie_to_parent=how.tie_to_parent
                )
            except OSError as problem:
                quorum.without(one.seat.node, _unusable(one.layout, problem))
                quorum.refuse_too_few()
        records = running | begun
        for seat in wanted:
            if seat.node in quorum.absent:
                continue
            try:
                launch.wait(plan.layout(seat.node), records[seat.node], READY_S, go_on=how.go_on)
            except BrokerError as problem:
                failed = records[seat.node]
                if seat.node not in begun and process.started(failed.pid) != failed.started:
                    return _started(plan, only, how)  # it had been told to end before
                quorum.without(seat.node, problem)
                quorum.refuse_too_few()
                del records[seat.node]
                if seat.node in begun:
                    process.end(failed.pid, failed.started, timeout_s=5)
    except BaseException:
        _end(begun.values())
        raise
    archive.train_in_background(runtime, tie_to_parent=how.tie_to_parent)
    answering = tuple(node.running(one) for _, one in sorted(records.items()))
    return Cluster(plan.bootstrap, plan.data, answering, {number: str(why) for number, why in quorum.absent.items()})


def _prepared(one: Node, cluster: str, quorum: "_Quorum") -> bool:
    """Whether the node can be started; of one that cannot, the quorum knows why."""
    try:
        quorum.add(one)
        _prepare(one, cluster)
    except BrokerError as problem:
        quorum.without(one.seat.node, problem)
        return False
    return True


def _prepare(one: Node, cluster: str) -> None:
    """Raises BrokerError when the node cannot be started where it is."""
    try:
        refuse_second_writer(one.layout)
        crash.clear(one.layout)
        disk.refuse_when_full(one.layout.data)
        storage.format_storage(one.layout, one.runtime, node_id=one.seat.node, cluster=cluster)
    except OSError as problem:
        raise _unusable(one.layout, problem) from problem


def _end(begun: Collection[launch.Record]) -> None:
    """All are told before the first is waited for."""
    for record in begun:
        process.tell(record.pid, record.started)
    for record in begun:
        process.end(record.pid, record.started, timeout_s=5)


def _unusable(layout: Layout, problem: OSError) -> BrokerError:
    return BrokerError(f"The broker's directory {layout.data} cannot be used ({problem}).")


class _Quorum:
    """Which nodes can decide when one cannot be started. `from_nothing`: none runs yet."""

    def __init__(self, running: set[int], *, from_nothing: bool, only: int | None) -> None:
        self._nodes = running  # those that know what the cluster has decided; one that begins empty does not
        self._from_nothing = from_nothing
        self._only = only
        self.crashed: set[int] = set()
        self.absent: dict[int, BrokerError] = {}

    def add(self, one: Node) -> None:
        """Counts a node that is to be started, before it is prepared."""
        try:
            if storage.is_formatted(one.layout):
                self._nodes.add(one.seat.node)
            if crash.crashed(one.layout):
                self.crashed.add(one.seat.node)
        except OSError as problem:
            raise _unusable(one.layout, problem) from problem

    def without(self, number: int, problem: BrokerError) -> None:
        self._nodes.discard(number)
        self.crashed.discard(number)
        self.absent[number] = problem

    def refuse_too_few(self) -> None:
        """Raises what the first node cannot be started for, unless the others can do without it.

        After a crash of all, Kafka lets the node lead that was the last to be fenced: without it no partition may have
        a leader, and for transactions whose marks are then to be written, see crash.py.
        """
        for number, problem in self.absent.items():
            if self._only is not None or len(self._nodes) < QUORUM:
                raise problem
            if self._from_nothing and self._nodes <= self.crashed:
                raise BrokerError(
                    f"After a crash of all nodes none starts without node {number}, which may have to lead. {problem}"
                )


def _complete(layouts: Sequence[Layout]) -> None:
    """Makes the copies of all nodes whole, also of one that cannot be started: it may alone have the end of one, and
    it may lead when it comes, whereupon the others are cut to what it has. Where all that can be read were stopped in
    order, they have it all."""
    crashed: list[Layout] = []
    unread: OSError | None = None
    for layout in layouts:
        try:
            if crash.crashed(layout):
                crashed.append(layout)
        except OSError as problem:
            unread = problem
    try:
        if crashed and unread:
            raise unread
        replicas.complete(layouts, crashed)
    except OSError as problem:
        raise BrokerError(
            "After a crash none is started before the copies on all disks were compared, and one of them cannot be "
            f"used ({problem}): mend its disk, or remove the directory of that node when the disk is lost."
        ) from problem


def _running(plan: Plan) -> dict[int, launch.Record]:
    """The nodes that run."""
    found = ((seat.node, launch.alive(plan.layout(seat.node))) for seat in plan.seats)
    return {number: record for number, record in found if record}


def stop(data: Path, *, only: int | None = None, timeout_s: float = 20) -> tuple[int, ...]:
    """Stops all nodes, or the one named by `only`; the numbers of those that ran. Those that are just being started are
    ended, and their start with them. Raises BrokerError as `node.stop`.

    A node hands over what it leads before it ends, for which it needs a controller, and so most of the others: all are
    told in the same moment, and one that the others have left behind is killed after ten seconds. Such a node checks
    the end of its log at its next start; nothing is lost.
    """
    plan = _plan(data)
    numbers = [plan.seat(only).node] if only is not None else [seat.node for seat in plan.seats]

    def starting() -> list[launch.Record]:
        return [record for number, record in _running(plan).items() if number in numbers]

    with launch.ending(Layout(plan.data).lock, starting) as told:
        before = _running(plan)
        asked = {number: before[number] for number in numbers if number in before}
        for record in asked.values():
            process.tell(record.pid, record.started)
        _left(before, asked, timeout_s)
        for record in asked.values():
            process.end(record.pid, record.started, timeout_s=0)
        for number in numbers:
            with suppress(OSError):  # on a broken disk nothing can be put in order
                node.stop(plan.layout(number).data, timeout_s=0)
        return tuple(number for number in numbers if number in asked or str(plan.layout(number).data) in told)


def _left(running: Mapping[int, launch.Record], asked: Mapping[int, launch.Record], timeout_s: float) -> None:
    """Returns when those that were asked have ended, or can end by themselves no more, or have had their time."""
    end = time.monotonic() + timeout_s
    while (now := time.monotonic()) < end:
        alive = {number for number, record in running.items() if process.started(record.pid) == record.started}
        if not alive & asked.keys():
            return
        if len(alive) < QUORUM:
            end = min(end, now + LEFT_BEHIND_S)
        time.sleep(0.05)


def status(data: Path) -> tuple[Member, ...]:
    """All nodes, with what those say of them that answer."""
    plan = _plan(data)
    decides, parts = None, dict[int, Share]()
    for record in _running(plan).values():
        with suppress(OSError):
            parts = wire.shares(record.host, record.port)
            decides = wire.quorum_leader(record.host, record.port)
            break
    return tuple(
        Member(
            seat.node,
            node.status(plan.layout(seat.node).data),
            seat.node == decides,
            parts.get(seat.node, Share()),
        )
        for seat in plan.seats
    )


def is_running(data: Path) -> bool:
    """Whether all nodes run."""
    plan = _plan(data)
    return len(_running(plan)) == len(plan.seats)


def pids(data: Path) -> dict[int, int]:
    """The process of each node that runs."""
    return {number: record.pid for number, record in _running(_plan(data)).items()}


def reset(data: Path) -> None:
    """Deletes all topics, offsets and logs of all nodes. Raises BrokerError while one runs."""
    plan = _plan(data)
    with locked(Layout(plan.data).lock):
        if running := _running(plan):
            raise BrokerError(f"Node {min(running)} of the cluster in {data} runs: stop all before the reset.")
        for seat in plan.seats:
            node.reset(plan.layout(seat.node).data)
        seats.file(plan.data).unlink()
        storage.erase(Layout(plan.data))


def _plan(data: Path) -> Plan:
    plan = seats.read(data)
    if plan is None:
        raise BrokerError(f"{data} has no cluster: `andon broker start --nodes 3` makes one.")
    return plan
