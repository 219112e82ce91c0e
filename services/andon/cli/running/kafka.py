"""The embedded Kafka, one node or three, as one of the programs `andon up` keeps running."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
import time
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from andon import broker
from andon.runtime.command import CannotStart, Child
from andon.runtime.daemon import unawaited
from andon.runtime.supervisor import Program

POLL = 0.1
AGAIN = 60.0  # seconds after which a node that could not be started is tried again

_log = logging.getLogger(__name__)


class GivenUp(Exception):  # noqa: N818 - a decision of the person at the terminal
    """The start is not wanted any more."""


class Downloads:
    """How much of the files being fetched is here. Told by several threads."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[int, int]] = {}
        self._lock = threading.Lock()

    def seen(self, name: str, done: int, total: int) -> None:
        with self._lock:
            self._files[name] = (done, total)

    def bytes(self) -> tuple[int, int] | None:
        """Bytes here and bytes in all; None when nothing is being fetched."""
        with self._lock:
            done, total = (sum(column) for column in zip(*self._files.values(), strict=True)) if self._files else (0, 0)
        return (done, total) if done < total else None


class EmbeddedKafka:
    """Spawns the node on `data` at exactly `port`, so that it comes back where its clients look for it.

    Where `data` has a cluster, its nodes have ports of their own, and what is lost of them is started again; one that
    cannot be started is tried again every minute, while the two others serve. What ran before is used, and left running
    at the end. Ours ends with the thread that started it: one kept for that, so that a killed `andon up` leaves no
    Kafka either (Linux).
    """

    def __init__(self, data: Path, port: int, bootstrap: str | None = None) -> None:
        self.data = data
        self.port = port
        self.bootstrap = bootstrap or f"127.0.0.1:{port}"
        self._ours = False
        self.downloads = Downloads()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="kafka")
        self._given_up = False
        self._began = 0.0
        self._absent = ""

    async def fetched(self) -> None:
        """Returns when everything the node needs is in the user's cache. Raises BrokerError."""
        try:
            await unawaited("fetch", lambda: broker.fetch(progress=self.downloads.seen, go_on=self._go_on))
        except asyncio.CancelledError:
            self._given_up = True
            raise

    def program(self) -> Program:
        """The node as a program; it is ready as soon as it is spawned."""
        # Each node of a cluster has a log of its own below; which one says why it ended is among the last words.
        log = self.data if broker.is_cluster(self.data) else self.data / "logs" / "kafka-0.log"
        ports = {"kafka": self.port}
        return Program("kafka", self, log, stop_timeout=20.0, ports=ports, words=self._last_words, rest=self._rest)

    def _rest(self) -> Child | None:
        """The nodes that go on while the one that ended waits for its next start, or cannot be started."""
        running = self._ours and broker.pids(self.data)
        return _Nodes(self.data, self._thread, ours=True) if running else None

    def _last_words(self) -> str:
        return self._absent or broker.last_words(self.data, self._began)

    async def __call__(self) -> Child:
        starting = asyncio.get_running_loop().run_in_executor(self._thread, self._start)
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            self._given_up = True
            with suppress(CannotStart):
                await (await starting).end(5.0)
            raise

    def _start(self) -> _Nodes:
        before = broker.pids(self.data)
        ours = self._ours or not before
        self._began = time.time()
        self._absent = ""
        nodes: Collection[int] = ()
        try:
            if broker.is_cluster(self.data):
                started = broker.cluster.start(
                    self.data, tie_to_parent=ours, progress=self.downloads.seen, go_on=self._go_on
                )
                nodes = [one.pid for one in started.nodes]
                self._absent = " ".join(f"node {number}: {why}" for number, why in started.absent.items())
            else:
                node = broker.start(
                    self.data,
                    port=self.port,
                    strict_port=True,
                    tie_to_parent=True,
                    progress=self.downloads.seen,
                    go_on=self._go_on,
                )
                nodes = [node.pid]
        except (broker.BrokerError, GivenUp) as error:
            raise CannotStart(str(error)) from error
        # What ran before may have been about to end.
        self._ours = ours or not set(before) & set(nodes)
        if self._absent:
            _log.warning("a node of Kafka does not run, the others go on without it", extra={"why": self._absent})
        return _Nodes(self.data, self._thread, ours=self._ours, without_others=nodes if self._absent else ())

    def _go_on(self) -> None:
        """Raises GivenUp: a node that reads its logs would be waited for, and so would a download, and who else is
        starting one."""
        if self._given_up:
            raise GivenUp


class _Nodes:
    """What runs on a directory; it has ended as soon as one of a cluster's nodes has. Where only the nodes
    `without_others` could be started, it has as soon as one of these has, or it is time to try the others again."""

    def __init__(
        self, data: Path, thread: ThreadPoolExecutor, *, ours: bool, without_others: Collection[int] = ()
    ) -> None:
        self._data = data
        self._thread = thread
        self._ours = ours
        self._over = False
        self._without_others = set(without_others)
        self.pid = next(iter(broker.pids(data)), 0)

    async def wait(self) -> int:
        again = time.monotonic() + AGAIN
        # A process that asyncio did not start.
        while broker.is_running(self._data) or (time.monotonic() < again and self._serves()):  # noqa: ASYNC110
            await asyncio.sleep(POLL)
        self._over = True
        return 1

    def _serves(self) -> bool:
        nodes = self._without_others
        return bool(nodes) and nodes <= set(broker.pids(self._data))

    async def end(self, timeout: float) -> None:
        if self._ours:
            stop = asyncio.get_running_loop().run_in_executor(
                self._thread, lambda: broker.stop(self._data, timeout_s=timeout)
            )
            await asyncio.shield(stop)

    def kill(self) -> None:
        # What ended is started again; the other nodes of a cluster go on meanwhile.
        for pid in broker.pids(self._data) if self._ours and not self._over else ():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
