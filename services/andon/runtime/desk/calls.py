"""The calls of a desk: each begins once its intent is stored, ends by its deadline, and has its result stored."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

from andon.core.fence import fence
from andon.core.ports import Clock
from andon.core.reason import Reason
from andon.core.work import Write
from andon.runtime.desk.desk import Desk
from andon.runtime.desk.open_work import Call
from andon.runtime.desk.work import Success, Work
from andon.runtime.failures import Failed, classify
from andon.runtime.metrics import Metrics
from andon.runtime.seldom import Seldom

log = logging.getLogger(__name__)

_WAIT_S = 1.0
_HELD_S = 0.1
# Storing an intent takes about as long under load, and as many calls will have ended by then.
_MOMENT_S = 0.05
_SAID_AGAIN_S = 60.0


class Calls:
    """Asks the desk what to do whenever something has changed, and does it.

    Intents are stored ahead of their calls, as many as calls ended a moment ago, so that a place which falls free is
    taken at once. Where calls are slow or few it is none: an intent without a result is what a crash leaves in doubt.

    `submit` hands a write to the store and resolves once it is durable; while `held` no call begins; `failed` is told
    what nobody foresaw. `deadline` is in seconds, from the intent on.
    """

    def __init__(
        self,
        desk: Desk,
        work: Work,
        deadline: float,
        clock: Clock,
        metrics: Metrics,
        *,
        submit: Callable[[Write], asyncio.Future[bool]],
        held: Callable[[], bool],
        failed: Callable[[BaseException], None],
    ) -> None:
        self._desk = desk
        self._work = work
        self._deadline = deadline
        self._clock = clock
        self._metrics = metrics
        self._submit = submit
        self._held = held
        self._failed = failed
        self._news = asyncio.Event()
        self._ended = asyncio.Event()
        self._under_way: set[asyncio.Task[None]] = set()
        # Calls to domains that just failed have no place among these: the desk bounds them apart.
        self._taken = 0
        self._waiting: deque[Call] = deque()
        self._ended_at: deque[float] = deque(maxlen=desk.room)
        self._seldom = Seldom(_SAID_AGAIN_S, clock)

    def wake(self) -> None:
        """Something the desk may act on has changed."""
        self._news.set()

    def left(self) -> None:
        """A home has left: who waits for `quiet` looks again."""
        self._ended.set()

    async def quiet(self, reached: Callable[[], bool]) -> None:
        """Returns when `reached`, which is asked again whenever a call has ended."""
        while not reached():
            self._ended.clear()
            await self._ended.wait()

    async def run(self) -> None:
        """Begins calls until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            self._news.clear()
            wait = self._decide() - self._clock.now()
            alarm = loop.call_later(max(0.0, min(wait, _WAIT_S)), self._news.set)
            await self._news.wait()
            alarm.cancel()

    def _decide(self) -> float:
        now = self._clock.now()
        if self._held():
            return now + _HELD_S
        decision = self._desk.decide(now, self._turnover(now))
        stored = [self._submit(write) for write in decision.writes.values()]
        if decision.calls:
            # The others are stored before it.
            stored[-1].add_done_callback(partial(self._stored, decision.calls))
        return decision.wake_at

    def _turnover(self, now: float) -> int:
        """How many calls ended a moment ago, and no more than there are places."""
        while self._ended_at and self._ended_at[0] < now - _MOMENT_S:
            self._ended_at.popleft()
        return len(self._ended_at)

    def _stored(self, calls: Sequence[Call], stored: asyncio.Future[bool]) -> None:
        """Begins the calls, whose intents are stored, or lets them wait for a place."""
        if stored.cancelled() or stored.exception() is not None:
            return  # the desk ends
        for call in calls:
            if self._desk.suspect(call):
                self._begin(call, place=False)
            else:
                self._waiting.append(call)
        self._fill()

    def _fill(self) -> None:
        """Gives the free places to the calls that wait."""
        while self._waiting and self._taken < self._desk.room:
            self._begin(self._waiting.popleft(), place=True)

    def _begin(self, call: Call, *, place: bool) -> None:
        """Begins a call, unless its home has left meanwhile, or the desk takes its intent back."""
        if not self._desk.begins(call):
            return
        taken_back = self._desk.taken_back(call, self._clock.now())
        if taken_back is not None:
            self._submit(taken_back)
            self.wake()
            self._ended.set()
            return
        self._taken += place
        task = asyncio.create_task(self._call(call, place))
        self._under_way.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._failed(error)

    async def _call(self, call: Call, place: bool) -> None:
        result = await self._attempt(call)
        now = self._clock.now()
        self._taken -= place
        self._ended_at.append(now)
        reason = result.reason if isinstance(result, Failed) else Reason.DELIVERED
        channel = self._work.policy(call.item.queue).channel
        self._metrics.attempt(channel, reason)
        write = self._desk.ended(call, result, now)
        if write is not None:
            self._submit(write)
        if isinstance(result, Failed) and self._desk.suspect(call):
            self._say(call, channel, result)
        self._fill()
        self._news.set()
        self._ended.set()

    def _say(self, call: Call, channel: str, failed: Failed) -> None:
        """Why calls fail while they are tried again, once a minute for each account: an outcome says it at the end."""
        if self._seldom.due(call.entry.domain):
            fields = {"channel": channel, "receiver": call.item.queue, "reason": failed.reason, "detail": failed.detail}
            log.warning("a call failed", extra=fields)

    async def _attempt(self, call: Call) -> Success | Failed:
        # From the intent on: a process that was frozen must not send once a new owner may have taken the call for
        # ambiguous. The loop's clock is read first: time that passes between the two only shortens what is left.
        now = asyncio.get_running_loop().time()
        left = self._deadline - max(0.0, self._clock.now() - call.entry.started)
        if left <= 0:
            return Failed(Reason.NOT_SENT, "too late: the deadline runs from the intent", retry=True)
        fence(now + left)
        try:
            async with asyncio.timeout_at(now + left):
                return await self._work.call(call.item, call.entry.line, left)
        except Exception as error:  # noqa: BLE001 - the runtime's one place where an exception becomes an outcome
            return classify(error)

    async def cancel(self) -> None:
        """Ends what is under way; a call cut off so is ambiguous to the next owner."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)
