"""What enrichment writes into an event: facts, marks, and labels made of them.

`facts.<connector>` is the answer. An answer that was not to be had is `{"missing": "<reason>"}`, in place of any value;
one older than the connector's `cache` time, served because the source does not answer, has `age_s` beside its
values: its age in whole seconds. An answer without `age_s` is no older than the `cache` time. Both words are
reserved: no connector may answer with a value of that name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import msgspec

from andon.core.event import Event
from andon.core.paths import Text
from andon.core.ports import Facts

MISSING = "missing"
AGE = "age_s"
RESERVED = frozenset({MISSING, AGE})
MOST_ROWS = 1_000
"""Rows of one key that a connector answers with as lists."""


class Missing(StrEnum):
    """Why there is no fact, beside the reasons a connector itself may fail with (core.reason.Reason)."""

    NO_KEY = "no_key"  # the event has no value to ask with
    NOT_FOUND = "not_found"  # the source was asked and has no such entry
    TIMEOUT = "timeout"  # no answer within the rule's `wait`
    BUSY = "busy"  # as many calls as allowed are under way
    BREAKER_OPEN = "breaker_open"  # the source failed again and again and is left alone for a while
    WRONG_ANSWER = "wrong_answer"  # the connector broke its contract
    UNEXPECTED = "unexpected"  # the connector failed in a way nobody foresaw; the log names it


def listed(rows: Sequence[Mapping[str, Any]], key: str) -> dict[str, Any]:
    """Several rows of one key as one answer: the key, and of every other column the list of their values."""
    return {name: value if name == key else [row[name] for row in rows] for name, value in rows[0].items()}


class Answer(msgspec.Struct, frozen=True):
    """What is known of one key: values (with the age in seconds if they are stale), or why there are none."""

    values: Mapping[str, Any] = {}
    age: float | None = None
    missing: str | None = None

    def fact(self) -> dict[str, Any]:
        """The answer as it stands in `facts.<connector>`."""
        if self.missing is not None:
            return {MISSING: self.missing}
        return dict(self.values) if self.age is None else {**self.values, AGE: int(self.age)}


def answer_of(facts: Facts) -> Answer:
    """What a connector said of one key."""
    return Answer(facts.values) if facts.found else Answer(missing=Missing.NOT_FOUND)


def enriched(event: Event, connector: str, answer: Answer, labels: Mapping[str, Text]) -> Event:
    """The event with the answer among its facts, and with every label whose template has all of its values."""
    event = msgspec.structs.replace(event, facts={**event.facts, connector: answer.fact()})
    found = {name: text for name, render in labels.items() if (text := render(event)) is not None}
    return msgspec.structs.replace(event, labels={**event.labels, **found}) if found else event
