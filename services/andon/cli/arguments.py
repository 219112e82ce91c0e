"""What several commands take as an argument, read for argparse. Each reader raises ArgumentTypeError."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TypeVar

from andon.cli.asking.words import is_text

T = TypeVar("T")


def told(read: Callable[[str], T], text: str) -> T:
    """What `read` makes of a word of the command line; argparse tells of a ValueError nothing but the function."""
    try:
        return read(text)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None


def seconds(text: str) -> float:
    """A length of time, such as 90s or 15m."""
    from andon.config import units

    return told(units.seconds, text)


def whole(text: str, least: int, most: int) -> int | None:
    """The number between these that the text writes in plain digits, and in no more of them than `most` has; else None.
    Python's own reading takes signs, blanks and digits of other scripts, and refuses what is very long in its own way.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(most))):
        return None
    return found if least <= (found := int(text)) <= most else None


def slot(text: str) -> int:
    """Which of several processes of a service."""
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError("a slot is a number from 0")
    return int(text)


def port(text: str) -> int:
    """A port that can be listened on."""
    if (found := whole(text, 1, 65_535)) is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port; write a number from 1 to 65535")
    return found


def version(text: str) -> int:
    """The number of a version of the configuration."""
    if (found := whole(text, 0, 999_999_999)) is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no version, a number as `andon config log` shows it, such as 12")
    return found


def words(text: str) -> str:
    """What is kept with a version. Python has bytes that are not UTF-8 as signs that no record can have."""
    if not is_text(text):
        raise argparse.ArgumentTypeError("it is not UTF-8")
    return text
