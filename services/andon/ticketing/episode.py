"""A fault from raise to clear, and the ticket commands that follow from it. Pure: no clock, no input or output.

The rule, by event time (the time the source gave, but never later than the log took the event, because a source whose
clock runs ahead must not hide the faults after it):

- A raise while the episode is raised is counted, and commented on at the 2nd, 4th, 8th, … so that a flapping contact
  does not flood the tracker.
- A clear ends the episode unless it is older than its latest raise.
- A raise after the end begins the next episode of the key, with a ticket of its own (or reopens the last one, within
  `reopen_within`). One older than the end is late and is only counted. If a clear newer than the raise has come
  before it, the episode ends as it begins: its ticket is opened and closed.
- Between equal times the order of arrival decides. The same event again changes nothing.

So, when times differ, an episode is raised in the end if and only if the newest event is a raise, in whatever order
and however often the events arrive.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Protocol

import msgspec
from msgspec.structs import replace

from andon.core.event import SEVERITY, STATE, Event, Position, accepted_at
from andon.core.paths import compile_key
from andon.core.ports import Ticket
from andon.ticketing.wording import cleared_text, raised_text, repeated_text, title_of

RECENT = 32


class FaultState(StrEnum):
    RAISED = "raised"
    CLEARED = "cleared"


class TicketState(StrEnum):
    """What is known of the episode's ticket; opening and closing mean that the command is on its way."""

    NONE = "none"
    OPENING = "opening"
    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"
    FAILED = "failed"


class Cause(msgspec.Struct, frozen=True, omit_defaults=True):
    """The event that led to a command or a record, by name."""

    event: str
    source: str
    subject: str
    origin: tuple[Position, ...] = ()


class Open(msgspec.Struct, frozen=True, tag="open", tag_field="command"):
    """Open the ticket of this episode."""

    key: str
    number: int
    title: str
    text: str
    severity: str
    cause: Cause


class Comment(msgspec.Struct, frozen=True, tag="comment", tag_field="command"):
    """Add a text to the ticket of this episode."""

    key: str
    number: int
    text: str
    cause: Cause


class Close(msgspec.Struct, frozen=True, tag="close", tag_field="command"):
    """Close the ticket of this episode."""

    key: str
    number: int
    text: str
    cause: Cause


class Reopen(msgspec.Struct, frozen=True, tag="reopen", tag_field="command"):
    """Open the closed ticket of this episode again."""

    key: str
    number: int
    text: str
    cause: Cause


Command = Open | Comment | Close | Reopen


class Episode(msgspec.Struct, frozen=True, omit_defaults=True):
    """The newest episode of a key. `number` 0 means that only clears were heard of so far; `raises` counts all raises.

    `seen` holds the identities of the last 32 events. `last_clear` is the newest clear of the key, whether or not it
    ended anything. `system` is the ticket system it began in, which has its ticket whatever its rule names since; empty
    for one without a ticket, and for one that was stored before this was kept.
    """

    key: str
    number: int
    state: FaultState
    subject: str
    last_event: str
    raised_at: datetime | None = None
    last_raise: datetime | None = None
    cleared_at: datetime | None = None
    last_clear: datetime | None = None
    raises: int = 0
    title: str = ""
    severity: str = ""
    ticket: str | None = None
    ticket_link: str = ""
    ticket_state: TicketState = TicketState.NONE
    seen: tuple[str, ...] = ()
    system: str = ""


class KeyRule(Protocol):
    """What `episode_key` reads of an episode rule of the configuration."""

    @property
    def key(self) -> Sequence[str]: ...


def fault_state(event: Event) -> FaultState | None:
    """What the event says of its fault, by the label `state` (raise, clear), else the ending of its type, or None."""
    label = event.labels.get(STATE)
    if label is not None:
        return {"raise": FaultState.RAISED, "clear": FaultState.CLEARED}.get(label)
    ending = event.type.rpartition(".")[2]
    return {"raised": FaultState.RAISED, "cleared": FaultState.CLEARED}.get(ending)


def episode_key(rule: KeyRule, event: Event) -> str | None:
    """The key of the event's fault; None when a field of the rule is missing, when they are too long together, or when
    the event neither raises nor clears."""
    return None if fault_state(event) is None else _key_of(tuple(rule.key))(event)


@lru_cache(maxsize=256)
def _key_of(fields: tuple[str, ...]) -> Callable[[Event], str | None]:
    return compile_key(fields)


def ticket_key(of: Episode | Command) -> str:
    """The key its ticket is found by: "line-3/M-07/E-217#2" is the second episode of that fault."""
    return f"{of.key}#{of.number}"


