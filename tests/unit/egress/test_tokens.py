"""Access tokens: fetched once by whoever comes first, renewed once, and never asked for again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

import pytest

from andon.config.secrets import SecretRef
from andon.core.failure import Failure, Rejected, Retryable
from andon.core.reason import Reason
from andon.egress.hold_off import HOLD_OFF_S
from andon.egress.tokens import Granted, Tokens
from andon.testing.clock import ManualClock
from andon.testing.vault import MemoryVault


class Vendor:
    """Gives t1, t2, …, or raises what it is told."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.failure: Failure | None = None
        self.lasts = 7200.0
        self.slow = 0.0

    async def grant(self, secret: str, _deadline: float) -> Granted:
        self.asked.append(secret)
        await asyncio.sleep(self.slow)
        if self.failure is not None:
            raise self.failure
        return Granted(f"t{len(self.asked)}", self.lasts)


@pytest.fixture
def vendor() -> Vendor:
    return Vendor()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def process(vendor: Vendor, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Tokens]:
    """Another process with the same account, over the same vault."""
    monkeypatch.setenv("APP_SECRET", "right")
    vault = MemoryVault()
    return lambda: Tokens("app", SecretRef("env:APP_SECRET"), vendor.grant, clock, vault)


def test_many_calls_of_many_processes_fetch_one_token(process: Callable[[], Tokens], vendor: Vendor) -> None:
    async def scene() -> None:
        vendor.slow = 0.3
        all_of_them = [process() for _ in range(3)]
        got = await asyncio.gather(*(one.token(5.0) for one in all_of_them for _ in range(5)))
        assert set(got) == {"t1"}
        assert len(vendor.asked) == 1

    asyncio.run(scene())


