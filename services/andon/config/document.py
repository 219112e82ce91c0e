"""The text of andon.yaml as plain data, with the place of every key and value.

YAML 1.2 (https://yaml.org/spec/1.2.2/, core schema of chapter 10.3) with four deliberate differences: a number with a
leading zero (`00123`, a staff number) stays text, infinities and NaN stay text, every key is text, and the tags and
merge keys of other YAML versions are refused. The syntax is ruamel.yaml's; what it parses is composed here, because
only here depth and size can be bounded before memory is spent, and every duplicate key be reported.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path as File
from typing import Any, TypeVar

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError

from andon.config.mistakes import Path, Place

T = TypeVar("T")

FILE_NAME = "andon.yaml"
MAX_BYTES = 1 << 20
MAX_DEPTH = 60
MAX_VALUES = 100_000

_TEXT_TAG = "tag:yaml.org,2002:str"
_CONSTANTS: dict[str, Any] = {"": None, "~": None} | {
    form: value
    for word, value in (("null", None), ("true", True), ("false", False))
    for form in (word, word.title(), word.upper())
}
_NO_TEXT = re.compile("[\0\ud800-\udfff]")
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,18})")
_BASED = re.compile(r"0o[0-7]{1,21}|0x[0-9a-fA-F]{1,16}")
_FLOAT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,2})?")


class Unreadable(Exception):  # noqa: N818 - a state of the file, read by people
    """The text is no YAML document that can be read further; says where (line and column from 1) and why."""

    def __init__(self, place: Place, text: str) -> None:
        super().__init__(text)
        self.place = place
        self.text = text


@dataclass(frozen=True)
class Document:
    """Plain data and where its parts stand; lines and columns count from 1.

    `values` has the place of every value, `keys` that of every key of a map. `mistakes` lists what could be read
    past: duplicate keys, tags, merge keys.
    """

    data: Any
    values: Mapping[Path, Place]
    keys: Mapping[Path, Place]
    mistakes: tuple[tuple[Place, str], ...]

    def where(self, path: Path) -> Place:
        """Where a reader looks for `path`: a map or a list at its key, anything else at its value.

        A path that is not in the file gives the place of its nearest ancestor.
        """
        while path not in self.values:
            if not path:
                return (1, 1)
            path = path[:-1]
        inner = self.at(path)
        at_key = inner is None or isinstance(inner, dict | list)
        return self.keys.get(path, self.values[path]) if at_key else self.values[path]

    def at(self, path: Path) -> Any:
        """The data at `path`; None when there is none."""
        inner = self.data
        for step in path:
            if isinstance(inner, dict):
                inner = inner.get(step)
            elif isinstance(inner, list) and isinstance(step, int) and step < len(inner):
                inner = inner[step]
            else:
                return None
        return inner


@dataclass
class _Node:
    """A value as it stands in the text; shared by every alias of it."""

    place: Place
    scalar: Any = None
    items: list[_Node] | None = None
    pairs: list[tuple[str, Place, _Node]] | None = None


@dataclass
class _Composer:
    """Makes nodes of the parser's events, within the bounds; `scalar` makes the values."""

    events: Iterator[Event]
    scalar: Callable[[Any], Any]
    anchors: dict[str, _Node] = field(default_factory=dict)
    mistakes: list[tuple[Place, str]] = field(default_factory=list)

    def node(self, event: Any, depth: int) -> _Node:
        place = _place(event.start_mark)
        if depth > MAX_DEPTH:
            raise Unreadable(place, f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(event, AliasEvent):
            if event.anchor not in self.anchors:
                raise Unreadable(place, f"`*{event.anchor}` names no anchor defined before it")
            return self.anchors[event.anchor]
        if event.tag is not None and not (isinstance(event, ScalarEvent) and event.tag == _TEXT_TAG):
            self.mistakes.append((place, "tags (`!…`) are not used in this file"))
        node = self._open(event, place, depth)
        if event.anchor:
            self.anchors[event.anchor] = node
        return node

    def _open(self, event: Event, place: Place, depth: int) -> _Node:
        if isinstance(event, SequenceStartEvent):
            return _Node(place, items=[self.node(item, depth + 1) for item in iter(self._next(SequenceEndEvent), None)])
        if isinstance(event, MappingStartEvent):
            return _Node(place, pairs=list(self.pairs(depth)))
        return _Node(place, scalar=self.scalar(event))

    def _next(self, end: type[Event]) -> Any:
        """A function that gives the next event, or None at `end`."""

        def step() -> Event | None:
            event = next(self.events)
            return None if isinstance(event, end) else event

        return step

    def pairs(self, depth: int) -> Iterator[tuple[str, Place, _Node]]:
        """The pairs of a map that has just begun, each as it is read."""
        seen: dict[str, Place] = {}
        for event in iter(self._next(MappingEndEvent), None):
            place = _place(event.start_mark)
            if not isinstance(event, ScalarEvent):
                raise Unreadable(place, "a key is a plain word, not a map, a list or an alias")
            value = self.node(next(self.events), depth + 1)
            key = _text(event)
            if key == "<<" and _plain(event):
                self.mistakes.append((place, "`<<` (merge) is not part of YAML 1.2; write the keys out"))
            elif key in seen:
                self.mistakes.append((place, f"duplicate key `{key}`; the first is in line {seen[key][0]}"))
            else:
                seen[key] = place
                yield key, place, value


def _plain(event: Any) -> bool:
    return event.style is None and event.tag is None


def _place(mark: Any) -> Place:
    return (mark.line + 1, mark.column + 1)


def _text(event: Any) -> str:
    """The text of a scalar. JSON, which is YAML too, writes a character beyond U+FFFF as two halves. Raises Unreadable
    for what no record can have."""
    text: str = event.value
    if not _NO_TEXT.search(text):
        return text
    try:
        whole = text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        whole = "\0"
    if "\0" in whole:
        raise Unreadable(_place(event.start_mark), "a NUL, or half of a character, stands in this text; take it out")
    return whole


def _resolve(event: Any) -> Any:
    """The value of a scalar: only a plain one (no quotes, no tag) is anything but text."""
    text = _text(event)
    if not _plain(event):
        return text
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _BASED.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text) and not text.lstrip("+-").isdigit():
        return float(text)
    return text


