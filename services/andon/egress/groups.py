"""Groups of a route, in Alertmanager's sense: when the next notice of one may leave, and what it has told already.

Routing says which group a delivery is of, and the pace it keeps; here is when it last spoke, and which state of which
subject it told. Both are memos of the desk, so that a restart or a new owner repeats nothing and waits no longer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import blake2b

import msgspec

from andon.core.delivery import Delivery
from andon.core.event import CLEAR, SEVERITY, STATE, Event, Home
from andon.core.outcome import Delivered, Merged, Outcome, Parked, Skipped
from andon.core.policy import Pace
from andon.core.reason import Reason
from andon.core.work import Item
from andon.egress.kept import Kept, Memos
from andon.egress.storm import is_storm

_OF = ":"
_UNPACED = Pace()
# Longer than anybody would keep a state untold.
_LONGEST_S = 366 * 86_400.0
# For so long a subject that was told of beside its group is remembered, if its pace asks for no longer: of an end, for
# each subject may have one, and of what a hold's digest said.
_ENDED_S = 86_400.0
_HELD_S = 31 * 86_400.0
_BEFORE_S = 0.001
# Of one group, which is read and written whole: subjects may be order numbers, and each is another one.
_MOST_TOLD = 1_000
# Faults of one subject that are open at one time.
_MOST_BEGAN = 20


class Group(msgspec.Struct, omit_defaults=True):
    """One group of one receiver. `told` has the last state told of each subject, and when, the latest last, of a
    thousand subjects at most; those in `joined` were part of a notice that told of several. `over` is when nothing of
    it matters any more. `domain` is where its deliveries are found. Under the name of a receiver, or of an account,
    alone stands when its last notice of several `failed`; under that of a subject of a receiver, when a clear or the
    digest of a hold `spoke` of it, and as what and when faults of it `began` since, by their labels."""

    domain: str
    spoke: float = 0.0
    over: float = 0.0
    told: dict[str, tuple[str, float]] = {}
    joined: set[str] = set()
    failed: float = 0.0
    began: dict[str, tuple[str, float]] = {}

    def done_by(self, now: float) -> bool:
        latest = max((at for _, at in (*self.told.values(), *self.began.values())), default=0.0)
        if max(self.spoke, self.failed, latest) <= now:
            return False
        self.spoke, self.failed = min(self.spoke, now), min(self.failed, now)
        # Which of two came first is not known any more: an end that may have come later than what was told did.
        self.told = {
            subject: (state, at if at <= now else now - _BEFORE_S) for subject, (state, at) in self.told.items()
        }
        self.began = {labels: (state, min(at, now)) for labels, (state, at) in self.began.items()}
        return True


class Groups:
    """The groups of the homes a desk owns. Methods that change one return the memos that keep it."""

    def __init__(self) -> None:
        self._kept = Kept(Group)

    def keep(self, home: Home, memos: Mapping[str, bytes], now: float) -> None:
        """The memos of a home this process takes over now; those that are of no group are passed over."""
        self._kept.keep(home, {name: body for name, body in memos.items() if not is_storm(name)}, now)

    def memo(self, home: Home, name: str) -> bytes:
        """A memo as it stands now."""
        return self._kept.memo(home, name)

    def waits(self, item: Item, pace: Pace | None) -> float:
        """When the item may leave: `wait` after the first event of a group that has been silent, otherwise one
        `interval` after the group spoke last."""
        pace, group = pace or _UNPACED, self._kept.get(item.home, _name(item))
        if group is not None and group.spoke + pace.interval > item.born:
            return group.spoke + pace.interval
        return item.born + pace.wait

    def untold(self, item: Item, delivery: Delivery, now: float) -> Skipped | None:
        """Why the item says nothing new: the group told this state of this subject less than `repeat` ago, and nothing
        else of its receiver told of an end of it since, or what a hold had kept back, or of what it is the end of."""
        state, repeat = _state(delivery), delivery.pace.repeat if delivery.pace else 0.0
        group = self._kept.get(item.home, _name(item))
        if state is None or group is None:
            return None
        name = subject_of(delivery.event)
        told, at = group.told.get(name, ("", 0.0))
        if told != state or at + repeat <= now or (name in group.joined and at <= self._failed(item)):
            return None
        beside = self._kept.get(item.home, _subject(item, delivery.event))
        if beside is not None and (at < beside.spoke or _changed(beside, delivery.event, state, at)):
            return None
        return Skipped(Reason.REPEATED, f"{delivery.route} repeat_interval")

    def told_of(self, item: Item, event: Event) -> bool:
        """Whether the group told that something of the subject began, and of no end since."""
        group, ended = self._kept.get(item.home, _name(item)), _short(event.subject) + _OF
        told = group.told.items() if group else ()
        return any(name.startswith(ended) and not state.startswith(CLEAR) for name, (state, _) in told)

    def speaks(self, item: Item, delivery: Delivery, now: float) -> Memos:
        """The first call of an item begins."""
        group = self._group(item)
        group.spoke = now
        return self._as_it_stands(item, group, delivery, now)

    def gathers(self, item: Item, delivery: Delivery, now: float) -> Memos:
        """Others become part of the item. What it says counts as told before what they say, for that is newer."""
        return self._tells(item, delivery, now, joined=True)

    def closed(self, item: Item, delivery: Delivery, outcome: Outcome, now: float) -> Memos:
        """An item ended. What a merged one says counts as told, and so does an end of which its receiver does not hear;
        when a notice could not be delivered, nothing that the group told does, so that it is told again."""
        known = isinstance(outcome, Delivered | Merged) or outcome.reason is Reason.RESOLVED
        if known and item.carried is None:
            return self._tells(item, delivery, now, joined=isinstance(outcome, Merged))
        if not isinstance(outcome, Parked) or delivery.held:
            return {}
        group = self._group(item)
        group.told = {}
        return self._as_it_stands(item, group, delivery, now)

    def failed(self, item: Item, now: float, *, coalesced: bool) -> Memos:
        """A notice that told of several could not be delivered. Of which ones is not remembered, they may be thousands:
        what was part of any such notice counts as untold, in all groups of the receiver. Only a `coalesced` call tells
        other receivers' people too; then it goes for the whole account."""
        last = Group(item.domain, over=now + _LONGEST_S, failed=now)
        return self._kept.put(item.home, item.domain if coalesced else _receiver(item), last, now)

    def _failed(self, item: Item) -> float:
        found = (self._kept.get(item.home, name) for name in (_receiver(item), item.domain))
        return max((one.failed for one in found if one), default=0.0)

    def _tells(self, item: Item, delivery: Delivery, now: float, *, joined: bool) -> Memos:
        """People hear what the item says. An end may come by another group than its beginning did, and what is held is
        in none."""
        event, pace = delivery.event, delivery.pace or _UNPACED
        if delivery.held:
            return self._spoke_of(item, event, now, _HELD_S) if STATE in event.labels else {}
        state = _state(delivery)
        if state is None:
            return {}
        group = self._group(item)
        self._told(group, event, state, now, joined=joined)
        memos, lasts = self._as_it_stands(item, group, delivery, now), max(pace.repeat, _ENDED_S)
        if event.labels[STATE] == CLEAR:
            return memos | self._spoke_of(item, event, now, lasts)
        return memos | self._began(item, event, state, now, lasts)

    def _began(self, item: Item, event: Event, state: str, now: float, lasts: float) -> Memos:
        """Where an end of the subject was told, that is news when it comes again, also by another group than this or
        with fewer labels."""
        beside = self._kept.get(item.home, _subject(item, event))
        if beside is None:
            return {}
        labels = _joined(_labels(event))
        beside.began.pop(labels, None)
        beside.began[labels] = (state, now)
        while len(beside.began) > _MOST_BEGAN:
            del beside.began[next(iter(beside.began))]
        beside.over = max(beside.over, now + lasts)
        return self._kept.put(item.home, _subject(item, event), beside, now)

    def _spoke_of(self, item: Item, event: Event, now: float, lasts: float) -> Memos:
        return self._kept.put(item.home, _subject(item, event), Group(item.domain, now, now + lasts), now)

    @staticmethod
    def _told(group: Group, event: Event, state: str, now: float, *, joined: bool) -> None:
        name = subject_of(event)
        if event.labels[STATE] == CLEAR:
            # An end may come with other labels than its beginning had. What began there is news when it comes again.
            ended = name.partition(_OF)[0] + _OF
            group.told = {other: told for other, told in group.told.items() if not other.startswith(ended)}
        group.told.pop(name, None)
        group.told[name] = (state, now)
        while len(group.told) > _MOST_TOLD:
            del group.told[next(iter(group.told))]
        group.joined = group.joined | {name} if joined else group.joined - {name}

    def _group(self, item: Item) -> Group:
        return self._kept.get(item.home, _name(item)) or Group(item.domain)

    def _as_it_stands(self, item: Item, group: Group, delivery: Delivery, now: float) -> Memos:
        pace = delivery.pace or _UNPACED
        group.told = {subject: (state, at) for subject, (state, at) in group.told.items() if at + pace.repeat > now}
        group.joined = group.joined & group.told.keys()
        latest = max((at for _, at in group.told.values()), default=0.0)
        group.over = max(group.spoke + pace.interval, latest + pace.repeat)
        return self._kept.put(item.home, _name(item), group, now)


