"""The demo plant: machines that raise and clear faults through the public HTTP API, as a MES would.

    python -m andon.dev.plant --url http://127.0.0.1:8700 --token-env NAME --sent FILE [--for 60]

Every fault is cleared 8 to 16 s after it was raised; what is still open when the time is up, or when the plant is told
to stop, is cleared at once. FILE gets one line of JSON for each event the door answered 202 to, and nothing else; a
plant that was killed reads there which faults it left open, and clears them when it starts again. FILE.begun holds the
event that is being sent: the door may have taken it from a plant that was killed before it could say so.
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
import math
import os
import random
import signal
import sys
from collections.abc import Iterable, Iterator
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import httpx2
import msgspec

from andon.core.ids import Namespace
from andon.core.ports import Clock
from andon.dev.data import FAULTS, MACHINES, Fault
from andon.runtime.clock import SystemClock

RATE = 1.5
_ZONE = ZoneInfo("Asia/Shanghai")
_ids = Namespace(UUID("5b1f3a7e-91b0-5d0c-a6de-0f0a7c55e3b9"))
_CLEARED_AFTER = (8.0, 16.0)
_PAUSE = (0.2, 5.0)
_LAST_CLEARS = 20.0
_UNKNOWN_S = 30.0
_FAULTS = {fault.code: fault for fault in FAULTS}
_LATER = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.REQUEST_TIMEOUT}


class PlantFailed(Exception):  # noqa: N818 - says what happened, read by people
    """The door refused an event for good, or did not take the last ones in time."""


class Step(msgspec.Struct, frozen=True, order=True):
    """At `at` seconds after the start, a machine raises or clears a fault."""

    at: float
    machine: str
    fault: Fault
    state: str


class Sent(msgspec.Struct, frozen=True):
    """A line of the list of accepted events."""

    id: str
    time: str
    subject: str
    code: str
    state: str


class Begun(msgspec.Struct, frozen=True):
    """An event that is being sent: its line in the list, and its bytes."""

    line: Sent
    body: msgspec.Raw


def steps(seed: int, rate: float) -> Iterator[Step]:
    """What happens in the plant, without end, in order of time: `rate` raises and clears a second, half of each.

    The same fault of the same machine is not raised again while it is open. At a rate at which everything would be
    open, fewer are raised.
    """
    chance = random.Random(seed)  # noqa: S311 - a plant for show
    healthy = [(machine.number, fault) for machine in MACHINES for fault in FAULTS]
    chance.shuffle(healthy)
    clears: list[Step] = []
    at = 0.0
    while True:
        while clears and clears[0].at <= at:
            cleared = heapq.heappop(clears)
            healthy.insert(chance.randrange(len(healthy) + 1), (cleared.machine, cleared.fault))
            yield cleared
        if healthy:
            machine, fault = healthy.pop()
            yield Step(at, machine, fault, "raise")
            heapq.heappush(clears, Step(at + chance.uniform(*_CLEARED_AFTER), machine, fault, "clear"))
        at += 2 / rate * chance.uniform(0.5, 1.5)


class Plant:
    """Sends steps, one after the other, each until the door has taken it. `sent` is the file of accepted events."""

    def __init__(self, client: httpx2.AsyncClient, sent: Path, seed: int, clock: Clock) -> None:
        self._client = client
        self._sent = sent
        self._clock = clock
        self._chance = random.Random(seed)  # noqa: S311 - a plant for show
        self._began = clock.now()
        self._run = f"{seed}/{clock.now():.3f}"
        self._count = 0
        self._open = _left_open(sent)
        self._begun = sent.with_name(f"{sent.name}.begun")

    async def run(self, plan: Iterable[Step], lasting: float | None, stop: asyncio.Event) -> None:
        """Until `lasting` seconds are over (None: for ever) or `stop` is set; then clears what is open.

        Raises PlantFailed.
        """
        stopped = asyncio.ensure_future(stop.wait())
        try:
            work = asyncio.ensure_future(self._follow(plan, lasting))
            await asyncio.wait((work, stopped), return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                work.cancel()
                await asyncio.wait((work,))
            if not work.cancelled():
                work.result()
        finally:
            stopped.cancel()
        try:
            async with asyncio.timeout(_LAST_CLEARS):
                await self._clear_all()
        except TimeoutError:
            raise PlantFailed(f"the door did not take the last {len(self._open)} clears") from None

    async def _follow(self, plan: Iterable[Step], lasting: float | None) -> None:
        await self._send_again()
        await self._clear_all()
        start = self._clock.now()
        end = math.inf if lasting is None else lasting
        for step in plan:
            await self._clock.sleep(max(0.0, start + min(step.at, end) - self._clock.now()))
            if step.at > end:
                return
            await self._send(step)

    async def _clear_all(self) -> None:
        for machine, fault in list(self._open):
            await self._send(Step(0.0, machine, fault, "clear"))

    async def _send(self, step: Step) -> None:
        self._count += 1
        number = str(_ids.id(f"{self._run}/{self._count}"))
        time = datetime.fromtimestamp(self._clock.now(), _ZONE).isoformat(timespec="milliseconds")
        body = msgspec.json.encode(self._event(step, number, time))
        await self._deliver(Begun(Sent(number, time, step.machine, step.fault.code, step.state), msgspec.Raw(body)))

    async def _send_again(self) -> None:
        """What an earlier plant, killed meanwhile, may have sent: the same bytes, and so the same event."""
        begun = _unfinished(self._begun, self._sent)
        if begun is not None:
            await self._deliver(begun)

    async def _deliver(self, begun: Begun) -> None:
        line = begun.line
        key = (line.subject, _FAULTS[line.code])
        self._open[key] = None  # from the first attempt on: the door may have it although no answer came
        self._begun.write_bytes(msgspec.json.encode(begun))
        await self._until_taken(line.id, bytes(begun.body))
        _append(self._sent, line)
        if line.state == "clear":
            del self._open[key]

    def _event(self, step: Step, number: str, time: str) -> dict[str, object]:
        fault = step.fault
        hot = fault.heats and step.state == "raise"
        temperature = round(self._chance.uniform(92, 118) if hot else self._chance.uniform(38, 66), 1)
        return {
            "id": number,
            "source": "mes/demo",
            "type": "mes.fault.raised" if step.state == "raise" else "mes.fault.cleared",
            "subject": step.machine,
            "time": time,
            "data": {"code": fault.code, "message": fault.text, "temperature": temperature},
            "labels": {"state": step.state, "severity": fault.severity, "department": fault.department},
        }

    async def _until_taken(self, number: str, body: bytes) -> None:
        """Sends the same bytes until the answer is 202; the id makes a repeat harmless. Raises PlantFailed."""
        pause = _PAUSE[0]
        while True:
            wanted = 0.0
            try:
                answer = await self._client.post("/v1/events", content=body)
            except httpx2.TransportError:
                pass
            else:
                if answer.status_code == HTTPStatus.ACCEPTED:
                    return
                if not self._may_be_taken_later(answer.status_code):
                    raise PlantFailed(f"the door refused event {number}: HTTP {answer.status_code} {answer.text[:300]}")
                asked = answer.headers.get("Retry-After", "")
                wanted = float(asked) if asked.isdecimal() else 0.0
            await self._clock.sleep(max(pause, wanted))
            pause = min(2 * pause, _PAUSE[1])

    def _may_be_taken_later(self, status: int) -> bool:
        if status == HTTPStatus.UNAUTHORIZED:  # a door that has just started has not the newest configuration yet
            return self._clock.now() - self._began < _UNKNOWN_S
        return status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _LATER


def _append(file: Path, line: Sent) -> None:
    with file.open("ab", buffering=0) as out:
        out.write(msgspec.json.encode(line) + b"\n")


def _left_open(file: Path) -> dict[tuple[str, Fault], None]:
    """The faults that were raised and not cleared, by the list of accepted events; a half written line is taken off."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    content = file.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(file, whole)
    still: dict[tuple[str, Fault], None] = {}
    for text in content[:whole].splitlines():
        line = msgspec.json.decode(text, type=Sent)
        key = (line.subject, _FAULTS[line.code])
        if line.state == "raise":
            still[key] = None
        else:
            still.pop(key, None)
    return still