def _as_it_stands(event: Any) -> str | None:
    """The same without numbers and truth values: how they are written is kept."""
    text = _text(event)
    return None if _plain(event) and text in _CONSTANTS and _CONSTANTS[text] is None else text


@dataclass
class _Reading:
    """Turns nodes into data; an alias is written out, so the number of values is bounded here."""

    values: dict[Path, Place] = field(default_factory=dict)
    keys: dict[Path, Place] = field(default_factory=dict)

    def data(self, node: _Node, path: Path) -> Any:
        self.values[path] = node.place
        if len(self.values) > MAX_VALUES:
            raise Unreadable(node.place, f"more than {MAX_VALUES} values, aliases written out")
        if len(path) > MAX_DEPTH:
            raise Unreadable(node.place, f"nested deeper than {MAX_DEPTH} levels, aliases written out")
        if node.items is not None:
            return [self.data(item, (*path, index)) for index, item in enumerate(node.items)]
        if node.pairs is None:
            return node.scalar
        for key, place, _ in node.pairs:
            self.keys[(*path, key)] = place
        return {key: self.data(value, (*path, key)) for key, _, value in node.pairs}


def file_of(path: File) -> File:
    """The file itself, or the andon.yaml of a folder. Where nobody may look, whoever reads it says so."""
    return path / FILE_NAME if os.path.isdir(path) else path


def read(file: File) -> bytes:
    """What is in a file, or the beginning of one that is too large. Raises Unreadable."""
    try:
        with file.open("rb") as stream:
            return stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        other = file.with_suffix(".yml")
        near = f"; rename {other.name} to {file.name}" if other.exists() else ""
        raise Unreadable((1, 1), f"there is no such file{near}") from None
    except OSError as error:
        raise Unreadable((1, 1), f"cannot be read ({error.strerror})") from None


def parse(raw: bytes) -> Document:
    """The document in `raw` (UTF-8, with or without a byte order mark). Raises Unreadable."""
    return _composed(raw, _document)


def parse_texts(raw: bytes) -> Document:
    """The same with every value as the text that stands there, `1.10` and `True` too, as other programs read what is to
    be text. Raises Unreadable."""
    return _composed(raw, _document, _as_it_stands)


def section(raw: bytes, key: str) -> Any:
    """What stands under a key of the first level, None where there is no such key. What follows it is not read, be it
    right or wrong. Raises Unreadable."""
    return _composed(raw, lambda composer: _section(composer, key))


def _composed(raw: bytes, made: Callable[[_Composer], T], scalar: Callable[[Any], Any] = _resolve) -> T:
    if len(raw) > MAX_BYTES:
        raise Unreadable((1, 1), f"larger than {MAX_BYTES >> 20} MiB")
    text = _decode(raw)
    try:
        return made(_Composer(iter(YAML(typ="safe", pure=True).parse(text)), scalar))
    except ReaderError as error:
        raise Unreadable(_of_offset(text, error.position), "there is a control character here") from None
    except MarkedYAMLError as error:
        raise _unreadable(error) from None
    except YAMLError as error:
        raise Unreadable((1, 1), str(error)) from None


def _document(composer: _Composer) -> Document:
    reading = _Reading()
    data = reading.data(_root(composer), ())
    return Document(data, reading.values, reading.keys, tuple(composer.mistakes))


def _section(composer: _Composer, wanted: str) -> Any:
    pairs = composer.pairs(0) if isinstance(_opening(composer), MappingStartEvent) else ()
    for key, _, value in pairs:
        if key == wanted:
            return _Reading().data(value, (key,))
    return None


def _root(composer: _Composer) -> _Node:
    root = composer.node(_opening(composer), 0)
    for after in composer.events:
        if isinstance(after, DocumentStartEvent):
            raise Unreadable(_place(after.start_mark), "a file holds one document; a second one begins here")
        if not isinstance(after, DocumentEndEvent):
            break
    return root


def _opening(composer: _Composer) -> Event:
    """What the first document begins with."""
    for event in composer.events:
        if isinstance(event, DocumentStartEvent):
            return next(composer.events)
    raise Unreadable((1, 1), "the file is empty")


def _decode(raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode("utf-8", "replace")  # which lacks a byte order mark
        raise Unreadable(_of_offset(before, len(before)), "not UTF-8; save the file as UTF-8") from None


def _of_offset(text: str, offset: int) -> Place:
    lines = text[:offset].split("\n")
    return (len(lines), len(lines[-1]) + 1)


def _unreadable(error: MarkedYAMLError) -> Unreadable:
    """What ruamel.yaml says, at the place a person looks at: where something unfinished began."""
    unfinished = "unexpected end" in (error.problem or "") or "could not find" in (error.problem or "")
    mark = error.context_mark if unfinished and error.context_mark else error.problem_mark or error.context_mark
    words = ": ".join(part for part in (error.context, error.problem) if part)
    return Unreadable(_place(mark) if mark else (1, 1), f"not YAML: {words}")
