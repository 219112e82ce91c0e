"""`map` of a source: how what another system sends becomes an event (docs/mapping.md).

It stands in andon.yaml or in a file of its own that andon.yaml names; a version of the configuration has its content.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from andon.config.addresses import Zone
from andon.config.section import Section

LONGEST = 2_000
Written = Annotated[str, Field(min_length=1, max_length=LONGEST)]


class Lookup(Section):
    """A value that is translated, or has something in its place when it is not there."""

    model_config = ConfigDict(populate_by_name=True)

    from_: Annotated[Written, Field(alias="from")]
    """The path of the value."""
    table: dict[str, str] | None = None
    """What is written for each value; one that is not here counts as not there."""
    else_: Annotated[str | None, Field(alias="else")] = None
    """What is written when there is no value; an empty text leaves it out. Without it such a body is refused."""


class Moment(Section):
    """A time that is not written as RFC 3339 has it."""

    model_config = ConfigDict(populate_by_name=True)

    from_: Annotated[Written, Field(alias="from")]
    """The path of the time."""
    format: Written = "iso"
    """`iso`, `seconds` or `milliseconds` since 1970, or a format of `strptime`, such as `%Y-%m-%d %H:%M:%S`."""
    zone: Zone | None = None
    """The zone of a time that says none; `site.zone` by default."""
    else_: Annotated[Literal["now"] | None, Field(alias="else")] = None
    """`now`: the time of arrival, when there is none."""


Value = Written | Lookup


class Map(Section):
    """How a body becomes an event. A text may hold paths in braces: `{machine_no}`, `{plant}/{line}`; what a path leads
    to must be there, or have an `else`."""

    body: Literal["json", "xml", "form"] = "json"
    """What the other system sends. Paths are JMESPath, of XML XPath 1.0; the fields of a form are read as an object."""
    namespaces: dict[str, str] = {}
    """Prefixes of XML namespaces, for the paths."""
    each: Written | None = None
    """Where a list of events stands, 1,000 at most. All other paths then begin at one of them, and with `$.` (of XML,
    `/`) at the body."""
    when: Written | None = None
    """A path: what it finds nothing for, 0, false or an empty value, is left out, and answered as if it were taken."""
    type: Value
    """What happened."""
    subject: Value | None = None
    """What it is about; the source's name by default."""
    id: Value | None = None
    """What makes it the same event when it is sent again; by default its whole content. `new`: each is a new one."""
    time: Written | Moment | None = None
    """When it happened; by default the time of arrival."""
    labels: dict[str, Value] = {}
    """Labels, for routing. `state` must become `raise` or `clear`."""
    data: Written | dict[str, Value] | None = None
    """What templates and matchers see as `data`: by default all of the body, or of one of `each`. One path in braces
    keeps what it finds as it is: a number, a list, an object."""
