"""A registry that is down, slow, or lies: a raw server that answers with whatever the test says."""

from __future__ import annotations

import json
import logging
import re
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from andon.config.kafka import Kafka
from andon.core.event import Event
from andon.kafka.codecs import Undecodable
from andon.kafka.connection import connection
from andon.kafka.errors import KafkaFailure
from andon.kafka.formats import Formats
from andon.kafka.index import Index
from andon.kafka.registry import LARGEST_ANSWER, Access, NoAnswer, Registry, basic
from andon.kafka.registry import Answer as Answered
from tests.unit.kafka.specimens import SPECIMENS, as_avro

Answer = Callable[[str, socket.socket], bytes | None]
SCHEMA = Index().newest("andon.events")[1]
RECORD = b"\0\0\0\0\7" + as_avro("andon.events", SPECIMENS["andon.events"])[5:]


class LyingServer:
    """Speaks HTTP/1.1 as far as `answer` does; keeps the heads of the requests."""

    def __init__(self) -> None:
        self.heads: list[str] = []
        self.answer: Answer = lambda _head, _socket: None
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}/api"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            with closing(client):
                client.settimeout(5)
                try:
                    head = b""
                    while b"\r\n\r\n" not in head:
                        head += client.recv(65_536)
                        if not head:
                            break
                    self.heads.append(head.decode())
                    reply = self.answer(head.decode(), client)
                    if reply is not None:
                        client.sendall(reply)
                except OSError:
                    continue

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(20)


def http(status: int, body: bytes | str) -> bytes:
    raw = body if isinstance(body, bytes) else body.encode()
    head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(raw)}\r\nConnection: close\r\n\r\n"
    return head.encode() + raw


def said(status: int, body: bytes | str) -> Answer:
    return lambda _head, _socket: http(status, body)


def schema(of: object = SCHEMA, **more: object) -> str:
    return json.dumps({"schema": json.dumps(of), **more})


@pytest.fixture
def server() -> Iterator[LyingServer]:
    found = LyingServer()
    yield found
    found.close()


def formats(server: LyingServer, *, deadline_s: float = 15.0, patience_s: float = 0.0) -> Formats:
    return Formats(registry=Registry(Access(server.url), deadline_s=deadline_s, patience_s=patience_s))


def test_a_schema_is_asked_for_once(server: LyingServer) -> None:
    server.answer = said(200, schema())
    one = formats(server)
    first, again = one.incoming(RECORD), one.incoming(RECORD)
    assert first == again
    assert json.loads(first)["id"] == "e-1"
    assert [head.split(" HTTP")[0] for head in server.heads] == ["GET /api/schemas/ids/7"]


NOT_AT_FAULT: dict[str, Answer] = {
    "500": said(500, "{}"),
    "503 with a page": said(503, "<html>"),
    "401": said(401, json.dumps({"error_code": 401})),
    "429": said(429, json.dumps({"error_code": 429})),
    "404 of another server": said(404, "<html>not here</html>"),
    "404 of something else": said(404, json.dumps({"error_code": 404})),
    "a redirect": said(302, b""),
    "no JSON": said(200, "hello"),
    "JSON of something else": said(200, json.dumps({"id": 1})),
    "nothing": lambda _head, _socket: None,
    "half of an answer": lambda _head, _socket: http(200, schema())[:-20],
    "no HTTP": lambda _head, _socket: b"SSH-2.0-x\r\n\r\n",
    "10 MB": said(200, b"[" * (10 << 20)),
    "10 MB without a length": lambda _head, _socket: b"HTTP/1.1 200 X\r\n\r\n" + b" " * (10 << 20),
}


@pytest.mark.parametrize("name", NOT_AT_FAULT)
def test_a_registry_that_does_not_do_its_work_stops_the_service_and_parks_nothing(
    name: str, server: LyingServer
) -> None:
    server.answer = NOT_AT_FAULT[name]
    tracemalloc.start()
    try:
        with pytest.raises(KafkaFailure, match=r"the schema registry at 127\.0\.0\.1:") as failed:
            formats(server).incoming(RECORD)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "\n" not in str(failed.value)
    assert len(str(failed.value)) < 200
    assert peak < 4 * LARGEST_ANSWER + 2 * (10 << 20)  # the server's own answer counts too


