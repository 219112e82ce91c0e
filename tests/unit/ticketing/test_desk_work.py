"""What ticketing knows of an event: episodes as memos, commands as items, and what both tell the world."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from andon.config.routing import EpisodeRule
from andon.core.event import Event, Home
from andon.core.failure import Failure, Rejected, Retryable
from andon.core.outcome import Parked
from andon.core.ports import Ticket
from andon.core.reason import Reason
from andon.core.ticket import EpisodeRecord
from andon.core.work import Note, memo_name
from andon.kafka.codecs import encode
from andon.kafka.connection import LARGEST
from andon.kafka.records import Record
from andon.kafka.topics import ACTIVE, DLQ, ENRICHED, TICKETS
from andon.runtime.desk.desk import Desk
from andon.runtime.desk.intake import Intake, ids
from andon.runtime.dlq import REDRIVE, own_headers, redrive_of
from andon.runtime.failures import Failed, classify
from andon.runtime.metrics import Metrics
from andon.store.memory import MemoryDeskStore
from andon.testing.builders import EVENT
from andon.testing.clock import ManualClock
from andon.ticketing.desk import Job, Systems, TicketWork, compiled
from andon.ticketing.episode import Episode, FaultState, TicketState
from andon.ticketing.keys import EpisodeKeys

HOME = Home(ENRICHED, 0)
KEY = "line-3/M-07/E-104"
RULES = {"faults": EpisodeRule(matchers=('type=~"mes[.]fault[.].*"',), ticket_system="tracker")}


class Tracker:
    """Keeps tickets under their keys; `failure` is raised by the next call, after its effect if it is ambiguous.

    A ticket that stands under no key is one that was deleted: it can't be changed.
    """

    def __init__(self) -> None:
        self.tickets: dict[str, Ticket] = {}
        self.done: list[str] = []
        self.failure: Failure | None = None

    def _fail(self, *, before: bool) -> None:
        if self.failure and before is not getattr(self.failure, "ambiguous", False):
            failure, self.failure = self.failure, None
            raise failure

    async def find(self, key: str, /) -> Ticket | None:
        return self.tickets.get(key)

    async def open(self, key: str, title: str, text: str, severity: str, /) -> Ticket:
        self._fail(before=True)
        if key not in self.tickets:
            self.tickets[key] = Ticket(str(len(self.tickets) + 1), "open", f"http://tracker/{len(self.tickets) + 1}")
            self.done.append(f"open {key}")
        self._fail(before=False)
        return self.tickets[key]

    def _there(self, ticket: str) -> None:
        if ticket not in {known.id for known in self.tickets.values()}:
            raise Rejected(Reason.GONE)

    async def comment(self, ticket: str, text: str, /) -> None:
        self._there(ticket)
        self._fail(before=True)
        self.done.append(f"comment {ticket}")

    async def move(self, ticket: str, state: str, text: str, /) -> Ticket:
        self._there(ticket)
        self._fail(before=True)
        self.done.append(f"{state} {ticket}")
        self._fail(before=False)
        return Ticket(ticket, state, closed=state == "closed")

    async def reopen(self, ticket: str, text: str, /) -> Ticket:
        raise AssertionError("episodes of this rule have tickets of their own")

    async def changes(self, since: float, /) -> Sequence[Ticket]:
        return []

    async def close(self) -> None:
        """Nothing to release."""


class Service:
    """The ticketing desk over a memory store, and what it published. `start` again is a restart after kill -9."""

    def __init__(self) -> None:
        self.store = MemoryDeskStore()
        self.clock = ManualClock()
        self.tracker = Tracker()
        self.log: list[Record] = []
        self.start()

    def start(self) -> None:
        systems = Systems(compiled(RULES), {"tracker": self.tracker}, {"tracker": "roundup:tracker"})
        self.work = TicketWork(systems, Metrics(), self.clock)
        self.desk = Desk(self.work)
        self.intake = Intake(self.desk, self.work, Metrics(), "ticketing")
        holding = self.store.acquire(HOME, "x", self.clock.now() - 3_600)
        self.desk.adopt(holding, self.clock.now())
        self.offset = holding.offset or 0

    def say(self, state: str, *, number: str, minute: int = 0, redrive: int = 0, **changes: Any) -> Event:
        labels = {**EVENT.labels, "state": state}
        at = datetime.fromtimestamp(self.clock.now(), UTC) + timedelta(minutes=minute)
        event = msgspec.structs.replace(EVENT, id=number, labels=labels, time=at, **changes)
        headers = ((REDRIVE, str(redrive).encode()),) if redrive else ()
        self.log.append(Record(ENRICHED, 0, len(self.log), 0, b"line-3/M-07", encode(event), headers))
        return event

    def redrive(self, parked: Note) -> None:
        """Puts a parked copy back into its topic, as `andon dlq redrive` does."""
        copy = Record(DLQ, 0, 0, 0, parked.key, parked.value or b"", parked.headers)
        headers = ((REDRIVE, str(redrive_of(copy) + 1).encode()), *own_headers(copy))
        self.log.append(Record(ENRICHED, 0, len(self.log), 0, parked.key, copy.value, headers))

    def take(self) -> None:
        read = self.intake.read(self.log[self.offset :])
        writes, refused = self.intake.take(read, self.store.known(ids(read)), self.clock.now())
        assert refused == {}
        self.store.commit(list(writes.values()))
        self.offset = len(self.log)

    def work_off(self, seconds: float = 0.0) -> None:
        """Makes the calls that are due, for so long."""
        until = self.clock.now() + seconds
        while True:
            decision = self.desk.decide(self.clock.now())
            self.store.commit(list(decision.writes.values()))
            for call in decision.calls:
                write = self.desk.ended(call, self.result(call.item), self.clock.now())
                assert write is not None
                self.store.commit([write])
            if not decision.calls:
                if decision.wake_at > until:
                    return
                self.clock.advance(max(0.0, decision.wake_at - self.clock.now()))

    def result(self, item: Any) -> Any:
        try:
            return asyncio.run(self.work.call(item, 0, 15.0))
        except Failure as failure:
            return classify(failure)

    def notes(self, topic: str) -> list[Note]:
        return [note for _, note in sorted(self.store.notes[HOME].items()) if note.topic == topic]

    def told(self) -> list[str]:
        return [record(note).state for note in self.notes(TICKETS)]

    def episode(self) -> Episode:
        return msgspec.json.decode(self.store.memos[HOME][KEY], type=Episode)


def record(note: Note) -> EpisodeRecord:
    return msgspec.json.decode(note.value or b"", type=EpisodeRecord)


def test_a_key_that_no_topic_takes_keeps_back_nothing_else() -> None:
    """What waits to be published leaves in order, and is tried until the broker has it."""
    desk = Service()
    desk.say("raise", number="e1", data={"code": "/" * 1_000_000})
    desk.say("raise", number="e2")
    desk.take()
    assert all(len(note.key) + len(note.value or b"") <= LARGEST for note in desk.notes(TICKETS))
    assert desk.told() == ["raised"]


def test_a_fault_opens_a_ticket_and_its_clear_closes_it() -> None:
    desk = Service()
    desk.say("raise", number="e1")
    desk.take()
    desk.work_off()
    desk.say("clear", number="e2", minute=1)
    desk.take()
    desk.work_off()
    assert desk.tracker.done == [f"open {KEY}#1", "closed 1"]
    assert desk.told() == ["raised", "ticket_opened", "cleared", "ticket_closed"]
    assert [(note.key, note.value is None) for note in desk.notes(ACTIVE)] == [
        (KEY.encode(), False),
        (KEY.encode(), True),
    ]
    opened = record(desk.notes(TICKETS)[1])
    assert (opened.ticket, opened.link, opened.system, opened.event) == ("1", "http://tracker/1", "tracker", "e1")
    assert opened.at == datetime.fromtimestamp(desk.clock.now(), UTC)
    assert (desk.episode().ticket_state, desk.episode().ticket) == (TicketState.CLOSED, "1")


def test_what_is_no_fault_is_passed_over() -> None:
    desk = Service()
    desk.say("raise", number="e1", type="mes.shift.ended")
    desk.take()
    assert desk.store.items == {}
    assert desk.store.leases[HOME].offset == 1


def test_the_same_event_again_changes_nothing() -> None:
    desk = Service()
    desk.say("raise", number="e1")
    desk.log.append(msgspec.structs.replace(desk.log[0], offset=1))
    desk.take()
    desk.work_off()
    assert desk.tracker.done == [f"open {KEY}#1"]
    assert desk.told() == ["raised", "ticket_opened"]
    assert desk.episode().raises == 1


def test_an_event_that_comes_back_after_many_others_has_no_second_item() -> None:
    desk = Service()
    desk.say("raise", number="e0")
    for n in range(1, 41):
        desk.say("raise", number=f"e{n}")
    desk.log.append(msgspec.structs.replace(desk.log[3], offset=41))  # it commented: the 4th raise
    desk.take()
    desk.work_off()
    before = len(desk.tracker.done)
    assert before == 1 + 5  # opened; comments at 2, 4, 8, 16, 32
    assert len(desk.store.items) == 6
    assert desk.episode() == desk.work._episodes[HOME][KEY]


def test_a_restart_continues_with_the_same_episodes() -> None:
    desk = Service()
    desk.say("raise", number="e1")
    desk.take()
    desk.work_off()
    kept = desk.episode()
    desk.start()
    assert desk.work._episodes[HOME] == {KEY: kept}
    desk.log.append(msgspec.structs.replace(desk.log[0], offset=1))
    desk.take()
    desk.work_off()
    assert desk.episode() == kept
    assert desk.tracker.done == [f"open {KEY}#1"]


def test_a_call_that_was_cut_off_finds_the_ticket_it_made() -> None:
    desk = Service()
    desk.say("raise", number="e1")
    desk.take()
    decision = desk.desk.decide(desk.clock.now())
    desk.store.commit(list(decision.writes.values()))
    desk.result(decision.calls[0].item)  # made, and never stored
    desk.start()
    assert desk.episode().ticket is None
    desk.work_off(60.0)
    assert desk.tracker.done == [f"open {KEY}#1"]
    assert desk.episode().ticket == "1"


def test_an_ambiguous_call_is_made_again_without_a_mark() -> None:
    desk = Service()
    desk.tracker.failure = Retryable(Reason.TIMEOUT, ambiguous=True)
    desk.say("raise", number="e1")
    desk.take()
    desk.work_off(10.0)
    assert desk.tracker.done == [f"open {KEY}#1"]
    assert [entry.marked for entry in desk.store.entries.values()] == [False, False]


def test_commands_of_one_episode_keep_their_order_while_the_tracker_fails() -> None:
    desk = Service()
    desk.tracker.failure = Retryable(Reason.BUSY)
    desk.say("raise", number="e1")
    desk.say("clear", number="e2", minute=1)
    desk.take()
    desk.work_off(10.0)
    assert desk.tracker.done == [f"open {KEY}#1", "closed 1"]
    assert desk.episode().ticket_state is TicketState.CLOSED


def test_what_was_to_be_done_to_a_second_ticket_that_was_given_up_is_done_to_the_one_that_stayed() -> None:
    desk = Service()
    desk.say("raise", number="e1")
    desk.take()
    desk.work_off()
    desk.tracker.tickets[f"{KEY}#1"] = Ticket("0", "open", "http://tracker/0")
    desk.say("raise", number="e2", minute=1)
    desk.say("clear", number="e3", minute=2)
    desk.take()
    desk.work_off()
    assert desk.tracker.done == [f"open {KEY}#1", "comment 0", "closed 0"]
    assert (desk.episode().ticket, desk.episode().ticket_state) == ("0", TicketState.CLOSED)


def test_a_ticket_that_a_person_deleted_is_parked_as_gone() -> None:
    desk = Service()
    desk.say("raise", number="e1")
    desk.take()
    desk.work_off()
    desk.tracker.tickets.clear()
    desk.say("clear", number="e2", minute=1)
    desk.take()
    desk.work_off()
    assert desk.tracker.done == [f"open {KEY}#1"]
    assert desk.told()[-1] == "ticket_failed"
    assert desk.episode().ticket_state is TicketState.FAILED


def test_an_event_taken_in_while_a_call_ends_does_not_bring_the_old_episode_back() -> None:
    """Its memo is stored as it stands then: with the ticket that was opened since the record was read."""
    desk = Service()
    desk.say("raise", number="e1")
    desk.take()
    decision = desk.desk.decide(desk.clock.now())
    desk.store.commit(list(decision.writes.values()))
    desk.say("raise", number="e2", minute=1)
    read = desk.intake.read(desk.log[1:])
    ended = desk.desk.ended(decision.calls[0], desk.result(decision.calls[0].item), desk.clock.now())
    writes, _ = desk.intake.take(read, {}, desk.clock.now())
    assert ended is not None
    desk.store.commit([ended, *writes.values()])
    assert (desk.episode().ticket, desk.episode().raises) == ("1", 2)
    assert desk.episode() == desk.work._episodes[HOME][KEY]


def test_a_crash_while_an_event_is_taken_in_does_not_lose_what_it_asks_for() -> None:
    """A call that ends before the event is taken in stores the episode as it was: the event counts with its command."""
    desk = Service()
    desk.say("raise", number="e1")
    desk.take()
    decision = desk.desk.decide(desk.clock.now())
    desk.store.commit(list(decision.writes.values()))
    (call,) = decision.calls
    desk.say("clear", number="e2", minute=1)
    desk.intake.read(desk.log[desk.offset :])
    ended = desk.desk.ended(call, desk.result(call.item), desk.clock.now())
    assert ended is not None
    desk.store.commit([ended])
    desk.start()
    desk.take()
    desk.work_off(3_600.0)
    assert desk.tracker.done == [f"open {KEY}#1", "closed 1"]
    assert desk.told() == ["raised", "ticket_opened", "cleared", "ticket_closed"]
    assert [note.value is None for note in desk.notes(ACTIVE)] == [False, True]
    assert desk.episode().ticket_state is TicketState.CLOSED


LONG = "M-07/" + "x" * 5_000


@pytest.mark.parametrize("under", [LONG + "/E-104", memo_name(LONG + "/E-104")])
def test_a_fault_of_a_long_key_goes_on_after_a_restart_and_its_memo_has_a_shorter_name(under: str) -> None:
    """Also one that was kept under the whole key, as it was before names were bounded."""
    desk = Service()
    desk.say("raise", number="e1", subject=LONG)
    desk.take()
    desk.work_off()
    (body,) = desk.store.memos[HOME].values()
    desk.store.memos[HOME] = {under: body}
    for number, state in (("e2", "raise"), ("e3", "clear")):
        desk.start()
        desk.say(state, number=number, minute=1, subject=LONG)
        desk.take()
        desk.work_off()
    assert desk.tracker.done == [f"open {LONG}/E-104#1", "comment 1", "closed 1"]
    assert {under, memo_name(LONG + "/E-104")} == desk.store.memos[HOME].keys()
    desk.start()
    assert [one.ticket_state for one in desk.work._episodes[HOME].values()] == [TicketState.CLOSED]


def test_a_parked_command_leaves_a_failed_ticket_and_the_event_in_the_dlq() -> None:
    desk = Service()
    desk.tracker.failure = Rejected(Reason.CREDENTIALS, "the tracker refuses the account")
    desk.say("raise", number="e1")
    desk.take()
    desk.work_off()
    assert desk.told() == ["raised", "ticket_failed"]
    failed = record(desk.notes(TICKETS)[1])
    assert (failed.detail, failed.event) == ("the tracker refuses the account", "e1")
    (parked,) = desk.notes(DLQ)
    assert (parked.key, parked.value) == (b"line-3/M-07", desk.log[0].value)
    assert (desk.episode().ticket_state, desk.episode().state) == (TicketState.FAILED, FaultState.RAISED)


def test_a_ticket_that_was_opened_and_could_not_be_closed_is_told_as_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Service()

    async def refuses(*_: str) -> Ticket:
        raise Rejected(Reason.REJECTED, "no such state")

    monkeypatch.setattr(desk.tracker, "move", refuses)
    desk.say("clear", number="e2", minute=1)
    desk.say("raise", number="e1")
    desk.take()
    desk.work_off()
    assert desk.tracker.done == [f"open {KEY}#1"]
    assert desk.told() == ["raised", "cleared", "ticket_opened", "ticket_failed"]
    opened, failed = (record(note) for note in desk.notes(TICKETS)[2:])
    assert (opened.ticket, opened.link, opened.detail) == ("1", "http://tracker/1", "")
    assert failed.detail == "no such state"
    assert (desk.episode().ticket, desk.episode().ticket_state) == ("1", TicketState.FAILED)


@pytest.mark.parametrize(("over", "done"), [(False, ["reopen 9"]), (True, ["closed 9"])])
def test_a_fault_that_is_on_leaves_no_ticket_of_its_mark_closed(
    over: bool, done: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the stores were begun anew beside a tracker that has the tickets of before."""
    desk = Service()
    desk.tracker.tickets[f"{KEY}#1"] = Ticket("9", "resolved", closed=True)

    async def reopen(ticket: str, _text: str) -> Ticket:
        desk.tracker.done.append(f"reopen {ticket}")
        return Ticket(ticket, "unread")

    monkeypatch.setattr(desk.tracker, "reopen", reopen)
    if over:
        desk.say("clear", number="e2", minute=1)
    desk.say("raise", number="e1")
    desk.take()
    desk.work_off()
    assert desk.tracker.done == done
    assert desk.episode().ticket == "9"


