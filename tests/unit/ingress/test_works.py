"""A service that stands still before what waits for it, told from one that has nothing to do."""

from __future__ import annotations

from andon.config.settings import Settings
from andon.core.event import Home
from andon.ingress.works import STILL_S, Moving, needed

HOME, OTHER = Home("t", 0), Home("t", 1)


def test_only_what_had_something_to_read_for_a_minute_and_did_not_move_stands_still() -> None:
    moving = Moving()
    assert moving.still({HOME: 5, OTHER: 0}, {HOME: 9, OTHER: 0}, 0.0) == {}
    assert moving.still({HOME: 5, OTHER: 0}, {HOME: 20, OTHER: 0}, STILL_S - 1) == {}
    found = moving.still({HOME: 5, OTHER: 0}, {HOME: 20, OTHER: 3}, STILL_S)
    assert {home: (one.offset, one.end) for home, one in found.items()} == {HOME: (5, 9)}, "what came later may wait"
    assert moving.still({HOME: 6, OTHER: 0}, {HOME: 20, OTHER: 3}, 2 * STILL_S - 1) == {}, "it moved; the other waits"
    found = moving.still({HOME: 6, OTHER: 0}, {HOME: 20, OTHER: 3}, 2 * STILL_S)
    assert list(found) == [OTHER]
    assert moving.still({HOME: 20, OTHER: 3}, {HOME: 20, OTHER: 3}, 3 * STILL_S) == {}


def test_who_has_nothing_to_read_does_not_stand_still() -> None:
    moving = Moving()
    for minute in range(5):
        assert moving.still({HOME: 5}, {HOME: 5}, minute * STILL_S) == {}
    assert moving.still({HOME: 5}, {HOME: 6}, 5 * STILL_S) == {}, "it has come just now"
    assert list(moving.still({HOME: 5}, {HOME: 6}, 6 * STILL_S)) == [HOME]


def test_ticketing_is_needed_where_faults_are_known_with_or_without_a_ticket_system() -> None:
    plain = {"version": 1, "route": {"receiver": "r"}}
    assert "ticketing" not in needed(Settings.model_validate(plain))
    assert "ticketing" in needed(Settings.model_validate({**plain, "episodes": {"fault": {"key": ["subject"]}}}))
