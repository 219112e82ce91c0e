"""Names of values inside an event (`subject`, `labels.line`, `data.axis.x`, `facts.machine.leader`), and templates.

Everything is compiled once and then only called. A value that is not there, and a JSON null, is None: to a business
system both say "no value". No compiled function ever raises.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from andon.core.event import Event

ATTRIBUTES = ("type", "subject", "source", "id")

Lookup = Callable[[Event], Any]
Text = Callable[[Event], str | None]

_NUMBER = re.compile(r"(?P<whole>[+-]?\d+)(?:\.0*)?|(?P<fraction>[+-]?\d*\.\d+)")
_LONGEST_NUMBER = 300  # what is longer no float can hold, and of some length on Python makes no int of it
_LONGEST_KEY = 64 << 10
_PIECE = re.compile(r"(?P<brace>\{\{|\}\})|\{(?P<path>[^{}]*)\}|(?P<stray>[{}])|(?P<text>[^{}]+)")


class PathError(ValueError):
    """A path or template that cannot be read; the text is one sentence."""


def text_of(value: Any) -> str | None:
    """The value as text, or None for what has none (missing, a list, an object). 3.0 is "3", true is "true"."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, int | float) else None


def number_of(value: Any) -> float | int | None:
    """The value as a number, or None. Text that is a plain decimal counts: tables saved by Excel hold only text.

    A whole number stays one, so that long ids are compared to their last digit. With an exponent it is a text: codes
    look like that (12E3).
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return value
    if isinstance(value, str) and len(text := value.strip()) <= _LONGEST_NUMBER and (found := _NUMBER.fullmatch(text)):
        return float(text) if found["fraction"] else int(found["whole"])
    return None


def is_path(text: str) -> bool:
    """Whether the text has the form of a path into data, facts or labels."""
    return text.startswith(("data.", "facts.", "labels."))


def compile_path(text: str) -> Lookup:
    """The function that reads this path from an event. Raises PathError."""
    if text in ATTRIBUTES:
        return operator.attrgetter(text)
    root, _, rest = text.partition(".")
    if root == "labels" and rest:
        return lambda event: event.labels.get(rest)
    steps = tuple(rest.split("."))
    if root not in ("data", "facts") or not all(steps):
        raise PathError(
            f"'{text}' names no value; write subject, labels.<name>, data.<name> or facts.<connector>.<name>"
        )
    if len(steps) == 1:
        (step,) = steps
        return (lambda event: event.data.get(step)) if root == "data" else (lambda event: event.facts.get(step))

    def descend(event: Event) -> Any:
        value: Any = event.data if root == "data" else event.facts
        for step in steps:
            if not isinstance(value, dict):
                return None
            value = value.get(step)
        return value

    return descend


def compile_field(name: str) -> Text:
    """The text of a field as people name it: a path, else an attribute, else the label, else the entry of `data`.

    Raises PathError.
    """
    if name in ATTRIBUTES or is_path(name) or not name:
        lookup = compile_path(name)
        return lambda event: text_of(lookup(event))

    def find(event: Event) -> str | None:
        label = event.labels.get(name)
        return label if label is not None else text_of(event.data.get(name))

    return find


def compile_key(fields: Sequence[str], missing: str | None = None) -> Text:
    """A key of several fields, joined by "/". A field without a value counts as `missing`, or makes the key None. Where
    nothing counts as missing it has at most 64 KiB, else it is None too: what goes by it is told by records that have
    it twice.

    In every field but the first, "/" is written %2F and "%" is written %25, so different values never meet in one key.
    Raises PathError.
    """
    if not fields:
        return lambda _event: ""
    first, *others = map(compile_field, fields)

    def key(event: Event) -> str | None:
        value = first(event)
        text = missing if value is None else value
        for other in others:
            value = other(event)
            value = missing if value is None else value
            if text is None or value is None:
                return None
            if "/" in value or "%" in value:
                value = value.replace("%", "%25").replace("/", "%2F")
            text = f"{text}/{value}"
        return None if missing is None and text is not None and len(text.encode()) > _LONGEST_KEY else text

    return key


class Braced(NamedTuple):
    """A path that stood in braces."""

    path: str


def pieces_of(text: str) -> Iterator[str | Braced]:
    """What a template consists of, in order: plain text, and paths. Raises PathError."""
    for match in _PIECE.finditer(text):
        if match["stray"]:
            raise PathError(f"'{text}' has a single '{match['stray']}'; write it twice to mean the sign itself")
        if match["path"] is not None:
            yield Braced(match["path"].strip())
        else:
            yield match["text"] or match["brace"][0]


def compile_template(text: str) -> Text:
    """A text with `{path}` in it ("{{" and "}}" are braces); None when one of its values is missing or has no text.

    Raises PathError.
    """
    pieces = [compile_path(piece.path) if isinstance(piece, Braced) else piece for piece in pieces_of(text)]

    def render(event: Event) -> str | None:
        parts = [piece if isinstance(piece, str) else text_of(piece(event)) for piece in pieces]
        return None if None in parts else "".join(part for part in parts if part is not None)

    return render
