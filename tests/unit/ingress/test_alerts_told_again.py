"""Prometheus tells a firing alert again every minute, through whichever door: for the desks it stays one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import msgspec

from andon.core.event import Event
from andon.core.ports import Context, Inbound, Wire
from andon.ingress.sources.alertmanager import AlertmanagerSource
from andon.runtime.desk.work import fingerprint
from andon.testing.clock import ManualClock

LABELS = {"alertname": "Hot", "instance": "m7:9100"}
BEGAN = "2026-11-26T04:00:00Z"


def _told(**more: Any) -> Event:
    """What another door makes of it."""
    clock = ManualClock(1_795_665_600.0)
    config = AlertmanagerSource.Config.model_validate({"token": "env:T"})
    source = AlertmanagerSource(config, Context("prometheus", Path(), clock, cast("Wire", None)))
    body = msgspec.json.encode([{"labels": LABELS, "startsAt": BEGAN, **more}])
    (event,) = source.parse(Inbound("prometheus", {}, body))
    return event


def test_an_alert_told_again_with_a_later_end_and_another_value_is_the_same_news() -> None:
    first = _told(endsAt="2026-11-26T04:04:00Z", annotations={"summary": "81 °C"}, generatorURL="http://p1/graph")
    again = _told(endsAt="2026-11-26T04:05:00Z", annotations={"summary": "84 °C"}, generatorURL="http://p2/graph")
    assert first.data != again.data
    assert first.id == again.id
    assert fingerprint(first) == fingerprint(again)


def test_other_content_under_an_id_that_its_client_gave_is_other_news() -> None:
    event = msgspec.structs.replace(_told(), id="order-4711", type="order.late", data={"days": 1})
    assert fingerprint(event) != fingerprint(msgspec.structs.replace(event, data={"days": 2}))
