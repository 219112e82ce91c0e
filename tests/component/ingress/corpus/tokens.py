"""Who is it: tokens that are missing, nearly right, shown in another way, or somebody else's."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from tests.component.ingress.corpus.case import MUTES, POSTED, Case, good, request, text, wrapped

_MAY = {
    path: {"alpha"} if path == MUTES else {token, "beta"} if token == "alpha" else {token}
    for path, token in POSTED.items()
}
_LONG = "a" * 4_000


def cases() -> Iterator[Case]:
    for path, token in POSTED.items():
        body = text(wrapped(path, good(path)))
        for number, header in enumerate(_headers(token)):
            sent = request(path, body, token="", authorization=header)
            yield Case("token", f"{path} {number} {header!r:.60}", sent, 401, "unauthorised", "Authorization")
        for other in sorted({"alpha", "beta", "scrape"} - _MAY[path]):
            field = None if path == MUTES else "Authorization"
            yield Case("token of another", f"{path} {other}", request(path, body, token=other), 403, "forbidden", field)


def _headers(token: str) -> Iterator[str | None]:
    """What shows no valid token."""
    near = [token[:n] for n in range(len(token))] + [token[n:] for n in range(1, len(token))]
    near += [token[:n] + chr(ord(token[n]) ^ bit) + token[n + 1 :] for n in range(len(token)) for bit in (1, 32)]
    near += [
        token.upper(),
        token + token,
        f"{token}x",
        f"x{token}",
        f"{token},{token}",
        f"{token} {token}",
        f'"{token}"',
    ]
    near += [
        f"{token}\xa0",
        f"{token}%20",
        f"{token};",
        "null",
        "undefined",
        "true",
        "*",
        "%",
        "' OR '1'='1",
        "../" + token,
    ]
    near += [
        "Bearer",
        f"Bearer {token}",
        "env:TOKEN",
        "file:/etc/passwd",
        _LONG,
        "\xe9",
        "0",
        "{{ token }}",
        "${TOKEN}",
    ]
    schemes = [f"Basic {token}", f"Token {token}", f"Bearer={token}", f"Bearer:{token}", f"Bearer\t{token}", token]
    schemes += [
        f"Bearers {token}",
        f"Digest {token}",
        f"Negotiate {token}",
        f"Bear er {token}",
        "Basic YWxwaGE6eA==",
        "Basic YWxwaGE=",
        "Basic =",
        "Basic YTpiOmM=",
    ]
    yield None
    yield from ("", " ", "Bearer", "Bearer ", "bearer")
    yield from chain((f"Bearer {one}" for one in near), schemes)
