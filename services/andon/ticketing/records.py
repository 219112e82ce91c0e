"""The records of `andon.tickets` that an episode and its ticket leave. Pure, with deterministic ids."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from msgspec.structs import replace

from andon.core.event import Event
from andon.core.ids import Namespace
from andon.core.ports import Ticket
from andon.core.ticket import EpisodeRecord
from andon.ticketing.episode import Cause, Close, Command, Comment, Episode, FaultState, cause_of, time_of

_ids = Namespace(UUID("0e0f52a8-3e4d-5f0a-8a51-64b0f2f7c9d3"))


def records(before: Episode | None, after: Episode, event: Event, *, system: str = "") -> tuple[EpisodeRecord, ...]:
    """The records of `andon.tickets` for what `advance` made of an event: raised, cleared, both or none, in order."""
    number, state = (before.number, before.state) if before else (0, FaultState.CLEARED)
    begun = after.number != number or (after.state is FaultState.RAISED and state is FaultState.CLEARED)
    ended = after.state is FaultState.CLEARED and (begun or state is FaultState.RAISED)
    made = []
    if begun:
        made.append(record(after, FaultState.RAISED, event, system=system))
    if ended:
        made.append(record(after, FaultState.CLEARED, event, system=system))
    return tuple(made)


def record(episode: Episode, state: str, event: Event, *, system: str = "") -> EpisodeRecord:
    """One state change that an event caused, at the event's time (see the rule); its id is the same at every repeat."""
    at = (episode.cleared_at if state == FaultState.CLEARED else episode.last_raise) or time_of(event)
    ticket = Ticket(episode.ticket, "", episode.ticket_link) if episode.ticket else None
    told = _record(episode, state, cause_of(event), at, ticket, system, "")
    if state != FaultState.RAISED:
        return told
    return replace(told, source=event.source, type=event.type, labels=event.labels)


def ticket_record(
    command: Command, ticket: Ticket | None, at: datetime, *, failed: bool = False, system: str = "", detail: str = ""
) -> EpisodeRecord | None:
    """What a command that was carried out, or given up, made of the ticket; None for a comment that was added."""
    if failed:
        state = "ticket_failed"
    elif isinstance(command, Comment):
        return None
    else:
        state = "ticket_closed" if isinstance(command, Close) else "ticket_opened"
    return _record(command, state, command.cause, at, ticket, system, detail)


def _record(
    of: Episode | Command, state: str, cause: Cause, at: datetime, ticket: Ticket | None, system: str, detail: str
) -> EpisodeRecord:
    identity = "\n".join((of.key, str(of.number), state, type(of).__name__, cause.source, cause.event))
    return EpisodeRecord(
        id=_ids.id(identity),
        episode=of.key,
        number=of.number,
        state=state,
        at=at,
        event=cause.event,
        subject=cause.subject,
        ticket=ticket.id if ticket else None,
        link=ticket.link if ticket else "",
        system=system,
        detail=detail,
        origin=cause.origin,
    )
