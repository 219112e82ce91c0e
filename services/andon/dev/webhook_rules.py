"""What a careful receiver of Standard Webhooks 1.0.0 says to a request; written from the specification."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from andon.dev import standin

TOLERANCE = 300.0  # seconds
_TIMESTAMP = re.compile(r"[1-9][0-9]{9}")
_CLOUD = ("specversion", "id", "source", "type")


class Refusal(standin.Refusal):
    """The receiver says no: the HTTP status, and a word for it, which it is counted under."""

    @property
    def counted(self) -> str:
        return self.text


class Verifier:
    """Knows the receiver's secrets: `whsec_…` of v1, and public keys `whpk_…` of v1a. Raises ValueError for others."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._shared: list[bytes] = []
        self._public: list[Ed25519PublicKey] = []
        for secret in secrets:
            kind, _, text = secret.partition("_")
            raw = base64.b64decode(text, validate=True)
            if kind == "whsec":
                self._shared.append(raw)
            elif kind == "whpk":
                self._public.append(Ed25519PublicKey.from_public_bytes(raw))
            else:
                raise ValueError("a secret of a receiver begins with whsec_ or whpk_")

    def check(self, headers: Mapping[str, str], body: bytes, now: float) -> str:
        """The id of a request that is signed by all the specification's rules. Raises Refusal."""
        identity, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
        if not identity or "." in identity:
            raise Refusal(400, "id")
        if not _TIMESTAMP.fullmatch(timestamp):  # of seconds: milliseconds have thirteen digits
            raise Refusal(400, "timestamp")
        if abs(now - int(timestamp)) > TOLERANCE:
            raise Refusal(401, "too_old_or_new")
        if self._shared or self._public:
            self._signature(headers.get("webhook-signature", ""), f"{identity}.{timestamp}.".encode() + body)
        return identity

    def _signature(self, header: str, signed: bytes) -> None:
        for one in header.split(" "):
            version, _, text = one.partition(",")
            try:
                raw = base64.b64decode(text, validate=True)
            except binascii.Error:
                raise Refusal(400, "signature_form") from None
            if version == "v1" and any(self._equal(key, signed, raw) for key in self._shared):
                return
            if version == "v1a" and any(self._verified(key, signed, raw) for key in self._public):
                return
        raise Refusal(401, "signature")

    @staticmethod
    def _equal(key: bytes, signed: bytes, raw: bytes) -> bool:
        return hmac.compare_digest(hmac.new(key, signed, hashlib.sha256).digest(), raw)

    @staticmethod
    def _verified(key: Ed25519PublicKey, signed: bytes, raw: bytes) -> bool:
        try:
            key.verify(raw, signed)
        except InvalidSignature:
            return False
        return True


def require_body(content_type: str, body: bytes) -> None:
    """Raises Refusal unless the body is what its type says: a CloudEvent, JSON, or text in UTF-8."""
    media = content_type.partition(";")[0].strip().lower()
    if not media:
        raise Refusal(415, "content_type")
    try:
        text = body.decode()
        value = json.loads(text) if media.endswith(("/json", "+json")) else None
    except ValueError:
        raise Refusal(400, "body") from None
    if media == "application/cloudevents+json" and not (
        isinstance(value, dict) and all(isinstance(value.get(name), str) and value[name] for name in _CLOUD)
    ):
        raise Refusal(400, "cloudevent")
