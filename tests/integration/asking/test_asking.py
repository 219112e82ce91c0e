"""`andon explain`, `andon why` and `andon whatif` on a real Kafka that holds the records of an afternoon."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from andon import broker
from andon.cli.commands.check import checked
from andon.cli.main import main
from andon.core.delivery import Delivery, delivery_id
from andon.core.event import Event, Position
from andon.core.outcome import Attempt, Delivered, Evidence, Outcome, OutcomeRecord, Parked, RecipientState, Skipped
from andon.core.reason import Reason
from andon.kafka.codecs import encode
from andon.kafka.connection import Connection
from andon.kafka.producer import Publisher
from andon.kafka.records import Outgoing
from andon.kafka.topics import DELIVERIES, ENRICHED, EVENTS, OUTCOMES
from andon.runtime.bootstrap import prepare
from tests.rig.ports import free_port

CONFIG = """
version: 1
site: {zone: Asia/Shanghai}
kafka: {bootstrap: embedded, partitions: 3}
connectors: {people: {kind: csv, file: people.csv, key: userid}}
channels:
  app: {kind: wecom_app, corp_id: env:C, agent_id: 7, secret: env:S}
  robot: {kind: wecom_robot, keys: [env:R]}
receivers: {duty: {channel: app, to: [zhangsan]}, group: {channel: robot}}
route:
  receiver: group
  routes:
    - {matchers: ['line="L3"'], receiver: duty}
"""
OTHER = CONFIG.replace('line="L3"', 'line=~"L3|L4"')
ACCEPTED = Delivered(Evidence.VENDOR_ACCEPTED)
GONE = Parked(Reason.GONE, "the vendor knows no such recipient, or the app may not see it")


class Afternoon:
    """A node with what services would have written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "andon.yaml").write_text(CONFIG, encoding="utf-8")
        (folder / "people.csv").write_text("userid,name\nzhangsan,张三\n", encoding="utf-8")
        (folder / "other").mkdir()
        (folder / "other" / "andon.yaml").write_text(OTHER, encoding="utf-8")
        (folder / "other" / "people.csv").write_text("userid,name\nzhangsan,张三\n", encoding="utf-8")
        self.link = Connection(broker.start(folder / "kafka", port=free_port(), tie_to_parent=True).bootstrap)
        asyncio.run(prepare(checked(folder), self.link.bootstrap))
        self.common = ["--config", str(folder), "--data", str(folder), "--bootstrap", self.link.bootstrap]
        asyncio.run(self._write())

    async def _write(self) -> None:
        publisher = Publisher(self.link, "asking")
        publisher.start()
        outcomes: list[Outcome | None] = [ACCEPTED, GONE, None, ACCEPTED, Skipped(Reason.REPEATED, "0")]
        for number, (line, outcome) in enumerate(zip(["L3", "L3", "L3", "L4", "L5"], outcomes, strict=True)):
            await self._event(publisher, number, line, outcome)
        await asyncio.to_thread(publisher.close)

    async def _event(self, publisher: Publisher, number: int, line: str, outcome: Outcome | None) -> None:
        at = datetime.now(UTC)
        event = Event(f"e-{number}", "mes", "fault", f"{line}/M-{number}", at, {}, {"line": line})
        key = event.subject.encode()
        (first,) = await publisher.append([Outgoing(EVENTS, key, encode(event))])
        assert isinstance(first, Position)
        event = msgspec.structs.replace(event, origin=(first,))
        (second,) = await publisher.append([Outgoing(ENRICHED, key, encode(event))])
        assert isinstance(second, Position)
        event = msgspec.structs.replace(event, origin=(first, second))
        receiver, to = ("duty", "zhangsan") if line == "L3" else ("group", "group")
        route = "0.0" if line == "L3" else "0"
        number_of = delivery_id(event, receiver)
        told = Delivery(number_of, event, receiver, "d", (to,), route, 1, origin=event.origin)
        (third,) = await publisher.append([Outgoing(DELIVERIES, b"d", encode(told))])
        assert isinstance(third, Position)
        if outcome is not None:
            ended = OutcomeRecord(
                number_of,
                event.id,
                event.source,
                event.subject,
                outcome,
                datetime.now(UTC),
                number_of,
                receiver,
                "c",
                attempts=(Attempt(1, at, at, Reason.DELIVERED),),
                recipients=(RecipientState(to, outcome),),
                origin=(first, second, third),
                config_version=1,
            )
            await publisher.append([Outgoing(OUTCOMES, key, encode(ended))])

    def close(self) -> None:
        broker.stop(self.folder / "kafka")


