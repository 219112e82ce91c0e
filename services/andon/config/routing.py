"""What is asked about an event, who hears of it, what holds it back, and when it is a fault: `enrich`, `route`, …"""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from andon.config.section import Section
from andon.config.units import Seconds


class EnrichRule(Section):
    """Ask `connector` about the events that match; `by` names the value it is asked with: subject, labels.x, data.x."""

    matchers: tuple[str, ...] = ()
    """Which events; all when empty."""
    connector: str
    """The connector's name; the answer is `facts.<name>`."""
    by: str = "subject"
    """The value it is asked with: `subject`, `type`, `source`, `labels.x`, `data.x` or `facts.x`."""
    wait: Seconds = 1.0
    """After this long the fact is marked missing and the event goes on."""
    labels: dict[str, str] = {}
    """Labels to set from the answer."""


class Route(Section):
    """A node of the route tree. Children inherit `receiver`; without `continue` the first matching child decides."""

    model_config = ConfigDict(populate_by_name=True)

    receiver: str | None = None
    """Who hears of it; at the root it is the default and must be there."""
    matchers: tuple[str, ...] = ()
    """All must hold; none at the root."""
    continue_: Annotated[bool, Field(alias="continue")] = False
    """Whether the next routes are tried too."""
    active_time_intervals: tuple[str, ...] = ()
    """Only within one of these times."""
    mute_time_intervals: tuple[str, ...] = ()
    """Not within these times."""
    urgent: bool | None = None
    """Goes before all that is not; inherited."""
    group_by: tuple[str, ...] | None = None
    """Labels whose equal values make a group, which speaks with one voice; `...`: the subject and all labels.
    Inherited, as the three times are; without it there are no groups. See docs/routing.md."""
    group_wait: Seconds | None = None
    """How long the first event of a group waits for others to leave with it; 0 by default."""
    group_interval: Seconds | None = None
    """How long after a notice the next one of its group leaves at the earliest; 0 by default."""
    repeat_interval: Seconds | None = None
    """How long a state that was told stays untold when it is reported again; 0 by default: every report is told."""
    routes: tuple[Route, ...] = ()
    """Its children, in order."""


class InhibitRule(Section):
    """What is not told while its cause is known, in Alertmanager's sense: see docs/routing.md."""

    source_matchers: tuple[str, ...]
    """The cause: an open episode whose fault matches these, on its type, subject, source and labels."""
    target_matchers: tuple[str, ...]
    """What is held back while there is such a cause."""
    equal: tuple[str, ...] = ()
    """Labels that have equal values in both."""


class EpisodeRule(Section):
    """Which events are faults, what makes two of them the same fault, and where its ticket goes."""

    matchers: tuple[str, ...] = ()
    """Which events; all when empty."""
    key: tuple[str, ...] = ("subject", "code")
    """Two events with equal values of these are one fault."""
    ticket_system: str | None = None
    """The ticket system's name; without one no ticket is opened, and the fault is only a cause for `inhibit_rules`."""
