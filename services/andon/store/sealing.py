"""Sealing a value with a key derived from a secret: HKDF-SHA256 (RFC 5869) and AES-256-GCM (NIST SP 800-38D).

HKDF makes a key of a secret that is long and random, as vendors' app secrets are; it does not slow down the guessing
of a password.
"""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_NONCE = 12
_PURPOSE = b"andon vault 1\n"


def sealed(value: bytes, name: str, secret: str) -> bytes:
    """The value as it may lie in a store; bound to its name, so that it cannot be put under another one."""
    nonce = os.urandom(_NONCE)
    return nonce + AESGCM(_key(name, secret)).encrypt(nonce, value, name.encode())


def opened(data: bytes, name: str, secret: str) -> bytes | None:
    """The value; None when it was sealed with another secret or for another name, or was changed."""
    try:
        return AESGCM(_key(name, secret)).decrypt(data[:_NONCE], data[_NONCE:], name.encode())
    except (InvalidTag, ValueError):
        return None


def _key(name: str, secret: str) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=_PURPOSE + name.encode()).derive(secret.encode())
