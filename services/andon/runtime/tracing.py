"""Spans for OpenTelemetry, when `otel.endpoint` is set: each a child of the request that brought the event.

Every event carries the `traceparent` of its request (W3C Trace Context); a service that does something with the event
tells a span under it: `accept`, `enrich`, `route`, `attempt` (one call to the outside) and `outcome`. Attributes name
ids, receivers and reasons, never what an event says. A collector that is away costs spans and nothing else.

Stages, desks and the door know nothing of this: what does the telling stands around them, and only where it is asked
for. The libraries come with the extra `otel` and are imported only then.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import wait
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

import msgspec

from andon.config.settings import Otel
from andon.core.digest import Digest
from andon.core.event import Event, Home, Position
from andon.core.failure import Failure
from andon.core.fate import Fate, Late
from andon.core.outcome import Outcome, Parked, RecipientState, Skipped, name_of
from andon.core.policy import QueuePolicy
from andon.core.ports import Clock, Result, Stage
from andon.core.work import Item, Reach
from andon.kafka.records import Record
from andon.runtime.daemon import in_daemon
from andon.runtime.desk.packing import opened
from andon.runtime.desk.work import Advance, Held, Success, Taken, Together, Told, Work

log = logging.getLogger(__name__)
Out = TypeVar("Out")
Attributes = Mapping[str, str | int | bool]

MISSING = "otel.endpoint is set, but OpenTelemetry is not installed: pip install 'andon[otel]'; no spans are sent"
_PATH = "/v1/traces"
_TIMEOUT_S = 5.0
_QUEUE = 8_192
_CLOSE_S = 3.0


class Spans(Protocol):
    """Where spans are told; returns at once and never raises. Times are seconds since 1970."""

    def __call__(
        self, name: str, traceparent: str | None, began: float, ended: float, attributes: Attributes, /, failed: bool
    ) -> None: ...

    def close(self) -> None:
        """Sends what waits; blocks for three seconds at most, whatever the collector does."""


def spans_of(otel: Otel | None, service: str, slot: int) -> Spans | None:
    """Where this process tells its spans; None when nothing is configured, or when the extra is not installed, which
    is logged: a service must not stop for it."""
    if otel is None:
        return None
    try:
        return _Otlp(otel.endpoint, service, slot)
    except ImportError:
        log.error(MISSING)
        return None


class _Otlp:
    """OTLP over HTTP, by OpenTelemetry's SDK; batches leave in a thread of its own."""

    def __init__(self, endpoint: str, service: str, slot: int) -> None:
        from opentelemetry import trace
        from opentelemetry.context import Context
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        address = endpoint if endpoint.endswith(_PATH) else endpoint.rstrip("/") + _PATH
        resource = Resource({"service.name": f"andon-{service}", "service.instance.id": str(slot)})
        self._provider: Any = TracerProvider(resource=resource, shutdown_on_exit=False)
        exporter = OTLPSpanExporter(endpoint=address, timeout=_TIMEOUT_S)
        self._provider.add_span_processor(
            BatchSpanProcessor(exporter, max_queue_size=_QUEUE, schedule_delay_millis=500)
        )
        self._tracer: Any = self._provider.get_tracer("andon")
        self._api: Any = trace
        self._context: Any = Context

    def __call__(
        self, name: str, traceparent: str | None, began: float, ended: float, attributes: Attributes, /, failed: bool
    ) -> None:
        if traceparent is None:
            return
        _, trace, parent, flags = traceparent.split("-")
        remote = self._api.SpanContext(int(trace, 16), int(parent, 16), True, self._api.TraceFlags(int(flags, 16)))
        context = self._api.set_span_in_context(self._api.NonRecordingSpan(remote), self._context())
        kept = {f"andon.{key}": value for key, value in attributes.items()}
        span = self._tracer.start_span(name, context=context, attributes=kept, start_time=_nanoseconds(began))
        if failed:
            span.set_status(self._api.StatusCode.ERROR)
        span.end(_nanoseconds(ended))

    def close(self) -> None:
        # The SDK waits as long as the collector does, longer than a process has for its end.
        wait([in_daemon("spans", self._provider.shutdown)], _CLOSE_S)


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)


class Draft(Protocol):
    """Something the door is about to append."""

    @property
    def event(self) -> Event: ...


D = TypeVar("D", bound=Draft)
D_in = TypeVar("D_in", bound=Draft, contravariant=True)


class EventLog(Protocol[D_in]):
    """The log behind the door, as `ingress.acceptance.Log`."""

    async def append(self, drafts: Sequence[D_in], late: Late | None = None, /) -> Sequence[Fate]: ...


class TracedLog(Generic[D]):
    """A log that tells a span `accept` for every event it has taken, from the append to the acknowledgement."""

    def __init__(self, inner: EventLog[D], spans: Spans, clock: Clock) -> None:
        self._inner = inner
        self._spans = spans
        self._clock = clock

    async def append(self, drafts: Sequence[D], late: Late | None = None, /) -> Sequence[Fate]:
        began = self._clock.now()
        fates = await self._inner.append(drafts, late)
        ended = self._clock.now()
        for draft, fate in zip(drafts, fates, strict=False):
            if isinstance(fate, Position):
                event = draft.event
                told = {**_of(event), "partition": fate.partition, "offset": fate.offset}
                self._spans("accept", event.traceparent, began, ended, told, failed=False)
        return fates


