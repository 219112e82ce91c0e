"""SCRAM, by which a client and a broker prove to each other that they know a password (RFC 5802, RFC 7677). Pure."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, b64encode

_LEAST, _MOST = 4_096, 1 << 20


class ScramFailure(Exception):  # noqa: N818 - a finding about the other side
    """The other side does not know the password, or what it says is no SCRAM."""


class Scram:
    """One exchange, by `SCRAM-SHA-256` or `SCRAM-SHA-512`: `first`, then `final`, then `verify`.

    `nonce` is printable ASCII without a comma, never used before.
    """

    def __init__(self, mechanism: str, user: str, password: str, nonce: str) -> None:
        self._hash = mechanism.removeprefix("SCRAM-").replace("-", "").lower()
        self._password = password.encode()
        self._nonce = nonce
        self._bare = f"n={user.replace('=', '=3D').replace(',', '=2C')},r={nonce}"
        self._server = b""

    def first(self) -> bytes:
        """What the client says first."""
        return f"n,,{self._bare}".encode()

    def final(self, answer: bytes) -> bytes:
        """The client's proof, after what the server said first. Raises ScramFailure."""
        said = _fields(answer)
        try:
            nonce, salt, rounds = said["r"], b64decode(said["s"], validate=True), int(said["i"])
        except (KeyError, ValueError):
            raise ScramFailure("the broker's first answer is no SCRAM") from None
        if not nonce.startswith(self._nonce) or not _LEAST <= rounds <= _MOST:
            raise ScramFailure("the broker's first answer is not to what was asked, or too weak")
        salted = hashlib.pbkdf2_hmac(self._hash, self._password, salt, rounds)
        bare = f"c=biws,r={nonce}"
        spoken = b",".join((self._bare.encode(), answer, bare.encode()))
        client = self._mac(salted, b"Client Key")
        signature = self._mac(hashlib.new(self._hash, client).digest(), spoken)
        proof = bytes(a ^ b for a, b in zip(client, signature, strict=True))
        self._server = self._mac(self._mac(salted, b"Server Key"), spoken)
        return f"{bare},p={b64encode(proof).decode()}".encode()

    def verify(self, answer: bytes) -> None:
        """Raises ScramFailure unless the server's last word proves that it knows the password too."""
        proof = _fields(answer).get("v", "")
        if not hmac.compare_digest(proof.encode(), b64encode(self._server)):
            raise ScramFailure("the broker does not prove that it knows the password")

    def _mac(self, key: bytes, text: bytes) -> bytes:
        return hmac.digest(key, text, self._hash)


def _fields(answer: bytes) -> dict[str, str]:
    parts = (part.partition("=") for part in answer.decode("ascii", "replace").split(","))
    return {name: value for name, _, value in parts}
