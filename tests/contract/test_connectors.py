"""Every registered connector passes the contract suite; deliberately broken ones do not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from andon.config.plugs import CONNECTORS
from andon.core.failure import Retryable
from andon.core.ports import Context, Facts
from andon.core.reason import Reason
from andon.enrichment.config import ConnectorConfig
from andon.runtime.registry import Registry
from andon.testing import contract_connectors as contract
from andon.testing.contract_connectors import CHECKS, Check, ConnectorCase, case_of, run

KNOWN = {"A": {"name": "Anna", "floor": 3}, "B": {"name": "Bo", "floor": 4}}
REGISTRY = Registry()


class Shelf:
    """A second connector: it stands in no table of the program, only here."""

    class Config(ConnectorConfig):
        books: dict[str, dict[str, str | int]]

    outage = False
    hanging = False

    def __init__(self, config: Config, context: Context) -> None:
        self.books = config.books
        self.context = context

    async def lookup(self, keys: Sequence[str], /) -> Sequence[Facts]:
        await asyncio.sleep(0)
        if self.hanging:
            await asyncio.Event().wait()
        if self.outage:
            raise Retryable(Reason.CONNECTION)
        return [Facts(dict(self.books[key])) if key in self.books else Facts({}, found=False) for key in keys]

    async def close(self) -> None:
        pass


def shelf_case(plugin: type[Shelf], directory: Path) -> ConnectorCase:
    fresh = type(plugin.__name__, (plugin,), {"outage": False, "hanging": False})
    cut_off, hang = (partial(setattr, fresh, name, True) for name in ("outage", "hanging"))
    return ConnectorCase(fresh, {"books": KNOWN}, directory, KNOWN, cut_off, hang=hang)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("kind", REGISTRY.kinds(CONNECTORS))
def test_registered_connector(kind: str, check: Check, tmp_path: Path) -> None:
    run(check, case_of(kind, REGISTRY.plug_in(CONNECTORS, kind), tmp_path))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_connector_defined_only_here(check: Check, tmp_path: Path) -> None:
    registry = Registry({CONNECTORS: {"shelf": Shelf}})
    assert "shelf" in registry.kinds(CONNECTORS)
    run(check, shelf_case(registry.plug_in(CONNECTORS, "shelf"), tmp_path))


def test_a_connector_without_a_case_is_named(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="connector shelf has no contract_case"):
        case_of("shelf", Shelf, tmp_path)


class SortsItsKeys(Shelf):
    async def lookup(self, keys: Sequence[str], /) -> Sequence[Facts]:
        return await super().lookup(sorted(keys))


class DropsRepeats(Shelf):
    async def lookup(self, keys: Sequence[str], /) -> Sequence[Facts]:
        return await super().lookup(list(dict.fromkeys(keys)))


class RaisesKeyError(Shelf):
    async def lookup(self, keys: Sequence[str], /) -> Sequence[Facts]:
        return [Facts(self.books[key]) for key in keys]


class GuessesTheUnknown(Shelf):
    async def lookup(self, keys: Sequence[str], /) -> Sequence[Facts]:
        return [answer if answer.found else Facts({"name": ""}) for answer in await super().lookup(keys)]


class FillsTheNotFound(Shelf):
    async def lookup(self, keys: Sequence[str], /) -> Sequence[Facts]:
        return [answer if answer.found else Facts({"name": "?"}, found=False) for answer in await super().lookup(keys)]


class FailsOnNothing(Shelf):
    async def lookup(self, keys: Sequence[str], /) -> Sequence[Facts]:
        if not keys:
            raise Retryable(Reason.EMPTY)
        return await super().lookup(keys)


class AnswersAHundred(Shelf):
    async def lookup(self, keys: Sequence[str], /) -> Sequence[Facts]:
        return (await super().lookup(keys))[:100]


class StripsItsKeys(Shelf):
    async def lookup(self, keys: Sequence[str], /) -> Sequence[Facts]:
        return await super().lookup([key.strip().replace("M-01", "A") for key in keys])


class MixesLookups(Shelf):
    async def lookup(self, keys: Sequence[str], /) -> Sequence[Facts]:
        self.keys = keys
        await asyncio.sleep(0.001)
        return await super().lookup(self.keys)


class SharesItsTable(Shelf):
    async def lookup(self, keys: Sequence[str], /) -> Sequence[Facts]:
        return [Facts(self.books[key]) if key in self.books else Facts({}, found=False) for key in keys]


class AnswersWithObjects(Shelf):
    async def lookup(self, keys: Sequence[str], /) -> Sequence[Facts]:
        return [Facts({**answer.values, "at": object()}, answer.found) for answer in await super().lookup(keys)]


class SwallowsCancellation(Shelf):
    async def lookup(self, keys: Sequence[str], /) -> Sequence[Facts]:
        try:
            await asyncio.sleep(0.005)
        except asyncio.CancelledError:
            return []
        return await super().lookup(keys)


class GoesOnWithoutAnAnswer(Shelf):
    async def lookup(self, keys: Sequence[str], /) -> Sequence[Facts]:
        try:
            return await super().lookup(keys)
        except asyncio.CancelledError:
            return [Facts(dict(self.books[key])) if key in self.books else Facts({}, found=False) for key in keys]


class ClosesOnce(Shelf):
    closed = False

    async def close(self) -> None:
        assert not self.closed
        self.closed = True


class RaisesOsError(Shelf):
    async def lookup(self, keys: Sequence[str], /) -> Sequence[Facts]:
        if self.outage:
            raise ConnectionRefusedError
        return await super().lookup(keys)


class HidesItsOutage(Shelf):
    async def lookup(self, keys: Sequence[str], /) -> Sequence[Facts]:
        if self.outage:
            return [Facts({}, found=False) for _ in keys]
        return await super().lookup(keys)


class ForgetsWhatItKnew(Shelf):
    worked = False

    async def lookup(self, keys: Sequence[str], /) -> Sequence[Facts]:
        if self.outage and self.worked:
            return [Facts({}, found=False) for _ in keys]
        answers = await super().lookup(keys)
        self.worked = True
        return answers


class Blocks(Shelf):
    async def lookup(self, keys: Sequence[str], /) -> Sequence[Facts]:
        time.sleep(0.1)  # noqa: ASYNC251 - this is what is caught
        return await super().lookup(keys)


class TakesAnyOption(Shelf):
    class Config(ConnectorConfig, extra="allow"):
        books: dict[str, dict[str, str | int]]


class Hangs(Shelf):
    async def lookup(self, keys: Sequence[str], /) -> Sequence[Facts]:
        if "B" not in keys and keys:
            await asyncio.Event().wait()
        return await super().lookup(keys)


BROKEN: list[tuple[type[Shelf], Check]] = [
    (SortsItsKeys, contract.answers_in_order),
    (DropsRepeats, contract.answers_repeated_keys),
    (RaisesKeyError, contract.says_not_found),
    (GuessesTheUnknown, contract.says_not_found),
    (FillsTheNotFound, contract.says_not_found),
    (FailsOnNothing, contract.answers_nothing_to_nothing),
    (AnswersAHundred, contract.answers_a_thousand_keys),
    (StripsItsKeys, contract.takes_odd_keys),
    (MixesLookups, contract.answers_together),
    (SharesItsTable, contract.answers_alike_twice),
    (AnswersWithObjects, contract.answers_in_json),
    (SwallowsCancellation, contract.ends_when_cancelled),
    (GoesOnWithoutAnAnswer, contract.leaves_a_source_that_hangs),
    (ClosesOnce, contract.closes_twice),
    (RaisesOsError, contract.fails_by_the_book),
    (HidesItsOutage, contract.fails_by_the_book),
    (ForgetsWhatItKnew, contract.tells_a_lost_source_from_an_unknown_key),
    (Blocks, contract.leaves_the_event_loop_to_others),
    (TakesAnyOption, contract.refuses_unknown_options),
    (Hangs, contract.says_not_found),
]


@pytest.mark.parametrize(("plugin", "check"), BROKEN, ids=lambda value: value.__name__)
def test_the_suite_catches(plugin: type[Shelf], check: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract, "DEADLINE", 0.2)
    with pytest.raises(AssertionError):
        run(check, shelf_case(plugin, tmp_path))


def test_every_check_has_caught_something() -> None:
    assert {check for _, check in BROKEN} == set(CHECKS)
