"""Inhibition: what is not told while its cause is known, in Alertmanager's sense (`inhibit_rules`).

The causes are the episodes open now, as the ticketing desk publishes them in `andon.active`. What a rule holds back
waits in its receiver's queue; when the cause ends it is told, and when it ends itself before, nobody has to hear of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from andon.config.routing import InhibitRule
from andon.core.delivery import Delivery
from andon.core.event import CLEAR, STATE, Event
from andon.core.matchers import Test, all_hold, compile_matchers
from andon.core.outcome import Outcome, Skipped
from andon.core.paths import ATTRIBUTES, Text, compile_key, is_path
from andon.core.reason import Reason
from andon.core.ticket import EpisodeRecord
from andon.egress.groups import subject_of
from andon.kafka.codecs import Json, Undecodable
from andon.runtime.desk.work import Held

_AGAIN_S = 1.0
_REMEMBERED = 1_000  # changes of causes; who was away for more reads all of them again
_PATIENCE_S = 30.0
_NO_TIME = datetime.fromtimestamp(0, UTC)
_NONE: Mapping[str, bool] = {}


class Causes:
    """The episodes that are open now, by their key, as far as `andon.active` has been read. `known` once that was read
    to its end. Written by one thread and read by another, which asks for what has changed."""

    def __init__(self) -> None:
        self.known = False
        self.open: dict[str, Event] = {}
        self._changed: deque[tuple[int, str]] = deque(maxlen=_REMEMBERED)
        self._count = 0
        self._codec = Json(EpisodeRecord)

    def take(self, key: bytes | None, value: bytes) -> None:
        """Takes in a record of the topic. What cannot be read is passed over: it inhibits nothing."""
        episode = (key or b"").decode(errors="replace")
        self.open.pop(episode, None)
        try:
            if value:
                self.open[episode] = _event_of(self._codec.decode(value))
        except Undecodable:
            pass
        # Counted last: who reads too early looks at the same episode once more.
        self._changed.append((self._count + 1, episode))
        self._count += 1

    def changed(self, since: int) -> tuple[int, Collection[str] | None]:
        """How many changes there were, and whose since the first so many; None when those are not remembered."""
        count = self._count
        if count == since:
            return count, ()
        if count - since > _REMEMBERED:
            return count, None
        return count, [episode for number, episode in list(self._changed) if number > since]


_Place = tuple[str, str | None]
"""A rule's name, and the values that its causes and their effects have in common."""


class _Rule(msgspec.Struct, frozen=True):
    name: str
    sources: tuple[Test, ...]
    targets: tuple[Test, ...]
    equal: Text


class Inhibition:
    """The rules of one configuration version, and the causes by what has to be equal: a storm of causes makes none of
    its events slower. Raises MatcherError and PathError for what `check` would have refused."""

    def __init__(self, rules: Sequence[InhibitRule]) -> None:
        self._rules = tuple(
            _Rule(
                f"inhibit_rules[{number}]",
                tuple(one.holds for one in compile_matchers(rule.source_matchers)),
                tuple(one.holds for one in compile_matchers(rule.target_matchers)),
                compile_key(tuple(map(_of_label, rule.equal)), missing=""),
            )
            for number, rule in enumerate(rules)
        )
        self._causes: Causes | None = None
        self._seen = 0
        self._places: dict[str, list[_Place]] = {}
        self._index: dict[_Place, dict[str, bool]] = {}

    def __bool__(self) -> bool:
        return bool(self._rules)

    def concerns(self, event: Event) -> bool:
        """Whether the event, or what it is the end of, may ever be held back: an end may lack the labels its beginning
        had."""
        if event.labels.get(STATE) == CLEAR:
            return bool(self._rules)
        return any(all_hold(rule.targets, event) for rule in self._rules)

    def by(self, delivery: Delivery, causes: Causes) -> str | None:
        """The rule and the cause that hold the delivery back now, if any do. Nothing holds back what is urgent or over,
        and no cause itself."""
        if _goes_by(delivery):
            return None
        self._learn(causes)
        for rule in self._rules:
            if not all_hold(rule.targets, delivery.event):
                continue
            # As in Alertmanager: two that are both cause and effect of one rule do not hold each other back.
            is_cause = all_hold(rule.sources, delivery.event)
            for episode, is_effect in self._index.get((rule.name, rule.equal(delivery.event)), _NONE).items():
                if episode != delivery.episode and not (is_cause and is_effect):
                    return f"{rule.name} {episode}"
        return None

    def _learn(self, causes: Causes) -> None:
        """Brings the index up to date."""
        if causes is not self._causes:
            self._causes, self._seen = causes, -1 - _REMEMBERED
        self._seen, changed = causes.changed(self._seen)
        if changed is None:
            self._places.clear()
            self._index.clear()
            changed = list(causes.open)
        for episode in changed:
            self._forget(episode)
            if (cause := causes.open.get(episode)) is not None:
                self._enter(episode, cause)

    def _enter(self, episode: str, cause: Event) -> None:
        for rule in self._rules:
            if all_hold(rule.sources, cause):
                place = (rule.name, rule.equal(cause))
                self._index.setdefault(place, {})[episode] = all_hold(rule.targets, cause)
                self._places.setdefault(episode, []).append(place)

    def _forget(self, episode: str) -> None:
        for place in self._places.pop(episode, ()):
            same = self._index[place]
            del same[episode]
            if not same:
                del self._index[place]


