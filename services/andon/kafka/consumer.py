"""One member of a consumer group. Every method blocks and belongs to one thread, the poll thread of its service."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from andon.core.event import Home
from andon.kafka.codes import FENCED_MEMBER, FINAL, FORBIDDEN, PASSING, refusal
from andon.kafka.connection import Connection, made
from andon.kafka.errors import Aborted, KafkaFailure, NoEntry, OffsetsMissing, PartitionsChanged, SlotTaken, Unreachable
from andon.kafka.members import Members
from andon.kafka.records import Record, from_message
from andon.kafka.topics import group_of

log = logging.getLogger(__name__)

_ASK_S = 2.0
_PAUSE_S = 0.05
_WAIT_S = 15.0
_LEAVE_S = 2.0
# For so long, a session, a member that had to join again may still be told of what it sent before.
_SETTLED_S = 10.0
# A broker that has just started may not know its topics yet.
_UNKNOWN_S = 10.0
_SETTINGS: dict[str, object] = {
    "group.protocol": "classic",
    "partition.assignment.strategy": "cooperative-sticky",
    "session.timeout.ms": 10_000,
    # A member hears of a rebalance with its next heartbeat, and a cooperative one has two rounds: with the
    # usual 3 s, partitions that moved stood still for up to 6 s.
    "heartbeat.interval.ms": 1_000,
    # A partition without a committed offset stops the service: "earliest" would send everything again,
    # "latest" would lose everything.
    "auto.offset.reset": "error",
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "isolation.level": "read_committed",
    "fetch.queue.backoff.ms": 20,
    # librdkafka's prefetch is no queue cap; bound it in bytes, and what one answer brings of all partitions,
    # so that a backlog does not fill the memory.
    "queued.min.messages": 4_000,
    "queued.max.messages.kbytes": 8_192,
    "fetch.message.max.bytes": 1 << 20,
    "fetch.max.bytes": 4 << 20,
}


def homes(partitions: Iterable[TopicPartition]) -> list[Home]:
    return [Home(p.topic, p.partition) for p in partitions]


class GroupConsumer:
    """Reads one topic as the member `slot` of a service's group, by the rules of the design's section 6.

    `on_assign(homes)` may return start offsets (a desk seeks to its store's); `on_revoke(homes)` is called for
    partitions that leave in good order and for lost ones alike: nothing of theirs that was read before may be
    committed afterwards. Both run inside `poll`, so never between the two ends of a transaction, and must not raise.
    A member whose session ended, as it does when no broker answers for that long, joins again by itself. Our own
    cluster is waited for whatever it says; one of others is left, by NoEntry, once a broker refuses account or TLS, and
    when the right to read or the topic is gone, which of our own is a KafkaFailure.

    Raises KafkaFailure for a connection that no client can be made of: NoEntry where the cluster is one of others.
    """

    def __init__(
        self,
        connection: Connection,
        service: str,
        topic: str,
        slot: int,
        *,
        on_assign: Callable[[Sequence[Home]], Mapping[Home, int]] | None = None,
        on_revoke: Callable[[Sequence[Home]], None] | None = None,
        more: Mapping[str, object] | None = None,
    ) -> None:
        self.group = group_of(service)
        self.topic = topic
        self.slot = slot
        self.assigned: set[Home] = set()
        self._on_assign = on_assign
        self._on_revoke = on_revoke
        self._paused: set[Home] = set()
        self._gone: set[Home] = set()
        self._count: int | None = None
        self._connection = connection
        self._service = service
        self._instance = f"{service}-{slot}"
        self._formats = connection.formats
        self._unknown_since: float | None = None
        self._uncounted = False
        self._offered: Callable[[bool], None] | None = None
        self._refused = ""
        own: dict[str, object] = {
            "group.id": self.group,
            "client.id": f"{self.group}-{slot}",
            "group.instance.id": self._instance,
            "on_commit": self._answered,
        }
        if connection.foreign:
            own["error_cb"] = self._told_of
        self._settings = connection.client() | _SETTINGS | own | dict(more or {})
        self._consumer = self._joined()

    def _joined(self) -> Consumer:
        self._id: str | None = None
        self._renewed = -math.inf
        try:
            consumer = made(Consumer, self._settings)
        except KafkaFailure as failure:
            if self._connection.foreign:
                raise NoEntry(str(failure)) from None
            raise
        consumer.subscribe([self.topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked)
        return consumer

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        starts = self._on_assign(homes(partitions)) if self._on_assign else {}
        for partition in partitions:
            start = starts.get(Home(partition.topic, partition.partition))
            if start is not None:
                partition.offset = start
        consumer.incremental_assign(partitions)
        self.assigned.update(homes(partitions))
        # Said in either case: the library remembers of a partition that it was paused when it left.
        if self._paused:
            consumer.pause(partitions)
            self._paused.update(homes(partitions))
        else:
            consumer.resume(partitions)
        self._uncounted = True
        log.info("assigned", extra={"group": self.group, "partitions": [p.partition for p in partitions]})

    def _note_id(self) -> None:
        """After an assignment: a second id of one client means that its session had ended in between."""
        known = self._consumer.memberid() if self._uncounted else None
        if known and known != self._id:
            self._renewed = -math.inf if self._id is None else time.monotonic()
            self._id = known

    def _require_count(self) -> None:
        """Compares the number of partitions after an assignment with that of the first. Raises PartitionsChanged.

        Not in the callback: a blocking call of the library inside of one makes its next callback abort the process.
        """
        if not self._uncounted:
            return
        try:
            topic = self._consumer.list_topics(self.topic, timeout=_ASK_S).topics[self.topic]
        except KafkaException:
            return  # asked again at the next poll
        if topic.error is not None:
            return  # so too a broker that does not know it yet: to that one it has no partitions
        actual = len(topic.partitions)
        self._uncounted = False
        if self._count is None:
            self._count = actual
        elif actual != self._count:
            raise PartitionsChanged(self.topic, actual, self._count)

    def answered(self) -> bool:
        """Whether a broker answers now, and has the topic; blocks for up to 2 s."""
        try:
            topic = self._consumer.list_topics(self.topic, timeout=_ASK_S).topics[self.topic]
        except KafkaException:
            return False
        return topic.error is None

    def _revoked(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        # The library unassigns by itself afterwards. Asking it for anything here may fail while it is being closed.
        if self._on_revoke:
            self._on_revoke(homes(partitions))
        self.assigned.difference_update(homes(partitions))
        self._paused.difference_update(homes(partitions))
        self._gone.update(homes(partitions))
        log.info("revoked", extra={"group": self.group, "partitions": [p.partition for p in partitions]})

    def poll(self, most: int, wait_s: float) -> list[Record]:
        """At most `most` records; waits up to `wait_s` for the first and not at all for the others.

        Raises SlotTaken, OffsetsMissing, PartitionsChanged, NoEntry or KafkaFailure; passing trouble is waited out.
        """
        if self._refused:
            raise NoEntry(f"the Kafka at {self._connection.bootstrap} refuses {self._refused}")
        first = self._consume(1, wait_s)
        self._note_id()
        self._require_count()
        self._gone.clear()
        more = self._consume(most - 1, 0) if first and most > 1 else []
        self._require_topic()
        # A partition that left during the second call is another's now, or begins again at its committed offset.
        return [record for record in first if record.home not in self._gone] + more

    def _consume(self, most: int, wait_s: float) -> list[Record]:
        consumer = self._consumer
        try:
            got: list[Any] = consumer.consume(most, wait_s)
        except KafkaException as error:
            self._raise(error.args[0])
            return []
        records = []
        for message in got:
            problem = message.error()
            if problem is None:
                records.append(from_message(message, self._formats))
            else:
                self._raise(problem)
                if consumer is not self._consumer:
                    return []  # every partition has left with it
        return records

    def _told_of(self, error: KafkaError) -> None:
        self._refused = self._refused or refusal(error)

    def _raise(self, error: KafkaError) -> None:
        code = error.code()
        if code == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001 - the library's public constant
            self._require_count()  # a partition that was added has no offset either
            raise OffsetsMissing(
                f"the group {self.group} has no usable committed offset on {self.topic} ({error.str()}). Offsets of an "
                f"idle group expire, records are deleted in time; `andon topics offsets {self.group}` shows what is "
                "known and restores them"
            )
        if code in FENCED_MEMBER:
            self._join_again_or_leave()
            return
        if code in FORBIDDEN and self._connection.foreign:
            raise NoEntry(
                f"the Kafka at {self._connection.bootstrap} does not let the account read {self.topic} as {self.group} "
                f"({error.str()}); ask whoever runs it for the right to read with that group"
            )
        if error.fatal() or code in FINAL:
            raise KafkaFailure(f"{self.group} cannot go on: {error.str()}")
        if code == KafkaError.UNKNOWN_TOPIC_OR_PART and self._unknown_since is None:
            self._unknown_since = time.monotonic()
        log.warning("kafka", extra={"group": self.group, "problem": error.str()})

    def _join_again_or_leave(self) -> None:
        """After this member was fenced. Raises SlotTaken unless the end of its own session explains it.

        librdkafka 2.16 then gives up its member id, and until `poll` has served the loss it sends heartbeats and
        commits under none, which a broker answers as if the slot were taken. After a broker that stood still, which
        works off what was sent meanwhile, it was also seen under an id just got. Either ends the client for good.

        Two processes do not fence each other for long by this: who has joined again is not believed a second time.
        """
        own = self._id is not None and self._consumer.memberid() != self._id
        if not own and time.monotonic() - self._renewed > _SETTLED_S:
            raise SlotTaken(f"slot {self.slot} of {self.group} is in use by another process")
        log.warning("joining again", extra={"group": self.group, "problem": "its session ended"})
        self.close()
        answer, self._offered = self._offered, None
        if answer:
            answer(False)
        self._consumer = self._joined()

    def _require_topic(self) -> None:
        """Raises KafkaFailure when the topic was unknown and still is after a while: it is told only once."""
        if self._unknown_since is None or time.monotonic() - self._unknown_since < _UNKNOWN_S:
            return
        try:
            known = self._consumer.list_topics(timeout=_ASK_S).topics
        except KafkaException:
            return
        if self.topic not in known:
            if self._connection.foreign:
                raise NoEntry(
                    f"the Kafka at {self._connection.bootstrap} has no topic {self.topic}, or none that the account "
                    "may see; ask whoever runs it, or take the source out of the configuration"
                )
            raise KafkaFailure(f"the topic {self.topic} does not exist; `andon topics create` creates what is missing")
        self._unknown_since = None

    def metadata(self) -> object:
        """This member's standing in the group, to be taken right before a transaction begins.

        Raises Aborted when its session has ended, which `poll` will tell: offsets sent under no id would be fenced.
        """
        standing = self._consumer.consumer_group_metadata()
        if not self._consumer.memberid():  # asked last: it cannot get a new one before `poll` is called
            raise Aborted("the session of this member has ended")
        return standing

    def committed(self, wanted: Iterable[Home]) -> dict[Home, int]:
        """The group's committed offsets; a partition without one is left out. Raises Unreachable after 15 s."""
        return {home: offset for home, (offset, _) in self.noted(wanted).items()}

    def noted(self, wanted: Iterable[Home]) -> dict[Home, tuple[int, str]]:
        """As `committed`, each offset with its note."""
        asked = [TopicPartition(home.topic, home.partition) for home in wanted]
        deadline = time.monotonic() + _WAIT_S
        while True:
            try:
                # Offsets of a transaction that is not decided yet are not answered, but waited for.
                answered = self._consumer.committed(asked, timeout=_ASK_S) if asked else []
                refused = next((p.error for p in answered if p.error), None)
            except KafkaException as error:
                refused = error.args[0]
            if refused is None:
                return {Home(p.topic, p.partition): (p.offset, p.metadata or "") for p in answered if p.offset >= 0}
            if refused.code() not in PASSING:
                self._raise(refused)
            if time.monotonic() > deadline:
                raise Unreachable(f"the committed offsets of {self.group} cannot be read: {refused.str()}")
            time.sleep(_PAUSE_S)

    def commit(self, offsets: Mapping[Home, int]) -> None:
        """Commits offsets; trouble is logged, for a later commit mends it."""
        mine = self._committable(offsets, {})
        if mine:
            try:
                self._told([p.error for p in self._consumer.commit(offsets=mine, asynchronous=False) if p.error])
            except KafkaException as error:
                self._told([error.args[0]])

    def offer(self, offsets: Mapping[Home, int], notes: Mapping[Home, str], answer: Callable[[bool], None]) -> None:
        """Commits advisory offsets, each with its note, without waiting: `answer` is called, within a later `poll` at
        the earliest, with whether all of them are committed. One offer at a time.

        While the group is balanced, the broker lets a commit wait behind this member's own request to join, for as
        long as the slowest member takes to hear of it (a heartbeat). Who waited for it would read nothing meanwhile,
        of partitions that stay as little as of those that move.
        """
        mine = self._committable(offsets, notes)
        if len(mine) < len(offsets):
            return answer(False)
        self._offered = answer
        try:
            self._consumer.commit(offsets=mine, asynchronous=True)
        except KafkaException as error:
            self._answered(error.args[0], [])

    def _committable(self, offsets: Mapping[Home, int], notes: Mapping[Home, str]) -> list[TopicPartition]:
        """Those of partitions that are ours, and none unless a broker answers, for a commit waits until one does; nor
        under no id (see `_join_again_or_leave`)."""
        mine = [
            TopicPartition(h.topic, h.partition, o, notes.get(h, "")) for h, o in offsets.items() if h in self.assigned
        ]
        try:
            if mine:
                self._consumer.list_topics(self.topic, timeout=_ASK_S)
        except KafkaException as error:
            self._told([error.args[0]])
            return []
        return mine if self._consumer.memberid() else []

    def _answered(self, error: KafkaError | None, partitions: Sequence[TopicPartition]) -> None:
        """What became of an offer."""
        refused = [error] if error else [p.error for p in partitions if p.error]
        self._told(refused)
        answer, self._offered = self._offered, None
        if answer:
            answer(not refused)

    def _told(self, refused: Sequence[KafkaError]) -> None:
        if refused:
            log.warning("offsets not committed", extra={"group": self.group, "problem": refused[0].str()})

    def seek(self, offsets: Mapping[Home, int]) -> None:
        """Continues at these offsets; partitions that have left meanwhile are passed over. Raises Unreachable."""
        for home, offset in offsets.items():
            if home in self.assigned:
                try:
                    self._consumer.seek(TopicPartition(home.topic, home.partition, offset))
                except KafkaException as error:
                    problem = error.args[0].str()
                    raise Unreachable(f"{home.topic}-{home.partition} cannot be rewound now: {problem}") from None

    def rewind(self) -> None:
        """Continues every assigned partition at its committed offset. Raises OffsetsMissing or Unreachable."""
        known = self.committed(self.assigned)
        missing = sorted(self.assigned - known.keys())
        if missing:
            raise OffsetsMissing(
                f"the group {self.group} has no committed offset on {missing[0].topic}-{missing[0].partition}; "
                f"`andon topics offsets {self.group}` shows what is known and restores them"
            )
        self.seek(known)

    def pause(self, which: Iterable[Home]) -> None:
        """Stops fetching; membership is kept as long as `poll` is called."""
        new = set(which) & self.assigned - self._paused
        if new:
            self._consumer.pause([TopicPartition(h.topic, h.partition) for h in new])
            self._paused |= new

    def resume(self) -> None:
        """Fetches every paused partition again, at the exact next offset."""
        if self._paused:
            self._consumer.resume([TopicPartition(h.topic, h.partition) for h in self._paused])
            self._paused.clear()

    def close(self) -> None:
        """Ends the session. A static member keeps its place until its session times out."""
        try:
            self._consumer.close()
        except KafkaException as error:
            log.warning("not closed in order", extra={"group": self.group, "problem": error.args[0].str()})

    def leave(self) -> None:
        """Closes, and gives up this member's place where the group has others: they have its partitions within two
        heartbeats, where they would wait for it to start again, or for its session to end. Alone it keeps the place,
        for nobody could use what it gives up. For a process that was told to end, never for one that was fenced."""
        self.close()
        members = Members(self._connection, _LEAVE_S)
        try:
            if any(one.instance != self._instance for one in members.of(self._service)):
                members.remove(self._service, [self.slot])
        except KafkaFailure as error:
            log.info("its session will end by itself", extra={"group": self.group, "problem": str(error)})
