"""The topics a door reads, from one version of the configuration to the next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, ClassVar, cast

import pytest

from andon.core.ports import Source
from andon.ingress import feeds
from andon.ingress.feeds import Feeds, Reading
from andon.kafka.connection import Connection
from andon.kafka.errors import KafkaFailure, NoEntry
from andon.kafka.foreign import ReadTopic
from andon.runtime.clock import SystemClock
from andon.runtime.feeds import Feed
from andon.runtime.metrics import Metrics
from andon.runtime.stage import StageSettings
from andon.testing.clock import ManualClock

Wanted = dict[str, tuple[Feed, Reading]]


class Runner:
    """A stage that reads until it is told to stop."""

    reads: dict[str, StageSettings[Any]]
    assigned = True

    def __init__(self, settings: StageSettings[Any], *_others: object) -> None:
        self._settings = settings

    async def run(self, stop: asyncio.Event) -> None:
        Runner.reads[self._settings.service] = self._settings
        await stop.wait()
        del Runner.reads[self._settings.service]


def _feed(name: str, topic: str, password: str) -> tuple[Feed, Reading]:
    sasl = {"mechanism": "PLAIN", "user": "env:ANDON_TEST_USER", "password": password}
    config = ReadTopic.model_validate({"topic": topic, "bootstrap": "kafka.mes:9092", "sasl": sasl})
    reading = Reading(name, cast("Source", None), 1_000, lambda: False, SystemClock())
    return Feed(name, config), reading


def _follow(monkeypatch: pytest.MonkeyPatch, body: Callable[[Feeds], Any]) -> None:
    monkeypatch.setattr(feeds, "StageRunner", Runner)
    Runner.reads = {}

    async def main() -> None:
        def fatal(error: BaseException) -> None:
            raise error

        under = Feeds(Connection("b"), SystemClock(), Metrics(), None, 0, fatal)
        await body(under)
        await under.close()

    asyncio.run(main())


def test_a_password_that_is_missing_costs_its_own_topic_until_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANDON_TEST_USER", "andon")
    monkeypatch.setenv("ANDON_TEST_OLD", "old")
    monkeypatch.delenv("ANDON_TEST_NEW", raising=False)
    monkeypatch.setattr(feeds, "_BARRED_S", 0.01)
    first: Wanted = {
        "source-mes": _feed("mes", "mes", "env:ANDON_TEST_OLD"),
        "source-scada": _feed("scada", "alarms", "env:ANDON_TEST_OLD"),
    }
    second: Wanted = {
        "source-mes": _feed("mes", "mes", "env:ANDON_TEST_NEW"),
        "source-lab": _feed("lab", "lab", "env:ANDON_TEST_OLD"),
    }

    async def body(under: Feeds) -> None:
        await under.take(first, 10, 1)
        await asyncio.sleep(0)
        assert Runner.reads.keys() == first.keys()
        await under.take(second, 10, 2)
        await asyncio.sleep(0.05)
        assert Runner.reads.keys() == {"source-lab"}
        monkeypatch.setenv("ANDON_TEST_NEW", "new")
        async with asyncio.timeout(10):
            while "source-mes" not in Runner.reads:  # noqa: ASYNC110 - nobody tells of it
                await asyncio.sleep(0.01)

    _follow(monkeypatch, body)


def test_a_version_ends_what_it_does_not_name_and_begins_what_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANDON_TEST_USER", "andon")
    monkeypatch.setenv("ANDON_TEST_OLD", "old")
    monkeypatch.setenv("ANDON_TEST_NEW", "new")

    async def body(under: Feeds) -> None:
        await under.take({"source-mes": _feed("mes", "mes", "env:ANDON_TEST_OLD")}, 10, 1)
        await asyncio.sleep(0)
        second: Wanted = {
            "source-mes": _feed("mes", "mes", "env:ANDON_TEST_NEW"),
            "source-lab": _feed("lab", "lab", "env:ANDON_TEST_OLD"),
        }
        await under.take(second, 10, 2)
        await asyncio.sleep(0)
        assert Runner.reads.keys() == second.keys()
        elsewhere = Runner.reads["source-mes"].elsewhere
        assert elsewhere is not None
        assert elsewhere.security["sasl.password"] == "new"

    _follow(monkeypatch, body)


class Kept(Runner):
    """One that is kept out as long as `reasons` has one for it."""

    reasons: ClassVar[list[KafkaFailure]] = []
    tries = 0

    async def run(self, stop: asyncio.Event) -> None:
        Kept.tries += 1
        if Kept.reasons:
            self.assigned = False
            raise Kept.reasons.pop(0)
        await super().run(stop)

    async def connected(self) -> bool:
        return self.assigned


async def _turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def _keep_out(monkeypatch: pytest.MonkeyPatch, *reasons: KafkaFailure) -> None:
    monkeypatch.setenv("ANDON_TEST_USER", "andon")
    monkeypatch.setenv("ANDON_TEST_OLD", "old")
    monkeypatch.setattr(feeds, "StageRunner", Kept)
    monkeypatch.setattr(Kept, "reasons", list(reasons))
    monkeypatch.setattr(Kept, "tries", 0)
    Runner.reads = {}


def test_a_cluster_that_cannot_be_entered_costs_its_own_topic_and_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    file, other = NoEntry("the TLS file k.pem cannot be used"), NoEntry("the TLS file ca.pem cannot be used")
    _keep_out(monkeypatch, file, file, other)

    async def main() -> None:
        clock, failed = ManualClock(), list[BaseException]()
        under = Feeds(Connection("b"), clock, Metrics(), None, 0, failed.append)
        await under.take({"source-mes": _feed("mes", "mes", "env:ANDON_TEST_OLD")}, 10, 1)
        for tried in (1, 2, 3):
            await _turns()
            assert (Kept.tries, failed) == (tried, [])
            assert under.assigned, "the door is ready for all others"
            assert not await under.links()["mes"]()
            monkeypatch.setenv("ANDON_TEST_OLD", "rotated")
            clock.advance(5)
        await _turns()
        elsewhere = Runner.reads["source-mes"].elsewhere
        assert elsewhere is not None
        assert elsewhere.security["sasl.password"] == "rotated"
        assert caplog.messages == [
            f"the source mes: its topic is not read until its cluster can be entered: {said}" for said in (file, other)
        ]
        await under.close()

    asyncio.run(main())


def test_the_door_waits_a_minute_for_a_cluster_that_does_not_answer_and_for_its_own_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Runner, "assigned", False)
    monkeypatch.setenv("ANDON_TEST_USER", "andon")
    monkeypatch.setenv("ANDON_TEST_OLD", "old")
    monkeypatch.setattr(feeds, "StageRunner", Runner)
    Runner.reads = {}

    async def main() -> None:
        clock = ManualClock()
        under = Feeds(Connection("b"), clock, Metrics(), None, 0, lambda _error: None)
        other = _feed("mes", "mes", "env:ANDON_TEST_OLD")
        await under.take({"source-mes": other}, 10, 1)
        clock.advance(59)
        assert not under.assigned
        clock.advance(2)
        assert under.assigned, "the door is ready for all others"
        ours = Feed("scada", ReadTopic(topic="alarms")), other[1]
        await under.take({"source-mes": other, "source-scada": ours}, 10, 2)
        clock.advance(600)
        assert not under.assigned
        await under.close()

    asyncio.run(main())


def test_what_is_wrong_again_after_it_was_right_is_said_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _keep_out(monkeypatch)
    refused = NoEntry("refused")

    class Later(Kept):
        async def run(self, stop: asyncio.Event) -> None:
            await self._others[1].sleep(3_600)
            raise refused

        def __init__(self, settings: StageSettings[Any], *others: Any) -> None:
            super().__init__(settings)
            self._others = others[1:]

    monkeypatch.setattr(feeds, "StageRunner", Later)

    async def main() -> None:
        clock = ManualClock()
        under = Feeds(Connection("b"), clock, Metrics(), None, 0, lambda _error: None)
        await under.take({"source-mes": _feed("mes", "mes", "env:ANDON_TEST_OLD")}, 10, 1)
        for _ in range(2):
            await _turns()
            clock.advance(3_600)
            await _turns()
            clock.advance(5)
        assert len(caplog.messages) == 2
        await under.close()

    asyncio.run(main())


def test_what_fails_the_log_of_our_own_is_fatal(monkeypatch: pytest.MonkeyPatch) -> None:
    failure = KafkaFailure("the TLS file ca.pem cannot be used")
    _keep_out(monkeypatch, failure)

    async def main() -> None:
        failed = list[BaseException]()
        under = Feeds(Connection("b"), ManualClock(), Metrics(), None, 0, failed.append)
        await under.take({"source-mes": _feed("mes", "mes", "env:ANDON_TEST_OLD")}, 10, 1)
        await _turns()
        assert failed == [failure]

    asyncio.run(main())