def _name(item: Item) -> str:
    return f"{item.queue}\n{item.flock}"


def _receiver(item: Item) -> str:
    """A name that no group has, which begins with its receiver's, and no account."""
    return f"\n{item.queue}"


def _subject(item: Item, event: Event) -> str:
    """The name of the event's subject for its receiver, which no group and no receiver has."""
    return f"{_receiver(item)}\n{_short(event.subject)}"


def _labels(event: Event) -> frozenset[str]:
    """Short names of its labels, without state and severity."""
    return frozenset(_short(one) for one in event.labels.items() if one[0] not in (STATE, SEVERITY))


def _joined(labels: Iterable[str]) -> str:
    return _OF.join(sorted(labels))


def _changed(beside: Group, event: Event, state: str, at: float) -> bool:
    """Whether since `at`, when a group told this state, something began that the event is the end of. Of what it is no
    end of, whether its end was told at that very moment, for one digest may tell of both, and it not as this state
    since."""
    labels = _labels(event)
    if event.labels[STATE] == CLEAR:
        return any(at <= when and labels.issubset(of.split(_OF)) for of, (_, when) in beside.began.items())
    return at == beside.spoke and beside.began.get(_joined(labels), ("", 0.0))[0] != state


def _state(delivery: Delivery) -> str | None:
    """State and severity, as the delivery tells them; None when it tells no state, or its route repeats everything."""
    labels = delivery.event.labels
    if STATE not in labels or not (delivery.pace and delivery.pace.repeat):
        return None
    return f"{labels[STATE]} {labels.get(SEVERITY, '')}"


def subject_of(event: Event) -> str:
    """A short name of what has a state: the subject with all labels but state and severity, as an alert is known. The
    type is no part of it, for that often differs between a beginning and its end."""
    labels = sorted((name, value) for name, value in event.labels.items() if name not in (STATE, SEVERITY))
    return f"{_short(event.subject)}{_OF}{_short(labels)}"


def _short(value: object) -> str:
    return blake2b(msgspec.json.encode(value), digest_size=8).hexdigest()
