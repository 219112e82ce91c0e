"""Which homes of a desk wait in Kafka: each case says what is asked for, and when nothing changes."""

from __future__ import annotations

import pytest

from andon.core.policy import QueuePolicy
from andon.runtime.desk import room
from andon.runtime.desk.room import Room
from tests.unit.desk.items import HOME, ScriptedWork, item
from tests.unit.desk.rig import Rig


def test_at_the_backlog_every_home_waits_until_a_tenth_of_it_is_free() -> None:
    at = Rig()
    asked = Room(at.desk, backlog=10, notes=100)
    assert asked.changed(0) is None
    at.admit(*(item(n, lane=f"m{n}") for n in range(9)))
    assert asked.changed(0) is None
    at.admit(item(9, lane="m9"))
    assert asked.changed(0) == {HOME}
    first, second, *_ = at.call()
    assert asked.changed(0) is None
    at.end(first)
    assert asked.changed(0) is None
    at.end(second)
    assert asked.changed(0) == set()


@pytest.mark.parametrize(("bound", "batch"), [("_WEIGHT", None), ("_GROUPED", "line-3")])
def test_every_home_waits_while_too_much_lies_in_memory(
    bound: str, batch: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = Rig()
    at.admit(item(0, batch=batch))
    size = at.desk.weight + at.desk.grouped
    monkeypatch.setattr(room, bound, size + 1)
    assert Room(at.desk, backlog=10, notes=100).changed(0) is None
    monkeypatch.setattr(room, bound, size)
    assert Room(at.desk, backlog=10, notes=100).changed(0) == {HOME}


def test_every_home_waits_while_too_many_notes_are_to_be_published() -> None:
    asked = Room(Rig().desk, backlog=10, notes=100)
    assert asked.changed(99) is None
    assert asked.changed(100) == {HOME}
    assert asked.changed(90) is None
    assert asked.changed(89) == set()


def test_a_home_waits_until_the_queue_of_its_record_has_room() -> None:
    at = Rig(ScriptedWork(QueuePolicy(channel="c", cap=1)))
    asked = Room(at.desk, backlog=10, notes=100)
    assert at.admit(item(0, urgent=True), item(1, urgent=True)) == [True, False]
    asked.refused({HOME: item(1, urgent=True)})
    assert asked.changed(0) == {HOME}
    assert asked.changed(0) is None
    at.end(at.call()[0])
    assert asked.changed(0) == set()


def test_a_home_that_left_does_not_wait_and_one_that_came_in_is_told_of_all_that_do() -> None:
    at = Rig(ScriptedWork(QueuePolicy(channel="c", cap=1)))
    asked = Room(at.desk, backlog=10, notes=100)
    at.admit(item(0, urgent=True))
    asked.refused({HOME: item(1, urgent=True)})
    assert asked.changed(0) == {HOME}
    asked.joined()
    assert asked.changed(0) == {HOME}
    asked.left(HOME)
    assert asked.changed(0) == set()
