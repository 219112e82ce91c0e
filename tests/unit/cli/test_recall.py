"""`andon recall`: what a delivery has sent is taken back by the names the vendor gave it, or it is said why not."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from andon.cli.main import main
from andon.core.event import Home
from andon.core.failure import Rejected
from andon.core.outcome import Merged
from andon.core.reason import Reason
from andon.core.work import Closed, Entry, Item, Reach, Write
from andon.egress.channels.wecom_app import WecomApp
from andon.kafka.topics import DELIVERIES
from andon.store.desk import SqlDeskStore

HOME = Home(DELIVERIES, 0)
ID, OTHER = UUID(int=7), UUID(int=8)
SENT = 1_700_000_000.0
CONFIG = """
version: 1
channels:
  app: {kind: wecom_app, corp_id: env:C, agent_id: 7, secret: env:S}
  robot: {kind: wecom_robot, keys: [env:R]}
receivers: {people: {channel: app, to: [wang]}, chat: {channel: app, to: ["chat:a"]}, group: {channel: robot}}
route: {receiver: people}
"""
Recall = Callable[..., tuple[int, str, str]]


@pytest.fixture
def recall(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Recall:
    (tmp_path / "andon.yaml").write_text(CONFIG, encoding="utf-8")

    def run(*arguments: str) -> tuple[int, str, str]:
        common = ["--config", str(tmp_path), "--data", str(tmp_path / "data")]
        code = main(["recall", *(arguments or (str(ID),)), *common])
        return (code, *capsys.readouterr())

    return run


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, float]]:
    """What the vendor is asked to take back; it says no to what is named "old"."""
    found: list[tuple[str, float]] = []

    async def taken_back(_app: WecomApp, reference: str, sent: float, /, **_more: Any) -> None:
        found.append((reference, sent))
        if reference == "old":
            raise Rejected(Reason.GONE, "too old: the vendor takes back what was sent within 24 hours")

    monkeypatch.setattr(WecomApp, "recall", taken_back)
    return found


def entry(number: int, reason: Reason = Reason.DELIVERED, **more: Any) -> Entry:
    ended, hop = more.pop("ended", SENT + number), more.pop("hop", 0)
    domain = more.pop("domain", "wecom_app:env:C")
    return Entry(
        ID, 0, hop, number, HOME, domain, 0, more.pop("part", 0), 1, SENT, "people", ended=ended, reason=reason, **more
    )


def kept(folder: Path, entries: Sequence[Entry], queue: str = "people", into: UUID | None = None) -> None:
    """What the egress desk has in its store."""
    (folder / "data" / "store").mkdir(parents=True)
    with closing(SqlDeskStore(f"sqlite:///{folder / 'data' / 'store'}", "egress")) as store:
        store.acquire(HOME, "x", 0.0)
        item = Item(ID, HOME, 1, queue, "d", "lane", b"c", SENT, b"{}")
        write = Write(HOME, 1, offset=2, taken=[item], began=list(entries))
        if into:
            write.closed = [Closed(ID, msgspec.json.encode(Merged(into, Reason.OVER_RATE)), SENT)]
        store.commit([write])


def test_every_message_of_a_delivery_is_taken_back(tmp_path: Path, recall: Recall, asked: list[Any]) -> None:
    kept(tmp_path, [entry(1, reference="m1 c1"), entry(2, Reason.BUSY), entry(3, reference="m2", part=1)])
    code, out, _ = recall()
    assert (code, asked) == (0, [("m1 c1", SENT + 1), ("m2", SENT + 3)])
    assert out.splitlines() == [
        "attempt 1  2023-11-14 22:13:21Z  m1  recalled",
        "attempt 3 part 2  2023-11-14 22:13:23Z  m2  recalled",
    ]


def test_what_could_not_be_taken_back_says_why(tmp_path: Path, recall: Recall, asked: list[Any]) -> None:
    kept(
        tmp_path,
        [
            entry(1, Reason.TIMEOUT, ambiguous=True),
            entry(2),
            entry(3, reference="old"),
            entry(4, reference="m4"),
            entry(5, Reason.INTERRUPTED, ended=None),
        ],
    )
    code, out, _ = recall(str(ID), "--json")
    told = json.loads(out)
    assert code == 1
    assert [(one["attempt"], one["said"]) for one in told] == [
        ("1", "no_reference"),
        ("2", "no_reference"),
        ("3", "gone"),
        ("4", "recalled"),
        ("5", "no_reference"),
    ]
    assert told[0]["detail"].startswith("no answer came")
    assert told[1]["detail"].startswith("the vendor gave no name")
    assert told[2]["detail"].startswith("too old")
    assert [reference for reference, _ in asked] == ["old", "m4"]


def test_a_channel_that_takes_nothing_back(tmp_path: Path, recall: Recall) -> None:
    kept(tmp_path, [entry(1, domain="wecom_robot:env:R")], "group")
    code, out, _ = recall()
    assert code == 1
    assert out.endswith("not_recallable: a wecom_robot cannot take back what it sent\n")


def test_each_message_of_a_delivery_that_was_handed_on_is_its_own_channels(
    tmp_path: Path, recall: Recall, asked: list[Any]
) -> None:
    chats, other = Reach("7/chats", ("chat:a",)), Reach("8", ("wang",))
    kept(
        tmp_path,
        [
            entry(1, domain="wecom_robot:env:R"),
            entry(2, hop=1, reference="m2", reach=Reach("7", ("wang",))),
            entry(3, hop=2, reach=chats),
            entry(4, hop=3, reference="m4", reach=other),
            entry(5, hop=4, reference="m5", domain="gone"),
        ],
        "group",
    )
    code, out, _ = recall(str(ID), "--json")
    said = [one["said"] for one in json.loads(out)]
    assert (code, said) == (1, ["not_recallable", "recalled", "no_reference", "no_channel", "no_channel"])
    assert asked == [("m2", SENT + 2)]


@pytest.mark.parametrize(
    ("entries", "queue", "into", "sentence"),
    [
        ([], "people", None, f"delivery {ID} has sent nothing"),
        ([entry(1, Reason.BUSY)], "people", None, f"delivery {ID} has sent nothing"),
        ([], "people", OTHER, f"it became part of delivery {OTHER}: recall that one"),
    ],
)
def test_where_there_is_nothing_to_take_back(
    tmp_path: Path, recall: Recall, entries: list[Entry], queue: str, into: UUID | None, sentence: str
) -> None:
    kept(tmp_path, entries, queue, into)
    code, out, err = recall()
    assert (code, out) == (1, "")
    assert err.startswith(f"andon recall: {sentence}")


def test_a_delivery_nobody_knows(tmp_path: Path, recall: Recall) -> None:
    assert "the egress desk has no store here" in recall()[2]
    kept(tmp_path, [entry(1)])
    code, _, err = recall(str(OTHER))
    assert code == 1
    assert f"knows no delivery {OTHER}" in err


def test_wrong_usage_and_a_wrong_configuration_are_exit_two(tmp_path: Path, recall: Recall) -> None:
    code, _, err = recall("seven")
    assert code == 2
    assert "seven is not a delivery id" in err
    (tmp_path / "andon.yaml").write_text("version: 1\n", encoding="utf-8")
    assert recall()[0] == 2
