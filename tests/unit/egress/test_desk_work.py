"""What egress knows of a delivery: how a record becomes an item, a call, and an outcome that can be looked up."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from andon.config.published import Published
from andon.config.settings import Settings
from andon.core.delivery import Delivery
from andon.core.digest import combined
from andon.core.event import Home, Position
from andon.core.failure import Rejected, Retryable
from andon.core.outcome import Delivered, Evidence, Merged, Outcome, OutcomeRecord, Parked, RecipientState
from andon.core.policy import OnAmbiguous, account_number
from andon.core.ports import Call, Receipt, Reply
from andon.core.reason import Reason
from andon.core.work import Entry, Item, Note
from andon.egress.desk import EgressWork
from andon.egress.receivers import Receivers
from andon.egress.words import words_of
from andon.kafka.codecs import Undecodable, encode
from andon.kafka.records import Record
from andon.kafka.topics import DELIVERIES, DLQ, OUTCOMES
from andon.runtime.desk.packing import packed
from andon.runtime.desk.work import Success
from andon.runtime.dlq import OFFSET, REASON, REDRIVE
from andon.runtime.metrics import Metrics
from andon.runtime.registry import Registry
from andon.testing.builders import delivery, event
from andon.testing.clock import ManualClock
from andon.testing.contract_channels import unnumbered
from andon.web.nowire import NoWire

REPEAT = words_of("zh").repeat
HOME = Home(DELIVERIES, 3)
NOW = datetime(2026, 11, 22, 6, 4, tzinfo=UTC)


class Group(NoWire):
    """The vendor's wire: what people saw, part by part."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    async def request(
        self,
        method: str,
        url: str,
        /,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        deadline: float = 15.0,
    ) -> Reply:
        said = json.loads(body)
        self.seen.append(self.shown(said["msgtype"], said[said["msgtype"]]))
        return Reply(200, b'{"errcode":0,"errmsg":"ok"}', {})

    def shown(self, _kind: str, content: Any) -> str:
        """What people see of one message."""
        return str(content["content"])


def line(work: EgressWork, of: Item) -> int:
    """The first account of its channel."""
    return work.policy(of.queue).lines[0]


@pytest.fixture
def group() -> Group:
    return Group()


@pytest.fixture
def work(group: Group, monkeypatch: pytest.MonkeyPatch) -> EgressWork:
    monkeypatch.setenv("ROBOT", "key")
    settings = Settings.model_validate(
        {
            "version": 1,
            "channels": {"robot": {"kind": "wecom_robot", "keys": ["env:ROBOT"]}},
            "receivers": {"l3-group": {"channel": "robot", "template": "fault"}},
            "route": {"receiver": "l3-group"},
        }
    )
    files = {
        "fault.j2": "{{ data.text }}{% if data.zone %}{{ event.time | at(data.zone) }}{% endif %}",
        "digest.j2": "{{ digest.count }} 条",
    }
    published = Published(1, NOW, "test", "/", settings, files)
    return EgressWork(Receivers(published, Registry(), group, ManualClock()), Metrics())


def record(of: Delivery, offset: int = 17) -> Record:
    return Record(HOME.topic, HOME.partition, offset, 1_763_791_400_000, of.domain.encode(), encode(of))


def item(work: EgressWork, of: Delivery | None = None, **data: Any) -> Item:
    taken = work.read(record(of or delivery(event(data={"text": "停机", **data})))).item
    assert taken is not None
    return taken


def send(work: EgressWork, of: Item) -> list[Success]:
    """Every call of the item, its state carried on as the desk does."""
    ended: list[Success] = []
    while not ended or ended[-1].more:
        if ended:
            of.part, of.parts, of.marked = of.part + 1, ended[-1].parts or of.parts, False
        ended.append(asyncio.run(work.call(of, line(work, of), 15.0)))
    return ended


def told(work: EgressWork, of: Item, outcome: Outcome, *states: RecipientState) -> tuple[OutcomeRecord, list[Note]]:
    first, *others = work.closed(of, outcome, states, NOW.timestamp()).notes
    assert (first.topic, first.key) == (OUTCOMES, b"line-3/M-07")
    return msgspec.json.decode(first.value or b"", type=OutcomeRecord), others


# ---- memory


