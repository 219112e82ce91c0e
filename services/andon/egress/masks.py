"""What a group need not read of a person: numbers that a template shows keep only what tells them apart.

A phone is a mainland mobile number (11 digits from 13 on, also with +86, blanks or hyphens). An identity card is 18
characters whose last one is right by GB 11643-1999, a bank card 16 to 19 digits that are right by ISO/IEC 7812-1
(Luhn). So most other long numbers are left alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

from andon.config.receivers import MaskKind

Mask = Callable[[str], str]

_HIDDEN = "*"
_LONGEST = 8
_SHORTEST = 11
_PHONE = r"(?P<phone>(?:(?:\+|00)86[ -]?)?1[3-9]\d(?:[ -]?\d){8})"
_LONG = r"(?P<long>\d(?:[ -]?\d){15,18}|\d{17}[Xx])"
_NUMBER = re.compile(rf"(?<![0-9A-Za-z])(?:{_LONG}|{_PHONE})(?![0-9A-Za-z])", re.ASCII)
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECK = "10X98765432"


def masker(kinds: Collection[MaskKind]) -> Mask:
    """What hides such numbers in a text; with no kind it leaves everything as it is."""
    if not kinds:
        return lambda text: text

    def hide(match: re.Match[str]) -> str:
        found = match[0]
        if match["phone"]:
            return _but(found, len(found) - _from_end(found, 8), 4) if "phone" in kinds else found
        if "id_card" in kinds and _is_identity(found):
            return _but(found, 3, 4)
        return _but(found, 0, 4) if "bank_card" in kinds and _is_luhn(found) else found

    return lambda text: _NUMBER.sub(hide, text) if len(text) >= _SHORTEST else text


def named(text: str) -> str:
    """A name of which the first character is left: 张三 becomes 张*."""
    return text[:1] + _HIDDEN * min(len(text) - 1, _LONGEST)


def _but(text: str, first: int, last: int) -> str:
    """The text with all digits hidden but its first and last characters."""
    inner = "".join(_HIDDEN if one.isalnum() else one for one in text[first:-last])
    return text[:first] + inner + text[-last:]


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
