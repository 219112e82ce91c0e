"""At full load a robot keeps to its vendor's limits and uses them: no throttle, and 95 % of what is legal."""

from __future__ import annotations

from math import inf
from uuid import UUID

import pytest

from andon.dev.standin import Counts
from andon.runtime.desk.limiter import Line
from andon.testing.builders import call
from tests.component.robots.stand import ACCOUNT, ENVIRONMENT, Place, scene

MINUTES = 20
LATENCY_S = 0.05


@pytest.mark.parametrize(("kind", "a_minute"), [("dingtalk", 20), ("feishu", 100)])
def test_full_load_is_never_throttled(monkeypatch: pytest.MonkeyPatch, kind: str, a_minute: int) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)

    async def play(place: Place) -> Counts:
        channel = place.channel()
        limits = type(channel).Config.model_validate(_options(kind)).limits()  # type: ignore[attr-defined]
        line, clock = Line(), place.clock
        ends, number = clock.now() + MINUTES * 60, 0
        while clock.now() < ends:
            if not line.free(limits, clock.now()):
                when = line.next_free(limits, clock.now())
                assert when < inf
                clock.advance(max(when - clock.now(), 0.001))
                continue
            line.begin()
            number += 1
            await channel.send(call(f"{number}", delivery=UUID(int=number)))
            clock.advance(LATENCY_S)
            line.end(clock.now(), counts=True)
        return place.standin.counts[ACCOUNT]

    counts = scene(kind, play)
    assert counts.refused == {}
    assert counts.accepted >= 0.95 * a_minute * MINUTES


def _options(kind: str) -> dict[str, object]:
    word = "token" if kind == "dingtalk" else "hook"
    return {"robots": [{word: "env:ROBOT", "secret": "env:ROBOT_SECRET"}]}
