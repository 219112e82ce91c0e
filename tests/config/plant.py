"""A whole plant, and the plug-ins its configuration names: the ground of the tests in this folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from andon.config.load import Loaded, load
from andon.config.secrets import SecretRef
from andon.config.section import Section
from andon.core.event import Event
from andon.core.policy import Limit
from andon.core.ports import Answer, Call, Called, Content, Context, Facts, Inbound, Receipt, Ticket
from andon.enrichment.config import ConnectorConfig
from andon.runtime.registry import Registry

PLANT = """\
version: 1
site: {name: 二号厂, zone: Asia/Shanghai}
kafka: {bootstrap: embedded, partitions: 6, retention: 14d}
listen: {address: "127.0.0.1:8700"}
limits: {window: 800, queue: 600, backlog: 20000, body: 512KiB}
calendar:
  time_intervals:
    night: [{times: ["20:00-24:00", "00:00-08:00"]}]
sources:
  line: {kind: door, token: env:LINE_TOKEN}
connectors:
  machine: {kind: table, file: machines.csv, key: machine_no}
enrich:
  - {matchers: ['type="mes.fault.raised"'], connector: machine, by: subject, wait: 500ms}
channels:
  robot:
    kind: paper
    keys: [env:ROBOT_1, "file:/run/robot2"]
  printer: {kind: paper, keys: [env:PRINTER]}
receivers:
  shift: {channel: robot, template: fault, merge: {over: 10/m, by: [line, code]}}
  office: {channel: printer}
ticket_systems:
  tracker: {kind: book}
episodes:
  fault: {matchers: ['type=~"mes.fault.*"'], key: [subject, code], ticket_system: tracker}
route:
  receiver: office
  routes:
    - {matchers: ['severity="critical"'], receiver: shift, urgent: true, continue: true}
    - {matchers: ['line="line-3"'], receiver: shift, mute_time_intervals: [night]}
templates: {dir: texts}
"""


class Door:
    class Config(Section):
        token: SecretRef

    def parse(self, inbound: Inbound, /) -> Sequence[Event]:
        return ()

    def greet(self, inbound: Inbound, /) -> Answer:
        return Answer()

    def called(self, inbound: Inbound, /) -> Called:
        return Called()


class Table:
    class Config(ConnectorConfig):
        file: str
        key: str

    async def lookup(self, keys: Sequence[str], /) -> Sequence[Facts]:
        return ()

    async def close(self) -> None: ...


class Paper:
    """A channel that prints."""

    class Config(Section):
        keys: tuple[SecretRef, ...]
        size: int = 4

        def limit_domain(self) -> str:
            return "paper"

        def limits(self) -> tuple[Limit, ...]:
            return ()

        def lines(self) -> int:
            return 1

    def __init__(self, config: Config, context: Context) -> None:
        self.config = config
        self.context = context

    def split(self, content: Content, tail: str = "", /) -> Sequence[Content]:
        return (content,)

    async def send(self, call: Call, /) -> Sequence[Receipt]:
        return ()

    async def close(self) -> None: ...


class Book:
    class Config(Section):
        folder: str = "."

    async def find(self, key: str, /) -> Ticket | None:
        return None

    async def open(self, key: str, title: str, text: str, severity: str, /) -> Ticket:
        return Ticket(key, "open")

    async def comment(self, ticket: str, text: str, /) -> None: ...

    async def move(self, ticket: str, state: str, text: str, /) -> Ticket:
        return Ticket(ticket, state)

    async def reopen(self, ticket: str, text: str, /) -> Ticket:
        return Ticket(ticket, "open")

    async def changes(self, since: float, /) -> Sequence[Ticket]:
        return ()

    async def close(self) -> None: ...


def registry() -> Registry:
    """The installed plug-ins, and those above."""
    return Registry(
        {
            "andon.sources": {"door": Door},
            "andon.connectors": {"table": Table},
            "andon.channels": {"paper": Paper},
            "andon.ticket_systems": {"book": Book},
        }
    )


def write(folder: Path, text: str = PLANT) -> Path:
    """The file, with the templates it names beside it."""
    (folder / "texts").mkdir(exist_ok=True)
    (folder / "texts" / "fault.paper.j2").write_text("{{ subject }} 故障\n", encoding="utf-8")
    (folder / "texts" / "head.j2").write_text("甲\n", encoding="utf-8")
    file = folder / "andon.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def changed(old: str, new: str) -> str:
    """The plant with one piece of its text replaced."""
    assert PLANT.count(old) == 1, f"{old!r} stands {PLANT.count(old)} times in the plant"
    return PLANT.replace(old, new)


def read(folder: Path, text: str = PLANT) -> Loaded:
    return load(write(folder, text), registry())


def said(loaded: Loaded) -> list[str]:
    """The mistakes without the file's name."""
    return [f"{one.line}:{one.column}: {one.text}" for one in loaded.mistakes]


def marked(text: str) -> tuple[str, str]:
    """The text without its mark `‹`, and the place that was marked, as `line:column`."""
    before, mark, after = text.partition("‹")
    assert mark, "the text has no mark"
    return before + after, f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"
