"""Enrichment: what the stage writes down, and what cache, deadline and breaker do to a source that misbehaves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from andon.config.routing import EnrichRule
from andon.config.settings import Settings
from andon.core.event import Event
from andon.core.failure import Rejected, Retryable
from andon.core.ports import Facts
from andon.core.reason import Reason
from andon.enrichment import CachedConnector, CachePolicy, EnrichmentStage, check
from andon.runtime.breaker import State
from andon.testing.clock import ManualClock


class Source:
    """Knows M-0 to M-9; `behaviour` runs before each answer."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.closed = 0
        self.behaviour: Callable[[], Coroutine[Any, Any, None]] | None = None
        self.version = 1
        self.renamed: dict[str, str] = {}

    async def lookup(self, keys: Sequence[str], /) -> Sequence[Facts]:
        self.calls.append(list(keys))
        if self.behaviour:
            await self.behaviour()
        known = {f"M-{number}": {"line": f"L{number}", "version": self.version} for number in range(10)}
        names = [self.renamed.get(key, key) for key in keys]
        return [Facts(known[name]) if name in known else Facts({}, found=False) for name in names]

    async def close(self) -> None:
        self.closed += 1


class Plant:
    """A source behind a cache with a manual clock, and a stage with one rule."""

    def __init__(self, policy: CachePolicy | None = None, **rule: Any) -> None:
        self.clock = ManualClock()
        self.source = Source()
        self.cached = CachedConnector("machine", self.source, self.clock, policy or CachePolicy())
        rules = [EnrichRule.model_validate({"connector": "machine", "wait": "1s", **rule})]
        self.stage = EnrichmentStage(rules, {"machine": self.cached})

    async def facts(self, *subjects: str) -> list[Any]:
        return [event.facts.get("machine") for event in await self.enrich(*map(event_of, subjects))]

    async def enrich(self, *events: Event) -> list[Event]:
        results = await self.stage(events)
        assert all(result.ended is None and len(result.outputs) == 1 for result in results)
        return [result.outputs[0] for result in results]

    async def while_time_passes(self, seconds: float, *subjects: str) -> list[Any]:
        """The facts of a batch during which the clock moves, in steps of a tenth of a second, by at most `seconds`."""
        asked = asyncio.ensure_future(self.facts(*subjects))
        for _ in range(round(seconds * 10)):
            await settle()
            if asked.done():
                break
            self.clock.advance(0.1)
        await settle()
        assert asked.done(), "the stage waits longer than it may"
        return asked.result()


async def settle() -> None:
    for _ in range(12):
        await asyncio.sleep(0)


def event_of(subject: str, kind: str = "machine.fault", **parts: Any) -> Event:
    return Event("e", "mes", kind, subject, datetime(2023, 11, 14, tzinfo=UTC), parts.pop("data", {}), **parts)


def fails_with(error: BaseException) -> Callable[[], Coroutine[Any, Any, None]]:
    async def behaviour() -> None:
        raise error

    return behaviour


async def hang() -> None:
    await asyncio.Event().wait()


def test_a_batch_is_one_question() -> None:
    async def scenario() -> None:
        plant = Plant()
        facts = await plant.facts("M-1", "M-2", "M-1", "M-x", "")
        assert facts == [
            {"line": "L1", "version": 1},
            {"line": "L2", "version": 1},
            {"line": "L1", "version": 1},
            {"missing": "not_found"},
            {"missing": "no_key"},
        ]
        assert plant.source.calls == [["M-1", "M-2", "M-x"]]

    asyncio.run(scenario())


def test_only_what_matches_is_asked() -> None:
    async def scenario() -> None:
        plant = Plant(matchers=['type="machine.fault"', "data.level > 1"])
        events = [event_of("M-1"), event_of("M-2", data={"level": 2}), event_of("M-3", "report", data={"level": 2})]
        found = await plant.enrich(*events)
        assert [list(event.facts) for event in found] == [[], ["machine"], []]
        assert found[0] is events[0]
        assert plant.source.calls == [["M-2"]]

    asyncio.run(scenario())


def test_labels_are_set_where_their_values_are_known() -> None:
    async def scenario() -> None:
        labels = {"line": "{facts.machine.line}", "both": "{facts.machine.line}-{data.n}", "none": "{facts.machine.no}"}
        plant = Plant(labels=labels)
        found = await plant.enrich(
            event_of("M-1", labels={"line": "?", "x": "y"}),
            event_of("M-x", labels={"line": "?"}),
            event_of("M-2", data={"n": 5}),
        )
        assert [event.labels for event in found] == [
            {"line": "L1", "x": "y"},
            {"line": "?"},
            {"line": "L2", "both": "L2-5"},
        ]

    asyncio.run(scenario())


