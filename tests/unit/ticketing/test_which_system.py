"""An episode's commands go to the ticket system it began in, and a ticket is found by its key before it is changed."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from andon.config.routing import EpisodeRule
from andon.core.ports import Ticket
from andon.core.reason import Reason
from andon.kafka.codecs import encode
from andon.kafka.topics import ACTIVE, DLQ, TICKETS
from andon.runtime.dlq import DETAIL, REASON
from andon.ticketing.desk import Systems, compiled
from andon.ticketing.episode import TicketState
from tests.unit.ticketing.test_desk_work import HOME, KEY, Service, Tracker, record

RAISED, CLEARED = "mes.fault.raised", "mes.fault.cleared"


class Plant:
    """The desk with two trackers; ticket 1 of the workshop's is somebody else's."""

    def __init__(self) -> None:
        self.desk = Service()
        self.itops, self.workshop = Tracker(), Tracker()
        self.workshop.tickets["theirs#1"] = Ticket("1", "open")

    def configure(self, rules: Mapping[str, EpisodeRule], **trackers: Tracker) -> None:
        domains = {name: f"roundup:{name}" for name in trackers}
        self.desk.work.systems = Systems(compiled(rules), trackers, domains)

    def all_go_to(self, system: str | None) -> None:
        self.configure({"faults": EpisodeRule(ticket_system=system)}, itops=self.itops, workshop=self.workshop)

    def say(self, state: str, number: str, minute: int = 0) -> None:
        self.desk.say(state, number=number, minute=minute, type=RAISED if state == "raise" else CLEARED)
        self.desk.take()
        self.desk.work_off()


def test_a_clear_that_another_rule_takes_closes_the_ticket_where_it_was_opened() -> None:
    plant = Plant()
    rules = {
        "raises": EpisodeRule(matchers=(f'type="{RAISED}"',), ticket_system="itops"),
        "others": EpisodeRule(ticket_system="workshop"),
    }
    plant.configure(rules, itops=plant.itops, workshop=plant.workshop)
    plant.say("raise", "e1")
    plant.say("clear", "e2", 1)
    assert plant.workshop.done == []
    assert plant.itops.done == [f"open {KEY}#1", "closed 1"]
    assert plant.desk.episode().ticket_state is TicketState.CLOSED
    assert {record(note).system for note in plant.desk.notes(TICKETS)} == {"itops"}


def test_a_fault_that_lasts_keeps_its_ticket_where_it_is_when_the_rule_names_another_system() -> None:
    plant = Plant()
    plant.all_go_to("itops")
    plant.say("raise", "e1")
    plant.all_go_to("workshop")
    plant.say("raise", "e2", 1)
    plant.say("clear", "e3", 2)
    assert (plant.itops.done, plant.workshop.done) == ([f"open {KEY}#1", "comment 1", "closed 1"], [])
    plant.say("raise", "e4", 3)
    assert plant.workshop.done == [f"open {KEY}#2"]
    assert plant.desk.episode().system == "workshop"


def test_a_fault_whose_rule_has_another_key_now_is_ended_by_hand() -> None:
    plant = Plant()
    plant.all_go_to("itops")
    plant.say("raise", "e1")
    rules = {
        "by-hand": EpisodeRule(matchers=('type="by-hand.cleared"',)),
        "faults": EpisodeRule(key=("subject",), ticket_system="itops"),
    }
    plant.configure(rules, itops=plant.itops)
    plant.say("clear", "e2", 1)
    assert plant.desk.episode().state == "raised"
    plant.desk.say("clear", number="e3", minute=2, type="by-hand.cleared")
    plant.desk.take()
    plant.desk.work_off()
    assert plant.itops.done == [f"open {KEY}#1", "closed 1"]
    assert plant.desk.notes(ACTIVE)[-1].value is None


def test_a_fault_that_lasts_has_its_ticket_closed_when_the_rule_names_no_system_any_more() -> None:
    plant = Plant()
    plant.all_go_to("itops")
    plant.say("raise", "e1")
    plant.all_go_to(None)
    plant.say("clear", "e2", 1)
    assert plant.itops.done == [f"open {KEY}#1", "closed 1"]
    plant.say("raise", "e3", 2)
    assert (plant.desk.episode().ticket_state, plant.desk.episode().system) == (TicketState.NONE, "")
    assert len(plant.itops.done) == 2


def test_what_a_system_that_is_gone_was_to_do_is_parked_and_done_once_it_is_back() -> None:
    plant = Plant()
    plant.all_go_to("itops")
    plant.say("raise", "e1")
    plant.configure({"faults": EpisodeRule(ticket_system="workshop")}, workshop=plant.workshop)
    plant.say("clear", "e2", 1)
    (parked,) = plant.desk.notes(DLQ)
    headers = dict(parked.headers)
    assert headers[REASON].decode() == Reason.UNKNOWN_CHANNEL
    assert b"itops" in headers[DETAIL]
    assert b"redrive" in headers[DETAIL]
    assert plant.workshop.done == []
    plant.all_go_to("workshop")
    plant.desk.redrive(parked)
    plant.desk.take()
    plant.desk.work_off()
    assert (plant.itops.done, plant.workshop.done) == ([f"open {KEY}#1", "closed 1"], [])
    assert plant.desk.episode().ticket_state is TicketState.CLOSED


def test_what_was_parked_is_done_where_its_episode_was_though_the_next_one_is_elsewhere() -> None:
    plant = Plant()
    plant.all_go_to("itops")
    plant.say("raise", "e1")
    plant.configure({"faults": EpisodeRule(ticket_system="workshop")}, workshop=plant.workshop)
    plant.say("clear", "e2", 1)
    plant.say("raise", "e3", 2)
    (parked,) = plant.desk.notes(DLQ)
    plant.all_go_to("workshop")
    plant.desk.redrive(parked)
    plant.desk.take()
    plant.desk.work_off()
    assert plant.itops.done == [f"open {KEY}#1", "closed 1"]
    assert plant.workshop.done == [f"open {KEY}#2"]


def test_another_tracker_under_the_same_name_has_no_ticket_of_the_fault() -> None:
    plant = Plant()
    plant.all_go_to("itops")
    plant.say("raise", "e1")
    plant.configure({"faults": EpisodeRule(ticket_system="itops")}, itops=plant.workshop)
    plant.say("raise", "e2", 1)
    plant.say("clear", "e3", 2)
    assert plant.workshop.done == []
    assert {dict(parked.headers)[REASON].decode() for parked in plant.desk.notes(DLQ)} == {Reason.GONE}


def test_an_episode_stored_without_its_system_is_that_of_its_rule() -> None:
    plant = Plant()
    plant.all_go_to("itops")
    plant.say("raise", "e1")
    stored = msgspec.json.decode(plant.desk.store.memos[HOME][KEY])
    del stored["system"]
    plant.desk.store.memos[HOME][KEY] = encode(stored)
    plant.desk.start()
    plant.all_go_to("itops")
    plant.say("clear", "e2", 1)
    assert plant.itops.done == [f"open {KEY}#1", "closed 1"]


def test_an_episode_stored_without_its_system_is_not_forgotten_when_its_rule_has_none() -> None:
    plant = Plant()
    plant.all_go_to("itops")
    plant.say("raise", "e1")
    stored = msgspec.json.decode(plant.desk.store.memos[HOME][KEY])
    stored.pop("system", None)
    plant.desk.store.memos[HOME][KEY] = encode(stored)
    plant.desk.start()
    plant.all_go_to(None)
    plant.say("clear", "e2", 1)
    (parked,) = plant.desk.notes(DLQ)
    assert plant.desk.episode().ticket_state is TicketState.FAILED
    plant.all_go_to("itops")
    plant.desk.redrive(parked)
    plant.desk.take()
    plant.desk.work_off()
    assert plant.itops.done == [f"open {KEY}#1", "closed 1"]
