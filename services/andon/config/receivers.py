"""The part of andon.yaml that says who is told, and how that looks: `receivers` and `templates`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from andon.config.section import Section
from andon.config.units import Rate, Seconds
from andon.core.delivery import MAX_RECIPIENTS
from andon.core.policy import Merge, OnAmbiguous
from andon.core.reason import Reason


class MergeRule(Section):
    """When and how waiting notices leave as one digest."""

    over: Rate
    """Above this rate they are combined."""
    by: tuple[str, ...] = ()
    """Labels whose equal values belong into one digest."""

    def policy(self) -> Merge:
        return Merge(self.over, self.by)


def _people(value: tuple[str, ...]) -> tuple[str, ...]:
    if len(value) > MAX_RECIPIENTS:
        raise ValueError(
            f"{len(value)} names; a delivery has at most {MAX_RECIPIENTS} recipients: make several receivers"
        )
    for number, name in enumerate(value):
        if not name or name != name.strip() or not name.isprintable():
            raise ValueError(f"entry {number + 1} is no name: it is empty or has blanks around it")
    return value


GivenUp = Literal[
    Reason.REJECTED,
    Reason.CREDENTIALS,
    Reason.GONE,
    Reason.TOO_LONG,
    Reason.EMPTY,
    Reason.TEMPLATE_BROKEN,
    Reason.NO_RESULT,
    Reason.RETRIES_EXHAUSTED,
    Reason.UNKNOWN,
    Reason.UNEXPECTED,
]


class FallbackRule(Section):
    """Who is told when a receiver was not reached."""

    receiver: str
    """The receiver's name."""
    after: Seconds | None = None
    """This long after the event, if it has not been delivered by then; without it only once it was given up."""
    reasons: tuple[GivenUp, ...] = ()
    """Only when it was given up for one of these reasons; for any when empty."""


class Receiver(Section):
    """A named destination: the channel, who, how it looks, and what happens when it cannot be known if it arrived."""

    channel: str
    """The channel's name."""
    to: Annotated[tuple[str, ...], AfterValidator(_people), Field(json_schema_extra={"maxItems": MAX_RECIPIENTS})] = ()
    """Who, in the channel's own words, at most 1,000; not needed by a group robot. `fact:machine.leader` is the name,
    or the list of names, that enrichment found there."""
    template: str = "plain"
    """`<template>.<channel kind>.j2`, else `<template>.j2`, in `templates.dir`; `plain` is built in."""
    merge: MergeRule | Literal["none"] | None = None
    """When waiting notices are combined; `none`: never."""
    fallback: Annotated[tuple[FallbackRule, ...], Field(max_length=8)] = ()
    """Who is told instead, one after the other, until one was reached. All attempts stand in one outcome."""
    send_resolved: bool = True
    """Whether it hears of what is over (`state="clear"`)."""
    on_ambiguous: OnAmbiguous = OnAmbiguous.RESEND_MARKED
    """What follows a call that may have had its effect: send again, marked as a possible repeat (`resend_marked`), lay
    it aside for a person (`park_unknown`), or send again because the other side deduplicates (`resend_keyed`)."""


MaskKind = Literal["phone", "id_card", "bank_card"]


class Templates(Section):
    """How notices look."""

    dir: str = "templates"
    """The folder of the Jinja2 files, `*.j2`."""
    missing: str = "【缺】"
    """Stands where a fact is missing."""
    mask: tuple[MaskKind, ...] = ()
    """Numbers of persons of which notices show only a part."""
