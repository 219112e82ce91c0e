"""A plant whose desk can have its store in PostgreSQL, and its processes on other hosts."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.rig.hosts import Host
from tests.rig.plant import Plant
from tests.rig.postgres import Postgres
from tests.rig.watch import Store, get


class PostgresPlant(Plant):
    """It begins on SQLite; `move_store` brings it to a new database of `server`, which runs."""

    def __init__(self, home: Path, server: Postgres) -> None:
        super().__init__(home)
        self.server = server
        self._address = ""
        self._hosts: dict[str, Host] = {}
        self._database = ExitStack()
        self._environment["CHAOS_STORE"] = f"sqlite:///{home / 'store'}"

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self._database.close()

    def write_config(self, text: str | None = None) -> None:
        super().write_config(text)
        with self.config.open("a", encoding="utf-8") as file:
            file.write("store: {url: env:CHAOS_STORE}\n")

    @property
    def store(self) -> Store:
        return self._address.replace("+psycopg", "") or super().store

    def move_store(self) -> subprocess.CompletedProcess[str]:
        """Moves the desk's store to PostgreSQL, as a person does; what is started from here on uses it there."""
        old = self._environment["CHAOS_STORE"]
        new = self.server.url(self._database.enter_context(self.server.database()))
        argv = [sys.executable, "-m", "andon.cli.main", "store", "migrate", old, "env:CHAOS_TARGET"]
        env = {**self._environment, "CHAOS_TARGET": new}
        done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False, timeout=120)
        self._address = self._environment["CHAOS_STORE"] = new
        return done

    def without_store(self, pid: int, since: float) -> None:
        """Notes that a process that has ended could store nothing since then."""
        self._spans.setdefault(pid, []).append((since, time.time()))

    def place(self, name: str, host: Host | None) -> None:
        """Where a process runs when it is next started; None means here."""
        self._hosts.pop(name, None)
        if host is not None:
            self._hosts[name] = host

    def _spawn(self, name: str, argv: Sequence[str]) -> subprocess.Popen[bytes]:
        host = self._hosts.get(name)
        return super()._spawn(name, [*host.inside, *argv, "--metrics-address", host.address] if host else argv)

    def ready(self, name: str) -> bool:
        host = self._hosts.get(name)
        return get(self.ports[name], "/readyz", host=host.address)[0] == 200 if host else super().ready(name)
