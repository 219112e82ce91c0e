"""`andon broker start|stop|status|reset`: the embedded Kafka, one node or three."""

import argparse
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from andon.cli import arguments

if TYPE_CHECKING:
    from andon.broker import Status

DONE, FAILED, USAGE = 0, 1, 2
DEFAULT_DATA = ".andon"
_LOOK_S = 0.5


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Registers `broker` and its commands; each sets `func`, which takes the arguments and returns the exit code."""
    parser = subparsers.add_parser("broker", help="the embedded Kafka", description=__doc__)
    commands = parser.add_subparsers(title="commands", required=True, metavar="start|stop|status|reset")
    common = argparse.ArgumentParser(add_help=False)
    # Without a default here: the same options may stand before the command, and a default would undo them.
    common.add_argument("--data", type=Path, metavar="DIR", default=argparse.SUPPRESS, help="default: ./.andon")
    common.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON")

    one = argparse.ArgumentParser(add_help=False)
    one.add_argument("--node", type=int, choices=(1, 2, 3), help="this node of the cluster alone")

    start = commands.add_parser("start", parents=[common, one], help="start it in the background, or say that it runs")
    start.add_argument(
        "--nodes", type=int, choices=(1, 3), help="one node, or a cluster (default: what is there, or 1)"
    )
    start.add_argument(
        "--port", type=arguments.port, help="preferred port, the first of three (default: 8792, or as before)"
    )
    start.add_argument("--strict-port", action="store_true", help="fail when the port is taken, instead of moving up")
    start.add_argument(
        "--heap-mb", type=_heap, metavar="MB", help="Java's heap (default: 512, and 256 of each of three)"
    )
    start.add_argument("--foreground", action="store_true", help="stay, and stop the broker on Ctrl-C")
    start.add_argument("--maven-url", metavar="URL", help="Maven repository to fetch from (default: $ANDON_MAVEN_URL)")
    start.add_argument("--proxy", metavar="URL", help="proxy to fetch through (default: $HTTPS_PROXY)")
    start.set_defaults(func=_reported(_start))

    stop = commands.add_parser("stop", parents=[common, one], help="stop it; its data stays")
    stop.add_argument("--timeout", type=float, default=20.0, metavar="S", help="then kill it (default: %(default)s)")
    stop.add_argument("--force", action="store_true", help="also under `andon up`, which starts it again")
    stop.set_defaults(func=_reported(_stop))

    shown = "process, port, sizes; exit 1 when it does not run, or not all of it"
    status = commands.add_parser("status", parents=[common, one], help=shown)
    status.set_defaults(func=_reported(_status))

    reset = commands.add_parser("reset", parents=[common], help="delete all of its topics, offsets and logs")
    reset.add_argument("--yes", action="store_true", help="do not ask")
    reset.set_defaults(func=_reported(_reset))


def _heap(text: str) -> int:
    if (found := arguments.whole(text, 256, 9_999_999)) is None:
        raise argparse.ArgumentTypeError(f"Kafka needs at least 256 MB of heap, not {text}")
    return found


def _reported(command: Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    """Turns a foreseeable failure into its sentence on the terminal and exit code 1."""

    def run(args: argparse.Namespace) -> int:
        from andon.broker import BrokerError

        try:
            return command(args)
        except BrokerError as problem:
            print(f"andon broker: {problem}", file=sys.stderr)
            return FAILED
        except KeyboardInterrupt:
            print("andon broker: interrupted", file=sys.stderr)
            return FAILED

    return run


def _home(args: argparse.Namespace) -> Path:
    return Path(getattr(args, "data", None) or DEFAULT_DATA)


def _data(args: argparse.Namespace) -> Path:
    return _home(args) / "kafka"


def _show(args: argparse.Namespace, values: Mapping[str, Any], sentence: str) -> None:
    if getattr(args, "json", False):
        print(json.dumps(values, default=str))
    else:
        print(sentence)


def _start(args: argparse.Namespace) -> int:
    from andon import broker

    if args.maven_url:
        os.environ["ANDON_MAVEN_URL"] = args.maven_url
    if args.proxy:
        os.environ.update({"https_proxy": args.proxy, "http_proxy": args.proxy})
    data = _data(args)
    asked = {"strict_port": args.strict_port, "tie_to_parent": args.foreground}
    asked |= {"port": args.port} if args.port else {}
    asked |= {"heap_mb": args.heap_mb} if args.heap_mb else {}
    with _progress(shown=not getattr(args, "json", False)) as progress:
        if args.nodes == 3 or (args.nodes is None and (args.node or broker.is_cluster(data))):
            many = broker.cluster.start(data, only=args.node, progress=progress, **asked)
            bootstrap, data, values = many.bootstrap, many.data, asdict(many)
            for number, why in many.absent.items():
                print(f"andon broker: node {number} does not run. {why}", file=sys.stderr)
        else:
            running = broker.start(data, progress=progress, **asked)
            bootstrap, data, values = running.bootstrap, running.data, asdict(running)
    told = _told_to_leave() if args.foreground else None
    pids = broker.pids(data)
    processes = ", ".join(map(str, pids))
    sentence = f"Kafka {broker.kafka_version()} answers at {bootstrap} (process {processes}, {data})"
    _show(args, values, sentence)
    return DONE if told is None else _stay(data, pids, told)


def _told_to_leave() -> list[int]:
    """What Ctrl-C and SIGTERM add themselves to from now on.

    A handler runs between any two steps of the thread that waits: one that took a lock, as an event's does, could wait
    for that thread for ever.
    """
    told: list[int] = []

    def leave(number: int, _frame: FrameType | None) -> None:
        told.append(number)

    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, leave)
    return told


def _stay(data: Path, pids: Collection[int], told: Sequence[int]) -> int:
    """Waits until told to leave, then stops the broker; one of these nodes that ends by itself is a failure."""
    from andon import broker

    sys.stdout.flush()
    while not told:
        time.sleep(_LOOK_S)
        if not set(pids) <= set(broker.pids(data)):
            print(f"andon broker: Kafka ended by itself; see the logs in {data}.", file=sys.stderr)
            broker.stop(data)
            return FAILED
    broker.stop(data)
    return DONE


def _stop(args: argparse.Namespace) -> int:
    from andon import broker

    began = time.monotonic()
    data = _data(args)
    if (keeper := _keeper(args, data)) and not args.force:
        print(
            f"andon broker: `andon up` (process {keeper}) runs on {_home(args)} and would start it again; end that, or "
            "say --force to have it started again",
            file=sys.stderr,
        )
        return FAILED
    if args.node:
        stopped = bool(broker.cluster.stop(data, only=args.node, timeout_s=args.timeout))
    else:
        stopped = broker.stop(data, timeout_s=args.timeout)
    took = time.monotonic() - began
    _show(args, {"stopped": stopped}, f"stopped after {took:.1f} s" if stopped else "it was not running")
    return DONE


def _keeper(args: argparse.Namespace, data: Path) -> int | None:
    """The process of an `andon up` that keeps the Kafka on `data` running."""
    from andon.cli.running import runfile

    found = runfile.read(_home(args), "pid", "kafka_data")
    keeps = found and found["alive"] and found["kafka_data"] and Path(found["kafka_data"]).resolve() == data.resolve()
    return found["pid"] if found and keeps else None


def _status(args: argparse.Namespace) -> int:
    from andon import broker

    data = _data(args)
    if broker.is_cluster(data) or args.node:
        return _members(args, data)
    found = broker.status(data)
    if found is None:
        _show(args, {"running": False, "data": data.absolute()}, "it is not running")
        return FAILED
    lines = {
        "answers at": found.bootstrap if found.ready else f"{found.bootstrap} (not yet)",
        "process": found.pid,
        "version": f"Kafka {found.version} on {found.java}",
        "running for": f"{found.uptime_s:.0f} s",
        "data": found.data,
        **_sizes(found),
    }
    text = "\n".join(f"{name:<12} {value}" for name, value in lines.items())
    _show(args, {"running": True, **asdict(found)}, text)
    return DONE


def _sizes(found: "Status") -> dict[str, str]:
    return {
        "topics": f"{found.topics_bytes / 1e6:.1f} MB",
        "logs": f"{found.logs_bytes / 1e6:.1f} MB",
        "disk": f"{found.disk_used:.0%} full",
    }


def _members(args: argparse.Namespace, data: Path) -> int:
    """A line for each node of a cluster; exit code 1 unless each runs and has complete copies."""
    from andon import broker

    members = [one for one in broker.cluster.status(data) if args.node in (None, one.node)]
    rows = [f"{'NODE':<5} {'STATE':<8} {'PID':>8} {'PORT':>6}  {'LEADS':>6} {'IN SYNC':>9}  CONTROLLER  SIZES"]
    for one in members:
        found, share = one.status, one.share
        state = "ready" if found and found.ready else "starting" if found else "down"
        pid, port = (found.pid, found.port) if found else ("-", "-")
        sizes = ", ".join(f"{name} {size}" for name, size in _sizes(found).items()) if found else ""
        rows.append(
            f"{one.node:<5} {state:<8} {pid:>8} {port:>6}  {share.leads:>6} {f'{share.in_sync}/{share.copies}':>9}  "
            f"{'yes' if one.controls else '':<10}  {sizes}".rstrip()
        )
    values = {
        "running": any(one.status for one in members),
        "bootstrap": broker.bootstrap(data),
        "nodes": [asdict(one) for one in members],
    }
    _show(args, values, "\n".join(rows))
    well = all(one.status and one.status.ready and one.share.in_sync == one.share.copies for one in members)
    return DONE if well else FAILED


def _reset(args: argparse.Namespace) -> int:
    from andon import broker

    data = _data(args)
    if not args.yes:
        if not sys.stdin.isatty():
            print("andon broker: reset deletes all topics; say --yes when nobody can be asked.", file=sys.stderr)
            return USAGE
        if input(f"Delete all topics, offsets and logs in {data.absolute()}? [y/N] ").strip().lower() not in {
            "y",
            "yes",
        }:
            print("nothing was deleted")
            return FAILED
    broker.reset(data)
    _show(args, {"reset": data.absolute()}, f"{data.absolute()} is empty")
    return DONE


@contextmanager
def _progress(*, shown: bool) -> "Iterator[Callable[[str, int, int], None] | None]":
    """A bar for all bytes to be fetched, on a terminal; it appears with the first of them."""
    if not shown or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("fetching Kafka"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    files: dict[str, tuple[int, int]] = {}
    lock = threading.Lock()
    bar = Progress(*columns, console=Console(stderr=True))
    task = bar.add_task("fetching", total=None, visible=False)

    def seen(name: str, done: int, total: int) -> None:
        with lock:
            files[name] = (done, total)
            sums = [sum(column) for column in zip(*files.values(), strict=True)]
        bar.update(task, completed=sums[0], total=sums[1], visible=True)

    with bar:
        yield seen
