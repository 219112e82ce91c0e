"""Faults of clients: repeats in any order, far too much at once, tokens that change meanwhile."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from tests.chaos.round import Round
from tests.rig.client import Door, Sent, event, wait_for
from tests.rig.plant import TOKEN
from tests.rig.plantfile import ROBOTS, ROTATING

COPIES = 5
TAKEN_S = 60.0


def f19_repeats(run: Round, events: int = 80) -> None:
    """Each request five times, in any order, by four connections at once; a fifth of them come after the door was
    killed and started again, and every second event says that it happened two days ago. One effect each.

    Order is that of the log: what comes late in it is late, whatever time it names.
    """
    plant = run.plant
    sent = [_one(run, number) for number in range(events)]
    copies = [one for one in sent for _ in range(COPIES)]
    run.rng.shuffle(copies)
    early, late = copies[: 4 * events], copies[4 * events :]
    _send_at_once(plant.door, early)
    plant.kill("ingress")
    plant.start("ingress")
    plant.wait_ready("ingress")
    _send_at_once(plant.door, late)
    run.injections = len(copies) - len(sent)
    run.judge(sent)
    run.verdict.figures["second_records"] = run.verdict.figures["records"] - len(sent)
    run.expect(
        run.verdict.figures["effects"] == len(sent), f"F19: {run.verdict.figures['effects']} effects of {events}"
    )
    refused = [one.told for one in sent if set(one.told) - {202}]
    run.expect(not refused, f"F19: repeats were answered {refused[:3]}")


def _one(run: Round, number: int) -> Sent:
    to = ROBOTS[number % len(ROBOTS)]
    name = f"{run.prefix}-{number}"
    posted = event(name, f"{run.prefix}/{number}", (to,), n=number)
    if number % 2:
        posted["time"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 2 * 86_400))
    return Sent(name, posted["subject"], (to,), json.dumps(posted).encode(), time.time())


def _send_at_once(door: str, copies: Sequence[Sent], connections: int = 4) -> None:
    """Each connection sends its share, and a copy again only when the door was not there."""

    def run(mine: Sequence[Sent]) -> None:
        client = Door(door, TOKEN)
        for one in mine:
            wait_for(lambda one=one: client.send(one) not in (0, 503), TAKEN_S)  # type: ignore[misc]
        client.close()

    threads = [threading.Thread(target=run, args=(copies[n::connections],)) for n in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


# Twelve robots that take a second for an answer, and are asked four things at a time.
CAPACITY = 12 * 4
SLOWEST_S = 20.0


def f21_burst(run: Round, seconds: float = 3.0, rate: int = 10 * CAPACITY) -> None:
    """Ten times what its receivers take, again and again: what is above the backlog gets 429 with Retry-After, what was
    accepted ends. An injection is a burst in which the door said no.

    Needs a plant with `limits: {backlog: 1000}`.
    """
    plant = run.plant
    plant.sink.do(all={"what": "late", "low": 1.0, "high": 1.0})
    door = Door(plant.door, TOKEN)
    burst = Burst(run, door, rate)
    for _ in run.turns(5):
        refused = burst.refused
        ended = burst.last(seconds, SLOWEST_S)
        run.injections += burst.refused > refused
        run.pause(0.3, 1.0)
    plant.sink.well()
    accepted = sum(1 for one in burst.sent if one.accepted)
    run.verdict.figures |= {"taken": accepted, "refused": burst.refused}
    run.expect(run.injections, f"void: the door took all of {len(burst.sent)} events")
    run.expect(all(h.isdigit() for h in burst.retry_after), f"F21: 429 with Retry-After {burst.retry_after[:3]}")
    began = time.time()
    run.judge(burst.sent, 240)
    drained = sum(1 for one in plant.record().effects if one.at <= ended)
    most = drained + 1_000 + CLOSES_LATE_S * rate
    run.expect(accepted <= most, f"F21: {accepted} events were taken, when {drained} were done and 1000 may wait")
    run.verdict.figures["drained_after_s"] = time.time() - began
    last = _one(run, len(burst.sent) + 1)
    run.expect(wait_for(lambda: door.send(last) == 202, 60, every_s=0.5), f"F21: the door stays shut: {last.told[-3:]}")
    door.close()
    run.expect(plant.drained(run.prefix, [*burst.sent, last], 60), "F21: the first event after it got no outcome")


# Two on a quiet machine. Where eight busy programs shared two cores it was six: the door learns what waits from
# offsets that services tell, and each of these is late then.
CLOSES_LATE_S = 10


@dataclass
class Burst:
    """Batches of a hundred, at a rate, whatever the door says."""

    run: Round
    door: Door
    rate: int
    sent: list[Sent] = field(default_factory=list)
    refused: int = 0
    retry_after: list[str] = field(default_factory=list)

    def last(self, seconds: float, most: float) -> float:
        """Sends for so long, on a slow machine for longer, until the door says no; when it was over."""
        began, before = time.monotonic(), self.refused
        for turn in count():
            lasted = time.monotonic() - began
            if lasted > most or (lasted > seconds and self.refused > before):
                break
            time.sleep(max(0.0, turn * 100 / self.rate - lasted))
            self._post([_one(self.run, len(self.sent) + n) for n in range(100)])
        return time.time()

    def _post(self, batch: Sequence[Sent]) -> None:
        self.sent += batch
        body = b"[" + b",".join(one.body for one in batch) + b"]"
        status, answer, headers = self.door.post(body, "/v1/events:batch")
        told = [one["status"] for one in json.loads(answer)] if status == 200 else [status] * len(batch)
        for one, said in zip(batch, told, strict=True):
            one.told.append(said)
            if said == 202:
                one.accepted = time.time()
        if status == 429:
            self.retry_after.append(headers.get("retry-after", ""))
        self.refused += sum(1 for said in told if said == 429)


# A changed token file holds within 5 s; the rest is the machine's.
HOLDS_S, PATIENCE_S = 5.0, 20.0


def f26_rotation(run: Round) -> None:
    """The tokens of four clients change while they send: first both hold, then the new one alone. Nobody who shows a
    token that holds is refused, and an old one is within 5 s of its end."""
    plant = run.plant
    folder = plant.config.parent
    turns = [Turning(run, name, folder / name) for name in ROTATING]
    for one in turns:
        one.start()
    run.pause(0.3, 1.0)
    for one in turns:
        one.announce(f"{one.name}-{run.prefix}")
    time.sleep(HOLDS_S + 1.0)
    for one in turns:
        one.turn()
    run.pause(0.3, 1.0)
    for one in turns:
        one.finish()
    for one in turns:
        ended = wait_for(lambda one=one: one.refused_with_old(), HOLDS_S + PATIENCE_S, every_s=0.2)  # type: ignore[misc]
        run.expect(ended, f"F26: the old token of {one.name} still opens the door")
        run.injections += ended
    for one in turns:
        one.stop()
    sent = [event for one in turns for event in one.sent]
    refused = [one.told for one in sent if set(one.told) - {202, 0, 503}]
    run.expect(not refused, f"F26: who showed a token that holds was answered {refused[:3]}")
    run.judge(sent)


class Turning:
    """A client of the door whose token stands in a file that its operator changes."""

    def __init__(self, run: Round, name: str, file: Path) -> None:
        self.name = name
        self.sent: list[Sent] = []
        self._run = run
        self._file = file
        self._old = self._shown = self._new = file.read_text(encoding="utf-8").split()[0]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._send, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def announce(self, new: str) -> None:
        """Both hold from now on."""
        self._new = new
        self._replace(f"{new}\n{self._old}\n")

    def turn(self) -> None:
        """The client shows the new one."""
        self._shown = self._new

    def finish(self) -> None:
        """Only the new one holds."""
        self._replace(f"{self._new}\n")

    def refused_with_old(self) -> bool:
        stranger = Door(self._run.plant.door, self._old)
        status, _, _ = stranger.post(b'{"type":"t","id":"%s-x"}' % self._run.prefix.encode(), kind="text/plain")
        stranger.close()
        return status == 401

    def _replace(self, text: str) -> None:
        """At once: a reader finds the old file or the new one."""
        beside = self._file.with_suffix(".new")
        beside.write_text(text, encoding="utf-8")
        beside.replace(self._file)

    def _send(self) -> None:
        shown, door = "", Door(self._run.plant.door, "")
        while not self._stop.wait(0.05):
            if shown != self._shown:
                door.close()
                shown = self._shown
                door = Door(self._run.plant.door, shown)
            number = len(self.sent)
            name, to = f"{self._run.prefix}-{self.name}-{number}", (ROBOTS[number % len(ROBOTS)],)
            posted = event(name, f"{self._run.prefix}/{self.name}", to, n=number)
            one = Sent(name, posted["subject"], to, json.dumps(posted).encode(), time.time())
            self.sent.append(one)
            wait_for(lambda one=one, door=door: door.send(one) not in (0, 503), TAKEN_S)  # type: ignore[misc]
        door.close()