def _unfinished(begun: Path, sent: Path) -> Begun | None:
    """The event of which it is not known whether the door took it; a half written one was never sent."""
    try:
        last = msgspec.json.decode(begun.read_bytes(), type=Begun)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    lines = sent.read_bytes().splitlines()
    return None if lines and msgspec.json.decode(lines[-1], type=Sent).id == last.line.id else last


async def _main(options: argparse.Namespace, token: str) -> None:
    stop = asyncio.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sign, stop.set)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    async with httpx2.AsyncClient(base_url=options.url, headers=headers, timeout=10.0, trust_env=False) as client:
        plant = Plant(client, options.sent, options.seed, SystemClock())
        await plant.run(steps(options.seed, options.rate), options.lasting, stop)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m andon.dev.plant", description="A plant that has faults.")
    parser.add_argument("--url", required=True, help="the door, such as http://127.0.0.1:8700")
    parser.add_argument("--token-env", required=True, metavar="NAME", help="variable with the bearer token")
    parser.add_argument("--sent", type=Path, required=True, metavar="FILE", help="list of accepted events (JSONL)")
    parser.add_argument("--rate", type=float, default=RATE, help="events a second (default: %(default)s)")
    parser.add_argument("--for", dest="lasting", type=float, metavar="SECONDS", help="stop by itself after this time")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same faults")
    options = parser.parse_args(arguments)
    token = os.environ.get(options.token_env, "")
    if not token or options.rate <= 0:
        wrong = "--rate must be above 0" if token else f"the environment variable {options.token_env} is not set"
        sys.stderr.write(f"{wrong}\n")
        return 2
    try:
        asyncio.run(_main(options, token))
    except PlantFailed as failure:
        sys.stderr.write(f"{failure}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