def test_a_later_rule_sees_what_an_earlier_one_found() -> None:
    async def scenario() -> None:
        first, second = Plant(), Plant()
        second.cached.name = "line"
        rules = [
            EnrichRule(connector="machine", by="data.no", labels={"sister": "M-2"}),
            EnrichRule(matchers=("sister=M-2", "facts.machine.version == 1"), connector="line", by="labels.sister"),
        ]
        stage = EnrichmentStage(rules, {"machine": first.cached, "line": second.cached})
        (result,) = await stage([event_of("x", data={"no": "M-1"})])
        assert result.outputs[0].facts["line"] == {"line": "L2", "version": 1}

    asyncio.run(scenario())


def test_answers_serve_for_their_time_and_not_longer() -> None:
    async def scenario() -> None:
        plant = Plant(CachePolicy(fresh=60, negative=5))
        await plant.facts("M-1", "M-x")
        plant.source.version = 2
        plant.clock.advance(4.9)
        assert (await plant.facts("M-1", "M-x"))[0] == {"line": "L1", "version": 1}
        assert len(plant.source.calls) == 1
        plant.clock.advance(1)
        await plant.facts("M-1", "M-x")
        assert plant.source.calls[1:] == [["M-x"]]  # "not found" serves shorter
        plant.clock.advance(55)
        assert await plant.facts("M-1") == [{"line": "L1", "version": 2}]

    asyncio.run(scenario())


def test_a_clock_that_is_set_back_makes_no_answer_the_fresher() -> None:
    async def scenario() -> None:
        plant = Plant(CachePolicy(fresh=60, negative=5))
        await plant.facts("M-1", "M-x")
        plant.clock.advance(-8 * 3_600)
        plant.source.version = 2
        assert await plant.facts("M-1") == [{"line": "L1", "version": 2}]
        await plant.facts("M-x")
        assert plant.source.calls[1:] == [["M-1"], ["M-x"]]
        plant.source.behaviour = fails_with(Retryable(Reason.CONNECTION))
        plant.clock.advance(-3_600)
        assert await plant.facts("M-1") == [{"line": "L1", "version": 2, "age_s": 3_600}]

    asyncio.run(scenario())


def test_without_a_cache_every_batch_asks() -> None:
    async def scenario() -> None:
        plant = Plant(CachePolicy(fresh=0))
        assert await plant.facts("M-1") == await plant.facts("M-1") == [{"line": "L1", "version": 1}]
        assert len(plant.source.calls) == 2

    asyncio.run(scenario())


def test_the_cache_is_bounded_and_a_batch_may_be_larger() -> None:
    async def scenario() -> None:
        plant = Plant(CachePolicy(size=2))
        assert [fact["line"] for fact in await plant.facts("M-1", "M-2", "M-3")] == ["L1", "L2", "L3"]
        await plant.facts("M-2")  # keeps M-2 younger than M-3
        await plant.facts("M-4")
        await plant.facts("M-2", "M-3")
        assert plant.source.calls == [["M-1", "M-2", "M-3"], ["M-4"], ["M-3"]]

    asyncio.run(scenario())


def test_keys_that_are_not_there_push_out_none_that_are_and_are_forgotten_themselves() -> None:
    async def scenario() -> None:
        plant = Plant(CachePolicy(size=2, negative=5))
        await plant.facts("M-1", "M-2")
        await plant.facts(*(f"X-{number}" for number in range(9)))
        plant.clock.advance(5)
        await plant.facts("X-9")
        assert list(plant.cached._unknown) == ["X-9"]
        plant.source.behaviour = fails_with(Retryable(Reason.CONNECTION))
        plant.clock.advance(60)
        assert await plant.facts("M-2") == [{"line": "L2", "version": 1, "age_s": 65}]

    asyncio.run(scenario())


def test_a_machine_that_is_gone_is_not_remembered_as_it_was() -> None:
    async def scenario() -> None:
        plant = Plant(CachePolicy(fresh=60, negative=5))
        await plant.facts("M-1", "M-x")
        plant.clock.advance(60)
        plant.source.renamed = {"M-1": "M-x", "M-x": "M-1"}
        assert await plant.facts("M-1", "M-x") == [{"missing": "not_found"}, {"line": "L1", "version": 1}]
        plant.source.behaviour = fails_with(Retryable(Reason.CONNECTION))
        plant.clock.advance(60)
        facts = await plant.facts("M-1", "M-x")
        assert facts == [{"missing": "connection"}, {"line": "L1", "version": 1, "age_s": 60}]

    asyncio.run(scenario())


