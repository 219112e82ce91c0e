"""What can go wrong with the log, in our words. librdkafka's exceptions do not leave this package."""

from __future__ import annotations


class KafkaFailure(Exception):  # noqa: N818 - a state of the cluster, told to people
    """The log cannot be used; the text says what to do. A service that raises it has stopped (law L4)."""


class SlotTaken(KafkaFailure):
    """Another process runs with this service's slot, and the broker now follows that one."""


class OffsetsMissing(KafkaFailure):
    """An assigned partition has no committed offset: expired, or never written."""


class PartitionsChanged(KafkaFailure):
    """A topic has another number of partitions than was recorded when it was created."""


class UnsupportedKafka(KafkaFailure):
    """The cluster is older than Kafka 3.9 or newer than 4.x."""


class Aborted(Exception):  # noqa: N818 - a signal between the transaction and its stage
    """The transaction did not happen; the consumer must be rewound to its committed offsets."""
