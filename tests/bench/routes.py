"""Route trees of any size as plants have them, and events that reach their routes."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from random import Random
from typing import Any

from andon.core.event import Event
from tests.unit.routing.events import event

Routes = list[dict[str, Any]]
TEAMS = 20


def by_type_and_line(count: int) -> Routes:
    """One for each type of event on each line, as in a list that grew with the plant."""
    lines = _lines_of(count)
    return [_route(f'type="t{number // lines}"', f'line="L{number % lines}"') for number in range(count)]


def one_type(count: int) -> Routes:
    """All about faults, told apart by the second matcher."""
    return [_route('type="machine.fault"', f'line="L{number}"') for number in range(count)]


def words(count: int) -> Routes:
    """All about faults, each of three lines of its own."""
    return [_route('type="machine.fault"', f'line=~"{"|".join(_lines(number))}"') for number in range(count)]


def lists(count: int) -> Routes:
    """The same with `in`, and first."""
    return [_route(f"line in [{', '.join(_lines(number))}]", 'severity=~"minor|major"') for number in range(count)]


def patterns(count: int) -> Routes:
    """A pattern first, which only the machines of one line fit."""
    return [_route(f'machine=~"L{number}-M[0-9]+"', 'severity=~"minor|major"') for number in range(count)]


def teams(count: int) -> Routes:
    """Twenty teams, each with its own list below it."""
    each = max(1, count // TEAMS)
    return [
        {"matchers": [f'team="team-{team}"'], "routes": by_type_and_line(each)} for team in range(min(TEAMS, count))
    ]


def with_continue(count: int) -> Routes:
    """Ten that look at everything and let it go on, before a list by type and line."""
    watching = [
        {**_route('severity="critical"', f'code=~"E{number}.*"'), "continue": True} for number in range(min(10, count))
    ]
    return watching + by_type_and_line(count - len(watching))


SHAPES: dict[str, Callable[[int], Routes]] = {
    shape.__name__: shape for shape in (by_type_and_line, one_type, words, lists, patterns, teams, with_continue)
}
OF_ONE_TYPE = {shape.__name__ for shape in (one_type, words, lists, patterns)}


def _route(*matchers: str) -> dict[str, Any]:
    return {"matchers": list(matchers), "receiver": "r0"}


def _lines_of(count: int) -> int:
    """How many lines a list of so many routes is about, each with twice as many types of events."""
    return max(1, round(sqrt(count / 2)))


def _lines(number: int) -> list[str]:
    return [f"L{3 * number + step}" for step in range(3)]


def events(shape: str, size: int, count: int, seed: int = 1) -> list[Event]:
    """Events with eight labels for a tree of this shape and size; every tenth is one that no list knows."""
    random = Random(seed)
    listed = max(1, size // TEAMS) if shape == teams.__name__ else size
    return [_event(random, shape, listed, known=number % 10 != 0) for number in range(count)]


def _event(random: Random, shape: str, listed: int, *, known: bool) -> Event:
    place = random.randrange(listed)
    kind, line = "machine.fault", place
    if shape not in OF_ONE_TYPE:
        lines = _lines_of(listed)
        kind, line = f"t{place // lines}", place % lines
    labels = {
        "line": f"L{line}" if known else "elsewhere",
        "machine": f"L{line}-M{random.randrange(3)}",
        "team": f"team-{random.randrange(TEAMS)}",
        "severity": random.choice(("minor", "major", "critical")),
        "code": f"E{random.randrange(400)}",
        "plant": "苏州一厂",
        "shift": random.choice(("day", "night")),
        "state": "raise",
    }
    return event(kind if known else "unheard.of", f"{labels['line']}/{labels['machine']}", labels=labels)
