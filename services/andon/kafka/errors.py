"""What can go wrong with the log, in our words. librdkafka's exceptions do not leave this package."""

from __future__ import annotations


class KafkaFailure(Exception):  # noqa: N818 - a state of the cluster, told to people
    """The log cannot be used; the text says what to do. A service that raises it has stopped (law L4)."""


class Unreachable(KafkaFailure):
    """No broker answers now. The same call may succeed later, so a running service waits; nothing else is wrong."""


class SlotTaken(KafkaFailure):
    """Another process runs with this service's slot, and the broker now follows that one."""


class NoEntry(KafkaFailure):
    """A cluster of others lets us not in as things are here; the text says what to mend. Andon's own goes on."""


class GroupInUse(KafkaFailure):
    """A group has members that run, or that ended some seconds ago, and the broker takes its offsets from them only."""

    def __init__(self, group: str) -> None:
        super().__init__(
            f"the group {group} has members that run, or did a moment ago, and takes no offsets from outside"
        )


class OffsetsMissing(KafkaFailure):
    """An assigned partition has no offset to go on at: expired, never written, or one that the log has nothing of."""


class PartitionsChanged(KafkaFailure):
    """A topic has another number of partitions than was recorded when it was created, or, for another program's topic,
    than it had when this process began to read it."""

    def __init__(self, topic: str, actual: int, recorded: int) -> None:
        if topic.startswith("andon."):
            what = (
                "at its creation. Subjects would change places and lose their order. Restore the count; to have more, "
                "see `andon topics repartition`"
            )
        else:
            what = (
                "when this process began to read it. `andon topics offsets andon-source-NAME --restore`, with the "
                "source's name, begins what is new"
            )
        super().__init__(f"{topic} has {actual} partitions; {recorded} were recorded {what}")


class Repartitioning(KafkaFailure):
    """The topics are being given more partitions: nothing may be read or written until that is done."""

    def __init__(self, count: int) -> None:
        super().__init__(
            f"the topics are being given {count} partitions; services start again when that is done. If it was "
            f"interrupted, run `andon topics repartition {count}` again"
        )


class UnsupportedKafka(KafkaFailure):
    """The cluster is older than Kafka 3.9 or newer than 4.x."""


class Aborted(Exception):  # noqa: N818 - a signal between the transaction and its stage
    """The transaction did not happen, or it cannot be known yet.

    Before anything else is read or written: `TransactionalProducer.start`, then `GroupConsumer.rewind`.
    """
