"""The proxy of the site and of a channel: how it is written, what is refused, and which one a channel gets."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from andon.config.plugs import CHANNELS, ChannelPlug
from andon.config.proxies import proxy_of
from andon.config.published import Published, bundle, published, unbundle
from andon.core.policy import Limit
from andon.core.ports import Way
from andon.egress.receivers import Receivers
from andon.runtime.registry import Registry
from andon.testing.clock import ManualClock
from andon.web.wire import HttpWire
from tests.config.plant import Paper, changed, read, said

SITE = "http://10.0.8.3:3128"
FORM = "a proxy is written as http://host:port, its account as `user` and `password` beside `url`"


class Printer(Paper):
    class Config(Paper.Config):
        def limits(self) -> tuple[Limit, ...]:
            return ()

        def lines(self) -> int:
            return 1

    async def close(self) -> None:
        pass


def test_a_proxy_is_an_address_or_a_map_with_an_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROXY_USER", "andon")
    monkeypatch.setenv("PROXY_PASSWORD", "geheim")
    account = f'{{url: "{SITE}", user: env:PROXY_USER, password: env:PROXY_PASSWORD}}'
    loaded = read(tmp_path, changed("name: 二号厂", f"name: 二号厂, proxy: {account}"))
    assert said(loaded) == []
    assert "geheim" not in repr(loaded.settings)
    proxy = proxy_of(loaded.settings.site.proxy)
    assert proxy
    assert (proxy.host, proxy.port) == ("10.0.8.3", 3128)
    assert proxy.account
    assert proxy.account() == ("andon", "geheim")
    plain = proxy_of(SITE)
    assert plain
    assert (plain.host, plain.port, plain.account) == ("10.0.8.3", 3128, None)
    assert proxy_of(None) is None


@pytest.mark.parametrize(
    ("written", "mistake"),
    [
        ('"https://10.0.8.3:3128"', FORM),
        ('"10.0.8.3:3128"', FORM),
        ('"http://10.0.8.3"', FORM),
        ('"http://10.0.8.3:3128/path"', FORM),
        ('"http://wang@10.0.8.3:3128"', FORM),
        (f'{{url: "{SITE}"}}', "is missing"),
        (f'{{url: "{SITE}", user: wang, password: env:P}}', "a secret is written as env:NAME or file:/path"),
        ("5", "must be"),
    ],
)
@pytest.mark.parametrize("place", ["name: 二号厂", "keys: [env:PRINTER]"])
def test_what_is_no_proxy_is_said(written: str, mistake: str, place: str, tmp_path: Path) -> None:
    mistakes = said(read(tmp_path, changed(place, f"{place}, proxy: {written}")))
    assert any(mistake in text for text in mistakes), mistakes
    assert "wang" not in "".join(mistakes)


def test_a_channels_proxy_is_no_key_of_its_plug_in_and_survives_publishing(tmp_path: Path) -> None:
    loaded = read(tmp_path, changed("keys: [env:PRINTER]", "keys: [env:PRINTER], proxy: none"))
    assert said(loaded) == []
    printer = ChannelPlug(kind="paper", options={"keys": ["env:PRINTER"]}, proxy="none")
    assert loaded.settings.channels["printer"] == printer
    assert unbundle(bundle(published(loaded, 1, "test", datetime.now(UTC)))).settings == loaded.settings


def test_only_channels_have_one(tmp_path: Path) -> None:
    mistakes = said(read(tmp_path, changed("key: machine_no}", "key: machine_no, proxy: none}")))
    assert [text for text in mistakes if "`proxy` is not in this version" in text]


@pytest.mark.parametrize(
    ("written", "port"), [("", 3128), (", proxy: none", None), (', proxy: "http://10.0.8.4:8080"', 8080)]
)
def test_each_channel_gets_its_own_way(written: str, port: int | None, tmp_path: Path) -> None:
    loaded = read(tmp_path, changed("keys: [env:PRINTER]", f"keys: [env:PRINTER]{written}"))
    published = Published(1, datetime.now(UTC), "test", "/", loaded.settings, {})

    async def scene() -> list[Way]:
        wire = HttpWire(Way(proxy=proxy_of(SITE)))
        receivers = Receivers(published, Registry({CHANNELS: {"paper": Printer}}), wire, ManualClock())
        ways = [receivers[name].channel.context.wire.way for name in ("office", "shift")]  # type: ignore[attr-defined]
        await receivers.close()
        await wire.close()
        return ways

    printer, robot = asyncio.run(scene())
    assert (printer.proxy.port if printer.proxy else None) == port
    assert robot.proxy
    assert robot.proxy.port == 3128