def test_a_command_for_an_event_without_zone_that_a_version_before_took_in_stops_no_desk() -> None:
    desk = Service()
    desk.say("raise", number="e1")
    desk.take()
    (item,) = desk.store.acquire(HOME, "x", 0.0).items
    job = msgspec.json.decode(item.body, type=Job)
    naive = job.event.replace(b'Z"', b'"', 1)
    item.body = encode(msgspec.structs.replace(job, event=naive))
    assert naive != job.event
    assert desk.work.digest(item).first.utcoffset() == timedelta(0)
    parked = desk.work.closed(item, Parked(Reason.REJECTED), (), desk.clock.now())
    assert [note.value for note in parked.notes if note.topic == DLQ] == [naive]
    assert EpisodeKeys().of_item(item.domain, item.lane, item.body, {}) == b"line-3/M-07"


def test_a_redrive_of_a_parked_command_opens_the_ticket_and_closes_it_if_the_fault_is_over() -> None:
    desk = Service()
    desk.tracker.failure = Rejected(Reason.CREDENTIALS, "no")
    desk.say("raise", number="e1")
    desk.take()
    desk.work_off()
    desk.say("clear", number="e2", minute=1)
    desk.take()
    desk.work_off()
    assert desk.told()[-2:] == ["cleared", "ticket_failed"]  # there was no ticket to close
    assert desk.tracker.done == []
    first = desk.log[0]
    for redrive in (1, 1):  # the same record may be read twice
        headers = ((REDRIVE, str(redrive).encode()),)
        desk.log.append(msgspec.structs.replace(first, offset=len(desk.log), headers=headers))
    desk.take()
    desk.work_off()
    assert desk.tracker.done == [f"open {KEY}#1", "closed 1"]
    assert desk.episode().ticket_state is TicketState.CLOSED


