"""What is active, as Alertmanager shows alerts: the open episodes, for of more the door does not know.

Source: Alertmanager's OpenAPI document (api/v2/openapi.yaml, `gettableAlert`); the fingerprint: prometheus/common,
model.LabelSet.Fingerprint.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime

import msgspec

from andon.config.published import Published
from andon.core.event import STATE, Event, Home
from andon.core.matchers import OnLabel, Test, all_hold, compile_matchers
from andon.core.mute import Mute
from andon.core.reason import Reason
from andon.core.ticket import EpisodeRecord
from andon.ingress.refusal import Refused
from andon.kafka.codecs import Json, Undecodable
from andon.kafka.connection import Connection
from andon.kafka.errors import KafkaFailure
from andon.kafka.scan import Scan
from andon.kafka.topics import ACTIVE

EVERYBODY = "andon"
"""Stands for a receiver where Alertmanager's form wants one: who hears is decided by routing, which the door is not."""
_NEVER = datetime(1, 1, 1, tzinfo=UTC)  # how Go writes a time that there is none of
_OFFSET, _PRIME, _WHOLE = 0xCBF29CE484222325, 0x100000001B3, (1 << 64) - 1
_AGAIN_S = 5


class AlertStatus(msgspec.Struct, frozen=True):
    """`active`, or `suppressed` with the mutes that take it now. What inhibits it is not known here."""

    state: str
    silencedBy: tuple[str, ...]  # noqa: N815 - the names are theirs
    inhibitedBy: list[str] = []  # noqa: N815


class Receiver(msgspec.Struct, frozen=True):
    """A receiver's name."""

    name: str


class ActiveAlert(msgspec.Struct, frozen=True, kw_only=True):
    """An open episode. Its end is not known, nor are its annotations or who hears of it."""

    labels: dict[str, str]
    annotations: dict[str, str] = {}
    receivers: list[Receiver] = []
    startsAt: datetime  # noqa: N815
    updatedAt: datetime  # noqa: N815
    endsAt: datetime = _NEVER  # noqa: N815
    fingerprint: str
    status: AlertStatus
    generatorURL: str = ""  # noqa: N815


class AlertGroup(msgspec.Struct, frozen=True):
    """Alerts that are told together; here all of them, for routing makes the groups."""

    labels: dict[str, str]
    receiver: Receiver
    alerts: list[ActiveAlert]


class Wanted(msgspec.Struct, frozen=True):
    """Which alerts are asked for."""

    filters: Sequence[OnLabel] = ()
    active: bool = True
    silenced: bool = True


class Active:
    """The open episodes, as `read` gives the records of `andon.active`: blocking; raises KafkaFailure."""

    def __init__(self, read: Callable[[], Sequence[EpisodeRecord]]) -> None:
        self._read = read
        self._turn = asyncio.Lock()

    async def alerts(self, published: Published, now: datetime, wanted: Wanted) -> list[ActiveAlert]:
        """Those that are asked for, the newest first. Raises Refused, also where no rule says what an episode is: then
        nothing is known, which is not the same as that nothing is active."""
        if not published.settings.episodes:
            detail = "what is active is known of faults that `episodes` has a rule for, and there is no rule"
            raise Refused(Reason.INVALID, detail, status=404)
        mutes = [one for one in published.mutes if one.begins <= now < one.ends]
        try:
            async with self._turn:
                return await asyncio.to_thread(self._found, mutes, wanted)
        except KafkaFailure as failure:
            raise Refused(Reason.UNAVAILABLE, str(failure), after=_AGAIN_S) from None

    def _found(self, mutes: Sequence[Mute], wanted: Wanted) -> list[ActiveAlert]:
        """Blocking: Kafka is read, and each episode held against every mute. Touches nothing of the loop's."""
        takes = [(mute.id, [one.holds for one in compile_matchers(mute.matchers)]) for mute in mutes]
        found = (_alert(record, takes) for record in self._read())
        return sorted((one for one in found if _fits(one, wanted)), key=lambda one: one.startsAt, reverse=True)


def open_episodes(connection: Connection) -> list[EpisodeRecord]:
    """What `andon.active` says now; blocking. What cannot be read is passed over, as where it is to inhibit. Raises
    KafkaFailure."""
    found = dict[bytes | None, bytes]()
    with closing(Scan(connection)) as scan:
        homes = [Home(ACTIVE, number) for number in range(scan.partitions().get(ACTIVE, 0))]
        for record in scan.stretch(scan.beginnings(homes), scan.ends(homes)):
            if record.value:
                found[record.key] = record.value
            else:
                found.pop(record.key, None)
    return list(_read(found.values()))


def _read(values: Iterable[bytes]) -> Iterator[EpisodeRecord]:
    codec = Json(EpisodeRecord)
    for value in values:
        with suppress(Undecodable):
            yield codec.decode(value)


def fingerprint(labels: dict[str, str]) -> str:
    """Prometheus' and Alertmanager's name of these labels: FNV-1a with 64 bits."""
    total = _OFFSET
    for name in sorted(labels):
        for byte in b"%b\xff%b\xff" % (name.encode(), labels[name].encode()):
            total = ((total ^ byte) * _PRIME) & _WHOLE
    return f"{total:016x}"


def _alert(record: EpisodeRecord, takes: Sequence[tuple[str, Sequence[Test]]]) -> ActiveAlert:
    """`takes`: of each mute its id, and what an event must hold to be taken by it."""
    event = Event(record.event, record.source, record.type, record.subject, record.at, {}, record.labels)
    labels = {name: value for name, value in record.labels.items() if name != STATE}
    by = tuple(mute for mute, tests in takes if all_hold(tests, event))
    return ActiveAlert(
        labels=labels,
        startsAt=record.at,
        updatedAt=record.at,
        fingerprint=fingerprint(labels),
        status=AlertStatus("suppressed" if by else "active", by),
    )


def _fits(alert: ActiveAlert, wanted: Wanted) -> bool:
    state = wanted.active if alert.status.state == "active" else wanted.silenced
    return state and all(one.fits(alert.labels.get(one.name, "")) for one in wanted.filters)
