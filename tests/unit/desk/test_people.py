"""A desk whose policy counts people: who waits, who passes, and in what order."""

from __future__ import annotations

import pytest

from andon.core.policy import Limit, Per, QueuePolicy
from andon.core.work import Item
from andon.kafka.codecs import encode
from andon.runtime.desk.open_work import Call
from andon.runtime.desk.work import Success
from tests.unit.desk.items import Said, ScriptedWork, item, limited
from tests.unit.desk.rig import NOT_SENT, Rig

EACH = Limit(2, 62.0, Per.RECIPIENT)


def rig(*people: Limit) -> Rig:
    return Rig(ScriptedWork(QueuePolicy("app", people=people or (EACH,), sender="app", in_flight=10)))


def notice(number: int, *to: str, lane: str = "", **more: object) -> Item:
    lane = lane or f"l{number}"
    return item(number, lane=lane, body=encode(Said(number, lane=lane, to=to)), **more)


def told(calls: list[Call]) -> list[tuple[int, tuple[str, ...]]]:
    return [(call.item.offset, call.entry.reach.recipients) for call in calls if call.entry.reach]


def left(*names: str) -> Success:
    return Success(more=True, same=True, parts=",".join(names).encode())


def test_who_is_over_the_limit_waits_and_the_others_pass() -> None:
    desk = rig()
    desk.admit(*(notice(n, "p") for n in (1, 2, 3)), notice(4, "q"))
    calls = desk.call()
    assert told(calls) == [(1, ("p",)), (2, ("p",)), (4, ("q",))]
    for call in calls:
        desk.end(call)
    assert desk.call() == []
    assert desk.wake_at == desk.now + 62
    desk.now += 62
    assert told(desk.call()) == [(3, ("p",))]


def test_an_urgent_one_is_the_first_to_get_the_place_that_comes_free() -> None:
    desk = rig()
    desk.admit(*(notice(n, "p") for n in (1, 2, 3)))
    for call in desk.call():
        desk.end(call)
    desk.now += 1
    desk.admit(notice(4, "p", urgent=True))
    assert desk.call() == []
    desk.now += 61
    assert told(desk.call()) == [(4, ("p",)), (3, ("p",))]


def test_a_delivery_goes_to_those_who_have_room_and_keeps_its_lane() -> None:
    desk = rig()
    desk.admit(notice(1, "p"), notice(2, "p"))
    for call in desk.call():
        desk.end(call)
    desk.now += 10
    desk.admit(notice(3, "p", "q", "r", lane="m"), notice(4, "q", lane="m"), notice(5, "q", lane="n"))
    three, five = desk.call()
    assert told([three, five]) == [(3, ("q", "r")), (5, ("q",))]
    desk.end(three, left("p"))
    desk.end(five)
    assert desk.call() == [], "the next of its subject waits for its last recipient"
    desk.now += 52
    (rest,) = desk.call()
    assert told([rest]) == [(3, ("p",))]
    assert (rest.entry.number, rest.entry.part) == (2, 0)
    desk.end(rest)
    desk.now += 10
    assert told(desk.call()) == [(4, ("q",))]
    assert desk.outcomes()[3].startswith("delivered")


def test_a_restart_forgets_nobody() -> None:
    desk = rig()
    desk.admit(*(notice(n, "p", "q") for n in (1, 2, 3)))
    one, _two = desk.call()
    desk.end(one)
    desk.restart()
    assert desk.call() == []
    desk.now += 30
    assert desk.call() == [], "one has ended, and of one it is not known: both count"
    desk.now += 48
    assert told(desk.call()) == [(2, ("p", "q"))], "the unknown one, when its deadline and a minute have passed"


def test_a_limit_that_is_raised_counts_for_those_that_wait_already() -> None:
    desk = rig(Limit(2, 86_400.0, Per.PERSON))
    desk.admit(*(notice(n, f"p{n}") for n in (1, 2, 3, 4)))
    for call in desk.call():
        desk.end(call)
    assert desk.call() == []
    desk.now += 60
    desk.work.standard = QueuePolicy("app", people=(Limit(1_000, 86_400.0, Per.PERSON),), sender="app", in_flight=10)
    desk.desk.reconsider()
    desk.admit(notice(5, "p5"))
    assert [offset for offset, _ in told(desk.call())] == [3, 4, 5]


def test_a_limit_that_is_raised_counts_though_nothing_else_happens() -> None:
    desk = Rig(ScriptedWork(limited(1, 3_600.0)))
    desk.admit(item(1, lane="a"), item(2, lane="b"))
    (call,) = desk.call()
    desk.end(call)
    assert desk.call() == []
    desk.work.standard = limited(10, 3_600.0)
    desk.desk.reconsider()
    assert [call.item.offset for call in desk.call()] == [2]


def test_a_place_that_is_given_back_is_taken_at_once() -> None:
    desk = rig()
    desk.admit(*(notice(n, "p") for n in (1, 2, 3)))
    one, two = desk.call()
    desk.end(one)
    assert desk.call() == []
    desk.end(two, NOT_SENT)
    assert told(desk.call()) == [(3, ("p",))], "not a minute later"


@pytest.mark.parametrize("urgent", [False, True])
def test_only_what_is_for_the_same_people_is_merged_when_the_queue_is_full(urgent: bool) -> None:
    work = ScriptedWork(QueuePolicy("app", people=(EACH,), sender="app", in_flight=10, cap=4))
    desk = Rig(work)
    audiences = {"p": "\x1fp\x1f", "q": "\x1fq\x1f"}
    for number, to in enumerate(("p", "q", "p", "p"), 1):
        assert desk.admit(notice(number, to, group=audiences[to])) == [True]
    assert desk.admit(notice(5, "q", group=audiences["q"], urgent=urgent)) == [True]
    assert {number for number, outcome in desk.outcomes().items() if outcome.startswith("merged")} == {3, 4}
