"""What the topics hold of one event, written by hand: the causes of `andon why` are those the story was made of.

Nothing here routes or judges: which delivery there was, and how it ended, is what the story says.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

import msgspec

from andon.config.settings import Settings
from andon.core.delivery import Delivery, delivery_id, ended_id
from andon.core.event import Event, Position
from andon.core.mute import Mute
from andon.core.outcome import Attempt, Delivered, Evidence, Outcome, OutcomeRecord, RecipientState
from andon.core.policy import Pace
from andon.core.reason import Reason
from andon.kafka.codecs import encode
from andon.kafka.records import Record
from andon.kafka.topics import DELIVERIES, ENRICHED, EVENTS, OUTCOMES
from andon.routing.inquiry import Asked, Inquiry
from andon.routing.router import Router

START = datetime(2026, 11, 24, 4, 0, tzinfo=UTC).timestamp()
PUBLISHED = {1: START - 86_400, 2: START + 3_600, 3: START + 7_200}
PEOPLE = {"crew": "crew", "leader": "王晴", "duty": "li", "mail": "zhang@corp.cn"}
"""A receiver, and who asks about it: itself, or one of its people."""
TO: dict[str, list[str]] = {
    "crew": [],
    "leader": ["fact:machine.leader"],
    "duty": ["zhang", "li"],
    "mail": ["it@corp.cn", "zhang@corp.cn"],
}


@lru_cache
def router(version: int) -> Router:
    """Each version tells a receiver of events that are marked with both their names, and of no others."""
    receivers: dict[str, Any] = {name: {"channel": "c", "to": to} for name, to in TO.items()}
    receivers |= {f"{name}-no-ends": {**receivers[name], "send_resolved": False} for name in TO}
    routes = [
        {
            "matchers": [f'for="{name}-{version}"'],
            "receiver": name,
            "routes": [
                {"matchers": ['quiet="muted"'], "mute_time_intervals": ["always"]},
                {"matchers": ['quiet="inactive"'], "active_time_intervals": ["never"]},
                {"matchers": ['quiet="ends"'], "receiver": f"{name}-no-ends"},
            ],
        }
        for name in TO
    ]
    settings = Settings.model_validate(
        {
            "version": 1,
            "channels": {"c": {"kind": "wecom_robot"}},
            "calendar": {"time_intervals": {"always": [{}], "never": [{"days": ["monday"], "times": ["03:00-03:01"]}]}},
            "receivers": {**receivers, "sink": {"channel": "c"}},
            "route": {"receiver": "sink", "routes": routes},
        }
    )
    begins, ends = (datetime.fromtimestamp(START + at, UTC) for at in (-86_400, 86_400))
    mute = Mute("m7", ('silent="yes"',), begins, ends, "wang", "换模", "drop")
    return Router(settings, version, dict.fromkeys(settings.receivers, "d"), mutes=[mute])


class Story:
    """One event under one version, and the person of a receiver. Each method adds what a service would have written."""

    def __init__(self, name: str, version: int, seed: int) -> None:
        self.receiver, self.person, self.version = name, PEOPLE[name], version
        self.now = PUBLISHED[version] + 600.0 + seed if version > 1 else START + seed
        self.asked = {self.person}
        self.topics: dict[str, list[Record]] = {EVENTS: [], ENRICHED: [], DELIVERIES: [], OUTCOMES: []}
        self.subject = f"line-{seed}/M-{seed}"
        self.leader = "王晴"
        self.labels = {"for": f"{name}-{version}", "state": "raise"}

    def accepted(self, number: int = 1) -> Event:
        at = round(self.now * 1000)
        event = Event(
            f"e-{number}", "mes", "fault", self.subject, _moment(self.now - 5), {"code": "E7"}, labels=self.labels
        )
        self.topics[EVENTS].append(Record(EVENTS, number % 3, 100 + number, at, b"", encode(event)))
        return msgspec.structs.replace(event, origin=(Position(EVENTS, number % 3, 100 + number, at),))

    def enriched(self, number: int = 1) -> Event:
        event = self.accepted(number)
        facts = {"machine": {"leader": self.leader}}
        event = msgspec.structs.replace(event, facts=facts)
        at = event.origin[0].at + 40
        self.topics[ENRICHED].append(Record(ENRICHED, number % 3, number, at, b"", encode(event)))
        place = Position(ENRICHED, number % 3, number, at)
        return msgspec.structs.replace(event, origin=(*event.origin, place))

    def told(self, number: int = 1, **changes: Any) -> Delivery:
        event = self.enriched(number)
        to = {"crew": ("crew",), "leader": (self.leader,)}.get(self.receiver, tuple(TO[self.receiver]))
        plain = {"receiver": self.receiver, "recipients": to, "route": "0.9", "config_version": self.version}
        whole: dict[str, Any] = plain | changes
        one = Delivery(delivery_id(event, whole["receiver"]), event, domain="d", origin=event.origin, group="", **whole)
        return self.put(one)

    def put(self, one: Delivery) -> Delivery:
        number = len(self.topics[DELIVERIES])
        at = one.event.origin[-1].at + 60
        self.topics[DELIVERIES].append(Record(DELIVERIES, number % 3, number, at, b"d", encode(one)))
        return one

    def ended(
        self,
        one: Delivery,
        outcome: Outcome,
        states: dict[str, Outcome] | None = None,
        attempts: tuple[Reason, ...] = (Reason.DELIVERED,),
        receiver: str | None = None,
    ) -> OutcomeRecord:
        at = _moment(self.now + 1)
        record = OutcomeRecord(
            one.id,
            one.event.id,
            one.event.source,
            one.event.subject,
            outcome,
            at,
            one.id,
            receiver or one.receiver,
            "c",
            tuple(Attempt(number, at, at, reason) for number, reason in enumerate(attempts, 1)),
            tuple(RecipientState(name, state) for name, state in (states or {}).items()),
            one.origin,
            one.config_version,
        )
        return self.publish(record)

    def stopped(self, event: Event, outcome: Outcome, origin: tuple[Position, ...]) -> None:
        """The end of an event that led to no delivery."""
        number, version = ended_id(event), self.version
        at = _moment(self.now + 1)
        self.publish(
            OutcomeRecord(
                number, event.id, event.source, event.subject, outcome, at, origin=origin, config_version=version
            )
        )

    def publish(self, record: OutcomeRecord) -> OutcomeRecord:
        number = len(self.topics[OUTCOMES])
        at = round(record.at.timestamp() * 1000)
        self.topics[OUTCOMES].append(Record(OUTCOMES, number % 3, number, at, b"", encode(record)))
        return record

    def noise(self) -> None:
        """What is about other people and other events: it must change nothing."""
        labels, self.labels = self.labels, {"for": "somebody else", "state": "raise"}
        subject, self.subject = self.subject, "noise"
        for number in range(20, 26):
            one = self.told(number, receiver="sink", recipients=("sink",))
            if number % 2:
                self.ended(one, Delivered(Evidence.VENDOR_ACCEPTED))
        self.labels, self.subject = labels, subject

    def inquiry(self, **more: Any) -> Inquiry:
        """Everything read, topic after topic."""
        asked = Asked(frozenset(self.asked), self.now - 60, self.now + 60, **more)
        times = sorted((at, version) for version, at in PUBLISHED.items())
        inquiry = Inquiry(asked, lambda at: [v for when, v in times if when <= at][-1], lambda v: router(v or 1))
        for record in self.topics[DELIVERIES]:
            inquiry.delivery(record)
        for record in self.topics[OUTCOMES]:
            inquiry.outcome(record)
        for record in self.topics[ENRICHED]:
            inquiry.enriched(record)
        for record in self.topics[EVENTS]:
            inquiry.event(record)
        return inquiry


def another() -> UUID:
    """The id of a delivery nobody knows."""
    return UUID(int=77)


def pace(wait: float = 0.0, interval: float = 0.0) -> dict[str, Any]:
    """What a delivery of a group has."""
    return {"batch": "0.9 L3", "pace": Pace(wait, interval)}


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(seconds=seconds)
