"""At which offsets a service cannot go on, and where it does then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import pytest

from andon.core.event import Home
from andon.kafka.errors import KafkaFailure
from andon.kafka.topics import DELIVERIES, EVENTS
from andon.runtime import offsets
from andon.runtime.offsets import Restored, Standing, restored, standing


class Partition:
    """A topic of one partition, what the group has of it, and what a desk's store has; the log holds nothing."""

    def __init__(self, first: int, end: int, committed: int | None, stored: int | None = None) -> None:
        self._first, self._end, self._committed, self._stored = first, end, committed, stored
        self._topic = EVENTS

    def of(self, service: str, topic: str) -> Standing:
        self._topic = topic
        scan, store = cast("Any", self), cast("Any", None if self._stored is None else _Store(self._stored))
        (found,) = standing(scan, scan, service, topic, store)
        return found

    def partitions(self) -> dict[str, int]:
        return {self._topic: 1}

    def beginnings(self, homes: Sequence[Home]) -> dict[Home, int]:
        return dict.fromkeys(homes, self._first)

    def ends(self, homes: Sequence[Home]) -> dict[Home, int]:
        return dict.fromkeys(homes, self._end)

    def offsets(self, _service: str, topic: str) -> dict[Home, tuple[int, str]]:
        return {} if self._committed is None else {Home(topic, 0): (self._committed, "")}


class _Store:
    def __init__(self, offset: int) -> None:
        self._offset = offset

    def offsets(self, topic: str) -> dict[Home, int]:
        return {Home(topic, 0): self._offset}


def restored_to(one: Standing, service: str) -> Restored:
    (found,) = restored(cast("Any", None), service, [one], cast("Any", object()), 0.0).values()
    return found


@pytest.mark.parametrize("committed", [4, 6, 8])
def test_an_offset_that_the_partition_has_is_good(committed: int) -> None:
    assert not Partition(4, 8, committed).of("enrichment", EVENTS).lost
    assert not Partition(4, 8, committed, committed).of("egress", DELIVERIES).lost


@pytest.mark.parametrize("service", ["enrichment", "source-mes"])
def test_what_was_deleted_before_it_was_read_is_passed_over(service: str) -> None:
    one = Partition(4, 8, 1).of(service, EVENTS)
    assert one.lost
    assert restored_to(one, service) == Restored(4, "offsets 1 to 3 were deleted before they were read")


def test_where_the_log_lost_its_end_a_service_goes_on_behind_it() -> None:
    one = Partition(0, 8, 12).of("routing", EVENTS)
    assert one.lost
    assert restored_to(one, "routing").offset == 8


@pytest.mark.parametrize(("stored", "restored"), [(1, 4), (12, 8)])
def test_a_desk_goes_by_its_store(stored: int, restored: int) -> None:
    one = Partition(4, 8, 6, stored).of("egress", DELIVERIES)
    assert one.lost
    assert restored_to(one, "egress").offset == restored


def test_a_topic_that_was_made_anew_is_read_from_its_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    def done(_scan: Any, _sinks: Any, homes: Sequence[Home], _now: float) -> Mapping[Home, int]:
        return dict.fromkeys(homes, 12)

    monkeypatch.setattr(offsets, "_done", done)
    for service, committed, stored in (("enrichment", None, None), ("egress", None, 12), ("egress", 0, 12)):
        one = Partition(0, 8, committed, stored).of(service, EVENTS)
        assert one.lost
        assert restored_to(one, service).offset == 0


def test_only_a_topic_of_andons_is_made_by_its_command() -> None:
    nothing = cast("Any", Partition(0, 0, None))
    with pytest.raises(KafkaFailure, match="andon topics create"):
        standing(nothing, nothing, "egress", DELIVERIES)
    with pytest.raises(KafkaFailure) as told:
        standing(nothing, nothing, "source-mes", "mes.alarms")
    assert str(told.value) == "there is no topic mes.alarms"
