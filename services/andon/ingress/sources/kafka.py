"""CloudEvents in a Kafka topic of others: structured or binary.

Binding: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import ClassVar

from andon.core.cloudevents import BATCH, STRUCTURED, CloudEvent
from andon.core.event import Event
from andon.core.failure import Invalid
from andon.core.ports import Context, Inbound
from andon.core.reason import Reason
from andon.core.specimen import SourceSpecimen
from andon.core.translation import event_of
from andon.ingress.bodies import cloud, traceparent
from andon.ingress.bodies.randomness import Randomness
from andon.ingress.bodies.sent import check, moment_of
from andon.kafka.foreign import ReadTopic

CONTENT_TYPE = "content-type"
TRACEPARENT = "traceparent"


class KafkaSource:
    """A topic of CloudEvents.

    `parse` takes one record as it came: its headers as text, its value. Structured is what says so by its content type,
    binary what has `ce_` headers; anything else is no CloudEvent. How its records get into `andon.events` is the
    matter of ingress.feeds.
    """

    class Config(ReadTopic):
        """The topic, and where a new source begins."""

    specimen: ClassVar = SourceSpecimen({"topic": "alarms"})

    def __init__(self, config: Config, context: Context) -> None:
        self._clock = context.clock
        self._random = Randomness().take

    def parse(self, inbound: Inbound, /) -> Sequence[Event]:
        """The one event of a record. Raises Invalid (a Rejected)."""
        found = self._read(inbound)
        attributes = found.attributes
        check(
            attributes["source"], attributes["type"], attributes.get("subject", attributes["source"]), attributes["id"]
        )
        if "time" in attributes:
            moment_of(attributes["time"])
        trace = traceparent.accepted(attributes.get(TRACEPARENT)) or traceparent.accepted(
            inbound.headers.get(TRACEPARENT)
        )
        now = datetime.fromtimestamp(self._clock.now(), UTC)
        return (event_of(found, now, trace or traceparent.minted(self._random(24))),)

    def _read(self, inbound: Inbound) -> CloudEvent:
        content_type = inbound.headers.get(CONTENT_TYPE)
        media = (content_type or "").partition(";")[0].strip().lower()
        if media == BATCH:
            raise Invalid(Reason.MEDIA_TYPE, "a record of Kafka is one event, never a batch", CONTENT_TYPE)
        if media == STRUCTURED:
            return cloud.structured(inbound.body)
        attributes = cloud.attributes_of(inbound.headers.items(), cloud.KAFKA)
        if not attributes:
            raise Invalid(
                Reason.INVALID, f"no CloudEvent: it has neither ce_ headers nor the content type {STRUCTURED}"
            )
        return cloud.binary(attributes, content_type, inbound.body)
