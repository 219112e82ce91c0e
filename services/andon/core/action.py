"""What somebody did, or asked for and did not get."""

from __future__ import annotations

from uuid import UUID

import msgspec

from andon.core.event import Moment
from andon.core.ids import Namespace

PUBLISH, ROLLBACK, MUTE, REMUTE, UNMUTE, LIST_MUTES = (
    "config.publish",
    "config.rollback",
    "mute.create",
    "mute.change",
    "mute.end",
    "mute.list",
)
REFUSE = "door.refuse"
_ids = Namespace(UUID("5d0c3a52-8f0e-5c3b-9d57-2c1b7d0a9e44"))


class Action(msgspec.Struct, frozen=True, omit_defaults=True):
    """The record of `andon.actions`: a call or a change, by whom, and whether it was done.

    `on` names what it was about (a mute, a version), `why` is the reason given, or the one it was refused for.
    `version` is that of the configuration which came of it. `client` is the client of the door that called; None for a
    command.
    """

    id: UUID
    at: Moment
    actor: str
    action: str
    done: bool
    on: str = ""
    why: str = ""
    version: int = 0
    client: str | None = None


def version_action_id(version: int) -> UUID:
    """The one id of the action that a version came of."""
    return _ids.id(f"version {version}")
