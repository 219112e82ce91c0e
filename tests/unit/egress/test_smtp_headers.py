"""What a mail's headers make of text from outside: it arrives as it was written, and is nothing but text."""

from __future__ import annotations

import re
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.policy import default
from email.utils import parseaddr
from typing import Any, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from andon.egress.channels.smtp import Smtp
from andon.egress.channels.smtp_address import recipient_fault
from andon.testing.builders import call, context

TO = "it@corp.cn"
FORGED = (
    "=?utf-8?q?Pay=0AContent-Type:_text/html=0A=0A<a_href=3D=22http://evil.example=22>log_in</a>?=",
    "=?utf-8?q?Pay=0D=0ABcc:_all@corp.cn?=",
    "M-07=?utf-8?b?////?=",
    "M-07 =?utf-8?b?////?= stop",
    "=?utf-8?q?a?= =?utf-8?q?b?=",
    "=?no-charset?q?a?=",
    "=?utf-8?b?5Yay5Y6L5py6?= 停机",
    "a=?b",
    "=?utf-8?q?" + "=0A" * 60 + "?=",
)
HEADERS = ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "X-Auto-Response-Suppress"]
OTHERS = {"content-type", "content-transfer-encoding", "mime-version"}
PIECES = st.sampled_from(
    ["=?", "?=", "=?utf-8?q?", "=?utf-8?b?", "=0A", "=0D=0A", "_", "////", " ", '"', "汉", "é", "("]
)
SHOWN = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1)
WORDS = st.tuples(st.sampled_from("qQbB"), PIECES | SHOWN).map("=?utf-8?{0[0]}?{0[1]}?=".format)
NASTY = st.lists(PIECES | SHOWN | WORDS, min_size=1).map("".join)


def raw(text: str, kind: str = "text", **options: Any) -> bytes:
    whole = {"host": "mail.corp.cn", "from": "andon@corp.cn", **options}
    channel = Smtp(Smtp.Config.model_validate(whole), context(cast("Any", None)))
    return channel._mail(call(text, kind, recipients=(TO,)), [TO])


def read(mail: bytes) -> EmailMessage:
    """The mail as a reader has it, of which only our own headers are there and no line is too long."""
    head = mail.partition(b"\r\n\r\n")[0]
    assert b"\n" not in head.replace(b"\r\n", b"")
    assert all(len(line) <= 78 and line.strip() for line in head.split(b"\r\n"))
    read = message_from_bytes(mail, policy=default)
    names = read.keys()
    assert names[: len(HEADERS)] == HEADERS
    assert {name.lower() for name in names[len(HEADERS) :]} <= OTHERS
    return read


@pytest.mark.parametrize("text", FORGED)
@pytest.mark.parametrize("kind", ["text", "markdown"])
def test_what_looks_like_an_encoded_word_in_a_subject_arrives_as_it_was_written(text: str, kind: str) -> None:
    mail = read(raw(f"{text}\nbody", kind))
    assert mail["Subject"] == (text if len(text) <= 200 else text[:199] + "…")
    assert mail["To"] == TO
    assert str(cast("EmailMessage", mail.get_body(("plain",))).get_content()).startswith(text)


@given(NASTY)
@example("a" * 78)
@example("word " * 30 + "word")
@example("汉 " * 90 + "字")
def test_every_subject_arrives_as_it_was_written(text: str) -> None:
    whole = " ".join(text.split())
    assert read(raw(text))["Subject"] == (whole if len(whole) <= 200 else whole[:199] + "…")


def test_a_plain_subject_can_be_read_without_decoding() -> None:
    assert b"\r\nSubject: [critical] M-07 stop = 3? {1}\r\n" in raw("[critical] M-07 stop = 3? {1}")


@pytest.mark.parametrize("name", [*FORGED[:-1], 'Andon "7", L3', "安灯 " * 30 + "灯", "a" * 200, "Andon", "A. B\\c"])
def test_the_name_of_a_sender_arrives_as_it_was_written(name: str) -> None:
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    mail = raw("x", **{"from": f'"{quoted}" <andon@corp.cn>'})
    (address,) = read(mail)["From"].addresses
    # Python's parser of addresses keeps the blanks between two encoded words, which RFC 2047 drops.
    person, _ = parseaddr(message_from_bytes(mail)["From"])
    assert (str(make_header(decode_header(person))), address.addr_spec) == (name, "andon@corp.cn")


@pytest.mark.parametrize("local", ["=?utf-8?q?a=0ABcc=3A_x?=", "=?utf-8?b?////?=", "a=?b"])
def test_an_address_that_a_reader_would_decode_is_none(local: str) -> None:
    assert "=?" in (recipient_fault(f"{local}@corp.cn") or "")
    with pytest.raises(ValidationError, match=re.escape("=?")):
        raw("x", **{"from": f"{local}@corp.cn"})


def test_an_address_with_either_sign_alone_is_one() -> None:
    assert recipient_fault("prvs=1234=it@corp.cn") is None
    assert recipient_fault("who?=it@corp.cn") is None
