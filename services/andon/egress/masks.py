"""What a group need not read of a person: numbers that a template shows keep only what tells them apart.

A phone is a mainland mobile number (11 digits from 13 on, also with 86, +86, blanks, hyphens or dots). An identity card
is 18 characters whose last one is right by GB 11643-1999, a bank card 16 to 19 digits that are right by ISO/IEC 7812-1
(Luhn), both also with blanks or hyphens. So most other long numbers are left alone. Full-width characters count as
what they look like.

Every place where one may begin is looked at, for numbers stand beside each other: what is hidden of any is hidden.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator

from andon.config.receivers import MaskKind

Mask = Callable[[str], str]

HIDDEN = "*"
FURTHEST = 64
"""So far beyond a place a number may end that begins before it; no number is that long."""
_LONGEST = 8
# A character for a character, so that a place in the one text is the same place in the other.
_FOLDED = str.maketrans("０１２３４５６７８９Ｘｘ＋．－‐‑–\u3000\u00a0\u2007\u202f", "0123456789Xx+.----    ")
_ENOUGH = re.compile(r"\d(?:[ .-]?\d){10}", re.ASCII)


def _number(pattern: str) -> re.Pattern[str]:
    """What finds such a number at each of its possible beginnings, also within another."""
    return re.compile(rf"(?<![0-9A-Za-z])(?=({pattern})(?![0-9A-Za-z]))", re.ASCII)


_PHONES = _number(r"(?:(?:\+|00)?86[ .-]?)?1[3-9]\d(?:(?:[ -]?\d){8}|\.\d{4}\.\d{4})")
_IDENTITIES = _number(r"\d{17}[\dXx]|\d(?:[ -]?\d){16}[ -]?[\dXx]")
# In groups of four, as it is printed, or in one piece: of other digits in a row too many are right by chance.
_CARDS = _number(r"\d{16,19}|\d{4}(?:[ -]\d{4}){3}(?:[ -]?\d{1,3})?")
# In whatever groups, as long as it can be, and no two of them within each other.
_LONG = re.compile(r"(?<![0-9A-Za-z])\d(?:[ -]?\d){15,18}(?![0-9A-Za-z])", re.ASCII)
_BORN = re.compile(r"\d{6}(?:18|19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])", re.ASCII)
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECK = "10X98765432"


def masker(kinds: Collection[MaskKind]) -> Mask:
    """What hides such numbers in a text; with no kind it leaves everything as it is."""
    wanted = [_SPANS[kind] for kind in _SPANS if kind in kinds]
    if not wanted:
        return lambda text: text

    def masked(text: str) -> str:
        plain = text if text.isascii() else text.translate(_FOLDED)
        if not _ENOUGH.search(plain):
            return text
        shown = list(text)
        for spans in wanted:
            for first, last in spans(plain):
                for place in range(first, last):
                    if plain[place].isalnum():
                        shown[place] = HIDDEN
        return "".join(shown)

    return masked


def _phones(text: str) -> Iterator[tuple[int, int]]:
    """From where to where each is hidden: four digits, and four are left behind them."""
    for match in _PHONES.finditer(text):
        first, last = match.span(1)
        yield last - _from_end(text[first:last], 8), last - 4


def _identities(text: str) -> Iterator[tuple[int, int]]:
    for match in _IDENTITIES.finditer(text):
        bare = _bare(match[1])
        # In pieces it may be other numbers beside each other, which one in eleven times have the right last character.
        if (bare == match[1] or _BORN.match(bare)) and _is_identity(bare):
            yield match.start(1) + 3, match.end(1) - 4


def _cards(text: str) -> Iterator[tuple[int, int]]:
    printed = (match.span(1) for match in _CARDS.finditer(text))
    # A phone beside something is no card, though one in ten times it is right by chance.
    other = (match.span() for match in _LONG.finditer(text) if not _PHONES.search(match[0]))
    for first, last in (*printed, *other):
        if _is_luhn(text[first:last]):
            yield first, last - 4


_SPANS: dict[MaskKind, Callable[[str], Iterator[tuple[int, int]]]] = {
    "phone": _phones,
    "id_card": _identities,
    "bank_card": _cards,
}


def named(text: str) -> str:
    """A name of which the first character is left: 张三 becomes 张*."""
    return text[:1] + HIDDEN * min(len(text) - 1, _LONGEST)


def _bare(text: str) -> str:
    return text.replace(" ", "").replace("-", "")


def _from_end(text: str, digits: int) -> int:
    """How many characters from the end on hold so many digits."""
    place = 0
    while digits:
        place += 1
        digits -= text[-place].isdigit()
    return place


def _is_identity(text: str) -> bool:
    if len(text) != 18 or not text[:17].isdigit():
        return False
    total = sum(int(digit) * weight for digit, weight in zip(text[:17], _WEIGHTS, strict=True))
    return _CHECK[total % 11] == text[17].upper()


def _is_luhn(text: str) -> bool:
    digits = [int(one) for one in reversed(text) if one.isdigit()]
    total = sum(digits[::2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return text[-1].isdigit() and total % 10 == 0
