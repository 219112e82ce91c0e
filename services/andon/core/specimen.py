"""What a plug-in shows of itself so that a contract suite can drive it against a fake of its vendor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

BASE = "{base}"
TOPIC = "{topic}"
HOST = "{host}"
PORT = "{port}"
HIDDEN = b"{secret}"
REFERENCE = "env:ANDON_CONTRACT_SECRET"
SECRET = "Zx9-hidden/3f9a+key"  # noqa: S105 - no secret, but what must never be shown


class SourceSpecimen(msgspec.Struct, frozen=True):
    """The class attribute `specimen` of a source.

    `headers`, `body` and `query` are an arrival that is one event, or of no matter: then the suite has one of its own,
    a CloudEvent. A callback's is signed at `now` (seconds since 1970) with `secret`, which every `REFERENCE` in
    `options` leads to; its headers and its query have nothing but what the signature is about.
    """

    options: Mapping[str, Any]
    body: bytes = b""
    headers: Mapping[str, str] = {}
    query: Mapping[str, str] = {}
    now: float = 1_700_000_000.0
    secret: str = SECRET


class TopicSpecimen(msgspec.Struct, frozen=True):
    """The class attribute `specimen` of a channel that takes events and writes them to a topic of Kafka.

    In `options`, the text `{base}` stands for the address of a broker and `{topic}` for the name of a topic.
    """

    options: Mapping[str, Any]


class TicketSpecimen(msgspec.Struct, frozen=True):
    """The class attribute `specimen` of a ticket system that speaks HTTP.

    In `options`, the text `{base}` stands for the address of the fake tracker and `REFERENCE` for a reference to
    `secret`. `ticket` has the form of a ticket's id. `aside` are calls it makes beside, to sign in: by path the good
    answer, in which `HIDDEN` stands for what must never be shown.
    """

    options: Mapping[str, Any]
    ticket: str = "7"
    aside: Mapping[str, bytes] = {}
    secret: str = SECRET


class MailSpecimen(msgspec.Struct, frozen=True):
    """The class attribute `specimen` of a channel that speaks SMTP.

    In `options`, `{host}` and `{port}` stand for the address of a server on this machine, and `REFERENCE` for a
    reference to a password; it must need no TLS. `kinds` are the content kinds it takes, with the longest text of
    each in bytes.
    """

    options: Mapping[str, Any]
    kinds: Mapping[str, int]


class ChannelSpecimen(msgspec.Struct, frozen=True):
    """A channel's class attribute `specimen`: how it is configured for an address, and what its vendor may answer.

    In `options`, the text `{base}` stands for the address of the fake vendor and `REFERENCE` for a reference to a
    secret. `kinds` maps every content kind the channel takes to the vendor's limit in UTF-8 bytes of one part.
    `accepted` is the body of a good answer and `status` its HTTP status; under that same status, every body of
    `refused` means that nobody will ever see the notice as it is and every body of `throttled` that it may be tried
    later. `aside` are calls the channel makes beside that of a notice, to fetch a token: by path the good answer, in
    which `HIDDEN` stands for what must never be shown. `structured` shows the JSON of each structured kind that needs
    no file.

    `secret` is what the reference leads to, for a channel that takes no other form. `by_status` is for a channel to
    systems without a word of their own, where any 2xx is a good answer: there the laws about bodies have no object.
    `whole` is for one that never sends in parts: it rejects what is longer than the limit as TOO_LONG. `recipients`
    says how many of the thousand that a delivery may have one call tells the vendor of; 0 is for a channel to one
    place, whose receivers name nobody.
    """

    options: Mapping[str, Any]
    kinds: Mapping[str, int]
    accepted: bytes
    refused: tuple[bytes, ...]
    throttled: tuple[bytes, ...]
    aside: Mapping[str, bytes] = {}
    structured: Mapping[str, str] = {}
    secret: str = SECRET
    by_status: bool = False
    whole: bool = False
    recipients: int = 1_000
    status: int = 200
