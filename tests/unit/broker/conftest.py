"""A cache of its own for each test, and a Maven repository that misbehaves on demand."""

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from andon.broker.jars import Jar

DEAD = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ANDON_MAVEN_URL", "ANDON_BROKER_ARCHIVE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("ANDON_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@dataclass
class Repository:
    """What the fake repository serves, how it misbehaves, and what it was asked."""

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    authorizations: list[str | None] = field(default_factory=list)
    ranges: bool = True
    break_after: int | None = None
    failures: list[int] = field(default_factory=list)

    def jar(self, name: str, content: bytes) -> Jar:
        jar = Jar("org.example", name, "1.0", hashlib.sha256(content).hexdigest(), len(content))
        self.files[f"/{jar.path}"] = content
        return jar

    def asked_for(self, jar: Jar) -> list[str | None]:
        return [span for path, span in self.asked if path.endswith(jar.path)]


def _answering(repository: Repository) -> type[BaseHTTPRequestHandler]:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            # A proxy is asked with the whole address.
            path = self.path.removeprefix("http://repository.invalid")
            span = self.headers["Range"]
            repository.asked.append((self.path, span))
            repository.authorizations.append(self.headers["Authorization"])
            content = repository.files.get(path)
            if content is None or repository.failures:
                self.send_error(repository.failures.pop() if repository.failures else 404)
                return
            start = int(span.removeprefix("bytes=").removesuffix("-")) if span and repository.ranges else 0
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            end = len(content)
            if repository.break_after is not None:
                end, repository.break_after = start + repository.break_after, None
            self.wfile.write(content[start:end])

        def log_message(self, *_: object) -> None:
            pass

    return Answer


@pytest.fixture
def repository() -> Iterator[Repository]:
    fake = Repository()
    with ThreadingHTTPServer(("127.0.0.1", 0), _answering(fake)) as server:
        fake.address = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield fake
        server.shutdown()
        thread.join()
