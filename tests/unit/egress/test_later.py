"""Recipients whom the other side asked to try later: they alone are tried again, and each has an outcome of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, cast

import msgspec
import pytest

from andon.config.plugs import CHANNELS
from andon.config.published import Published
from andon.config.receivers import Receiver
from andon.config.section import Section
from andon.config.settings import Settings
from andon.core.event import Home
from andon.core.failure import Retryable
from andon.core.outcome import Delivered, Evidence, OutcomeRecord, Parked, RecipientState
from andon.core.policy import Limit
from andon.core.ports import Call, Content, Receipt, Wire
from andon.core.reason import Reason
from andon.core.work import Item
from andon.egress.desk import EgressWork
from andon.egress.receivers import Receivers, policy_of
from andon.kafka.codecs import encode
from andon.kafka.records import Record
from andon.kafka.topics import DELIVERIES
from andon.runtime.desk.work import Success
from andon.runtime.metrics import Metrics
from andon.runtime.registry import Registry
from andon.testing.builders import delivery, event
from andon.testing.clock import ManualClock

HOME = Home(DELIVERIES, 3)
NOW = datetime(2026, 11, 22, 6, 4, tzinfo=UTC)
A, B, C = "a@corp.cn", "b@corp.cn", "c@corp.cn"
BUSY = Parked(Reason.BUSY, "451 greylisted")
REFUSED = Parked(Reason.REJECTED, "550 no such user")
GOOD = Delivered(Evidence.VENDOR_ACCEPTED)


class Post:
    """A channel that says of each call what a test wants."""

    said: list[dict[str, Parked] | Exception]
    asked: list[tuple[str, ...]]
    texts: list[str]
    longest = 1_000

    class Config(Section):
        def limit_domain(self) -> str:
            return "post"

        def limits(self) -> tuple[Limit, ...]:
            return ()

        def lines(self) -> int:
            return 1

    def __init__(self, config: Config, context: Any) -> None:
        pass

    def split(self, content: Content, /) -> Sequence[Content]:
        text = content.text
        pieces = [text[start : start + self.longest] for start in range(0, len(text), self.longest)]
        return tuple(Content(content.kind, piece) for piece in pieces)

    async def send(self, call: Call, /) -> Sequence[Receipt]:
        self.asked.append(call.recipients)
        self.texts.append(call.content.text)
        failed = self.said.pop(0)
        if isinstance(failed, Exception):
            raise failed
        return [Receipt(one, failed=failed.get(one), later=failed.get(one) is BUSY) for one in call.recipients]

    async def close(self) -> None: ...


@pytest.fixture
def work() -> EgressWork:
    Post.said, Post.asked, Post.texts = [], [], []
    settings = Settings.model_validate(
        {
            "version": 1,
            "channels": {"post": {"kind": "post"}},
            "receivers": {"it": {"channel": "post", "to": [A, B, C]}},
            "route": {"receiver": "it"},
        }
    )
    published = Published(1, NOW, "test", "/", settings, {})
    registry = Registry({CHANNELS: {"post": Post}})
    return EgressWork(Receivers(published, registry, cast("Wire", None), ManualClock()), Metrics())


def item(work: EgressWork) -> Item:
    of = delivery(event(), receiver="it", recipients=(A, B, C), domain="post")
    taken = work.read(Record(HOME.topic, HOME.partition, 1, 0, b"post", encode(of))).item
    assert taken
    return taken


def call(work: EgressWork, of: Item) -> Success:
    """A call, with the item carried on as the desk does."""
    result = asyncio.run(work.call(of, 0, 15.0))
    if result.more:
        of.part, of.parts = of.part + (not result.same), result.parts
        of.marked = of.marked and result.same
    return result


def outcomes(states: Sequence[RecipientState]) -> dict[str, object]:
    return {state.recipient: state.outcome for state in states}


def test_only_who_was_to_wait_is_tried_again(work: EgressWork) -> None:
    Post.said = [{B: BUSY, C: REFUSED}, {B: BUSY}, {}]
    of = item(work)
    assert call(work, of).more
    with pytest.raises(Retryable) as again:
        call(work, of)
    assert again.value.reason is Reason.BUSY, "when all are to wait, the desk waits"
    last = call(work, of)
    assert not last.more
    assert Post.asked == [(A, B, C), (B,), (B,)]
    assert outcomes(last.recipients) == {A: GOOD, B: GOOD, C: REFUSED}


def test_who_is_refused_in_the_end_is_parked_and_the_others_have_it(work: EgressWork) -> None:
    Post.said = [{B: BUSY}, {B: REFUSED}]
    of = item(work)
    call(work, of)
    last = call(work, of)
    assert not last.more
    assert outcomes(last.recipients) == {A: GOOD, B: REFUSED, C: GOOD}


def test_a_repeat_is_for_them_alone_too(work: EgressWork) -> None:
    Post.said = [{B: BUSY}, Retryable(Reason.CONNECTION, ambiguous=True), {}]
    of = item(work)
    call(work, of)
    with pytest.raises(Retryable):
        call(work, of)
    of.marked = True
    last = call(work, of)
    assert Post.asked == [(A, B, C), (B,), (B,)]
    assert outcomes(last.recipients) == {A: GOOD, B: GOOD, C: GOOD}


@pytest.mark.parametrize("longest", [1_000, 20], ids=["one part", "several parts"])
def test_a_repeat_is_marked_once_however_many_calls_it_takes(
    work: EgressWork, longest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Post, "longest", longest)
    said: list[dict[str, Parked]] = [{B: BUSY, C: BUSY}, {C: BUSY}, *[{}] * 99]
    Post.said = [Retryable(Reason.TIMEOUT, ambiguous=True), *said]
    of = item(work)
    with pytest.raises(Retryable):
        call(work, of)
    of.marked = True
    while call(work, of).more:
        continue
    calls = list(zip(Post.asked[1:], said, Post.texts[1:], strict=False))
    heard = {one: "".join(text for to, later, text in calls if one in to and one not in later) for one in (A, B, C)}
    assert len(set(heard.values())) == 1, heard
    assert heard[A].count("可能重复") == 1


def test_who_is_told_later_is_marked_when_it_became_a_repeat_meanwhile(work: EgressWork) -> None:
    Post.said = [{B: BUSY, C: BUSY}, Retryable(Reason.TIMEOUT, ambiguous=True), {C: BUSY}, {}]
    of = item(work)
    call(work, of)
    with pytest.raises(Retryable):
        call(work, of)
    of.marked = True
    call(work, of)
    call(work, of)
    assert [text.count("可能重复") for text in Post.texts] == [0, 0, 1, 1]


def test_given_up_tells_who_has_it(work: EgressWork) -> None:
    Post.said = [{B: BUSY, C: REFUSED}]
    of = item(work)
    call(work, of)
    exhausted = Parked(Reason.RETRIES_EXHAUSTED, "last: busy")
    note = work.closed(of, exhausted, (), NOW.timestamp()).notes[0]
    record = msgspec.json.decode(note.value or b"", type=OutcomeRecord)
    assert record.outcome == exhausted
    assert outcomes(record.recipients) == {A: GOOD, B: exhausted, C: REFUSED}


def test_a_line_without_a_name_is_known_by_its_place() -> None:
    class Pool(Post.Config):
        def lines(self) -> int:
            return 3

    assert policy_of(Receiver(channel="post"), Pool()).lines == (0, 1, 2)
    assert policy_of(Receiver(channel="post"), Post.Config()).lines == (0,)
