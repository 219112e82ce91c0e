"""Ids: what is minted tells its time, and what repeats has one id."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.core.delivery import delivery_id, ended_id
from andon.core.event import Event
from andon.core.ids import Namespace, minted_at, uuid7


def event(event_id: str, source: str = "mes") -> Event:
    return Event(event_id, source, "mes.fault.raised", "line-3/M-07", datetime(2026, 11, 22, tzinfo=UTC), {})


def test_a_minted_id_is_a_uuid7_that_tells_its_millisecond() -> None:
    minted = uuid7(1_795_305_600.123, b"0123456789")

    assert minted.version == 7
    assert minted_at(str(minted)) == pytest.approx(1_795_305_600.123)


def test_minted_ids_sort_by_time() -> None:
    ids = [str(uuid7(1_795_305_600 + n / 1000, bytes([255 - n]) * 10)) for n in range(50)]

    assert ids == sorted(ids)


@pytest.mark.parametrize("text", ["", "fault-17", "6f1d9a0e-5b60-5d3c-9a53-0a4d0e6c7a11"])
def test_another_id_tells_no_time(text: str) -> None:
    assert minted_at(text) is None


def test_an_event_is_one_delivery_per_receiver_however_often_it_comes() -> None:
    assert delivery_id(event("17"), "line-3") == delivery_id(event("17"), "line-3")
    assert delivery_id(event("17"), "line-3") != delivery_id(event("17"), "leader")
    assert ended_id(event("17")) == ended_id(event("17"))


def test_equal_numbers_from_two_systems_do_not_meet() -> None:
    assert delivery_id(event("17", "mes"), "line-3") != delivery_id(event("17", "wms"), "line-3")


@given(st.uuids(), st.text())
def test_a_derived_id_is_the_uuid5_that_everybody_else_derives(namespace: UUID, name: str) -> None:
    assert Namespace(namespace).id(name) == uuid5(namespace, name)
