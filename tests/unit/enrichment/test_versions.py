"""What enrichment remembers outlives the versions that are not about it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any

from andon.config.published import Published
from andon.config.settings import Settings
from andon.core.event import Event
from andon.core.failure import Retryable
from andon.core.ports import Context, Facts
from andon.core.reason import Reason
from andon.enrichment.app import GROUP, Enrichment
from andon.enrichment.config import ConnectorConfig
from andon.runtime.breaker import State
from andon.runtime.metrics import Metrics
from andon.runtime.registry import Registry
from andon.testing.clock import ManualClock

MES = {"kind": "mes", "table": "machines"}


class Mes:
    """Knows every machine, while the database is there."""

    class Config(ConnectorConfig):
        table: str

    built: list[Mes]
    asks: Callable[[], Coroutine[Any, Any, None]]

    def __init__(self, config: Config, context: Context) -> None:
        self.context = context
        self.table = config.table
        self.closed = False
        Mes.built.append(self)

    async def lookup(self, keys: Sequence[str], /) -> Sequence[Facts]:
        await Mes.asks()
        return [Facts({"no": key}) for key in keys]

    async def close(self) -> None:
        self.closed = True


async def answers() -> None:
    """The database is there."""


async def is_down() -> None:
    raise Retryable(Reason.CONNECTION)


def version(connectors: dict[str, Any], folder: str = "/etc/andon", **more: Any) -> Published:
    rules = [{"connector": name, "wait": "1s"} for name in connectors]
    settings = {"version": 1, "connectors": connectors, "enrich": rules, "route": {"receiver": "it"}, **more}
    return Published(1, datetime(2026, 11, 27, tzinfo=UTC), "", folder, Settings.model_validate(settings), {})


class Plant:
    """Enrichment of one version after the other."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.registry = Registry({GROUP: {"mes": Mes}})
        self.now: Enrichment | None = None
        Mes.built = []
        Mes.asks = answers

    def take(self, published: Published) -> list[str]:
        """Brings a version into force; the names of what it does not go on with."""
        old = self.now
        self.now = Enrichment(published, self.registry, self.clock, old.served if old else {})
        return [served.connector.name for served in old.gone(self.now)] if old else []

    async def fact(self, subject: str = "M-1") -> Any:
        assert self.now is not None
        event = Event("e", "mes", "machine.fault", subject, datetime(2023, 11, 14, tzinfo=UTC), {})
        (result,) = await self.now.stage([event])
        return result.outputs[0].facts["machine"]

    async def close(self) -> None:
        assert self.now is not None
        await self.now.close()


async def settle() -> None:
    for _ in range(12):
        await asyncio.sleep(0)


def test_a_version_about_other_things_forgets_no_answer_and_no_failure() -> None:
    async def scenario() -> None:
        plant = Plant()
        plant.take(version({"machine": MES}))
        assert await plant.fact() == {"no": "M-1"}
        Mes.asks = is_down
        plant.clock.advance(90)
        for _ in range(5):
            assert await plant.fact() == {"no": "M-1", "age_s": 90}
        assert plant.take(version({"machine": dict(MES)}, site={"name": "plant 2"})) == []
        assert await plant.fact() == {"no": "M-1", "age_s": 90}
        assert await plant.fact("M-2") == {"missing": "breaker_open"}
        assert plant.now is not None
        assert plant.now.served["machine"].connector.breaker.state is State.OPEN
        await plant.close()
        assert [one.closed for one in Mes.built] == [True]

    asyncio.run(scenario())


def test_the_breaker_of_a_connector_that_was_removed_is_shown_no_more() -> None:
    async def scenario() -> None:
        plant = Plant()
        metrics = Metrics()
        metrics.refresh(lambda: plant.now.gauge(metrics) if plant.now else None)
        plant.take(version({"machine": MES}))
        Mes.asks = is_down
        for number in range(5):
            await plant.fact(f"M-{number}")
        assert 'andon_breaker_state{target="machine"} 2.0' in metrics.text().decode()
        plant.take(version({"line": MES}))
        text = metrics.text().decode()
        assert 'andon_breaker_state{target="line"} 0.0' in text
        assert 'target="machine"' not in text
        await plant.close()

    asyncio.run(scenario())


def test_a_call_under_way_serves_the_next_version() -> None:
    async def scenario() -> None:
        plant = Plant()
        plant.take(version({"machine": MES}))
        Mes.asks = lambda: plant.clock.sleep(0.5)
        asked = asyncio.ensure_future(plant.fact())
        await settle()
        plant.take(version({"machine": MES}, site={"name": "plant 2"}))
        Mes.asks = is_down
        again = asyncio.ensure_future(plant.fact())
        await settle()
        plant.clock.advance(0.5)
        assert await asked == await again == {"no": "M-1"}
        await plant.close()

    asyncio.run(scenario())


def test_what_a_connector_is_made_of_makes_it_another() -> None:
    async def scenario() -> None:
        plant = Plant()
        plant.take(version({"machine": MES, "line": MES}))
        proxy = {"proxy": "http://10.0.0.1:3128"}
        assert plant.take(version({"machine": {**MES, "table": "lines"}, "line": MES})) == ["machine"]
        assert plant.take(version({"machine": {**MES, "table": "lines"}, "line": MES}, "/srv")) == ["machine", "line"]
        assert plant.take(version({"machine": {**MES, "table": "lines"}}, "/srv", site=proxy)) == ["machine", "line"]
        assert Mes.built[-1].context.wire.way.proxy is not None
        assert await plant.fact() == {"no": "M-1"}
        await plant.close()
        assert [one.closed for one in Mes.built] == [*([False] * 5), True]

    asyncio.run(scenario())
