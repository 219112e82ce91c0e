"""What a redrive of a parked ticket command does, however many events and episodes have come since."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from andon.config.routing import EpisodeRule
from andon.core.failure import Failure, Rejected
from andon.core.reason import Reason
from andon.core.work import Note
from andon.kafka.topics import DLQ, TICKETS
from andon.runtime.dlq import REASON
from andon.testing.builders import EVENT
from andon.ticketing.desk import compiled
from andon.ticketing.episode import RECENT, TicketState
from andon.ticketing.unfinished import HEADER
from tests.unit.ticketing.test_desk_work import HOME, KEY, RULES, Service, record


def say(desk: Service, state: str, number: str, minute: int = 0, failure: Failure | None = None) -> None:
    desk.tracker.failure = failure
    desk.say(state, number=number, minute=minute)
    desk.take()
    desk.work_off()


def refused() -> Rejected:
    return Rejected(Reason.CREDENTIALS, "the tracker refuses the account")


def redrive(desk: Service, parked: Note) -> None:
    desk.redrive(parked)
    desk.take()
    desk.work_off()


def flapping() -> tuple[Service, Note]:
    """A fault whose ticket was not opened and that was reported more often than is remembered; what is parked of it."""
    desk = Service()
    say(desk, "raise", "e0", failure=refused())
    for minute in range(1, RECENT + 9):
        say(desk, "raise", f"e{minute}", minute)
    (parked,) = desk.notes(DLQ)
    return desk, parked


def test_a_ticket_that_failed_is_opened_although_its_event_is_not_remembered_any_more() -> None:
    desk, parked = flapping()
    raises = desk.episode().raises
    redrive(desk, parked)
    assert desk.tracker.done == [f"open {KEY}#1"]
    assert (desk.episode().ticket_state, desk.episode().raises) == (TicketState.OPEN, raises)
    say(desk, "clear", "end", 90)
    assert desk.tracker.done == [f"open {KEY}#1", "closed 1"]


def test_it_is_opened_and_closed_if_the_fault_has_ended_meanwhile() -> None:
    desk, parked = flapping()
    say(desk, "clear", "end", 90)
    redrive(desk, parked)
    assert desk.tracker.done == [f"open {KEY}#1", "closed 1"]
    assert desk.episode().ticket_state is TicketState.CLOSED


def two_episodes(*, second: Failure | None = None) -> tuple[Service, Note]:
    """The first ticket's close was parked, and the next fault has begun; what is parked of the first."""
    desk = Service()
    say(desk, "raise", "e1")
    say(desk, "clear", "e2", 1, failure=refused())
    (parked,) = desk.notes(DLQ)
    say(desk, "raise", "e3", 2, failure=second)
    return desk, parked


def test_a_close_that_failed_is_made_up_for_when_the_next_fault_has_begun() -> None:
    desk, parked = two_episodes()
    before = desk.episode()
    redrive(desk, parked)
    assert desk.tracker.done == [f"open {KEY}#1", f"open {KEY}#2", "closed 1"]
    assert desk.told()[-1] == "ticket_closed"
    assert desk.episode() == before


def test_it_is_also_made_up_for_when_the_next_fault_is_read_together_with_the_redrive() -> None:
    desk = Service()
    say(desk, "raise", "e1")
    say(desk, "clear", "e2", 1, failure=refused())
    (parked,) = desk.notes(DLQ)
    desk.say("raise", number="e3", minute=2)
    redrive(desk, parked)
    assert sorted(desk.tracker.done) == ["closed 1", f"open {KEY}#1", f"open {KEY}#2"]


def test_it_leaves_the_failed_ticket_of_the_next_fault_to_the_redrive_of_that() -> None:
    desk, parked = two_episodes(second=refused())
    other = desk.notes(DLQ)[-1]
    redrive(desk, parked)
    assert desk.tracker.done == [f"open {KEY}#1", "closed 1"]
    redrive(desk, other)
    assert desk.tracker.done == [f"open {KEY}#1", "closed 1", f"open {KEY}#2"]
    assert desk.episode().ticket_state is TicketState.OPEN


def test_so_does_the_redrive_of_an_opening() -> None:
    desk = Service()
    say(desk, "raise", "e1", failure=refused())
    say(desk, "clear", "e2", 1)
    say(desk, "raise", "e3", 2, failure=refused())
    first, _, other = desk.notes(DLQ)
    redrive(desk, first)
    assert desk.tracker.done == []
    redrive(desk, other)
    assert desk.tracker.done == [f"open {KEY}#2"]
    assert record(desk.notes(TICKETS)[-1]).event == "e3"


