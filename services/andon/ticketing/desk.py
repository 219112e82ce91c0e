"""What the ticketing desk knows: episodes, and the commands their tickets need. The engine carries them out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from math import inf
from uuid import UUID

import msgspec

from andon.config.routing import EpisodeRule
from andon.core.digest import Digest, merged
from andon.core.event import Event, Home, accepted_at
from andon.core.failure import Rejected
from andon.core.ids import Namespace
from andon.core.matchers import Test, all_hold, compile_matchers
from andon.core.outcome import Outcome, Parked, RecipientState, Skipped, name_of
from andon.core.policy import OnAmbiguous, QueuePolicy
from andon.core.ports import Clock, Ticket, TicketSystem
from andon.core.reason import Reason
from andon.core.stored import Stored
from andon.core.ticket import EpisodeRecord
from andon.core.work import Item, Known, Note, Reach, memo_name
from andon.kafka.codecs import Json, encode
from andon.kafka.records import Record
from andon.kafka.topics import ACTIVE, ENRICHED, TICKETS
from andon.runtime.desk.work import Advance, Held, Success, Taken, Together, Told, fingerprint
from andon.runtime.dlq import dlq_copy, redrive_of
from andon.runtime.metrics import Metrics
from andon.ticketing.episode import (
    Close,
    Command,
    Comment,
    Episode,
    FaultState,
    Open,
    Reopen,
    TicketState,
    advance,
    applied,
    episode_key,
    redriven,
    ticket_key,
    time_of,
)
from andon.ticketing.records import records, ticket_record
from andon.ticketing.unfinished import Unfinished, unfinished_header, unfinished_of

_ids = Namespace(UUID("a3a4e1fb-09a4-5f0c-8a43-0f6f7a86d7d5"))
# Commands cannot be merged, so their queue has no cap of its own; `limits.backlog` bounds the desk.
_UNBOUNDED = 1 << 30


class Job(msgspec.Struct, frozen=True):
    """An item's body: what one event asks of an episode's ticket, in order."""

    system: str
    event: bytes
    commands: tuple[Command, ...]


class Rule(msgspec.Struct, frozen=True):
    """An episode rule, compiled."""

    tests: tuple[Test, ...]
    rule: EpisodeRule


class Systems(msgspec.Struct, frozen=True):
    """The episode rules and ticket systems of one configuration version; `domains` names each system's account,
    `parallel` the sources beside another path, whose faults begin no episode."""

    rules: tuple[Rule, ...]
    systems: Mapping[str, TicketSystem]
    domains: Mapping[str, str]
    parallel: frozenset[str] = frozenset()

    async def close(self) -> None:
        for system in self.systems.values():
            await system.close()


def compiled(episodes: Mapping[str, EpisodeRule]) -> tuple[Rule, ...]:
    """The rules in the order of the file. Raises MatcherError for what `check` would have refused."""
    return tuple(
        Rule(tuple(matcher.holds for matcher in compile_matchers(rule.matchers)), rule) for rule in episodes.values()
    )


class TicketWork:
    """The ticketing desk's part of the engine's `Work`. An episode is a memo of the home its subject lives in."""

    def __init__(self, systems: Systems, metrics: Metrics, clock: Clock) -> None:
        self.systems = systems
        self._metrics = metrics
        self._clock = clock
        self._events = Json(Event)
        self._stored = Stored(Event)
        self._jobs = Json(Job)
        self._memos = Json(Episode)
        # By the names of their memos.
        self._episodes: dict[Home, dict[str, Episode]] = {}

    def read(self, record: Record) -> Advance:
        event, left = self._events.decode(record.value), unfinished_of(record)
        found = self._fault(event)
        keys = {left.command.key} if left else set()
        if found is not None:
            keys.add(found[1])
        ids = tuple(_item_id(event, key) for key in keys)
        return Advance(ids, partial(self._take, record, event, left, found))

    def _take(
        self,
        record: Record,
        event: Event,
        left: Unfinished | None,
        found: tuple[EpisodeRule, str] | None,
        known: Mapping[UUID, Known],
    ) -> Taken:
        before = self._episodes.get(record.home, {}).get(memo_name(left.command.key)) if left else None
        if left and before:
            # A version before did not keep it: its episode has none, and so a command of it while its rule named none.
            system = left.system or (found and found[0].ticket_system) or ""
            return self._make_up(record, event, msgspec.structs.replace(left, system=system), before, known)
        if found is None:
            self._metrics.record("ticketing", "skipped", Reason.NO_EPISODE)
            return Taken()
        return self._advance(record, event, *found, known)

    def _make_up(
        self, record: Record, event: Event, left: Unfinished, before: Episode, known: Mapping[UUID, Known]
    ) -> Taken:
        """What is done for a command that is redriven. No rule is asked: its event was counted when it first came, and
        by now the rules may know nothing of its episode."""
        key = left.command.key
        if _stands_alone(left.command, before):
            return Taken(self._item(record, event, key, left.system, left.commands(event)))
        after, commands = redriven(before, event)
        if not commands or _repeats(record, event, key, known):
            return Taken()
        name = memo_name(key)
        self._episodes[record.home][name] = after
        return Taken(self._item(record, event, key, left.system, commands), (name,))

    def _advance(self, record: Record, event: Event, rule: EpisodeRule, key: str, known: Mapping[UUID, Known]) -> Taken:
        episodes = self._episodes.setdefault(record.home, {})
        name = memo_name(key)
        before = episodes.get(name)
        if event.source in self.systems.parallel and (before is None or before.state is not FaultState.RAISED):
            self._metrics.record("ticketing", "skipped", Reason.SILENCED)
            return Taken()
        after, commands = advance(before, event, key, system=rule.ticket_system or "")
        if before and redrive_of(record) and after.ticket_state is TicketState.FAILED:
            if _is_earlier(event, before):
                return Taken()
            # It was counted when it first came, which may be longer ago than the episode remembers.
            after = msgspec.structs.replace(after, raises=before.raises)
            if not _repeats(record, event, key, known):
                after, commands = redriven(after, event)
        if after == before:
            return Taken()
        system = after.system or rule.ticket_system or ""
        if _has_none(before, after):
            after, commands, system = msgspec.structs.replace(after, ticket_state=TicketState.NONE), (), ""
        episodes[name] = after
        notes = [
            note
            for one in records(before, after, event, system=system)
            for note in (
                Note(TICKETS, key.encode(), encode(one)),
                Note(ACTIVE, key.encode(), encode(one) if one.state == FaultState.RAISED else None),
            )
        ]
        item = self._item(record, event, key, system, commands) if commands else None
        return Taken(item, (name,), tuple(notes))

    def memo(self, home: Home, name: str) -> bytes:
        return encode(self._episodes[home][name])

    def _fault(self, event: Event) -> tuple[EpisodeRule, str] | None:
        for one in self.systems.rules:
            if all_hold(one.tests, event):
                key = episode_key(one.rule, event)
                return (one.rule, key) if key is not None else None
        return None

    def _item(self, record: Record, event: Event, key: str, system: str, commands: tuple[Command, ...]) -> Item:
        return Item(
            id=_item_id(event, key),
            home=record.home,
            offset=record.offset,
            queue=system,
            domain=self.systems.domains.get(system, system),
            lane=key,
            content=fingerprint(event),
            born=accepted_at(event),
            body=encode(Job(system, record.value, commands)),
        )

    def policy(self, queue: str) -> QueuePolicy:
        # A ticket is found by its key before it is made, so a command may be repeated.
        return QueuePolicy(channel=queue, in_flight=1, cap=_UNBOUNDED, on_ambiguous=OnAmbiguous.RESEND_KEYED)

    def looks_back(self) -> float:
        return 0.0  # no ticket system has a limit of its own

    def looks_back_on_people(self) -> float:
        return 0.0

    def reach(self, item: Item) -> Reach:
        return Reach(item.queue, ())

    def turn(self, item: Item, behind: Sequence[Item], now: float) -> float | Held | Skipped:
        """Commands have no groups."""
        return now

    def speaks(self, item: Item, now: float) -> Mapping[str, bytes]:
        return {}

    def gathers(self, item: Item, now: float) -> Mapping[str, bytes]:
        return {}

    def equals(self, item: Item) -> Sequence[UUID]:
        return ()

    def together(self, item: Item, others: Sequence[Item], now: float) -> Together:
        return Together((), b"")

    def patience(self, item: Item) -> float:
        return inf

    def stormed(self, item: Item) -> bool:
        return False

    def keep(self, home: Home, memos: Mapping[str, bytes], now: float) -> None:
        kept = [(name, self._memos.decode(body)) for name, body in memos.items()]
        # One of a long key may have been kept under the whole of it by an earlier version: what came since stands last.
        kept.sort(key=lambda one: one[0] == memo_name(one[1].key))
        self._episodes[home] = {memo_name(episode.key): episode for _, episode in kept}

    def digest(self, item: Item) -> Digest:
        return merged(None, self._stored.decode(self._jobs.decode(item.body).event))

    def closed(self, item: Item, outcome: Outcome, recipients: Sequence[RecipientState], now: float) -> Told:
        self._metrics.record("ticketing", name_of(outcome), outcome.reason)
        if not isinstance(outcome, Parked):
            return Told()
        job = self._jobs.decode(item.body)
        episode = self._episodes.get(item.home, {}).get(memo_name(item.lane))
        told = _given_up(job, episode, _moment(now), outcome.detail or outcome.reason)
        notes = [Note(TICKETS, item.lane.encode(), encode(one)) for one in told if one]
        key = self._stored.decode(job.event).subject.encode()
        more = unfinished_header(job.system, job.commands)
        notes.append(dlq_copy(ENRICHED, *item.record, key, job.event, outcome, item.redrive, more))
        if episode is None:
            return Told(tuple(notes))
        for command in job.commands:
            episode = applied(episode, command, None, failed=True)
        return Told(tuple(notes), self._remember(item, episode))

    async def call(self, item: Item, line: int, deadline: float) -> Success:
        job = self._jobs.decode(item.body)
        system = self.systems.systems.get(job.system)
        if system is None:
            raise Rejected(Reason.UNKNOWN_CHANNEL, _missing(job.system))
        name = memo_name(item.lane)
        episode = self._episodes[item.home][name]
        notes: list[Note] = []
        for command in job.commands:
            ticket = await _carry_out(system, command, ends=isinstance(job.commands[-1], Close))
            # The episode may have moved on while the call was under way: what was done is applied to what it is now.
            episode = applied(self._episodes[item.home][name], command, ticket, failed=False)
            self._episodes[item.home][name] = episode
            told = ticket_record(command, ticket, _moment(self._clock.now()), system=job.system)
            if told:
                notes.append(Note(TICKETS, item.lane.encode(), encode(told)))
        return Success(memos=self._remember(item, episode), notes=tuple(notes))

    def _remember(self, item: Item, episode: Episode) -> Mapping[str, bytes]:
        name = memo_name(item.lane)
        self._episodes[item.home][name] = episode
        return {name: encode(episode)}


def _item_id(event: Event, key: str) -> UUID:
    """The same for every repeat of the event, whatever it asks for."""
    return _ids.id(f"{event.source}\n{event.id}\n{key}")


def _repeats(record: Record, event: Event, key: str, known: Mapping[UUID, Known]) -> bool:
    """Whether an item of this record is not taken in, as for one of a parked copy that was redriven before."""
    before = known.get(_item_id(event, key))
    return before is not None and before.repeated_by(fingerprint(event), redrive_of(record))


def _is_earlier(event: Event, newest: Episode) -> bool:
    """Whether the event is of an episode before this one: what the ticket of this one needs is left to its own event,
    which it then tells."""
    return newest.raised_at is not None and time_of(event) < newest.raised_at


def _stands_alone(command: Close | Comment, newest: Episode) -> bool:
    """Whether a command that is redriven is to be done as it was: to the ticket of an earlier episode; and a comment
    unless its ticket failed. What a failed ticket needs depends on what became of its episode."""
    if newest.number != command.number:
        return True
    return isinstance(command, Comment) and newest.ticket_state is not TicketState.FAILED


def _has_none(before: Episode | None, after: Episode) -> bool:
    """Whether the episode has no ticket, as its rule had no ticket system when it began."""
    if before is not None and before.number == after.number:
        return before.ticket_state is TicketState.NONE
    return not after.system


def _given_up(job: Job, episode: Episode | None, at: datetime, detail: str) -> Iterator[EpisodeRecord | None]:
    """What is told of a job that was given up: if it was to open a ticket first and that is there, then only the rest
    failed."""
    opening, *rest = job.commands
    if rest and episode and episode.ticket and episode.number == opening.number:
        ticket = Ticket(episode.ticket, "", episode.ticket_link)
        yield ticket_record(opening, ticket, at, system=job.system)
    else:
        rest = list(job.commands)
    for command in rest:
        yield ticket_record(command, None, at, failed=True, system=job.system, detail=detail)


def _missing(system: str) -> str:
    named = f"ticket system {system}, where this fault began" if system else "ticket system for a fault of this rule"
    return f"the configuration has no {named}: put it back, then redrive; or close the ticket by hand"


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


async def _carry_out(system: TicketSystem, command: Command, *, ends: bool) -> Ticket | None:
    """Does to the tracker what the command says. Safe to repeat: tickets are found by their key. `ends` says that the
    ticket is to be closed in the end.

    Never by the number they had when they were opened: another tracker may be reached under the same name by now, and
    there it is a stranger's; and of two tickets made for one key at the same moment ours may have been given up.
    """
    key = ticket_key(command)
    if isinstance(command, Open):
        ticket = await system.open(key, command.title, command.text, command.severity)
        # Closed by a person meanwhile, or one of before the stores were begun anew: the fault is on.
        return await system.reopen(ticket.id, command.text) if ticket.closed and not ends else ticket
    found = await system.find(key)
    if found is None:
        raise Rejected(Reason.GONE, f"the tracker has no ticket for {key}")
    return await _change(system, found.id, command)


async def _change(system: TicketSystem, ticket: str, command: Close | Reopen | Comment) -> Ticket | None:
    match command:
        case Close():
            return await system.move(ticket, "closed", command.text)
        case Reopen():
            return await system.reopen(ticket, command.text)
        case Comment():
            await system.comment(ticket, command.text)
            return None
