"""What a ticket system makes of a tracker that does not answer as it should, as laws that it keeps or breaks.

    for law in LAWS: run(law, MyTickets)

is for those that speak HTTP, and needs only the class with its nested `Config` and its `specimen`
(core.specimen.TicketSpecimen). What it does on a tracker that works is the matter of `contract_tickets`. Each law
raises ContractBroken.
"""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel

from andon.core.failure import Failure, Rejected, Retryable
from andon.core.ports import Context, TicketSystem
from andon.core.specimen import TicketSpecimen
from andon.testing.clock import ManualClock
from andon.testing.rig import ContractBroken, expect, expect_refused, faked, filled
from andon.testing.standstill import LONGEST, LOOKS, blocks
from andon.testing.vendor import GATEWAY, NOTHING_SAID, Behaviour, FakeVendor, answers, hangs, resets, sends
from andon.web.wire import HttpWire

Law = Callable[["TrackerRig"], Awaitable[None]]
LAWS: dict[str, Law] = {}

_SECONDS = 30.0
_KEY = "line-3/M-07/E-104#1"
_STATUSES = (301, 400, 401, 403, 404, 409, 412, 429, 500, 502, 503)
_UNREADABLE: tuple[Behaviour, ...] = (
    answers(200, GATEWAY),
    answers(502, GATEWAY),
    resets(),
    sends(b"", close=True),
)


class TrackerRig:
    """A ticket system built from its own `specimen`, the tracker it talks to, and everything logged meanwhile."""

    def __init__(self, plug_in: type[Any], tracker: FakeVendor, wire: HttpWire, logged: list[str]) -> None:
        self.specimen: TicketSpecimen = plug_in.specimen
        self.tracker = tracker
        self.logged = logged
        self.config_type: type[BaseModel] = plug_in.Config
        self.options = filled(dict(self.specimen.options), tracker.url)
        self.config = self.config_type.model_validate(self.options)
        self.system: TicketSystem = plug_in(self.config, Context("contract", Path(), ManualClock(), wire))
        ticket = self.specimen.ticket
        self.calls: dict[str, Callable[[], Awaitable[object]]] = {
            "find": lambda: self.system.find(_KEY),
            "open": lambda: self.system.open(_KEY, "title", "text", "major"),
            "comment": lambda: self.system.comment(ticket, "text"),
            "move": lambda: self.system.move(ticket, "closed", "text"),
            "reopen": lambda: self.system.reopen(ticket, "text"),
            "changes": lambda: self.system.changes(0.0),
        }

    async def ask(self, name: str) -> Failure | None:
        """What a call raises of Retryable and Rejected, None for one that answers. Raises ContractBroken for anything
        else."""
        try:
            await self.calls[name]()
        except (Retryable, Rejected) as failure:
            return failure
        except Exception as error:  # whatever else it raises is the finding
            raise ContractBroken(f"{name} raises only Retryable and Rejected, not {type(error).__name__}") from error
        return None


def law(function: Law) -> Law:
    """Adds a law under its own name."""
    LAWS[function.__name__] = function
    return function


def run(name: str, plug_in: type[Any]) -> None:
    """Holds `plug_in` to one law. Raises ContractBroken."""

    async def scene() -> None:
        async with asyncio.timeout(_SECONDS), _rig(plug_in) as rig:
            await LAWS[name](rig)

    asyncio.run(scene())


@asynccontextmanager
async def _rig(plug_in: type[Any]) -> AsyncIterator[TrackerRig]:
    specimen: TicketSpecimen = plug_in.specimen
    async with faked(answers(502, GATEWAY), specimen.secret, specimen.aside) as (tracker, wire, logged):
        rig = TrackerRig(plug_in, tracker, wire, logged)
        try:
            yield rig
        finally:
            await rig.system.close()


@law
async def configuration_refuses_unknown_keys(rig: TrackerRig) -> None:
    expect_refused(rig.config_type, {**rig.options, "nonsense": 1}, "an unknown key is refused")


@law
async def no_answer_raises_anything_but_retryable_and_rejected(rig: TrackerRig) -> None:
    behaviours = [answers(200, body) for body in NOTHING_SAID]
    behaviours += [answers(status, body) for status in _STATUSES for body in (GATEWAY, b"", b"{}")]
    for behave in behaviours:
        rig.tracker.behave = behave
        for name in rig.calls:
            await rig.ask(name)


@law
async def what_cannot_be_read_is_no_answer(rig: TrackerRig) -> None:
    for behave in _UNREADABLE:
        rig.tracker.behave = behave
        for name in rig.calls:
            expect(await rig.ask(name), f"{name}: what cannot be read is neither done, nor “no such ticket”")


@law
async def call_that_never_left_is_not_ambiguous(rig: TrackerRig) -> None:
    await rig.tracker.stop()
    for name in rig.calls:
        failure = await rig.ask(name)
        expect(isinstance(failure, Retryable) and not failure.ambiguous, f"{name}: nothing was sent: {failure}")


@law
async def cancellation_ends_the_call(rig: TrackerRig) -> None:
    rig.tracker.behave = hangs()
    for name, call in rig.calls.items():
        rig.tracker.called.clear()
        task = asyncio.ensure_future(call())
        await rig.tracker.called.wait()
        task.cancel()
        await asyncio.wait({task}, timeout=1)
        if task.done() and not task.cancelled():
            task.exception()  # taken note of: asyncio would tell of it whenever the task is collected
        expect(task.cancelled(), f"{name}: a cancelled call ends at once, as cancelled")


@law
async def waiting_leaves_the_event_loop_to_others(rig: TrackerRig) -> None:
    for name in rig.calls:
        blocked = await blocks(lambda name=name: rig.ask(name))  # type: ignore[misc]  # bound in the loop
        expect(not blocked, f"{name}: each of {LOOKS} calls kept the event loop to itself for {LONGEST * 1000:g} ms")


@law
async def secret_is_never_shown(rig: TrackerRig) -> None:
    secret = rig.specimen.secret
    shown = [repr(rig.system), str(rig.system), repr(rig.config), str(rig.config), rig.config.model_dump_json()]
    said = (secret, f"<p>{secret}</p>", json.dumps({"error": secret}), json.dumps({"error": {"msg": secret}}))
    for behave in (answers(status, text.encode()) for status in (200, 400, 401, 500) for text in said):
        rig.tracker.behave = behave
        for name in rig.calls:
            if failure := await rig.ask(name):
                shown += [repr(failure), failure.detail, *traceback.format_exception(failure)]
    shown += rig.logged
    for form in (secret, quote(secret, safe="")):
        expect(not any(form in text for text in shown), "a secret is in no repr, no exception and no log")


@law
async def close_may_be_called_twice(rig: TrackerRig) -> None:
    await rig.ask("find")
    await rig.system.close()
    await rig.system.close()
