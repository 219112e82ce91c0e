"""Who is it: signed tokens that are forged, confused, of somebody else, for somebody else, or over."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from andon.config.access import Issuer
from andon.core.ports import Clock
from andon.ingress.tokens.provider import Provider
from tests.component.ingress.corpus.case import BATCH, EVENTS, MUTES, NOW, Case, event, good, request, text, wrapped
from tests.rig import oidc
from tests.unit.ingress.tokens import CLIENT, NoNetwork

STANDIN = oidc.Provider(now=lambda: float(NOW))
_KEY, _STRANGER = STANDIN.keys[STANDIN.current], oidc.Key.made("RS256", 99)


def provider(clock: Clock) -> Provider:
    """The provider that the door believes."""
    issuer = Issuer(issuer=STANDIN.issuer, audience=oidc.AUDIENCE)
    return Provider("plant", issuer, NoNetwork(STANDIN), clock)


def cases() -> Iterator[Case]:
    yield _case("good", STANDIN.token(CLIENT), "signed-1")
    for path in (EVENTS, BATCH, MUTES):
        body = text(wrapped(path, good(path)))
        for name, token in _forged():
            yield Case(
                "signed", f"{path} {name}", request(path, body, token=token), 401, "unauthorised", "Authorization"
            )
    yield _case("good after all that", STANDIN.token(CLIENT), "signed-2")


def _case(name: str, token: str, number: str) -> Case:
    sent = request(EVENTS, text(event(id=number)), token=token)
    return Case("signed", name, sent, 202, kept=(f'"{number}"'.encode(),))


def _forged() -> Iterator[tuple[str, str]]:
    token = STANDIN.token
    good_one = token(CLIENT)
    head, body, signature = good_one.split(".")
    for alg in ("none", "None", "NONE", "", "HS256", "HS384", "HS512", "RS384", "ES256", "PS256", "EdDSA", "rs256"):
        yield f"alg {alg!r}", token(CLIENT, header={"alg": alg})
        yield f"alg {alg!r}, no signature", oidc.compact({"alg": alg}, STANDIN.claims(CLIENT), lambda _: b"\0")
    for name, secret in (("PEM", _KEY.pem()), ("JWK", json.dumps(_KEY.jwk("key-0")).encode()), ("nothing", b"")):
        header = {"alg": "HS256", "typ": "at+jwt", "kid": "key-0"}
        yield f"HS256 by {name}", oidc.compact(header, STANDIN.claims(CLIENT), oidc.hs256(secret))
    offered: dict[str, dict[str, Any]] = {
        "a known name": {},
        "jwk": {"jwk": _STRANGER.jwk("key-0")},
        "jku": {"jku": "http://127.0.0.1:1/keys"},
        "x5u": {"x5u": "http://127.0.0.1:1/cert"},
        "x5c": {"x5c": ["AAAA"]},
        "an unknown name": {"kid": "key-7"},
        "a path": {"kid": "../../../dev/null"},
        "SQL": {"kid": "x' UNION SELECT 'a"},
        "no name": {"kid": None},
    }
    for name, more in offered.items():
        yield f"a stranger's key, {name}", token(CLIENT, header=more, key=_STRANGER)
    for member in (
        {"crit": ["exp"]},
        {"b64": False, "crit": ["b64"]},
        {"zip": "DEF"},
        {"cty": "JWT"},
        {"enc": "A256GCM"},
    ):
        yield f"header {member}", token(CLIENT, header=member)
    for typ in ("id_token+jwt", "dpop+jwt", "andon+jwt", "logout+jwt", "secevent+jwt"):
        yield f"typ {typ}", token(CLIENT, header={"typ": typ})
    audiences: tuple[object, ...] = ("other", "andon2", "ando", "ANDON", ["other"], [], {}, 7, None)
    beginnings: tuple[object, ...] = (NOW + 31, NOW + 86_400, "0", [])
    claims: tuple[dict[str, Any], ...] = (
        *(
            {"iss": iss}
            for iss in ("https://evil.example", STANDIN.issuer + "/", STANDIN.issuer[:-1], "andon", "", None)
        ),
        *({"aud": aud} for aud in audiences),
        *({"exp": exp} for exp in (NOW - 30, NOW - 31, 0, -1, str(NOW + 60), True, None, NOW + 90_000)),
        *({"nbf": nbf} for nbf in beginnings),
        *({"iat": iat} for iat in (NOW + 31, NOW - 86_400, None, "now")),
        *({"client_id": client} for client in ("other", "mes", "MES-CLIENT", "", 7, [CLIENT])),
        {"client_id": None, "azp": None},
        {"at_hash": "x"},
        {"typ": "ID"},
        {"typ": "Refresh"},
    )
    for claim in claims:
        yield f"{claim}", token(CLIENT, **claim)
    yield "claims of another", f"{head}.{oidc.b64(json.dumps(STANDIN.claims('admin')).encode())}.{signature}"
    yield (
        "aud twice",
        oidc.compact(
            {"alg": "RS256", "kid": "key-0"},
            f'{{"iss":"{STANDIN.issuer}","aud":"x","aud":"andon"}}'.encode(),
            _KEY.sign,
        ),
    )
    yield "deep", oidc.compact({"alg": "RS256"}, b'{"iss":' + b"[" * 500 + b"]" * 500 + b"}", _KEY.sign)
    yield "encrypted", f"{good_one}.AAAA.AAAA"
    yield "twice", f"{good_one}.{good_one}"
    yield "padded", f"{good_one}=="
    yield "cut", good_one[:-2]
    yield "other writing", good_one[:-1] + chr(ord(good_one[-1]) + 1)
    for part in (0, 1, 2):
        parts = [head, body, signature]
        parts[part] = parts[part][:9] + ("A" if parts[part][9] != "A" else "B") + parts[part][10:]
        yield f"part {part} changed", ".".join(parts)
