"""Signing in to an account of a mail server, which may lock it after a few passwords that were wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from hashlib import sha256
from weakref import WeakKeyDictionary

from andon.core.failure import Rejected
from andon.core.ports import Clock
from andon.egress.channels import smtp_answers as answers
from andon.egress.hold_off import HOLD_OFF_S, held_off
from andon.web.smtp import Refused, Session, said_forms


class _Known:
    """What this process knows of one account with one password: whether the server takes it."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.taken = False
        self.until = 0.0
        self.refusal: Rejected | None = None


# By the clock, of which a process has one: channels are made anew with each version of the configuration.
_known: WeakKeyDictionary[Clock, dict[str, _Known]] = WeakKeyDictionary()


class Account:
    """Name and password at a server, or none, as they are now."""

    def __init__(self, clock: Clock, server: str, named: Sequence[str]) -> None:
        self.forms = said_forms(named)
        self._clock = clock
        self._named = tuple(named)
        of = sha256("\0".join((server, *named)).encode()).hexdigest()
        self._known = _known.setdefault(clock, {}).setdefault(of, _Known())

    def look(self) -> None:
        """Raises the refusal that still holds. Where the clock was set back nobody knows when it ends: it is over."""
        known = self._known
        if known.refusal is not None and 0 < known.until - self._clock.now() <= HOLD_OFF_S:
            raise Rejected(known.refusal.reason, known.refusal.detail)

    async def sign_in(self, session: Session) -> None:
        """One session after the other until the account was taken once, for each refusal counts. Raises Refused where
        the server says that it cannot tell now, and Rejected where it refuses the account, or has done so meanwhile."""
        if not self._named:
            return
        if self._known.taken:
            await self._tried(session)
            return
        async with self._known.lock:
            self.look()
            await self._tried(session)

    async def _tried(self, session: Session) -> None:
        known = self._known
        try:
            await session.sign_in(*self._named)
        except Refused as refused:
            failure = answers.refusal(refused, self.forms)
            if not isinstance(failure, Rejected):
                raise
            now = self._clock.now()
            known.taken, known.until, known.refusal = False, now + HOLD_OFF_S, held_off(failure, now)
            raise known.refusal from None
        known.taken, known.refusal = True, None
