"""The part of andon.yaml that says who is told, and how that looks: `receivers` and `templates`."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from andon.config.addresses import Zone
from andon.config.section import Section
from andon.config.templates import LANGUAGE
from andon.config.units import Rate, Seconds
from andon.core.delivery import MAX_RECIPIENTS
from andon.core.policy import Merge, OnAmbiguous
from andon.core.reason import Reason
from andon.core.text import is_line

_FIELD = re.compile(r"\{(id|subject)\}")
_ADDRESS = re.compile(r"https?://[^\s/?#]+[^\s]*", re.ASCII)
_MARKUP = frozenset("(){}[]<>|*`\"'\\")
_LONGEST_LINK = 512


def _language(text: str) -> str:
    if not LANGUAGE.fullmatch(text):
        raise ValueError(
            f"{text!r} is not a language; write a code of ISO 639-1 such as zh or en, or with a country zh-TW"
        )
    return text


def _link(text: str) -> str:
    rest = _FIELD.sub("", text)
    if not _ADDRESS.fullmatch(text) or _MARKUP & set(rest) or rest == text or len(text) > _LONGEST_LINK:
        raise ValueError("must be an address like https://mes.corp/events/{id}, with `{id}` or `{subject}` in it")
    return text


Language = Annotated[str, AfterValidator(_language)]
Link = Annotated[str, AfterValidator(_link)]


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
        if not name or name != name.strip():
            raise ValueError(f"entry {number + 1} is not a name: it is empty or has blanks around it")
        if not is_line(name):
            raise ValueError(f"entry {number + 1} is not a name: it has signs in it that nobody sees")
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
    or the list of names, that enrichment found there; `role:班长 & department:{facts.machine.line}` and
    `manager-of:fact:machine.leader` ask the directory. See docs/routing.md."""
    at_most: Annotated[int, Field(ge=1, le=100_000)] = MAX_RECIPIENTS
    """How many people a computed `to` may come to; those beyond are left out, with a remark that says so."""
    if_nobody: str | None = None
    """The receiver that is told in its place when a computed `to` comes to nobody."""
    template: str = "plain"
    """`<template>.<channel kind>.<language>.j2` in `templates.dir`, with or without kind and language, in a folder of
    the event's type or not: docs/templates.md. `plain` is built in."""
    language: Language | None = None
    """The language of its notices, `zh`, `en` or another of ISO 639-1 that has templates; by default `site.language`.
    Built-in texts are Chinese for `zh`, else English."""
    zone: Zone | None = None
    """The IANA time zone its notices tell times in; by default `site.zone`."""
    watermark: bool | None = None
    """Whether each of its texts bears a watermark; by default `templates.watermark`."""
    long: Literal["split", "link"] = "split"
    """A text that is too long for one notice leaves in parts (`split`), or is cut, says so, and has a link to the whole
    (`link`, which needs `templates.link`)."""
    merge: MergeRule | Literal["none"] | None = None
    """When waiting notices are combined, by default above half of the channel's limit. `none`: only when the queue is
    full, by `limits.per_person`, or behind a mute."""
    fallback: Annotated[tuple[FallbackRule, ...], Field(max_length=8)] = ()
    """Who is told instead, one after the other, until one was reached. All attempts stand in one outcome."""
    send_resolved: bool = True
    """Whether it hears of what is over (`state="clear"`)."""
    on_ambiguous: OnAmbiguous = OnAmbiguous.RESEND_MARKED
    """What follows a call that may have had its effect: send again, marked as a possible repeat (`resend_marked`), lay
    it aside for a person (`park_unknown`), or send again because the other side deduplicates (`resend_keyed`)."""


class DirectoryTable(Section):
    """Who is who: a table of people that is published with the configuration. The columns of one person may hold
    several values with `;` between them, and departments are paths like `苏州一厂/采购部`."""

    connector: str = "people"
    """The connector whose table it is, of kind `csv` or `sql`."""
    id: str = "userid"
    """The column with what channels call a person."""
    department: str = "department"
    """The column with departments."""
    role: str = "role"
    """The column with roles."""
    shift: str = "shift"
    """The column with shifts."""
    manager: str = "manager"
    """The column with the ids of whom they report to."""
    addresses: dict[str, str] = {}
    """By kind of channel, the column with what that one calls a person in place of `id`: `{smtp: mail}`."""


MaskKind = Literal["phone", "id_card", "bank_card"]


class Templates(Section):
    """How notices look."""

    dir: str = "templates"
    """The folder of the Jinja2 files, `*.j2`."""
    missing: str | None = None
    """Stands where a fact is missing; by default 【缺】, and [missing] in other languages than Chinese."""
    mask: tuple[MaskKind, ...] = ()
    """Numbers of persons of which notices show only a part."""
    link: Link | None = None
    """Where an event can be looked up in a system of yours: `https://mes.corp/events/{id}`, or by its `{subject}`."""
    watermark: bool = False
    """Whether every text ends with a line that tells a leaked picture apart: receiver, delivery and time."""
