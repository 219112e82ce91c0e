"""A plant's topics under the checker: what clients sent, and what each stage made of it. Imports nothing of Andon."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tests.rig.client import Sent
from tests.rig.consistency import Anomaly, Fate, Spot, Write, one_reader, torn, two_readers, written
from tests.rig.topics import ALL, DELIVERIES, DLQ, ENRICHED, EVENTS, OUTCOMES, Place, Stored, Topics, offsets

WAITED_S = 1.0


class Hop(NamedTuple):
    """A stage: its group, what it reads and where it writes. `wanted` is the number of outputs of one record. Of
    `andon.outcomes` only those count that say why there is no delivery: the others are the desk's."""

    group: str
    source: str
    sinks: tuple[str, ...]
    wanted: Callable[[Stored], int]


def _one(_stored: Stored) -> int:
    return 1


def _receivers(stored: Stored) -> int:
    """As the plant's route tree has it. What cannot be routed is parked, once."""
    labels = (stored.json() or {}).get("labels")
    return len({labels.get("to", "r1"), labels.get("also", labels.get("to", "r1"))}) if isinstance(labels, dict) else 1


HOPS = (
    Hop("andon-enrichment", EVENTS, (ENRICHED, DLQ), _one),
    Hop("andon-routing", ENRICHED, (DELIVERIES, OUTCOMES, DLQ), _receivers),
)


def anomalies(live: Topics, whole: Topics, since: Mapping[Place, int], sent: Sequence[Sent]) -> list[Anomaly]:
    """What the checker finds in a plant at rest. `live` read along, `whole` has all records since then."""
    found = written([_write(one) for one in sorted(sent, key=lambda one: one.began)], whole.records[EVENTS], _id)
    for topic in ALL:
        found += one_reader(live.records[topic]) + one_reader(whole.records[topic])
        found += two_readers(live.records[topic], whole.records[topic], since)
    for hop in HOPS:
        committed = offsets(whole.bootstrap, hop.group, [hop.source])
        outputs = (spot for sink in hop.sinks for one in whole.records[sink] for spot in _made_of(one, hop))
        inside = [spot for spot in outputs if spot[2] >= since.get(spot[:2], 0)]
        found += torn(whole.records[hop.source], inside, committed, hop.wanted)
    return found


def _write(one: Sent) -> Write:
    if not one.told:  # put straight into a topic, as often as the test liked
        return Write(one.subject, one.id, "info", 1_000)
    fate: Fate = "ok" if one.accepted else "fail" if one.impossible else "info"
    tries = sum(1 for status in one.told if not 400 <= status < 500)
    return Write(one.subject, one.id, fate, 2 * tries if _waited(one) else tries)


def _waited(one: Sent) -> bool:
    """Whether Kafka kept the door waiting for it. The client library of the door begins a new epoch of its producer
    after a time-out of any write, and Kafka knows a repeat only within one: each try may then stand there twice."""
    return not one.accepted or one.accepted - one.began > WAITED_S


def _id(stored: Stored) -> str | None:
    number = (stored.json() or {}).get("id")
    return number if isinstance(number, str) else None


def _made_of(stored: Stored, hop: Hop) -> Iterator[Spot]:
    """The record of the hop's source that this one was made of."""
    if stored.topic == DLQ:
        if stored.headers.get("andon-topic") == hop.source.encode():
            yield hop.source, int(stored.headers["andon-partition"]), int(stored.headers["andon-offset"])
        return
    value: dict[str, Any] = stored.json() or {}
    if stored.topic == OUTCOMES and value.get("delivery"):
        return
    for place in value.get("origin") or ():
        if isinstance(place, dict) and place.get("topic") == hop.source:
            yield hop.source, place["partition"], place["offset"]
