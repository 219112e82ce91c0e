"""The routes of `expect`: what Andon tells of a source goes to the receiver that the source names."""

from __future__ import annotations

import json
from collections.abc import Mapping

from andon.config.plugs import SourcePlug
from andon.config.routing import Route
from andon.core.event import TELLER
from andon.core.silence import WATCHED, WORDS

_TYPES = ", ".join(f'"{word}"' for words in WORDS.values() for word in (words.lost, words.found))


def expected_routes(sources: Mapping[str, SourcePlug]) -> dict[str, Route]:
    """One route for each source of which something is expected, by its place among the routes.

    It takes nothing from the others: those that match are told too, as always after a route that continues.
    """
    return {
        f"expect.{name}": Route(receiver=plug.expect.receiver, matchers=_matchers(name), continue_=True)
        for name, plug in sources.items()
        if plug.expect is not None
    }


def _matchers(name: str) -> tuple[str, ...]:
    return f'source="{TELLER}"', f"{WATCHED}={json.dumps(name, ensure_ascii=False)}", f"type in [{_TYPES}]"