def advance(
    episode: Episode | None, event: Event, key: str, *, reopen_within: float = 0.0, system: str = ""
) -> tuple[Episode, tuple[Command, ...]]:
    """The episode after this event, and what is to be done to its ticket. See the rule at the top of the module.

    `reopen_within` is in seconds; 0 means that each episode has its own ticket. `system` is where one that begins has
    it. Raises ValueError when the event neither raises nor clears.
    """
    said = fault_state(event)
    if said is None:
        raise ValueError("the event neither raises nor clears a fault")
    before = episode or Episode(key, 0, FaultState.CLEARED, event.subject, event.id)
    identity = f"{event.source}\n{event.id}"
    if identity in before.seen:
        return before, ()
    before = replace(before, seen=(*before.seen[1 - RECENT :], identity), last_event=event.id)
    when = time_of(event)
    if said is FaultState.CLEARED:
        return _clear(before, event, when)
    return _raise(before, event, when, reopen_within, system)


def time_of(event: Event) -> datetime:
    """When it happened: the event's own time, but never later than the log took it."""
    taken = datetime.fromtimestamp(accepted_at(event), UTC)
    return min(event.time.astimezone(UTC), taken)


def _raise(
    before: Episode, event: Event, when: datetime, reopen_within: float, system: str
) -> tuple[Episode, tuple[Command, ...]]:
    if before.state is FaultState.RAISED or (before.cleared_at and when < before.cleared_at):
        return _repeat(before, event, when)
    ended = before.cleared_at
    begun = replace(before, state=FaultState.RAISED, last_raise=when, cleared_at=None, ticket_state=TicketState.OPENING)
    cause = cause_of(event)
    command: Command
    if ended and (when - ended).total_seconds() < reopen_within:
        begun = replace(begun, raises=before.raises + 1)
        command = Reopen(begun.key, begun.number, repeated_text(event, begun.raises), cause)
    else:
        begun = replace(
            begun,
            number=before.number + 1,
            raised_at=when,
            raises=1,
            subject=event.subject,
            title=title_of(event),
            severity=event.labels.get(SEVERITY, ""),
            ticket=None,
            ticket_link="",
            system=system,
        )
        command = Open(begun.key, begun.number, begun.title, raised_text(event), begun.severity, cause)
    if begun.last_clear and begun.last_clear > when:
        return _end(begun, event, begun.last_clear, command)
    return begun, (command,)


def _repeat(before: Episode, event: Event, when: datetime) -> tuple[Episode, tuple[Command, ...]]:
    count = before.raises + 1
    after = replace(before, raises=count)
    if before.state is FaultState.CLEARED:
        return after, ()
    after = replace(
        after, raised_at=min(before.raised_at or when, when), last_raise=max(before.last_raise or when, when)
    )
    told = count & (count - 1) == 0 and before.ticket_state in (TicketState.OPENING, TicketState.OPEN)
    return after, (Comment(before.key, before.number, repeated_text(event, count), cause_of(event)),) if told else ()


def _clear(before: Episode, event: Event, when: datetime) -> tuple[Episode, tuple[Command, ...]]:
    after = replace(before, last_clear=max(before.last_clear or when, when))
    if before.state is FaultState.CLEARED or (before.last_raise and when < before.last_raise):
        return after, ()
    return _end(after, event, when)


def _end(raised: Episode, event: Event, when: datetime, *first: Command) -> tuple[Episode, tuple[Command, ...]]:
    ended = replace(raised, state=FaultState.CLEARED, cleared_at=when, ticket_state=TicketState.CLOSING)
    close = Close(ended.key, ended.number, cleared_text(event, when, ended.raises), cause_of(event))
    return ended, (*first, close)


def redriven(episode: Episode, event: Event) -> tuple[Episode, tuple[Command, ...]]:
    """What a ticket that failed still needs, when an event of its episode is sent again: to be opened, which finds it
    by its key if it is there, and closed if the fault has ended. Nothing, when the ticket did not fail."""
    if episode.ticket_state is not TicketState.FAILED:
        return episode, ()
    cause = cause_of(event)
    opening = Open(episode.key, episode.number, episode.title, raised_text(event), episode.severity, cause)
    if episode.state is FaultState.RAISED:
        return replace(episode, ticket_state=TicketState.OPENING), (opening,)
    text = cleared_text(event, episode.cleared_at or time_of(event), episode.raises)
    closing = Close(episode.key, episode.number, text, cause)
    return replace(episode, ticket_state=TicketState.CLOSING), (opening, closing)


def applied(episode: Episode, command: Command, ticket: Ticket | None, failed: bool) -> Episode:
    """The episode after a command was carried out, or given up (`failed`); one of an earlier number changes nothing."""
    if command.number != episode.number or isinstance(command, Comment):
        return episode
    if failed:
        return replace(episode, ticket_state=TicketState.FAILED)
    if ticket is not None:
        episode = replace(episode, ticket=ticket.id, ticket_link=ticket.link or episode.ticket_link)
    if isinstance(command, Close):
        closed = episode.ticket and episode.state is FaultState.CLEARED
        return replace(episode, ticket_state=TicketState.CLOSED) if closed else episode
    # A ticket that is opened while the clear is already waiting goes on to be closed.
    return replace(episode, ticket_state=TicketState.OPEN) if episode.state is FaultState.RAISED else episode


def cause_of(event: Event) -> Cause:
    return Cause(event.id, event.source, event.subject, event.origin)
