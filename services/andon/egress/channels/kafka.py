"""CloudEvents to a Kafka topic of others, structured or binary.

Binding: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import ClassVar, Literal

import msgspec

from andon.config.secrets import SecretMissing
from andon.core import cloudevents
from andon.core.cloudevents import CloudEvent
from andon.core.event import Position
from andon.core.failure import Rejected, Retryable
from andon.core.outcome import Evidence
from andon.core.policy import Limit
from andon.core.ports import Call, Content, Context, Receipt
from andon.core.reason import Reason
from andon.core.specimen import BASE, TOPIC, TopicSpecimen
from andon.egress import events
from andon.kafka.connection import LARGEST, Connection
from andon.kafka.errors import KafkaFailure
from andon.kafka.foreign import ForeignTopic
from andon.kafka.producer import Publisher, Unsent
from andon.kafka.records import Outgoing

DELIVERY = "andon-delivery"
_PARTITION_KEY = "partitionkey"
_TOO_LARGE = "Broker: Message size too large"
_TIMEOUT_S = 10.0
_CLOSING_S = 2.0
_AGAIN_S = 5.0


class KafkaTopic:
    """One topic. `send` ends when every replica in sync has the record: that acknowledgement is the receipt.

    The key is the extension `partitionkey`, else the subject. A record carries its delivery's id, the same however
    often it is sent, in the header `andon-delivery`, and the event's trace in the header `traceparent`.

    A cluster that cannot be entered, for a file that is not good or because it refuses the login, is tried again with
    secrets and files as they are then, every 5 s at most.
    """

    class Config(ForeignTopic):
        """The topic, and in which mode it is written."""

        mode: Literal["structured", "binary"] = "structured"

        def limit_domain(self) -> str:
            """The topic, by cluster."""
            return f"kafka:{self.bootstrap or 'own'}:{self.topic}"

        def limits(self) -> tuple[Limit, ...]:
            return ()

        def lines(self) -> int:
            return 1

    specimen: ClassVar = TopicSpecimen({"topic": TOPIC, "bootstrap": BASE})

    def __init__(self, config: Config, context: Context) -> None:
        self._config = config
        self._own = context.kafka
        self._name = f"andon-channel-{context.name}"
        self._clock = context.clock
        self._publisher: Publisher | None = None
        self._tried = -math.inf
        self._barred = ""

    def __repr__(self) -> str:
        return f"KafkaTopic({self._config.limit_domain()!r})"

    content = staticmethod(events.content)

    def repeat_key(self, call: Call, /) -> str:
        """The delivery's id, also after a redrive: who reads a topic has it only once."""
        return str(call.delivery)

    def split(self, content: Content, _tail: str = "", /) -> Sequence[Content]:
        """The whole: half an event is none. Raises Rejected for anything but an event."""
        _require_event(content)
        return (content,)

    async def send(self, call: Call, /) -> Sequence[Receipt]:
        """Appends one record. Raises `Retryable`, ambiguous when the broker may have it, or `Rejected`."""
        _require_event(call.content)
        record = self._record(call)
        if len(record.key or b"") + len(record.value or b"") > LARGEST:
            raise Rejected(Reason.TOO_LARGE, f"a record has at most {LARGEST:,} bytes")
        publisher = self._entered()
        try:
            async with asyncio.timeout(call.deadline):
                (fate,) = await publisher.append([record])
        except TimeoutError:
            raise Retryable(Reason.TIMEOUT, "the broker has not acknowledged it", ambiguous=True) from None
        if isinstance(fate, Position):
            return [Receipt(recipient, Evidence.RECEIPT) for recipient in call.recipients]
        if fate == _TOO_LARGE:
            raise Rejected(Reason.TOO_LARGE, f"{self._config.topic} takes no record of this size")
        problem = publisher.refused or fate
        if isinstance(fate, Unsent):
            raise Retryable(Reason.NOT_SENT, problem)
        raise Retryable(Reason.CONNECTION, problem, ambiguous=True)

    def _record(self, call: Call) -> Outgoing:
        body, trace = events.parted(call.content)
        event = cloudevents.from_json(msgspec.json.decode(body))
        key = event.attributes.get(_PARTITION_KEY) or event.attributes.get("subject") or event.attributes["source"]
        headers = [(DELIVERY, self.repeat_key(call).encode())]
        if trace:
            headers.append(("traceparent", trace.encode()))
        return Outgoing(self._config.topic, key.encode(), *self._form(event, body.encode(), headers))

    def _form(
        self, event: CloudEvent, body: bytes, headers: list[tuple[str, bytes]]
    ) -> tuple[bytes | None, tuple[tuple[str, bytes], ...]]:
        """Value and headers."""
        if self._config.mode == "structured":
            return body, (("content-type", cloudevents.STRUCTURED.encode()), *headers)
        form = cloudevents.to_binary(event)
        own = [(f"ce_{name}", text.encode()) for name, text in form.attributes.items()]
        if form.content_type:
            own.append(("content-type", form.content_type.encode()))
        return form.body, (*own, *headers)

    def _entered(self) -> Publisher:
        """One that no broker has refused. Raises Retryable, and Rejected where there is no cluster to write to."""
        publisher = self._publisher
        if publisher and not publisher.refused:
            return publisher
        link, now = self._link(), self._clock.now()
        if 0 <= now - self._tried < _AGAIN_S:
            raise Retryable(Reason.NOT_SENT, publisher.refused if publisher else self._barred)
        self._tried, self._publisher = now, None
        try:
            self._publisher = Publisher(link, self._name, timeout_s=_TIMEOUT_S)
        except KafkaFailure as failure:
            self._barred = str(failure)
            raise Retryable(Reason.NOT_SENT, self._barred) from None
        self._publisher.start()
        return self._publisher

    def _link(self) -> Connection:
        try:
            link = self._config.elsewhere() or self._own
        except SecretMissing as missing:
            raise Retryable(Reason.NOT_SENT, str(missing)) from None
        if not isinstance(link, Connection):
            raise Rejected(Reason.UNAVAILABLE, "there is no cluster of Andon's own here; name one with bootstrap")
        return link

    async def close(self) -> None:
        """Waits for what is on its way, 2 s at most; what has no answer by then is ambiguous."""
        if self._publisher is not None:
            publisher, self._publisher = self._publisher, None
            await asyncio.to_thread(publisher.close, _CLOSING_S)


def _require_event(content: Content) -> None:
    if content.kind != events.KIND:
        raise Rejected(Reason.REJECTED, f"a topic takes events, not {content.kind}")
