"""The contract of every source, as laws that a source keeps or breaks.

    for law in LAWS: run(law, MySource, options)

needs the source's class with its nested `Config`, and options for it. Each law raises ContractBroken.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel

from andon.core.event import Event
from andon.core.failure import Rejected
from andon.core.ports import Context, Inbound, Source, Wire
from andon.testing.clock import ManualClock
from andon.testing.rig import ContractBroken, expect, expect_refused

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
_GOOD = Inbound(
    "case",
    _STRUCTURED,
    b'{"specversion":"1.0","id":"1","source":"s","type":"t","time":"2026-03-01T08:30:00Z","data":{"n":1}}',
)


class SourceRig:
    """A source, built from its options as a service does it."""

    def __init__(self, source_type: type[Any], options: dict[str, Any]) -> None:
        self.config_type: type[BaseModel] = source_type.Config
        self.options = options
        config = self.config_type.model_validate(options)
        self.source: Source = source_type(config, Context("case", Path(), ManualClock(), cast("Wire", None)))


def law(function: Law) -> Law:
    """Adds a law under its own name."""
    LAWS[function.__name__] = function
    return function


def run(name: str, source_type: type[Any], options: dict[str, Any]) -> None:
    """Holds `source_type` to one law. Raises ContractBroken."""
    LAWS[name](SourceRig(source_type, options))


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
    first, second = rig.source.parse(_GOOD), rig.source.parse(_GOOD)
    expect(len(first) == len(second) == 1, "one event is one event")
    for one, other in zip(first, second, strict=True):
        said = [(e.id, e.source, e.type, e.subject, e.time, e.data, e.labels) for e in (one, other)]
        expect(said[0] == said[1], "the same twice is the same event")
        expect(one.traceparent and not one.facts and not one.origin, "a new event has a trace, no facts and no origin")
