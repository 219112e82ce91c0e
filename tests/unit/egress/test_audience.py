"""Notices for different people never become one, whatever their groups are; and whom a later call is for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from andon.config.published import Published
from andon.config.settings import Settings
from andon.core.delivery import Delivery
from andon.core.event import Home
from andon.core.outcome import Delivered, Evidence, OutcomeRecord, Parked
from andon.core.ports import Call, Receipt
from andon.core.reason import Reason
from andon.core.work import Entry, Item, Reach
from andon.egress.desk import EgressWork
from andon.egress.receivers import Receivers
from andon.egress.sending import Sending
from andon.kafka.codecs import encode
from andon.kafka.records import Record
from andon.kafka.topics import DELIVERIES
from andon.runtime.desk.work import Success
from andon.runtime.metrics import Metrics
from andon.runtime.registry import Registry
from andon.testing.builders import delivery, event
from andon.testing.clock import ManualClock
from andon.web.nowire import NoWire
from tests.unit.egress.test_desk_work import NOW

HOME = Home(DELIVERIES, 0)


@pytest.fixture
def work() -> EgressWork:
    app = {"kind": "wecom_app", "corp_id": "env:C", "agent_id": 7, "secret": "env:S", "sizes": {"party:2": 9}}
    settings = Settings.model_validate(
        {
            "version": 1,
            "channels": {"app": app},
            "receivers": {"all": {"channel": "app", "to": ["fact:x.people"]}},
            "route": {"receiver": "all"},
        }
    )
    published = Published(1, NOW, "test", str(Path()), settings, {"plain.j2": "停机" * 1_000})
    return EgressWork(Receivers(published, Registry(), NoWire(), ManualClock()), Metrics())


def item(work: EgressWork, *to: str, group: str | None = "L3") -> Item:
    one: Delivery = delivery(event(), receiver="all", recipients=to, group=group)
    taken = work.read(Record(HOME.topic, HOME.partition, 1, 0, b"d", encode(one))).item
    assert taken is not None
    return taken


def test_an_audience_is_who_hears_of_it_in_their_order(work: EgressWork) -> None:
    one, same, other = item(work, "wang", "li"), item(work, "wang", "li", group="L4"), item(work, "wang")
    assert one.audience == same.audience != other.audience
    assert one.group != same.group
    assert item(work, "all").audience == "", "a receiver that stands for itself"
    assert item(work, "all").group == "L3"


def test_the_reach_of_the_next_call_is_who_has_still_to_get_it(work: EgressWork) -> None:
    of = item(work, "wang", "party:2", "li")
    assert work.reach(of) == Reach("7", ("wang", "party:2", "li"), {"party:2": 9})
    of.parts = encode(Sending((), {"wang": Parked(Reason.GONE)}))
    assert work.reach(of).recipients == ("party:2", "li"), "who an earlier part did not reach needs no later one"
    of.parts = encode(Sending((), {}, left=("li",)))
    assert work.reach(of) == Reach("7", ("li",))


class Said:
    """A channel that answers with these receipts, in order, and keeps whom it was asked to tell what."""

    def __init__(self, work: EgressWork, *failed: str) -> None:
        self.inner = work.receivers["all"].channel
        self.failed = failed
        self.calls: list[tuple[tuple[str, ...], int]] = []

    def split(self, content: object) -> object:
        return self.inner.split(content)  # type: ignore[arg-type]

    async def send(self, call: Call) -> Sequence[Receipt]:
        self.calls.append((call.recipients, len(call.content.text.encode())))
        gone = Parked(Reason.GONE)
        return [Receipt(n, failed=gone if n in self.failed else None, reference="m") for n in call.recipients]


def attempt(work: EgressWork, of: Item, channel: Said, *some: str) -> Success:
    served = msgspec.structs.replace(work.receivers["all"], channel=channel)
    work.receivers._served["all"] = served
    reach = work.reach(of).only(some) if some else work.reach(of)
    number = len(of.entries) + 1
    of.entries.append(Entry(of.id, 0, 0, number, HOME, "d", 0, of.part, 1, 0.0, of.queue, reach=reach))
    done = asyncio.run(work.call(of, 0, 15.0))
    of.parts = done.parts or of.parts
    of.part += 0 if done.same else 1
    return done


def test_every_part_reaches_everyone_once_in_calls_for_some(work: EgressWork) -> None:
    of, channel = item(work, "wang", "li", "zhao"), Said(work, "li")
    assert attempt(work, of, channel, "wang", "li").same
    assert attempt(work, of, channel).more
    assert attempt(work, of, channel, "zhao").same
    assert attempt(work, of, channel).more
    last = attempt(work, of, channel)
    assert not last.more
    assert [to for to, _ in channel.calls] == [("wang", "li"), ("zhao",), ("zhao",), ("wang",), ("wang", "zhao")]
    assert all(size <= 2_048 for _, size in channel.calls)
    states = {state.recipient: state.outcome for state in last.recipients}
    assert states == {
        "wang": Delivered(Evidence.VENDOR_ACCEPTED),
        "li": Parked(Reason.GONE),
        "zhao": Delivered(Evidence.VENDOR_ACCEPTED),
    }
    assert last.reference == "m"


def test_a_delivery_that_reached_nobody_ends(work: EgressWork) -> None:
    of, channel = item(work, "wang", "li"), Said(work, "li", "wang")
    assert attempt(work, of, channel, "li").same
    last = attempt(work, of, channel)
    assert not last.more
    assert {type(state.outcome) for state in last.recipients} == {Parked}


def test_one_that_is_parked_between_two_calls_says_who_has_it(work: EgressWork) -> None:
    of, channel = item(work, "wang", "li", "zhao"), Said(work, "li")
    attempt(work, of, channel, "wang", "li")
    outcome = Parked(Reason.CREDENTIALS, "the secret is wrong")
    record = msgspec.json.decode(work.closed(of, outcome, (), 0.0).notes[0].value or b"", type=OutcomeRecord)
    states = {state.recipient: state.outcome for state in record.recipients}
    assert isinstance(states["wang"], Delivered)
    assert states["li"] == Parked(Reason.GONE)
    assert states["zhao"] == outcome