class TracedStage(Generic[Out]):
    """A stage that tells a span for every event of a batch, as long as the batch took; a batch that is done again,
    because its transaction did not happen, is told again."""

    def __init__(self, inner: Stage[Event, Out], spans: Spans, clock: Clock, name: str) -> None:
        self._inner = inner
        self._spans = spans
        self._clock = clock
        self._name = name

    async def __call__(self, batch: Sequence[Event], /) -> Sequence[Result[Out]]:
        began = self._clock.now()
        results = await self._inner(batch)
        ended = self._clock.now()
        for event, result in zip(batch, results, strict=False):
            told: dict[str, str | int | bool] = {**_of(event), "outputs": len(result.outputs), "batch": len(batch)}
            if result.ended:
                told |= {"outcome": name_of(result.ended), "reason": str(result.ended.reason)}
            self._spans(self._name, event.traceparent, began, ended, told, failed=isinstance(result.ended, Parked))
        return results


class _Named(msgspec.Struct):
    id: str
    source: str
    traceparent: str | None = None


class TracedWork:
    """A desk's work that tells a span `attempt` for every call, and `outcome`, from acceptance to the end."""

    def __init__(self, inner: Work, spans: Spans, clock: Clock, service: str) -> None:
        self._inner = inner
        self._spans = spans
        self._clock = clock
        self._service = service

    def read(self, record: Record) -> Taken | Advance:
        return self._inner.read(record)

    def memo(self, home: Home, name: str) -> bytes:
        return self._inner.memo(home, name)

    def policy(self, queue: str) -> QueuePolicy:
        return self._inner.policy(queue)

    def looks_back(self) -> float:
        return self._inner.looks_back()

    def looks_back_on_people(self) -> float:
        return self._inner.looks_back_on_people()

    def reach(self, item: Item) -> Reach:
        return self._inner.reach(item)

    def turn(self, item: Item, behind: Sequence[Item], now: float) -> float | Held | Skipped:
        return self._inner.turn(item, behind, now)

    def speaks(self, item: Item, now: float) -> Mapping[str, bytes]:
        return self._inner.speaks(item, now)

    def gathers(self, item: Item, now: float) -> Mapping[str, bytes]:
        return self._inner.gathers(item, now)

    def equals(self, item: Item) -> Sequence[UUID]:
        return self._inner.equals(item)

    def together(self, item: Item, others: Sequence[Item], now: float) -> Together:
        return self._inner.together(item, others, now)

    def patience(self, item: Item) -> float:
        return self._inner.patience(item)

    def stormed(self, item: Item) -> bool:
        return self._inner.stormed(item)

    def keep(self, home: Home, memos: Mapping[str, bytes], now: float) -> None:
        self._inner.keep(home, memos, now)

    def digest(self, item: Item) -> Digest:
        return self._inner.digest(item)

    def closed(self, item: Item, outcome: Outcome, recipients: Sequence[RecipientState], now: float) -> Told:
        told = self._inner.closed(item, outcome, recipients, now)
        end = told.kept or outcome
        said = {"outcome": name_of(end), "reason": str(end.reason)}
        self._tell("outcome", item, item.born, now, said, failed=isinstance(end, Parked))
        return told

    async def call(self, item: Item, line: int, deadline: float) -> Success:
        began, reason = self._clock.now(), "unexpected"
        try:
            success = await self._inner.call(item, line, deadline)
            reason = "delivered"
        except Failure as failure:
            reason = str(failure.reason)
            raise
        finally:
            told: Attributes = {"number": len(item.entries), "part": item.part, "reason": reason}
            self._tell("attempt", item, began, self._clock.now(), told, failed=reason != "delivered")
        return success

    def _tell(self, name: str, item: Item, began: float, ended: float, more: Attributes, *, failed: bool) -> None:
        event = _event_of(opened(item.body))
        if event is not None:
            told = {"service": self._service, "event": event.id, "source": event.source, "item": str(item.id)}
            self._spans(name, event.traceparent, began, ended, {**told, "receiver": item.queue, **more}, failed=failed)


def _of(event: Event) -> dict[str, str | int | bool]:
    return {"event": event.id, "source": event.source, "type": event.type}


class _Delivery(msgspec.Struct):
    event: _Named


class _Job(msgspec.Struct):
    event: bytes


def _event_of(body: bytes) -> _Named | None:
    """The event of an item: a delivery holds it, a ticket's job has its bytes."""
    try:
        return msgspec.json.decode(body, type=_Delivery).event
    except msgspec.MsgspecError:
        pass
    try:
        return msgspec.json.decode(msgspec.json.decode(body, type=_Job).event, type=_Named)
    except msgspec.MsgspecError:
        return None


def traced_log(inner: EventLog[D], spans: Spans | None, clock: Clock) -> EventLog[D]:
    """The log itself, unless spans are wanted."""
    return TracedLog(inner, spans, clock) if spans else inner


def traced_stage(stage: Stage[Event, Out], spans: Spans | None, clock: Clock, name: str) -> Stage[Event, Out]:
    """The stage itself, unless spans are wanted."""
    return TracedStage(stage, spans, clock, name) if spans else stage


def traced_work(work: Work, spans: Spans | None, clock: Clock, service: str) -> Work:
    """The desk's work itself, unless spans are wanted."""
    return TracedWork(work, spans, clock, service) if spans else work
