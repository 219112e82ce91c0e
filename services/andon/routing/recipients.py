"""Who of a receiver must hear of an event."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from andon.config.receivers import Receiver
from andon.core.event import Event
from andon.core.paths import Lookup, compile_path, text_of

FACT = "fact:"
_EVERYBODY = ("all", "所有人")

Names = tuple[str, ...]


def compile_recipients(name: str, receiver: Receiver) -> Callable[[Event], Names]:
    """The function that names the recipients of an event: in the order of `to`, without repeats, () if there are none.

    A receiver without `to` has no people of its own (a group robot) and stands for itself. `fact:machine.leader` is
    the name, or the list of names, enrichment found there; everybody (`all`) is only who the file itself calls so.
    Raises PathError.
    """
    if not receiver.to:
        return lambda _event: (name,)
    if not any(entry.startswith(FACT) for entry in receiver.to):
        fixed = tuple(dict.fromkeys(receiver.to))
        return lambda _event: fixed
    parts = [_literal(entry) if not entry.startswith(FACT) else _from_fact(entry) for entry in receiver.to]
    return lambda event: tuple(dict.fromkeys(name for part in parts for name in part(event)))


def is_computed(entry: str) -> bool:
    """Whether whom an entry of `to` names hangs on the event."""
    return entry.startswith(FACT)


def named(name: str, receiver: Receiver, event: Event) -> tuple[tuple[str, Names], ...]:
    """Each entry of `to` with whom it names, for an explanation: compiled anew, and so not for many events. A receiver
    that stands for itself has one empty entry."""
    entries = receiver.to or ("",)
    alone = (receiver.model_copy(update={"to": (entry,) if entry else ()}) for entry in entries)
    return tuple((entry, compile_recipients(name, one)(event)) for entry, one in zip(entries, alone, strict=True))


def _literal(entry: str) -> Callable[[Event], Names]:
    return lambda _event: (entry,)


def _from_fact(entry: str) -> Callable[[Event], Iterable[str]]:
    lookup: Lookup = compile_path(f"facts.{entry.removeprefix(FACT)}")

    def names(event: Event) -> list[str]:
        value = lookup(event)
        texts = map(text_of, value if isinstance(value, list) else (value,))
        return [text for text in texts if text and text.removeprefix("@") not in _EVERYBODY]

    return names