def test_a_registry_that_is_down_is_waited_for(server: LyingServer) -> None:
    answers = [http(503, ""), b"", http(200, schema())]
    server.answer = lambda _head, _socket: answers.pop(0)
    assert json.loads(formats(server, patience_s=30.0).incoming(RECORD))["id"] == "e-1"
    assert not answers


def test_a_registry_that_drips_is_given_up_in_time(server: LyingServer) -> None:
    def drip(_head: str, client: socket.socket) -> None:
        for byte in b"HTTP/1.1 200 X\r\n" + b"X-Slow: " + b"x" * 100:
            client.sendall(bytes([byte]))
            time.sleep(0.05)

    server.answer = drip
    began = time.monotonic()
    with pytest.raises(KafkaFailure, match="does not answer within"):
        formats(server, deadline_s=0.5).incoming(RECORD)
    assert time.monotonic() - began < 15


def test_nobody_at_the_address() -> None:
    with pytest.raises(KafkaFailure, match="cannot be reached"):
        Formats(registry=Registry(Access("http://127.0.0.1:1"), patience_s=0.0)).incoming(RECORD)


CYCLE = {"type": "record", "name": "A", "fields": [{"name": "a", "type": "A"}]}
AT_FAULT: dict[str, Answer] = {
    "nobody knows it": said(404, json.dumps({"error_code": 40403, "message": "x"})),
    "no JSON for a schema": said(200, json.dumps({"schema": "{,"})),
    "a schema nested without end": said(200, json.dumps({"schema": "[" * 100_000})),
    "a cycle": said(200, schema(CYCLE)),
    "a logical type that is no text": said(200, schema({"type": "A", "logicalType": ["json"]})),
    "another language": said(200, schema(schemaType="PROTOBUF")),
    "no type": said(200, json.dumps({"schema": '"nothing"'})),
    "another schema": said(200, schema({"type": "record", "name": "B", "fields": [{"name": "n", "type": "long"}]})),
}


@pytest.mark.parametrize("name", AT_FAULT)
def test_an_id_that_means_nothing_readable_parks_the_record(name: str, server: LyingServer) -> None:
    server.answer = AT_FAULT[name]
    one = formats(server)
    for _ in range(2):
        with pytest.raises(Undecodable, match="schema 7"):
            one.incoming(RECORD)
    assert len(server.heads) == 1, "what it said is remembered for a while"


