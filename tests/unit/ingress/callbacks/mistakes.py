"""Mistakes that the source of any vendor could have."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from andon.core.event import Event
from andon.core.ports import Inbound
from andon.ingress.bodies.callback import Callback
from andon.ingress.bodies.sealed import Seal

_count = itertools.count()
_event, _opened = Callback._event, Seal.open


def counted(self: Callback, inbound: Inbound, type_: str, subject: str, identity: str, *rest: Any) -> Event:
    """A new id each time."""
    return _event(self, inbound, type_, subject, f"{identity}-{next(_count)}", *rest)


def for_anybody(*receivers: bytes) -> Callable[[Seal, str], bytes]:
    """What is for any of these is for us."""

    def opened(self: Seal, sealed: str) -> bytes:
        for receiver in receivers:
            self._receiver = receiver
            try:
                return _opened(self, sealed)
            except ValueError:
                continue
        return _opened(self, sealed)

    return opened
