"""JSON as a door needs it: no key twice, no bottomless nesting, and an error that says what is wrong where.

Source: RFC 8259; sections 4 (names SHOULD be unique: here they must) and 9 (a parser may limit the depth).
"""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from andon.core.failure import Invalid
from andon.core.reason import Reason

DEPTH = 64

_object = msgspec.json.Decoder(dict[str, Any])
# One that nobody closes runs to the end: left unmatched it would be tried again from every quote in it.
_STRINGS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_SQUARE = bytes.maketrans(b"{}", b"[]")
_UNKNOWN = re.compile(r"unknown field `(.*?)`(?: - at `\$\.?(.*)`)?$")
_MISSING = re.compile(r"missing required field `(.*?)`")
_HALVES = re.compile(rb"\\u[dD][89abAB]..\\u[dD][c-fC-F]|(\\u[dD][89a-fA-F])", re.DOTALL)
_MOST_QUOTED = 1_000
_OF_HALVES = ("surrogate", "hex", "truncated")
_PLACE = re.compile(r"^(.*) - at `\$\.?(.*)`$")


def too_deep(raw: bytes, colons: int) -> bool:
    """Whether well-formed JSON, an object that holds so many colons, is nested deeper than DEPTH levels."""
    # What is in an object stands behind a colon: without arrays each level but the first has one. That answers for
    # most events; text with fewer brackets than levels cannot be deep either.
    if (colons < DEPTH and b"[" not in raw) or raw.count(b"{") + raw.count(b"[") <= DEPTH:
        return False
    # Brackets alone, all of one kind: each round takes away the innermost pairs, so depth is the number of rounds.
    pairs = _STRINGS.sub(b"", raw).translate(_SQUARE, _NOT_BRACKETS)
    for _ in range(DEPTH):
        pairs = pairs.replace(b"[]", b"")
        if not pairs:
            return False
    return True


def object_of(raw: bytes) -> dict[str, Any]:
    """The members of a JSON object of bounded depth; of two with one name the last. Raises Invalid (MALFORMED)."""
    try:
        found = _object.decode(raw)
    except (ValueError, RecursionError) as error:
        raise Invalid(Reason.MALFORMED, explain(raw, error).detail) from None
    if too_deep(raw, raw.count(b":")):
        raise Invalid(Reason.MALFORMED, f"nested deeper than {DEPTH} levels")
    return found


def surely_unique(raw: bytes, colons: int, canonical: bytes) -> bool:
    """Whether no key stands twice in `raw`, which holds so many colons, judged without reading it; False means "look
    closely".

    `canonical` is `raw` decoded and encoded again by msgspec.
    """
    # Decoding keeps one of two equal keys, so encoding again yields at least one colon less. A colon in the output
    # stands for one in the input unless that one was written as an escape (\u003a), which could make up for a key
    # that was lost; no other character is ever written with a colon.
    return canonical.count(b":") == colons and (b"\\" not in raw or b"\\u003" not in raw)


def value_of(raw: bytes, like: Any = Any) -> Any:
    """A JSON value, read strictly, as this type. Raises Invalid."""
    try:
        value = msgspec.json.decode(raw, type=like)
    except (ValueError, RecursionError) as error:
        raise explain(raw, error) from None
    if too_deep(raw, DEPTH):
        raise Invalid(Reason.MALFORMED, f"nested deeper than {DEPTH} levels")
    if (twice := repeated_key(raw)) is not None:
        raise Invalid(Reason.MALFORMED, f"the key {twice!r} stands twice", twice)
    return value


class _Pairs(list[tuple[str, Any]]):
    """A JSON object as it was written, with its repetitions."""


def repeated_key(raw: bytes) -> str | None:
    """The dotted path of the first key that stands twice in well-formed JSON of bounded depth, if there is one."""
    return _repeated(json.loads(raw, object_pairs_hook=_Pairs, parse_int=str, parse_float=str), "")


def _repeated(value: Any, path: str) -> str | None:
    if isinstance(value, _Pairs):
        seen: set[str] = set()
        for key, inner in value:
            place = f"{path}.{key}" if path else key
            if key in seen:
                return place
            seen.add(key)
            if (found := _repeated(inner, place)) is not None:
                return found
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            if (found := _repeated(inner, f"{path}[{index}]")) is not None:
                return found
    return None


def explain(raw: bytes, error: ValueError | RecursionError) -> Invalid:
    """What msgspec's error says, in one sentence that names the field."""
    if isinstance(error, RecursionError):
        return Invalid(Reason.MALFORMED, f"nested deeper than {DEPTH} levels")
    if isinstance(error, UnicodeDecodeError):
        return Invalid(Reason.MALFORMED, "the text is not valid UTF-8")
    text = str(error)
    # It may quote a name as long as the body, which nobody needs to read, and no pattern may search at length.
    text = text if len(text) <= _MOST_QUOTED else f"{text[: _MOST_QUOTED // 2]}…{text[-_MOST_QUOTED // 2 :]}"
    if not isinstance(error, msgspec.ValidationError):
        if re.search(rb"(?<![\"\w])-?(?:NaN|Infinity)\b", _STRINGS.sub(b'""', raw)):
            return Invalid(Reason.MALFORMED, "NaN and Infinity are no JSON numbers")
        # msgspec says so in three ways; of one near the end, that the input was truncated.
        if any(f" {word}" in text for word in _OF_HALVES) and any(half[1] for half in _HALVES.finditer(raw)):
            half = r"a text holds half a character, like \ud83d alone: it was cut in the middle of one"
            return Invalid(Reason.MALFORMED, half)
        return Invalid(Reason.MALFORMED, text)
    if match := _UNKNOWN.search(text):
        place = f"{match[2]}.{match[1]}" if match[2] else match[1]
        return Invalid(Reason.INVALID, f"unknown field {place!r}", place)
    if match := _MISSING.search(text):
        return Invalid(Reason.INVALID, f"{match[1]!r} is required", match[1])
    if match := _PLACE.search(text):
        return Invalid(Reason.INVALID, _lower(match[1]), match[2])
    return Invalid(Reason.INVALID, _lower(text))


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:].replace("`", "")