@pytest.mark.parametrize("error", [TypeError("unhashable"), ValueError("too many digits")])
def test_a_schema_that_its_reader_stumbles_over_parks_the_record(
    error: Exception, server: LyingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(_schema: object) -> object:
        raise error

    server.answer = said(200, schema())
    monkeypatch.setattr("andon.kafka.formats.reader", stumble)
    with pytest.raises(Undecodable, match=f"schema 7 cannot be used: {type(error).__name__}"):
        formats(server).incoming(RECORD)


# ---- writing


def settled(server: LyingServer, *, register: bool = True) -> Formats:
    access = Access(server.url, register=register)
    one = Formats({"andon.events": Event}, registry=Registry(access, deadline_s=15.0, patience_s=0.0))
    one.settle()
    return one


def registry_of(known: dict[str, int], back: object = SCHEMA) -> Answer:
    """Gives these ids for a request's beginning, and `back` for any id."""

    def answer(head: str, _socket: socket.socket) -> bytes:
        for beginning, number in known.items():
            if head.startswith(beginning):
                return http(200, json.dumps({"id": number}))
        return http(200, schema(back)) if head.startswith("GET") else http(404, json.dumps({"error_code": 40401}))

    return answer


def test_a_schema_is_registered_and_its_id_written(server: LyingServer) -> None:
    server.answer = registry_of({"POST /api/subjects/andon.events-value/versions": 9})
    raw = settled(server).outgoing("andon.events", formats_json())
    assert raw[:5] == b"\0\0\0\0\x09"


def test_a_schema_that_is_there_is_not_registered_again(server: LyingServer) -> None:
    server.answer = registry_of({"POST /api/subjects/andon.events-value ": 4})
    assert settled(server, register=False).outgoing("andon.events", formats_json())[:5] == b"\0\0\0\0\4"
    assert not any("/versions" in head for head in server.heads)


def test_without_the_right_to_register_it_says_what_to_do(server: LyingServer) -> None:
    server.answer = registry_of({})
    with pytest.raises(KafkaFailure, match=r"register it there, or write the topic in JSON"):
        settled(server, register=False)


def test_a_registry_that_gives_the_id_of_another_schema_is_found_out(server: LyingServer) -> None:
    server.answer = registry_of({"POST": 9}, back=CYCLE)
    with pytest.raises(KafkaFailure, match="the id 9, which is another schema"):
        settled(server)


@pytest.mark.parametrize("status", [409, 422])
def test_a_schema_that_is_refused_stops_the_service(status: int, server: LyingServer) -> None:
    server.answer = said(status, json.dumps({"error_code": status, "message": "incompatible"}))
    with pytest.raises(KafkaFailure, match=r"refuses the schema for andon\.events-value"):
        settled(server)


def formats_json() -> bytes:
    return Formats().incoming(as_avro("andon.events", SPECIMENS["andon.events"]))


# ---- who asks


def test_name_and_password_reach_the_registry_and_nothing_else(
    server: LyingServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("R_USER", "andon")
    monkeypatch.setenv("R_PASSWORD", "canary-8")
    monkeypatch.setenv("R_TOKEN", "canary-9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    server.answer = said(200, schema())
    for given, header in (
        ({"user": "env:R_USER", "password": "env:R_PASSWORD"}, basic("andon", "canary-8")),
        ({"token": "env:R_TOKEN"}, "Bearer canary-9"),
        ({}, None),
    ):
        link = connection(Kafka.model_validate({"registry": {"url": server.url, **given}}))
        with caplog.at_level(logging.DEBUG):
            link.formats.incoming(RECORD)
        found = [line for line in server.heads[-1].splitlines() if line.lower().startswith("authorization")]
        assert found == ([f"Authorization: {header}"] if header else [])
    assert "canary" not in caplog.text + repr(link) + repr(Access("http://h", "canary"))


@pytest.mark.parametrize("content", [None, "not a certificate"])
def test_an_authority_that_cannot_be_used_is_named(content: str | None, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    if content:
        file.write_text(content)
    registry = {"url": "https://registry.example", "ca": f"file:{file}"}
    named = rf"the TLS file {re.escape(str(file))} \(kafka.registry.ca\) cannot be used: .+"
    with pytest.raises(KafkaFailure, match=named):
        connection(Kafka.model_validate({"bootstrap": "kafka:9092", "registry": registry}))


def test_a_token_that_is_not_ascii_is_sent_as_it_is(server: LyingServer) -> None:
    server.answer = said(200, schema())
    assert Registry(Access(server.url, "Bearer grün")).schema(7)
    assert "Authorization: Bearer grün\r\n" in server.heads[0]


def test_a_registry_counts_from_one_and_never_meets_the_index(server: LyingServer) -> None:
    """What was written before there was a registry is read without asking it."""
    own = as_avro("andon.events", SPECIMENS["andon.events"])
    assert json.loads(formats(server).incoming(own))["id"] == "e-1"
    assert server.heads == []


def test_a_hidden_registry_is_named_by_its_host_only() -> None:
    one = Registry(Access("https://user-canary.example/path-canary?x"), ask=_refusing, patience_s=0.0)
    with pytest.raises(KafkaFailure) as failed:
        one.schema(1)
    assert "path-canary" not in str(failed.value)


def _refusing(*_request: object) -> Answered:
    raise NoAnswer("it is away")
