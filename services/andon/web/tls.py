"""TLS as a client: whom it believes, and what it shows of itself."""

from __future__ import annotations

import ssl
from functools import lru_cache
from pathlib import Path


class Unusable(Exception):  # noqa: N818 - a state of the machine, read by people
    """A certificate or key cannot be used; the text names the file and says why."""


class Tls:
    """Makes the context of new connections: verified, TLS 1.2 or later. Files are read again when they have changed.

    `ca` replaces the system's authorities; `cert` (with `key`, unless it is in the same file) is shown when asked for.
    """

    def __init__(self, ca: str | None = None, cert: str | None = None, key: str | None = None) -> None:
        self._ca = ca
        self._cert = cert
        self._key = key
        self._made: ssl.SSLContext | None = None
        self._of: tuple[tuple[int, int, int], ...] = ()

    def context(self) -> ssl.SSLContext:
        """The context for now. Raises Unusable."""
        state = tuple(_state(file) for file in (self._ca, self._cert, self._key) if file)
        if self._made is None or state != self._of:
            self._made, self._of = self._make(), state
        return self._made

    def _make(self) -> ssl.SSLContext:
        if not (self._ca or self._cert):
            return _of_the_system()
        try:
            context = _default(self._ca)
        except ssl.SSLError:
            raise Unusable(f"{self._ca} holds no certificate in PEM form") from None
        if self._cert:
            try:
                context.load_cert_chain(self._cert, self._key, password=_none)
            except ssl.SSLError:
                files = f"{self._cert} and {self._key}" if self._key else self._cert
                raise Unusable(f"{files} hold no certificate with its key in PEM form") from None
        return context


@lru_cache(maxsize=1)
def _of_the_system() -> ssl.SSLContext:
    """One for all: the system's authorities take a megabyte and a while to read."""
    return _default(None)


def _default(ca: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca)
    # Whatever SSLKEYLOGFILE says: who has that file can read every call.
    context.keylog_filename = None  # type: ignore[assignment]
    return context


def _none() -> str:
    """A key that is encrypted must fail, not ask for its password on the terminal."""
    return ""


def _state(file: str) -> tuple[int, int, int]:
    try:
        status = Path(file).stat()
        with Path(file).open("rb"):
            pass
    except OSError as error:
        raise Unusable(f"{file} cannot be read ({error.strerror})") from None
    return status.st_ino, status.st_mtime_ns, status.st_size
