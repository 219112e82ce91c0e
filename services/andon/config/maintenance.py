"""Planned silence: the section `maintenance` of andon.yaml."""

from __future__ import annotations

from andon.config.section import Section
from andon.core.mute import Then


class Maintenance(Section):
    """A planned time in which nobody is told of what matches. For one that is not planned there is `andon mute`."""

    matchers: tuple[str, ...]
    """Which events; all must hold."""
    days: tuple[str, ...] = ()
    """Days of the week, `sunday` or `saturday:sunday`; every day when empty."""
    times: tuple[str, ...] = ()
    """Times of day, `06:00-10:00`; one may pass midnight, and belongs to the day it begins on. The whole day when
    empty."""
    then: Then = "digest"
    """What becomes of it: `digest`, every receiver is told when it is over, in one notice; `drop`, nobody is."""
    owner: str = ""
    """Whom to ask about it."""