def test_many_calls_of_a_process_without_a_vault_fetch_one_token(
    vendor: Vendor, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alertmanager, wechat.go: a cache without a lock, so that each call that finds no token asks for another."""
    monkeypatch.setenv("APP_SECRET", "right")

    async def scene() -> None:
        vendor.slow = 0.1
        tokens = Tokens("app", SecretRef("env:APP_SECRET"), vendor.grant, clock, None)
        assert set(await asyncio.gather(*(tokens.token(5.0) for _ in range(5)))) == {"t1"}
        assert len(vendor.asked) == 1

    asyncio.run(scene())


def test_a_token_is_renewed_before_it_ends(process: Callable[[], Tokens], vendor: Vendor, clock: ManualClock) -> None:
    async def scene() -> None:
        tokens = process()
        assert await tokens.token(5.0) == "t1"
        clock.advance(6_899)
        assert await tokens.token(5.0) == "t1"
        clock.advance(2)
        assert await tokens.token(5.0) == "t2"
        assert len(vendor.asked) == 2

    asyncio.run(scene())


@pytest.mark.parametrize("refused", [False, True])
def test_what_was_kept_before_the_clock_was_set_back_by_hours_says_nothing(
    refused: bool, process: Callable[[], Tokens], vendor: Vendor, clock: ManualClock
) -> None:
    async def scene() -> None:
        vendor.failure = Rejected(Reason.CREDENTIALS, "errcode 40001") if refused else None
        with suppress(Rejected):
            assert await process().token(5.0) == "t1"
        vendor.failure = None
        clock.advance(-8 * 3_600)
        assert await process().token(5.0, stale="t1") == "t2"
        clock.advance(-10)
        assert await process().token(5.0) == "t2", "so far two hosts' clocks may differ"
        assert len(vendor.asked) == 2

    asyncio.run(scene())


def test_a_refused_token_is_renewed_once_for_all(
    process: Callable[[], Tokens], vendor: Vendor, clock: ManualClock
) -> None:
    async def scene() -> None:
        one, two = process(), process()
        assert await one.token(5.0) == await two.token(5.0) == "t1"
        clock.advance(60)
        got = await asyncio.gather(*(each.token(5.0, stale="t1") for each in (one, two, one, two)))
        assert set(got) == {"t2"}
        assert await two.token(5.0) == "t2"
        assert len(vendor.asked) == 2

    asyncio.run(scene())


def test_a_new_token_that_is_refused_is_no_reason_to_ask_again(process: Callable[[], Tokens], vendor: Vendor) -> None:
    async def scene() -> None:
        tokens = process()
        stale = await tokens.token(5.0)
        for _ in range(20):
            with pytest.raises(Retryable) as caught:
                await tokens.token(5.0, stale=stale)
            assert caught.value.reason is Reason.CREDENTIALS
        assert len(vendor.asked) == 1

    asyncio.run(scene())


def test_a_wrong_secret_is_asked_with_once_in_ten_minutes_by_all(
    process: Callable[[], Tokens], vendor: Vendor, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> None:
        vendor.failure = Rejected(Reason.CREDENTIALS, "errcode 40001")
        one, two = process(), process()
        for tokens in (one, two, one, two, one):
            with pytest.raises(Rejected) as caught:
                await tokens.token(5.0)
            assert caught.value.reason is Reason.CREDENTIALS
        assert len(vendor.asked) == 1
        clock.advance(HOLD_OFF_S - 1)
        with pytest.raises(Rejected):
            await two.token(5.0)
        assert len(vendor.asked) == 1
        clock.advance(2)
        with pytest.raises(Rejected):
            await two.token(5.0)
        assert len(vendor.asked) == 2
        vendor.failure = None
        monkeypatch.setenv("APP_SECRET", "mended")
        assert await one.token(5.0) == "t3", "a changed secret counts at once"
        assert vendor.asked[-1] == "mended"

    asyncio.run(scene())


def test_a_corrected_account_counts_at_once_for_all(
    vendor: Vendor, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A corp id that was wrong: the secret beside it was right all the time."""
    monkeypatch.setenv("APP_SECRET", "right")
    vault = MemoryVault()

    def process() -> Tokens:
        corp = SecretRef("env:APP_CORP")
        return Tokens("app", SecretRef("env:APP_SECRET"), vendor.grant, clock, vault, beside=corp)

    async def scene() -> None:
        one = process()
        monkeypatch.setenv("APP_CORP", "ww-wrong")
        vendor.failure = Rejected(Reason.CREDENTIALS, "errcode 40013")
        for tokens in (one, one, process()):
            with pytest.raises(Rejected) as caught:
                await tokens.token(5.0)
        until = datetime.fromtimestamp(clock.now() + HOLD_OFF_S, UTC)
        assert caught.value.detail == f"errcode 40013; not asked again before {until:%H:%M} UTC"
        assert len(vendor.asked) == 1
        vendor.failure = None
        monkeypatch.setenv("APP_CORP", "ww-right")
        assert await process().token(5.0) == await one.token(5.0) == "t2", "after a restart too"
        assert vendor.asked == ["right"] * 2
        assert not any("ww-" in of for of, _ in vault.values.values())

    asyncio.run(scene())


def test_a_throttled_question_waits_for_all(process: Callable[[], Tokens], vendor: Vendor, clock: ManualClock) -> None:
    async def scene() -> None:
        vendor.failure = Retryable(Reason.THROTTLED, "errcode 45009", after=600)
        one, two = process(), process()
        for tokens in (one, two, one):
            with pytest.raises(Retryable) as caught:
                await tokens.token(5.0)
            assert caught.value.reason is Reason.THROTTLED
            assert caught.value.after == pytest.approx(600)
        assert len(vendor.asked) == 1

    asyncio.run(scene())


def test_a_time_that_an_older_version_took_from_the_vendor_keeps_nobody_from_asking_for_ever(
    process: Callable[[], Tokens], vendor: Vendor, clock: ManualClock
) -> None:
    async def scene() -> None:
        shut = vendor.failure = Retryable(Reason.THROTTLED, "HTTP 429")
        shut.after = 99_999_999_999.0
        with pytest.raises(Retryable):
            await process().token(5.0)
        vendor.failure = None
        clock.advance(3_590)
        with pytest.raises(Retryable):
            await process().token(5.0)
        clock.advance(20)
        assert await process().token(5.0) == "t2"

    asyncio.run(scene())


@pytest.mark.parametrize("failed", [Retryable(Reason.TIMEOUT, "slow", ambiguous=True), Retryable(Reason.BUSY, "busy")])
def test_a_question_that_failed_sent_no_notice(
    process: Callable[[], Tokens], vendor: Vendor, failed: Retryable
) -> None:
    async def scene() -> None:
        vendor.failure = failed
        tokens = process()
        for _ in range(2):
            with pytest.raises(Retryable) as caught:
                await tokens.token(5.0)
            assert not caught.value.ambiguous
        assert len(vendor.asked) == 2, "the claim ends with the failure"
        vendor.failure = None
        assert await process().token(5.0) == "t3"

    asyncio.run(scene())


def test_who_waits_for_another_process_waits_within_its_time(process: Callable[[], Tokens], vendor: Vendor) -> None:
    async def scene() -> None:
        vendor.slow = 30.0
        slow = asyncio.ensure_future(process().token(60.0))
        await asyncio.sleep(0.05)
        with pytest.raises(Retryable) as caught:
            await process().token(0.3)
        assert caught.value.reason is Reason.NOT_SENT
        assert len(vendor.asked) == 1
        slow.cancel()
        await asyncio.gather(slow, return_exceptions=True)
        vendor.slow = 0.0
        assert await process().token(5.0) == "t2"

    asyncio.run(scene())


def test_nothing_is_shown(process: Callable[[], Tokens]) -> None:
    async def scene() -> None:
        tokens = process()
        await tokens.token(5.0)
        assert "right" not in repr(tokens)
        assert "t1" not in repr(tokens)

    asyncio.run(scene())


def test_without_a_secret_nothing_is_asked(vendor: Vendor, clock: ManualClock) -> None:
    tokens = Tokens("app", SecretRef("env:ANDON_NO_SUCH_SECRET"), vendor.grant, clock, None)
    with pytest.raises(Retryable, match="ANDON_NO_SUCH_SECRET"):
        asyncio.run(tokens.token(5.0))
    assert not vendor.asked
