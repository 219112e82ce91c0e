"""How much the door takes in at one time, and when to come again."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable

from andon.core.ports import Clock

PATIENCE = 5.0
ROOM = 10
LONGEST = 60


class Over(Exception):  # noqa: N818 - an answer to the client, no error of the program
    """No room. `after` is the whole number of seconds after which there may be."""

    def __init__(self, detail: str, after: int) -> None:
        super().__init__(detail)
        self.detail = detail
        self.after = after


class Admission:
    """At most `window` events between the door and Kafka's acknowledgement; none while the backlog is full.

    `waiting` tells how many accepted events have no outcome yet. A burst finds a waiting room of 10 windows, first
    come, first served, at most 5 s long: clients that keep many requests open are slowed down, not turned
    away. Belongs to one event loop.
    """

    def __init__(self, window: int, backlog: int, waiting: Callable[[], int], clock: Clock) -> None:
        self.window = window
        self.in_flight = 0
        self.queued = 0
        self._queue: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._backlog = backlog
        self._waiting = waiting
        self._drain = Drain(clock)

    def full(self) -> bool:
        """Whether the backlog is full."""
        return self._waiting() >= self._backlog

    def enter(self, events: int) -> bool:
        """Takes places for 1 to `window` events if they are free now; False: `wait` for them. Raises Over."""
        waiting = self._waiting()
        self._drain.read(waiting)
        if waiting >= self._backlog:
            raise Over("the backlog is full", self._drain.seconds(waiting - self._backlog + 1))
        if self._queue or self.in_flight + events > self.window:
            return False
        self._take(events)
        return True

    async def wait(self, events: int) -> None:
        """Takes places for the events when it is their turn. Raises Over when the room is full, or after 5 s."""
        if self.queued + events > ROOM * self.window:
            raise Over("too many events at one time", math.ceil(PATIENCE))
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((events, turn))
        self.queued += events
        try:
            async with asyncio.timeout(PATIENCE):
                await turn
        except TimeoutError:
            self._withdraw(events, turn)
            raise Over("too many events at one time", math.ceil(PATIENCE)) from None
        except asyncio.CancelledError:
            self._withdraw(events, turn)
            raise

    def _withdraw(self, events: int, turn: asyncio.Future[None]) -> None:
        if turn.cancelled():
            self._queue.remove((events, turn))
            self.queued -= events
            self._admit()
        else:
            self.leave(events)  # its turn came in the very step in which it gave up

    def leave(self, events: int) -> None:
        """Gives the places back."""
        self.in_flight -= events
        self._admit()

    def _take(self, events: int) -> None:
        self.in_flight += events
        self._drain.admitted += events

    def _admit(self) -> None:
        while self._queue and self.in_flight + self._queue[0][0] <= self.window:
            events, turn = self._queue[0]
            if turn.done():
                return  # its waiter is about to leave the queue, and will call again
            self._queue.popleft()
            self.queued -= events
            self._take(events)
            turn.set_result(None)


class Drain:
    """How fast the backlog shrinks, from its readings and from what was let in between them."""

    def __init__(self, clock: Clock) -> None:
        self.admitted = 0
        self._clock = clock
        self._last: int | None = None
        self._read_at = 0.0
        self._rate = 0.0

    def read(self, waiting: int) -> None:
        """Takes note of a reading; an unchanged one is not news, because readings are refreshed now and then."""
        if waiting == self._last:
            return
        now = self._clock.now()
        if self._last is not None and now > self._read_at:
            self._rate = (self.admitted + self._last - waiting) / (now - self._read_at)
        self._last, self._read_at, self.admitted = waiting, now, 0

    def seconds(self, events: int) -> int:
        """Whole seconds until that many events will have ended at the last rate: 1 to 60, 60 when nothing moves."""
        if self._rate <= 0:
            return LONGEST
        return min(max(math.ceil(events / self._rate), 1), LONGEST)
