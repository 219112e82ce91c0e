"""What tests of signed tokens stand on: a door's clients, and a provider that answers without a network."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from andon.config.access import Issuer
from andon.core.failure import Retryable
from andon.core.ports import Context, Reply, Way
from andon.core.reason import Reason
from andon.ingress.entry.clients import Clients
from andon.ingress.sources.http import HttpSource
from andon.ingress.tokens.own import Own
from andon.ingress.tokens.provider import Provider
from andon.testing.clock import ManualClock
from tests.rig import oidc

CLIENT = "mes-client"


class NoNetwork:
    """`core.ports.Wire` to a stand-in: its answers, and no connections. `gone` breaks them, `held` keeps them back."""

    def __init__(self, standin: oidc.Provider) -> None:
        self.standin = standin
        self.gone = False
        self.held: asyncio.Event | None = None
        self.closed = False

    @property
    def way(self) -> Way:
        return Way()

    def apart(self, _way: Way, /) -> Self:
        return self

    async def request(
        self,
        method: str,
        url: str,
        /,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        deadline: float = 15.0,
    ) -> Reply:
        path = urlsplit(url).path.removeprefix(oidc.PATH)
        self.standin.asked[path] += 1
        if self.held is not None:
            await self.held.wait()
        if self.gone:
            raise Retryable(Reason.NOT_SENT, "no connection")
        status, answer = self.standin.answer(method, path, body)
        text = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        return Reply(status, text, {name.lower(): value for name, value in self.standin.headers.items()})

    async def connect(self, _host: str, _port: int, /, *, deadline: float = 15.0) -> Any:
        raise AssertionError("nobody connects here")

    async def close(self) -> None:
        self.closed = True


class Stand:
    """The clients of a door: `mes` by a token of the provider, `erp` by a fixed one, `beta`, and by one of ours."""

    def __init__(
        self, folder: Path, standin: oidc.Provider | None = None, *, own: Own | None = None, **settings: Any
    ) -> None:
        self.clock = ManualClock()
        self.standin = standin or oidc.Provider()
        self.standin.now = self.clock.now
        self.wire = NoNetwork(self.standin)
        issuer = Issuer.model_validate({"issuer": self.standin.issuer, "audience": oidc.AUDIENCE} | settings)
        self.provider = Provider("plant", issuer, self.wire, self.clock)
        (folder / "beta").write_text("beta", encoding="utf-8")
        context = Context("x", folder, self.clock, self.wire)
        sources = {
            "mes": HttpSource(
                HttpSource.Config.model_validate({"oauth": {"issuer": "plant", "client": CLIENT}}), context
            ),
            "erp": HttpSource(HttpSource.Config.model_validate({"token": f"file:{folder / 'beta'}"}), context),
        }
        self.clients = Clients(sources, self.clock, {"plant": self.provider}, own)

    async def shows(self, token: str) -> str:
        """The client that comes in with it. Raises Untrusted, KeysUnknown."""
        header = f"Bearer {token}"
        found = self.clients.find(header) or await self.clients.prove(header)
        assert found
        return found.name

    def known(self, token: str) -> str | None:
        """The client that comes in without anything being proved."""
        found = self.clients.find(f"Bearer {token}")
        return found.name if found else None


def run(what: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(what, 60))
