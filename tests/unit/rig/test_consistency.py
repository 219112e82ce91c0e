"""The checker finds each anomaly where it was planted, among hundreds of sound records, and nothing where none was."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest

from tests.rig.consistency import Fate, Spot, Write, one_reader, spot, torn, two_readers, written
from tests.rig.topics import Stored

SEEDS = range(4)
PARTITIONS, RECORDS, KEYS = 3, 120, 10


class History:
    """What a sound client, broker and stage leave behind; `rng` then chooses where one of them is not sound."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.writes: list[Write] = []
        self.log: list[Stored] = []
        ends = [0] * PARTITIONS
        for number in range(RECORDS):
            key = f"k{self.rng.randrange(KEYS)}"
            place = int(key[1:]) % PARTITIONS
            self.writes.append(Write(key, f"v{number}", "ok"))
            self.log.append(Stored("in", place, ends[place], key.encode(), f"v{number}".encode(), {}))
            ends[place] += self.rng.choice((1, 1, 1, 2))  # a marker takes an offset too
        self.committed = {("in", place): end for place, end in enumerate(ends)}

    def any(self) -> int:
        """One in the middle."""
        return self.rng.randrange(10, RECORDS - 10)

    def twice(self) -> list[Spot]:
        """Two outputs of each record."""
        return [spot(one) for one in self.log for _ in range(2)]


@pytest.fixture(params=SEEDS)
def history(request: pytest.FixtureRequest) -> History:
    return History(request.param)


def value(stored: Stored) -> str:
    return stored.value.decode()


def kinds(found: Iterable[tuple[str, str]]) -> set[str]:
    return {kind for kind, _ in found}


def told(history: History, number: int, fate: Fate, tries: int = 1) -> list[Write]:
    writes = list(history.writes)
    writes[number] = replace(writes[number], fate=fate, tries=tries)
    return writes


def two(_stored: Stored) -> int:
    return 2


def test_a_sound_history_has_no_anomaly(history: History) -> None:
    along = history.log[: history.any()]
    assert not written(history.writes, history.log, value)
    assert not one_reader(history.log)
    assert not two_readers(along, history.log, {("in", n): 0 for n in range(PARTITIONS)})
    assert not torn(history.log, history.twice(), history.committed, two)


def test_a_lost_write(history: History) -> None:
    lost = history.any()
    found = written(history.writes, history.log[:lost] + history.log[lost + 1 :], value)
    assert [one.kind for one in found] == ["lost write"]
    assert f"v{lost} " in found[0].sentence


def test_what_nobody_knows_may_be_there_or_not(history: History) -> None:
    number = history.any()
    writes = told(history, number, "info")
    assert not written(writes, history.log, value)
    assert not written(writes, history.log[:number] + history.log[number + 1 :], value)


def test_a_refused_write_that_stands_there(history: History) -> None:
    number = history.any()
    assert kinds(written(told(history, number, "fail", 0), history.log, value)) == {"aborted read"}


def test_a_value_that_stands_twice(history: History) -> None:
    number = history.any()
    again = replace(history.log[number], offset=10_000)
    log = [*history.log, again]
    assert kinds(written(history.writes, log, value)) == {"duplicate"}
    assert not written(told(history, number, "ok", 2), log, value), "its client sent it twice"


def test_values_of_one_client_that_changed_places(history: History) -> None:
    first, second = next(
        (a, b) for a in range(RECORDS) for b in range(a + 1, RECORDS) if history.writes[a].key == history.writes[b].key
    )
    log = list(history.log)
    log[first] = replace(log[first], value=history.log[second].value)
    log[second] = replace(log[second], value=history.log[first].value)
    assert kinds(written(history.writes, log, value)) == {"reorder"}


def test_a_read_that_goes_back(history: History) -> None:
    number = history.any()
    assert kinds(one_reader([*history.log, history.log[number]])) == {"reorder"}


def test_a_record_that_was_read_and_is_gone(history: History) -> None:
    number = history.any()
    left = history.log[:number] + history.log[number + 1 :]
    assert kinds(two_readers(history.log, left)) == {"aborted read"}


def test_two_values_under_one_offset(history: History) -> None:
    number = history.any()
    log = list(history.log)
    log[number] = replace(log[number], value=b"another")
    assert kinds(two_readers(history.log, log)) == {"duplicate offset"}


def test_a_record_that_was_passed_over(history: History) -> None:
    number = history.any()
    mine = history.log[:number] + history.log[number + 1 :]
    last = max(one.offset for one in mine if one.partition == history.log[number].partition)
    assert last > history.log[number].offset, "else it was only not reached"
    assert kinds(two_readers(mine, history.log, {("in", n): 0 for n in range(PARTITIONS)})) == {"skip"}


def test_the_first_record_of_all_that_was_passed_over(history: History) -> None:
    mine = [one for one in history.log if one.offset]
    assert not two_readers(mine, history.log), "it may have begun there"
    assert kinds(two_readers(mine, history.log, {("in", n): 0 for n in range(PARTITIONS)})) == {"skip"}


def _without(origins: Sequence[Spot], one: Spot, most: int) -> list[Spot]:
    kept = list(origins)
    for _ in range(most):
        kept.remove(one)
    return kept


@pytest.mark.parametrize("missing", [1, 2])
def test_an_offset_without_all_of_its_outputs(history: History, missing: int) -> None:
    outputs = _without(history.twice(), spot(history.log[history.any()]), missing)
    assert kinds(torn(history.log, outputs, history.committed, two)) == {"torn"}


def test_outputs_without_their_offset(history: History) -> None:
    one = history.log[history.any()]
    committed = history.committed | {(one.topic, one.partition): one.offset}
    found = torn(history.log, history.twice(), committed, two)
    behind = sum(1 for other in history.log if other.partition == one.partition and other.offset >= one.offset)
    assert kinds(found) == {"torn"}
    assert len(found) == behind


def test_a_record_that_was_worked_on_twice(history: History) -> None:
    again = spot(history.log[history.any()])
    assert kinds(torn(history.log, [*history.twice(), again], history.committed, two)) == {"duplicate"}


def test_something_that_was_made_of_what_is_not_there(history: History) -> None:
    number = history.any()
    left = history.log[:number] + history.log[number + 1 :]
    assert kinds(torn(left, history.twice(), history.committed, two)) == {"aborted read"}
