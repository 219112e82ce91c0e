"""The record of `andon.tickets` and `andon.active`: a fault episode and its ticket."""

from __future__ import annotations

from uuid import UUID

import msgspec

from andon.core.event import Moment, Position


class EpisodeRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """One state change of a fault episode.

    `id` is deterministic; `episode` is the key (subject and code), `number` counts the episodes of that key.
    `state` is raised, ticket_opened, cleared, ticket_closed or ticket_failed. `event` names the event that caused it.
    When it was raised, `source`, `type` and `labels` are those of that event: by them other notices are held back.
    """

    id: UUID
    episode: str
    number: int
    state: str
    at: Moment
    event: str
    subject: str
    ticket: str | None = None
    link: str = ""
    system: str = ""
    detail: str = ""
    origin: tuple[Position, ...] = ()
    source: str = ""
    type: str = ""
    labels: dict[str, str] = {}
