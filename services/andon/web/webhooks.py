"""Signatures of Standard Webhooks 1.0.0 (github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md)."""

from __future__ import annotations

import binascii
import hmac
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SYMMETRIC = "whsec_"
ASYMMETRIC = "whsk_"
PUBLIC = "whpk_"
_LEAST, _MOST = 24, 64  # bytes of a symmetric secret, as the specification has them
_SEED = 32
_MOST_SIGNATURES = 16


class NoSecret(ValueError):  # noqa: N818 - what was given is none, named by it
    """A secret is not in the form of the specification; the text shows nothing of it."""


def headers(secrets: Iterable[str], identity: str, timestamp: int, body: bytes) -> Mapping[str, str]:
    """The three headers of an attempt: `identity` stays the same over repeats, `timestamp` is this attempt's, in
    seconds since 1970. One signature for each secret, in order; without a secret there is no signature.

    Raises NoSecret, and ValueError for an identity with a full stop, which would let the signed parts shift.
    """
    if "." in identity:
        raise ValueError("the identity of a webhook has no full stop")
    signed = b"%s.%d.%s" % (identity.encode(), timestamp, body)
    found = {"webhook-id": identity, "webhook-timestamp": str(timestamp)}
    signatures = [_signature(secret, signed) for secret in secrets]
    return found | {"webhook-signature": " ".join(signatures)} if signatures else found


def signed_with(secret: str, identity: str, timestamp: str, body: bytes, signatures: str) -> bool:
    """Whether one of the signatures of a webhook, 16 at most, was made with the secret (`whsec_…`), or with the private
    key of a public one (`whpk_…`); takes the same time for every wrong one.

    Never with a full stop in the identity or the timestamp, by which the signed parts could shift. Raises NoSecret.
    """
    signed = b"%s.%s.%s" % (identity.encode(errors="replace"), timestamp.encode(errors="replace"), body)
    whole = "." not in identity and timestamp.isascii() and timestamp.isdecimal()
    version, fits = _verifying(secret, signed)
    found = [fits(one) for one in _decoded(signatures, version)]
    return whole and any(found)


def _verifying(secret: str, signed: bytes) -> tuple[str, Callable[[bytes], bool]]:
    """The version of signatures with this secret, and whether one is good. Raises NoSecret."""
    if not secret.startswith(PUBLIC):
        ours = _digest(secret, signed)
        return "v1", lambda one: hmac.compare_digest(ours, one)
    key = _bytes(secret, PUBLIC)
    if len(key) != _SEED:
        raise NoSecret(f"a key of {PUBLIC} has 32 bytes")
    public = Ed25519PublicKey.from_public_bytes(key)

    def fits(one: bytes) -> bool:
        try:
            public.verify(one, signed)
        except InvalidSignature:
            return False
        return True

    return "v1a", fits


def _decoded(signatures: str, wanted: str) -> Iterator[bytes]:
    """The signatures of a version; what is none, or of another version, is passed over."""
    for one in signatures.split(" ")[:_MOST_SIGNATURES]:
        version, _, text = one.partition(",")
        if version == wanted:
            try:
                yield b64decode(text, validate=True)
            except ValueError:
                continue


def _signature(secret: str, signed: bytes) -> str:
    if secret.startswith(ASYMMETRIC):
        # The seed alone, or with the public key behind it, as libsodium keeps a pair.
        key = _bytes(secret, ASYMMETRIC)
        if len(key) not in (_SEED, 2 * _SEED):
            raise NoSecret(f"a secret of {ASYMMETRIC} has 32 or 64 bytes")
        return "v1a," + b64encode(Ed25519PrivateKey.from_private_bytes(key[:_SEED]).sign(signed)).decode()
    return "v1," + b64encode(_digest(secret, signed)).decode()


def _digest(secret: str, signed: bytes) -> bytes:
    # Not `hmac.digest`: that lets go of the interpreter's lock even for short bodies, and waits to get it back.
    return hmac.new(_symmetric(secret), signed, "sha256").digest()


def _symmetric(secret: str) -> bytes:
    key = _bytes(secret, SYMMETRIC)
    if not _LEAST <= len(key) <= _MOST:
        raise NoSecret(f"a secret of {SYMMETRIC} has {_LEAST} to {_MOST} bytes")
    return key


def _bytes(secret: str, prefix: str) -> bytes:
    if not secret.startswith(prefix):
        raise NoSecret(f"a secret begins with {SYMMETRIC} or {ASYMMETRIC} and goes on in base64")
    try:
        return b64decode(secret.removeprefix(prefix), validate=True)
    except binascii.Error:
        raise NoSecret(f"a secret is {prefix} and base64") from None
