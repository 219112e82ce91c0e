"""The contract of every source, as laws that a source keeps or breaks.

    for law in LAWS: run(law, MySource)

needs the source's class with its nested `Config` and its `specimen`. Each law raises ContractBroken. What is only said
of sources that vendors call back is kept by all others.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from pydantic import BaseModel

from andon.core.event import Event
from andon.core.failure import Rejected
from andon.core.ports import Answer, CallbackSource, Context, Inbound, Source
from andon.core.reason import Reason
from andon.core.specimen import REFERENCE, SourceSpecimen
from andon.testing.clock import ManualClock
from andon.testing.rig import ContractBroken, expect, expect_refused
from andon.web.nowire import NoWire

Law = Callable[["SourceRig"], None]
LAWS: dict[str, Law] = {}

_STRUCTURED = {"content-type": "application/cloudevents+json"}
_HEADERS: tuple[dict[str, str], ...] = (
    {},
    {"content-type": "application/json"},
    {"content-type": "text/plain"},
    {"content-type": "\x00;;=\ud800"},
    _STRUCTURED,
    {"content-type": "application/cloudevents-batch+json"},
    {"ce-specversion": "1.0", "ce-id": "%FF", "ce-source": "", "ce-type": "\x00"},
    {"ce_specversion": "1.0", "ce_id": "\ud800", "ce_source": "//[", "ce_type": "t"},
    {"idempotency-key": "\x00", "traceparent": "00-" + "0" * 200},
)
_BODIES = (
    b"",
    b" ",
    b"\0\xff\xfe",
    b"{",
    b"{}",
    b"[]",
    b"[[[[",
    b"null",
    b'"text"',
    b"1e999",
    b"NaN",
    b'{"id":"1","id":"2"}',
    b'{"type":"t","data":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    b'{"type":"\\ud800"}',
    b'{"specversion":"1.0","id":"1","source":"s","type":"t","time":"9999-12-31T23:59:59-23:59"}',
    b'{"specversion":"1.0","id":{},"source":[],"type":1,"data_base64":7}',
)
_LATER = 86_400.0
_GOOD = Inbound(
    "case",
    _STRUCTURED,
    b'{"specversion":"1.0","id":"1","source":"s","type":"t","time":"2026-03-01T08:30:00Z","data":{"n":1}}',
)


class SourceRig:
    """A source, built from its specimen as a service does it, and an arrival that is one event."""

    def __init__(self, source_type: type[Any]) -> None:
        specimen: SourceSpecimen = source_type.specimen
        os.environ[REFERENCE.removeprefix("env:")] = specimen.secret
        self.secret = specimen.secret
        self.config_type: type[BaseModel] = source_type.Config
        self.options = dict(specimen.options)
        self.clock = ManualClock(specimen.now)
        config = self.config_type.model_validate(self.options)
        self.source: Source = source_type(config, Context("case", Path(), self.clock, NoWire()))
        self.good = Inbound("case", specimen.headers, specimen.body, specimen.query) if specimen.body else _GOOD


def law(function: Law) -> Law:
    """Adds a law under its own name."""
    LAWS[function.__name__] = function
    return function


def run(name: str, source_type: type[Any]) -> None:
    """Holds `source_type` to one law. Raises ContractBroken."""
    LAWS[name](SourceRig(source_type))


@law
def configuration_refuses_unknown_keys(rig: SourceRig) -> None:
    expect_refused(rig.config_type, {**rig.options, "nonsense": 1}, "an unknown key is refused")


@law
def whatever_arrives_is_events_or_rejected(rig: SourceRig) -> None:
    for headers in _HEADERS:
        for body in _BODIES:
            try:
                events = rig.source.parse(Inbound("case", headers, body))
            except Rejected as no:
                expect(no.detail, "a refusal says why")
            except Exception as error:
                raise ContractBroken(f"{type(error).__name__} for {headers} and {body[:60]!r}") from error
            else:
                expect(all(isinstance(one, Event) for one in events), "what is parsed are events")


@law
def parsing_is_pure(rig: SourceRig) -> None:
    first, second = rig.source.parse(rig.good), rig.source.parse(rig.good)
    expect(len(first) == len(second) == 1, "one event is one event")
    for one, other in zip(first, second, strict=True):
        said = [(e.id, e.source, e.type, e.subject, e.time, e.data, e.labels) for e in (one, other)]
        expect(said[0] == said[1], "the same twice is the same event")
        expect(one.traceparent, "a new event has a trace: `traceparent` (andon.ingress.bodies.traceparent makes one)")
        expect(not one.facts and not one.origin, "a new event has no facts and no origin")


@law
def what_a_vendor_calls_with_is_its_events_and_an_answer(rig: SourceRig) -> None:
    if not isinstance(rig.source, CallbackSource):
        return
    called = rig.source.called(rig.good)
    expect([one.id for one in called.events] == [one.id for one in rig.source.parse(rig.good)], "they are those parsed")
    expect(isinstance(called.answer, Answer), "it is answered")
    expect(rig.secret.encode() not in called.answer.body, "an answer shows no secret")
    for query in ({}, rig.good.query, {"echostr": "\ud800", "timestamp": "1", "nonce": "", "signature": "\x00"}):
        try:
            rig.source.greet(Inbound("case", {}, b"", query))
        except Rejected as no:
            expect(no.detail, "a refusal says why")
        except Exception as error:
            raise ContractBroken(f"{type(error).__name__} for {query}") from error


@law
def a_callback_is_verified_before_it_is_read(rig: SourceRig) -> None:
    if not isinstance(rig.source, CallbackSource):
        return
    for forged in _forged(rig.good):
        _unauthorised(rig, forged)
    for body in (rig.good.body[:-1], _changed(rig.good.body)):
        try:
            rig.source.parse(msgspec.structs.replace(rig.good, body=body))
        except Rejected:
            continue
        raise ContractBroken("a body that is not as it was signed is refused")
    rig.clock.advance(_LATER)
    _unauthorised(rig, rig.good)
    rig.clock.advance(-2 * _LATER)
    _unauthorised(rig, rig.good)


def _unauthorised(rig: SourceRig, forged: Inbound) -> None:
    try:
        rig.source.parse(forged)
    except Rejected as no:
        expect(no.reason is Reason.UNAUTHORISED, f"what is not signed by the vendor is unauthorised, not {no.reason}")
        expect(rig.secret not in str(no), "a refusal shows no secret")
    else:
        raise ContractBroken("what is not signed by the vendor is refused")


def _forged(good: Inbound) -> Iterator[Inbound]:
    """The good one, each with one thing that is not as it was signed."""
    for part in ("query", "headers"):
        given: Mapping[str, str] = getattr(good, part)
        for name, value in given.items():
            for other in ("", value + "0", "0" + value[1:], value.swapcase(), "\ud800", "9" * 5_000):
                if other != value:
                    yield msgspec.structs.replace(good, **{part: {**given, name: other}})
            yield msgspec.structs.replace(good, **{part: {key: one for key, one in given.items() if key != name}})


def _changed(body: bytes) -> bytes:
    """The body with another letter in its middle."""
    middle = len(body) // 2
    return body[:middle] + (b"b" if body[middle : middle + 1] == b"a" else b"a") + body[middle + 1 :]
