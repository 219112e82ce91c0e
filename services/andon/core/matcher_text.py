"""The text of matchers as words, signs and lists: what `core.matchers` gives a meaning.

Words and quoted text are Alertmanager's (its package matcher/parse, the UTF-8 parser), but for `<` and `>`: those of a
comparison end a name, so that a mistyped one does not become the name of a label that nothing has. A list after `in` is
ours.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

# What Go calls a space (unicode.IsSpace); Python's isspace knows four more.
_SPACE = frozenset("\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000").union(map(chr, range(0x2000, 0x200B)))
_RESERVED = _SPACE.union("{}!=~,\\\"'`")
_RESERVED_IN_NAMES = _RESERVED.union("<>")
_OPERATORS = ("==", "!=", "=~", "!~", "<=", ">=", "=", "<", ">")
# The escapes of a Go string (strconv.Unquote): a letter, or the bytes or the number of a character.
_ESCAPE = re.compile(r'\\(?:([abfnrtv\\"])|x([0-9a-fA-F]{2})|([0-3][0-7]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))')
_LETTERS = dict(zip('abfnrtv\\"', b'\a\b\f\n\r\t\v\\"', strict=True))


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
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise MatcherError(text, error.start + 1, "half of a surrogate pair is no text") from None
    found: list[Token] = []
    at = 0
    while at < len(text):
        start, sign = at, text[at]
        if sign in _SPACE:
            at += 1
            continue
        is_value = bool(found) and found[-1].kind == "operator"
        ends = _RESERVED if is_value else _RESERVED_IN_NAMES
        if sign in "{},":
            at += 1
            found.append(Token({"{": "open", "}": "close", ",": "comma"}[sign], sign, start + 1))
        elif sign == '"':
            value, at = _quoted(text, start)
            found.append(Token("quoted", value, start + 1))
        elif sign == "[" and _awaits_list(found):
            listed, at = _list(text, start)
            found.append(listed)
        elif sign not in ends:
            at = _end_of_word(text, start, ends)
            found.append(Token("word", text[start:at], start + 1))
        elif not is_value and (here := next((sign for sign in _OPERATORS if text.startswith(sign, at)), None)):
            at += len(here)
            found.append(Token("operator", here, start + 1))
        else:
            raise MatcherError(text, start + 1, f"{sign} must stand inside double quotes")
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
        if sign in _SPACE:
            at += 1
        elif sign == "," and not wanted:
            at, wanted = at + 1, True
        elif not wanted:
            raise MatcherError(text, at + 1, "between the values of a list stands a comma")
        elif sign == '"':
            value, at = _quoted(text, at)
            entries.append(Token("quoted", value, begin + 1))
            wanted = False
        elif sign in _RESERVED_IN_NAMES or sign == "[":
            raise MatcherError(text, at + 1, f"{sign} must stand inside double quotes")
        else:
            at = _end_of_word(text, at, _RESERVED_IN_NAMES | {"[", "]"})
            entries.append(Token("word", text[begin:at], begin + 1))
            wanted = False
    if at >= len(text):
        raise MatcherError(text, start + 1, "the closing bracket of the list is missing")
    if not entries:
        raise MatcherError(text, start + 1, "an empty list holds nothing")
    return Token("list", text[start : at + 1], start + 1, tuple(entries)), at + 1


def _end_of_word(text: str, at: int, ends: frozenset[str]) -> int:
    while at < len(text) and text[at] not in ends:
        at += 1
    return at


def _quoted(text: str, start: int) -> tuple[str, int]:
    """What the quotes at `start` enclose, and where they end. Escapes may spell the bytes of one character each."""
    value = bytearray()
    at = start + 1
    while at < len(text) and text[at] != '"':
        if text[at] == "\n":
            raise MatcherError(text, at + 1, "inside quotes the end of a line is written \\n")
        if text[at] == "\\":
            escape = _ESCAPE.match(text, at)
            if escape is None:
                raise MatcherError(text, at + 1, f"{text[at : at + 2]} is no escape; a backslash is written twice")
            value += _meant(text, escape)
            at = escape.end()
        else:
            value += text[at].encode()
            at += 1
    if at >= len(text):
        raise MatcherError(text, start + 1, "the closing double quote is missing")
    try:
        return value.decode(), at + 1
    except UnicodeDecodeError:
        raise MatcherError(text, start + 1, "the bytes written as escapes are no UTF-8") from None


def _meant(text: str, escape: re.Match[str]) -> bytes:
    letter, byte, octal, short, long = escape.groups()
    if letter:
        return bytes([_LETTERS[letter]])
    if byte or octal:
        return bytes([int(byte, 16) if byte else int(octal, 8)])
    try:
        return chr(int(short or long, 16)).encode()
    except (ValueError, OverflowError):
        raise MatcherError(text, escape.start() + 1, f"{escape[0]} is no character") from None