@pytest.mark.parametrize("grouped", [False, True], ids=["", "packed in memory"])
def test_large_deliveries_are_not_kept_in_memory_once_they_were_looked_at(work: EgressWork, *, grouped: bool) -> None:
    items = [item(work, many=[{"n": number, "k": k} for k in range(4_000)]) for number in range(12)]
    for of in items:
        of.body = packed(of.body) if grouped else of.body
    tracemalloc.start()
    for of in items:
        work.digest(of)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 3_000_000, "each is nearly a million"


# ---- intake


def test_a_record_becomes_an_item_of_its_receiver_account_and_subject(work: EgressWork) -> None:
    of = delivery(urgent=True, group="l3|E-104")
    made = item(work, of)
    assert (made.id, made.queue, made.domain, made.lane) == (of.id, "l3-group", of.domain, "line-3/M-07")
    assert (made.home, made.offset, made.urgent, made.group) == (HOME, 17, True, "l3|E-104")
    assert made.body == encode(of)
    assert made.born == of.event.time.timestamp()


def test_it_was_born_when_the_log_took_the_event(work: EgressWork) -> None:
    of = delivery(event(origin=(Position("andon.events", 0, 5, 1_763_791_385_250),)))
    assert item(work, of).born == 1_763_791_385.25


def test_what_we_added_or_the_door_minted_makes_no_conflict(work: EgressWork) -> None:
    one = item(work, delivery(event()))
    added = item(
        work, delivery(event(facts={}, time=NOW, origin=(Position("andon.events", 1, 2, 3),)), config_version=9)
    )
    other = item(work, delivery(event(data={"code": "E-105"})))
    assert one.content == added.content
    assert one.content != other.content
    assert len(one.content) == 16


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b"[" * 100_000, b'{"id":1}'])
def test_anything_else_is_undecodable(work: EgressWork, raw: bytes) -> None:
    with pytest.raises(Undecodable):
        work.read(replace(record(delivery()), value=raw))


def test_a_delivery_whose_event_has_a_time_without_zone_is_undecodable_and_meets_no_other(work: EgressWork) -> None:
    naive = delivery(event(time=datetime(2026, 11, 24, 4)))  # noqa: DTZ001 - what is to be refused
    with pytest.raises(Undecodable):
        work.read(record(naive))


def test_one_that_a_version_before_took_in_is_read_at_utc_so_that_it_is_told(work: EgressWork, group: Group) -> None:
    data = {"text": "停机", "zone": "Asia/Shanghai", "time": "2026-11-24T04:00:00"}
    found = item(work, delivery(event(data=data)))
    naive = encode(delivery(event(data=data, time=datetime(2026, 11, 24, 4))))  # noqa: DTZ001 - as it was written
    found.body = packed(naive)
    assert combined(work.digest(found), work.digest(item(work))).count == 2
    send(work, found)
    assert group.seen == ["停机2026-11-24 12:00:00"]
    outcome, notes = told(work, found, Parked(Reason.REJECTED))
    assert (outcome.outcome.reason, [note.value for note in notes]) == (Reason.REJECTED, [naive])


def test_a_field_that_is_missing_is_marked_and_counted_once(work: EgressWork, group: Group) -> None:
    of = item(work, delivery(event(data={})))
    for number in (1, 2):
        of.entries.append(Entry(of.id, 0, 0, number, HOME, of.domain, 0, 0, 7, NOW.timestamp(), of.queue))
        send(work, of)
    assert group.seen == ["【缺】"] * 2
    metrics = work._metrics.text().decode()
    assert 'andon_fields_missing_total{channel="robot"} 1.0' in metrics


def test_a_broken_template_is_parked_with_its_line(work: EgressWork) -> None:
    with pytest.raises(Rejected, match=r"fault\.j2 line 1: ZoneInfoNotFoundError") as caught:
        send(work, item(work, delivery(event(data={"text": "x", "zone": "Mars"}))))
    assert caught.value.reason is Reason.TEMPLATE_BROKEN


def test_a_receiver_that_is_gone_is_parked_by_name_and_asks_for_a_redrive(work: EgressWork) -> None:
    gone = item(work, delivery(receiver="l4-group"))
    with pytest.raises(Rejected, match="l4-group") as refused:
        asyncio.run(work.call(gone, 0, 15.0))
    assert refused.value.reason is Reason.UNKNOWN_RECEIVER
    assert work.policy("l4-group").limits == ()


# ---- calls


