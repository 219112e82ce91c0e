"""The door that the corpus is sent to, with a log that keeps the bytes of every record, and the judge of one case."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from andon.config.plugs import SourcePlug
from andon.config.settings import Listen
from andon.core.event import Position
from andon.core.failure import Retryable
from andon.core.ports import Clock
from andon.core.reason import Reason
from andon.ingress import api
from andon.ingress.bodies.draft import Draft
from andon.runtime.clock import SystemClock
from tests.component.ingress.corpus import vendors
from tests.component.ingress.corpus.case import BODY, GONE, HTTP, NOW, Case, How
from tests.component.ingress.corpus.signed import provider
from tests.component.ingress.corpus.wire import Answer, Wire
from tests.component.ingress.stand import TOPIC, Stand, standing
from tests.component.ingress.wecom import source

SLOWEST_S = 0.1
"""How long the door waits for a body that a test never finishes."""


class Standing(SystemClock):
    """Sleeps as long as is asked, and says always the same time."""

    def now(self) -> float:
        return float(NOW)


class Kept:
    """A log that acknowledges everything, and keeps it."""

    def __init__(self) -> None:
        self.records: list[bytes] = []

    async def append(self, drafts: Sequence[Draft], late: object = None, /) -> Sequence[Position | Retryable]:
        self.records += [draft.record for draft in drafts]
        return [Position(TOPIC, 0, len(self.records), NOW * 1_000)] * len(drafts)


@asynccontextmanager
async def door(
    folder: Path,
    clock: Clock = Standing(),  # noqa: B008 - it has no state
    listen: Listen = Listen(strangers="none"),  # noqa: B008 - frozen
    plugs: Mapping[str, SourcePlug] = {},
) -> AsyncIterator[tuple[Stand, Kept]]:
    """The door, and what it has taken."""
    log = Kept()
    callbacks = {"app-events": source(folder, clock), **vendors.sources(folder, clock)}
    plant = provider(clock)
    providers = {"plant": plant}
    async with standing(
        folder, log=log, callbacks=callbacks, clock=clock, body=BODY, listen=listen, plugs=plugs, providers=providers
    ) as stand:
        await plant.renew()
        yield stand, log


async def misses(
    cases: Iterable[Case], stand: Stand, log: Kept, monkeypatch: pytest.MonkeyPatch
) -> list[tuple[str, str]]:
    """The class of each case that is missed, and what is wrong; one after the other."""
    async with Wire(stand.port) as wire:
        found = [(case.group, await miss(case, wire, stand, log, monkeypatch)) for case in cases]
    return [(group, wrong) for group, wrong in found if wrong is not None]


async def miss(case: Case, wire: Wire, stand: Stand, log: Kept, monkeypatch: pytest.MonkeyPatch) -> str | None:
    """What is wrong about the answer to a case, about what the log has afterwards, or about what was counted; None when
    nothing is."""
    before, counted = len(log.records), stand.counts.no.copy()
    with monkeypatch.context() as patch:
        if case.reason == Reason.TIMEOUT:
            patch.setattr(api, "SLOWEST", SLOWEST_S)
        try:
            answers = await _answers(case, wire)
            found = (
                _wrong(case, answers) or _kept(case, log.records[before:]) or _counted(case, stand.counts.no - counted)
            )
        except TimeoutError:
            await wire.close()
            found = "no answer, or no end of it"
    return f"{case.group}: {case.name}: {found}" if found else None


async def _answers(case: Case, wire: Wire) -> Sequence[Answer]:
    if case.how is How.NEXT:
        return [await wire.ask(case.request)]
    return await wire.apart(case.request, case.how)


def _wrong(case: Case, answers: Sequence[Answer]) -> str | None:
    if case.status == GONE:
        return f"answered {answers}" if answers else None
    if len(answers) != 1:
        return f"{len(answers)} answers: {answers}"
    (answer,) = answers
    wanted = (case.status, "" if case.reason == HTTP else case.reason)
    if answer.judged != wanted:
        return f"answered {answer.judged} and not {wanted}: {answer.body[:300]!r}"
    told = (answer.headers.get("retry-after"), answer.problem.get("retry_after"))
    if case.after is not None and told != (str(case.after), case.after):
        return f"says to wait for {told} and not {case.after} s"
    if case.field is not None and answer.problem.get("field") != case.field:
        return f"says {answer.problem.get('field')!r} and not {case.field!r}: {answer.body[:300]!r}"
    return None


def _kept(case: Case, records: Sequence[bytes]) -> str | None:
    if len(records) != len(case.kept):
        return f"{len(records)} records and not {len(case.kept)}: {records[:2]}"
    for record, part in zip(records, case.kept, strict=True):
        if part not in record:
            return f"the log has {record[:300]!r} and not {part[:300]!r}"
    return None


def _counted(case: Case, counted: Counter[str]) -> str | None:
    if case.status == GONE:
        return None  # that somebody has left is seen a little later
    wanted = {Reason.MALFORMED if case.reason == HTTP else case.reason: 1} if case.status >= 400 else {}
    if case.status == 405:
        wanted = {Reason.INVALID: 1}
    return None if counted == wanted else f"counted as {dict(counted)} and not {wanted}"
