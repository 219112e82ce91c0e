"""Making text from outside harmless in a chat: no forged mentions, links or markup, nothing a vendor refuses.

Characters are replaced by their full-width twins and never dropped: vendors agree on no escape character, and a
person still reads what was sent.
"""

from __future__ import annotations

import re

# What a value begins and ends with may stand beside a sign of the template, or of another value.
_MENTION = re.compile(r"<(?=@|/?at?\b|\Z)|\A@|@(?=all\b|所有人)", re.IGNORECASE)
_END = r"(?=[ \t]*(?:[\r\n]|\Z))"
_RULE = r"(?:-[ \t]*+){3,}"
# Lines that are headings, quotes or rules, or make a heading of the line before; also within the items of a list.
# A value that is but one `-` stays: it mostly says "nothing", and no line of its own is before it.
_LINE = rf"#+|>+|{_RULE}|(?!\A[=-]\Z)[=-]+{_END}"
_IN_ITEM = rf"(?:(?:[-+]|[0-9]{{1,9}}[.)])[ \t]++)+(?:#{{1,6}}(?=[ \t])|#{{1,6}}{_END}|>+|{_RULE})"
_IN_ADDRESS = re.escape("/?&=#(!,:.;~+$%@'-")
_MARKUP = re.compile(
    r"<(?=[@/!A-Za-z]|\Z)|\A@|@(?=all\b|所有人)|\*|`|\||~~|\](?=[(\[:]|\Z)|\\\Z"
    # Within a word it is a character like any other; at the beginning of one in an address it ends nothing.
    rf"|(?<![\w{_IN_ADDRESS}])_+|(?<=[{_IN_ADDRESS}])_++(?!\w)|(?<=[^\W_])_++(?!\w)"
    rf"|(?:^|(?<=\r))[ \t]*(?:{_LINE}|{_IN_ITEM})",
    re.MULTILINE | re.IGNORECASE,
)
_WIDE = str.maketrans({character: chr(ord(character) + 0xFEE0) for character in "<>@*`|~]#-=_\\"})
_UNSENDABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


class Escaped(str):
    """Text that may be shown as it is."""

    __slots__ = ()


class Raw(Escaped):
    """Text that a template says is to be shown as it is."""

    __slots__ = ()


def plain(text: str) -> str:
    """`text` without anything a chat tool takes for a mention of people, or for a link (`<a href=…>`, which WeCom's
    applications have in text too)."""
    return _MENTION.sub(_widen, text)


def markdown(text: str) -> str:
    """`text` without anything a chat tool or a mail takes for markup, for a mention of people, or for the edge of a
    table's cell."""
    return _MARKUP.sub(_widen, text)


def sendable(text: str) -> str:
    """`text` with control characters, which WeCom refuses (40033), as their pictures (␀), and lone surrogates as �."""
    return _UNSENDABLE.sub(_picture, text) if _UNSENDABLE.search(text) else text


def _widen(match: re.Match[str]) -> str:
    return match[0].translate(_WIDE)


def _picture(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code >= 0xD800:
        return "\ufffd"
    return "\u2421" if code == 0x7F else chr(0x2400 + code)