@pytest.mark.parametrize("size", [10, 2_048, 2_049, 9_000])
def test_numbered_parts_joined_equal_the_text_byte_for_byte(work: EgressWork, group: Group, size: int) -> None:
    text = ("冲压机 7 停机，主轴过热。" * size).encode()[:size].decode(errors="ignore").strip()
    one = item(work, text=text)
    ended = send(work, one)
    assert "".join(unnumbered(group.seen)) == text
    assert all(len(part.encode()) <= 2_048 for part in group.seen)
    assert len(ended) == len(group.seen)
    assert [one.more for one in ended] == [True] * (len(ended) - 1) + [False]


def test_what_is_sent_first_decides_what_follows_whatever_is_published_meanwhile(
    work: EgressWork, group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "停机 " * 1_000
    one = item(work, text=text.strip())
    first = asyncio.run(work.call(one, line(work, one), 15.0))
    monkeypatch.setattr(work.receivers.renderer, "render", lambda *_, **__: pytest.fail("rendered again"))
    one.part, one.parts = 1, first.parts
    while asyncio.run(work.call(one, line(work, one), 15.0)).more:
        one.part += 1
    assert "".join(unnumbered(group.seen)) == text.strip()


def test_a_repeat_is_marked_and_one_of_a_later_part_too(work: EgressWork, group: Group) -> None:
    one = item(work, text="停机")
    one.marked = True
    send(work, one)
    assert group.seen == [f"{REPEAT}停机"]


def test_a_repeated_later_part_keeps_the_limit_and_every_byte(work: EgressWork, group: Group) -> None:
    text = "a" * 2_048 * 3
    one = item(work, text=text)
    first = asyncio.run(work.call(one, line(work, one), 15.0))
    one.part, one.parts, one.marked = 1, first.parts, True
    again = asyncio.run(work.call(one, line(work, one), 15.0))
    one.part, one.parts, one.marked = 2, again.parts, False
    while asyncio.run(work.call(one, line(work, one), 15.0)).more:
        one.part += 1
    assert group.seen[1].startswith(f"{REPEAT}(2/4)\n")
    assert all(len(part.encode()) <= 2_048 for part in group.seen)
    assert "".join(unnumbered([part.removeprefix(REPEAT) for part in group.seen])) == text


def test_what_was_merged_in_shows(work: EgressWork, group: Group) -> None:
    one = item(work)
    other = item(work, delivery(event(id="e-2", subject="line-3/M-08")))
    digest = work.digest(one)
    assert (digest.count, digest.lines[0].subject) == (1, "line-3/M-07")
    one.carried = combined(digest, work.digest(other))
    send(work, one)
    assert group.seen == ["2 条"]


class Named:
    """A channel with named people, that answers as it is told."""

    def __init__(self, *answers: list[Receipt]) -> None:
        self._answers = list(answers)

    def split(self, content: Any, /) -> list[Any]:
        return [content] * len(self._answers)

    async def send(self, call: Call, /) -> list[Receipt]:
        return self._answers.pop(0)


def named(work: EgressWork, monkeypatch: pytest.MonkeyPatch, *answers: list[Receipt]) -> Item:
    served = replace(work.receivers["l3-group"], channel=Named(*answers))
    monkeypatch.setitem(work.receivers._served, "l3-group", served)
    return item(work, delivery(event(data={"text": "x"}), recipients=("wang", "li")))


def test_who_did_not_get_the_first_part_did_not_get_the_notice(
    work: EgressWork, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = Parked(Reason.GONE, "left the company")
    one = named(work, monkeypatch, [Receipt("wang", failed=gone), Receipt("li")], [Receipt("wang"), Receipt("li")])
    last = send(work, one)[-1]
    assert {state.recipient: state.outcome for state in last.recipients} == {
        "wang": gone,
        "li": Delivered(Evidence.VENDOR_ACCEPTED),
    }


def test_no_receipt_is_no_success(work: EgressWork, monkeypatch: pytest.MonkeyPatch) -> None:
    (last,) = send(work, named(work, monkeypatch, [Receipt("li", Evidence.READ)]))
    assert [(one.recipient, one.outcome.reason) for one in last.recipients] == [
        ("wang", Reason.NO_RESULT),
        ("li", Reason.DELIVERED),
    ]


# ---- ends


def test_an_outcome_tells_the_whole_way(work: EgressWork) -> None:
    origin = (Position("andon.events", 1, 5, 1_763_791_385_000), Position("andon.enriched", 2, 6, 0))
    of = delivery(event(origin=origin[:1], traceparent="00-aa-bb-01"), origin=origin, config_version=4)
    one = item(work, of)
    at = NOW.timestamp()
    failed = Entry(one.id, 0, 0, 1, HOME, one.domain, 0, 0, 7, at - 30, one.queue, False, at - 29, Reason.TIMEOUT, True)
    good = Entry(one.id, 0, 0, 2, HOME, one.domain, 0, 0, 7, at - 1, one.queue, True, at, Reason.DELIVERED)
    one.entries = [failed, good]
    state = RecipientState("l3-group", Delivered(Evidence.VENDOR_ACCEPTED))
    outcome, others = told(work, one, Delivered(Evidence.VENDOR_ACCEPTED), state)
    assert others == []
    assert (outcome.id, outcome.delivery, outcome.event, outcome.source) == (of.id, of.id, "e-1", "mes")
    assert (outcome.receiver, outcome.channel, outcome.config_version) == ("l3-group", "robot", 4)
    assert (outcome.at, outcome.traceparent, outcome.recipients) == (NOW, "00-aa-bb-01", (state,))
    assert outcome.origin == (*origin, Position(DELIVERIES, 3, 17))
    shown = [(a.number, a.reason, a.ambiguous, a.marked, a.part) for a in outcome.attempts]
    assert shown == [(1, Reason.TIMEOUT, True, False, 0), (2, Reason.DELIVERED, False, True, 0)]
    assert (outcome.attempts[0].ended or NOW).timestamp() == at - 29


def test_a_parked_delivery_lies_in_the_dlq_with_its_own_bytes(work: EgressWork) -> None:
    one = item(work)
    outcome, (note,) = told(work, one, Parked(Reason.CREDENTIALS, "errcode 93000"))
    assert outcome.outcome == Parked(Reason.CREDENTIALS, "errcode 93000")
    assert (note.topic, note.key, note.value) == (DLQ, one.domain.encode(), one.body)
    headers = dict(note.headers)
    assert (headers[REASON], headers[OFFSET], headers[REDRIVE]) == (b"credentials", b"17", b"0")


def test_a_merged_delivery_names_its_carrier_and_is_not_in_the_dlq(work: EgressWork) -> None:
    one, carrier = item(work), delivery(event(id="e-2")).id
    outcome, others = told(work, one, Merged(carrier, Reason.OVER_RATE))
    assert (outcome.outcome, others) == (Merged(carrier, Reason.OVER_RATE), [])


def test_each_redrive_ends_under_an_id_of_its_own_and_a_repeat_under_the_same(work: EgressWork) -> None:
    one = item(work)
    found = []
    for redrive in (0, 1, 2, 1):
        one.redrive = redrive
        outcome, (note,) = told(work, one, Parked(Reason.GONE))
        found.append(outcome.id)
        assert outcome.delivery == one.id
        assert dict(note.headers)[REDRIVE] == str(redrive).encode()
    assert found[0] == one.id
    assert found[1] == found[3]
    assert len(set(found)) == 3


def test_the_same_end_has_the_same_bytes(work: EgressWork) -> None:
    one = item(work)
    ends = [work.closed(one, Parked(Reason.GONE), (), NOW.timestamp()).notes for _ in range(2)]
    assert ends[0] == ends[1]


# ---- a channel that knows a repeat


def test_what_is_unknown_is_sent_again_unmarked_where_the_other_side_knows_a_repeat(group: Group) -> None:
    settings = Settings.model_validate(
        {
            "version": 1,
            "channels": {"ding": {"kind": "dingtalk_robot", "robots": [{"token": "env:T"}]}},
            "receivers": {
                "l3-group": {"channel": "ding"},
                "careful": {"channel": "ding", "on_ambiguous": "park_unknown"},
            },
            "route": {"receiver": "l3-group"},
        }
    )
    published = Published(1, NOW, "test", "/", settings, {})
    work = EgressWork(Receivers(published, Registry(), group, ManualClock()), Metrics())
    assert work.policy("l3-group").on_ambiguous is OnAmbiguous.RESEND_KEYED
    assert work.policy("l3-group").merge is not None
    assert work.policy("careful").on_ambiguous is OnAmbiguous.PARK_UNKNOWN


def test_channel_is_told_which_part_it_sends_and_after_how_many_redrives(work: EgressWork) -> None:
    calls: list[Call] = []

    async def send(call: Call) -> list[Receipt]:
        calls.append(call)
        return [Receipt(name) for name in call.recipients]

    work.receivers["l3-group"].channel.send = send  # type: ignore[method-assign]
    one = item(work, delivery(event(data={"text": "汉" * 2_000})))
    one.redrive = 2
    for one.part in range(2):
        one.parts = asyncio.run(work.call(one, line(work, one), 15.0)).parts
    assert [(call.part, call.redrive) for call in calls] == [(0, 2), (1, 2)]
    assert calls[0].key != calls[1].key


def test_key_stays_while_an_attempt_may_have_arrived_and_is_new_after_a_refusal(work: EgressWork) -> None:
    keys: list[str] = []

    async def send(call: Call) -> list[Receipt]:
        keys.append(str(call.fresh_key))
        return [Receipt(name) for name in call.recipients]

    work.receivers["l3-group"].channel.send = send  # type: ignore[method-assign]
    one = item(work)
    for ambiguous in (False, True, False, None):
        asyncio.run(work.call(one, line(work, one), 15.0))
        if ambiguous is not None:
            number = len(one.entries) + 1
            entry = Entry(one.id, 0, 0, number, HOME, one.domain, 0, 0, 1, 1.0, one.queue, ended=2.0)
            one.entries.append(replace(entry, reason=Reason.TIMEOUT, ambiguous=ambiguous))
    assert keys[0] != keys[1]
    assert keys[1] == keys[2] == keys[3]


# ---- cards


class Cards(Group):
    """The same, of cards."""

    def shown(self, kind: str, content: Any) -> str:
        return f"{kind} {json.dumps(content, ensure_ascii=False)[:60]}"


@pytest.mark.parametrize(("marked", "seen"), [(False, 'news {"articles": [{"title": "停机"'), (True, REPEAT)])
def test_card_goes_out_whole_and_a_repeat_is_marked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, marked: bool, seen: str
) -> None:
    monkeypatch.setenv("ROBOT", "key")
    (tmp_path / "plan.png").write_bytes(b"\x89PNG")
    settings = Settings.model_validate(
        {
            "version": 1,
            "channels": {"robot": {"kind": "wecom_robot", "keys": ["env:ROBOT"]}},
            "receivers": {
                "l3-group": {"channel": "robot", "template": "fault"},
                "plan": {"channel": "robot", "template": "plan"},
            },
            "route": {"receiver": "l3-group"},
        }
    )
    files = {
        "fault.wecom_robot.news.yaml": 'articles: [{title: "{{ data.text }}", url: "https://x.cn"}]',
        "plan.wecom_robot.image.yaml": "file: plan.png",
    }
    wire = Cards()
    published = Published(1, NOW, "test", str(tmp_path), settings, files)
    work = EgressWork(Receivers(published, Registry(), wire, ManualClock()), Metrics())
    one = item(work)
    one.marked = marked
    send(work, one)
    assert len(wire.seen) == 1
    assert seen in wire.seen[0]
    plan = item(work, delivery(event(), receiver="plan"))
    plan.marked = marked
    send(work, plan)
    kinds = [text.split()[0] for text in wire.seen[1:]]
    assert kinds == (["text", "image"] if marked else ["image"])


# ---- a channel of events


def test_a_receiver_of_events_gets_the_event_itself_and_never_several_as_one(group: Group) -> None:
    settings = Settings.model_validate(
        {
            "version": 1,
            "channels": {"mes": {"kind": "kafka", "topic": "alarms"}},
            "receivers": {
                "l3-group": {"channel": "mes", "merge": {"over": "1/m"}},
                "careful": {"channel": "mes", "on_ambiguous": "park_unknown"},
            },
            "route": {"receiver": "l3-group"},
        }
    )
    published = Published(1, NOW, "test", "/", settings, {})
    work = EgressWork(Receivers(published, Registry(), group, ManualClock()), Metrics())
    assert item(work, delivery(group="l3|E-104")).group is None
    policy = work.policy("l3-group")
    assert (policy.merge, policy.on_ambiguous) == (None, OnAmbiguous.RESEND_KEYED)
    assert work.policy("careful").on_ambiguous is OnAmbiguous.PARK_UNKNOWN
    with pytest.raises(Rejected, match="no cluster of Andon's own"):
        asyncio.run(work.call(item(work), 0, 15.0))


def test_nothing_is_sent_by_an_account_that_its_channel_has_no_more(work: EgressWork, group: Group) -> None:
    with pytest.raises(Retryable) as caught:
        asyncio.run(work.call(item(work), account_number("env:ANOTHER"), 15.0))
    assert (caught.value.reason, caught.value.ambiguous, group.seen) == (Reason.NOT_SENT, False, [])
