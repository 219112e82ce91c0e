"""Who of a receiver must hear of an event."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

from andon.config.computed import asks_directory, hangs_on_event, is_computed
from andon.config.receivers import Receiver
from andon.core.delivery import Remark
from andon.core.event import Event
from andon.core.people import Directory
from andon.core.reason import Reason
from andon.routing.who import compile_who

Names = tuple[str, ...]


_ANY = Event("", "", "", "", datetime.fromtimestamp(0, UTC), {})


class Whom(NamedTuple):
    """The recipients of an event, () if there are none, and what is to be said of those who are not among them."""

    names: Names
    remarks: tuple[Remark, ...] = ()


NOBODY = Whom(())


def compile_recipients(name: str, receiver: Receiver, directory: Directory, kind: str) -> Callable[[Event], Whom]:
    """The function that names the recipients of an event: in the order of `to`, without repeats.

    A receiver without `to` has no people of its own (a group robot) and stands for itself. What facts name are names
    in the channel's own words, and everybody (`all`) is only who the file itself calls so; people from the directory
    have the address it gives for this `kind` of channel. Who has none, and who exceeds `at_most`, is left out with a
    remark. Raises PathError.
    """
    if not receiver.to:
        return _always(Whom((name,)))
    if not any(map(is_computed, receiver.to)):
        return _always(Whom(tuple(dict.fromkeys(receiver.to))))
    parts = [_part(entry, directory, kind) for entry in receiver.to]

    def whom(event: Event) -> Whom:
        found: dict[str, None] = {}
        unreached: list[str] = []
        for part in parts:
            for person, address in part(event):
                if address:
                    found[address] = None
                else:
                    unreached.append(person)
        names, remarks = tuple(found), []
        if unreached:
            remarks.append(Remark(Reason.NO_ADDRESS, f"{name}: {', '.join(dict.fromkeys(unreached))}"))
        if len(names) > receiver.at_most:
            text = f"{name}: {len(names)} people, of whom the first {receiver.at_most} hear of it"
            remarks.append(Remark(Reason.TOO_MANY, text))
            names = names[: receiver.at_most]
        return Whom(names, tuple(remarks))

    return whom if any(map(hangs_on_event, receiver.to)) else _always(whom(_ANY))


def named(
    name: str, receiver: Receiver, directory: Directory, kind: str, event: Event
) -> tuple[tuple[str, Names], ...]:
    """Each entry of `to` with whom it names, for an explanation: compiled anew, and so not for many events. A receiver
    that stands for itself has one empty entry."""
    entries = receiver.to or ("",)
    alone = (receiver.model_copy(update={"to": (entry,) if entry else ()}) for entry in entries)
    return tuple(
        (entry, compile_recipients(name, one, directory, kind)(event).names)
        for entry, one in zip(entries, alone, strict=True)
    )


def _always(whom: Whom) -> Callable[[Event], Whom]:
    return lambda _event: whom


def _part(entry: str, directory: Directory, kind: str) -> Callable[[Event], list[tuple[str, str]]]:
    """Whom an entry names: each with the address, "" where there is none."""
    if not is_computed(entry):
        return lambda _event: [(entry, entry)]
    who = compile_who(entry, directory)
    if not asks_directory(entry):
        return lambda event: [(person, person) for person in who(event)]
    return lambda event: [(person, directory.address(person, kind)) for person in who(event)]
