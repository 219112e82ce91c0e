"""The sealed envelope in which WeCom, DingTalk and WeChat call back: a signature, and AES around the message.

Source: WeCom, developer.work.weixin.qq.com/document/path/90968; DingTalk's event push and the message push of WeChat
have the same scheme.
"""

from __future__ import annotations

import binascii
import hmac
from base64 import b64decode, b64encode
from hashlib import sha1

from Crypto.Cipher import AES
from Crypto.Util.Padding import pad, unpad

BLOCK = 32  # of the padding; the cipher's own is 16
_RANDOM, _LENGTH = 16, 4
_KEY_LETTERS = 43


class NotOurs(ValueError):  # noqa: N818 - what was received is none of ours, named by it
    """Something was not sealed with this key, or for somebody else; the text shows nothing of it."""


def signature(token: str, *parts: str) -> str:
    """What is signed with a token, in whatever order its parts stand: lower-case hexadecimal."""
    ordered = sorted(text.encode(errors="replace") for text in (token, *parts))
    return sha1(b"".join(ordered), usedforsecurity=False).hexdigest()


def same(ours: str, theirs: str) -> bool:
    """Whether two texts are equal; takes the same time for every wrong one of a length."""
    return hmac.compare_digest(ours.encode(), theirs.encode(errors="replace"))


class Seal:
    """The token and key of one callback, and the id of whom it is for: a corp's, a suite's, or none ("")."""

    def __init__(self, token: str, aes_key: str, receiver: str) -> None:
        """Raises NotOurs for a key that has no 43 letters and digits."""
        if len(aes_key) != _KEY_LETTERS or not (aes_key.isascii() and aes_key.isalnum()):
            raise NotOurs(f"an EncodingAESKey has {_KEY_LETTERS} letters and digits")
        self._token = token
        self._receiver = receiver.encode()
        # The last letter of a key may carry two bits too many, which only a lax decoder forgives.
        self._key = b64decode(aes_key + "=")

    def signature(self, timestamp: str, nonce: str, sealed: str) -> str:
        """What the vendor signs with."""
        return signature(self._token, timestamp, nonce, sealed)

    def signed(self, theirs: str, timestamp: str, nonce: str, sealed: str) -> bool:
        """Whether the signature is ours."""
        return same(self.signature(timestamp, nonce, sealed), theirs)

    def open(self, sealed: str) -> bytes:
        """The message. Raises NotOurs, also when it is for somebody else."""
        try:
            cipher = b64decode(sealed, validate=True)
            plain = unpad(self._cipher().decrypt(cipher), BLOCK)
        except (binascii.Error, ValueError):
            raise NotOurs("it cannot be opened with our key") from None
        begin = _RANDOM + _LENGTH
        end = begin + int.from_bytes(plain[_RANDOM:begin], "big")
        if len(plain) < begin or end > len(plain):
            raise NotOurs("it cannot be opened with our key")
        if not hmac.compare_digest(plain[end:], self._receiver):
            raise NotOurs("it is for another receiver")
        return plain[begin:end]

    def close(self, message: bytes, random: bytes) -> str:
        """The message sealed; `random` are 16 bytes that nobody can guess."""
        if len(random) != _RANDOM:
            raise ValueError(f"a seal takes exactly {_RANDOM} random bytes")
        plain = random + len(message).to_bytes(_LENGTH, "big") + message + self._receiver
        return b64encode(self._cipher().encrypt(pad(plain, BLOCK))).decode()

    def _cipher(self) -> AES.CbcMode:  # type: ignore[name-defined]  # its stubs do not name it
        return AES.new(self._key, AES.MODE_CBC, iv=self._key[:16])
