"""The client of the door: what it sent, and what it was told. Plain http.client; imports nothing of Andon."""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

GIVE_UP_S = 60.0


@dataclass
class Sent:
    """One event. `told` holds every answer in order, 0 for none; `accepted` is when the first 202 came."""

    id: str
    subject: str
    receivers: tuple[str, ...]
    body: bytes
    began: float
    told: list[int] = field(default_factory=list)
    accepted: float | None = None

    @property
    def impossible(self) -> bool:
        """Whether the door said for certain, each time, that it has not taken it."""
        return all(400 <= status < 500 for status in self.told)


def event(number: str, subject: str, receivers: Sequence[str], **data: Any) -> dict[str, Any]:
    """An event for these receivers: the plant's route tree follows the labels."""
    labels = {"to": receivers[0], "state": "raise", "severity": "major"}
    if len(receivers) > 1:
        labels["also"] = receivers[1]
    return {"id": number, "type": "machine.fault", "subject": subject, "labels": labels, "data": {"code": "E1"} | data}


class Door:
    """A kept-alive connection to the door; one thread."""

    def __init__(self, address: str, token: str, timeout: float = 15.0) -> None:
        self._address = address
        self._token = token
        self._timeout = timeout
        self._connection: http.client.HTTPConnection | None = None

    def post(
        self, body: bytes, path: str = "/v1/events", kind: str = "application/json"
    ) -> tuple[int, bytes, dict[str, str]]:
        """Status, body and headers of the answer; status 0 when there was none."""
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": kind}
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection(self._address, timeout=self._timeout)
            self._connection.request("POST", path, body, headers)
            answer = self._connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException):
            self.close()
            return 0, b"", {}
        if answer.will_close:
            self.close()
        return answer.status, content, {name.lower(): value for name, value in answer.getheaders()}

    def send(self, sent: Sent) -> int:
        """One try of an event; what the door said is kept with it."""
        status, _, _ = self.post(sent.body)
        sent.told.append(status)
        if status == 202 and sent.accepted is None:
            sent.accepted = time.time()
        return status

    def close(self) -> None:
        if self._connection:
            self._connection.close()
            self._connection = None


class Load:
    """Clients that send events at a steady rate until stopped, each again under the same id until the door takes it.

    Subject `k` belongs to one client, which sends its events one after the other, so their order is known.
    """

    def __init__(
        self,
        address: str,
        token: str,
        prefix: str,
        receivers: Sequence[str],
        *,
        rate: float = 200.0,
        subjects: int = 60,
        clients: int = 4,
        seed: int = 1,
        timeout: float = 15.0,
    ) -> None:
        self.sent: list[Sent] = []
        self._prefix = prefix
        self._receivers = receivers
        self._rate = rate / clients
        self._subjects = subjects
        self._clients = clients
        self._seed = seed
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._count = 0
        self._threads = [
            threading.Thread(target=self._run, args=(n, Door(address, token, timeout)), daemon=True)
            for n in range(clients)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Ends once what is being sent has been answered for."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, client: int, door: Door) -> None:
        chance = random.Random(self._seed * 1_000 + client)
        mine = range(client, self._subjects, self._clients)
        due = time.monotonic() + chance.random() / self._rate
        while not self._stop.is_set():
            pause = due - time.monotonic()
            if pause > 0:
                self._stop.wait(pause)
            elif pause < -1.0:
                due = time.monotonic()  # the door was away; nobody sends a second's worth at once
            due += 1 / self._rate
            self._until_taken(self._next(chance.choice(mine), chance), door)
        door.close()

    def _next(self, subject: int, chance: random.Random) -> Sent:
        to = [self._receivers[subject % len(self._receivers)]]
        if len(self._receivers) > 1 and chance.random() < 0.1:
            to.append(chance.choice([one for one in self._receivers if one != to[0]]))
        with self._lock:
            self._count += 1
            number = f"{self._prefix}-{self._count}"
            name = f"{self._prefix}/s{subject}"
            sent = Sent(number, name, tuple(to), self._body(number, name, to), time.time())
            self.sent.append(sent)
        return sent

    def _body(self, number: str, subject: str, to: Sequence[str]) -> bytes:
        return json.dumps(event(number, subject, to, n=self._count)).encode()

    def _until_taken(self, sent: Sent, door: Door) -> None:
        end = time.monotonic() + GIVE_UP_S
        pause = 0.05
        while door.send(sent) != 202 and time.monotonic() < end:
            time.sleep(pause)
            pause = min(2 * pause, 0.5)


def wait_for(condition: Callable[[], bool], within_s: float, every_s: float = 0.05) -> bool:
    """Whether the condition came true in time."""
    end = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(every_s)
    return True
