"""A small configuration and a cache of the test's own."""

from collections.abc import Callable
from pathlib import Path

import pytest

from andon.cli.running import plan
from andon.config.load import load

CONFIG = """
version: 1
{listen}
kafka: {{bootstrap: "{kafka}"}}
channels: {{robot: {{kind: wecom_robot, keys: [env:ROBOT_1, env:ROBOT_2], base_url: "http://127.0.0.1:8720"}}}}
sources: {{plant: {{kind: http, token: env:PLANT_TOKEN}}}}
receivers: {{group: {{channel: robot}}}}
route: {{receiver: group}}
"""
TRACKER = """
ticket_systems: {issues: {kind: roundup, url: "http://127.0.0.1:8730/tracker/", password: env:TRACKER_PASSWORD}}
episodes: {fault: {ticket_system: issues}}
"""

Configure = Callable[..., Path]


@pytest.fixture
def configure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Configure:
    """Writes a configuration; plug-ins are not looked at."""
    monkeypatch.setenv("ANDON_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(plan, "checked", load)
    for secret in ("ROBOT_1", "ROBOT_2", "PLANT_TOKEN", "TRACKER_PASSWORD"):
        monkeypatch.setenv(secret, "there")

    def write(door: int | None = None, *, kafka: str = "kafka-1:9092", tickets: bool = False) -> Path:
        file = tmp_path / "config" / "andon.yaml"
        file.parent.mkdir(exist_ok=True)
        listen = f'listen: {{address: "127.0.0.1:{door}"}}' if door else ""
        file.write_text(CONFIG.format(listen=listen, kafka=kafka) + (TRACKER if tickets else ""))
        return file

    return write
