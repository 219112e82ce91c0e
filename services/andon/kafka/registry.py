"""A schema registry that speaks Confluent's API: which schema an id means, and which id a schema of ours has. Blocking.

What a registry does wrong is told apart by whose fault it is. One that does not answer, or answers with something that
is no answer of a registry, is asked again for a while and then stops the service (law L4): no good record may be parked
for it. One that says that it has no such id, or gives something that no record can be read by, has answered.
"""

from __future__ import annotations

import base64
import logging
import ssl
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, Protocol
from urllib.parse import quote

import msgspec

from andon.kafka.errors import KafkaFailure

log = logging.getLogger(__name__)

DEADLINE_S = 5.0
PATIENCE_S = 20.0
LARGEST_ANSWER = 1 << 20
_AGAIN_S = 0.5
_TYPE = "application/vnd.schemaregistry.v1+json"
_NO_SCHEMA, _NO_SUBJECT = 40403, 40401


class Access(msgspec.Struct, frozen=True):
    """Where a registry is and how it is entered. Holds secrets: `repr` shows the address only."""

    url: str
    authorization: str | None = None
    ca: str | None = None
    register: bool = True

    def __repr__(self) -> str:
        return f"Access({self.url!r})"


def basic(user: str, password: str) -> str:
    """The header of a name and a password."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


class _Schema(msgspec.Struct):
    schema: str
    schema_type: str = msgspec.field(default="AVRO", name="schemaType")


class _Id(msgspec.Struct):
    id: int


class _Problem(msgspec.Struct):
    error_code: int


class NoAnswer(Exception):  # noqa: N818 - a state of the registry
    """The registry did not answer as a registry does; the text says how, and nothing of what it sent."""


class Answer(msgspec.Struct, frozen=True):
    """Status and body of an answer."""

    status: int
    body: bytes


class Ask(Protocol):
    """One request within a total deadline. Raises NoAnswer."""

    def __call__(self, method: str, path: str, body: bytes | None, deadline_s: float, /) -> Answer: ...


class Registry:
    """What a registry says. Safe to use from several threads; what it answers is remembered by who asks.

    A request takes `deadline_s` seconds at most; one that was not answered is made again for `patience_s`.
    """

    def __init__(
        self,
        access: Access,
        *,
        deadline_s: float = DEADLINE_S,
        patience_s: float = PATIENCE_S,
        ask: Ask | None = None,
    ) -> None:
        self.host = access.url.partition("://")[2].partition("/")[0]
        self._register = access.register
        self._deadline_s = deadline_s
        self._patience_s = patience_s
        self._ask = ask or Http(access)

    def schema(self, number: int) -> str | None:
        """The text of the Avro schema with this id; None when the registry has none. Raises KafkaFailure."""
        answer = self._answered("GET", f"/schemas/ids/{number}", None, _NO_SCHEMA)
        found = self._read(answer, _Schema) if answer else None
        return found.schema if found and found.schema_type == "AVRO" else None

    def number(self, subject: str, schema: str) -> int:
        """The id of a schema under a subject; registers it where that is allowed. Raises KafkaFailure when it is not
        there and may not be registered, when it is refused, and when the id then means another schema."""
        body = msgspec.json.encode({"schema": schema, "schemaType": "AVRO"})
        path = f"/subjects/{quote(subject, safe='')}"
        known = self._answered("POST", path, body, _NO_SCHEMA, _NO_SUBJECT)
        if known is None and self._register:
            known = self._answered("POST", f"{path}/versions", body)
        if known is None:
            raise KafkaFailure(
                f"the registry at {self.host} has no such schema under {subject}, and kafka.registry.register is false;"
                " register it there, or write the topic in JSON"
            )
        number: int = self._read(known, _Id).id
        back = self.schema(number)
        if back is None or not _same(back, schema):
            raise KafkaFailure(f"the registry at {self.host} gave {subject} the id {number}, which is another schema")
        return number

    def _answered(self, method: str, path: str, body: bytes | None, *absent: int) -> Answer | None:
        """A good answer; None for one of the codes that say "there is none". Raises KafkaFailure."""
        deadline = time.monotonic() + self._patience_s
        while True:
            try:
                answer = self._ask(method, path, body, self._deadline_s)
                if answer.status == 200:
                    self._read(answer, _Id if method == "POST" else _Schema)
                    return answer
                if answer.status == 404 and self._read(answer, _Problem).error_code in absent:
                    return None
                if answer.status in (409, 422):
                    raise KafkaFailure(f"the registry at {self.host} refuses the schema for {path.split('/')[2]}")
                raise NoAnswer(f"it answers with status {answer.status}")
            except (NoAnswer, msgspec.MsgspecError) as problem:
                text = str(problem) if isinstance(problem, NoAnswer) else "its answer is not one of a registry"
            if time.monotonic() > deadline:
                raise KafkaFailure(f"the schema registry at {self.host} cannot be used: {text}")
            log.warning("waiting for the schema registry", extra={"host": self.host, "problem": text})
            time.sleep(_AGAIN_S)

    @staticmethod
    def _read(answer: Answer, kind: Any) -> Any:
        return msgspec.json.decode(answer.body, type=kind)


def _same(one: str, other: str) -> bool:
    try:
        return bool(msgspec.json.decode(one) == msgspec.json.decode(other))
    except (msgspec.MsgspecError, RecursionError):
        return False


def _tls(ca: str | None) -> ssl.SSLContext:
    file = ca.removeprefix("file:") if ca else None
    try:
        tls = ssl.create_default_context(cafile=file)
    except OSError as error:  # which names no file
        why = str(error) if isinstance(error, ssl.SSLError) else error.strerror
        raise KafkaFailure(f"the TLS file {file} (kafka.registry.ca) cannot be used: {why}") from None
    # Whatever SSLKEYLOGFILE says.
    tls.keylog_filename = None  # type: ignore[assignment]
    return tls


class Http:
    """Requests to a registry over HTTP: TLS verified, no redirect followed, nothing taken from the environment. Raises
    KafkaFailure for an authority that cannot be used."""

    def __init__(self, access: Access) -> None:
        import httpx2

        # Of plain HTTP there is nothing to verify.
        tls = _tls(access.ca) if access.url.startswith("https://") else False
        headers = {"Accept": _TYPE, "Content-Type": _TYPE}
        if access.authorization:
            headers["Authorization"] = access.authorization
        raw = {name.encode(): value.encode() for name, value in headers.items()}  # as text they have to be ASCII
        self._base = access.url.rstrip("/")
        self._failures: tuple[type[Exception], ...] = (httpx2.HTTPError, httpx2.StreamError)
        self._client: Callable[[float], httpx2.Client] = lambda timeout_s: httpx2.Client(
            headers=raw, timeout=timeout_s, verify=tls, trust_env=False, follow_redirects=False
        )

    def __call__(self, method: str, path: str, body: bytes | None, deadline_s: float, /) -> Answer:
        ended: SimpleQueue[Answer | str] = SimpleQueue()
        client = self._client(deadline_s)

        def run() -> None:
            try:
                ended.put(self._one(client, method, path, body))
            except NoAnswer as problem:
                ended.put(str(problem))
            except self._failures as problem:
                ended.put(f"it cannot be reached ({type(problem).__name__})")

        # The library bounds each read, not all of them: a registry that drips would hold us for ever.
        threading.Thread(target=run, name="schema-registry", daemon=True).start()
        try:
            told = ended.get(timeout=deadline_s)
        except Empty:
            told = f"it does not answer within {deadline_s:g} s"
        finally:
            client.close()
        if isinstance(told, str):
            raise NoAnswer(told)
        return told

    def _one(self, client: Any, method: str, path: str, body: bytes | None) -> Answer:
        with client.stream(method, self._base + path, content=body) as reply:
            found = bytearray()
            for part in reply.iter_raw():
                found += part
                if len(found) > LARGEST_ANSWER:
                    raise NoAnswer(f"its answer is longer than {LARGEST_ANSWER} bytes")
            return Answer(reply.status_code, bytes(found))
