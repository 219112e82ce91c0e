"""The desk and a real tracker: a number that was somebody else's is not touched, whatever name the tracker has."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from andon.config.routing import EpisodeRule
from andon.core.event import Event, Home
from andon.core.failure import Rejected
from andon.core.reason import Reason
from andon.core.work import Item
from andon.kafka.codecs import encode
from andon.kafka.records import Record
from andon.kafka.topics import ENRICHED
from andon.runtime.clock import SystemClock
from andon.runtime.metrics import Metrics
from andon.testing.builders import event
from andon.testing.contract_tickets import Seen
from andon.ticketing.desk import Systems, TicketWork, compiled
from andon.ticketing.episode import Episode
from tests.integration.tracker.rig import RoundupRig, rig

HOME = Home(ENRICHED, 0)


def faults(code: str) -> tuple[Event, Event]:
    """The raise and the clear of a fault."""
    raised = event(labels={"state": "raise", "severity": "critical", "code": code})
    cleared = event(id="e-2", time=raised.time + timedelta(minutes=3), labels={"state": "clear", "code": code})
    return raised, cleared


def work_on(real: RoundupRig) -> TicketWork:
    systems = Systems(
        compiled({"faults": EpisodeRule(ticket_system="tracker")}), {"tracker": real.system()}, {"tracker": "tracker"}
    )
    return TicketWork(systems, Metrics(), SystemClock())


def taken(work: TicketWork, one: Event, offset: int) -> Item:
    item = work.read(Record(ENRICHED, 0, offset, 0, one.subject.encode(), encode(one))).take({}).item
    assert item is not None
    return item


async def strangers_ticket(real: RoundupRig, title: str) -> str:
    status, answer = await real.ask("POST", "issue", {"title": title, "status": "unread"})
    assert status == 201
    return str(answer["data"]["id"])


async def state_of(real: RoundupRig, number: str) -> Any:
    _, answer = await real.ask("GET", f"issue/{number}?@fields=status,messages&@verbose=2")
    attributes = answer["data"]["attributes"]
    return attributes["status"]["name"], attributes["messages"]


@pytest.mark.parametrize("title", ["a ticket of the workshop", "[line-3/M-07/E-999#1] another fault"])
def test_a_number_that_is_a_strangers_here_is_left_alone(tracker: str, title: str) -> None:
    async def run() -> None:
        async with rig(tracker) as real:
            number = await strangers_ticket(real, title)
            work, (raised, cleared) = work_on(real), faults("E-501")
            taken(work, raised, 0)
            # As it is where the name stood for another tracker, which gave this number.
            (key,) = work._episodes[HOME]
            memo = msgspec.json.decode(work.memo(HOME, key), type=Episode)
            work.keep(HOME, {key: encode(msgspec.structs.replace(memo, ticket=number))}, 0.0)
            with pytest.raises(Rejected) as refused:
                await work.call(taken(work, cleared, 1), 0, 15.0)
            assert refused.value.reason is Reason.GONE
            assert await state_of(real, number) == ("unread", [])

    asyncio.run(run())


async def the_ticket(real: RoundupRig, fault: Event, episode: str) -> Seen:
    (seen,) = [one for one in await real.seen(fault.type) if one.title.startswith(f"[line-3/M-07/{episode}]")]
    return seen


def test_a_ticket_is_opened_and_closed_by_its_mark(tracker: str) -> None:
    async def run() -> None:
        async with rig(tracker) as real:
            work, (raised, cleared) = work_on(real), faults("E-502")
            await work.call(taken(work, raised, 0), 0, 15.0)
            await work.call(taken(work, cleared, 1), 0, 15.0)
            seen = await the_ticket(real, raised, "E-502#1")
            assert seen.closed

    asyncio.run(run())


def test_a_ticket_of_before_the_stores_were_begun_anew_is_opened_again(tracker: str) -> None:
    async def run() -> None:
        async with rig(tracker) as real:
            work, (raised, cleared) = work_on(real), faults("E-504")
            await work.call(taken(work, raised, 0), 0, 15.0)
            await work.call(taken(work, cleared, 1), 0, 15.0)
            again = msgspec.structs.replace(raised, id="again", time=raised.time + timedelta(days=1))
            anew = work_on(real)
            await anew.call(taken(anew, again, 0), 0, 15.0)
            seen = await the_ticket(real, raised, "E-504#1")
            assert not seen.closed
            assert sum("again" in text for text in seen.comments) == 1

    asyncio.run(run())


def test_a_ticket_whose_mark_a_person_took_away_is_gone(tracker: str) -> None:
    async def run() -> None:
        async with rig(tracker) as real:
            work, (raised, cleared) = work_on(real), faults("E-503")
            await work.call(taken(work, raised, 0), 0, 15.0)
            found = await real.system().find("line-3/M-07/E-503#1")
            assert found is not None
            _, answer = await real.ask("GET", f"issue/{found.id}")
            await real.ask("PATCH", f"issue/{found.id}", {"title": "the spindle"}, answer["data"]["@etag"])
            with pytest.raises(Rejected) as refused:
                await work.call(taken(work, cleared, 1), 0, 15.0)
            assert refused.value.reason is Reason.GONE

    asyncio.run(run())
