"""Mistakes that the source of any vendor could have."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from andon.ingress.bodies.callback import Callback
from andon.ingress.bodies.sealed import Seal

_count = itertools.count()
_event, _opened = Callback._event, Seal.open


def counted(*args: Any) -> Any:
    """A new id each time."""
    return _event(*args[:4], f"{args[4]}-{next(_count)}", *args[5:])


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
