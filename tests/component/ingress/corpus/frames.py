"""HTTP itself: addresses, methods, media types, compression, sizes, and requests of which two programs may see two."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator

from tests.component.ingress.corpus.case import (
    ALERTS,
    BATCH,
    BODY,
    EVENTS,
    GONE,
    HTTP,
    MUTES,
    POSTED,
    Case,
    How,
    alert,
    event,
    good,
    request,
    text,
    wrapped,
)
from tests.component.ingress.wecom import PATH as CALLBACK

_NOWHERE = (
    *(
        "/",
        "/v1",
        "/v1/",
        "/v1/event",
        "/v1/events/",
        "/V1/EVENTS",
        "/v1/events:Batch",
        "/v2/events",
        "/v1/events.json",
    ),
    *("/v1/../v1/events", "/v1/./events", "//v1/events", "/v1//events", "/v1/events/../events", "/../../etc/passwd"),
    *("/%2e%2e/%2e%2e/etc/passwd", "/v1/%2e%2e/events", "/..%2f..%2fetc/passwd", "/..%5c..%5cwindows", "/v1/events%00"),
    *(
        "/v1/events%20",
        "/v1/events;a=b",
        "/api/v2/alerts/",
        "/api/v1/alerts",
        "/api/v2/receivers/",
        "/admin",
        "/metrics",
    ),
    *("/.env", "/.git/config", "/actuator/env", "/wp-login.php", "/server-status", "/healthz", "/console", "/docs/"),
    *(
        "/docs/../../andon.yaml",
        "/docs/openapi.yaml",
        "/callbacks",
        "/callbacks/",
        "/callbacks/a/b",
        "/callbacks/%2e%2e/%2e%2e",
    ),
    *(
        "/callbacks/..%2f..%2fv1%2fevents",
        "/callbacks/nobody",
        "/callbacks/mes",
        "/callbacks/App-Events",
        "/callbacks/app-events%20",
    ),
    *(
        "/callbacks/app-events%00",
        "/callbacks/{{7*7}}",
        "/callbacks/app_events",
        "/callbacks/*",
        "/%ff%fe",
        "/v1/events%0d%0aX:1",
    ),
)
_TYPES = (
    *("text/plain", "text/html", "text/csv", "text/json", "text/xml", "application/xml", "application/octet-stream"),
    *("application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/yaml", "application/jsonp"),
    *("application/json5", "application/x-json", "application/json-seq", "application/ndjson", "application/msgpack"),
    *(
        "application/javascript",
        "image/png",
        "*/*",
        "json",
        "application",
        "application/",
        "/json",
        "",
        "application/json,text/html",
    ),
    *(
        "application/json; charset=latin-1",
        "application/json; charset=gbk",
        "application/json; charset=utf-16",
        "application /json",
    ),
    *("application/json; charset=utf-8; charset=gbk", "application/cloudevents", "application/cloudevents+xml", "\xff"),
)
_CODINGS = (
    "gzip",
    "deflate",
    "br",
    "zstd",
    "compress",
    "x-gzip",
    "gzip, gzip",
    "identity, gzip",
    "GZIP",
    "utf-8",
    "aws-chunked",
    "*",
)
_METHODS = ("GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "PROPFIND", "SEARCH", "LINK")
_SMUGGLED = request(EVENTS, text(event(id="smuggled")))


def cases() -> Iterator[Case]:
    yield from _addresses()
    yield from _types()
    yield from _compressed()
    yield from _sizes()
    yield from _framing()
    yield from _floods()
    yield from _unfinished()


def _addresses() -> Iterator[Case]:
    body = text(event())
    for path in _NOWHERE:
        yield Case("address", path, request(path, body, token="alpha", content_type="application/json"), 404, "invalid")
    allowed = {path: {"POST"} for path in POSTED} | {path: {"GET", "POST"} for path in (ALERTS, MUTES, CALLBACK)}
    for path, methods in allowed.items():
        for method in _METHODS:
            if method not in methods:
                # An answer to HEAD has no body that could name a reason.
                reason = "" if method == "HEAD" else "invalid"
                yield Case("method", f"{method} {path}", request(path, body, method=method), 405, reason)
    for path in ("/docs", "/docs/openapi.json", "/docs/asyncapi.json"):
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            yield Case("method", f"{method} {path}", request(path, method=method), 405, "invalid")
    for method in ("post", "Post", "EVIL", "POST\t", "P/ST", "POST{"):
        yield Case("method", f"{method!r}", request(EVENTS, body, method=method), 400, HTTP, how=How.ALONE)


def _types() -> Iterator[Case]:
    for path in POSTED:
        body = text(wrapped(path, good(path)))
        for media in (*_TYPES, None):
            sent = request(path, body, content_type=media)
            yield Case("media type", f"{path} {media!r}", sent, 415, "media_type", "Content-Type")
    for media in ("application/cloudevents-batch+json", "application/cloudevents+json"):
        for path in POSTED:
            if (path, media) not in (
                (EVENTS, "application/cloudevents+json"),
                (BATCH, "application/cloudevents-batch+json"),
            ):
                sent = request(path, b"{}", content_type=media)
                yield Case("media type", f"{path} {media}", sent, 415, "media_type", "Content-Type")


def _compressed() -> Iterator[Case]:
    """Nothing is unpacked: a bomb is as small as it came."""
    bomb = gzip.compress(b'{"type":"t"}' + b" " * 20_000_000, 9)
    for path in (*POSTED, CALLBACK):
        body = text(wrapped(path, good(path))) if path in POSTED else b"<xml/>"
        packed = {"gzip": gzip.compress(body, mtime=0), "deflate": zlib.compress(body), "GZIP": bomb}
        for coding in _CODINGS:
            sent = request(path, packed.get(coding, body), content_encoding=coding)
            yield Case("compressed", f"{path} {coding}", sent, 415, "media_type", "Content-Encoding")


def _sizes() -> Iterator[Case]:
    for path in (*POSTED, CALLBACK):
        body = text(wrapped(path, good(path))) if path in POSTED else b"<xml/>"
        for over in (1, 2, 1_000, BODY):
            large = body + b" " * (BODY - len(body) + over)
            yield Case("oversize", f"{path} by {over}", request(path, large), 413, "too_large")
            chunks = _chunked(path, (large[at : at + 16_384] for at in range(0, len(large), 16_384)))
            yield Case("oversize", f"{path} by {over} in chunks", chunks, 413, "too_large", how=How.ALONE)
        for claimed in (BODY + 1, 1 << 31, 1 << 40, (1 << 63) - 1):
            sent = request(path, b"{", content_length=str(claimed), connection="close")
            yield Case("oversize", f"{path} claims {claimed}", sent, 413, "too_large", how=How.HALF)
    for size in (0, 1, 1_000):
        whole = text(event(id=f"s-{size}"))
        padded = whole + b" " * (BODY - len(whole) - size)
        yield Case("just not oversize", f"{size} less", request(EVENTS, padded), 202, kept=(whole[:-1],))
    swollen = b'{"type":"t","data":{"v":[%b1]}}' % (b"1e15," * (BODY // 6))
    yield Case("oversize", "numbers that are longer when they are kept", request(EVENTS, swollen), 413, "too_large")
    yield Case("oversize", "the same in a batch", request(BATCH, b"[%b]" % swollen), 413, "too_large")
    many = text([{"type": "t"}] * 1_001)
    yield Case("oversize", "1,001 events", request(BATCH, many), 400, "invalid")
    few = text([{"labels": {"a": str(n)}} for n in range(1_001)])
    yield Case("oversize", "1,001 alerts", request(ALERTS, few), 413, "too_large")
    for length in (9_000, 70_000):
        yield Case("header flood", f"an address of {length}", request("/" + "a" * length), 400, HTTP, how=How.ALONE)
        yield Case(
            "header flood", f"a token of {length}", request(EVENTS, token="a" * length), 400, HTTP, how=How.ALONE
        )
        yield Case(
            "header flood", f"a name of {length}", request(EVENTS, **{"x" * length: "1"}), 400, HTTP, how=How.ALONE
        )
        signed = request(f"{CALLBACK}?msg_signature=" + "a" * length)
        yield Case("header flood", f"a signature of {length}", signed, 400, HTTP, how=How.ALONE)


def _chunked(path: str, parts: Iterator[bytes]) -> bytes:
    head = request(path, content_length=None, transfer_encoding="chunked", connection="close")
    return head + b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def _framing() -> Iterator[Case]:
    """What a proxy and a server may cut at different places: one answer at most, and the second request never."""
    body = text(event(id="framed"))
    end = b"0\r\n\r\n"
    ambiguous: dict[str, dict[str, str | None]] = {
        "CL and TE": {"transfer_encoding": "chunked"},
        "CL 0 and TE": {"content_length": "0", "transfer_encoding": "chunked"},
        "TE xchunked": {"content_length": None, "transfer_encoding": "xchunked"},
        "TE identity": {"content_length": None, "transfer_encoding": "identity"},
        "TE gzip": {"content_length": None, "transfer_encoding": "gzip"},
        "TE chunked, gzip": {"content_length": None, "transfer_encoding": "chunked, gzip"},
        "TE chunked chunked": {"content_length": None, "transfer_encoding": "chunked, chunked"},
        "TE quoted": {"content_length": None, "transfer_encoding": '"chunked"'},
        "TE \\x0b": {"content_length": None, "transfer_encoding": "\x0bchunked"},
        "TE twice": {"content_length": None, "transfer_encoding": "chunked\r\ntransfer-encoding: chunked"},
        "TE and then identity": {"content_length": None, "transfer_encoding": "chunked\r\ntransfer-encoding: identity"},
        "TE folded": {"content_length": None, "transfer_encoding": "\r\n chunked"},
        "CL twice": {"content_length": "5\r\ncontent-length: 6"},
        "CL twice the same": {"content_length": "5\r\ncontent-length: 5"},
        "CL list": {"content_length": "5, 5"},
        "CL +": {"content_length": "+5"},
        "CL -": {"content_length": "-1"},
        "CL hex": {"content_length": "0x5"},
        "CL float": {"content_length": "5.0"},
        "CL words": {"content_length": "five"},
        "CL empty": {"content_length": ""},
        "CL blanks": {"content_length": "5 5"},
        "CL huge": {"content_length": "9" * 40},
        "CL underscore": {"content_length": "1_0"},
        "CL arabic": {"content_length": "\xd9\xa5"},
        "name with blank": {"x y": "1"},
        "name with colon blank": {"content-length ": "0"},
        "name empty": {"": "1"},
        "name with NUL": {"x\x00y": "1"},
        "value with NUL": {"x": "a\x00b"},
        "value with CR": {"x": "a\rb"},
        "value with CR CR": {"x": "a\r\rcontent-length: 0"},
        "folded": {"x": "a\r\n b"},
        "no colon": {"x": "1\r\nno-colon-here"},
        "control": {"x": "\x01"},
        "host twice": {"host": "door\r\nhost: elsewhere"},
    }
    for name, headers in ambiguous.items():
        for what, rest in (("a chunk", b"%x\r\n%b\r\n" % (len(body), body) + end), ("nothing", end), ("a body", body)):
            sent = request(EVENTS, method="POST", **headers) + rest + _SMUGGLED
            yield Case("smuggling", f"{name}, then {what}", sent, 400, HTTP, how=How.ALONE)
    head = request(EVENTS, content_length=None, transfer_encoding="chunked")
    chunks = {
        "no size": b"\r\n",
        "size in words": b"five\r\n",
        "size with sign": b"-5\r\n",
        "size with plus": b"+5\r\n",
        "size with 0x": b"0x5\r\n",
        "size with blank": b" 5\r\n",
        "size too large": b"f" * 17 + b"\r\n",
        "longer than its size": b"2\r\n{}x\r\n",
        "no line end": b"2\r\n{}0\r\n\r\n",
        "line feed alone": b"2\n{}\n0\n\n",
        "carriage return alone": b"2\r{}\r0\r\r",
        "extension with a line feed": b"2;a\nb\r\n{}\r\n0\r\n\r\n",
    }
    for name, raw in chunks.items():
        yield Case("smuggling", f"chunk: {name}", head + raw + _SMUGGLED, 400, HTTP, how=How.ALONE)
    lines = {
        "no version": b"POST /v1/events\r\n\r\n",
        "version 9": b"POST /v1/events HTTP/9.9\r\n\r\n",
        "version in words": b"POST /v1/events HTTP/one\r\n\r\n",
        "another protocol": b"POST /v1/events ICE/1.0\r\n\r\n",
        "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
        "noise": bytes(range(1, 256)) + b"\r\n\r\n",
        "SSH": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        "redis": b"*1\r\n$4\r\nINFO\r\n\r\n",
        "blank in the address": b"POST /v1/events x HTTP/1.1\r\nhost: x\r\n\r\n",
        "line feeds alone": b"POST /v1/events HTTP/1.1\nhost: x\ncontent-length: 0\n\n",
        "colon first": b":POST /v1/events HTTP/1.1\r\n\r\n",
        "folded at once": b"POST /v1/events HTTP/1.1\r\n host: x\r\n\r\n",
    }
    for name, raw in lines.items():
        yield Case("not HTTP/1.1", name, raw + _SMUGGLED, 400, HTTP, how=How.ALONE)


def _floods() -> Iterator[Case]:
    body = text(event())
    for count in (200, 1_000, 5_000):
        many = {f"x-{n}": "1" for n in range(count)}
        yield Case("header flood", f"{count} headers", request(EVENTS, body, **many), 400, HTTP, how=How.ALONE)
    large = {f"x-{n}": "a" * 8_000 for n in range(100)}
    yield Case("header flood", "800 kB in 100 headers", request(EVENTS, body, **large), 202, kept=(body[:-1],))


def _unfinished() -> Iterator[Case]:
    """Bodies that come no further, and those whose sender leaves."""
    for path in (*POSTED, CALLBACK):
        whole = text(wrapped(path, good(path))) if path in POSTED else b"<xml/>"
        for at in (0, 1, len(whole) - 1):
            sent = request(path, whole[:at], content_length=str(len(whole)), connection="close")
            yield Case("slow", f"{path} stops after {at}", sent, 408, "timeout", how=How.HALF)
            yield Case("gone", f"{path} leaves after {at}", sent, GONE, how=How.LEAVES)
        stuck = _chunked(path, iter([whole[:1]])).removesuffix(b"0\r\n\r\n")
        yield Case("slow", f"{path} in chunks", stuck, 408, "timeout", how=How.HALF)
        yield Case("gone", f"{path} in chunks", stuck, GONE, how=How.LEAVES)
    half = text([alert()])[:-1]
    yield Case("gone", "in the headers", request(EVENTS, half)[:60], GONE, how=How.LEAVES)
