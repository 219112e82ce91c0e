"""The real Keycloak: fetched once from a Maven repository into the user's cache and pinned by its hash.

Source of its commands and of the realm's file: keycloak.org/server/importExport and keycloak.org/server/configuration.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import urllib.request
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from andon.broker import download, java
from andon.broker.jars import Jar
from tests.rig.client import wait_for
from tests.rig.ports import free_port

VERSION = "26.5.6"
READY_S = 180.0
REALM = "plant"


class _Distribution(Jar):
    """It lies in a Maven repository as jars do, in another form."""

    @property
    def name(self) -> str:
        return super().name.replace(".jar", ".zip")


DISTRIBUTION = _Distribution(
    "org.keycloak",
    "keycloak-quarkus-dist",
    VERSION,
    "490189d9dff05272432d51f71a069462eeca97f2920a694d539a1e6c26a5a347",
    164_620_457,
)


class Keycloak:
    """A running one, with one realm; `issuer` is its address."""

    def __init__(self, port: int) -> None:
        self.issuer = f"http://127.0.0.1:{port}/realms/{REALM}"

    def ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.issuer}/.well-known/openid-configuration", timeout=5):
                return True
        except OSError:
            return False

    def token(self, client: str, secret: str) -> str:
        """An access token by the grant of client credentials."""
        form = f"grant_type=client_credentials&client_id={client}&client_secret={secret}"
        address = f"{self.issuer}/protocol/openid-connect/token"
        with urllib.request.urlopen(address, form.encode(), timeout=60) as answer:
            return str(json.load(answer)["access_token"])


def client(name: str, secret: str, audience: str | None) -> dict[str, Any]:
    """A program's account, as a person makes it by docs/tokens.md; its tokens are for `audience`."""
    mapper = {
        "name": "audience",
        "protocol": "openid-connect",
        "protocolMapper": "oidc-audience-mapper",
        "config": {"included.custom.audience": audience, "access.token.claim": "true"},
    }
    return {
        "clientId": name,
        "secret": secret,
        "publicClient": False,
        "serviceAccountsEnabled": True,
        "standardFlowEnabled": False,
        "directAccessGrantsEnabled": False,
        "protocolMappers": [mapper] if audience else [],
    }


@contextmanager
def running(folder: Path, clients: Sequence[Mapping[str, Any]], lifespan_s: int = 300) -> Iterator[Keycloak]:
    """One that lives as long as the block, with these clients; its tokens live for `lifespan_s`. Raises
    FetchError where it cannot be had."""
    (distribution,) = download.fetch([DISTRIBUTION])
    with zipfile.ZipFile(distribution) as archive:
        archive.extractall(folder)
    home, port = folder / f"keycloak-{VERSION}", free_port()
    realm = {"realm": REALM, "enabled": True, "accessTokenLifespan": lifespan_s, "clients": list(clients)}
    (home / "data" / "import").mkdir(parents=True)
    (home / "data" / "import" / f"{REALM}-realm.json").write_text(json.dumps(realm), encoding="utf-8")
    log = folder / "keycloak.log"
    words = ("sh", "bin/kc.sh", "start-dev", "--http-host=127.0.0.1", f"--http-port={port}", "--import-realm")
    environment = {
        **os.environ,
        "KC_CACHE": "local",
        "JAVA_HOME": str(java.find().path.resolve().parent.parent),
        # It is killed, and would leave its files among those of the system.
        "JAVA_OPTS_APPEND": f"-XX:-UsePerfData -Djava.io.tmpdir={folder}",
    }
    with log.open("wb") as out:
        # It builds itself in a process of its own before it starts: they end together.
        process = subprocess.Popen(words, cwd=home, env=environment, stdout=out, stderr=out, start_new_session=True)
    one = Keycloak(port)
    try:
        assert wait_for(lambda: one.ready() or process.poll() is not None, READY_S), log.read_text(errors="replace")
        assert process.poll() is None, log.read_text(errors="replace")
        yield one
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)
