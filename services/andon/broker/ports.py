"""Finds free loopback ports, without two starts on one machine taking the same."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from andon.broker.errors import PortError
from andon.broker.locks import cache_dir, locked_now

LOOPBACK = "127.0.0.1"
SEARCHED = 200
# The ports this process keeps.
_kept: set[int] = set()


def is_free(port: int) -> bool:
    """Whether `port` can be listened on at the loopback address now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As Kafka does it; without this, connections that linger after a restart would look like a taken port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


@contextmanager
def reserved(preferred: int, *, strict: bool = False) -> Iterator[int]:
    """A free port, `preferred` or the next above it, kept from other starts of this user until the block ends (where
    the cache, which has the locks, may be written).

    Who wants exactly one, `strict`, may want one that this process keeps already: `andon up` keeps Kafka's for as long
    as it runs. Raises PortError when `strict` and the preferred one is taken, or when there is no free one.
    """
    if strict and preferred in _kept and is_free(preferred):
        yield preferred
        return
    if not 1 <= preferred <= 65_535:
        raise PortError(f"{preferred} is no port for Kafka: choose one between 1 and 65535.")
    last = preferred if strict else min(preferred + SEARCHED, 65_535)
    for port in range(preferred, last + 1):
        with _locked(port) as ours:
            if ours and is_free(port):
                _kept.add(port)
                try:
                    yield port
                finally:
                    _kept.discard(port)
                return
    if strict:
        raise PortError(f"Port {preferred} is in use by another program: stop that program or choose another port.")
    raise PortError(f"None of the ports {preferred} to {last} is free: stop some programs or choose another port.")


@contextmanager
def _locked(port: int) -> Iterator[bool]:
    """Whether the port was not kept by another start, and is by this one now. Where the cache may not be written, as in
    a container for reading only, nobody keeps any."""
    with ExitStack() as stack:
        try:
            ours = stack.enter_context(locked_now(cache_dir() / "ports" / f"{port}.lock"))
        except OSError:
            ours = True
        yield ours
