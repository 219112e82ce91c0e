"""The real Alertmanager and its `amtool`: built once from their source, which is pinned, into the user's cache.

The pin is Go's `h1:` sum of the module, a SHA-256 over the checksums of its files; the `go.sum` among them pins all
that it is built with. Its web page is made by other tools and not in the module, so it has none here. The source comes
from where Go's own settings say (`GOPROXY`).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from andon.broker.locks import cache_dir, locked
from andon.runtime import launch
from tests.rig.client import wait_for
from tests.rig.ports import free_port

MODULE, VERSION = "github.com/prometheus/alertmanager", "v0.35.0"
SUM = "h1:nbXMjr+P2JaoFd7aHNDxKifEwTPN+TWxM0gNPonuH5w="
PAGE = "ui/app/dist/index.html"
ORACLE = Path(__file__).parent / "oracle"
BUILD_S, READY_S = 1_800.0, 30.0
_SENT, _FAILED = "alertmanager_notifications_total", "alertmanager_notifications_failed_total"


class Unavailable(Exception):  # noqa: N818 - a state of the machine, read by people
    """It cannot be had here; the text says why."""


def program() -> Path:
    """The built program. Raises Unavailable."""
    return _built(f"alertmanager-{VERSION}", ["alertmanager"]) / "alertmanager"


def tools() -> Path:
    """The folder with `amtool` and `oracle`, our own program around its packages. Raises Unavailable."""
    digest = sha256((ORACLE / "main.go").read_bytes()).hexdigest()[:8]
    return _built(f"alertmanager-tools-{VERSION}-{digest}", ["amtool", "oracle"])


def _built(name: str, programs: Sequence[str]) -> Path:
    home = cache_dir() / name
    with locked(cache_dir() / "alertmanager.lock"):
        if not home.is_dir():
            if shutil.which("go") is None:
                raise Unavailable("Alertmanager is built by Go, which is not installed")
            aside = Path(tempfile.mkdtemp(dir=cache_dir()))
            try:
                _build(aside, programs)
                (aside / "bin").rename(home)
            finally:
                shutil.rmtree(aside)
    return home


def _build(aside: Path, programs: Sequence[str]) -> None:
    # GOSUMDB is a second witness beside our own pin, and may be out of reach where the proxy is not.
    own = {"GOMODCACHE": f"{aside}/mod", "GOCACHE": f"{aside}/cache", "GOSUMDB": "off", "CGO_ENABLED": "0"}
    environment = {**os.environ, **own, "GOFLAGS": "-mod=readonly -modcacherw", "GOTOOLCHAIN": "local"}
    told = json.loads(_go(["mod", "download", "-json", f"{MODULE}@{VERSION}"], aside, environment))
    if told["Sum"] != SUM:
        raise Unavailable(f"{MODULE}@{VERSION} is not what was pinned: {told['Sum']}")
    source = shutil.copytree(told["Dir"], aside / "source")  # in Go's own folder it sees no file that was added
    (source / PAGE).parent.mkdir(parents=True, exist_ok=True)
    (source / PAGE).touch()
    shutil.copytree(ORACLE, source / "cmd" / "oracle", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    _go(["build", "-trimpath", "-o", f"{aside}/bin/", *(f"./cmd/{name}" for name in programs)], source, environment)


def _go(words: Sequence[str], folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        ["go", *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=BUILD_S, check=False
    )
    if done.returncode != 0:
        raise Unavailable(f"go {words[0]} failed: {(done.stderr or done.stdout)[-400:]}")
    return done.stdout


class Alertmanager:
    """A running one; `raise_` gives it alerts, `counted` says what it counts as sent and as failed."""

    def __init__(self, port: int, file: Path) -> None:
        self._file = file
        self._url = f"http://127.0.0.1:{port}"

    def raise_(self, alerts: Sequence[dict[str, Any]]) -> None:
        body = json.dumps(alerts).encode()
        request = urllib.request.Request(f"{self._url}/api/v2/alerts", body, {"Content-Type": "application/json"})
        urllib.request.urlopen(request, timeout=30).close()

    def inhibited(self) -> set[str]:
        """The alerts that something inhibits now, by their label `alertname`."""
        with urllib.request.urlopen(f"{self._url}/api/v2/alerts", timeout=30) as answer:
            found = json.load(answer)
        return {one["labels"]["alertname"] for one in found if one["status"]["inhibitedBy"]}

    def reload(self, config: str) -> None:
        """Another configuration in place of the one it runs with."""
        self._file.write_text(config, encoding="utf-8")
        urllib.request.urlopen(urllib.request.Request(f"{self._url}/-/reload", b""), timeout=30).close()

    def counted(self) -> tuple[int, int]:
        """Notifications it has tried, and those of them it calls failed."""
        with urllib.request.urlopen(f"{self._url}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        return _sum(text, _SENT), _sum(text, _FAILED)

    def ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self._url}/-/ready", timeout=2):
                return True
        except OSError:
            return False


def _sum(text: str, metric: str) -> int:
    lines = re.findall(rf'^{metric}\{{[^}}]*integration="wechat"[^}}]*\}} (\S+)$', text, re.MULTILINE)
    return int(sum(map(float, lines)))


@contextmanager
def running(folder: Path, config: str) -> Iterator[Alertmanager]:
    """One that lives as long as the block, with this configuration. Raises Unavailable."""
    binary, port = program(), free_port()
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "alertmanager.yml"
    file.write_text(config, encoding="utf-8")
    options = [f"--config.file={file}", f"--storage.path={folder / 'data'}", "--cluster.listen-address="]
    options += [f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"]
    log = folder / "alertmanager.log"
    with log.open("wb") as out:
        launcher = [sys.executable, "-I", "-S", launch.__file__, str(os.getpid())]
        process = subprocess.Popen([*launcher, str(binary), *options], stdout=out, stderr=out, cwd=folder)
    one = Alertmanager(port, file)
    try:
        assert wait_for(lambda: one.ready() or process.poll() is not None, READY_S), log.read_text(errors="replace")
        assert process.poll() is None, log.read_text(errors="replace")
        yield one
    finally:
        process.kill()
        process.wait(30)
