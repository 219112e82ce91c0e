"""Faults of processes: killed, frozen, doubled."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from math import inf
from typing import Any
from uuid import UUID

from tests.chaos.round import Round
from tests.rig.client import Door, Sent, wait_for
from tests.rig.plant import TOKEN, Plant
from tests.rig.record import Effect
from tests.rig.topics import EVENTS, put
from tests.rig.watch import Store, epochs

HITS = 5
STAGES = (("enrichment", "routing"), ("enrichment",), ("routing",))
ENDED = 50
SESSION_S = 10.0
SETTLED_S = 20.0
TAKEN_S = "is in use by another process"


def f01_kill_ingress(run: Round) -> None:
    """kill -9 of the door right after it has answered, before its index is durable, while events are posted and a
    vendor calls; who was answered just before repeats it, as a vendor does that did not hear the answer.

    A second record may then stand in the log, a second effect never.
    """
    plant = run.plant
    calls = plant.calls(f"{run.prefix}-call", run.rng, run.rate(40))
    with plant.load(run.prefix, run.rng, rate=run.rate(100)) as load, calls:
        for _ in run.turns(3):
            run.pause(0.5, 1.2)
            run.injured(plant.kill("ingress"))
            since = time.time() - 0.3
            told, called = ([one for one in those.sent if (one.accepted or 0) > since] for those in (load, calls))
            plant.start("ingress")
            plant.wait_ready("ingress")
            door = Door(plant.door, TOKEN)
            _taken_again(run, told, lambda one, door=door: door.send(one) == 202)  # type: ignore[misc]
            _taken_again(run, called, lambda one, door=door: calls.call(one, door))  # type: ignore[misc]
            door.close()
        run.pause(0.5, 1.0)
    run.judge([*load.sent, *calls.sent])
    run.expect(any(one.accepted for one in calls.sent), "void: no callback was taken")
    # A repeat that never came to a door that had forgotten proves nothing.
    run.verdict.figures["second_records"] = run.verdict.figures["records"] - len(load.sent) - len(calls.sent)


def _taken_again(run: Round, told: Sequence[Sent], again: Callable[[Sent], bool]) -> None:
    """The door takes each once more; a 503 of a machine that stood still is no answer yet."""
    for one in told:
        taken = wait_for(lambda one=one: again(one), 30)  # type: ignore[misc]
        run.expect(taken, f"{one.id}: the repeat after a crash was answered {one.told[-1]}")


def f02_kill_stages(run: Round) -> None:
    """kill -9 of enrichment and routing under load, at random moments between consuming and the end of a commit."""
    plant = run.plant
    with plant.load(run.prefix, run.rng, rate=run.rate(150)) as load:
        for victims in STAGES[: len(run.turns(3))]:
            run.pause(0.3, 1.5)
            for name in victims:
                run.injured(plant.kill(name))
            for name in victims:
                plant.start(name)
            for name in victims:
                plant.wait_ready(name)
        run.pause(0.5, 1.5)
    run.judge(load.sent)


def f03_kill_egress(run: Round) -> None:
    """kill -9 of egress while the sink has calls it has written down and not answered.

    Void unless the sink itself counts five kills in that window, in a test too; a repeat is marked, and follows such a
    call.
    """
    plant = run.plant
    plant.sink.do(all={"what": "late", "low": 0.05, "high": 0.2})
    hits = 0
    with plant.load(run.prefix, run.rng, rate=30) as load:
        # What was told to the world is in the store: of that much at least, nothing may come again.
        wait_for(lambda: len(plant.case(run.prefix, load.sent).ended()) >= ENDED, 60, every_s=0.3)
        for _ in range(3 * HITS):
            if hits >= HITS:
                break
            wait_for(lambda: plant.sink.now()["waiting"] > 0, 60, every_s=0.005)
            victim, begun = plant.pid("egress"), time.time()
            at = plant.kill("egress")
            # The sink sees a little later that nobody waits for these answers any more.
            wait_for(lambda: plant.sink.now()["waiting"] == 0, 60, every_s=0.02)
            if any(one.pid == victim and one.cut and one.cut >= begun for one in plant.record().effects):
                hits += 1
                run.injured(at)
            calls = plant.sink.now()["calls"]
            plant.start("egress")
            plant.wait_ready("egress")
            wait_for(lambda now=calls: plant.sink.now()["calls"] > now, 60)  # type: ignore[misc]
            run.pause(0.0, 0.3)
    plant.sink.well()
    record = run.judge(load.sent, 120)
    cut = [one for one in record.effects if one.cut and one.id.startswith(run.prefix)]
    run.verdict.figures |= {"kills_in_window": hits, "calls_cut": len(cut)}
    run.expect(hits >= HITS, f"void: the sink counted {hits} kills between send and record, not {HITS}")
    stood = run.verdict.figures["stood_closed"]
    run.expect(stood >= ENDED, f"void: the kills found {stood} results in the store, not {ENDED}")
    repeated = _repeated(record.effects, run.prefix)
    run.verdict.figures["repeated"] = len(repeated)
    unsure = run.verdict.figures["unsure"]
    run.expect(len(repeated) <= unsure, f"I2: {len(repeated)} repeats after {unsure} lost answers")


def _repeated(effects: list[Effect], prefix: str) -> list[Effect]:
    seen: set[tuple[str, str]] = set()
    again = []
    for one in effects:
        if one.id.startswith(prefix):
            if (one.id, one.receiver) in seen:
                again.append(one)
            seen.add((one.id, one.receiver))
    return again


def same_slot(run: Round, service: str) -> None:
    """A second process on the slot of a running one: the older leaves with a sentence, nothing is lost or doubled."""
    plant = run.plant
    _settled(plant, service)
    with plant.load(run.prefix, run.rng, rate=run.rate(60)) as load:
        for _ in run.turns(4):
            run.pause(0.3, 0.8)
            before = plant.log(service).count(TAKEN_S)
            plant.adopt(service, f"{service}-older")
            run.injured(time.time())
            plant.start(service)
            code = plant.exit_code(f"{service}-older", 60)
            plant.wait_ready(service)
            run.pause(0.5, 1.0)
            run.expect(code not in (None, 0), f"the older {service} ended with {code}")
            said = plant.log(service)
            run.expect(said.count(TAKEN_S) > before, f"the older {service} did not say that its slot {TAKEN_S}")
            plant.forget(f"{service}-older")
    run.judge(load.sent)


def _settled(plant: Plant, service: str) -> None:
    """Waits until a process whose session ended, as by the standstill of a round before, believes again that another
    one has taken its slot: right after it has joined again it is the newer one that leaves."""
    lines = [line for line in plant.log(service).splitlines() if line.startswith("{") and "session timed out" in line]
    ended = [json.loads(line)["ts"] for line in lines]
    if ended:
        time.sleep(max(0.0, datetime.fromisoformat(ended[-1]).timestamp() + SETTLED_S - time.time()))


def zombie_desk(run: Round) -> None:
    """Egress is frozen for longer than its session and than the deadline of a call, another slot takes its partitions
    over, and it wakes up: it sends nothing any more, and order is kept. In a soak three of four are."""
    plant = run.plant
    plant.sink.do(all={"what": "late", "low": 0.02, "high": 0.1})
    with plant.load(run.prefix, run.rng, rate=40) as load:
        others = [plant.start("egress", slot=number + 1) for number in run.turns(3)]
        for name in others:
            plant.wait_ready(name)
        run.pause(0.5, 1.0)
        zombies = {name: plant.pid(name) for name in ("egress", *others[:-1])}
        before = epochs(plant.store)
        for name in zombies:
            run.injured(_freeze_between_commits(run, name))
        plant.sink.now()  # the sink has run since, and read what was in its connections
        silent_from = time.time() + 0.5
        wait_for(lambda: _moved(plant.store, before) > 0, 60)
        left = 16.0 - (time.time() - run.injuries[-1])
        time.sleep(max(0.0, left))
        woken = {pid: plant.thaw(name) for name, pid in zombies.items()}
        run.pause(1.5, 2.5)
    plant.sink.well()
    moved = _moved(plant.store, before)
    plant.exit_code("egress", 3)
    for name in others:
        plant.terminate(name)

    def drained() -> bool:
        plant.revive()  # its session had expired: the broker may know its slot no more, and tell it so at any time
        return not plant.case(run.prefix, load.sent).open()

    wait_for(drained, 120, every_s=0.3)
    record = run.judge(load.sent, 20)
    run.expect(moved > 0, "void: no lease moved while the desk was frozen")
    late = [one for one in record.effects if silent_from < one.at < woken.get(one.pid, 0.0)]
    run.expect(not late, f"a frozen process sent {len(late)} calls: the rig is broken")
    stale = _stale_sends(run, load.sent, woken)
    run.verdict.figures |= {"leases_moved": moved, "zombie_sends": len(stale)}
    run.expect(not stale, f"the woken desk sent {len(stale)} calls of leases it had lost, such as {stale[:3]}")


def _freeze_between_commits(run: Round, name: str) -> float:
    """Freezes the desk at a moment when it does not hold SQLite's write lock, which nobody can take from it."""
    store = run.plant.store
    for _ in range(20):
        frozen = run.plant.freeze(name)
        try:
            with closing(sqlite3.connect(store, timeout=0.3, isolation_level=None)) as database:
                database.execute("begin immediate").execute("rollback")
        except sqlite3.OperationalError:
            run.plant.thaw(name)
            run.pause(0.0, 0.1)
        else:
            return frozen
    raise AssertionError("the desk holds the lock of its store at every moment")


