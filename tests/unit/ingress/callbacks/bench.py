"""What the vendors do, written apart from what is tested: sealing, signing, and a source to call."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from andon.core.failure import Failure
from andon.core.ports import CallbackSource, Context, Inbound
from andon.testing.clock import ManualClock

NOW = 1_700_000_000
KEYS = ("abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG", "GFEDCBA9876543210zyxwvutsrqponmlkjihgfedcba")
TAKEN = "taken"
VECTORS: dict[str, list[dict[str, str]]] = json.loads(
    (Path(__file__).parent / "vendor_vectors.json").read_text("utf-8")
)
SEALED: dict[str, dict[str, Any]] = {
    one["name"]: one for one in json.loads((Path(__file__).parent / "callback_vectors.json").read_text("utf-8"))
}


class Bench:
    """Secrets in files, a clock by hand, and sources of one kind."""

    def __init__(self, folder: Path, kind: Callable[..., Any]) -> None:
        self.folder = folder
        self.kind = kind
        self.clock = ManualClock(NOW)

    def secret(self, name: str, *values: str) -> str:
        """The reference to a secret of these values."""
        (self.folder / name).write_text("\n".join(values), encoding="utf-8")
        return f"file:{self.folder / name}"

    def source(self, **options: Any) -> CallbackSource:
        config = self.kind.Config.model_validate(options)  # type: ignore[attr-defined]
        context = Context("chat", self.folder, self.clock, None)  # type: ignore[arg-type]
        source: CallbackSource = self.kind(config, context)
        return source


Check = Callable[[Bench], None]


def fate(source: CallbackSource, inbound: Inbound) -> str:
    """The reason for which a call is refused, or TAKEN."""
    return outcome(source.called, inbound)


def outcome(ask: Callable[[Inbound], object], inbound: Inbound) -> str:
    """The reason for which anything asked is refused, or TAKEN."""
    try:
        ask(inbound)
    except Failure as failure:
        return str(failure.reason)
    return TAKEN


def post(body: bytes | str, query: Mapping[str, str] = {}, headers: Mapping[str, str] = {}) -> Inbound:
    return Inbound("chat", headers, body.encode() if isinstance(body, str) else body, query)


def aes(key: bytes, iv: bytes, data: bytes, block: int) -> bytes:
    """Padded as PKCS #7 says, and encrypted in CBC mode."""
    left = block - len(data) % block
    encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    return encryptor.update(data + bytes([left]) * left) + encryptor.finalize()


def seal(key: str, receiver: str, message: str | bytes, random: bytes = bytes(range(16))) -> str:
    """A message in the envelope that WeCom, DingTalk and WeChat have in common."""
    text = message.encode() if isinstance(message, str) else message
    raw = base64.b64decode(key + "=")
    plain = random + len(text).to_bytes(4, "big") + text + receiver.encode()
    return base64.b64encode(aes(raw, raw[:16], plain, 32)).decode()


def unseal(key: str, receiver: str, sealed: str) -> str:
    raw = base64.b64decode(key + "=")
    decryptor = Cipher(algorithms.AES(raw), modes.CBC(raw[:16])).decryptor()
    plain = decryptor.update(base64.b64decode(sealed)) + decryptor.finalize()
    plain = plain[: -plain[-1]]
    end = 20 + int.from_bytes(plain[16:20], "big")
    assert plain[end:] == receiver.encode(), "it is for whom it came from"
    return plain[20:end].decode()


def sha1(*parts: str) -> str:
    return hashlib.sha1("".join(sorted(parts)).encode(), usedforsecurity=False).hexdigest()


def caught(check: Check, bench: Bench) -> None:
    """That a mistake in the source fails this check: it asserts, or the good is refused."""
    with pytest.raises((AssertionError, Failure)):
        check(bench)
