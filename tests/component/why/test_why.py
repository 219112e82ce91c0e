"""`andon why`: over two hundred stories whose cause is known, each told by the records of the topics alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from andon.core.delivery import Hold
from andon.core.outcome import Delivered, Evidence, Merged, Parked, Skipped
from andon.core.reason import Reason
from andon.routing.causes import Open
from andon.routing.inquiry import EXAMPLES
from tests.component.why.world import PEOPLE, PUBLISHED, Story, another, pace

ACCEPTED = Delivered(Evidence.VENDOR_ACCEPTED)
GONE = Parked(Reason.GONE, "the vendor knows no such recipient, or the app may not see it")
UNLICENSED = Parked(Reason.REJECTED, "the member has no licence for this app's interface")

Told = tuple[str, bool | None]


def came(at: Story) -> Told:
    at.ended(at.told(), ACCEPTED)
    return "came", True


def came_to_them_though_not_to_another(at: Story) -> Told:
    at.ended(at.told(), ACCEPTED, {at.person: ACCEPTED, "other": GONE})
    return "came", True


def came_after_a_redrive(at: Story) -> Told:
    one = at.told()
    at.ended(one, Parked(Reason.CREDENTIALS, "code 40001"), attempts=(Reason.CREDENTIALS,))
    at.now += 2
    at.ended(one, ACCEPTED)
    at.now -= 2
    return "came", True


def merged(reason: Reason, cause: str, end: Any, then: bool | None) -> Callable[[Story], Told]:
    def story(at: Story) -> Told:
        into = at.told(2)
        if end:
            at.ended(into, end, attempts=(Reason.DELIVERED if end is ACCEPTED else Reason.REJECTED,))
        at.ended(at.told(1), Merged(into.id, reason), attempts=())
        return cause, then

    story.__name__ = f"merged_{reason}_{then}"
    return story


def merged_twice(at: Story) -> Told:
    last, middle = at.told(3), at.told(2)
    at.ended(last, ACCEPTED)
    at.ended(middle, Merged(last.id, Reason.OVER_RATE), attempts=())
    at.ended(at.told(1), Merged(middle.id, Reason.GROUPED), attempts=())
    return "merge", True


def coalesced(state: Any, cause: str, then: bool | None) -> Callable[[Story], Told]:
    """It left in the call of a delivery to another receiver, which has the state of every recipient."""

    def story(at: Story) -> Told:
        at.labels["for"] = "somebody else"
        into = at.told(2, receiver="other", recipients=("other",))
        at.labels["for"] = f"{at.receiver}-{at.version}"
        if state:
            at.ended(into, ACCEPTED, {"other": ACCEPTED, at.person: state})
        at.ended(at.told(1), Merged(into.id, Reason.COALESCED), attempts=())
        return cause, then

    story.__name__ = f"coalesced_{cause}"
    return story


def waits_for_its_group(at: Story) -> Told:
    at.told(**pace(wait=300))
    return "group", None


def waits_for_the_interval(at: Story) -> Told:
    at.told(**pace(interval=600))
    return "group", None


def waits_for_a_limit(at: Story) -> Told:
    at.told()
    return "limiter", None


def waits_for_a_limit_after_its_group(at: Story) -> Told:
    at.told(**pace(wait=1, interval=1))
    return "limiter", None


def waits_urgent(at: Story) -> Told:
    at.told(urgent=True, **pace(wait=300))
    return "limiter", None


def repeated(at: Story) -> Told:
    at.ended(at.told(), Skipped(Reason.REPEATED, "0.9 repeat_interval"), attempts=())
    return "repeated", False


def inhibited(at: Story) -> Told:
    at.ended(at.told(), Skipped(Reason.INHIBITED, "inhibit_rules[0] M-07/LINE_STOP"), attempts=())
    return "inhibited", False


def muted_by_the_calendar(at: Story) -> Told:
    at.labels["quiet"] = "muted"
    at.enriched()
    return "calendar", False


def outside_of_its_times(at: Story) -> Told:
    at.labels["quiet"] = "inactive"
    at.stopped(at.enriched(), Skipped(Reason.INACTIVE, "0.9 never"), ())
    return "calendar", False


def held_by_a_mute(at: Story) -> Told:
    at.told(held=Hold("mute m7", datetime.fromtimestamp(at.now + 3_600, UTC)))
    return "mute", None


def held_until_now(at: Story) -> Told:
    at.told(held=Hold("mute m7", datetime.fromtimestamp(at.now + 10, UTC)))
    return "limiter", None


def dropped_by_a_mute(at: Story) -> Told:
    """Its version has a mute that the file knows nothing of."""
    at.labels["silent"] = "yes"
    at.stopped(at.enriched(), Skipped(Reason.SILENCED, "mute m7"), ())
    return "mute", False


def wants_no_ends(at: Story) -> Told:
    at.labels |= {"quiet": "ends", "state": "clear"}
    at.asked.add(f"{at.receiver}-no-ends")
    at.enriched()
    return "resolved", False


def no_route(at: Story) -> Told:
    at.labels["for"] = "nobody"
    at.enriched()
    return "route", False


def the_route_is_of_another_version(at: Story) -> Told:
    at.labels["for"] = f"{at.receiver}-{at.version % 3 + 1}"
    at.enriched()
    return "route", False


def the_version_that_decided_is_not_the_one_of_the_time(at: Story) -> Told:
    """An instance that had not yet switched: the outcome says which version it was."""
    at.labels |= {"quiet": "muted", "for": f"{at.receiver}-{(old := at.version % 3 + 1)}"}
    event = at.enriched()
    at.version = old
    at.stopped(event, Skipped(Reason.MUTED, "0.9.0 always"), event.origin)
    return "calendar", False


def the_receiver_names_another(at: Story) -> Told:
    if at.receiver != "leader":
        return no_route(at)
    at.leader = "李雷"
    at.enriched()
    return "recipients", False


def refused(reason: Reason) -> Callable[[Story], Told]:
    def story(at: Story) -> Told:
        at.ended(at.told(), Parked(reason, "code 7"), attempts=(Reason.BUSY, reason))
        return "vendor", False

    story.__name__ = f"refused_{reason}"
    return story


def left_the_company(at: Story) -> Told:
    at.ended(at.told(), ACCEPTED, {"other": ACCEPTED, at.person: GONE})
    return "gone", False


def all_have_left(at: Story) -> Told:
    at.ended(at.told(), GONE, {at.person: GONE})
    return "gone", False


def has_no_licence(at: Story) -> Told:
    at.ended(at.told(), ACCEPTED, {at.person: UNLICENSED, "other": ACCEPTED})
    return "gone", False


def handed_on(at: Story) -> Told:
    at.ended(at.told(), ACCEPTED, {"other": ACCEPTED}, receiver="sink")
    return "handed_on", False


def handed_on_to_themselves(at: Story) -> Told:
    one = at.told()
    at.put(type(one)(one.id, one.event, "second", "d", (at.person,), "0.9", at.version, origin=one.origin, hop=1))
    at.ended(one, ACCEPTED, receiver="second")
    return "came", True


def parked(reason: Reason) -> Callable[[Story], Told]:
    def story(at: Story) -> Told:
        at.ended(at.told(), Parked(reason, "line 3"), attempts=())
        return "parked", False

    story.__name__ = f"parked_{reason}"
    return story


def not_enriched_yet(at: Story) -> Told:
    at.accepted()
    return "enrichment", None


def parked_in_enrichment(at: Story) -> Told:
    event = at.accepted()
    at.stopped(event, Parked(Reason.STAGE_FAILED, "ValueError"), event.origin)
    return "enrichment", False


def not_routed_yet(at: Story) -> Told:
    at.enriched()
    return "routing", None


def parked_in_routing(at: Story) -> Told:
    event = at.enriched()
    at.stopped(event, Parked(Reason.TOO_LARGE), event.origin)
    return "routing", False


def came_after_a_redrive_of_what_enrichment_parked(at: Story) -> Told:
    event = at.accepted()
    at.stopped(event, Parked(Reason.STAGE_FAILED, "ValueError"), event.origin)
    at.ended(at.told(), ACCEPTED)
    return "came", True


def came_after_a_redrive_of_what_routing_parked(at: Story) -> Told:
    event = at.enriched()
    at.stopped(event, Parked(Reason.TOO_LARGE), event.origin)
    at.ended(at.told(), ACCEPTED)
    return "came", True


def parked_by_enrichment_and_redriven_to_nobody_of_theirs(at: Story) -> Told:
    at.labels = {"for": "nobody", "state": "raise"}
    event = at.accepted()
    at.stopped(event, Parked(Reason.STAGE_FAILED, "ValueError"), event.origin)
    at.enriched()
    return "route", False


def parked_by_routing_and_redriven_to_nobody_of_theirs(at: Story) -> Told:
    at.labels = {"for": "nobody", "state": "raise"}
    event = at.enriched()
    at.stopped(event, Parked(Reason.TOO_LARGE), event.origin)
    at.ended(at.told(receiver="sink", recipients=("sink",)), ACCEPTED)
    return "route", False


def no_route_of_what_two_doors_took(at: Story) -> Told:
    at.labels = {"for": "nobody", "state": "raise"}
    at.enriched()
    at.enriched()
    return "route", False


def two_doors_took_it_and_enrichment_has_not_come(at: Story) -> Told:
    at.accepted()
    at.accepted()
    return "enrichment", None


def never_reached_us(_at: Story) -> Told:
    return "source", False


def reached_us_too_early(at: Story) -> Told:
    at.now -= 3_000
    at.ended(at.told(), ACCEPTED)
    at.now += 3_000
    return "source", False


STORIES: list[Callable[[Story], Told]] = [
    came,
    came_to_them_though_not_to_another,
    came_after_a_redrive,
    merged(Reason.GROUPED, "merge", ACCEPTED, True),
    merged(Reason.GROUPED, "merge", None, None),
    merged(Reason.OVER_RATE, "limiter", ACCEPTED, True),
    merged(Reason.OVER_RATE, "limiter", Parked(Reason.REJECTED), False),
    merged(Reason.QUEUE_FULL, "limiter", ACCEPTED, True),
    merged(Reason.STORM, "limiter", ACCEPTED, True),
    merged(Reason.HELD, "mute", ACCEPTED, True),
    merged(Reason.ALARM_LOAD, "load", ACCEPTED, True),
    merged_twice,
    coalesced(ACCEPTED, "came", True),
    coalesced(GONE, "gone", False),
    coalesced(None, "merge", None),
    waits_for_its_group,
    waits_for_the_interval,
    waits_for_a_limit,
    waits_for_a_limit_after_its_group,
    waits_urgent,
    repeated,
    inhibited,
    muted_by_the_calendar,
    outside_of_its_times,
    held_by_a_mute,
    held_until_now,
    dropped_by_a_mute,
    wants_no_ends,
    no_route,
    the_route_is_of_another_version,
    the_version_that_decided_is_not_the_one_of_the_time,
    the_receiver_names_another,
    *map(refused, (Reason.REJECTED, Reason.CREDENTIALS, Reason.TOO_LONG, Reason.RETRIES_EXHAUSTED, Reason.UNKNOWN)),
    left_the_company,
    all_have_left,
    has_no_licence,
    handed_on,
    handed_on_to_themselves,
    *map(parked, (Reason.TEMPLATE_BROKEN, Reason.UNKNOWN_RECEIVER, Reason.EMPTY)),
    not_enriched_yet,
    parked_in_enrichment,
    not_routed_yet,
    parked_in_routing,
    came_after_a_redrive_of_what_enrichment_parked,
    came_after_a_redrive_of_what_routing_parked,
    parked_by_enrichment_and_redriven_to_nobody_of_theirs,
    parked_by_routing_and_redriven_to_nobody_of_theirs,
    no_route_of_what_two_doors_took,
    two_doors_took_it_and_enrichment_has_not_come,
    never_reached_us,
    reached_us_too_early,
]


def test_the_cause_of_every_story_is_found() -> None:
    wrong, told = [], Counter[str]()
    for number, story in enumerate(STORIES):
        for name in PEOPLE:
            for version in PUBLISHED:
                at = Story(name, version, 1 + number)
                cause, reached = story(at)
                at.noise()
                inquiry = at.inquiry(subject=at.subject)
                answers = inquiry.answers(at.now + 30, {})
                found = [(a.cause, a.came) for a in answers if a.event in ("e-1", "")]
                told[cause] += 1
                if found != [(cause, reached)] or not all(20 < len(answer.said) < 300 for answer in answers):
                    wrong.append((story.__name__, name, version, cause, reached, answers))
    assert not wrong
    assert told.total() >= 200
    assert len(told) >= 17


@pytest.mark.parametrize("name", PEOPLE)
@pytest.mark.parametrize(
    ("known", "cause"),
    [
        (Open(failed=Reason.THROTTLED), "retry"),
        (Open(failed=Reason.SERVER_ERROR), "retry"),
        (Open(held="inhibit_rules[0] M-07/LINE_STOP"), "inhibited"),
        (Open(), "limiter"),
    ],
)
def test_what_the_store_knows_of_open_ones_is_said(name: str, known: Open, cause: str) -> None:
    at = Story(name, 1, 5)
    one = at.told()
    inquiry = at.inquiry()
    assert [open_.id for open_ in inquiry.open()] == [one.id]
    (answer,) = inquiry.answers(at.now + 30, {one.id: known})
    assert (answer.cause, answer.came) == (cause, None)


def test_of_many_that_no_route_leads_to_them_by_there_are_examples_and_a_count() -> None:
    at = Story("duty", 1, 5)
    at.labels["for"] = "nobody"
    for number in range(1, 200):
        at.enriched(number)
    inquiry = at.inquiry()
    answers = inquiry.answers(at.now + 30, {})
    assert len(answers) == EXAMPLES
    assert inquiry.unlisted(answers) == {"route": 199 - EXAMPLES}
    assert inquiry.accepted == 199


def test_an_event_that_two_doors_took_counts_once() -> None:
    at = Story("duty", 1, 5)
    at.labels["for"] = "nobody"
    at.enriched()
    at.enriched()
    at.accepted(2)
    at.accepted(2)
    inquiry = at.inquiry()
    assert inquiry.accepted == 2
    assert len(inquiry.answers(at.now + 30, {})) == 2


def test_says_which_matcher_it_was_and_which_route_came_before() -> None:
    at = Story("duty", 2, 5)
    at.labels["for"] = "crew-2"
    at.enriched()
    (answer,) = at.inquiry().answers(at.now + 30, {})
    assert answer.said == "route 0.0 (crew) took it before 0.2 (duty) was asked"
    assert (answer.version, answer.receiver) == (2, "")
    at.labels["for"] = "nobody"
    at.enriched(2)
    second = at.inquiry().answers(at.now + 30, {})[1]
    assert second.said == 'route 0.2 (duty) asks for for="duty-2", and it is nobody; it went by 0 (sink)'


def test_a_person_whom_no_receiver_has_is_told_so() -> None:
    at = Story("duty", 1, 5)
    at.asked = {"nobody"}
    at.told()
    (answer,) = at.inquiry().answers(at.now + 30, {})
    assert answer.cause == "route"
    assert answer.said.startswith("no receiver of version 1 has them")


def test_of_whom_nothing_knows_is_told_from_who_heard_nothing() -> None:
    at = Story("duty", 1, 5)
    at.labels["for"] = "nobody"
    at.enriched()
    assert not at.inquiry().nobody, "a receiver has them, and no route led there"
    at.asked = {"nobody"}
    assert at.inquiry().nobody
    assert not Story("duty", 1, 5).inquiry().nobody, "nothing was accepted"
    at.asked = {at.person}
    at.told(2)
    assert not at.inquiry().nobody


def test_what_was_merged_into_something_unknown_is_open() -> None:
    at = Story("duty", 1, 5)
    at.ended(at.told(), Merged(another(), Reason.GROUPED), attempts=())
    (answer,) = at.inquiry().answers(at.now + 30, {})
    assert (answer.cause, answer.came) == ("merge", None)
    assert isinstance(another(), UUID)
