"""Bodies of other systems, which a map turns into events: bad ones, and paths that are data."""

from __future__ import annotations

from collections.abc import Iterator

from tests.component.ingress.corpus.case import Case, places, request, text
from tests.component.ingress.corpus.data import HARMLESS

PATH = "/hooks/wms"
"""Its map reads `kind`, `bin` and `no`, and `code` where there is one."""
_MEDIA = "application/json"


def cases() -> Iterator[Case]:
    value: object
    good = text({"kind": "low", "bin": "A-7", "no": "hook-good"})
    for at in places(good, 24):
        yield _refused(f"cut after {at}", good[:at], "malformed")
    for raw in (
        b"\xff",
        b"nul",
        b"{'a':1}",
        b"NaN",
        b"[" * 1_000,
        b'{"a":' * 1_000,
        good + b"}",
        b"\xff\xfe" + good,
    ):
        yield _refused(f"{raw[:20]!r}", raw, "malformed")
    for left in ("kind", "bin", "no"):
        yield _refused(
            f"without {left}", text({name: "x" for name in ("kind", "bin", "no") if name != left}), "invalid"
        )
        for value in (None, [], {}, "", ["x"]):
            body: dict[str, object] = {"kind": "x", "bin": "x", "no": "x"} | {left: value}
            yield _refused(f"{left} {value!r}", text(body), "invalid")
    # Other programs put a mark of the byte order before their text: RFC 8259, section 8.1, lets a reader pass over it.
    yield Case("hook: data", "a mark first", _sent(b"\xef\xbb\xbf" + good), 202, kept=(b'"hook-good"',))
    for number, danger in enumerate(HARMLESS):
        body = {"kind": "low", "bin": danger, "no": f"hook-{number}", "note": danger}
        yield Case("hook: data", f"{danger!r}", _sent(text(body)), 202, kept=(text(danger),))
    for token, status, reason in (("", 401, "unauthorised"), ("delt", 401, "unauthorised"), ("beta", 403, "forbidden")):
        yield Case("hook: token", token, _sent(good, token), status, reason, "Authorization")
    for path in ("/hooks/nobody", "/hooks/mes", "/hooks/WMS", "/hooks/app-events"):
        yield Case("hook: token", path, request(path, good, token="delta", content_type=_MEDIA), 403, "forbidden")


def _refused(name: str, body: bytes, reason: str) -> Case:
    return Case(f"hook: {reason}", name, _sent(body), 400, reason)


def _sent(body: bytes, token: str = "delta") -> bytes:
    return request(PATH, body, token=token, content_type=_MEDIA)
