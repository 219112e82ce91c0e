"""Fetches the pinned jars once into the user's cache: in parallel, resumable, and never without their checksum."""

import base64
import hashlib
import http.client
import os
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from errno import EDQUOT, EFBIG, ENOSPC
from pathlib import Path
from queue import Empty, SimpleQueue

from andon.broker.errors import BrokerError, ChecksumError, FetchError
from andon.broker.jars import Jar, pinned
from andon.broker.locks import cache_dir, locked, wait_on

MAVEN_CENTRAL = "https://repo1.maven.org/maven2"
THREADS = 8
ATTEMPTS = 4
FIRST_PAUSE_S = 0.5  # doubled after each attempt
TIMEOUT_S = 30.0
CHUNK = 1 << 16
AGAIN_S = 0.1
_FULL = {ENOSPC, EDQUOT, EFBIG}

Progress = Callable[[str, int, int], None]
"""Called as `progress(file, bytes so far, bytes in all)`, from several threads: once with 0 for each file that must be
fetched, before the first is, and then as they come in."""


def fetch(
    jars: Sequence[Jar] | None = None,
    *,
    repository: str | None = None,
    proxy: str | None = None,
    progress: Progress | None = None,
    go_on: Callable[[], None] = wait_on,
) -> tuple[Path, ...]:
    """Makes sure that all `jars` (default: those pinned) lie in the cache and returns their paths, in order.

    Every file is checked against its SHA-256 each time, so what is returned is what was pinned; what the cache holds is
    not asked for again, and without anything missing no network is touched. `repository` is the address of a Maven
    repository (default `$ANDON_MAVEN_URL`, else Maven Central); `proxy` overrides the usual proxy variables. Several
    processes may call this at once: one fetches, the others wait and find the files. All call `go_on` again and again,
    and give up where it raises.

    Raises FetchError when a file can't be had and ChecksumError when it is not the right one; nothing wrong is kept.
    """
    wanted = pinned() if jars is None else tuple(jars)
    into = cache_dir() / "jars"
    paths = tuple(into / jar.name for jar in wanted)
    if not _missing(wanted, into):
        return paths
    try:
        with locked(into / ".lock", go_on):
            missing = _missing(wanted, into)
            _Download(into, _address(repository), proxy, progress or _silent).all(missing, go_on)
    except OSError as problem:
        raise FetchError(
            f"The cache {into} cannot be written ({problem}): set ANDON_CACHE to a writable one."
        ) from problem
    return paths


def _silent(_name: str, _done: int, _total: int) -> None:
    pass


def _address(repository: str | None) -> str:
    address = repository or os.environ.get("ANDON_MAVEN_URL") or MAVEN_CENTRAL
    if not address.lower().startswith(("https://", "http://")):
        shown = address.rpartition("@")[2]  # before it may be a password
        raise FetchError(f"{shown!r} is no address of a Maven repository: ANDON_MAVEN_URL must begin with https://.")
    try:
        parts = urllib.parse.urlsplit(address)
        # A password's #, / or ? ends the host, so that the rest of it, and the @, would be shown with the path.
        readable = "@" not in parts.path + parts.query + parts.fragment and parts.port != 0
    except ValueError:
        readable = False
    if not readable:
        raise FetchError(
            f"The address of the Maven repository at {address.rpartition('@')[2]!r} must be "
            "https://user:password@host/path; write #, /, ? and [ of a password as %23, %2F, %3F, %5B, and an @ of a "
            "path as %40."
        )
    return address.rstrip("/")


def _without_password(address: str) -> tuple[str, str | None]:
    """An address without its `user:password@`, which must not get into error texts, and the header for it."""
    parts = urllib.parse.urlsplit(address)
    login, _, host = parts.netloc.rpartition("@")
    if not login:
        return address, None
    token = base64.b64encode(urllib.parse.unquote(login).encode()).decode()
    return parts._replace(netloc=host).geturl(), f"Basic {token}"


def _missing(jars: Sequence[Jar], into: Path) -> list[Jar]:
    with ThreadPoolExecutor(THREADS) as threads:
        right = threads.map(lambda jar: _is_right(into / jar.name, jar), jars)
        return [jar for jar, ok in zip(jars, right, strict=True) if not ok]


def _is_right(path: Path, jar: Jar) -> bool:
    try:
        if path.stat().st_size != jar.size:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == jar.sha256
    except OSError:
        return False


