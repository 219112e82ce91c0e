"""The AsyncAPI 3.0 document of all topics: `python -m andon.kafka.asyncapi > schemas/asyncapi.json`.

Specification: https://www.asyncapi.com/docs/reference/specification/v3.0.0
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from typing import Any

import msgspec

from andon.config.kafka import Kafka
from andon.kafka.schemas import RECORDS, cleaned
from andon.kafka.topics import (
    ACTIONS,
    ACTIVE,
    CONFIG,
    DELIVERIES,
    DLQ,
    ENRICHED,
    EVENTS,
    OUTCOMES,
    READERS,
    SOURCES,
    TICKETS,
    TOPICS,
    Topic,
)

_SERVICES = ("ingress", "enrichment", "routing", "egress", "ticketing")
_REF = "#/components/schemas/{name}"
_TEXT = {"type": "string"}

PURPOSES = {
    EVENTS: ("subject", "What happened, as accepted: each record is an event that a client was answered 202 for."),
    ENRICHED: ("subject", "The same events with facts, or with marks of those that are missing."),
    DELIVERIES: ("limit domain", "One record for each event and receiver; rendered late, by egress."),
    OUTCOMES: ("subject", "The final outcome of each delivery, or of an event that led to none, with every attempt."),
    TICKETS: ("episode", "Every state change of a fault episode."),
    ACTIVE: ("episode", "The episodes that are open now. A record without a value: it is closed."),
    DLQ: ("as in the topic it was read from", "What could not be done: the original key, value and headers."),
    CONFIG: (
        "name@version, and the name for the version in force",
        "The published configuration, whose versions are never written over; under `topics`, the counts of partitions.",
    ),
    ACTIONS: (
        "actor",
        "Every change of the configuration and every call about mutes: by whom, and if it was done.",
    ),
    SOURCES: (
        "what it tells, and of which source",
        "What the doors know of the sources: the last sign of each, what is told as lost, and when a door was there.",
    ),
}
"""Topic → the key of its records, and what they are."""

WRITERS: dict[str, tuple[str, ...]] = {
    EVENTS: ("ingress", "egress"),
    ENRICHED: ("enrichment",),
    DELIVERIES: ("routing", "egress"),
    OUTCOMES: ("enrichment", "routing", "egress"),
    TICKETS: ("ticketing",),
    ACTIVE: ("ticketing",),
    DLQ: _SERVICES,
    CONFIG: ("apply", "ingress"),
    ACTIONS: ("apply", "ingress"),
    SOURCES: ("ingress",),
}
"""Topic → who writes it."""

FOLLOWERS: dict[str, tuple[str, ...]] = {CONFIG: _SERVICES, ACTIVE: ("ingress", "egress"), SOURCES: ("ingress",)}
"""Topic → whose every process reads all of it, in no group."""

_DLQ_HEADERS = {
    "type": "object",
    "required": ["andon-topic", "andon-partition", "andon-offset", "andon-reason", "andon-class", "andon-redrive"],
    "properties": {
        "andon-topic": {**_TEXT, "description": "The topic it was read from."},
        "andon-partition": _TEXT,
        "andon-offset": _TEXT,
        "andon-reason": {**_TEXT, "description": "Why it lies here, one of a closed list."},
        "andon-class": {**_TEXT, "description": "The reason in words."},
        "andon-redrive": {**_TEXT, "description": "How often it was sent again."},
        "andon-source": {**_TEXT, "description": "Of a record of another program's topic: the source that read it."},
        "andon-cut": {**_TEXT, "description": "Its length in bytes, when only its beginning is kept."},
        "andon-command": {**_TEXT, "description": "What ticketing was to do to a ticket, as JSON."},
        "andon-redriven": {**_TEXT, "description": "On a record without a value: the parked one that was sent again."},
    },
}


def document() -> dict[str, Any]:
    """The document."""
    types = list(dict.fromkeys(RECORDS.values()))
    _, schemas = msgspec.json.schema_components(types, ref_template=_REF)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Andon: topics",
            "version": version("andon"),
            "description": "What the services of Andon write to Kafka and read from it. Records are committed in "
            "transactions: read them with isolation.level=read_committed. Outside of this list, topics of others are "
            "read and written in CloudEvents.",
        },
        "defaultContentType": "application/json",
        "servers": {
            "kafka": {
                "host": "127.0.0.1:8792",
                "protocol": "kafka",
                "description": "The embedded node; with a cluster of your own, what kafka.bootstrap names.",
            }
        },
        "channels": {topic.name: _channel(topic) for topic in TOPICS},
        "operations": {
            name: operation
            for topic in TOPICS
            for name, operation in (
                *((f"{who}-writes-{topic.name}", _operation("send", topic.name)) for who in WRITERS[topic.name]),
                *((f"{who}-reads-{topic.name}", _operation("receive", topic.name)) for who in readers(topic.name)),
            )
        },
        "components": {"schemas": _named_discriminators(cleaned(schemas))},
    }


def _named_discriminators(part: Any) -> Any:
    """The same with every discriminator as AsyncAPI has it: the name of the property alone, where OpenAPI has a map."""
    if isinstance(part, list):
        return [_named_discriminators(one) for one in part]
    if not isinstance(part, dict):
        return part
    return {
        key: one["propertyName"] if key == "discriminator" else _named_discriminators(one) for key, one in part.items()
    }


def readers(topic: str) -> tuple[str, ...]:
    """The services that read a topic."""
    return FOLLOWERS.get(topic) or tuple(name for name, read in READERS.items() if read == topic)


def _channel(topic: Topic) -> dict[str, Any]:
    key, purpose = PURPOSES[topic.name]
    kafka = Kafka()
    settings = topic.settings(kafka.retention, 1)
    configuration: dict[str, Any] = {
        "cleanup.policy": [settings["cleanup.policy"]],
        "max.message.bytes": int(settings["max.message.bytes"]),
    }
    if "retention.ms" in settings:
        configuration["retention.ms"] = int(settings["retention.ms"])
    return {
        "address": topic.name,
        "description": purpose,
        "messages": {"record": _message(topic.name, key)},
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions or kafka.partitions,
                "topicConfiguration": configuration,
                "bindingVersion": "0.5.0",
            }
        },
    }


def _message(topic: str, key: str) -> dict[str, Any]:
    message: dict[str, Any] = {
        "name": topic,
        "bindings": {"kafka": {"key": {**_TEXT, "description": f"Key: {key}."}, "bindingVersion": "0.5.0"}},
    }
    if topic in RECORDS:
        (reference,), _ = msgspec.json.schema_components([RECORDS[topic]], ref_template=_REF)
        message["payload"] = reference
    elif topic == DLQ:
        message["headers"] = _DLQ_HEADERS
        message["contentType"] = "application/octet-stream"
    return message


def _operation(action: str, topic: str) -> dict[str, Any]:
    channel = "#/channels/" + topic
    return {"action": action, "channel": {"$ref": channel}, "messages": [{"$ref": f"{channel}/messages/record"}]}


def text() -> str:
    """The document as it stands in schemas/asyncapi.json."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
