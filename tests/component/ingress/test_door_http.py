"""The door over real HTTP: what it takes, what it refuses, and in which words."""

from __future__ import annotations

import asyncio
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from andon.config.settings import Listen
from tests.component.ingress.stand import Stand, standing

FAULT = {"id": "E-1", "type": "mes.fault.raised", "subject": "line-3/M-07", "labels": {"state": "raise"}}


def problem(answer: Any, status: int, reason: str, field: str | None = None) -> dict[str, Any]:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["status"] == status
    assert body["type"] == f"urn:andon:problem:{reason}"
    assert body["title"]
    assert body["detail"]
    assert body.get("field") == field
    return body


def test_an_event_is_accepted_with_its_id_and_its_trace(tmp_path: Path) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    async def run() -> None:
        async with standing(tmp_path) as stand:
            answer = await stand.post(FAULT, traceparent=trace, content_type="application/json; charset=UTF-8")
            assert (answer.status_code, answer.json()) == (202, {"id": "E-1"})
            (event,) = stand.log.events
            assert (event.id, event.source, event.traceparent) == ("E-1", "mes", trace)
            minted = await stand.post({"type": "t"}, authorization="Bearer beta")
            assert stand.log.events[1].id == minted.json()["id"]
            assert stand.log.events[1].source == "erp"
            assert stand.counts.taken == {"mes": 1, "erp": 1}
            assert not stand.counts.no

    asyncio.run(run())


def test_refusals_name_what_is_wrong_and_are_counted(tmp_path: Path) -> None:
    async def run() -> None:
        async with standing(tmp_path, body=4_096) as stand:
            no_token = await stand.post(FAULT, authorization="")
            problem(no_token, 401, "unauthorised", "Authorization")
            assert no_token.headers["www-authenticate"] == 'Bearer, Basic realm="andon"'
            problem(await stand.post(FAULT, authorization="Bearer gamma"), 401, "unauthorised", "Authorization")
            problem(await stand.post(b"{}", content_type="text/plain"), 415, "media_type", "Content-Type")
            problem(await stand.post(b"{}", content_type=""), 415, "media_type", "Content-Type")
            latin = "application/json; charset=latin-1"
            problem(await stand.post(b"{}", content_type=latin), 415, "media_type", "Content-Type")
            packed = gzip.compress(json.dumps(FAULT).encode())
            problem(await stand.post(packed, content_encoding="gzip"), 415, "media_type", "Content-Encoding")
            problem(await stand.post({"type": "t", "colour": 1}), 400, "invalid", "colour")
            problem(await stand.post(b'{"type":"t","type":"u"}'), 400, "malformed", "type")
            problem(await stand.post([FAULT]), 400, "invalid")
            problem(await stand.batch(FAULT), 400, "invalid")
            problem(await stand.batch([]), 400, "invalid")
            problem(await stand.post(b"{}" + b" " * 4_095), 413, "too_large")
            assert (await stand.post(b'{"type":"t"}' + b" " * 4_084)).status_code == 202
            assert [event.type for event in stand.log.events] == ["t"]
            assert stand.counts.no == {"unauthorised": 2, "media_type": 4, "invalid": 4, "malformed": 1, "too_large": 1}

    asyncio.run(run())


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"type":"t","labels":{"a":"x","b":1}}', "labels.b"),
        (b'{"type":"t","labels":{"b":1},"data":{', "labels"),
        (b'{"id":"-000","labels":{"aa":{"},"data":{"v":[1,1e5]}}', "labels"),
        (b'{"type":"t","labels":{"b":1},"labels":3}', "labels"),
        (b'{"type":"t","labels":{"b":1},"labels":{"b":"x"}}', "labels"),
    ],
)
def test_a_label_that_is_no_text_is_named_whatever_stands_behind_it(tmp_path: Path, body: bytes, field: str) -> None:
    async def run() -> None:
        async with standing(tmp_path) as stand:
            problem(await stand.post(body), 400, "invalid", field)
            assert (await stand.batch(b"[" + body + b"]")).status_code in (200, 400)
            assert not stand.log.events

    asyncio.run(run())


