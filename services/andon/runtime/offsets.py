"""What a group's offsets are, and what lost ones must have been. Blocking.

A service whose partition has no committed offset stops: to begin at the start would do everything again, to begin at
the end would lose what waits. What was done already is known all the same. A desk's store has the offset of every
partition it took anything in from. A stage's output says from which record it was made; those are in order, so the
newest one of a partition tells how far the stage was.

It stops too at an offset of which the partition has nothing: records were deleted before they were read, or the end of
the log was lost. Then the nearest there is has to do, and a person is told what that passes over.
"""

from __future__ import annotations

import time
from collections.abc import Collection

import msgspec

from andon.core.event import Home, Position
from andon.kafka.admin import Cluster
from andon.kafka.codecs import Json, Undecodable
from andon.kafka.errors import KafkaFailure
from andon.kafka.records import Record
from andon.kafka.scan import Scan
from andon.kafka.topics import DELIVERIES, DLQ, ENRICHED, OUTCOMES, READERS
from andon.runtime.parked import origin_of
from andon.store.lookup import Lookup

SINKS = {"enrichment": (ENRICHED, OUTCOMES, DLQ), "routing": (DELIVERIES, OUTCOMES)}
"""Stage → the topics that tell what it has done. Of a record of `andon.enriched` in the dead-letter topic nobody can
tell whether routing or ticketing parked it, so there routing is taken to be no further than its outputs say."""

_WINDOWS_S = (600.0, 6 * 3_600.0, 2 * 86_400.0, 14 * 86_400.0)
_AGAIN_S = 1.0


class Standing(msgspec.Struct, frozen=True):
    """One partition: what it still has from, where it ends, the group's offset, and that of a desk's store, which it
    goes by; None when there is none."""

    home: Home
    first: int
    end: int
    committed: int | None
    stored: int | None = None

    @property
    def lost(self) -> bool:
        """Whether the service cannot go on there."""
        at = self.committed if self.stored is None else self.stored
        return self.committed is None or at is None or not self.first <= at <= self.end


class Restored(msgspec.Struct, frozen=True):
    """An offset that is to be committed, and how it is known."""

    offset: int
    why: str


class _Ways(msgspec.Struct):
    origin: tuple[Position, ...] = ()


_codec = Json(_Ways)


def standing(scan: Scan, cluster: Cluster, service: str, topic: str, store: Lookup | None = None) -> list[Standing]:
    """Every partition the service reads, in order; `store` is a desk's, if it is at hand. Raises KafkaFailure."""
    homes = [Home(topic, number) for number in range(scan.partitions().get(topic, 0))]
    if not homes:
        made = "; `andon topics create` makes it" if service in READERS else ""
        raise KafkaFailure(f"there is no topic {topic}{made}")
    committed, stored = cluster.offsets(service, topic), store.offsets(topic) if store else {}
    first, ends = scan.beginnings(homes), scan.ends(homes)
    return [
        Standing(home, first[home], ends[home], committed.get(home, (None, ""))[0], stored.get(home)) for home in homes
    ]


def restored(
    scan: Scan, service: str, lost: Collection[Standing], store: Lookup | None, now: float
) -> dict[Home, Restored]:
    """The offsets at which the service can go on. Raises KafkaFailure when a desk's store is not at hand.

    How far a source was in the topic of others stands nowhere else: there it is the first record kept, and what was
    taken before comes again, under the ids it had.
    """
    missing = [one.home for one in lost if one.committed is None and one.first < one.end]
    if service in SINKS:
        done = _done(scan, SINKS[service], missing, now) if missing else {}
        why = f"after the newest record that {' or '.join(SINKS[service])} has of it"
    elif service not in READERS:
        done, why = {}, ""
    elif store is None:
        raise KafkaFailure(f"the store of {service} is not here; give its data directory with --data")
    else:
        done, why = {one.home: one.stored for one in lost if one.stored is not None}, "as its store has it"
    return {one.home: _nearest(one, done.get(one.home, one.committed), why) for one in lost}


def _nearest(one: Standing, at: int | None, why: str) -> Restored:
    """The offset that the partition has nearest to where the service was."""
    if at is None:
        return Restored(one.first, _of_nothing(one))
    if at < one.first:
        return Restored(one.first, f"offsets {at} to {one.first - 1} were deleted before they were read")
    if at > one.end and not one.committed:  # Kafka forgets offsets together with a topic, which begins with 0
        return Restored(one.first, f"it was at {at}, the topic was made anew")
    if at > one.end:
        return Restored(one.end, f"it was at {at}, the end of the log was lost: goes on with what comes")
    return Restored(at, why)


def _of_nothing(one: Standing) -> str:
    if one.first == one.end:
        return "it is empty"
    return f"nothing is known of it: up to {one.end - one.first:,} records are taken in as new"


def _done(scan: Scan, sinks: tuple[str, ...], wanted: Collection[Home], now: float) -> dict[Home, int]:
    """The offset after the newest record of each partition that one of the sinks has an output of. Looks back in
    time further and further, because a partition's newest output may stand in any partition of a sink."""
    done: dict[Home, int] = {}
    counts = scan.partitions()
    homes = [Home(sink, number) for sink in sinks for number in range(counts.get(sink, 0))]
    ends, begins = scan.ends(homes), scan.beginnings(homes)
    for window in (*_WINDOWS_S, now):
        starts = begins if window == now else scan.at_time(homes, now - window)
        for record in scan.stretch(starts, ends):
            for place in _origin(record):
                home = Home(place.topic, place.partition)
                done[home] = max(done.get(home, 0), place.offset + 1)
        if all(home in done for home in wanted):
            break
        ends = starts
    return {home: done[home] for home in wanted if home in done}


def _origin(record: Record) -> tuple[Position, ...]:
    """The records this one was made of."""
    if record.topic == DLQ:
        return (origin_of(record),)
    try:
        return _codec.decode(record.value).origin
    except Undecodable:
        return ()


def commit(cluster: Cluster, service: str, offsets: dict[Home, Restored], within_s: float = 15.0) -> None:
    """Commits them. A group keeps a member that has just gone for 10 s, so it is tried for a while.

    Raises KafkaFailure.
    """
    deadline = time.monotonic() + within_s
    while True:
        try:
            return cluster.set_offsets(service, {home: one.offset for home, one in offsets.items()})
        except KafkaFailure as problem:
            if time.monotonic() > deadline:
                raise KafkaFailure(f"{problem}; stop every process of {service} first") from None
            time.sleep(_AGAIN_S)
