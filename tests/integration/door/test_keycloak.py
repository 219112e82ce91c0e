"""The door believes a real identity provider: Keycloak, set up as docs/tokens.md says."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from andon.broker.errors import FetchError
from andon.config.settings import Settings
from andon.core.ports import Context
from andon.ingress.configured import clients_of
from andon.ingress.sources.http import HttpSource
from andon.ingress.tokens.providers import Providers
from andon.runtime.clock import SystemClock
from tests.component.ingress.stand import PLANT, Stand, standing
from tests.rig import keycloak
from tests.rig.keycloak import Keycloak, client

pytestmark = pytest.mark.long

LIFE_S = 15
FAULT = {"type": "machine.fault", "subject": "m7", "data": {}}
CLIENTS = [client("mes-client", "one", "andon"), client("wms-client", "two", "andon"), client("crm", "three", None)]


def test_client_credentials_of_keycloak_open_the_door(tmp_path: Path) -> None:
    """Its clients are known by their ids, its tokens for others are not taken, nor old ones, and its new keys are."""
    try:
        with keycloak.running(tmp_path / "keycloak", CLIENTS, LIFE_S) as provider:
            asyncio.run(_opened(tmp_path, provider))
    except FetchError as why:
        pytest.skip(str(why))


async def _opened(folder: Path, provider: Keycloak) -> None:
    providers = Providers(SystemClock())
    async with standing(folder) as stand:
        try:
            await _believing(stand, folder, provider, providers)
            token = provider.token("mes-client", "one")
            began = time.monotonic()
            assert await _post(stand, token) == 202
            assert stand.log.events[-1].source == "mes"
            assert await _post(stand, provider.token("wms-client", "two")) == 401, "nobody's source names this client"
            assert await _post(stand, provider.token("crm", "three")) == 401, "it is for another audience"
            head, body, signature = token.split(".")
            assert await _post(stand, f"{head}.{body}.{signature[:-8]}AAAAAAAA") == 401
            assert await _post(stand, token) == 202
            await asyncio.sleep(LIFE_S + 4 - (time.monotonic() - began))
            assert await _post(stand, token) == 401, "it has ended"
            assert await _post(stand, provider.token("mes-client", "one")) == 202
        finally:
            await providers.close()


async def _believing(stand: Stand, folder: Path, provider: Keycloak, providers: Providers) -> None:
    """Brings a configuration into force in which `mes` shows Keycloak's tokens."""
    clock = SystemClock()
    issuer = {"issuer": provider.issuer, "audience": "andon", "allow": ["127.0.0.1"], "leeway": 1.0}
    settings = Settings.model_validate({**PLANT, "access": {"issuers": {"plant": issuer}}})
    context = Context("mes", folder, clock, None)  # type: ignore[arg-type]  # nothing is called through it
    config = HttpSource.Config.model_validate({"oauth": {"issuer": "plant", "client": "mes-client"}})
    known = providers.of(settings, folder)
    stand.door.clients = clients_of({"mes": HttpSource(config, context)}, clock, settings.access, known)
    await providers.keep()


async def _post(stand: Stand, token: str) -> int:
    return (await stand.post(FAULT, authorization=f"Bearer {token}")).status_code