def test_nobody_speaks_in_the_name_of_andon(tmp_path: Path) -> None:
    """Rules go by it: who could say that a silent source was heard again would end an alarm."""
    heard = {"id": "1", "type": "andon.source.heard", "source": "andon", "subject": "source/mes"}
    cloud = {"specversion": "1.0", **heard}

    async def run() -> None:
        async with standing(tmp_path) as stand:
            problem(await stand.post(heard), 400, "invalid", "source")
            structured = await stand.post(cloud, content_type="application/cloudevents+json")
            problem(structured, 400, "invalid", "source")
            binary = {f"ce-{name}": value for name, value in cloud.items()}
            answer = await stand.client.post(
                "/v1/events", headers={"Authorization": "Bearer alpha", "Content-Type": "application/json"} | binary
            )
            problem(answer, 400, "invalid", "source")
            batch = (await stand.batch([FAULT, heard])).json()
            assert [one["status"] for one in batch] == [202, 400]
            assert [event.source for event in stand.log.events] == ["mes"]

    asyncio.run(run())


def test_other_addresses_and_methods(tmp_path: Path) -> None:
    async def run() -> None:
        async with standing(tmp_path) as stand:
            problem(await stand.client.get("/"), 404, "invalid")
            problem(await stand.client.post("/v1/event", json=FAULT), 404, "invalid")
            for path in ("/v1/events", "/v1/events:batch"):
                answer = await stand.client.get(path)
                problem(answer, 405, "invalid")
                assert answer.headers["allow"] == "POST"
            assert stand.counts.no == {"invalid": 4}

    asyncio.run(run())