def test_a_system_the_configuration_no_longer_has_parks_its_commands() -> None:
    desk = Service()
    desk.say("raise", number="e1")
    desk.take()
    desk.work.systems = Systems(compiled(RULES), {}, {})
    desk.work_off()
    assert desk.told() == ["raised", "ticket_failed"]
    assert isinstance(desk.result(desk.store.items[next(iter(desk.store.items))]), Failed)


def test_a_source_beside_another_path_begins_no_episode_and_may_end_one() -> None:
    desk = Service()
    live = desk.work.systems
    desk.work.systems = msgspec.structs.replace(live, parallel=frozenset({EVENT.source}))
    desk.say("raise", number="e1")
    desk.take()
    desk.work_off()
    assert (desk.told(), desk.tracker.done) == ([], [])
    desk.work.systems = live
    desk.say("raise", number="e2")
    desk.take()
    desk.work_off()
    desk.work.systems = msgspec.structs.replace(live, parallel=frozenset({EVENT.source}))
    desk.say("clear", number="e3", minute=1)
    desk.say("raise", number="e4", minute=2)
    desk.take()
    desk.work_off()
    assert desk.tracker.done == [f"open {KEY}#1", "closed 1"]
    assert desk.told() == ["raised", "ticket_opened", "cleared", "ticket_closed"]


