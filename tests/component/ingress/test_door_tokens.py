"""Signed tokens over real HTTP: the door, and a provider that rotates its keys, is down, is slow or lies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from andon.config.settings import Settings
from andon.core.ports import Context
from andon.ingress.configured import clients_of
from andon.ingress.sources.http import HttpSource
from andon.ingress.tokens.own import made, new_key
from andon.ingress.tokens.providers import Providers
from andon.runtime.clock import SystemClock
from tests.component.ingress.stand import PLANT, Stand, standing
from tests.component.ingress.test_door_http import FAULT, problem
from tests.rig.oidc import SECRET, Key, Provider

CLIENT = "mes-client"
INVALID = 'Bearer error="invalid_token", Basic realm="andon"'


class Opened:
    """A door that believes a provider, and itself."""

    def __init__(self, stand: Stand, providers: Providers, folder: Path) -> None:
        self.stand = stand
        self.providers = providers
        self.folder = folder

    async def take(self, access: Mapping[str, Any]) -> None:
        """Brings a configuration into force, as the service does."""
        clock = SystemClock()
        settings = Settings.model_validate({**PLANT, "access": access})
        known = self.providers.of(settings, self.folder)
        oauth = {"issuer": "plant", "client": CLIENT}
        context = Context("mes", self.folder, clock, None)  # type: ignore[arg-type]  # nothing is called through it
        by = {"oauth": oauth} if access.get("issuers") else {"token": f"file:{self.folder / 'mes'}"}
        sources = {"mes": HttpSource(HttpSource.Config.model_validate(by), context)}
        self.stand.door.clients = clients_of(sources, clock, settings.access, known)
        await self.providers.keep()

    async def post(self, token: str) -> httpx2.Response:
        return await self.stand.post({"type": "t"}, authorization=f"Bearer {token}")


def access(provider: Provider, **settings: Any) -> dict[str, Any]:
    issuer = {"issuer": provider.issuer, "audience": "andon", "allow": ["127.0.0.1"]} | settings
    return {"issuers": {"plant": issuer}}


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[tuple[Opened, Provider]]:
    providers = Providers(SystemClock())
    async with Provider().running() as provider, standing(folder) as stand:
        try:
            yield Opened(stand, providers, folder), provider
        finally:
            await providers.close()


def test_client_credentials_open_the_door(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path) as (door, provider):
            await door.take(access(provider))
            form = {"grant_type": "client_credentials", "client_id": CLIENT, "client_secret": SECRET}
            granted = await door.stand.client.post(f"{provider.issuer}/token", data=form)
            token = granted.json()["access_token"]
            answer = await door.stand.post(FAULT, authorization=f"Bearer {token}")
            assert (answer.status_code, answer.json()) == (202, {"id": "E-1"})
            assert (await door.post(token)).status_code == 202
            assert door.stand.log.events[0].source == "mes"
            assert provider.asked["/keys"] == 1

    asyncio.run(run())


def test_a_rotation_at_the_provider_needs_nobody_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("andon.ingress.tokens.provider.APART_S", 0.0)

    async def run() -> None:
        async with opened(tmp_path) as (door, provider):
            await door.take(access(provider))
            before = provider.token(CLIENT)
            assert (await door.post(before)).status_code == 202
            provider.rotate()
            assert (await door.post(provider.token(CLIENT))).status_code == 202
            assert (await door.post(before)).status_code == 202
            provider.rotate(keep=False)
            assert (await door.post(provider.token(CLIENT))).status_code == 202
            problem(await door.post(before), 401, "unauthorised", "Authorization")

    asyncio.run(run())


def test_a_refusal_says_no_more_than_is_needed(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path) as (door, provider):
            await door.take(access(provider))
            assert (await door.post(provider.token(CLIENT))).status_code == 202
            wrong = [
                provider.token(CLIENT, aud="other"),
                provider.token(CLIENT, header={"alg": "none"}),
                provider.token(CLIENT, header={"kid": "unknown"}),
                provider.token(CLIENT, key=Key.made("RS256", 99)),
                provider.token("other"),
                "alpha",
            ]
            answers = [await door.post(token) for token in wrong]
            assert {answer.content for answer in answers} == {answers[0].content}, "all in the same words"
            for answer in answers:
                body = problem(answer, 401, "unauthorised", "Authorization")
                assert body["detail"] == "show a valid bearer token"
                assert answer.headers["www-authenticate"] == INVALID
            expired = await door.post(provider.token(CLIENT, iat=1_000, nbf=1_000, exp=2_000))
            assert problem(expired, 401, "unauthorised", "Authorization")["detail"] == "the token has expired"
            assert expired.headers["www-authenticate"] == INVALID
            for other in ("", "Basic bWVzOmFscGhh"):
                nothing = await door.stand.post(FAULT, authorization=other)
                problem(nothing, 401, "unauthorised", "Authorization")
                assert nothing.headers["www-authenticate"] == 'Bearer, Basic realm="andon"', (
                    "no error: no token was shown (RFC 6750, 3.1)"
                )
            assert door.stand.counts.no == {"unauthorised": 9}
            assert [event.source for event in door.stand.log.events] == ["mes"]

    asyncio.run(run())


def test_the_keys_outlive_a_version_that_comes_from_another_folder(tmp_path: Path) -> None:
    """Only the file of an authority is looked for there."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "mes").write_text("alpha")

    async def run() -> None:
        async with opened(tmp_path) as (door, provider):
            await door.take(access(provider))
            assert (await door.post(provider.token(CLIENT))).status_code == 202
            door.folder, provider.down = other, True
            await door.take(access(provider))
            assert (await door.post(provider.token(CLIENT))).status_code == 202

    asyncio.run(run())