def _goes_by(delivery: Delivery) -> bool:
    """Whether nothing ever holds it back."""
    return delivery.urgent or delivery.event.labels.get(STATE) == CLEAR


def _of_label(name: str) -> str:
    """A label, and not the entry of `data` of that name in its place: of a cause only labels are known."""
    return name if name in ATTRIBUTES or is_path(name) else f"labels.{name}"


class HeldBack:
    """Asks the rules in force, and remembers whose end nobody has to hear of. `rules` gives those in force."""

    def __init__(self, rules: Callable[[], Inhibition], causes: Causes) -> None:
        self._rules = rules
        self._causes = causes
        self._began: float | None = None
        self._end_of: dict[UUID, UUID] = {}
        self._needless: dict[UUID, str] = {}

    def concerns(self, event: Event) -> bool:
        """Whether deliveries of the event are to be asked about at their turn."""
        return self._rules().concerns(event)

    def turn(
        self, delivery: Delivery, followers: Iterable[tuple[UUID, Event]], now: float, *, told: Callable[[], bool]
    ) -> Held | Skipped | None:
        """That a delivery is held back, or has ended while it was; None when nothing holds it.

        `followers` are the events behind it of the same subject, with the ids of their deliveries. The end is told all
        the same when something of the subject had been `told` before.
        """
        if by := self._needless.get(delivery.id):
            return Skipped(Reason.INHIBITED, by)
        rules = self._rules()
        if _goes_by(delivery) or not rules.concerns(delivery.event):
            return None
        by = rules.by(delivery, self._causes)
        if by is None:
            return None if self._known(now) else Held(now + _AGAIN_S)
        subject = subject_of(delivery.event)
        for which, event in followers:
            if event.labels.get(STATE) == CLEAR and subject_of(event) == subject:
                if not told():
                    self._end_of[delivery.id] = which
                return Skipped(Reason.INHIBITED, by)
        return Held(now + _AGAIN_S)

    def ended(self, which: UUID, outcome: Outcome) -> None:
        """A delivery ended. Only now is the end of its fault needless: what was to be skipped at its turn is told all
        the same when something else leaves before, and its cause is over meanwhile."""
        self._needless.pop(which, None)
        end = self._end_of.pop(which, None)
        if end is not None and isinstance(outcome, Skipped) and outcome.reason is Reason.INHIBITED:
            self._needless[end] = outcome.by

    def _known(self, now: float) -> bool:
        """Whether the causes are known; without Kafka nothing is held back for their sake for long."""
        if self._began is None:
            self._began = now
        return self._causes.known or now > self._began + _PATIENCE_S


def _event_of(record: EpisodeRecord) -> Event:
    """The cause as rules see it: type, subject, source and labels of the event that raised it."""
    return Event(record.event, record.source, record.type, record.subject, _NO_TIME, {}, record.labels)
