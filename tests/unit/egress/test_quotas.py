"""What is told of a quota: once a block, when it runs low or will not last, and that it is over."""

from __future__ import annotations

from math import inf

import msgspec

from andon.core.event import Event
from andon.core.policy import Limit, Per
from andon.core.work import Note, Reach
from andon.egress.quotas import QuotaWatch
from andon.kafka.topics import EVENTS
from andon.runtime.desk.meter import Meter, Quota
from andon.runtime.desk.work import fingerprint

DAY = 86_400.0
START = 20_000 * DAY
QUOTA = Limit(1_000, DAY, Per.PERSON)


def told(notes: object) -> list[tuple[str, str]]:
    assert isinstance(notes, tuple)
    events = [msgspec.json.decode(note.value or b"", type=Event) for note in notes if isinstance(note, Note)]
    assert all(note.topic == EVENTS for note in notes)
    return [(one.id, one.labels["state"]) for one in events]


def quota(left: int, out: float = inf, day: int = 0) -> Quota:
    return Quota(1_000, left, START + day * DAY, out)


def test_it_is_told_once_a_day_and_that_it_is_over() -> None:
    watch = QuotaWatch(lambda: 0.2)
    assert told(watch("app", quota(200), START)) == []
    assert told(watch("app", quota(199), START)) == [("quota-app-20241004T0000-raise", "raise")]
    assert told(watch("app", quota(10), START + 60)) == []
    assert told(watch("app", quota(1_000, day=1), START + DAY)) == [("quota-app-20241004T0000-clear", "clear")]
    assert told(watch("app", quota(100, day=1), START + DAY + 60)) == [("quota-app-20241005T0000-raise", "raise")]


def test_a_restart_says_the_same() -> None:
    first, again = (QuotaWatch(lambda: 0.2)("app", quota(left), START + left) for left in (100, 50))
    said = [msgspec.json.decode(notes[0].value or b"", type=Event) for notes in (first, again)]
    assert (said[0].id, said[0].data, said[0].labels) == (said[1].id, said[1].data, said[1].labels)


def test_it_says_when_it_is_used_up_and_is_the_same_news_after_a_restart() -> None:
    noon = START + DAY / 2
    notes = (QuotaWatch(lambda: 0.2)("app", quota(100, out), START) for out in (noon, noon + 7_200))
    first, again = (msgspec.json.decode(note.value or b"", type=Event) for (note,) in notes)
    assert (first.data["runs_out"], again.data["runs_out"]) == ("2024-10-04T12:00+00:00", "2024-10-04T14:00+00:00")
    assert (first.id, fingerprint(first)) == (again.id, fingerprint(again))


def test_one_that_will_not_last_is_told_once_half_is_used() -> None:
    watch = QuotaWatch(lambda: 0.2)
    assert told(watch("app", quota(600, out=START + 60), START)) == []
    assert len(told(watch("app", quota(499, out=START + 60), START))) == 1


def test_nobody_is_told_who_did_not_ask() -> None:
    assert told(QuotaWatch(lambda: None)("app", quota(0), START)) == []


def test_the_pace_of_the_last_hour_says_when_it_is_out() -> None:
    meter = Meter()
    noon = START + DAY / 2
    for minute in range(60):
        meter.past(Reach("app", tuple(f"p{n}" for n in range(10))), noon + 60.0 * minute)
    found = meter.quota(QUOTA, noon + 3_600)
    assert (found.total, found.left, found.begun) == (1_000, 400, START)
    assert abs(found.out - (noon + 3_600 + 400 / (600 / 3_600))) < 60
    assert meter.quota(QUOTA, noon + 3 * 3_600).out == inf
    assert meter.quota(QUOTA, START + DAY + 10).left == 1_000
