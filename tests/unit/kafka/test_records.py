"""Whatever another program writes into a header, its record is read, or parked, and costs nobody else anything."""

from __future__ import annotations

from typing import cast

import msgspec
import pytest

from andon.core.outcome import Parked
from andon.core.ports import Clock, Source
from andon.core.reason import Reason
from andon.ingress.feeds import Reading
from andon.kafka.codecs import Undecodable
from andon.kafka.formats import Formats
from andon.kafka.records import Record, from_message
from andon.runtime.dlq import REDRIVE, dlq_note, redrive_of
from andon.runtime.parked import entry_of

VALUE = b'{"id": "1"}'


class Message:
    """What the client library hands out."""

    def __init__(self, headers: list[tuple[str, bytes | None]] | None, value: bytes = VALUE) -> None:
        self._headers = headers
        self._value = value

    def topic(self) -> str:
        return "mes.alarms"

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return 7

    def timestamp(self) -> tuple[int, int]:
        return 1, 1_700_000_000_000

    def key(self) -> bytes:
        return b"k"

    def value(self) -> bytes:
        return self._value

    def headers(self) -> list[tuple[str, bytes | None]] | None:
        return self._headers


class Unnamed(Message):
    """One of whose headers has a name that is not UTF-8, as the library tells it."""

    def headers(self) -> list[tuple[str, bytes | None]] | None:
        try:
            b"\xff".decode()
        except UnicodeDecodeError as error:
            raise SystemError("<method 'headers' of 'cimpl.Message' objects> returned a result") from error
        return None


def read(message: Message) -> Record:
    return from_message(message, Formats())


def test_a_header_without_a_value_has_an_empty_one_and_can_be_stored() -> None:
    record = read(Message([("other", None), (REDRIVE, None)]))
    assert record.headers == (("other", b""), (REDRIVE, b""))
    note = dlq_note(record, Parked(Reason.INVALID))
    stored = msgspec.json.decode(msgspec.json.encode(note.headers), type=tuple[tuple[str, bytes], ...])
    assert stored == note.headers
    assert ("other", b"") in note.headers


@pytest.mark.parametrize(
    ("said", "times"),
    [(None, 0), (b"", 0), (b"3", 3), (b"9" * 5_000, 0), (b"-1", 0), ("²".encode(), 0)],
    ids=["null", "empty", "a number", "5,000 digits", "negative", "superscript"],
)
def test_the_number_of_a_redrive_that_is_none_counts_as_none(said: bytes | None, times: int) -> None:
    assert redrive_of(read(Message([(REDRIVE, said)]))) == times


@pytest.mark.parametrize("said", [b"9" * 5_000, "²".encode()], ids=["5,000 digits", "superscript"])
@pytest.mark.parametrize("name", ["andon-partition", "andon-offset", "andon-cut"])
def test_a_parked_record_is_listed_whatever_its_headers_say(name: str, said: bytes) -> None:
    entry = entry_of(read(Message([(name, said)])))
    assert -1 in (entry.origin.partition, entry.origin.offset, entry.cut)


@pytest.mark.parametrize("value", [VALUE, b"\0\0\0\0\1x"], ids=["json", "avro"])
def test_a_record_whose_header_has_no_readable_name_is_parked_as_it_is(value: bytes) -> None:
    record = read(Unnamed(None, value))
    assert (record.headers, record.original) == ((), value)
    assert record.unread == "the name of a header is not UTF-8"
    feed = Reading("mes", cast("Source", None), 1_000, lambda: False, cast("Clock", None))
    with pytest.raises(Undecodable, match="not UTF-8"):
        feed.event(record)
