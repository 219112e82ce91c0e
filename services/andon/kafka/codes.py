"""What the error codes of Kafka and librdkafka mean for us."""

from __future__ import annotations

from confluent_kafka import KafkaError


def _codes(names: str) -> frozenset[int]:
    return frozenset(getattr(KafkaError, name) for name in names.split())


FENCED_MEMBER = _codes("FENCED_INSTANCE_ID _FENCED _FATAL")
"""What a member of a group is told, by the broker or by its own client, once another process has its instance id."""

PASSING = _codes(
    "_TRANSPORT _ALL_BROKERS_DOWN _TIMED_OUT _TIMED_OUT_QUEUE _WAIT_COORD _WAIT_CACHE _RESOLVE _UNKNOWN_BROKER _STATE "
    "NOT_COORDINATOR COORDINATOR_NOT_AVAILABLE COORDINATOR_LOAD_IN_PROGRESS LEADER_NOT_AVAILABLE "
    "NOT_LEADER_FOR_PARTITION BROKER_NOT_AVAILABLE REPLICA_NOT_AVAILABLE NETWORK_EXCEPTION REQUEST_TIMED_OUT "
    "REBALANCE_IN_PROGRESS UNSTABLE_OFFSET_COMMIT"
)
"""The cluster is away or busy, or a partition is just coming or going: asking again is right."""

FORBIDDEN = _codes(
    "TOPIC_AUTHORIZATION_FAILED GROUP_AUTHORIZATION_FAILED CLUSTER_AUTHORIZATION_FAILED "
    "TRANSACTIONAL_ID_AUTHORIZATION_FAILED"
)
"""The account is known and has not the right."""

FINAL = FORBIDDEN | _codes("MSG_SIZE_TOO_LARGE INVALID_RECORD INVALID_MSG POLICY_VIOLATION")
"""Asking again changes nothing: a person has to."""


def refusal(error: KafkaError) -> str:
    """What of ours a broker refuses with that error, or we of its, and what to mend; empty: it is another trouble.

    Since TLS 1.3 a client's certificate is refused after the handshake, which the library takes for a lost connection.
    """
    code = error.code()
    if code in (KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED):  # noqa: SLF001 - public constants
        return "the account (sasl); correct its user or password"
    if code == KafkaError._SSL or "SSL alert" in error.str():  # noqa: SLF001
        return "the connection (tls); replace the certificate that is not valid, or no longer valid, here or there"
    return ""