@pytest.mark.parametrize("trouble", ["down", "gone", "lies", "elsewhere"])
def test_a_provider_in_trouble_is_503_for_who_comes_new_and_nothing_for_who_was_here(
    trouble: str, tmp_path: Path
) -> None:
    async def run() -> None:
        async with standing(tmp_path) as stand:
            providers = Providers(SystemClock())
            door = Opened(stand, providers, tmp_path)
            async with Provider().running() as provider:
                here = provider.token(CLIENT)
                await door.take(access(provider))
                assert (await door.post(here)).status_code == 202
                # The same provider, as a door sees it that has not read its keys yet.
                provider.down = trouble == "down"
                provider.claimed = "https://elsewhere.example" if trouble == "lies" else None
                allow = ["10.0.0.0/8"] if trouble == "elsewhere" else ["127.0.0.1"]
                if trouble != "gone":
                    assert (await door.post(here)).status_code == 202
                    await comes_new(door, provider, allow)
            if trouble == "gone":
                assert (await door.post(here)).status_code == 202
                await comes_new(door, provider, allow)
            await providers.close()

    async def comes_new(door: Opened, provider: Provider, allow: list[str]) -> None:
        await door.take(access(provider, allow=allow, leeway="31s"))
        answer = await door.post(provider.token(CLIENT))
        problem(answer, 503, "unavailable")
        assert answer.headers["retry-after"] == "10"

    asyncio.run(run())


def test_a_slow_provider_holds_up_those_who_need_it_alone(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path) as (door, provider):
            provider.held = asyncio.Event()
            key = new_key()
            (tmp_path / "key").write_text(key)
            await door.take(access(provider) | {"tokens": {"key": f"file:{tmp_path / 'key'}"}})
            waiting = [asyncio.ensure_future(door.post(provider.token(CLIENT))) for _ in range(5)]
            ours = made(key, "mes", "andon", SystemClock().now(), 60).token
            assert (await door.post(ours)).status_code == 202
            assert not any(one.done() for one in waiting)
            provider.held.set()
            assert [answer.status_code for answer in await asyncio.gather(*waiting)] == [202] * 5
            assert provider.asked["/keys"] == 1

    asyncio.run(run())


def test_a_change_of_the_configuration_keeps_the_keys_of_who_is_still_in_it(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path) as (door, provider):
            await door.take(access(provider))
            token = provider.token(CLIENT)
            assert (await door.post(token)).status_code == 202
            await door.take(access(provider))
            assert (await door.post(token)).status_code == 202
            assert provider.asked["/keys"] == 1
            await door.take(access(provider, audience="other"))
            problem(await door.post(token), 401, "unauthorised", "Authorization")
            assert (await door.post(provider.token(CLIENT, aud="other"))).status_code == 202
            await door.take({})
            problem(await door.post(provider.token(CLIENT, aud="other")), 401, "unauthorised", "Authorization")
            assert (await door.stand.post(FAULT)).status_code == 202, "by the fixed token"

    asyncio.run(run())
