"""Reading topics without a group: the published configuration, the tally, a trace."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import suppress

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from andon.core.event import Home
from andon.kafka.codes import PASSING
from andon.kafka.connection import Connection, made
from andon.kafka.errors import KafkaFailure
from andon.kafka.records import Record, from_message

BEGINNING = -2
END = -1
_ASK_S = 1.0
_ANSWER_S = 10.0
# The library knows an end only by an answer without records, which the broker holds back for so long in the hope of
# some. Who waits for the end has it soon; who reads for as long as the process lives should not ask all the time.
_SOON_MS = 10
_PATIENT_MS = 500


class TopicReader:
    """Reads partitions from given offsets on, committed records only. Blocking; belongs to one thread."""

    def __init__(self, connection: Connection, starts: Mapping[Home, int], *, patient: bool = False) -> None:
        """`starts` maps each partition to an offset, BEGINNING or END. A `patient` one hears up to half a second later
        that it has come to an end, and asks the brokers twice a second then, not a hundred times."""
        self._consumer = made(
            Consumer,
            connection.reader()
            | {
                "fetch.queue.backoff.ms": 20,
                "fetch.wait.max.ms": _PATIENT_MS if patient else _SOON_MS,
            },
        )
        self._bootstrap = connection.bootstrap
        self._formats = connection.formats
        self._answered = False
        # Asked first: of a topic that it does not know the library looks for a leader only once a second.
        with suppress(KafkaException):  # no broker answers yet; `poll` waits for one
            self._ask(_ASK_S)
        self._homes = list(starts)
        self._at_end: set[Home] = set()
        self._consumer.assign([TopicPartition(h.topic, h.partition, o) for h, o in starts.items()])

    def _ask(self, within_s: float) -> None:
        self._consumer.list_topics(timeout=within_s)
        self._answered = True

    @property
    def at_end(self) -> bool:
        """Whether the end of every partition was seen; markers occupy offsets, so only the broker can say this."""
        return len(self._at_end) == len(self._homes)

    def poll(self, most: int = 1_000, wait_s: float = 0.2) -> list[Record]:
        """The next records; waits up to `wait_s` for the first, and waits out passing trouble. Raises KafkaFailure."""
        try:
            got = self._consumer.consume(1, wait_s)
            if got and most > 1:
                got += self._consumer.consume(most - 1, 0)
        except KafkaException as error:
            raise KafkaFailure(f"the log cannot be read: {error.args[0].str()}") from None
        records = []
        for message in got:
            home = Home(str(message.topic()), int(message.partition() or 0))
            problem = message.error()
            if problem is None:
                self._at_end.discard(home)
                records.append(from_message(message, self._formats))
            elif problem.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - the library's public constant
                self._at_end.add(home)
            elif problem.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise KafkaFailure(f"the topic {home.topic} does not exist; `andon apply` creates what is missing")
            elif problem.code() not in PASSING:
                raise KafkaFailure(f"{home.topic} cannot be read: {problem.str()}")
        return records

    def until_end(self, timeout_s: float) -> Iterator[Record]:
        """Every record up to the present end. Raises KafkaFailure when that takes longer than `timeout_s`, and soon
        when no broker answers."""
        deadline = time.monotonic() + timeout_s
        self._require_answer()
        while not self.at_end:
            if time.monotonic() > deadline:
                raise KafkaFailure(
                    f"{self._homes[0].topic} at {self._bootstrap} could not be read to its end in {timeout_s:g} s"
                )
            yield from self.poll()

    def _require_answer(self) -> None:
        try:
            if not self._answered:
                self._ask(_ANSWER_S)
        except KafkaException:
            raise KafkaFailure(f"no Kafka broker answers at {self._bootstrap}; is it running?") from None

    def close(self) -> None:
        self._consumer.close()