def test_a_close_that_fails_again_can_be_redriven_again() -> None:
    desk, parked = two_episodes()
    for _ in range(2):
        desk.tracker.failure = refused()
        redrive(desk, parked)
        parked = desk.notes(DLQ)[-1]
    desk.start()
    redrive(desk, parked)
    assert desk.tracker.done == [f"open {KEY}#1", f"open {KEY}#2", "closed 1"]


def test_a_close_that_is_redriven_twice_is_done_once() -> None:
    desk, parked = two_episodes()
    redrive(desk, parked)
    redrive(desk, parked)
    assert desk.tracker.done.count("closed 1") == 1


def test_a_close_that_was_given_up_after_the_next_fault_began_can_be_redriven_too() -> None:
    desk = Service()
    say(desk, "raise", "e1")
    desk.say("clear", number="e2", minute=1)
    desk.say("raise", number="e3", minute=2)
    desk.tracker.failure = refused()
    desk.take()
    desk.work_off()
    (parked,) = desk.notes(DLQ)
    redrive(desk, parked)
    assert desk.tracker.done == [f"open {KEY}#1", f"open {KEY}#2", "closed 1"]


def test_closes_of_more_episodes_than_events_are_remembered_are_all_made_up_for() -> None:
    desk = Service()
    for fault in range(RECENT + 8):
        say(desk, "raise", f"r{fault}", 2 * fault)
        say(desk, "clear", f"c{fault}", 2 * fault + 1, failure=refused())
    parked = desk.notes(DLQ)
    assert len(parked) == RECENT + 8
    for one in parked:
        redrive(desk, one)
    closed = [done for done in desk.tracker.done if done.startswith("closed")]
    assert closed == [f"closed {fault + 1}" for fault in range(RECENT + 8)]


def commented() -> tuple[Service, Note]:
    """A fault that was reported again, which its ticket does not tell; what is parked of it."""
    desk = Service()
    say(desk, "raise", "e1")
    say(desk, "raise", "e2", 1, failure=refused())
    (parked,) = desk.notes(DLQ)
    return desk, parked


def test_a_comment_that_failed_is_made_up_for() -> None:
    desk, parked = commented()
    before = desk.episode()
    redrive(desk, parked)
    assert desk.tracker.done == [f"open {KEY}#1", "comment 1"]
    assert desk.episode() == before


def test_a_comment_that_failed_goes_to_the_ticket_it_was_meant_for() -> None:
    desk, parked = commented()
    say(desk, "clear", "e3", 2)
    say(desk, "raise", "e4", 3)
    redrive(desk, parked)
    assert desk.tracker.done == [f"open {KEY}#1", "closed 1", f"open {KEY}#2", "comment 1"]


def test_a_comment_on_a_ticket_that_failed_since_puts_that_right_instead() -> None:
    desk, parked = commented()
    say(desk, "clear", "e3", 2, failure=refused())
    redrive(desk, parked)
    assert desk.tracker.done == [f"open {KEY}#1", "closed 1"]


FAULTS = RULES["faults"].matchers
CHANGED: dict[str, dict[str, Any]] = {
    "the rule is gone": {"rules": ()},
    "it has another key": {
        "rules": compiled({"f": EpisodeRule(matchers=FAULTS, key=("code",), ticket_system="tracker")})
    },
    "it has no ticket system": {"rules": compiled({"f": EpisodeRule(matchers=FAULTS)})},
    "the source is beside another path": {"parallel": frozenset({EVENT.source})},
}
other_rules = pytest.mark.parametrize("rules", CHANGED.values(), ids=CHANGED)


@other_rules
def test_a_close_is_made_up_for_whatever_the_rules_say_by_now(rules: Mapping[str, Any]) -> None:
    desk = Service()
    say(desk, "raise", "e1")
    say(desk, "clear", "e2", 1, failure=refused())
    (parked,) = desk.notes(DLQ)
    desk.work.systems = msgspec.structs.replace(desk.work.systems, **rules)
    redrive(desk, parked)
    assert desk.tracker.done == [f"open {KEY}#1", "closed 1"]
    assert desk.episode().ticket_state is TicketState.CLOSED
    assert desk.store.memos[HOME].keys() == {KEY}
    assert desk.told()[-1] == "ticket_closed"


@other_rules
def test_so_is_a_comment_on_a_ticket_that_failed_since(rules: Mapping[str, Any]) -> None:
    desk, parked = commented()
    say(desk, "clear", "e3", 2, failure=refused())
    desk.work.systems = msgspec.structs.replace(desk.work.systems, **rules)
    redrive(desk, parked)
    assert desk.tracker.done == [f"open {KEY}#1", "closed 1"]
    assert desk.store.memos[HOME].keys() == {KEY}


