"""Inhibition: what is not told while its cause is known, in Alertmanager's sense (`inhibit_rules`).

The causes are the episodes open now, as the ticketing desk publishes them in `andon.active`. What a rule holds back
waits in its receiver's queue; when the cause ends it is told, and when it ends itself before, nobody has to hear of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from andon.config.settings import InhibitRule
from andon.core.delivery import Delivery
from andon.core.event import CLEAR, STATE, Event
from andon.core.matchers import Test, all_hold, compile_matchers
from andon.core.outcome import Skipped
from andon.core.paths import Text, compile_key
from andon.core.reason import Reason
from andon.core.ticket import EpisodeRecord
from andon.egress.groups import subject_of
from andon.kafka.codecs import Json, Undecodable
from andon.runtime.desk.work import Held

_AGAIN_S = 1.0
_PATIENCE_S = 30.0
_NO_TIME = datetime.fromtimestamp(0, UTC)


class Causes:
    """The episodes that are open now, by their key, as far as `andon.active` has been read. `known` once that was read
    to its end. Written by one thread and read by another: what is written replaces the whole."""

    def __init__(self) -> None:
        self.known = False
        self.open: dict[str, Event] = {}
        self._codec = Json(EpisodeRecord)

    def take(self, key: bytes | None, value: bytes) -> None:
        """Takes in a record of the topic. What cannot be read is passed over: it inhibits nothing."""
        episode = (key or b"").decode(errors="replace")
        rest = {name: cause for name, cause in self.open.items() if name != episode}
        try:
            if value:
                rest[episode] = _event_of(self._codec.decode(value))
        except Undecodable:
            pass
        self.open = rest


class _Rule(msgspec.Struct, frozen=True):
    name: str
    sources: tuple[Test, ...]
    targets: tuple[Test, ...]
    equal: Text


class Inhibition:
    """The rules of one configuration version. Raises MatcherError and PathError for what `check` would have refused."""

    def __init__(self, rules: Sequence[InhibitRule]) -> None:
        self._rules = tuple(
            _Rule(
                f"inhibit_rules[{number}]",
                tuple(one.holds for one in compile_matchers(rule.source_matchers)),
                tuple(one.holds for one in compile_matchers(rule.target_matchers)),
                compile_key(rule.equal, missing=""),
            )
            for number, rule in enumerate(rules)
        )

    def __bool__(self) -> bool:
        return bool(self._rules)

    def concerns(self, event: Event) -> bool:
        """Whether the event, or what it is the end of, may ever be held back."""
        return any(all_hold(rule.targets, event) for rule in self._rules)

    def by(self, delivery: Delivery, causes: Causes) -> str | None:
        """The rule and the cause that hold the delivery back now, if any do. No cause holds itself back."""
        event = delivery.event
        for rule in self._rules:
            if not all_hold(rule.targets, event):
                continue
            equal = rule.equal(event)
            for episode, cause in causes.open.items():
                if episode == delivery.episode or not all_hold(rule.sources, cause):
                    continue
                if rule.equal(cause) == equal:
                    return f"{rule.name} {episode}"
        return None


class HeldBack:
    """Asks the rules in force, and remembers whose end nobody has to hear of. `rules` gives those in force."""

    def __init__(self, rules: Callable[[], Inhibition], causes: Causes) -> None:
        self._rules = rules
        self._causes = causes
        self._began: float | None = None
        self._needless: dict[UUID, str] = {}

    def concerns(self, event: Event) -> bool:
        """Whether deliveries of the event are to be asked about at their turn."""
        return bool(self._rules()) and self._rules().concerns(event)

    def turn(self, delivery: Delivery, followers: Iterable[tuple[UUID, Event]], now: float) -> Held | Skipped | None:
        """That a delivery is held back, or has ended while it was; None when nothing holds it.

        `followers` are the events behind it of the same subject, with the ids of their deliveries.
        """
        if by := self._needless.pop(delivery.id, None):
            return Skipped(Reason.INHIBITED, by)
        rules = self._rules()
        ends = delivery.event.labels.get(STATE) == CLEAR
        if ends or not rules or not rules.concerns(delivery.event):
            return None
        by = rules.by(delivery, self._causes)
        if by is None:
            return None if self._known(now) else Held(now + _AGAIN_S)
        subject = subject_of(delivery.event)
        for which, event in followers:
            if event.labels.get(STATE) == CLEAR and subject_of(event) == subject:
                self._needless[which] = by
                return Skipped(Reason.INHIBITED, by)
        return Held(now + _AGAIN_S)

    def _known(self, now: float) -> bool:
        """Whether the causes are known; without Kafka nothing is held back for their sake for long."""
        if self._began is None:
            self._began = now
        return self._causes.known or now > self._began + _PATIENCE_S


def _event_of(record: EpisodeRecord) -> Event:
    """The cause as rules see it: type, subject, source and labels of the event that raised it."""
    return Event(record.event, record.source, record.type, record.subject, _NO_TIME, {}, record.labels)
