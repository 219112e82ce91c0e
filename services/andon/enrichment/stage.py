"""The enrichment stage: asks connectors about a batch of events and writes down what they know, or that they don't."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

from andon.config.routing import EnrichRule
from andon.core.event import Event
from andon.core.matchers import Test, all_hold, compile_matchers
from andon.core.paths import Text, compile_path, compile_template, text_of
from andon.core.ports import Result
from andon.enrichment.mapping import Answer, Missing, enriched


class Answering(Protocol):
    """A connector as rules ask it (enrichment.cache.CachedConnector)."""

    @property
    def name(self) -> str: ...

    async def answers(self, keys: Iterable[str], wait: float, /) -> Mapping[str, Answer]:
        """An answer for each distinct key, after at most `wait` seconds. Never raises for what a connector does."""


class Rule(msgspec.Struct, frozen=True):
    """One `enrich` rule, compiled."""

    tests: tuple[Test, ...]
    connector: Answering
    key: Text
    wait: float
    labels: Mapping[str, Text]


class EnrichmentStage:
    """Applies the rules in order, each to the whole batch with one question to its connector.

    Every event comes out, whatever the connectors do; a batch takes at most the sum of the rules' waits. A later rule
    sees the facts and labels of the earlier ones. Raises MatcherError, PathError or KeyError when built from a
    configuration that `check` would have refused.
    """

    def __init__(self, rules: Sequence[EnrichRule], connectors: Mapping[str, Answering]) -> None:
        self._rules = [_compiled(rule, connectors[rule.connector]) for rule in rules]

    async def __call__(self, batch: Sequence[Event], /) -> Sequence[Result[Event]]:
        events = list(batch)
        for rule in self._rules:
            await _apply(rule, events)
        return [Result((event,)) for event in events]


async def _apply(rule: Rule, events: list[Event]) -> None:
    keys = {index: rule.key(event) for index, event in enumerate(events) if all_hold(rule.tests, event)}
    if not keys:
        return
    asked = [key for key in keys.values() if key]
    answers = await rule.connector.answers(asked, rule.wait) if asked else {}
    for index, key in keys.items():
        answer = answers[key] if key else Answer(missing=Missing.NO_KEY)
        events[index] = enriched(events[index], rule.connector.name, answer, rule.labels)


def _compiled(rule: EnrichRule, connector: Answering) -> Rule:
    lookup = compile_path(rule.by)
    return Rule(
        tests=tuple(matcher.holds for matcher in compile_matchers(rule.matchers)),
        connector=connector,
        key=lambda event: text_of(lookup(event)),
        wait=rule.wait,
        labels={name: compile_template(text) for name, text in rule.labels.items()},
    )
