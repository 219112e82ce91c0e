"""A stand-in for an OIDC provider: discovery, keys, client credentials, and tokens of any shape, right or wrong.

For tests of who may come in (`tests/unit/ingress`, `tests/component/ingress`, the corpus of abnormal requests). It
shares no code with what it tests: it writes and signs tokens by itself, so that it can also write what no library
would.

    async with Provider().running() as provider:
        provider.issuer                                   # http://127.0.0.1:PORT/realms/plant
        provider.token("mes-client")                      # a good access token (RFC 9068)
        provider.token("mes-client", aud="other", exp=1)  # any claim otherwise; None leaves it out
        provider.token("mes-client", header={"alg": "none"})
        provider.rotate()                                 # another signing key; `keep=False` drops the old one
        provider.down = True                              # 503 to everything
        provider.slow = 3.0                               # seconds before each answer
        provider.held = asyncio.Event()                   # no answer before it is set
        provider.claimed = "https://elsewhere.example"    # what the discovery document says of the issuer
        provider.asked                                    # paths that were asked for, counted

Formats: RFC 7515 to 7519, RFC 8037, RFC 9068, OpenID Connect Discovery 1.0. The names of keys are theirs.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Self
from urllib.parse import parse_qs

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from tests.rig.serving import served

PATH = "/realms/plant"
AUDIENCE = "andon"
SECRET = "client-secret"
_HASHES: dict[str, Callable[[], hashes.HashAlgorithm]] = {
    "256": hashes.SHA256,
    "384": hashes.SHA384,
    "512": hashes.SHA512,
}
_CURVES: dict[str, tuple[type[ec.EllipticCurve], str, int]] = {
    "ES256": (ec.SECP256R1, "P-256", 32),
    "ES384": (ec.SECP384R1, "P-384", 48),
    "ES512": (ec.SECP521R1, "P-521", 66),
}
_made: dict[tuple[str, int], Key] = {}


def b64(data: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value: int) -> str:
    return b64(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def compact(
    header: Mapping[str, Any] | bytes, claims: Mapping[str, Any] | bytes, sign: Callable[[bytes], bytes]
) -> str:
    """A JWS in compact form of whatever is given, bytes as they are."""
    parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, claims)]
    head = ".".join(map(b64, parts))
    return f"{head}.{b64(sign(head.encode()))}"


def hs256(secret: bytes) -> Callable[[bytes], bytes]:
    """HMAC-SHA256: what nobody signs access tokens of a provider with."""
    return lambda text: hmac.new(secret, text, hashlib.sha256).digest()


class Key:
    """A signing key for one algorithm. Making an RSA key takes a while: `made` gives the same ones again."""

    def __init__(self, alg: str, bits: int = 2_048) -> None:
        self.alg = alg
        self.private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
        if alg[:2] in ("RS", "PS"):
            self.private = rsa.generate_private_key(65_537, bits)
        elif alg in _CURVES:
            self.private = ec.generate_private_key(_CURVES[alg][0]())
        else:
            self.private = ed25519.Ed25519PrivateKey.generate()

    @classmethod
    def made(cls, alg: str, which: int = 0) -> Self:
        """The key of this number in this process."""
        found = _made.get((alg, which))
        if not isinstance(found, cls):
            found = _made[alg, which] = cls(alg)
        return found

    def sign(self, text: bytes) -> bytes:
        private, alg = self.private, self.alg
        if isinstance(private, ed25519.Ed25519PrivateKey):
            return private.sign(text)
        digest = _HASHES[alg[2:]]()
        if isinstance(private, ec.EllipticCurvePrivateKey):
            size = _CURVES[alg][2]
            return b"".join(n.to_bytes(size, "big") for n in decode_dss_signature(private.sign(text, ec.ECDSA(digest))))
        if alg.startswith("PS"):
            return private.sign(text, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
        return private.sign(text, padding.PKCS1v15(), digest)

    def jwk(self, kid: str | None, **more: Any) -> dict[str, Any]:
        """The public key as a JWK; a member that is None is left out."""
        public = self.private.public_key()
        if isinstance(public, rsa.RSAPublicKey):
            own = {"kty": "RSA", "n": number(public.public_numbers().n), "e": number(public.public_numbers().e)}
        elif isinstance(public, ec.EllipticCurvePublicKey):
            _, crv, size = _CURVES[self.alg]
            x, y = (b64(n.to_bytes(size, "big")) for n in (public.public_numbers().x, public.public_numbers().y))
            own = {"kty": "EC", "crv": crv, "x": x, "y": y}
        else:
            raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
            own = {"kty": "OKP", "crv": "Ed25519", "x": b64(raw)}
        whole = own | {"kid": kid, "use": "sig", "alg": self.alg} | more
        return {name: value for name, value in whole.items() if value is not None}

    def pem(self) -> bytes:
        """The public key as a file: the secret of whoever confuses RS256 with HS256."""
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return self.private.public_key().public_bytes(serialization.Encoding.PEM, form)


class Provider:
    """One issuer. What is set on it counts from the next request on; `jwks` in place of its own keys, if not None."""

    def __init__(self, alg: str = "RS256", *, now: Callable[[], float] = time.time) -> None:
        self.now = now
        self.issuer = f"http://127.0.0.1:0{PATH}"
        self.alg = alg
        self.keys: dict[str, Key] = {"key-0": Key.made(alg)}
        self.current = "key-0"
        self.down = False
        self.slow = 0.0
        self.held: asyncio.Event | None = None
        self.claimed: str | None = None
        self.jwks: Any = None
        self.discovery: Mapping[str, Any] = {}
        self.headers: Mapping[str, str] = {}
        self.asked: Counter[str] = Counter()
        self._jti = 0

    @contextlib.asynccontextmanager
    async def running(self, port: int = 0) -> AsyncIterator[Self]:
        """Serves on loopback for as long as the block lasts; the port is a part of the issuer's name."""
        async with served(self._serve, port=port) as taken:
            self.issuer = f"http://127.0.0.1:{taken}{PATH}"
            yield self

    # ---- tokens

    def token(
        self, client: str, *, header: Mapping[str, Any] | None = None, key: Key | None = None, **claims: Any
    ) -> str:
        """An access token for this client; a claim or a member of the header that is None is left out."""
        signing = key or self.keys[self.current]
        head = {"alg": signing.alg, "typ": "at+jwt", "kid": self.current} | dict(header or {})
        return compact(self._without_none(head), self._without_none(self.claims(client) | claims), signing.sign)

    def claims(self, client: str) -> dict[str, Any]:
        """The claims of a good token that lasts five minutes."""
        now = int(self.now())
        self._jti += 1
        return {
            "iss": self.issuer,
            "aud": AUDIENCE,
            "sub": f"service-account-{client}",
            "client_id": client,
            "azp": client,
            "iat": now,
            "nbf": now,
            "exp": now + 300,
            "jti": f"t-{self._jti}",
        }

    @staticmethod
    def _without_none(members: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in members.items() if value is not None}

    def rotate(self, *, keep: bool = True) -> str:
        """Signs with another key from now on; its name."""
        which = int(self.current[4:]) + 1
        name, key = f"key-{which}", Key.made(self.alg, which)
        self.keys = {**self.keys, name: key} if keep else {name: key}
        self.current = name
        return name

    # ---- what it serves

    def document(self) -> dict[str, Any]:
        """The discovery document."""
        own = {
            "issuer": self.claimed or self.issuer,
            "jwks_uri": f"{self.issuer}/keys",
            "token_endpoint": f"{self.issuer}/token",
            "response_types_supported": ["token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [self.alg],
        }
        return self._without_none(own | dict(self.discovery))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            lines = head.split("\r\n")
            method, target, _ = lines[0].split(" ", 2)
            length = next((int(line[15:]) for line in lines if line.lower().startswith("content-length:")), 0)
            body = await reader.readexactly(length)
            path = target.partition("?")[0].removeprefix(PATH)
            self.asked[path] += 1
            if self.slow:
                await asyncio.sleep(self.slow)
            if self.held is not None:
                await self.held.wait()
            status, answer = self.answer(method, path, body)
            text = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            more = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
            head = f"HTTP/1.1 {status} -\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n{more}\r\n"
            writer.write(head.encode() + text)
            await writer.drain()

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        if self.down:
            return 503, {"error": "temporarily_unavailable"}
        if (method, path) == ("GET", "/.well-known/openid-configuration"):
            return 200, self.document()
        if (method, path) == ("GET", "/keys"):
            own = {"keys": [key.jwk(kid) for kid, key in self.keys.items()]}
            return 200, own if self.jwks is None else self.jwks
        if (method, path) == ("POST", "/token"):
            return self._granted({name: values[0] for name, values in parse_qs(body.decode("latin-1")).items()})
        return 404, {"error": "not_found"}

    def _granted(self, form: Mapping[str, str]) -> tuple[int, Any]:
        """Client credentials (RFC 6749, 4.4), with the client's secret in the form."""
        if form.get("grant_type") != "client_credentials":
            return 400, {"error": "unsupported_grant_type"}
        if form.get("client_secret") != SECRET or not form.get("client_id"):
            return 401, {"error": "invalid_client"}
        return 200, {"access_token": self.token(form["client_id"]), "token_type": "Bearer", "expires_in": 300}
