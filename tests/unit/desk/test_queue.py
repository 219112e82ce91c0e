"""A receiver's queue: lanes keep their order, urgent lanes first, and merging takes nobody's turn."""

from __future__ import annotations

from typing import Any

import pytest

from andon.core.policy import Limit, Merge, QueuePolicy
from andon.core.reason import Reason
from andon.core.work import Entry, Item
from andon.runtime.desk.queue import Queue, full, has_room, mergeable, whole
from tests.unit.desk.items import START, item

MERGE = Merge(Limit(3, 30.0))


def queue(*items: Item) -> Queue:
    made = Queue("l3")
    for one in items:
        made.add(one)
    return made


def drained(of: Queue, now: float = START) -> list[int]:
    """The offsets in the order of their turns."""
    seen = []
    while (head := of.head(now)) is not None:
        seen.append(head.offset)
        of.start(head)
        of.remove(head)
    return seen


def attempt(of: Item, **changes: Any) -> Entry:
    return Entry(of.id, 0, 0, 1, of.home, of.domain, 0, 0, 1, START, of.queue, **changes)


def test_the_oldest_comes_first_and_one_lane_one_at_a_time() -> None:
    of = queue(item(1, lane="a"), item(2, lane="a"), item(3, lane="b"))
    first = of.head(START)
    assert first is not None
    of.start(first)
    second = of.head(START)
    assert second is not None
    assert (first.offset, second.offset) == (1, 3)
    of.start(second)
    assert of.head(START) is None


def test_an_urgent_lane_passes_the_others_and_keeps_its_own_order() -> None:
    of = queue(item(1, lane="a"), item(2, lane="b"), item(3, lane="b", urgent=True), item(4, lane="b"))
    assert drained(of) == [2, 3, 1, 4]


def test_a_lane_is_urgent_only_as_long_as_something_urgent_waits_in_it() -> None:
    """Two urgent arrivals offered the lane twice; what was left of that once put routine before urgent."""
    of = queue(item(1, lane="a"), item(2, lane="a", urgent=True), item(3, lane="a", urgent=True), item(4, lane="a"))
    seen = []
    for _ in range(3):
        head = of.head(START)
        assert head is not None
        seen.append(head.offset)
        of.start(head)
        of.remove(head)
    of.add(item(9, lane="b", urgent=True))
    assert seen + drained(of) == [1, 2, 3, 9, 4]


def test_an_item_that_failed_keeps_its_lane_until_it_is_due() -> None:
    first, second, other = item(1, lane="a"), item(2, lane="a"), item(3, lane="b")
    of = queue(first, second, other)
    of.start(first)
    first.due = START + 5
    of.again(first)
    assert of.next_due() == START + 5
    assert drained(of) == [3]
    assert drained(of, START + 4.9) == []
    assert drained(of, START + 5) == [1, 2]


def test_a_clock_set_back_loses_no_turn() -> None:
    one = item(1, due=START + 5)
    of = queue(one)
    assert of.head(START + 6) is one
    assert of.head(START + 1) is None
    assert of.head(START + 5) is one


def test_removing_from_the_middle_keeps_the_rest() -> None:
    items = [item(n, lane="a") for n in range(1, 5)]
    of = queue(*items)
    of.remove(items[1])
    of.remove(items[2])
    assert of.size == 2
    assert drained(of) == [1, 4]
    assert of.size == 0
    assert of.lanes == {}


def test_everything_in_order_of_age() -> None:
    of = queue(item(3, lane="b"), item(1, lane="a"), item(2, lane="a"))
    assert [one.offset for one in of] == [1, 2, 3]


def test_routine_calls_are_paced_above_the_merge_rate() -> None:
    of = queue()
    for n in range(3):
        assert of.paced(MERGE, START + n) == START + n
        of.left(MERGE, START + n)
    assert of.over_rate(MERGE, START + 3)
    assert of.paced(MERGE, START + 3) == START + 12  # one every 10 s after the last
    assert of.paced(MERGE, START + 31) == START + 31  # the window has passed
    assert of.paced(None, START + 3) == START + 3


@pytest.mark.parametrize("merge", [None, MERGE])
def test_the_memory_of_what_left_does_not_grow(merge: Merge | None) -> None:
    of = queue()
    for n in range(10_000):
        of.left(merge, START + n)
    assert len(of._sent) <= 31


# ---- merging


def test_only_what_waits_in_front_of_its_lane_may_join() -> None:
    busy, urgent, grouped = item(1, lane="a"), item(3, lane="b", urgent=True), item(5, lane="c", group=None)
    of = queue(busy, item(2, lane="a"), urgent, item(4, lane="b"), grouped, item(6, lane="c"), item(7, lane="d"))
    of.start(busy)
    assert [one.offset for one in mergeable(of, None)] == [7]


def test_what_stands_before_an_urgent_item_of_its_lane_may_join() -> None:
    of = queue(item(1, lane="a"), item(2, lane="a", urgent=True), item(3, lane="a"))
    assert [one.offset for one in mergeable(of, None)] == [1]


def test_over_the_rate_only_the_same_group_joins() -> None:
    into = item(1, lane="a", group="g")
    others = [item(2, lane="a", group="g"), item(3, lane="b", group="h"), item(4, lane="c", group="g")]
    of = queue(into, *others, item(5, lane="b", group="g"))
    assert [one.offset for one in mergeable(of, into, alike=lambda one: one.group == into.group)] == [2, 4]


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({}, True),
        ({"entries": [attempt(item(1), ended=START, reason=Reason.NOT_SENT)]}, True),
        ({"entries": [attempt(item(1), ended=START, reason=Reason.TIMEOUT, ambiguous=True)]}, False),
        ({"entries": [attempt(item(1))]}, False),
        ({"part": 1, "parts": b"p"}, False),
    ],
)
def test_an_item_is_whole_until_a_part_of_it_may_have_arrived(changes: dict[str, Any], kept: bool) -> None:
    one = item(1)
    for name, value in changes.items():
        setattr(one, name, value)
    assert whole(one) is kept
    assert bool(mergeable(queue(one), None)) is kept


def test_full_at_the_cap_and_room_again_well_below_it() -> None:
    policy = QueuePolicy(channel="c", cap=10)
    of = queue(*(item(n, lane=str(n)) for n in range(10)))
    assert full(of, policy)
    of.remove(next(iter(of)))
    assert not full(of, policy)
    assert has_room(of, policy)
    assert not has_room(of, QueuePolicy(channel="c", cap=9))


def test_lanes_that_are_held_and_released_all_day_are_remembered_once_each() -> None:
    """A day's quota is used up, and urgent calls that do not leave give their places back again and again."""
    count, midnight = 100, START + 86_400.0
    of = queue(*(item(n, lane=f"m{n}") for n in range(count)))
    for _ in range(50):
        while (head := of.head(START)) is not None:
            of.hold(head, midnight, limited=True)
        of.release(every=True)
    while (head := of.head(START)) is not None:
        of.hold(head, midnight, limited=True)
    assert len(of._waiting) <= 4 * count
    assert of.next_due() == midnight
    assert drained(of, midnight - 1) == []
    assert drained(of, midnight) == list(range(count))


def test_what_waits_for_its_own_time_is_not_forgotten_with_what_is_stale() -> None:
    of = queue(item(1, lane="a", due=START + 10), item(2, lane="b"), item(3, lane="c"))
    for _ in range(200):
        head = of.head(START)
        assert head is not None
        of.hold(head, START + 20, limited=True)
        of.release(every=True)
    assert of.next_due() == START + 10
    assert drained(of, START + 10) == [1, 2, 3]
