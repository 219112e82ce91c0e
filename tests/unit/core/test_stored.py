"""What a desk has kept is read, of whatever version took it in."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from andon.core.delivery import Delivery, Tried
from andon.core.digest import merged
from andon.core.stored import Stored
from andon.testing.builders import delivery, event

NAIVE = datetime(2026, 11, 24, 4)  # noqa: DTZ001 - as a producer wrote it
AT = NAIVE.replace(tzinfo=UTC)
# What is not Andon's is nobody's to change.
FREE: dict[str, Any] = {
    "data": {"time": "2026-11-24T04:00:00", "first": ["2026-11-24T04:00:00"], "large": 2**63, "size": 1e300},
    "labels": {"time": "2026-11-24T04:00:00"},
    "facts": {"last": {"time": "2026-11-24T04:00:00"}},
}


def told(at: datetime) -> Delivery:
    one = event(time=at, **FREE)
    return delivery(one, tried=Tried(AT, (), merged(merged(None, one), event(id="e-2", subject="b", time=at))))


def test_times_without_zone_are_utc_and_nothing_else_is_changed() -> None:
    assert Stored(Delivery).decode(msgspec.json.encode(told(NAIVE))) == told(AT)
    assert Stored(Delivery).decode(msgspec.json.encode(told(AT))) == told(AT)


@pytest.mark.parametrize("raw", [b"", b"{}", b'{"id":7}', b"[[", msgspec.json.encode(event(time=NAIVE, id=7))])
def test_what_is_no_record_at_all_is_told_as_before(raw: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        Stored(Delivery).decode(raw)
