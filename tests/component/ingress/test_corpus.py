"""At least 1,400 abnormal requests, each answered with its own status and reason; good ones, which must pass; and what
a stranger may learn of all that: nothing."""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import pytest

from andon.runtime.clock import SystemClock
from tests.component.ingress.corpus import (
    callbacks,
    data,
    documents,
    events,
    frames,
    gate,
    hooks,
    signed,
    tokens,
    vendors,
    welcome,
)
from tests.component.ingress.corpus.case import MUTES, Case, event, request, text
from tests.component.ingress.corpus.figures import lower_bound, table
from tests.component.ingress.corpus.rig import door, misses
from tests.component.ingress.corpus.wire import Answer, Wire
from tests.component.ingress.wecom import MES, PATH, RANDOM

LEAST = 1_400
BOUND = 0.992
GOOD, REFUSED = 10_000, 0.001
PARTS = (tokens, vendors, hooks, signed, callbacks, documents, events, frames, data)


def corpus() -> Iterator[Case]:
    return chain.from_iterable(part.cases() for part in PARTS)


def test_every_abnormal_request_gets_its_own_answer(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    cases = list(corpus())

    async def run() -> list[tuple[str, str]]:
        async with door(tmp_path) as (stand, log):
            found = await misses(cases, stand, log, monkeypatch)
        for scene in gate.scenes():
            cases.extend(scene.cases)
            (folder := tmp_path / scene.name).mkdir()
            async with door(folder, listen=scene.listen, plugs=scene.plugs) as (stand, log):
                found += await misses(scene.cases, stand, log, monkeypatch)
        return found

    missed = asyncio.run(run())
    names = Counter((case.group, case.name) for case in cases)
    assert len(names) == len(cases), [name for name, count in names.items() if count > 1][:5]
    assert len(cases) >= LEAST
    with capsys.disabled():
        print(f"\n{table(Counter(case.group for case in cases), [group for group, _ in missed])}")
    assert not missed, "\n".join([f"{len(missed)} misses", *(wrong for _, wrong in missed[:40])])
    assert not [one.getMessage() for one in caplog.records if one.levelno >= logging.ERROR], "nothing is our fault"
    assert lower_bound(len(cases) - len(missed), len(cases)) >= BOUND


@pytest.mark.parametrize("count", [GOOD // 4, pytest.param(GOOD, marks=pytest.mark.long)])
def test_no_good_request_is_refused(tmp_path: Path, count: int) -> None:
    cases = list(welcome.cases(count))

    async def run() -> tuple[list[str], list[bytes]]:
        async with door(tmp_path) as (stand, log):
            shares = [cases[first::16] for first in range(16)]
            refused = await asyncio.gather(*(_refused(stand.port, share) for share in shares))
            return list(chain.from_iterable(refused)), log.records

    refused, records = asyncio.run(run())
    assert len(refused) <= count * REFUSED, refused[:10]
    assert len(records) == len(cases) - len(refused)
    whole = b"\n".join(records)
    lost = [case.name for case in cases if any(mark not in whole for mark in case.kept)]
    assert len(lost) == len(refused), f"accepted and not in the log: {lost[:5]}"


async def _refused(port: int, cases: Sequence[Case]) -> list[str]:
    async with Wire(port) as wire:
        answers = [(case, await wire.ask(case.request)) for case in cases]
    return [f"{case.group} {case.name}: {answer}" for case, answer in answers if answer.judged != (case.status, "")]


def test_who_guesses_gets_one_answer_and_makes_as_much_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that is nearly right is answered as one that is not; so are the ids of what is somebody else's, and names
    at which nobody is called."""
    compared: list[int] = []
    compare_digest = hmac.compare_digest

    def counted(one: bytes, other: bytes) -> bool:
        compared[-1] += 1
        return compare_digest(one, other)

    async def run() -> None:
        async with door(tmp_path, SystemClock()) as (stand, log), Wire(stand.port) as wire:
            with monkeypatch.context() as patch:
                patch.setattr(hmac, "compare_digest", counted)
                guesses = ["x", "alph", "alphb", "Alpha", "alphaa", "a" * 4_000, "alpha beta", "\xe9"]
                said = set()
                for guess in guesses:
                    compared.append(0)
                    said.add(_told(await wire.ask(request("/v1/events", text(event()), token=guess))))
            assert (len(said), len(set(compared)), min(compared) > 0) == (1, 1, True), compared
            mine = await wire.ask(request(MUTES, b'{"matchers":["a=b"],"for":"2h","why":"x"}'))
            assert mine.status == 201
            for method, token in (("DELETE", "beta"), ("DELETE", "x"), ("DELETE", "")):
                paths = [f"{MUTES}/{which}" for which in ("m2", "m1", "m999", "x", "..%2f..")]
                told = {_told(await wire.ask(request(path, method=method, token=token))) for path in paths}
                assert len(told) == 1, told
            names = [
                f"/callbacks/{name}" for name in ("nobody", "mes", "prometheus", "app-event", "app-events2", "x" * 500)
            ]
            for method in ("GET", "POST"):
                assert len({_told(await wire.ask(request(path, method=method))) for path in names}) == 1
            sealed = MES.close(b"hi", RANDOM)
            queries = [
                callbacks.query(MES, sealed, msg_signature=one)
                for one in ("0" * 40, "x", MES.signature("1", "n", sealed))
            ]
            signed = {_told(await wire.ask(request(PATH + one, callbacks.enclosed(sealed)))) for one in queries}
            assert len(signed) == 1, signed
            first, second = (
                request("/v1/events", text(event(id="E-1", data={"v": token})), token=token)
                for token in ("alpha", "beta")
            )
            assert [(await wire.ask(one)).status for one in (first, second)] == [202, 202], (
                "whose id it is, nobody else learns"
            )
            assert len(log.records) == 2

    asyncio.run(run())


def _told(answer: Answer) -> tuple[object, ...]:
    """All that an answer says, but for when."""
    return answer.status, answer.body, *sorted((k, v) for k, v in answer.headers.items() if k != "date")
