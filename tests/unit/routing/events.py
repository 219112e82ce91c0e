"""Events and settings for the tests of routing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from andon.config.settings import Settings
from andon.core.event import Event, Position

TUESDAY_NOON = datetime(2023, 11, 14, 4, 0, tzinfo=UTC)  # 12:00 in Shanghai


def event(
    kind: str = "machine.fault",
    subject: str = "line-3/M-07",
    *,
    at: datetime = TUESDAY_NOON,
    **parts: Any,
) -> Event:
    parts.setdefault("data", {})
    position = Position("andon.events", 3, 41, int(at.timestamp() * 1000))
    return Event("e-1", "mes", kind, subject, at, origin=(position,), **parts)


def settings(route: dict[str, Any], **sections: Any) -> Settings:
    return Settings.model_validate({"version": 1, "route": route, **sections})


def receivers(*names: str, **special: dict[str, Any]) -> dict[str, Any]:
    return {
        **{name: {"channel": "c"} for name in names},
        **{name: {"channel": "c", **s} for name, s in special.items()},
    }
