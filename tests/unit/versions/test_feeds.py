"""Which topics of others a version begins to read, whatever the one in force before it says."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from andon.config.settings import Settings
from andon.runtime.feeds import feeds_in_force, new_feeds
from andon.runtime.registry import Registry

REGISTRY = Registry()


def settings(**sources: dict[str, Any]) -> Settings:
    """With these sources, as an Andon that takes them has published them."""
    return Settings.model_validate(
        {
            "version": 1,
            "site": {"name": "plant"},
            "sources": sources,
            "channels": {"robot": {"kind": "wecom_robot", "keys": ["env:ROBOT"]}},
            "receivers": {"it": {"channel": "robot"}},
            "route": {"receiver": "it"},
        }
    )


def kafka(topic: str, **more: Any) -> dict[str, Any]:
    return {"kind": "kafka", "topic": topic, **more}


def new(before: Settings | None, after: Settings) -> list[str]:
    return sorted(new_feeds(after, before, REGISTRY))


def test_what_reads_the_same_topic_does_not_begin_again() -> None:
    before = settings(a=kafka("alarms"), b=kafka("faults"))
    after = settings(a=kafka("alarms", begin="earliest"), b=kafka("others"), c=kafka("more"), d={"kind": "http"})
    assert new(before, after) == ["source-b", "source-c"]
    assert new(None, before) == ["source-a", "source-b"]


@pytest.mark.parametrize("old", [kafka("alarms", group="gone"), {"kind": "no_such_kind", "topic": "alarms"}])
def test_a_source_in_force_that_is_not_valid_any_more_keeps_no_other_version_back(old: dict[str, Any]) -> None:
    before = settings(a=old, b=kafka("faults"))
    assert sorted(feeds_in_force(before, REGISTRY)) == ["source-b"]
    assert new(before, settings(b=kafka("faults"))) == []
    assert new(before, settings(a=kafka("alarms"), b=kafka("faults"))) == ["source-a"]


def test_a_mute_of_a_version_with_such_a_source_begins_nothing() -> None:
    """It takes over the sources as they are; and a group that lost its offsets must stop, not start over."""
    before = settings(a=kafka("alarms", group="gone"), b=kafka("faults"))
    assert new(before, before) == []


def test_a_new_source_that_is_not_valid_is_refused() -> None:
    with pytest.raises(ValidationError, match="group"):
        new(settings(), settings(a=kafka("alarms", group="wrong")))
