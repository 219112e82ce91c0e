"""How topics are set up at the broker. Blocking."""

from __future__ import annotations

from collections.abc import Iterable

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._resource import ResourceType

from andon.kafka.connection import Connection, made
from andon.kafka.errors import KafkaFailure

_ANSWER_S = 10.0


def topic_settings(connection: Connection, topics: Iterable[str]) -> dict[str, dict[str, str]]:
    """Topic → its settings as they are in force. Raises KafkaFailure."""
    asked = [ConfigResource(ResourceType.TOPIC, topic) for topic in topics]
    if not asked:
        return {}
    client = made(AdminClient, connection.client())  # lives until the answers are there
    try:
        futures = client.describe_configs(asked, request_timeout=_ANSWER_S)
        answers = {resource.name: future.result(timeout=_ANSWER_S + 5) for resource, future in futures.items()}
    except KafkaException as error:
        raise KafkaFailure(f"the settings of the topics cannot be read: {error.args[0].str()}") from None
    except TimeoutError:
        raise KafkaFailure("the cluster did not answer in time") from None
    return {topic: {name: entry.value for name, entry in entries.items()} for topic, entries in answers.items()}
