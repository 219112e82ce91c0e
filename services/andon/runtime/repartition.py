"""More partitions for the topics of a system that stands still. Blocking.

Nothing runs meanwhile: services leave when they see it announced, and do not start before it is done. What was accepted
has passed all stages before, so no two records of one subject are under way in two places; what the desks still have
open moves with its keys (`store.moved`). Whatever interrupts it, the same command goes on where it was, or,
while no topic has grown, takes the announcement back when it cannot: topics only ever grow to the announced count, a
desk's store is changed in one transaction, and the record of the new count, which lets services start, is written last.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial

import msgspec

from andon.core.event import Home
from andon.kafka.admin import Cluster
from andon.kafka.connection import Connection
from andon.kafka.errors import Aborted, KafkaFailure
from andon.kafka.members import Members
from andon.kafka.partitioner import partition_of
from andon.kafka.records import Outgoing
from andon.kafka.scan import Scan
from andon.kafka.topics import CONFIG, EVENTS, GROWING, READERS
from andon.kafka.transactions import TransactionalProducer
from andon.runtime.follower import TOPICS_KEY, Recorded, read_board
from andon.store import moved
from andon.store.database import Database

MOST = 10_000
_SESSION_S = 15.0
_AGAIN_S = 0.5
_LEAVE_S = 5.0


class Refused(Exception):  # noqa: N818 - a state of the system, told to a person
    """It cannot be done now; nothing was changed."""

    exit_code = 1


class Desk(msgspec.Struct, frozen=True):
    """A desk's store, which nobody else has open, and how its work is found by key."""

    store: Database
    keys: moved.Keys


class Repartition:
    """One repartition to `count` partitions. `services` are those that run here (`READERS`), `desks` the stores of
    those that have one."""

    def __init__(self, link: Connection, count: int, services: Sequence[str], desks: Mapping[str, Desk]) -> None:
        self._link = link
        self._count = count
        self._services = services
        self._desks = desks
        self._cluster = Cluster(link)
        self._recorded = _recorded(link)

    @property
    def under_way(self) -> bool:
        """Whether it was begun before, and not ended."""
        return self._recorded.becoming == self._count

    def require(self) -> None:
        """Raises Refused unless the system stands still and everything in the topics was taken in. What was only
        announced before is taken back then: services have to start again for what stands in the way to end."""
        try:
            self._require()
        except Refused:
            if self.under_way and not self._grown():
                self._withdraw()
            raise

    def _require(self) -> None:
        recorded = self._recorded
        if recorded.becoming and not self.under_way:
            raise Refused(f"one to {recorded.becoming} partitions was begun: run it with that number first")
        for topic in GROWING:
            there = recorded.partitions.get(topic, 0)
            if self._count % max(there, 1) or (self._count <= there and not self.under_way):
                raise Refused(
                    f"{topic} has {there} partitions: it can have {2 * there}, {3 * there}, …, so that what lies in "
                    "one comes from one (Kafka takes no partition away)"
                )
        require_nobody(self._link)
        if not self._grown():
            self._require_drained()

    def _grown(self) -> bool:
        """Whether topics have new partitions already: from then on there is no way back."""
        there = self._cluster.partitions()
        return any(there.get(topic) != count for topic, count in self._recorded.partitions.items())

    def _require_drained(self) -> None:
        for service in self._services:
            if unread := self._unread(service):
                more = f"{MOST:,} or more" if unread >= MOST else f"{unread:,}"
                raise Refused(
                    f"{service} has not taken in {more} records of {READERS[service]}: stop the door, let the services "
                    "work until nothing is left, then stop them"
                )
        for service, desk in self._desks.items():
            if waiting := desk.store.look(partial(moved.unpublished, topic=READERS[service])):
                raise Refused(f"{service} has {waiting:,} records to publish: start it, and end it with SIGTERM")

    def _unread(self, service: str) -> int:
        topic = READERS[service]
        old = [Home(topic, number) for number in range(self._recorded.partitions[topic])]
        offsets = {home: offset for home, (offset, _) in self._cluster.offsets(service).items()}
        if service in self._desks:
            offsets |= self._desks[service].store.look(partial(moved.offsets, topic=topic))
        scan = Scan(self._link)
        try:
            first, ends = scan.beginnings(old), scan.ends(old)
            if lost := [home for home in old if home not in offsets and first[home] < ends[home]]:
                raise Refused(
                    f"{service} has no offset on {topic} {lost[0].partition}: `andon topics offsets {service} "
                    "--restore` mends it"
                )
            starts = {home: max(offsets.get(home, 0), first[home]) for home in old}
            return sum(1 for _ in scan.stretch(starts, ends, most=MOST))
        finally:
            scan.close()

    def run(self, say: Callable[[str], None]) -> None:
        """Does it. Raises Refused while that changes nothing; KafkaFailure and StoreFailure, after which it is to be
        said again."""
        self.require()
        if not self._grown():
            self._announce(say)
        self._cluster.grow(GROWING, self._count)
        say(f"the topics have {self._count} partitions")
        for service, desk in self._desks.items():
            move = partial(moved.move, READERS[service], self._place, desk.keys)
            items = desk.store.run(move)
            say(f"{service}: {items:,} open items moved")
        for service, topic in READERS.items():
            self._cluster.seed_offsets(service, topic)
        first = self._recorded.first or self._recorded.partitions[EVENTS]
        new = {topic: self._count if topic in GROWING else n for topic, n in self._recorded.partitions.items()}
        self._record(Recorded(new, first=first))

    def _announce(self, say: Callable[[str], None]) -> None:
        """Tells every process to leave, and looks again: a door is in no group, and what it took in meanwhile is to
        pass the stages first."""
        try:
            self._record(msgspec.structs.replace(self._recorded, becoming=self._count))
            say(f"announced; {_LEAVE_S:g} s for doors that still run to leave")
            time.sleep(_LEAVE_S)
            self._require()
        except BaseException:  # also Ctrl-C: nobody can work while it stands there
            with suppress(KafkaFailure):  # the cluster is away; who says it again takes it back
                self._withdraw()
            raise

    def _withdraw(self) -> None:
        self._record(msgspec.structs.replace(self._recorded, becoming=None))

    def _place(self, key: bytes) -> int:
        return partition_of(key, self._count)

    def _record(self, recorded: Recorded) -> None:
        producer = TransactionalProducer(self._link, "andon-config")
        producer.start()
        try:
            producer.commit([Outgoing(CONFIG, TOPICS_KEY, msgspec.json.encode(recorded))])
        except Aborted as aborted:
            raise KafkaFailure(f"it is not known whether {CONFIG} has it: {aborted}; run it again") from None
        finally:
            producer.close()
        self._recorded = recorded

    def close(self) -> None:
        for desk in self._desks.values():
            desk.store.close()
        self._cluster.close()


def require_nobody(link: Connection) -> None:
    """Raises Refused while anyone is in a group of ours; one who has ended stays for the 10 s of a session."""
    members, deadline = Members(link), time.monotonic() + _SESSION_S
    while True:
        there = [(one.instance or one.client, one.host) for service in READERS for one in members.of(service)]
        if not there:
            return
        if time.monotonic() > deadline:
            name, host = there[0]
            raise Refused(f"{name} runs (on {host}): stop every process of every service first")
        time.sleep(_AGAIN_S)


def _recorded(link: Connection) -> Recorded:
    recorded = read_board(link).recorded
    if recorded is None:
        raise KafkaFailure("nothing is recorded in andon.config; `andon apply` publishes a configuration")
    return recorded
