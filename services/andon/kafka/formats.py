"""JSON or Avro: what a topic's records are written in, and reading either at any time.

Everything above this package knows records as JSON. What comes from a topic in Avro (Confluent's wire format: a zero
byte, the schema's id in four, the value) is turned into the same JSON; what goes to a topic that is configured so is
turned into Avro. So a topic may hold both, as it does after its codec was changed, and nothing else is touched by that.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from andon.kafka.avro.read import SchemaUnusable, reader
from andon.kafka.avro.write import Unwritable, writer
from andon.kafka.codecs import Json, Undecodable, encode
from andon.kafka.errors import KafkaFailure
from andon.kafka.index import Index, IndexBroken
from andon.kafka.registry import Registry

log = logging.getLogger(__name__)

MAGIC = b"\0"
_HEAD = 5
_MOST_KNOWN = 1_000
_FORGET_S = 60.0

Read = Callable[[bytes, int], Any]


class Formats:
    """The codec of each topic, and the schemas that were met.

    `avro` are the topics written in Avro, with the types of their values. Safe to use from several threads.
    """

    def __init__(
        self,
        avro: Mapping[str, Any] | None = None,
        *,
        registry: Registry | None = None,
        index: Index | None = None,
    ) -> None:
        self._kinds = dict(avro or {})
        self._index = index
        self._registry = registry
        self._written: dict[str, Callable[[bytes], bytes]] = {}
        self._known: dict[int, Read] = {}
        self._useless: dict[int, tuple[float, str]] = {}
        self._said: set[str] = set()

    # ---- reading

    def incoming(self, raw: bytes) -> bytes:
        """The value as JSON. Raises Undecodable for Avro that no schema reads, and KafkaFailure when the registry that
        should tell the schema does not answer; may wait for it, so call it where waiting is allowed."""
        if raw[:1] != MAGIC:
            return raw
        if len(raw) < _HEAD:
            raise Undecodable("neither JSON nor Avro: an Avro record begins with the five bytes of its schema's id")
        number = int.from_bytes(raw[1:_HEAD])
        read = self._known.get(number) or self._learn(number)
        try:
            return encode(read(raw, _HEAD))
        except Undecodable as error:
            raise Undecodable(f"no record of schema {number}: {error}") from None
        except RecursionError:
            raise Undecodable(f"no record of schema {number}: nested too deeply") from None

    def _learn(self, number: int) -> Read:
        since, why = self._useless.get(number, (0.0, ""))
        if not why or time.monotonic() - since > _FORGET_S:
            try:
                read = self._found(number)
            except SchemaUnusable as error:
                why = str(error)
            else:
                _room(self._known)[number] = read
                return read
            _room(self._useless)[number] = (time.monotonic(), why)
        raise Undecodable(why)

    def _found(self, number: int) -> Read:
        """Asks the index, then the registry. Raises SchemaUnusable and KafkaFailure."""
        try:
            text: bytes | str | None = self._schemas().text(number)
        except IndexBroken as broken:
            raise KafkaFailure(str(broken)) from None
        if text is None and self._registry:
            text = self._registry.schema(number)
        if text is None:
            where = f"the registry at {self._registry.host}" if self._registry else "schemas/index.json"
            more = "" if self._registry else "; a registry's ids need kafka.registry"
            raise SchemaUnusable(f"{where} has no Avro schema {number}{more}")
        try:
            return reader(msgspec.json.decode(text))
        except (msgspec.MsgspecError, RecursionError):
            raise SchemaUnusable(f"schema {number} is not JSON") from None
        except SchemaUnusable as error:
            raise SchemaUnusable(f"schema {number} cannot be used: {error}") from None
        except (TypeError, ValueError) as error:  # a schema is others' text, and its record would end the poll for ever
            raise SchemaUnusable(f"schema {number} cannot be used: {type(error).__name__}") from None

    def _schemas(self) -> Index:
        if self._index is None:
            self._index = Index()
        return self._index

    # ---- writing

    def settle(self) -> None:
        """Finds the ids of what is written; until then everything is written in JSON, which every reader takes.

        Blocking. Raises KafkaFailure.
        """
        for topic, kind in self._kinds.items():
            try:
                number, schema = self._schemas().newest(topic)
            except IndexBroken as broken:
                raise KafkaFailure(str(broken)) from None
            if self._registry:
                number = self._registry.number(f"{topic}-value", msgspec.json.encode(schema).decode())
            self._written[topic] = _writing(kind, number)

    def outgoing(self, topic: str, value: bytes) -> bytes:
        """The value as the topic has it. What is no JSON of the topic's type, and what is Avro already, stays as it
        is: nothing is lost for its form."""
        write = self._written.get(topic)
        if write is None or value[:1] == MAGIC:
            return value
        try:
            return write(value)
        except (Undecodable, Unwritable) as error:
            if topic not in self._said:
                self._said.add(topic)
                log.warning("written in JSON", extra={"topic": topic, "problem": str(error)})
            return value


def _writing(kind: Any, number: int) -> Callable[[bytes], bytes]:
    decode, write, head = Json(kind).decode, writer(kind), MAGIC + number.to_bytes(4)
    return lambda value: write(decode(value), head)


def _room(known: dict[int, Any]) -> dict[int, Any]:
    """The same with room for one more: ids come from records, so there may be any number of them."""
    if len(known) >= _MOST_KNOWN:
        known.clear()
    return known
