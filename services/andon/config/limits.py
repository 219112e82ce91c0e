"""`limits`: caps of the whole system, and of what one person is told."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema

from andon.config.section import Section
from andon.config.units import Bytes, Rate
from andon.core.policy import Limit

_DEEP = "above 1000 it breaks the promised queue depth"


def _window(value: int) -> int:
    if not 500 <= value <= 1_000:
        raise ValueError(f"must be 500 to 1000, not {value}: a smaller window wastes transactions, {_DEEP}")
    return value


def _queue(value: int) -> int:
    if not 500 <= value <= 1_000:
        raise ValueError(f"must be 500 to 1000, not {value}: a shorter one merges what would be delivered, {_DEEP}")
    return value


_SCHEMA = WithJsonSchema({"type": "integer", "minimum": 500, "maximum": 1_000})


class PersonLoad(Section):
    """How much of what is not urgent one person is told; what exceeds it waits and comes as one digest. It is counted
    for each application or mail account, over all its receivers."""

    model_config = ConfigDict(populate_by_name=True)

    notices: Rate = Field(default_factory=lambda: Limit(12, 3_600.0))
    """So many in an hour."""
    burst: Rate = Field(default_factory=lambda: Limit(10, 600.0))
    """So many in a shorter time."""
    then: Literal["digest"] = "digest"
    """What becomes of the rest."""
    except_: Annotated[Literal["urgent"], Field(alias="except")] = "urgent"
    """What is told at any time."""


class StormRule(Section):
    """When too much of one kind comes for one receiver: what exceeds the rate waits, and comes as one digest."""

    over: Rate
    """So many of a kind are told one by one, urgent ones at any time. A digest counts as all that it tells."""
    by: tuple[str, ...] = ()
    """Labels whose equal values make a kind; without them all is of one kind."""
    then: Literal["digest"] = "digest"
    """What becomes of the rest."""


class Limits(Section):
    """Caps of the whole system. `window` and `queue` stay within 500 to 1000: see docs/limits.md for the reason."""

    window: Annotated[int, AfterValidator(_window), _SCHEMA] = 1_000
    """Records a service takes in one transaction, 500 to 1000."""
    queue: Annotated[int, AfterValidator(_queue), _SCHEMA] = 500
    """Open deliveries of one receiver before its merge rule combines them, 500 to 1000."""
    backlog: Annotated[int, Field(ge=1_000)] = 50_000
    """Open deliveries of all receivers before intake pauses and the door answers 429."""
    body: Bytes = 1 << 20
    """The largest request the door takes."""
    in_flight: Annotated[int, Field(ge=1, le=1_000)] = 64
    """Calls to the outside at one time."""
    per_person: PersonLoad | Literal["none"] = PersonLoad()
    """How much one person is told: what the vendors allow is more than anybody can read. `none`: as much as they
    allow."""
    storm: StormRule | Literal["none"] = "none"
    """How much of one kind each receiver is told. `none`: all of it, as far as its other rules let it."""
