"""The text of matchers as words, signs and lists: what `core.matchers` gives a meaning.

Words and quoted text follow Alertmanager's UTF-8 syntax; a list after `in` is ours.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

_RESERVED = frozenset("{}!=~,\\\"'`<>")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}
_OPERATORS = ("==", "!=", "=~", "!~", "<=", ">=", "=", "<", ">")


class MatcherError(ValueError):
    """A mistake in a matcher: the matcher's text, the column (1 = first character), and one sentence."""

    def __init__(self, text: str, column: int, problem: str) -> None:
        super().__init__(f"{problem} (column {column} of {text!r})")
        self.text = text
        self.column = column
        self.problem = problem


class Token(msgspec.Struct, frozen=True):
    """A piece of the text, and the column it begins at (1 = first character). `entries` are those of a list."""

    kind: str  # word, quoted, operator, comma, open, close, list or end
    text: str
    column: int
    entries: tuple[Token, ...] = ()

    def says(self, word: str) -> bool:
        """Whether it is this word, not in quotes."""
        return self.kind == "word" and self.text == word


def tokens_of(text: str) -> list[Token]:
    """Its tokens, then two of the kind `end`. Raises MatcherError."""
    found: list[Token] = []
    at = 0
    while at < len(text):
        start, sign = at, text[at]
        if sign.isspace():
            at += 1
            continue
        if sign in "{},":
            at += 1
            found.append(Token({"{": "open", "}": "close", ",": "comma"}[sign], sign, start + 1))
        elif sign == '"':
            value, at = _quoted(text, start)
            found.append(Token("quoted", value, start + 1))
        elif operator_here := next((sign for sign in _OPERATORS if text.startswith(sign, at)), None):
            at += len(operator_here)
            found.append(Token("operator", operator_here, start + 1))
        elif sign in _RESERVED:
            raise MatcherError(text, start + 1, f"{sign} must stand inside double quotes")
        elif sign == "[" and _awaits_list(found):
            listed, at = _list(text, start)
            found.append(listed)
        else:
            at = _end_of_word(text, start, _RESERVED)
            found.append(Token("word", text[start:at], start + 1))
    end = Token("end", "", len(text) + 1)
    return [*found, end, end]


def _awaits_list(found: Sequence[Token]) -> bool:
    """Whether a matcher has begun with a name and `in`; anywhere else a bracket is part of a word, as in
    Alertmanager."""
    kinds = ["comma", *(token.kind for token in found)][-3:]
    return len(kinds) == 3 and kinds[0] in ("comma", "open") and kinds[1] != "operator" and found[-1].says("in")


def _list(text: str, start: int) -> tuple[Token, int]:
    """The list whose bracket opens at `start`, and where it ends."""
    entries: list[Token] = []
    at, wanted = start + 1, True
    while at < len(text) and text[at] != "]":
        begin, sign = at, text[at]
        if sign.isspace():
            at += 1
        elif sign == "," and not wanted:
            at, wanted = at + 1, True
        elif not wanted:
            raise MatcherError(text, at + 1, "between the values of a list stands a comma")
        elif sign == '"':
            value, at = _quoted(text, at)
            entries.append(Token("quoted", value, begin + 1))
            wanted = False
        elif sign in _RESERVED or sign == "[":
            raise MatcherError(text, at + 1, f"{sign} must stand inside double quotes")
        else:
            at = _end_of_word(text, at, _RESERVED | {"[", "]"})
            entries.append(Token("word", text[begin:at], begin + 1))
            wanted = False
    if at >= len(text):
        raise MatcherError(text, start + 1, "the closing bracket of the list is missing")
    if not entries:
        raise MatcherError(text, start + 1, "an empty list holds nothing")
    return Token("list", text[start : at + 1], start + 1, tuple(entries)), at + 1


def _end_of_word(text: str, at: int, ends: frozenset[str]) -> int:
    while at < len(text) and text[at] not in ends and not text[at].isspace():
        at += 1
    return at


def _quoted(text: str, start: int) -> tuple[str, int]:
    value: list[str] = []
    at = start + 1
    while at < len(text) and text[at] != '"':
        if text[at] == "\\":
            at += 1
            if at < len(text) and text[at] not in _ESCAPES:
                raise MatcherError(text, at, f"\\{text[at]} is no escape; a backslash is written twice")
            value.append(_ESCAPES[text[at]] if at < len(text) else "")
        else:
            value.append(text[at])
        at += 1
    if at >= len(text):
        raise MatcherError(text, start + 1, "the closing double quote is missing")
    return "".join(value), at + 1
