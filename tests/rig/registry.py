"""A real schema registry with Confluent's API: Apicurio, fetched once into the user's cache and pinned."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from andon.broker.download import fetch
from andon.broker.jars import Jar
from andon.broker.java import find
from andon.broker.locks import cache_dir, locked
from andon.runtime import launch
from tests.rig.ports import free_port

_START_S = 120.0
_API = "/apis/ccompat/v7"


@dataclass(frozen=True)
class _Archive(Jar):
    """The whole program, as its project publishes it beside the jar of the same name."""

    @property
    def name(self) -> str:
        return f"{self.artifact}-{self.version}-all.tar.gz"


APICURIO = _Archive(
    "io.apicurio",
    "apicurio-registry-app",
    "3.0.9",
    "2b28181501a20cbf6efcd77f9b7153908fc01f3d3a7c32024c0bd9e1b04c8a43",
    108_860_403,
)


def program() -> Path:
    """The unpacked program. Raises BrokerError when it cannot be fetched and JavaError when no Java runs it."""
    home = cache_dir() / f"apicurio-{APICURIO.version}"
    with locked(cache_dir() / "apicurio.lock"):
        if not home.is_dir():
            (archive,) = fetch((APICURIO,))
            aside = Path(tempfile.mkdtemp(dir=cache_dir()))
            with tarfile.open(archive) as packed:
                packed.extractall(aside, filter="data")
            aside.rename(home)
            archive.unlink()  # 109 MB that nothing needs any more
    return home / f"{APICURIO.artifact}-{APICURIO.version}-runner.jar"


@contextmanager
def registry(folder: Path) -> Iterator[str]:
    """The address of a registry that runs and knows nothing yet; it ends with the block, and with this process."""
    jar, java, port = program(), find(), free_port()
    small = ("-Xmx192m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
    # It is killed, and would leave its files among those of the system.
    tidy = ("-XX:-UsePerfData", f"-Djava.io.tmpdir={folder}")
    settings = (
        "-Dquarkus.http.host=127.0.0.1",
        f"-Dquarkus.http.port={port}",
        "-Dapicurio.storage.kind=sql",
    )
    launcher = (sys.executable, "-I", "-S", launch.__file__, str(os.getpid()))
    log = folder / "registry.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*launcher, str(java.path), *small, *tidy, *settings, "-jar", str(jar)],
            stdout=out,
            stderr=out,
            cwd=folder,
            env={"PATH": os.environ["PATH"], "HOME": str(folder)},
        )
    try:
        url = f"http://127.0.0.1:{port}{_API}"
        _answers(url, process, log)
        yield url
    finally:
        process.kill()
        process.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def _answers(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_S
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while True:
        try:
            with direct.open(f"{url}/subjects", timeout=5):
                return
        except (OSError, urllib.error.URLError) as problem:
            if isinstance(problem, urllib.error.HTTPError):
                problem.close()
            assert process.poll() is None, log.read_text(errors="replace")[-2_000:]
            assert time.monotonic() < deadline, log.read_text(errors="replace")[-2_000:]
            time.sleep(0.2)
