"""The structure of a card: which fields it has, what may stand in each, and where people look first.

A channel declares its structured kinds as `structures: ClassVar[Mapping[str, Structure]]`. A template of such a kind is
plain YAML whose texts are Jinja2; the structure is the file's, so that no data can forge a button or a link. What is
wrong is found twice by one judge (egress.judge): in the file before anything is sent, when texts that hold Jinja2 are
*open* and not judged, and in what was rendered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

Way = tuple[str | int, ...]
"""The way to a value: keys of maps and positions in lists."""


class Problem(NamedTuple):
    """What is wrong, and where. `too_long` marks what could be right if it were shorter."""

    way: Way
    text: str
    too_long: bool = False


class Text(msgspec.Struct, frozen=True):
    """A text of at most `most` UTF-8 bytes and `characters` of Unicode, 0 for any; with `markdown` values are escaped
    for markdown."""

    most: int = 0
    markdown: bool = False
    characters: int = 0


class Url(msgspec.Struct, frozen=True):
    """An address with one of these schemes."""

    most: int = 0
    schemes: tuple[str, ...] = ("http", "https")


class Person(msgspec.Struct, frozen=True):
    """The id of somebody who is called by name. Everybody (`all`) only where the file says so itself."""


class Number(msgspec.Struct, frozen=True):
    """A number within bounds."""

    least: float
    most: float
    whole: bool = True


class Choice(msgspec.Struct, frozen=True):
    """One of these values."""

    values: tuple[str | int | bool, ...]


class File(msgspec.Struct, frozen=True):
    """The name of a file beside andon.yaml, of at most `most` bytes, that from the byte `at` on begins as one of
    `begins`; never open."""

    most: int
    least: int = 1
    begins: tuple[bytes, ...] = ()
    what: str = "file"
    at: int = 0


class Items(msgspec.Struct, frozen=True):
    """A list of `least` to `most` entries."""

    of: Shape
    most: int
    least: int = 1


class Fields(msgspec.Struct, frozen=True):
    """A map with the keys of `required` and any of `optional`; `rule` looks at the whole of it."""

    required: Mapping[str, Shape]
    optional: Mapping[str, Shape] = {}
    rule: Callable[[Mapping[str, Any]], Iterator[Problem]] | None = None

    def of(self, key: str) -> Shape | None:
        return self.required.get(key) or self.optional.get(key)


class Forms(msgspec.Struct, frozen=True):
    """A map of the form that the value of `key` names, which the file writes out; "" where `key` is not there."""

    key: str
    forms: Mapping[str, Fields]


Leaf = Text | Url | Person | Number | Choice | File
Shape = Leaf | Items | Fields | Forms


class Structure(msgspec.Struct, frozen=True):
    """One structured kind: its shape, the bytes its JSON may have, and the ways to the texts people see first.

    Before the first of `marks` that is there goes the mark of a possible repeat; where none is, a text of its own
    goes before the whole. What is no `notice` tells nobody anything new, but changes what was sent before.
    """

    shape: Shape
    most: int
    marks: tuple[Way, ...] = ()
    notice: bool = True


def needs_file(shape: Shape) -> bool:
    """Whether a card of this shape names a file."""
    return isinstance(shape, Fields) and any(isinstance(one, File) for one in shape.required.values())


def is_open(value: Any) -> bool:
    """Whether a text holds Jinja2, so that it is known only when it is rendered."""
    return isinstance(value, str) and any(sign in value for sign in ("{{", "{%", "{#"))


def leaves(shape: Shape | None, value: Any, way: Way = ()) -> Iterator[tuple[Way, str, Leaf]]:
    """Every open text that has a place in the shape."""
    match shape:
        case Items() if isinstance(value, list):
            for index, one in enumerate(value):
                yield from leaves(shape.of, one, (*way, index))
        case Fields() if isinstance(value, dict):
            for key, one in value.items():
                yield from leaves(shape.of(key), one, (*way, key))
        case Forms() if isinstance(value, dict):
            yield from leaves(shape.forms.get(str(value.get(shape.key, ""))), value, way)
        case Text() | Url() | Person() | Number() | Choice() if is_open(value):
            yield way, value, shape


def read(leaf: Leaf, text: str) -> Any:
    """What a rendered text stands for where a number or a choice is wanted."""
    if isinstance(leaf, Number) or (isinstance(leaf, Choice) and not isinstance(leaf.values[0], str)):
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
        try:
            return int(text)
        except ValueError:
            pass
        try:
            return float(text)
        except ValueError:
            pass
    return text


def marked(structure: Structure, value: Any, mark: str) -> bool:
    """Puts `mark` before the text that people see first; False when there is none."""
    for way in structure.marks:
        holder = value
        try:
            for step in way[:-1]:
                holder = holder[step]
            text = holder[way[-1]]
        except (KeyError, IndexError, TypeError):
            continue
        if isinstance(text, str):
            holder[way[-1]] = mark + text
            return True
    return False