class _Download:
    """One round of fetching; the first failure stops all of it."""

    def __init__(self, into: Path, address: str, proxy: str | None, progress: Progress) -> None:
        self.into = into
        self.address, self.authorization = _without_password(address)
        self.progress = progress
        proxies = urllib.request.ProxyHandler({"http": proxy, "https": proxy} if proxy else None)
        self.opener = urllib.request.build_opener(proxies)
        self.wanted = SimpleQueue[Jar]()
        self.ended = SimpleQueue[Exception | None]()
        self.stopped = threading.Event()

    def all(self, jars: Sequence[Jar], go_on: Callable[[], None]) -> None:
        """Fetches the largest first, so that the last thread does not end long after the others."""
        for jar in jars:
            self.progress(jar.name, 0, jar.size)
        for jar in sorted(jars, key=lambda jar: -jar.size):
            self.wanted.put(jar)
        for _ in range(min(THREADS, len(jars))):
            # An executor's would be waited for at exit, up to two minutes where a firewall drops what they send.
            threading.Thread(target=self.work, name="fetch", daemon=True).start()
        try:
            for _ in jars:
                if problem := self.next(go_on):
                    raise problem
        finally:
            self.stopped.set()

    def next(self, go_on: Callable[[], None]) -> Exception | None:
        """How the fetching of one more file has ended."""
        while True:
            go_on()
            with suppress(Empty):
                return self.ended.get(timeout=AGAIN_S)

    def work(self) -> None:
        while not self.stopped.is_set():
            try:
                self.one(self.wanted.get_nowait())
            except Empty:
                return
            except Exception as problem:  # noqa: BLE001 - raised again by who waits for it
                self.ended.put(problem)
            else:
                self.ended.put(None)

    def one(self, jar: Jar) -> None:
        part = self.into / f"{jar.name}.part"
        resumed = part.exists()
        self.complete(jar, part)
        if resumed and not _is_right(part, jar):
            # What was resumed may have come from another mirror; only a fresh copy says that this one is wrong.
            part.unlink()
            self.complete(jar, part)
        if not _is_right(part, jar):
            part.unlink()
            raise ChecksumError(
                f"{jar.name} from {self.address} does not have the pinned SHA-256 and was thrown away: "
                "try again, or set ANDON_MAVEN_URL to a repository that serves the original file."
            )
        part.replace(self.into / jar.name)

    def complete(self, jar: Jar, part: Path) -> None:
        """Brings `part` to the file's size, going on where an earlier try ended."""
        for attempt in range(ATTEMPTS):
            try:
                self.append(jar, part)
            except (OSError, http.client.HTTPException) as problem:
                if getattr(problem, "errno", None) in _FULL:
                    raise FetchError(
                        f"The cache {self.into} is full ({problem}): free space, or set ANDON_CACHE to a larger one."
                    ) from problem
                if isinstance(problem, urllib.error.HTTPError):
                    problem.close()
                if self.final(problem) or attempt == ATTEMPTS - 1 or self.stopped.wait(FIRST_PAUSE_S * 2**attempt):
                    raise self.failed(jar, problem) from problem
            except ValueError:  # their text may hold the proxy's password
                raise FetchError(
                    f"{jar.name} could not be fetched from {self.address}: this address or the proxy's cannot be read; "
                    "HTTPS_PROXY and --proxy are written as http://user:password@host:port."
                ) from None
            else:
                return

    def append(self, jar: Jar, part: Path) -> None:
        done = part.stat().st_size if part.exists() else 0
        if done >= jar.size:
            return
        request = urllib.request.Request(f"{self.address}/{jar.path}", headers={"User-Agent": "andon"})  # noqa: S310  # checked in _address
        if self.authorization:
            # Not sent along when the repository redirects to another host.
            request.add_unredirected_header("Authorization", self.authorization)
        if done:
            request.add_header("Range", f"bytes={done}-")
        with self.opener.open(request, timeout=TIMEOUT_S) as answer:
            if self.stopped.is_set():  # this may be long after, and the file that of another round
                raise BrokerError("Fetching was stopped.")
            done = done if answer.status == http.HTTPStatus.PARTIAL_CONTENT else 0
            with part.open("r+b" if done else "wb") as file:
                file.seek(done)
                while chunk := answer.read(CHUNK):
                    if self.stopped.is_set():
                        raise BrokerError("Fetching was stopped.")
                    file.write(chunk)
                    done += len(chunk)
                    self.progress(jar.name, done, jar.size)
                    if done > jar.size:
                        return
        if done < jar.size:
            raise http.client.IncompleteRead(b"", jar.size - done)

    @staticmethod
    def final(problem: Exception) -> bool:
        """Whether asking again is in vain: the repository answered, and said no."""
        return isinstance(problem, urllib.error.HTTPError) and problem.code in {400, 401, 403, 404, 407, 410}

    def failed(self, jar: Jar, problem: Exception) -> FetchError:
        why = getattr(problem, "reason", None) or str(problem) or type(problem).__name__
        code = f"HTTP {problem.code} " if isinstance(problem, urllib.error.HTTPError) else ""
        return FetchError(
            f"{jar.name} could not be fetched from {self.address} ({code}{why}): connect to the network once, "
            "set HTTPS_PROXY, or set ANDON_MAVEN_URL to your company's mirror."
        )
