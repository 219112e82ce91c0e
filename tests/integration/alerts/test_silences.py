"""The real amtool of Debian at the door: silences are added, queried, updated and expired, and alerts are listed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.component.ingress.stand import Stand, standing
from tests.component.ingress.test_door_silences import EPISODES, opened
from tests.integration.alerts.test_senders import needed

pytestmark = pytest.mark.long

Amtool = Callable[..., Awaitable[tuple[int, str, str]]]


def with_amtool(folder: Path, test: Callable[[Stand, Amtool], Awaitable[None]], token: str = "panel") -> None:
    needed("amtool", "prometheus-alertmanager")

    async def run() -> None:
        async with standing(folder) as stand:
            (folder / "http.yml").write_text(f"authorization: {{credentials: {token}}}\n", encoding="utf-8")
            door = f"--alertmanager.url=http://127.0.0.1:{stand.port}"
            # Without the check it does not say each time that its version and ours differ.
            words = ("amtool", door, "--http.config.file=http.yml", "--no-version-check")

            async def amtool(*more: str) -> tuple[int, str, str]:
                pipe = asyncio.subprocess.PIPE
                process = await asyncio.create_subprocess_exec(*words, *more, cwd=folder, stdout=pipe, stderr=pipe)
                out, err = await process.communicate()
                return process.returncode or 0, out.decode(), err.decode()

            await test(stand, amtool)

    asyncio.run(run())


async def silences(amtool: Amtool, *more: str) -> list[dict[str, Any]]:
    code, out, err = await amtool("-o", "json", "silence", "query", *more)
    assert code == 0, err
    found: list[dict[str, Any]] = json.loads(out)
    return found


def test_a_silence_of_amtool_is_a_mute_from_its_beginning_to_its_end(tmp_path: Path) -> None:
    async def test(stand: Stand, amtool: Amtool) -> None:
        add = ("silence", "add", "alertname=Hot", 'instance=~"m[0-9]+"', "line!=L4", "-c", "换轴承", "-a", "王工")
        code, out, err = await amtool(*add, "-d", "2h")
        assert (code, out.strip(), err) == (0, "m2", "")
        (mute,) = stand.configuration.mutes()
        assert mute.matchers == ('alertname="Hot"', 'instance=~"m[0-9]+"', 'line!="L4"')
        assert (mute.creator, mute.why, mute.then) == ("王工", "换轴承", "digest")
        assert (mute.ends - mute.begins).total_seconds() == pytest.approx(7_200, abs=5)

        (shown,) = await silences(amtool)
        assert (shown["id"], shown["status"]["state"], shown["createdBy"]) == ("m2", "active", "王工")
        assert [one["id"] for one in await silences(amtool, "alertname=Hot")] == ["m2"]
        assert await silences(amtool, "alertname=Cold") == []

        code, out, err = await amtool("-o", "json", "silence", "update", "m2", "-d", "4h", "-c", "再等等")
        assert (code, json.loads(out)[0]["id"]) == (0, "m2"), err
        (mute,) = stand.configuration.mutes()
        assert (mute.id, mute.why) == ("m2", "再等等")
        assert (mute.ends - mute.begins).total_seconds() == pytest.approx(14_400, abs=5)

        assert (await amtool("silence", "expire", "m2"))[0] == 0
        assert stand.configuration.mutes() == ()
        assert await silences(amtool) == []
        assert [one["status"]["state"] for one in await silences(amtool, "--expired")] == ["expired"]
        told = [(one.actor, one.client, one.action, one.on) for one in stand.configuration.actions if one.version]
        assert told == [
            ("王工", "grafana", "mute.create", "m2"),
            ("王工", "grafana", "mute.change", "m2"),
            ("grafana", "grafana", "mute.end", "m2"),
        ]

    with_amtool(tmp_path, test)


def test_what_is_refused_amtool_says_in_our_words(tmp_path: Path) -> None:
    async def test(stand: Stand, amtool: Amtool) -> None:
        code, _, err = await amtool("silence", "add", "type=disk", "-c", "x")
        assert code != 0
        assert "`type` is the type of the event here" in err
        code, _, err = await amtool("silence", "add", "a=b", "-c", "x", "-d", "400d")
        assert code != 0
        assert "366 days at most" in err
        assert (await amtool("silence", "expire", "m9"))[0] != 0
        assert stand.configuration.mutes() == ()

    with_amtool(tmp_path, test)


def test_without_the_right_amtool_changes_nothing(tmp_path: Path) -> None:
    async def test(stand: Stand, amtool: Amtool) -> None:
        for words in (
            ("silence", "add", "a=b", "-c", "x"),
            ("silence", "query"),
            ("alert", "query"),
            ("config", "show"),
        ):
            code, _, err = await amtool(*words)
            assert code != 0
            assert "403" in err, words
        assert stand.configuration.mutes() == ()

    with_amtool(tmp_path, test, token="scrape")


def test_amtool_lists_what_is_open_and_shows_who_we_are(tmp_path: Path) -> None:
    async def test(stand: Stand, amtool: Amtool) -> None:
        assert stand.configuration.board.newest
        stand.configuration.configure(EPISODES)
        stand.open = [opened("Hot", instance="m8"), opened("Down", instance="m7")]
        code, out, err = await amtool("-o", "json", "alert", "query")
        assert (code, sorted(one["labels"]["alertname"] for one in json.loads(out))) == (0, ["Down", "Hot"]), err
        assert (await amtool("silence", "add", "alertname=Hot", "-c", "x"))[0] == 0
        _, out, _ = await amtool("-o", "json", "alert", "query", "--silenced")
        assert [(one["labels"]["alertname"], one["status"]["silencedBy"]) for one in json.loads(out)] == [
            ("Hot", ["m3"])
        ]
        code, out, _ = await amtool("config", "show")
        assert code == 0
        (tmp_path / "shown.yml").write_text(out, encoding="utf-8")
        assert (await amtool("check-config", "shown.yml"))[0] == 0, "what is shown is a configuration to Alertmanager"

    with_amtool(tmp_path, test)