@pytest.mark.parametrize(("length", "asked"), [(256, 1), (257, 2)])
def test_a_key_as_long_as_a_text_is_answered_and_not_kept(length: int, asked: int) -> None:
    async def scenario() -> None:
        plant = Plant()
        key, unknown = "M-1".ljust(length), "X".ljust(length)
        plant.source.renamed = {key: "M-1"}
        for _ in range(2):
            assert await plant.facts(key, unknown) == [{"line": "L1", "version": 1}, {"missing": "not_found"}]
        assert plant.source.calls == [[key, unknown]] * asked

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Retryable(Reason.CONNECTION, "no route"), "connection"),
        (Rejected(Reason.CREDENTIALS), "credentials"),
        (KeyError("M-1"), "unexpected"),
        (TimeoutError(), "unexpected"),
        (asyncio.CancelledError(), "unexpected"),
    ],
)
def test_a_failure_is_marked_and_never_raised(error: BaseException, reason: str) -> None:
    async def scenario() -> None:
        plant = Plant(labels={"line": "{facts.machine.line}"})
        plant.source.behaviour = fails_with(error)
        (found,) = await plant.enrich(event_of("M-1"))
        assert (found.facts, found.labels) == ({"machine": {"missing": reason}}, {})

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "answer", [[], None, [Facts({}), Facts({})], [{"line": "L1"}], [Facts({"missing": "M"})], [Facts({"age_s": 1})]]
)
def test_a_broken_answer_is_marked(answer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        plant = Plant()

        async def lookup(_keys: Sequence[str]) -> Any:
            return answer

        monkeypatch.setattr(plant.source, "lookup", lookup)
        (fact,) = await plant.facts("M-1")
        assert fact == {"missing": "unexpected" if answer is None else "wrong_answer"}

    asyncio.run(scenario())


@pytest.mark.parametrize("value", [object(), {1j: 1}, "\ud800", "x" * (1 << 20), ["x" * 1_100] * 1_000])
def test_an_answer_that_no_event_can_hold_is_marked_and_costs_the_others_nothing(
    value: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    plant = Plant(CachePolicy(fresh=60))

    async def answer(keys: Sequence[str], /) -> Any:
        return [Facts({"line": value if key == "M-1" else "L2"}) for key in keys]

    async def scenario() -> None:
        assert await plant.facts("M-1") == [{"line": "L1", "version": 1}]
        monkeypatch.setattr(plant.source, "lookup", answer)
        plant.clock.advance(60)
        old = {"line": "L1", "version": 1, "age_s": 60}
        assert await plant.facts("M-1", "M-2") == [old, {"line": "L2"}]
        plant.clock.advance(86_400)
        assert await plant.facts("M-1", "M-2") == [{"missing": "wrong_answer"}, {"line": "L2"}]
        assert plant.cached.breaker.state is State.CLOSED

    asyncio.run(scenario())
    assert {record.message for record in caplog.records} == {"answers that no event can hold"}


def test_a_failing_source_is_covered_by_what_was_known() -> None:
    async def scenario() -> None:
        plant = Plant(CachePolicy(fresh=60, stale=3_600))
        await plant.facts("M-1", "M-x")
        plant.source.behaviour = fails_with(Retryable(Reason.CONNECTION))
        plant.clock.advance(90.7)
        stale = {"line": "L1", "version": 1, "age_s": 90}
        assert await plant.facts("M-1", "M-x", "M-2") == [stale, {"missing": "connection"}, {"missing": "connection"}]
        plant.clock.advance(3_600)
        assert await plant.facts("M-1") == [{"missing": "connection"}]

    asyncio.run(scenario())


def test_nobody_waits_longer_than_the_rule_says() -> None:
    async def scenario() -> None:
        plant = Plant(CachePolicy(fresh=60, deadline=5), wait="1s")
        began = plant.clock.now()
        plant.source.behaviour = hang
        assert await plant.while_time_passes(1.2, "M-1") == [{"missing": "timeout"}]
        assert plant.clock.now() - began <= 1.2
        # nobody waits a second time for the same call, and it isn't made twice
        assert await plant.facts("M-1") == [{"missing": "timeout"}]
        assert plant.source.calls == [["M-1"]]
        await plant.cached.close()

    asyncio.run(scenario())


def test_a_late_answer_serves_the_next_batch() -> None:
    async def scenario() -> None:
        plant = Plant(CachePolicy(deadline=5), wait="1s")
        plant.source.behaviour = lambda: plant.clock.sleep(3)
        assert await plant.while_time_passes(1.2, "M-1") == [{"missing": "timeout"}]
        plant.clock.advance(2)
        await settle()
        assert await plant.facts("M-1") == [{"line": "L1", "version": 1}]
        assert len(plant.source.calls) == 1

    asyncio.run(scenario())


def test_a_call_is_given_up_at_its_deadline() -> None:
    async def scenario() -> None:
        plant = Plant(CachePolicy(deadline=5), wait="1s")
        plant.source.behaviour = hang
        await plant.while_time_passes(1.2, "M-1")
        plant.clock.advance(4)
        await settle()
        plant.source.behaviour = None
        assert await plant.facts("M-1") == [{"line": "L1", "version": 1}]

    asyncio.run(scenario())


def test_two_at_once_make_one_call() -> None:
    async def scenario() -> None:
        plant = Plant(wait="1s")
        plant.source.behaviour = lambda: plant.clock.sleep(0.5)
        both = asyncio.gather(plant.facts("M-1", "M-2"), plant.facts("M-2", "M-1", "M-3"))
        await settle()
        plant.clock.advance(0.5)
        one, other = await both
        assert [fact["line"] for fact in one + other] == ["L1", "L2", "L2", "L1", "L3"]
        assert plant.source.calls == [["M-1", "M-2"], ["M-3"]]

    asyncio.run(scenario())


def test_a_slow_source_gets_no_more_calls_than_allowed() -> None:
    async def scenario() -> None:
        plant = Plant(CachePolicy(in_flight=2, deadline=50), wait="1s")
        plant.source.behaviour = hang
        for number in range(2):
            assert await plant.while_time_passes(1.2, f"M-{number}") == [{"missing": "timeout"}]
        assert await plant.facts("M-3") == [{"missing": "busy"}]
        assert len(plant.source.calls) == 2
        await plant.cached.close()

    asyncio.run(scenario())


def test_a_source_that_keeps_failing_is_left_alone() -> None:
    async def scenario() -> None:
        plant = Plant(CachePolicy(fresh=1))
        assert (await plant.facts("M-1"))[0]["line"] == "L1"
        plant.clock.advance(2)
        plant.source.behaviour = fails_with(Retryable(Reason.CONNECTION))
        for _ in range(5):
            await plant.facts("M-1")
        after_failures = plant.cached.breaker.state
        assert after_failures is State.OPEN
        assert await plant.facts("M-1", "M-2") == [
            {"line": "L1", "version": 1, "age_s": 2},
            {"missing": "breaker_open"},
        ]
        assert len(plant.source.calls) == 6
        plant.source.behaviour = None
        plant.clock.advance(10)
        assert await plant.facts("M-1") == [{"line": "L1", "version": 1}]
        assert plant.cached.breaker.state is State.CLOSED

    asyncio.run(scenario())


def test_answers_that_come_too_late_open_the_breaker_too() -> None:
    async def scenario() -> None:
        plant = Plant(CachePolicy(fresh=0, deadline=50), wait="1s")
        plant.source.behaviour = lambda: plant.clock.sleep(2)
        for number in range(5):
            await plant.while_time_passes(1.2, f"M-{number}")
            plant.clock.advance(1)
            await settle()
        assert plant.cached.breaker.state is State.OPEN

    asyncio.run(scenario())


def test_close_ends_what_is_under_way() -> None:
    async def scenario() -> None:
        plant = Plant()
        ended: list[str] = []

        async def behaviour() -> None:
            try:
                await hang()
            finally:
                ended.append("cancelled")

        plant.source.behaviour = behaviour
        await plant.while_time_passes(1.2, "M-1")
        await plant.cached.close()
        await plant.cached.close()
        assert (ended, plant.source.closed) == (["cancelled"], 2)
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(scenario())


def test_a_cancelled_batch_leaves_the_cache_usable() -> None:
    async def scenario() -> None:
        plant = Plant()
        plant.source.behaviour = lambda: plant.clock.sleep(0.5)
        batch = asyncio.ensure_future(plant.facts("M-1"))
        await settle()
        batch.cancel()
        await asyncio.wait({batch})
        assert batch.cancelled()
        plant.clock.advance(0.5)
        await settle()
        assert (await plant.facts("M-1"))[0]["line"] == "L1"
        assert len(plant.source.calls) == 1

    asyncio.run(scenario())


def test_mistakes_have_their_place() -> None:
    rules = [
        {"connector": "a", "matchers": ["x=1", "x=~("], "by": "data..x", "labels": {"l": "{line}", "m": "ok"}},
        {"connector": "a", "by": "labels.x", "labels": {"l": "{facts.a.b}"}},
    ]
    given = Settings.model_validate({"version": 1, "route": {"receiver": "x"}, "enrich": rules})
    assert [place for place, _ in check(given)] == [
        ("enrich", 0, "matchers", 1),
        ("enrich", 0, "by"),
        ("enrich", 0, "labels", "l"),
    ]
