"""Which partition a key lies in: Kafka's murmur2 partitioner, which all of our producers use.

As Apache Kafka's `Utils.murmur2` and `BuiltInPartitioner.partitionForKey` define it (org.apache.kafka.common.utils);
librdkafka calls it `murmur2_random`. The hash is Austin Appleby's MurmurHash2, 32 bits, with seed 0x9747b28c.
"""

from __future__ import annotations

_SEED = 0x9747B28C
_FACTOR = 0x5BD1E995
_MASK = 0xFFFFFFFF


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a record with this key, in a topic with so many partitions."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def murmur2(data: bytes) -> int:
    """The hash, 0 to 2**32 - 1."""
    value = _SEED ^ len(data)
    whole = len(data) & ~3
    for start in range(0, whole, 4):
        word = int.from_bytes(data[start : start + 4], "little") * _FACTOR & _MASK
        word = (word ^ word >> 24) * _FACTOR & _MASK
        value = value * _FACTOR & _MASK ^ word
    if whole < len(data):
        value = (value ^ int.from_bytes(data[whole:], "little")) * _FACTOR & _MASK
    value = (value ^ value >> 13) * _FACTOR & _MASK
    return value ^ value >> 15
