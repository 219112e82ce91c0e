"""How a test steers the sink, a process of its own (`sink.py`). Imports nothing of Andon."""

from __future__ import annotations

import json
from collections.abc import Mapping

from tests.rig.client import wait_for
from tests.rig.watch import get

ANSWERS_S = 60.0


class SinkSilent(AssertionError):  # noqa: N818 - a finding about the rig
    """The sink does not answer the test."""


class Steering:
    """Each request is made until it is answered: a machine that stands still must not leave the sink as it was."""

    def __init__(self, port: int) -> None:
        self._port = port

    def do(self, **behaviour: Mapping[str, object]) -> None:
        """Switches the robots named to a behaviour of the sink; `all` names every one."""
        body = {("*" if name == "all" else f"key-{name}"): do for name, do in behaviour.items()}
        self._ask("/_do", "POST", json.dumps(body).encode())

    def well(self) -> None:
        """Every robot answers again."""
        self._ask("/_do", "DELETE")

    def now(self) -> dict[str, int]:
        """Its counts: `waiting` calls, connections `open`, `most_open`, and `calls` at all."""
        return self._ask("/_now")

    def _ask(self, path: str, method: str = "GET", body: bytes | None = None) -> dict[str, int]:
        answers: list[bytes] = []

        def answered() -> bool:
            status, content = get(self._port, path, method, body)
            answers.append(content)
            return status == 200

        if not wait_for(answered, ANSWERS_S, every_s=0.005):
            raise SinkSilent
        return dict(json.loads(answers[-1]))
