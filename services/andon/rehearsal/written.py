"""The shape of a file of rule tests; docs/testing-rules.md says it with examples.

Times are texts here: they need the site's zone to be read (`moments`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from andon.config.section import Section
from andon.config.units import Seconds
from andon.core.mute import Then
from andon.core.reason import Reason

MOST_EVENTS = 100_000


def _plain_seconds(value: Any) -> Any:
    """A bare number means seconds, as everywhere."""
    return f"{value}s" if isinstance(value, int | float) and not isinstance(value, bool) else value


Moment = Annotated[str, BeforeValidator(_plain_seconds)]
Texts = str | tuple[str, ...]
Word = Literal["delivered", "merged", "skipped", "parked"]
Failing = Literal[
    Reason.REJECTED,
    Reason.CREDENTIALS,
    Reason.GONE,
    Reason.TOO_LONG,
    Reason.NOT_SENT,
    Reason.TIMEOUT,
    Reason.CONNECTION,
    Reason.THROTTLED,
    Reason.BUSY,
    Reason.SERVER_ERROR,
    Reason.BAD_REPLY,
]


class Pattern(Section):
    """What an event says. `{n}` in a text is the number of the repetition."""

    type: str | None = None
    subject: str | None = None
    source: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    data: dict[str, Any] = Field(default_factory=dict)
    facts: dict[str, Any] = Field(default_factory=dict)
    """What a connector would have said, by its name; a `csv` table is asked itself where nothing is given."""


class Given(Pattern):
    """An event, or several that follow each other."""

    event: str | None = None
    """An event of the file's `events`, of which this one says only what is other."""
    id: str | None = None
    """Its name in the expectations; `e1`, `e2` … by default, and `e1-1`, `e1-2` … when it is repeated."""
    at: Moment = "0s"
    """When it is accepted."""
    times: Annotated[int, Field(ge=1, le=MOST_EVENTS)] = 1
    """So many of it."""
    every: Seconds = 1.0
    """How long after each other."""


class Answer(Section):
    """What a receiver's vendor does instead of accepting everything."""

    receiver: str
    reason: Failing
    """Why it takes nothing."""
    at: Moment = "0s"
    """From when on."""
    until: Moment | None = None
    """Until when; for ever if it is not there."""


class Muting(Section):
    """A mute, as `andon mute` makes one. Its name is `mute m1`, that of the next `mute m2` …."""

    matchers: tuple[str, ...]
    at: Moment = "0s"
    """From when on."""
    until: Moment
    """Until when."""
    then: Then = "digest"
    """What becomes of what it holds."""


class NoticeExpected(Section):
    """A notice that somebody gets. What is not named may be anything."""

    receiver: str
    at: Moment | None = None
    """When it leaves, to the millisecond."""
    to: Texts | None = None
    """Whom it reaches."""
    count: int | None = None
    """How many events it speaks of."""
    events: Texts | None = None
    """Which events it speaks of."""
    route: str | None = None
    """The route that was taken: `0.2`."""
    group: str | None = None
    """The values of `group_by`, as `L3` or `L3/E12`."""
    text: Texts | None = None
    """What it says, whole; a list where it has several parts."""
    contains: Texts = ()
    """Words in it."""
    lacks: Texts = ()
    """Words that are not in it."""


class OutcomeExpected(Section):
    """How events end."""

    event: str | None = None
    """Which event; all of them when it is not there. The name of a repeated one means each of its repetitions."""
    receiver: str | None = None
    """At which receiver."""
    outcome: Word | None = None
    reason: str | None = None
    by: str | None = None
    """The rule that decided: `0.2 night`."""
    count: int | None = None
    """How many of them end so; every one when it is not there."""


class Expect(Section):
    """What must come of it."""

    receivers: tuple[str, ...] | None = None
    """Exactly these get a notice; `[]` for nobody."""
    notices: tuple[NoticeExpected, ...] | None = None
    """Exactly these notices, those of one receiver in their order."""
    includes: tuple[NoticeExpected, ...] = ()
    """These are among the notices."""
    totals: dict[str, int] = Field(default_factory=dict)
    """How many notices a receiver gets."""
    outcomes: tuple[OutcomeExpected, ...] = ()
    """How events end."""
    waiting: int | None = None
    """How many deliveries are still open when the clock stops."""


class Case(Section):
    """One test: events, and what must come of them."""

    name: Annotated[str, Field(min_length=1)]
    at: str
    """When it begins: `2026-09-30 19:58`, in the site's zone."""
    given: tuple[Given, ...]
    answers: tuple[Answer, ...] = ()
    mutes: tuple[Muting, ...] = ()
    until: Moment | None = None
    """When the clock stops; when nothing is left to do if it is not there."""
    expect: Expect


class Suite(Section):
    """A file of tests."""

    events: dict[str, Pattern] = Field(default_factory=dict)
    """Events that several tests need, by name."""
    tests: tuple[Case, ...]
