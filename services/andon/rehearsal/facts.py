"""What enrichment makes of the events of a test: its own stage, asking the test for facts, and tables."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec

from andon.config.plugs import CONNECTORS
from andon.config.published import Published
from andon.core.event import Event
from andon.core.failure import Failure
from andon.core.ports import Connector, Context, Facts, Wire
from andon.enrichment.mapping import Answer, answer_of
from andon.enrichment.stage import EnrichmentStage
from andon.runtime.clock import SystemClock
from andon.runtime.registry import Registry

# Kinds that answer from the configuration's own folder. Of all others a test says itself what they would answer.
_OFFLINE = frozenset({"csv"})
_NOTHING = Facts({}, found=False)


class Enriched:
    """The enrichment of one configuration version. What neither a test gives nor a table has is marked as missing."""

    def __init__(self, published: Published, registry: Registry, wire: Wire) -> None:
        self._published = published
        clock, settings = SystemClock(), published.settings
        self._given: dict[str, _Given] = {}
        for name, plug in settings.connectors.items():
            table = None
            if plug.kind in _OFFLINE:
                context = Context(name, Path(published.directory), clock, wire)
                table = cast("Connector", registry.build(CONNECTORS, plug, context))
            self._given[name] = _Given(name, table)
        self._stage = EnrichmentStage(settings.enrich, self._given)

    def of(self, events: Sequence[Event]) -> list[Event]:
        """The events with their facts, and the labels made of them."""
        return asyncio.run(self._of(events))

    async def _of(self, events: Sequence[Event]) -> list[Event]:
        alike: dict[bytes, list[int]] = {}
        for index, event in enumerate(events):
            alike.setdefault(msgspec.json.encode(event.facts, order="deterministic"), []).append(index)
        found = list(events)
        for indices in alike.values():
            facts = events[indices[0]].facts
            for name, connector in self._given.items():
                connector.fact = facts.get(name)
            # Only what a rule asks for becomes a fact, as everywhere.
            results = await self._stage([msgspec.structs.replace(events[index], facts={}) for index in indices])
            for index, result in zip(indices, results, strict=True):
                (found[index],) = result.outputs
        return found


class _Given:
    """A connector whose answer a test has written down, as it would stand in the event; else its table's. Nothing is
    remembered from one question to the next, so that tests do not touch each other."""

    def __init__(self, name: str, table: Connector | None) -> None:
        self.name = name
        self._table = table
        self.fact: Any = None

    async def answers(self, keys: Iterable[str], _wait: float, /) -> Mapping[str, Answer]:
        asked = list(dict.fromkeys(keys))
        if isinstance(self.fact, Mapping):
            return dict.fromkeys(asked, Answer(self.fact))
        if self._table is None:
            return dict.fromkeys(asked, answer_of(_NOTHING))
        try:
            found = await self._table.lookup(asked)
        except Failure as failure:
            return dict.fromkeys(asked, Answer(missing=failure.reason))
        return {key: answer_of(facts) for key, facts in zip(asked, found, strict=True)}
