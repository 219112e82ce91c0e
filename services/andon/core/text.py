"""Splitting text into parts of at most so many UTF-8 bytes, with nothing lost between them."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right

import msgspec

# Best first: after a blank line, after a line, after a sentence, after a word.
_BREAKS = (
    re.compile(r"\n[ \t\r]*\n"),
    re.compile(r"\n"),
    re.compile(r"[。！？；…]+[”’」』）】》]*|[.!?;]+[\"')\]]*(?=\s)"),
    re.compile(r"[ \t\u3000]+|[，、：]"),
)
_JOINER = "\u200d"
_REGIONAL = re.compile("[\U0001f1e6-\U0001f1ff]+$")
_EXTENDING = re.compile("[\u200d\ufe00-\ufe0f\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]")
_LONGEST_CODE_POINT = 4
_LONGEST_ESCAPE = 6
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
        fits = _fitting(text[start : start + limit], limit, in_json)
        if start + fits == len(text):
            return [*parts, text[start:]]
        end = _break(text, start, start + fits)
        parts.append(text[start:end])
        start = end


def size_in_json(text: str) -> int:
    """The bytes of `text` within a string of JSON, quotes around it not counted."""
    return len(msgspec.json.encode(text)) - 2


def _fitting(text: str, limit: int, in_json: bool) -> int:
    """How many code points of `text` have at most `limit` bytes together."""
    fits = len(text.encode()[:limit].decode(errors="ignore"))
    if not in_json or size_in_json(text[:fits]) <= limit:
        return fits
    return bisect_right(range(1, fits + 1), limit, key=lambda count: size_in_json(text[:count]))


def _break(text: str, start: int, most: int) -> int:
    least = start + int((most - start) * _FILLED)
    for pattern in _BREAKS:
        ends = [match.end() for match in pattern.finditer(text, start, most)]
        for end in reversed(ends):
            if end < least:
                break
            if not _joined(text, end):
                return end
    return next((end for end in range(most, start, -1) if not _joined(text, end)), most)


def _joined(text: str, index: int) -> bool:
    """Whether the code points on both sides of `index` make one visible character."""
    before, after = text[index - 1], text[index]
    if before == _JOINER or _EXTENDING.match(after) or unicodedata.category(after).startswith("M"):
        return True
    if before == "\r":
        return after == "\n"
    flags = _REGIONAL.search(text, max(0, index - 64), index) if _REGIONAL.match(after) else None
    return flags is not None and len(flags[0]) % 2 == 1
