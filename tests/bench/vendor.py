"""Stand-ins that run as processes: how they are asked what they counted, and told to fail."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.bench.plant import Processes
from tests.rig.ports import free_port

READY_S = 20.0


class Vendor:
    """One stand-in: `program` is its module, `options` are those of its command line beside port and record."""

    def __init__(self, name: str, folder: Path, program: str, *options: str) -> None:
        self.name = name
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.record = folder / f"{name}.jsonl"
        self._argv = ["-m", program, "--port", str(self.port), "--record", str(self.record), *options]

    def start(self, among: Processes) -> None:
        """Starts it, and returns when it answers. Raises TimeoutError."""
        among.spawn(self.name, self._argv)
        until = time.monotonic() + READY_S
        while True:
            try:
                self.counts()
            except OSError:
                if time.monotonic() > until:
                    raise TimeoutError(f"the stand-in {self.name} does not answer") from None
                time.sleep(0.05)
            else:
                return

    def counts(self) -> Any:
        """What it counted so far: of the whole, or by account."""
        return json.loads(self._ask("GET", "/_record"))

    def fail(self, **fault: Any) -> None:
        """Switches a fault on (andon.dev.standin.Fault)."""
        self._ask("POST", "/_fault", json.dumps(fault).encode())

    def well(self) -> None:
        """Ends all faults."""
        self._ask("DELETE", "/_fault")

    def _ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        request = urllib.request.Request(f"{self.url}{path}", body, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            found: bytes = answer.read()
        return found

    def seen(self, start: int = 0) -> Iterator[dict[str, Any]]:
        """The lines of its record, from byte `start` on; one that is being written does not count yet."""
        with self.record.open("rb") as file:
            file.seek(start)
            yield from (json.loads(line) for line in file if line.endswith(b"\n"))

    def size(self) -> int:
        """How long its record is, to begin there later."""
        return self.record.stat().st_size if self.record.exists() else 0
