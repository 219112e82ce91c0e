"""Splitting markdown: parts of at most so many bytes, each of which reads as if it had been written alone.

What a cut goes through is closed before it and opened again after it: bold, italics, strikethrough, `<font>`, links,
code, code blocks, quotes, headings, and tables with their head. Nothing is lost and nothing is moved; parts are
numbered. What chat tools take for markdown differs, and this is what they have in common, no parser of CommonMark.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from andon.core.text import BREAKS, fitting, is_joined, numbered, size_of

_FENCE = re.compile(r"[ \t]{0,3}(`{3,}|~{3,})")
# Blanks stand in one place of it each: what could share them out between two would try all the ways.
_DELIMITER = re.compile(r"[ \t]*+(?:\|[ \t]*+)?:?-++:?(?:[ \t]*+\|[ \t]*+:?-++:?)*[ \t]*+(?:\|[ \t]*+)?")
_PREFIX = re.compile(r"(?:[ \t]*>)+[ \t]?|#{1,6}[ \t]+")
_TOKEN = re.compile(
    # A run of backticks is looked at once, from its first one on.
    r"(?P<code>(?<!`)(?P<ticks>`++)(?P<inside>[^`\n]+)(?P=ticks)(?!`))"
    # Pictures, addresses and calls by name: half of one is none.
    r"|(?P<whole>!\[[^\[\]\n]*\]\([^()\s]+\)|https?://(?:(?![<>()\[\]`*])[!-~])+|<@[^<>\n]+>|<at [^<>\n]*></at>)"
    r"|(?P<link>\[(?=[^\[\]\n]+(?P<target>\]\([^()\s]+\))))"
    r"|(?P<font><font[^<>\n]*>)|(?P<end></font>)|(?P<pair>\*\*|~~|(?<![*\w])\*(?=[^\s*])|(?<=[^\s*])\*(?![*\w]))"
)
_BLANK = re.compile(r"[ \t\r]*\n?")
# A break in the first half of a part would cost more parts, hence more of the vendor's rate, than it helps a reader.
_FILLED = 0.5
# What is opened again may take so much of a part; a longer head of a table or address of a link is not repeated.
_REPEATED = 0.5


class _Span(NamedTuple):
    """A construct: a cut within `begin` < c < `end` closes it with `close` and opens it again with `open`.

    `block` marks one of whole lines, which stands before all that is within a line.
    """

    begin: int
    end: int
    open: str
    close: str
    block: bool = False


class _Scan(NamedTuple):
    """The constructs of a text in the order they begin, and where a cut would go through a sign of markup."""

    spans: list[_Span]
    barred: bytearray

    def at(self, cut: int, room: int, in_json: bool) -> list[_Span]:
        """The constructs a cut goes through, outermost first, as long as their signs leave enough of `room`.

        The inner ones give way: an outer one is then opened again wherever it is closed.
        """
        last = bisect_left(self.spans, cut, key=lambda span: span.begin)
        found = sorted((one for one in self.spans[:last] if cut < one.end), key=lambda one: (not one.block, one.begin))
        left = room * _REPEATED
        for index, one in enumerate(found):
            left -= size_of(one.open + one.close, in_json)
            if left < 0:
                return found[:index]
        return found


def split_markdown(text: str, limit: int, *, in_json: bool = False) -> list[str]:
    """`text` as one part, or as several that are numbered (1/3) … and have at most `limit` UTF-8 bytes each.

    A part ends after a paragraph, else a line, a sentence, a word or a code point, never within a sign of markup
    unless one alone is longer than a part. With `in_json` bytes count as within a string of JSON. Raises ValueError
    when `limit` is below 64.
    """
    if size_of(text, in_json) <= limit:
        return [text]
    scan = _scanned(text)
    return numbered(lambda room: _pieces(text, scan, room, in_json), limit, in_json)


def _pieces(text: str, scan: _Scan, room: int, in_json: bool) -> list[str]:
    parts: list[str] = []
    start = 0
    while start < len(text):
        opened = _opened(text, scan.at(start, room, in_json), start)
        left = room - size_of(opened, in_json)
        rest = text[start:]
        if size_of(rest, in_json) <= left:
            parts.append(_begun(opened, rest))
            break
        cut, close = _cut(text, scan, start, (left, room), in_json)
        parts.append(_ended(_begun(opened, text[start:cut]), close))
        start = cut
    return parts


def _opened(text: str, spans: list[_Span], start: int) -> str:
    """What a part that begins at `start` has to open again."""
    at_line = text[start - 1 : start] == "\n"
    return "".join(span.open for span in spans if not (at_line and _is_prefix(span)))


def _is_prefix(span: _Span) -> bool:
    """A quote or a heading: the next line says itself whether it goes on."""
    return span.block and not span.close and not span.open.endswith("\n")


def _begun(opened: str, body: str) -> str:
    """Blanks stay outside of what is opened: `** x**` is not bold."""
    if not opened or opened.endswith("\n"):
        return opened + body
    inner = body.lstrip(" \t\r\n") if opened[-1] not in " \t" else body
    return body[: len(body) - len(inner)] + opened + inner


def _ended(body: str, close: str) -> str:
    if close.startswith("\n"):
        return body + (close[1:] if body.endswith("\n") else close)
    inner = body.rstrip(" \t\r\n")
    return inner + close + body[len(inner) :] if close else body


def _cut(text: str, scan: _Scan, start: int, rooms: tuple[int, int], in_json: bool) -> tuple[int, str]:
    """Where the part that begins at `start` ends, and what closes it there. `rooms`: what is left of it, and all."""
    left, room = rooms
    most = start + fitting(text[start : start + left], left, in_json)
    for cut in _candidates(text, start, most):
        if scan.barred[cut] or is_joined(text, cut):
            continue
        close = "".join(span.close for span in reversed(scan.at(cut, room, in_json)))
        if size_of(text[start:cut], in_json) + size_of(close, in_json) <= left:
            return cut, close
    return most, ""


def _candidates(text: str, start: int, most: int) -> Iterator[int]:
    least = start + int((most - start) * _FILLED)
    for pattern in BREAKS:
        ends = [match.end() for match in pattern.finditer(text, start, most)]
        yield from (end for end in reversed(ends) if end >= least)
    yield from range(most, start, -1)


def _scanned(text: str) -> _Scan:
    spans: list[_Span] = []
    barred = bytearray(len(text) + 1)
    lines = _lines(text)
    index = 0
    while index < len(lines):
        begin, end = lines[index]
        fence = _FENCE.match(text, begin, end)
        if fence:
            index = _code_block(text, lines, index, fence[1], spans, barred)
        elif _is_table(text, lines, index):
            index = _table(text, lines, index, spans, barred)
        elif _BLANK.fullmatch(text, begin, end):
            index += 1
        else:
            index = _paragraph(text, lines, index, spans, barred)
    spans.sort(key=lambda span: span.begin)
    return _Scan(spans, barred)


def _lines(text: str) -> list[tuple[int, int]]:
    ends = [match.end() for match in re.finditer("\n", text)]
    edges = [0, *ends, *([len(text)] if not text.endswith("\n") else [])]
    return list(pairwise(edges))


def _bar(barred: bytearray, begin: int, end: int) -> None:
    """No cut at `begin` < c <= `end`."""
    for cut in range(begin + 1, end + 1):
        barred[cut] = 1


def _code_block(
    text: str, lines: list[tuple[int, int]], index: int, fence: str, spans: list[_Span], barred: bytearray
) -> int:
    begin, end = lines[index]
    last = index + 1
    while last < len(lines) and not _closes(text, lines[last], fence):
        last += 1
    _bar(barred, begin, end)
    if last < len(lines):
        closing, after = lines[last]
        _bar(barred, closing - 1, after - 1)
        spans.append(_Span(begin, closing, text[begin:end], f"\n{fence}", block=True))
    else:
        spans.append(_Span(begin, len(text), text[begin:end], f"\n{fence}", block=True))
    return last + 1


def _closes(text: str, line: tuple[int, int], fence: str) -> bool:
    found = _FENCE.match(text, *line)
    return found is not None and found[1].startswith(fence) and not text[found.end() : line[1]].strip()


def _is_table(text: str, lines: list[tuple[int, int]], index: int) -> bool:
    if index + 1 >= len(lines) or "|" not in text[slice(*lines[index])]:
        return False
    delimiter = text[slice(*lines[index + 1])].rstrip("\r\n")
    return "|" in delimiter and _DELIMITER.fullmatch(delimiter) is not None


def _table(text: str, lines: list[tuple[int, int]], index: int, spans: list[_Span], barred: bytearray) -> int:
    begin, head = lines[index][0], lines[index + 1][1]
    last = index + 2
    while last < len(lines) and "|" in text[slice(*lines[last])] and not _FENCE.match(text, *lines[last]):
        _inline(text, *lines[last], spans, barred)
        last += 1
    _bar(barred, begin, head)
    if last > index + 2:
        spans.append(_Span(begin, lines[last - 1][1], text[begin:head], "", block=True))
    return last


def _paragraph(text: str, lines: list[tuple[int, int]], index: int, spans: list[_Span], barred: bytearray) -> int:
    begin = lines[index][0]
    last = index
    while last < len(lines) and not _BLANK.fullmatch(text, *lines[last]):
        if last > index and (_FENCE.match(text, *lines[last]) or _is_table(text, lines, last)):
            break
        prefix = _PREFIX.match(text, *lines[last])
        if prefix and prefix.end() > prefix.start():
            _bar(barred, prefix.start(), prefix.end())
            spans.append(_Span(prefix.start(), lines[last][1], prefix[0].strip() + " ", "", block=True))
        last += 1
    _inline(text, begin, lines[last - 1][1], spans, barred)
    return last


def _inline(text: str, begin: int, end: int, spans: list[_Span], barred: bytearray) -> None:
    """Constructs within lines. One that is never closed is none."""
    waiting: list[tuple[str, int, int]] = []
    at = begin
    while found := _TOKEN.search(text, at, end):
        first, at = found.span()
        if found["code"]:
            ticks = found["ticks"]
            spans.append(_between(first, first + len(ticks), found.end("inside"), at, ticks, ticks, barred))
        elif found["whole"]:
            _bar(barred, first, at - 1)
        elif found["link"]:
            target = found["target"]
            closing = found.start("target")
            spans.append(_between(first, first + 1, closing, closing + len(target), "[", target, barred))
        elif found["end"]:
            _close("font", "</font>", first, at, waiting, spans, barred, text)
        elif found["font"]:
            waiting.append(("font", first, at))
        elif not _close(found["pair"], found["pair"], first, at, waiting, spans, barred, text):
            waiting.append((found["pair"], first, at))


def _close(
    sign: str,
    close: str,
    first: int,
    after: int,
    waiting: list[tuple[str, int, int]],
    spans: list[_Span],
    barred: bytearray,
    text: str,
) -> bool:
    for depth in range(len(waiting) - 1, -1, -1):
        name, begin, inside = waiting[depth]
        if name == sign:
            del waiting[depth:]
            spans.append(_between(begin, inside, first, after, text[begin:inside], close, barred))
            return True
    return False


def _between(begin: int, inside: int, closing: int, end: int, opening: str, close: str, barred: bytearray) -> _Span:
    """A construct; no cut within its signs, nor right behind the first or before the last, where nothing is left."""
    _bar(barred, begin, inside)
    _bar(barred, closing - 1, end - 1)
    return _Span(begin, end, opening, close)