def test_the_same_state_change_has_the_same_id_at_every_repeat() -> None:
    found = []
    for _ in range(2):
        desk = Service()
        desk.say("raise", number="e1")
        desk.take()
        desk.work_off()
        found.append([record(note).id for note in desk.notes(TICKETS)])
    assert found[0] == found[1]
    assert len(set(found[0])) == 2


def test_without_a_ticket_system_a_fault_is_known_and_has_no_ticket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RULES, "faults", EpisodeRule(matchers=('type=~"mes[.]fault[.].*"',)))
    desk = Service()
    desk.say("raise", number="e-1")
    desk.say("raise", number="e-2", minute=1)
    desk.take()
    desk.work_off()
    assert not desk.tracker.done
    assert (desk.told(), desk.episode().ticket_state) == (["raised"], TicketState.NONE)
    assert [note.value is not None for note in desk.notes(ACTIVE)] == [True]
    # A ticket system that comes while a fault is on has no ticket of it to close.
    monkeypatch.setitem(RULES, "faults", EpisodeRule(matchers=('type=~"mes[.]fault[.].*"',), ticket_system="tracker"))
    desk.start()
    desk.say("clear", number="e-3", minute=2)
    desk.take()
    desk.work_off()
    assert not desk.tracker.done
    assert [note.value is not None for note in desk.notes(ACTIVE)] == [True, False]
    desk.say("raise", number="e-4", minute=3)
    desk.take()
    desk.work_off()
    assert [one.partition(" ")[0] for one in desk.tracker.done] == ["open"]
