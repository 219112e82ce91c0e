"""The envelope of callbacks: the published vectors, both ways, and what is not sealed for us."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.core.failure import Invalid
from andon.ingress.bodies.sealed import NotOurs, Seal
from andon.ingress.bodies.xml import DEPTH, fields_of

VECTORS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "callback_vectors.json").read_text("utf-8"))
KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
RANDOM = bytes(range(16))
OURS = Seal("token", KEY, "ww1")


@pytest.mark.parametrize("one", VECTORS, ids=lambda one: one["name"])
def test_a_vector_both_ways(one: dict[str, Any]) -> None:
    seal = Seal(one["token"], one["key"], one["receiveid"])
    assert seal.signed(one["signature"], one["timestamp"], one["nonce"], one["encrypt"])
    assert seal.open(one["encrypt"]).decode() == one["plaintext"]
    assert seal.close(one["plaintext"].encode(), bytes.fromhex(one["random16_hex"])) == one["encrypt"]


@given(st.binary(max_size=200), st.binary(min_size=16, max_size=16))
def test_what_is_closed_opens_again(message: bytes, random: bytes) -> None:
    assert OURS.open(OURS.close(message, random)) == message


@pytest.mark.parametrize("receiver", ["", "ww2", "ww11", "w"])
def test_what_is_for_another_is_refused_also_for_none(receiver: str) -> None:
    other = Seal("token", KEY, receiver)
    with pytest.raises(NotOurs, match="another receiver"):
        other.open(OURS.close(b"m", RANDOM))
    with pytest.raises(NotOurs, match="another receiver"):
        OURS.open(other.close(b"m", RANDOM))


@given(st.binary(max_size=96))
def test_no_bytes_open_by_chance(noise: bytes) -> None:
    import base64

    with pytest.raises(NotOurs):
        OURS.open(base64.b64encode(noise).decode())


@pytest.mark.parametrize("sealed", ["", "=", "é", "A", "AAAA", "\ud800", "A" * 64 + "\n"])
def test_what_is_no_base64_is_refused(sealed: str) -> None:
    with pytest.raises(NotOurs):
        OURS.open(sealed)


@pytest.mark.parametrize("key", ["", KEY[:-1], KEY + "A", KEY[:-1] + "+", KEY[:-1] + "é"])
def test_a_key_has_43_letters_and_digits(key: str) -> None:
    with pytest.raises(NotOurs, match="43"):
        Seal("token", key, "")


def test_xml_becomes_plain_fields() -> None:
    text = b"<xml><A><![CDATA[ a & b ]]></A><B><C>1</C><C>2</C></B><D/><L>x</L><M><N>1</N></M></xml>"
    found = fields_of(text, lists=("L", "M"))
    assert found == {"A": " a & b ", "B": {"C": ["1", "2"]}, "D": "", "L": ["x"], "M": [{"N": "1"}]}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "no XML"),
        (b"<a>", "no XML"),
        (b"\xff\xfe", "no XML"),
        (b'<?xml version="1.0" encoding="none"?><a><b/></a>', "no XML"),
        (b"<a>text</a>", "no fields"),
        (b"<!DOCTYPE a><a><b/></a>", "DTD"),
        (b'<!DOCTYPE a [<!ENTITY x "y">]><a><b>&x;</b></a>', "DTD"),
        (b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a><b/></a>', "DTD"),
        (b"<a>" * (DEPTH + 1) + b"</a>" * (DEPTH + 1), "deeper"),
        (b"<a>" * 300_000, "deeper"),
        (b"<a>" + b"<b/>" * 20_000 + b"</a>", "more than 20,000 elements"),
        (b"<a>" + b"<b x='' y=''/>" * 7_000 + b"</a>", "more than 20,000 elements and attributes"),
    ],
)
def test_other_xml_is_refused_by_name(body: bytes, says: str) -> None:
    with pytest.raises(Invalid, match=says):
        fields_of(body)
