"""Headers of text from outside: a reader sees what was written, whatever it looks like.

`EmailMessage` decodes the encoded words (RFC 2047) in what a header is set to and writes out what they say, line ends
included. So what looks like one must be encoded here, and the header written as it is made here.
"""

from __future__ import annotations

from email.header import Header
from email.policy import Policy
from email.utils import formataddr
from typing import Self

WORD = "=?"
"""How an encoded word begins."""
_LINE = 78  # characters, by RFC 5322


class Written(str):
    """The value of the header `name`, folded already. `EmailMessage` asks what has a `name` to fold itself."""

    __slots__ = ("name",)
    name: str

    @classmethod
    def of(cls, name: str, text: str) -> Self:
        made = cls(text)
        made.name = name
        return made

    def fold(self, *, policy: Policy) -> str:
        """The whole header, with its end."""
        return f"{self.name}: {self}{policy.linesep}"


def unstructured(name: str, text: str) -> Written:
    """A header of one line of printable text."""
    return Written.of(name, text if _is_plain(f"{name}: {text}") else _encoded(name, text))


def mailbox(name: str, person: str, address: str) -> Written:
    """A header of one address, which is ASCII, and the printable name of whose it is, if any."""
    plain = formataddr((person, address)) if person.isascii() else ""
    if not person or (plain and _is_plain(f"{name}: {plain}")):
        return Written.of(name, plain)
    return Written.of(name, f"{_encoded(name, person)}\r\n <{address}>")


def _is_plain(line: str) -> bool:
    return line.isascii() and WORD not in line and len(line) <= _LINE


def _encoded(name: str, text: str) -> str:
    return Header(text, "utf-8", header_name=name).encode(linesep="\r\n")
