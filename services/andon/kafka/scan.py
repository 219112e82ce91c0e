"""Looking something up in topics: bounded stretches, single records, and searches in records that have an order."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from andon.core.event import Home
from andon.kafka.codes import PASSING
from andon.kafka.connection import Connection, made
from andon.kafka.errors import KafkaFailure
from andon.kafka.formats import MAGIC
from andon.kafka.records import Record, from_message

log = logging.getLogger(__name__)

_ANSWER_S = 10.0
_SILENCE_S = 15.0
_BATCH = 2_000
_STRIDE = 200
_LATEST, _EARLIEST = -1, -2


class Scan:
    """Reads committed records without a group. Blocking; belongs to one thread. `read` counts the records looked at.

    Every method raises KafkaFailure when the cluster does not answer.
    """

    def __init__(self, connection: Connection, more: Mapping[str, object] | None = None) -> None:
        """`more` are librdkafka settings that replace ours."""
        self.read = 0
        self._bootstrap = connection.bootstrap
        self._formats = connection.formats
        self._consumer = made(
            Consumer,
            connection.reader()
            | {
                # A look-up is many short reads: none may wait for records that are not there, or for a long answer.
                "fetch.wait.max.ms": 2,
                "fetch.queue.backoff.ms": 2,
                "fetch.message.max.bytes": 256 << 10,
                "queued.min.messages": 10_000,
                **(more or {}),
            },
        )

    def partitions(self, within_s: float = _ANSWER_S) -> dict[str, int]:
        """Topic → number of partitions."""
        try:
            topics = self._consumer.list_topics(timeout=within_s).topics
        except KafkaException:
            raise KafkaFailure(f"no Kafka broker answers at {self._bootstrap}; is it running?") from None
        return {name: len(topic.partitions) for name, topic in topics.items() if topic.error is None}

    def ends(self, homes: Iterable[Home]) -> dict[Home, int]:
        """The next offset of each partition."""
        return self._asked(homes, _LATEST)

    def beginnings(self, homes: Iterable[Home]) -> dict[Home, int]:
        """The first offset each partition still has."""
        return self._asked(homes, _EARLIEST)

    def at_time(self, homes: Iterable[Home], seconds: float) -> dict[Home, int]:
        """The first offset of each partition appended at that time (since 1970) or later; its end where none was."""
        found = self._asked(homes, max(0, int(seconds * 1000)))
        late = self.ends(home for home, offset in found.items() if offset < 0)
        return found | late

    def _asked(self, homes: Iterable[Home], when: int) -> dict[Home, int]:
        asked = [TopicPartition(home.topic, home.partition, when) for home in homes]
        if not asked:
            return {}
        try:
            answer = self._consumer.offsets_for_times(asked, timeout=_ANSWER_S)
        except KafkaException as error:
            raise KafkaFailure(f"{asked[0].topic} cannot be read: {error.args[0].str()}") from None
        return {Home(p.topic, p.partition): p.offset for p in answer}

    def stretch(
        self, starts: Mapping[Home, int], ends: Mapping[Home, int], *, having: bytes = b"", most: int = 1 << 62
    ) -> Iterator[Record]:
        """The records from `starts` up to, without, `ends` whose value has these bytes, in order of each partition.

        Stops quietly after having looked at `most` records; `read` tells.
        """
        left = {home for home, start in starts.items() if start < ends[home]}
        if not left:
            return
        until = self.read + most
        places = {(home.topic, home.partition): (home, ends[home]) for home in left}
        whole = [TopicPartition(h.topic, h.partition, starts[h]) for h in left]
        self._consumer.assign(whole)
        try:
            while left and self.read < until:
                for message in self._poll(min(_BATCH, until - self.read)):
                    home, end = places[message.topic(), message.partition()]
                    is_record, offset = message.error() is None, message.offset()
                    if offset >= end - 1 or not is_record:
                        self._done(home, left)
                    if is_record and offset < end:
                        self.read += 1
                        raw = message.value() or b""
                        if raw[:1] == MAGIC:
                            record = from_message(message, self._formats)
                            if having in record.value:
                                yield record
                        elif having in raw:
                            yield from_message(message, self._formats)
        finally:
            self._consumer.resume(whole)  # the library would remember the pause
            self._consumer.unassign()

    def _done(self, home: Home, left: set[Home]) -> None:
        if home in left:
            left.discard(home)
            self._consumer.pause([TopicPartition(home.topic, home.partition)])

    def _poll(self, most: int) -> list[Any]:
        """Records and ends of partitions; at least one."""
        deadline = time.monotonic() + _SILENCE_S
        while True:
            try:
                got: list[Any] = self._consumer.consume(1, 0.5)
                if got and most > 1:
                    got += self._consumer.consume(most - 1, 0)
            except KafkaException as error:
                raise KafkaFailure(f"the log cannot be read: {error.args[0].str()}") from None
            told = [message for message in got if (wrong := message.error()) is None or _is_news(wrong)]
            if told:
                return told
            if time.monotonic() > deadline:
                raise KafkaFailure(f"the Kafka at {self._bootstrap} does not send records any more")

    def first_from(self, home: Home, offset: int, end: int) -> Record | None:
        """The first record at `offset` or later, before `end`."""
        return next(self.stretch({home: offset}, {home: end}, most=1), None)

    def ordered(self, home: Home, start: int, end: int, place: Callable[[Record], int], wanted: int) -> Record | None:
        """The record whose `place` is `wanted`, in a stretch whose places only grow: by doubling steps from `start`,
        near which it mostly is, then by halving. A few reads and a few hundred records, however long the stretch is."""
        step = _STRIDE
        while end - start > _STRIDE:
            middle = start + step if start + 2 * step < end else (start + end) // 2
            record = self.first_from(home, middle, end)
            if record is None or place(record) > wanted:
                end, step = middle, end  # no more steps, only halves
            elif place(record) == wanted:
                return record
            else:
                start, step = record.offset + 1, 2 * step
        return next((one for one in self.stretch({home: start}, {home: end}) if place(one) == wanted), None)

    def close(self) -> None:
        self._consumer.close()


def past_marks(connection: Connection, offsets: Mapping[Home, int]) -> dict[Home, int]:
    """The ends of the partitions that have nothing from these offsets on but marks of transactions; none of them while
    the cluster does not answer. Blocking.

    When a partition is quiet for longer than its topic keeps records, all of them are deleted, the mark behind the last
    one too: who stopped right before that mark finds nothing at its offset any more.
    """
    try:
        with closing(Scan(connection)) as scan:
            first, ends = scan.beginnings(offsets), scan.ends(offsets)
            behind = [(home, at, ends[home]) for home, at in offsets.items() if first[home] <= at < ends[home]]
            return {home: end for home, at, end in behind if scan.first_from(home, at, end) is None}
    except KafkaFailure as error:
        log.warning("not asked for marks of transactions", extra={"problem": str(error)})
        return {}


def _is_news(error: KafkaError) -> bool:
    """The end of a partition; passing trouble is waited out. Raises KafkaFailure for what stays."""
    if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - the library's public constant
        return True
    if error.fatal() or error.code() not in PASSING:  # the library calls none of these retriable here
        raise KafkaFailure(f"the log cannot be read: {error.str()}")
    return False
