"""Logs: one JSON object per line on stderr, for programs to read and people to grep.

Fields are passed as `extra={...}`; none may hold a payload, a token or a signed address. Whatever text comes from
outside is written so that it can neither begin a new line nor turn the direction of a terminal's text.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

LONGEST = 2_000
"""Characters of one value; a longer one is cut, with the number of characters that are missing."""

# C0 and C1 controls, DEL, the directional marks, embeddings and isolates (UAX #9), line separators, surrogates, BOM.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")
_TRACES = "opentelemetry."
_EVERY_S = 10.0
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_LOUD = ("aiohttp", "asyncio", "httpcore", "httpcore2", "httpx", "httpx2", "urllib3")  # address queries hold robot keys


def configure(service: str, level: int | str = logging.INFO, stream: TextIO | None = None) -> None:
    """Sends everything logged in this process to stderr as JSON lines in the name of `service`; may be repeated.

    The door's access log is off, and HTTP clients speak from WARNING up: their INFO lines hold whole addresses. The
    driver of PostgreSQL does from ERROR up: what it ignores beside an error tells the server, the account and values.
    """
    out = _Out(stream or sys.stderr)
    out.setFormatter(JsonLines(service))
    out.addFilter(QuietTraces())
    logging.root.handlers[:] = [out]
    logging.root.setLevel(level)
    logging.captureWarnings(capture=True)
    for name in _LOUD:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("psycopg").setLevel(logging.ERROR)
    logging.getLogger("aiohttp.access").disabled = True


class _Out(logging.StreamHandler[TextIO]):
    """Gives up a line that cannot be written: on a full disk the library would show where it was said, on a terminal
    that shows something else."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the library's name
        if not isinstance(sys.exception(), OSError):
            super().handleError(record)


class JsonLines(logging.Formatter):
    """A record as a line: ts (UTC), level, service, event, the fields of `extra`; of an exception error and trace."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self.service = service

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "service": self.service,
            "event": _value(record.getMessage()),
        }
        line |= {key: _value(value) for key, value in vars(record).items() if key not in _OWN and key not in line}
        if record.exc_info and record.exc_info[0]:
            line["error"] = _value(f"{record.exc_info[0].__name__}: {record.exc_info[1]}")
            line["trace"] = self.formatException(record.exc_info)
        return safe(json.dumps(line, ensure_ascii=False))


class QuietTraces(logging.Filter):
    """Lets OpenTelemetry say the same, whatever is in it, once in ten seconds: while a collector is away each process
    says so every second."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith(_TRACES):
            return True
        kind = str(record.msg)
        if 0 <= record.created - self._said.get(kind, 0.0) < _EVERY_S:  # the clock may have been set back
            return False
        self._said[kind] = record.created
        return True


def safe(text: str) -> str:
    """The text with every control and bidirectional character written as \\uXXXX."""
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _value(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    text = str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text) - LONGEST} more)"
