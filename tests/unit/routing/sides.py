"""What the router and the naive implementation each make of a tree and an event, in the same words."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from andon.core.event import Event
from andon.core.outcome import Skipped
from andon.routing import Router
from andon.routing.tree import Node
from tests.unit.routing import naive
from tests.unit.routing.events import TUESDAY_NOON, event, receivers, settings
from tests.unit.routing.generated import RECEIVERS, some_labels, some_tree, some_values
from tests.unit.routing.naive import Happened, Taken

ZONE = ZoneInfo("Asia/Shanghai")
INTERVALS: dict[str, Any] = {
    "day": [{"times": ["08:00-20:00"]}],
    "night": [{"times": ["20:00-08:00"]}],
    "tuesday": [{"days": ["tuesday"]}],
}


def is_on(name: str, at: datetime) -> bool:
    """The intervals once more, without the calendar."""
    return {"day": 8 <= at.hour < 20, "night": not 8 <= at.hour < 20, "tuesday": at.weekday() == 1}[name]


def built(route: dict[str, Any]) -> Router:
    given = settings(route, receivers=receivers(*RECEIVERS), calendar={"time_intervals": INTERVALS})
    return Router(given, 7, {name: f"domain-of-{name}" for name in given.receivers})


def labelled(labels: dict[str, str], at: datetime = TUESDAY_NOON, **parts: Any) -> Event:
    """An event with these labels; `type` is an attribute of it, and "" where the labels have none."""
    others = {name: value for name, value in labels.items() if name != "type"}
    return event(labels.get("type", ""), labels=others, at=at, **parts)


def some_event(random: Random) -> Event:
    data, facts = some_values(random)
    return labelled(
        some_labels(random), TUESDAY_NOON + timedelta(hours=random.randrange(7 * 24)), data=data, facts=facts
    )


def happened(given: Event) -> Happened:
    at = given.time.astimezone(ZONE)
    return Happened(given.type, given.subject, given.source, at, given.labels, given.data, given.facts)


def taken(router: Router, given: Event) -> list[Taken]:
    """The routes the router takes."""
    nodes: list[Node] = []
    router.root.collect(given, nodes)
    found = []
    for node in nodes:
        pace = (node.pace.wait, node.pace.interval, node.pace.repeat) if node.pace else None
        ended = node.silenced(given)
        found.append(
            Taken(node.path, node.receiver, node.urgent, node.batch(given), pace, ended.reason if ended else "")
        )
    return found


def told(router: Router, given: Event) -> tuple[list[tuple[str, str, bool]], str]:
    """(receiver, path, urgent) of every delivery, or why there is none."""
    result = router.route(given)
    assert bool(result.outputs) is (result.ended is None)
    ended = result.ended.reason if isinstance(result.ended, Skipped) else ""
    return [(one.receiver, one.route, one.urgent) for one in result.outputs], ended


def agree(route: dict[str, Any], router: Router, given: Event) -> bool:
    """Whether the router and the naive one take the same routes with the same sense, and tell the same receivers."""
    there = naive.taken(route, happened(given), is_on)
    return taken(router, given) == there and told(router, given) == naive.told(there)


def disagreements(seed: int, trees: int, events: int, *, depth: int = 2, width: int = 5) -> Iterator[str]:
    """What the two see differently in generated cases; one that raises disagrees."""
    random = Random(seed)
    for _ in range(trees):
        route = some_tree(random, own=True, depth=depth, width=width)
        given = [some_event(random) for _ in range(events)]
        try:
            router = built(route)
            yield from (f"{route}: {one}" for one in given if not agree(route, router, one))
        except Exception as error:  # noqa: BLE001 - a broken router may raise anything
            yield f"{route}: {error!r}"
