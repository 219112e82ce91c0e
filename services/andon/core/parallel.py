"""A source beside the old path: its events end as skipped, by words that say who would have been told."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from andon.core.outcome import Outcome, Skipped
from andon.core.reason import Reason

_WORD = "parallel "
_list = msgspec.json.Decoder(tuple[str, ...])


def beside(receivers: Iterable[str]) -> Skipped:
    """The end of an event that these receivers would have heard of, each once."""
    return Skipped(Reason.SILENCED, _WORD + msgspec.json.encode(list(dict.fromkeys(receivers))).decode())


def would_have_heard(outcome: Outcome) -> tuple[str, ...] | None:
    """The receivers that an outcome of this kind names; None for any other outcome."""
    if not isinstance(outcome, Skipped) or not outcome.by.startswith(_WORD):
        return None
    try:
        return _list.decode(outcome.by[len(_WORD) :])
    except msgspec.DecodeError:
        return None