async def said(stand: Stand, head: str, body: bytes = b"") -> list[bytes]:
    """The heads that answer a head alone, and then the body if it was asked for."""
    reader, writer = await asyncio.open_connection("127.0.0.1", stand.port)
    writer.write(f"{head}\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode())
    async with asyncio.timeout(5):
        found = [await reader.readuntil(b"\r\n\r\n")]
        if b" 100 " in found[0]:
            writer.write(body)
            found.append(await reader.readuntil(b"\r\n\r\n"))
    writer.close()
    await writer.wait_closed()
    return found


@pytest.mark.parametrize("head", ["OPTIONS * HTTP/1.1", "CONNECT mes.plant:443 HTTP/1.1", "GET /x HTTP/1.1"])
def test_what_names_none_of_our_addresses_passes_the_gate_and_is_told(tmp_path: Path, head: str) -> None:
    async def run() -> None:
        async with standing(tmp_path, listen=Listen(strangers="2/1h")) as stand:
            answers = [(await said(stand, head))[0] for _ in range(3)]
            assert [one.split()[1] for one in answers] == [b"404", b"404", b"429"]
            assert all(b"application/problem+json" in one for one in answers)
            await stand.refusals.flush()
            assert {(one.on, one.why) for one in stand.actions.kept} == {
                ("/{rest}", "invalid, 2 times"),
                ("/{rest}", "over_rate"),
            }

    asyncio.run(run())


def test_who_waits_to_be_asked_for_a_body_is_asked_only_where_it_is_read(tmp_path: Path) -> None:
    async def run() -> None:
        async with standing(tmp_path) as stand:
            body = json.dumps(FAULT).encode()
            token = "\r\nAuthorization: Bearer alpha\r\nContent-Type: application/json"
            post = "POST /v1/events HTTP/1.1\r\nExpect: "
            for waits, sends, statuses in (
                (f"{post}100-continue{token}", body, [b"100", b"202"]),
                (f"{post}100-continue", body, [b"401"]),
                (f"{post}100-continue{token}", b" " * (1 << 21), [b"413"]),
            ):
                heads = await said(stand, waits, sends)
                assert [one.split()[1] for one in heads] == statuses
                assert (b"Connection: close" in heads[-1]) is (statuses != [b"100", b"202"])
            answer = await stand.post(FAULT, expect="miracles")
            assert answer.status_code == 202, "no more was expected than is there"
            assert stand.counts.no == {"unauthorised": 1, "too_large": 1}

    asyncio.run(run())


def test_a_mebibyte_and_one_byte_is_too_large_however_it_comes(tmp_path: Path) -> None:
    frame = b'{"type":"t","data":{"v":"%s"}}'
    exact = frame % (b"x" * ((1 << 20) - len(frame) + 2))
    assert len(exact) == 1 << 20

    async def streamed(stand: Stand, body: bytes) -> Any:
        async def chunks() -> Any:
            for start in range(0, len(body), 100_000):
                yield body[start : start + 100_000]

        headers = {"authorization": "Bearer alpha", "content-type": "application/json"}
        return await stand.client.post("/v1/events", content=chunks(), headers=headers)

    async def run() -> None:
        async with standing(tmp_path) as stand:
            problem(await stand.post(exact + b" "), 413, "too_large")
            problem(await streamed(stand, exact + b" "), 413, "too_large")
            assert not stand.log.events
            assert (await stand.post(exact)).status_code == 202
            assert (await streamed(stand, exact)).status_code == 202
            # Two bytes of "1e" can become sixteen: what is measured is what would go into the log.
            swollen = b'{"type":"t","data":{"v":[%s1]}}' % (b"1e15," * 150_000)
            problem(await stand.post(swollen), 413, "too_large")
            assert len(stand.log.events) == 2

    asyncio.run(run())


@pytest.mark.parametrize(
    ("path", "token", "small", "large"),
    [
        ("/v1/events", "alpha", {"type": "t"}, {"type": "t", "data": {"v": "x" * (4 << 20)}}),
        ("/v1/events", "alpha", {"type": "t"}, b'{"type":"t"' + b" " * (4 << 20) + b"}"),
        ("/api/v2/alerts", "scrape", [{"labels": {"a": "b"}}], [{"labels": {"a": "x" * (4 << 20)}}]),
    ],
)
def test_an_event_that_the_topic_does_not_take_is_too_large_and_not_to_be_sent_again(
    tmp_path: Path, path: str, token: str, small: object, large: Any
) -> None:
    """`limits.body` may be larger, for lists."""

    async def run() -> None:
        async with standing(tmp_path, body=16 << 20) as stand:
            mine = {"path": path, "authorization": f"Bearer {token}"}
            answer = await stand.post(large, **mine)
            problem(answer, 413, "too_large")
            assert "retry-after" not in answer.headers
            assert (await stand.post(small, **mine)).status_code < 300
            assert len(stand.log.events) == 1
            if path == "/v1/events" and not isinstance(large, bytes):
                items = (await stand.batch([large, small])).json()
                assert [one["status"] for one in items] == [413, 202]

    asyncio.run(run())


def test_a_body_that_ends_early_takes_nothing_and_harms_nobody(tmp_path: Path) -> None:
    head = "POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer alpha\r\nContent-Type: application/json\r\n"

    async def run() -> None:
        async with standing(tmp_path) as stand:
            for rest in (
                'Content-Length: 500\r\n\r\n{"type":',
                'Transfer-Encoding: chunked\r\n\r\nzz\r\n{"type":"t"}\r\n',
            ):
                reader, writer = await asyncio.open_connection("127.0.0.1", stand.port)
                writer.write((head + rest).encode())
                writer.write_eof()
                answer = await reader.read()
                assert b" 202 " not in answer
                writer.close()
            assert (await stand.post(FAULT)).status_code == 202
            assert len(stand.log.events) == 1

    asyncio.run(run())


def test_a_batch_is_answered_event_by_event_in_order(tmp_path: Path) -> None:
    events = [
        {"id": "1", "type": "t"},
        {"id": "2"},
        {"id": "1", "type": "t"},
        {"id": "1", "type": "other"},
        {"id": "3", "type": "t", "data": {}},
    ]

    async def run() -> None:
        async with standing(tmp_path) as stand:
            answer = await stand.batch(events)
            items = answer.json()
            assert answer.status_code == 200
            assert [item["status"] for item in items] == [202, 400, 202, 409, 202]
            assert [item.get("id") for item in items] == ["1", None, "1", None, "3"]
            assert items[1]["problem"]["field"] == "type"
            assert items[3]["problem"]["type"] == "urn:andon:problem:conflict"
            assert [event.id for event in stand.log.events] == ["1", "3"]
            assert stand.log.appends == [2], "one append for the whole batch"
            assert (stand.counts.taken, stand.counts.no) == ({"mes": 2}, {"invalid": 1, "conflict": 1})

    asyncio.run(run())


@pytest.mark.parametrize("count", [1_000, 1_001])
def test_a_batch_of_a_thousand_passes_a_window_of_five_hundred(tmp_path: Path, count: int) -> None:
    async def run() -> None:
        async with standing(tmp_path, window=500) as stand:
            answer = await stand.batch([{"type": "t", "id": str(n)} for n in range(count)])
            if count > 1_000:
                problem(answer, 400, "invalid")
                return
            assert [item["id"] for item in answer.json()] == [str(n) for n in range(count)]
            assert stand.log.appends == [500, 500]

    asyncio.run(run())
