"""What must not be seen in a log, after Jepsen's Kafka workload: pure, and imports nothing of Andon.

Histories are what clients were told and what readers got, in their order. Of a client's outcomes `ok`, `fail` and
`info` (nobody knows) only `fail` says that a value must not appear, and only `ok` that it must.

    lost write        a value was acknowledged, and a reader of everything does not find it
    aborted read      a reader got a value that its writer was refused, or that a later reader no longer finds; or
                      something was made of such a record
    duplicate         a value stands more often than it was sent, or something was made twice of one record
    duplicate offset  one offset, two values
    reorder           offsets do not rise within one read, or one client's values stand in another order than it sent
    skip              a reader passed over a record that others find between two of its own
    torn              a transaction half there: an input is committed and its outputs are not all there, or the reverse
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple, TypeVar

from tests.rig.topics import Place, Stored

Spot = tuple[str, int, int]  # topic, partition, offset
Fate = Literal["ok", "fail", "info"]
Key = TypeVar("Key")
Value = TypeVar("Value")


class Anomaly(NamedTuple):
    """One finding. `kind` is a word of the list above."""

    kind: str
    sentence: str


@dataclass(frozen=True)
class Write:
    """A value that one client wanted in the log. `tries` is how often it was sent without a refusal."""

    key: str
    value: str
    fate: Fate
    tries: int = 1


def spot(stored: Stored) -> Spot:
    return stored.topic, stored.partition, stored.offset


def written(
    writes: Sequence[Write], records: Iterable[Stored], value_of: Callable[[Stored], str | None]
) -> list[Anomaly]:
    """Holds what clients were told, those of one key in the order of sending, against all that stands in a topic."""
    found: list[Anomaly] = []
    first: dict[str, Spot] = {}
    standing: Counter[str] = Counter()
    for one in sorted(records, key=spot):
        if (value := value_of(one)) is not None:
            first.setdefault(value, spot(one))
            standing[value] += 1
    for write in writes:
        if write.fate == "ok" and not standing[write.value]:
            found.append(Anomaly("lost write", f"{write.value} was acknowledged and is nowhere"))
        if write.fate == "fail" and standing[write.value]:
            found.append(Anomaly("aborted read", f"{write.value} was refused and stands at {first[write.value]}"))
        if standing[write.value] > max(write.tries, 1):
            often = f"{standing[write.value]} times, was sent {write.tries} times"
            found.append(Anomaly("duplicate", f"{write.value} stands there {often}"))
    for key, values in _grouped((write.key, write.value) for write in writes if write.value in first).items():
        places = [first[value] for value in values]
        if places != sorted(places):
            found.append(Anomaly("reorder", f"the values of {key} stand in another order than they were sent"))
    return found


def one_reader(records: Sequence[Stored]) -> list[Anomaly]:
    """One read of some partitions: offsets rise, always."""
    found = []
    for place, offsets in _grouped(((one.topic, one.partition), one.offset) for one in records).items():
        for before, after in pairwise(offsets):
            if after <= before:
                found.append(Anomaly("reorder", f"{place}: {after} was read after {before}"))
    return found


def two_readers(
    earlier: Sequence[Stored], everything: Sequence[Stored], since: Mapping[Place, int] | None = None
) -> list[Anomaly]:
    """A read while things went on, against a read of all that stands there at the end; `since` is where the earlier one
    began."""
    found = []
    whole = {spot(one): (one.key, one.value) for one in everything}
    offsets = _grouped(((one.topic, one.partition), one.offset) for one in everything)
    seen: dict[Place, set[int]] = defaultdict(set)
    for one in earlier:
        seen[one.topic, one.partition].add(one.offset)
        if spot(one) not in whole:
            found.append(Anomaly("aborted read", f"{spot(one)} was read once and is not there"))
        elif whole[spot(one)] != (one.key, one.value):
            found.append(Anomaly("duplicate offset", f"{spot(one)} was read twice with different values"))
    for place, mine in seen.items():
        begin = (since or {}).get(place, min(mine))
        passed = [n for n in offsets.get(place, ()) if begin <= n < max(mine) and n not in mine]
        if passed:
            found.append(Anomaly("skip", f"{place}: {passed[:3]} were passed over on the way to {max(mine)}"))
    return found


def torn(
    inputs: Iterable[Stored],
    origins: Iterable[Spot],
    committed: Mapping[Place, int],
    wanted: Callable[[Stored], int],
) -> list[Anomaly]:
    """Holds what was made of each record of a topic against the offsets committed with it, when nothing is under way.

    `origins` has, for each output, the record it was made of; `wanted` tells how many a record must have.
    """
    found = []
    made = Counter(origins)
    for one in inputs:
        count, due = made.pop(spot(one), 0), wanted(one)
        done = one.offset < committed.get((one.topic, one.partition), 0)
        if done and count < due:
            found.append(Anomaly("torn", f"{spot(one)} is committed with {count} of {due} outputs"))
        if not done and count:
            found.append(Anomaly("torn", f"{spot(one)} has {count} outputs and is not committed"))
        if count > due:
            found.append(Anomaly("duplicate", f"{spot(one)} has {count} outputs in place of {due}"))
    found += [
        Anomaly("aborted read", f"{place} is nowhere, and {n} outputs were made of it") for place, n in made.items()
    ]
    return found


def _grouped(pairs: Iterable[tuple[Key, Value]]) -> dict[Key, list[Value]]:
    groups: dict[Key, list[Value]] = defaultdict(list)
    for key, value in pairs:
        groups[key].append(value)
    return groups
