"""`andon broker start|stop|status|reset`: the embedded Kafka."""

import argparse
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

DONE, FAILED, USAGE = 0, 1, 2
DEFAULT_DATA = ".andon"


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Registers `broker` and its commands; each sets `func`, which takes the arguments and returns the exit code."""
    parser = subparsers.add_parser("broker", help="the embedded Kafka", description=__doc__)
    commands = parser.add_subparsers(title="commands", required=True, metavar="start|stop|status|reset")
    common = argparse.ArgumentParser(add_help=False)
    # Without a default here: the same options may stand before the command, and a default would undo them.
    common.add_argument("--data", type=Path, metavar="DIR", default=argparse.SUPPRESS, help="default: ./.andon")
    common.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON")

    start = commands.add_parser("start", parents=[common], help="start it in the background, or say that it runs")
    start.add_argument("--port", type=_port, default=8792, help="preferred port (default: %(default)s)")
    start.add_argument("--strict-port", action="store_true", help="fail when the port is taken, instead of moving up")
    start.add_argument("--heap-mb", type=_heap, default=512, metavar="MB", help="Java's heap (default: %(default)s)")
    start.add_argument("--foreground", action="store_true", help="stay, and stop the broker on Ctrl-C")
    start.add_argument("--maven-url", metavar="URL", help="Maven repository to fetch from (default: $ANDON_MAVEN_URL)")
    start.add_argument("--proxy", metavar="URL", help="proxy to fetch through (default: $HTTPS_PROXY)")
    start.set_defaults(func=_reported(_start))

    stop = commands.add_parser("stop", parents=[common], help="stop it; its data stays")
    stop.add_argument("--timeout", type=float, default=20.0, metavar="S", help="then kill it (default: %(default)s)")
    stop.set_defaults(func=_reported(_stop))

    status = commands.add_parser("status", parents=[common], help="process, port, sizes; exit 1 when it does not run")
    status.set_defaults(func=_reported(_status))

    reset = commands.add_parser("reset", parents=[common], help="delete all of its topics, offsets and logs")
    reset.add_argument("--yes", action="store_true", help="do not ask")
    reset.set_defaults(func=_reported(_reset))


def _port(text: str) -> int:
    port = int(text)
    if not 1 <= port <= 65_535:
        raise argparse.ArgumentTypeError(f"{port} is not between 1 and 65535")
    return port


def _heap(text: str) -> int:
    megabytes = int(text)
    if megabytes < 256:
        raise argparse.ArgumentTypeError(f"Kafka needs at least 256 MB of heap, not {megabytes}")
    return megabytes


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


def _data(args: argparse.Namespace) -> Path:
    return Path(getattr(args, "data", None) or DEFAULT_DATA) / "kafka"


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
    with _progress(shown=not getattr(args, "json", False)) as progress:
        running = broker.start(
            _data(args),
            port=args.port,
            strict_port=args.strict_port,
            tie_to_parent=args.foreground,
            heap_mb=args.heap_mb,
            progress=progress,
        )
    told = _told_to_leave() if args.foreground else None
    sentence = f"Kafka {broker.kafka_version()} answers at {running.bootstrap} (process {running.pid}, {running.data})"
    _show(args, asdict(running), sentence)
    return _stay(running.data, running.pid, told) if told else DONE


def _told_to_leave() -> threading.Event:
    """An event that Ctrl-C or SIGTERM sets from now on."""
    told = threading.Event()

    def leave(_signal: int, _frame: FrameType | None) -> None:
        told.set()

    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, leave)
    return told


def _stay(data: Path, pid: int, told: threading.Event) -> int:
    """Waits until told to leave, then stops the broker; a broker that ends by itself is a failure."""
    from andon import broker

    sys.stdout.flush()
    while not told.wait(0.5):
        if not broker.is_running(data):
            print(f"andon broker: Kafka (process {pid}) ended by itself; see {data / 'logs'}.", file=sys.stderr)
            return FAILED
    broker.stop(data)
    return DONE


def _stop(args: argparse.Namespace) -> int:
    from andon import broker

    began = time.monotonic()
    stopped = broker.stop(_data(args), timeout_s=args.timeout)
    took = time.monotonic() - began
    _show(args, {"stopped": stopped}, f"stopped after {took:.1f} s" if stopped else "it was not running")
    return DONE


def _status(args: argparse.Namespace) -> int:
    from andon import broker

    found = broker.status(_data(args))
    if found is None:
        _show(args, {"running": False, "data": _data(args).absolute()}, "it is not running")
        return FAILED
    lines = {
        "answers at": found.bootstrap if found.ready else f"{found.bootstrap} (not yet)",
        "process": found.pid,
        "version": f"Kafka {found.version} on {found.java}",
        "running for": f"{found.uptime_s:.0f} s",
        "data": found.data,
        "topics": f"{found.topics_bytes / 1e6:.1f} MB",
        "logs": f"{found.logs_bytes / 1e6:.1f} MB",
        "disk": f"{found.disk_used:.0%} full",
    }
    text = "\n".join(f"{name:<12} {value}" for name, value in lines.items())
    _show(args, {"running": True, **asdict(found)}, text)
    return DONE


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
