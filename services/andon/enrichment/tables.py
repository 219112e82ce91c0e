"""Enrichment as far as it needs nobody: the rules that ask a table beside the configuration, to try an event out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

from andon.config.plugs import GROUPS
from andon.config.settings import Settings
from andon.core.event import Event
from andon.core.matchers import all_hold, compile_matchers
from andon.core.ports import Clock, Context, Wire
from andon.enrichment.cache import CachedConnector
from andon.enrichment.config import ConnectorConfig
from andon.enrichment.stage import EnrichmentStage
from andon.runtime.registry import Registry

_GROUP = GROUPS["connectors"]
_TABLE = "csv"


class Tables:
    """The facts of an event from the tables of a configuration. What the event brings of a connector stands.

    Raises PlugUnusable, and what `EnrichmentStage` does, for a configuration that `check` would have refused.
    """

    def __init__(self, settings: Settings, directory: Path, registry: Registry, wire: Wire, clock: Clock) -> None:
        self._rules = settings.enrich
        self._tests = [tuple(one.holds for one in compile_matchers(rule.matchers)) for rule in settings.enrich]
        self._stages: dict[frozenset[str], EnrichmentStage] = {}
        self._connectors: dict[str, CachedConnector] = {}
        for name, plug in settings.connectors.items():
            if plug.kind == _TABLE:
                config = cast("ConnectorConfig", registry.config(_GROUP, plug))
                connector = registry.build(_GROUP, plug, Context(name, directory, clock, wire))
                self._connectors[name] = CachedConnector(name, connector, clock, config.policy())

    async def enriched(self, event: Event) -> Event:
        """The event with the facts and labels of the tables it had no facts of."""
        asked = frozenset(self._connectors.keys() - event.facts.keys())
        if asked not in self._stages:
            rules = [rule for rule in self._rules if rule.connector in asked]
            self._stages[asked] = EnrichmentStage(rules, self._connectors)
        (result,) = await self._stages[asked]([event])
        return result.outputs[0]

    def unasked(self, event: Event) -> Iterator[str]:
        """The connectors a running system would ask about the event, and this one does not."""
        for rule, tests in zip(self._rules, self._tests, strict=True):
            known = rule.connector in event.facts or rule.connector in self._connectors
            if not known and all_hold(tests, event):
                yield rule.connector