def _moved(store: Store, before: dict[int, int]) -> int:
    return sum(1 for home, epoch in epochs(store).items() if home in before and epoch > before[home])


def _stale_sends(run: Round, sent: Sequence[Sent], woken: Mapping[int, float]) -> list[str]:
    """Calls of a woken process without an intent of after it woke: the store takes none under a lease that moved."""
    case = run.plant.case(run.prefix, sent)
    mine = [one for one in case.effects if one.at >= woken.get(one.pid, inf)]
    stale = []
    store = run.plant.store
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True, timeout=5)) as database:
        for one in mine:
            (delivery,) = case.delivery_ids[one.id, one.receiver]
            question = "select count(*) from attempt where item = ? and started between ? and ?"
            (intents,) = database.execute(question, (UUID(delivery).bytes, woken[one.pid], one.at)).fetchone()
            if not intents:
                stale.append(one.id)
    return stale


def twice_in_the_log(run: Round) -> None:
    """The same event twice, straight in `andon.events`: one effect. The same id with other content: parked."""
    plant = run.plant
    receivers = ("r1", "r2")
    sent = []
    for number in range(20):
        one = _raw(f"{run.prefix}-{number}", f"{run.prefix}/{number}", receivers, n=number)
        sent.append(Sent(one["id"], one["subject"], receivers, json.dumps(one).encode(), time.time()))
    again = [(one.subject.encode(), one.body) for one in sent]
    put(plant.bootstrap, EVENTS, again)
    put(plant.bootstrap, EVENTS, again)
    run.injections = len(sent)
    run.judge(sent)
    run.expect(run.verdict.figures.get("effects") == 2 * len(sent), "not one effect for each event and receiver")
    clash = [
        (o.subject.encode(), json.dumps(json.loads(o.body) | {"data": {"code": "E1", "n": -1}}).encode()) for o in sent
    ]
    put(plant.bootstrap, EVENTS, clash)

    def parked() -> int:
        case = plant.case(run.prefix, sent)
        return sum(1 for o in case.outcomes.values() if o["outcome"].get("reason") == "conflict")

    run.expect(wait_for(lambda: parked() == 2 * len(sent), 30), f"{parked()} conflicts parked, not {2 * len(sent)}")
    case = plant.case(run.prefix, sent)
    run.expect(len(case.effects) == 2 * len(sent), "other content under a known id had an effect")
    laid = [
        one for one in case.dlq if one.headers.get("andon-reason") == b"conflict" and run.prefix.encode() in one.value
    ]
    run.expect(len(laid) == 2 * len(sent), f"{len(laid)} conflicting records in the DLQ, not {2 * len(sent)}")


def _raw(number: str, subject: str, receivers: tuple[str, ...], **data: object) -> dict[str, Any]:
    labels = {"to": receivers[0], "also": receivers[1]} if len(receivers) > 1 else {"to": receivers[0]}
    return {
        "id": number,
        "source": "chaos",
        "type": "machine.fault",
        "subject": subject,
        "time": "2026-03-01T08:30:00+08:00",
        "data": {"code": "E1"} | data,
        "labels": labels,
    }
