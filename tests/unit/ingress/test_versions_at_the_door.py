"""A version of the configuration comes into force at the door whole, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from andon.config.access import Access
from andon.config.kafka import Kafka
from andon.config.published import Published
from andon.config.settings import Settings
from andon.ingress.app import Ingress
from andon.ingress.feeds import Feeds
from andon.kafka.connection import Connection
from andon.runtime.host import Host, Options
from andon.runtime.stage import StageSettings
from andon.testing.clock import ManualClock

NOBODY = "127.0.0.1:1"
MES = {"mes": {"kind": "http", "token": "env:MES"}}


def version(number: int, folder: Path, sources: dict[str, Any], **more: Any) -> Published:
    settings = Settings.model_validate({"version": 1, "sources": sources, "route": {"receiver": "it"}, **more})
    return Published(number, datetime(2026, 11, 27, tzinfo=UTC), "", str(folder), settings, {})


def at_the_door(folder: Path, steps: Callable[[Ingress, Host], Awaitable[None]]) -> None:
    """A door that has version 1, and no Kafka."""

    async def main() -> None:
        options = Options("ingress", Kafka(), NOBODY, folder)
        host = Host(options, Connection(NOBODY), version(1, folder, MES), ManualClock())
        door = Ingress(host)
        await door._changed(host.published)
        host.on_change(door._changed)
        try:
            await steps(door, host)
        finally:
            await door._feeds.close()
            await door._pulse.close()
            await door._providers.close()
            door._index.close()

    asyncio.run(main())


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def name_for(door: Ingress, token: str) -> str | None:
    found = door._door.clients.find(f"Bearer {token}")
    return found.name if found else None


@pytest.fixture(autouse=True)
def _tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MES", "alpha")
    monkeypatch.setenv("ERP", "beta")


def test_a_source_without_its_secret_keeps_no_version_from_coming_into_force(tmp_path: Path) -> None:
    async def steps(door: Ingress, host: Host) -> None:
        other = {"kind": "http", "token": "env:NOT_SET"}
        await host.take(version(2, tmp_path, {**MES, "other": other}))
        await host.take(version(3, tmp_path, {**MES, "other": other, "erp": {"kind": "http", "token": "env:ERP"}}))
        assert host.published.version == 3
        assert b'\nandon_config_version{service="ingress"} 3.0\n' in host.metrics.text()
        assert (name_for(door, "alpha"), name_for(door, "beta")) == ("mes", "erp")

    at_the_door(tmp_path, steps)


def test_a_signing_key_that_is_not_there_costs_no_client_with_a_token_of_its_own(tmp_path: Path) -> None:
    async def steps(door: Ingress, host: Host) -> None:
        await host.take(version(2, tmp_path, MES, access=Access.model_validate({"tokens": {"key": "env:NOT_SET"}})))
        assert (host.published.version, name_for(door, "alpha")) == (2, "mes")

    at_the_door(tmp_path, steps)


@pytest.mark.parametrize("late", [False, True])
def test_of_a_version_that_is_refused_nothing_is_in_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, late: bool
) -> None:
    """Two clients with one token are found out early; what is expected of sources, at the end."""

    async def steps(door: Ingress, host: Host) -> None:
        before = door._configuration.newest(), door._door.clients, door._door.callbacks, door._expectations._published
        asked = dict(door._gate._rates)
        changed = {"mes": {**MES["mes"], "rate": "1/m"}, "erp": {"kind": "http", "token": "env:ERP"}}
        if late:
            monkeypatch.setattr("andon.ingress.expected.expectations.expected_of", _broken)
        else:
            monkeypatch.setenv("ERP", "alpha")
        await host.take(version(2, tmp_path, changed))
        assert host.published.version == 1
        assert b'\nandon_config_version{service="ingress"} 1.0\n' in host.metrics.text(), (
            "whoever looks sees that the newest is not in force"
        )
        assert before == (
            door._configuration.newest(),
            door._door.clients,
            door._door.callbacks,
            door._expectations._published,
        )
        assert door._gate._rates == asked

    at_the_door(tmp_path, steps)


def _broken(*_: object) -> Any:
    raise ValueError("no such interval")


class Reader:
    """In place of what joins a group of Kafka."""

    def __init__(self, settings: StageSettings[Any], *_: object) -> None:
        assert settings.elsewhere is not None
        self.assigned = settings.elsewhere.security["sasl.password"] == "hidden"

    async def run(self, stop: asyncio.Event) -> None:
        await stop.wait()

    async def connected(self) -> bool:
        return True


def test_a_topic_whose_password_is_missing_is_read_once_it_is_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("andon.ingress.feeds.StageRunner", Reader)
    password = tmp_path / "password"
    sasl = {"user": "env:MES", "password": f"file:{password}"}
    lake = {"kind": "kafka", "topic": "alarms", "bootstrap": NOBODY, "sasl": sasl}

    async def steps(door: Ingress, host: Host) -> None:
        await host.take(version(2, tmp_path, {**MES, "lake": lake}))
        assert host.published.version == 2
        feeds: Feeds = door._feeds
        await settle()
        assert feeds.assigned, "the door is ready for all others"
        assert not await feeds.links()["lake"]()
        (said,) = [one for one in caplog.messages if "lake" in one]
        assert said.startswith("the source lake: its topic is not read until its secret is there: the secret file ")
        password.write_text("hidden", encoding="utf-8")
        host.clock.advance(6)  # type: ignore[attr-defined]  # a ManualClock
        await settle()
        assert feeds.assigned
        assert await feeds.links()["lake"]()
        assert len([one for one in caplog.messages if "lake" in one]) == 1

    at_the_door(tmp_path, steps)