@pytest.mark.parametrize("state", ["raise", "clear"])
@pytest.mark.parametrize("seen", [True, False])
def test_a_copy_that_is_redriven_twice_keeps_no_later_redrive_from_the_ticket(state: str, *, seen: bool) -> None:
    """Its first redrive failed too, so the ticket has still failed when the second one comes, which does nothing."""
    desk = Service()
    say(desk, "raise", "e1", failure=refused())
    if state == "clear":
        say(desk, "clear", "e2", 1)
    for minute in range(2, 2 if seen else RECENT + 9):
        say(desk, state, f"m{minute}", minute)
    parked = desk.notes(DLQ)[-1]
    raises = desk.episode().raises
    for _ in range(2):
        desk.tracker.failure = refused()
        redrive(desk, parked)
    assert desk.episode().ticket_state is TicketState.FAILED
    desk.start()
    desk.tracker.failure = None
    redrive(desk, desk.notes(DLQ)[-1])
    assert desk.tracker.done == [f"open {KEY}#1", "closed 1"][: 1 + (state == "clear")]
    assert desk.episode().raises == raises


def test_other_content_under_the_id_of_a_copy_that_was_redriven_before_is_no_repeat_of_it() -> None:
    desk = Service()
    say(desk, "raise", "e1", failure=refused())
    desk.tracker.failure = refused()
    redrive(desk, desk.notes(DLQ)[-1])
    desk.say("raise", number="e1", redrive=1, data={**EVENT.data, "value": 2})
    desk.take()
    assert dict(desk.notes(DLQ)[-1].headers)[REASON].decode() == Reason.CONFLICT
    assert desk.episode().ticket_state is TicketState.FAILED


def test_an_old_close_that_has_no_ticket_is_parked_again_and_opens_nothing() -> None:
    desk = Service()
    say(desk, "raise", "e1", failure=refused())
    say(desk, "clear", "e2", 1)
    opening, closing = desk.notes(DLQ)
    say(desk, "raise", "e3", 2)
    redrive(desk, opening)
    redrive(desk, closing)
    assert desk.tracker.done == [f"open {KEY}#2"]
    assert [dict(parked.headers)[REASON].decode() for parked in desk.notes(DLQ)[2:]] == [Reason.GONE]


def test_so_it_does_when_its_event_is_not_remembered_any_more() -> None:
    desk = Service()
    say(desk, "raise", "e1", failure=refused())
    say(desk, "clear", "e2", 1)
    say(desk, "raise", "e3", 2, failure=refused())
    for minute in range(3, RECENT + 9):
        say(desk, "raise", f"e{minute + 1}", minute)
    first, _, other = desk.notes(DLQ)
    before = desk.episode()
    redrive(desk, first)
    assert (desk.tracker.done, desk.episode()) == ([], before)
    redrive(desk, other)
    assert desk.tracker.done == [f"open {KEY}#2"]


def ended_as_it_began() -> tuple[Service, Note]:
    """The clear came before its raise, so one job opens and closes: it was parked, and the next fault has begun."""
    desk = Service()
    say(desk, "clear", "e2", 1)
    say(desk, "raise", "e1", failure=refused())
    (parked,) = desk.notes(DLQ)
    say(desk, "raise", "e3", 2)
    return desk, parked


def test_a_ticket_that_was_to_be_opened_and_closed_is_so_when_the_next_fault_has_begun() -> None:
    desk, parked = ended_as_it_began()
    before = desk.episode()
    redrive(desk, parked)
    assert desk.tracker.done == [f"open {KEY}#2", f"open {KEY}#1", "closed 2"]
    assert desk.told()[-2:] == ["ticket_opened", "ticket_closed"]
    assert desk.episode() == before


def test_so_it_is_when_that_fails_once_more() -> None:
    desk, parked = ended_as_it_began()
    desk.tracker.failure = refused()
    redrive(desk, parked)
    redrive(desk, desk.notes(DLQ)[-1])
    assert desk.tracker.done == [f"open {KEY}#2", f"open {KEY}#1", "closed 2"]


def test_what_opens_a_ticket_is_not_copied_beside_its_event() -> None:
    desk, parked = flapping()
    assert HEADER not in dict(parked.headers)
    say(desk, "clear", "end", 90)
    assert HEADER in dict(desk.notes(DLQ)[-1].headers)


def test_a_header_that_cannot_be_read_is_parked() -> None:
    desk, parked = two_episodes()
    spoilt = tuple((name, b"{" if name == HEADER else value) for name, value in parked.headers)
    redrive(desk, Note(DLQ, parked.key, parked.value, spoilt))
    assert dict(desk.notes(DLQ)[-1].headers)[REASON].decode() == Reason.UNDECODABLE
