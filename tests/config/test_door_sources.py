"""What `andon check` says of sources by which nothing could come in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from andon.cli.commands.check import checked
from andon.config.published import published
from andon.config.section import Section
from andon.core.event import Event
from andon.core.ports import Answer, Called, Context, Inbound
from andon.ingress.configured import sources_of
from andon.ingress.sources.http import HttpSource
from andon.ingress.sources.kafka import KafkaSource
from andon.runtime.registry import Registry
from andon.testing.clock import ManualClock

GOOD = """\
version: 1
sources:
  office: {kind: form}
channels: {robot: {kind: wecom_robot, keys: [env:ROBOT]}}
receivers: {shift: {channel: robot}}
route: {receiver: shift}
"""


class Form:
    """Reads a form, and nobody says where from."""

    class Config(Section):
        pass

    def __init__(self, config: Config, context: Context) -> None:
        self.context = context

    def parse(self, inbound: Inbound, /) -> Sequence[Event]:
        return ()


class CalledForm(Form):
    """The same, where the vendor calls back."""

    def greet(self, inbound: Inbound, /) -> Answer:
        return Answer()

    def called(self, inbound: Inbound, /) -> Called:
        return Called()


class Posted(HttpSource):
    """What a client posts, read in its own way."""


class Topic(KafkaSource):
    """What a topic has, read in its own way."""


def of_kind(form: type) -> Registry:
    return Registry({"andon.sources": {"form": form}})


def said(tmp_path: Path, form: type, own: str = "") -> list[str]:
    file = tmp_path / "andon.yaml"
    file.write_text(GOOD.replace("kind: form", f"kind: form{own}"), encoding="utf-8")
    return [f"{one.line}:{one.column}: {one.text}" for one in checked(file, of_kind(form)).mistakes]


def test_a_source_that_nothing_reaches_is_a_mistake(tmp_path: Path) -> None:
    assert said(tmp_path, Form) == [
        "3:18: kind `form` has no way in: a source of your own is a CallbackSource, or derived from one of Andon's"
    ]


@pytest.mark.parametrize(
    ("form", "own"), [(CalledForm, ""), (Posted, ", token: env:T"), (Topic, ", topic: alarms, begin: latest")]
)
def test_a_source_that_is_reached_is_none(tmp_path: Path, form: type, own: str) -> None:
    assert said(tmp_path, form, own) == []


def test_a_source_is_given_a_wire_by_which_nothing_leaves(tmp_path: Path) -> None:
    said(tmp_path, CalledForm)
    registry = of_kind(CalledForm)
    version = published(checked(tmp_path / "andon.yaml", registry), 1, "wang", datetime.now(UTC))
    (source,) = sources_of(version, registry, ManualClock()).values()
    assert isinstance(source, Form)
    assert source.context.wire.way.proxy is None