@pytest.fixture(scope="module")
def afternoon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Afternoon]:
    found = Afternoon(tmp_path_factory.mktemp("asking"))
    yield found
    found.close()


@pytest.fixture
def andon(afternoon: Afternoon, capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*argv: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([*argv, *afternoon.common])
        return (code, *capsys.readouterr())

    return run


def test_a_person_is_told_by_the_name_the_table_has(andon: Any) -> None:
    code, out, err = andon("why", "张三", "--since", "1h", "--json")
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert told["names"] == ["zhangsan", "张三"]
    assert {one["event"]: (one["cause"], one["came"]) for one in told["answers"]} == {
        "e-0": ("came", True),
        "e-1": ("gone", False),
        "e-2": ("limiter", None),
        "e-3": ("route", False),
        "e-4": ("route", False),
    }
    code, out, _ = andon("why", "张三", "--since", "1h")
    assert code == 0
    assert 'route 0.0 (duty) asks for line="L3", and it is L4; it went by 0 (group)' in out


def test_a_subject_that_never_came_is_exit_one(andon: Any) -> None:
    code, out, err = andon("why", "zhangsan", "--since", "1h", "--subject", "L3/M-99")
    assert (code, err) == (1, "")
    assert "nothing of L3/M-99 was accepted in this time: it never reached us" in out
    code, out, _ = andon("why", "zhangsan", "--event", "e-0", "--json")
    assert (code, [one["cause"] for one in json.loads(out)["answers"]]) == (0, ["came"])
    assert andon("why", "zhangsan", "--until", "25h")[0] == 2


def test_a_name_that_nobody_has_is_one_line(andon: Any) -> None:
    said = "andon why: no receiver, person or address is called `nobody`; give the name that the channel has\n"
    assert andon("why", "nobody", "--since", "1h") == (1, "", said)
    assert andon("why", "nobody", "--since", "1h", "--subject", "L3/M-0") == (1, "", said)
    for known in ("duty", "张三"):
        assert andon("why", known, "--since", "1h")[0] == 0


def test_what_was_decided_is_explained(andon: Any) -> None:
    code, out, err = andon("explain", "e-0", "--json")
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert (told["receivers"], told["version"], told["path"][1]["matchers"][0]["value"]) == (["duty"], 1, "L3")
    code, out, err = andon("explain", "e-9")
    assert (code, out) == (1, "")
    assert "there is no event e-9" in err


def test_other_rules_are_compared_and_nothing_is_sent(andon: Any, afternoon: Afternoon, tmp_path: Path) -> None:
    other, page = str(afternoon.folder / "other"), tmp_path / "page.html"
    code, out, err = andon("whatif", "--routes", other, "--from", "1h", "--json", "--html", str(page))
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert (told["events"], told["different"], told["notices"], told["old"]) == (5, 1, 2, "version 1")
    assert {one["receiver"]: (one["kept"], one["gained"], one["lost"]) for one in told["receivers"]} == {
        "duty": (3, 1, 0),
        "group": (1, 0, 1),
    }
    assert told["people"] == [
        {"person": "group", "gained": 0, "lost": 1},
        {"person": "zhangsan", "gained": 1, "lost": 0},
    ]
    assert "L4/M-3" in page.read_text(encoding="utf-8")
    assert andon("whatif", "--routes", other, "--from", "1h", "--recorded", "--fail-above", "2")[0] == 0
    code, out, err = andon("whatif", "--routes", other, "--from", "1h", "--fail-above", "1")
    assert (code, err) == (1, "andon whatif: 2 notices would change, 1 may\n")
    assert 'new        0.0    duty      1      0      line=~"L3|L4"' in out
    assert andon("whatif", "--routes", other, "--from", "now")[0] == 2
    assert andon("whatif", "--routes", other, "--from", "1h", "--to", "2h")[0] == 2
