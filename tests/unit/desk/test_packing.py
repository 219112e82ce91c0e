"""What waits in a group is packed in memory, and comes out as it went in."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some

from andon.kafka.codecs import encode
from andon.runtime.desk.packing import opened, packed, size_of
from andon.testing.builders import delivery, event


@given(some.text(max_size=300).map(encode))
def test_any_body_comes_out_as_it_went_in_and_is_never_larger(body: bytes) -> None:
    small = packed(body)
    assert opened(small) == opened(body) == body
    assert size_of(small) == size_of(body) == len(body)
    assert len(small) <= len(body)


def test_a_delivery_takes_less_than_half() -> None:
    body = encode(delivery(event(subject="M-0017", labels={"state": "raise", "severity": "minor", "line": "L3"})))
    assert 2 * len(packed(body)) < len(body)
