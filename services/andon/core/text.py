"""Splitting text into parts of at most so many UTF-8 bytes, with nothing lost between them; and what one line is."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable

import msgspec

# Best first: after a blank line, after a line, after a sentence, after a word.
# A run of signs is looked at once, from its first one on.
BREAKS = (
    re.compile(r"\n[ \t\r]*\n"),
    re.compile(r"\n"),
    re.compile(r"[。！？；…]+[”’」』）】》]*|(?<![.!?;])[.!?;]++[\"')\]]*+(?=\s)"),
    re.compile(r"[ \t\u3000]+|[，、：]"),
)
_JOINER = "\u200d"
_REGIONAL = re.compile("[\U0001f1e6-\U0001f1ff]+$")
_EXTENDING = re.compile("[\u200d\ufe00-\ufe0f\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]")
_LONGEST_CODE_POINT = 4
_LONGEST_ESCAPE = 6
LEAST_NUMBERED = 64
_MARK_ROOM = 24
# A break in the first half of a part would cost more parts, hence more of the vendor's rate, than it helps a reader.
_FILLED = 0.5


def split_bytes(text: str, limit: int, *, in_json: bool = False) -> list[str]:
    """`text` in one or more parts of at most `limit` UTF-8 bytes each; joined they equal it exactly.

    With `in_json` the bytes are those it has within a string of JSON, where a quote or a line end has two.

    A part ends after a paragraph, else a line, a sentence or a word, as long as it is at least half full then; else
    between two characters as a person sees them (the common cases of Unicode's UAX #29: combining marks, emoji
    sequences, flags, CR LF); only where one of those is longer than `limit`, between two code points. Raises
    ValueError when `limit` is below 4 (6), the longest code point, and for a lone surrogate, which has no UTF-8 form.
    """
    least = _LONGEST_ESCAPE if in_json else _LONGEST_CODE_POINT
    if limit < least:
        raise ValueError(f"a limit below {least} bytes cannot hold every code point")
    parts: list[str] = []
    start = 0
    while True:
        fits = fitting(text[start : start + limit], limit, in_json)
        if start + fits == len(text):
            return [*parts, text[start:]]
        end = _break(text, start, start + fits)
        parts.append(text[start:end])
        start = end


def split_numbered(text: str, limit: int, *, in_json: bool = False) -> list[str]:
    """`text` as one part, or as several with (1/3), (2/3), … and a line end before each; every part has at most
    `limit` bytes, and without their numbers they equal the text when joined. Raises ValueError as `split_bytes`."""
    if size_of(text, in_json) <= limit:
        return [text]
    return numbered(lambda room: split_bytes(text, room, in_json=in_json), limit, in_json)


def numbered(pieces: Callable[[int], list[str]], limit: int, in_json: bool) -> list[str]:
    """The pieces with their numbers before them. `pieces` makes them of at most the bytes it is given.

    24 bytes are left in each for a mark before it, so that one that is sent again need not be split.
    Raises ValueError when `limit` is below 64: most of a part would be its number.
    """
    if limit < LEAST_NUMBERED:
        raise ValueError(f"a limit below {LEAST_NUMBERED} bytes leaves no room for numbers of parts")
    digits = 1
    while True:
        parts = pieces(limit - size_of("({0}/{0})\n".format("9" * digits), in_json) - _MARK_ROOM)
        if len(str(len(parts))) <= digits:
            return [f"({number}/{len(parts)})\n{part}" for number, part in enumerate(parts, 1)]
        digits += 1


def size_of(text: str, in_json: bool) -> int:
    """The UTF-8 bytes of `text`, or those it has within a string of JSON, quotes around it not counted."""
    return len(msgspec.json.encode(text)) - 2 if in_json else len(text.encode())


def fitting(text: str, limit: int, in_json: bool) -> int:
    """How many code points of `text` have at most `limit` bytes together."""
    fits = len(text.encode()[:limit].decode(errors="ignore"))
    if not in_json or size_of(text[:fits], in_json) <= limit:
        return fits
    return bisect_right(range(1, fits + 1), limit, key=lambda count: size_of(text[:count], in_json))


def is_line(text: str) -> bool:
    """Whether it is one line of signs that people see: blanks of any width are such, tabs and control signs are not."""
    return text.isprintable() or all(sign.isprintable() or unicodedata.category(sign) == "Zs" for sign in text)


def _break(text: str, start: int, most: int) -> int:
    least = start + int((most - start) * _FILLED)
    for pattern in BREAKS:
        ends = [match.end() for match in pattern.finditer(text, start, most)]
        for end in reversed(ends):
            if end < least:
                break
            if not is_joined(text, end):
                return end
    return next((end for end in range(most, start, -1) if not is_joined(text, end)), most)


def is_joined(text: str, index: int) -> bool:
    """Whether the code points on both sides of `index` make one visible character."""
    before, after = text[index - 1], text[index]
    if before == _JOINER or _EXTENDING.match(after) or unicodedata.category(after).startswith("M"):
        return True
    if before == "\r":
        return after == "\n"
    flags = _REGIONAL.search(text, max(0, index - 64), index) if _REGIONAL.match(after) else None
    return flags is not None and len(flags[0]) % 2 == 1
