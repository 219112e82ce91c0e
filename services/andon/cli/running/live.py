"""What `andon up` shows: a table that stays in place on a terminal; elsewhere a line every 5 s and at each turn."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self, TextIO

from andon.cli.running.summary import Figures

if TYPE_CHECKING:
    from rich.console import RenderableType

    from andon.runtime.supervisor import Status

REFRESH = 0.5
LINE_EVERY = 5.0
_COLOURS = {"ready": "green", "done": "green", "stopped": "dim", "failed": "red", "restarting": "red"}


@dataclass(frozen=True)
class View:
    """All that is shown at one moment. `fetched` are bytes here and in all."""

    state: str
    figures: Figures | None
    programs: Sequence[Status]
    addresses: Mapping[str, str] = field(default_factory=dict)
    fetched: tuple[int, int] | None = None


class Screen(Protocol):
    """Where views go. Used as a context manager."""

    def show(self, view: View, now: float) -> None: ...

    def say(self, text: str) -> None:
        """Prints what is to stay."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _trace: TracebackType | None
    ) -> None: ...


def screen(*, as_json: bool, out: TextIO | None = None) -> Screen:
    """A table on a terminal, else lines of text, or of JSON when that was asked for."""
    stream = out or sys.stdout
    return _Lines(stream, as_json=as_json) if as_json or not stream.isatty() else _Table(stream)


def figures(found: Figures | None) -> dict[str, Any]:
    """The figures by the words they are shown under; dashes before there are any."""
    if found is None:
        words = ("accepted", "delivered", "merged", "skipped", "parked", "waiting", "tickets", "p50", "p99")
        return dict.fromkeys(words, "-")
    return {
        "accepted": found.accepted,
        "delivered": found.delivered,
        "merged": found.merged,
        "skipped": found.skipped,
        "parked": found.parked,
        "waiting": found.waiting,
        "tickets": f"{found.tickets_opened} opened {found.tickets_closed} closed",
        "p50": _milliseconds(found.latency_ms_p50),
        "p99": _milliseconds(found.latency_ms_p99),
    }


def line(view: View) -> str:
    """The view in one line of text."""
    if view.fetched:
        done, total = view.fetched
        return f"fetching Kafka: {done / 1e6:.0f} of {total / 1e6:.0f} MB"
    parts = [view.state, *(f"{word} {value}" for word, value in figures(view.figures).items())]
    parts += [f"{p.name} {p.state}" for p in view.programs if p.state not in ("ready", "done")]
    if restarts := sum(p.restarts for p in view.programs):
        parts.append(f"restarts {restarts}")
    return " · ".join(parts)


def as_object(view: View) -> dict[str, Any]:
    """The view as JSON."""
    programs = {p.name: {"state": p.state, "pid": p.pid, "restarts": p.restarts} for p in view.programs}
    return {"state": view.state, **figures(view.figures), "programs": programs}


def table(view: View) -> RenderableType:
    """The view for a terminal."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    counts = Table(box=None, padding=(0, 2, 0, 0))
    words = figures(view.figures)
    for word in words:
        counts.add_column(word, justify="right", header_style="dim")
    counts.add_row(*(str(value) for value in words.values()), style="bold")
    programs = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for word in ("process", "state", "pid", "restarts", "ports", ""):
        programs.add_column(word, justify="right" if word in ("pid", "restarts") else "left", no_wrap=word != "")
    for program in view.programs:
        programs.add_row(*_row(program))
    header = Text.assemble(("Andon ", "bold"), view.state)
    for name, address in view.addresses.items():
        header.append(f"  {name} ", "dim").append(address, f"link {address}")
    parts: list[RenderableType] = [header, Text(), counts, Text(), programs]
    if view.fetched:
        parts += [Text(), _bar(*view.fetched)]
    return Group(*parts)


def _row(program: Status) -> tuple[RenderableType, ...]:
    from rich.text import Text

    ports = " ".join(str(port) for port in program.ports.values())
    note = f"exit {program.exit}: {program.note}" if program.exit and program.state != "ready" else ""
    state = Text(program.state, _COLOURS.get(program.state, "yellow"))
    return (program.name, state, str(program.pid or "-"), str(program.restarts), ports, Text(note, "red"))


def _bar(done: int, total: int) -> RenderableType:
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    bar = Progress(TextColumn("fetching Kafka"), BarColumn(), DownloadColumn())
    bar.add_task("", completed=done, total=total)
    return bar


def _milliseconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} ms"


class _Lines:
    def __init__(self, out: TextIO, *, as_json: bool) -> None:
        self._out = out
        self._json = as_json
        self._next = 0.0
        self._state = ""
        self._told: Mapping[str, str] = {}

    def show(self, view: View, now: float) -> None:
        if now < self._next and view.state == self._state:
            return
        self._state = view.state
        if not self._json and self._told != view.addresses:
            self._told = view.addresses
            self.say("  ".join(f"{name} {address}" for name, address in view.addresses.items()))
        self._next = now + LINE_EVERY
        self._write(json.dumps(as_object(view)) if self._json else line(view))

    def say(self, text: str) -> None:
        self._write(json.dumps({"note": text}) if self._json else text)

    def _write(self, text: str) -> None:
        print(text, file=self._out, flush=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _trace: TracebackType | None
    ) -> None:
        return None


class _Table:
    def __init__(self, out: TextIO) -> None:
        from rich.console import Console
        from rich.live import Live

        self._live = Live(console=Console(file=out), auto_refresh=False, redirect_stdout=False, redirect_stderr=False)

    def show(self, view: View, now: float) -> None:
        self._live.update(table(view), refresh=True)

    def say(self, text: str) -> None:
        self._live.console.print(text, markup=False, highlight=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._live.stop()
