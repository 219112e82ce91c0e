"""Looking something up while the cluster has trouble: what passes is waited out, what stays is told."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError

from andon.kafka.codes import PASSING
from andon.kafka.errors import KafkaFailure
from andon.kafka.scan import _is_news


@pytest.mark.parametrize("code", sorted(PASSING))
def test_passing_trouble_is_waited_out(code: int) -> None:
    assert not _is_news(KafkaError(code))


@pytest.mark.parametrize("code", [KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.OFFSET_OUT_OF_RANGE])
def test_what_stays_is_told(code: int) -> None:
    with pytest.raises(KafkaFailure, match="the log cannot be read"):
        _is_news(KafkaError(code))


def test_the_end_of_a_partition_is_news() -> None:
    assert _is_news(KafkaError(KafkaError._PARTITION_EOF))
