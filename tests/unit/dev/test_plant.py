"""The demo plant against a door that is only a function, in a time that passes at once."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Coroutine
from datetime import datetime
from itertools import takewhile
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

from andon.core.event import Event
from andon.dev.data import FAULTS, LINES, MACHINES
from andon.dev.plant import RATE, Plant, PlantFailed, Step, main, steps

Door = Callable[[httpx2.Request], httpx2.Response] | Callable[[httpx2.Request], Coroutine[None, None, httpx2.Response]]


class FastClock:
    """A sleep takes no time, but the clock shows that it did."""

    def __init__(self) -> None:
        self.time = 1_763_000_000.0

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds
        await asyncio.sleep(0)


def taken(_request: httpx2.Request) -> httpx2.Response:
    return httpx2.Response(202)


def run(
    sent: Path, door: Door, *, lasting: float | None = 60.0, rate: float = RATE, stop: asyncio.Event | None = None
) -> FastClock:
    clock = FastClock()

    async def go() -> None:
        async with httpx2.AsyncClient(transport=httpx2.MockTransport(door), base_url="http://door") as client:
            await Plant(client, sent, 1, clock).run(steps(1, rate), lasting, stop or asyncio.Event())

    asyncio.run(go())
    return clock


def run_until_killed(sent: Path, door: Door, killed: asyncio.Event) -> None:
    """A plant that does nothing more from the moment in which `killed` is set."""

    async def go() -> None:
        async with httpx2.AsyncClient(transport=httpx2.MockTransport(door), base_url="http://door") as client:
            plant = Plant(client, sent, 1, FastClock())
            running = asyncio.create_task(plant.run(steps(1, RATE), None, asyncio.Event()))
            await killed.wait()
            running.cancel()
            await asyncio.wait([running])

    asyncio.run(go())


def lines(sent: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in sent.read_text(encoding="utf-8").splitlines()]


def open_faults(sent: Path) -> Counter[tuple[str, str]]:
    return open_faults_of(lines(sent))


def open_faults_of(found: list[dict[str, Any]]) -> Counter[tuple[str, str]]:
    balance = Counter[tuple[str, str]]()
    for line in found:
        balance[line["subject"], line["code"]] += 1 if line["state"] == "raise" else -1
        assert balance[line["subject"], line["code"]] in (0, 1), "raised twice, or cleared before it was raised"
    return +balance


def test_a_minute_is_at_least_sixty_events_on_three_lines_and_leaves_nothing_open(tmp_path: Path) -> None:
    bodies: list[bytes] = []
    sent = tmp_path / "sent.jsonl"

    def door(request: httpx2.Request) -> httpx2.Response:
        bodies.append(request.content)
        return taken(request)

    run(sent, door)
    events = [msgspec.json.decode(body, type=Event) for body in bodies]
    assert len(events) >= 60
    assert [event.id for event in events] == [line["id"] for line in lines(sent)]
    assert len({event.id for event in events}) == len(events)
    assert {event.subject for event in events} == {machine.number for machine in MACHINES}
    assert all(event.time.tzinfo for event in events)
    assert {(event.type, event.labels["state"]) for event in events} == {
        ("mes.fault.raised", "raise"),
        ("mes.fault.cleared", "clear"),
    }
    assert not open_faults(sent)
    per_line = Counter(event.subject.partition("/")[0] for event in events)
    assert set(per_line) == set(LINES)
    raised: dict[tuple[str, str], datetime] = {}
    for event in events:
        key = (event.subject, event.data["code"])
        if event.labels["state"] == "raise":
            raised[key] = event.time
        else:
            assert (event.time - raised.pop(key)).total_seconds() < 20


def test_the_same_seed_gives_the_same_faults() -> None:
    def plan(seed: int) -> list[Step]:
        return list(takewhile(lambda step: step.at < 300, steps(seed, 5)))

    assert plan(7) == plan(7)
    assert plan(7) != plan(8)
    times = [step.at for step in takewhile(lambda step: step.at < 300, steps(7, 50))]
    assert times == sorted(times)


def test_an_event_the_door_cannot_take_now_is_sent_again_as_it_was(tmp_path: Path) -> None:
    answers: list[int] = [503, 429, 0, 202]
    bodies: list[bytes] = []

    def door(request: httpx2.Request) -> httpx2.Response:
        bodies.append(request.content)
        status = answers.pop(0) if answers else 202
        if status == 0:
            raise httpx2.ConnectError("down", request=request)
        return httpx2.Response(status, headers={"Retry-After": "7"} if status != 202 else {})

    clock = run(tmp_path / "sent.jsonl", door, lasting=0.0)
    assert len(set(bodies[:4])) == 1
    assert len(bodies) == 5
    assert clock.now() - FastClock().now() >= 14
    assert [line["state"] for line in lines(tmp_path / "sent.jsonl")] == ["raise", "clear"]


def test_an_event_that_is_refused_ends_the_plant(tmp_path: Path) -> None:
    with pytest.raises(PlantFailed, match="HTTP 400 no such field"):
        run(tmp_path / "sent.jsonl", lambda _request: httpx2.Response(400, text="no such field"))
    assert lines(tmp_path / "sent.jsonl") == []


def test_a_door_that_does_not_know_the_plant_yet_is_given_time(tmp_path: Path) -> None:
    answers = iter([401, 401, 401])
    run(tmp_path / "sent.jsonl", lambda _: httpx2.Response(next(answers, 202)))
    assert not open_faults(tmp_path / "sent.jsonl")
    with pytest.raises(PlantFailed, match="HTTP 401"):
        run(tmp_path / "other.jsonl", lambda _: httpx2.Response(401))


def test_told_to_stop_it_clears_what_is_open(tmp_path: Path) -> None:
    sent = tmp_path / "sent.jsonl"
    stop = asyncio.Event()
    count = 0

    def door(request: httpx2.Request) -> httpx2.Response:
        nonlocal count
        count += 1
        if count == 20:
            stop.set()
        return taken(request)

    run(sent, door, lasting=None, stop=stop)
    assert 20 <= len(lines(sent)) < 60
    assert not open_faults(sent)


@pytest.mark.parametrize("doing", ["raise", "clear"])
def test_a_killed_plant_sends_what_it_was_sending_again_and_clears_what_it_left_open(
    tmp_path: Path, doing: str
) -> None:
    sent = tmp_path / "sent.jsonl"
    bodies: list[bytes] = []
    killed = asyncio.Event()

    async def door(request: httpx2.Request) -> httpx2.Response:
        bodies.append(request.content)
        if len(bodies) > 30 and json.loads(request.content)["labels"]["state"] == doing:
            killed.set()  # taken, and killed before the answer was read
            await asyncio.Event().wait()
        return taken(request)

    run_until_killed(sent, door, killed)
    first = len(bodies)
    assert len(lines(sent)) == first - 1
    with sent.open("ab") as file:
        file.write(b'{"id":"half')

    def again(request: httpx2.Request) -> httpx2.Response:
        bodies.append(request.content)
        return taken(request)

    run(sent, again, lasting=0.0)
    assert bodies[first] == bodies[first - 1]
    assert {line["id"] for line in lines(sent)} == {json.loads(body)["id"] for body in bodies}
    left = len(open_faults_of(lines(sent)[:first]))
    assert left
    assert [line["state"] for line in lines(sent)[first : first + left]] == ["clear"] * left
    assert not open_faults(sent)


def test_a_door_that_stays_away_is_one_clear_error(tmp_path: Path) -> None:
    asked = 0

    def door(request: httpx2.Request) -> httpx2.Response:
        nonlocal asked
        asked += 1
        return taken(request) if asked == 1 else httpx2.Response(503)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("andon.dev.plant._LAST_CLEARS", 0.05)
        with pytest.raises(PlantFailed, match="did not take the last 1 clears"):
            run(tmp_path / "sent.jsonl", door, lasting=0.0)


def test_without_its_token_it_does_not_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--url", "http://127.0.0.1:1", "--token-env", "NOT_SET_HERE", "--sent", str(tmp_path / "sent")]
    assert main(options) == 2
    assert "NOT_SET_HERE is not set" in capsys.readouterr().err


def test_every_fault_has_a_code_of_its_own() -> None:
    assert len({fault.code for fault in FAULTS}) == len(FAULTS)
