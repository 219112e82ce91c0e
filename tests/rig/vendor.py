"""WeCom as it calls back: it seals, signs, and calls again. Imports nothing of Andon.

Source: developer.work.weixin.qq.com/document/path/90968 (envelope) and 90930 (it waits 5 s, and tries three times).
"""

from __future__ import annotations

import base64
import hashlib
import os
import time
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import quote

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from tests.rig.client import Door, Load, Sent

WAITS_S = 5.0
TRIES = 3
_BLOCK = 32


class Call(NamedTuple):
    """One call: the path with its parameters, and the body."""

    path: str
    body: bytes

    def request(self) -> bytes:
        """The whole of it, as it is written to a connection that stays open."""
        length = len(self.body)
        head = f"POST {self.path} HTTP/1.1\r\nHost: door\r\nContent-Type: text/xml\r\nContent-Length: {length}\r\n\r\n"
        return head.encode() + self.body


class Wecom:
    """The vendor's side of one application."""

    def __init__(self, path: str, token: str, aes_key: str, corp: str) -> None:
        self._path = path
        self._token = token
        self._key = base64.b64decode(aes_key + "=")
        self._corp = corp.encode()

    def call(self, message: bytes, at: float | None = None) -> Call:
        """A message, sealed and signed anew, now or at another time."""
        plain = os.urandom(16) + len(message).to_bytes(4, "big") + message + self._corp
        left = _BLOCK - len(plain) % _BLOCK
        encryptor = Cipher(algorithms.AES(self._key), modes.CBC(self._key[:16])).encryptor()
        sealed = base64.b64encode(encryptor.update(plain + bytes([left]) * left) + encryptor.finalize()).decode()
        stamp, nonce = str(int(time.time() if at is None else at)), os.urandom(5).hex()
        signed = hashlib.sha1("".join(sorted((self._token, stamp, nonce, sealed))).encode(), usedforsecurity=False)
        path = f"{self._path}?msg_signature={signed.hexdigest()}&timestamp={stamp}&nonce={quote(nonce)}"
        return Call(path, f"<xml><ToUserName>x</ToUserName><Encrypt><![CDATA[{sealed}]]></Encrypt></xml>".encode())


def text(number: str, said: str, user: str = "zhang", more: str = "") -> bytes:
    """A message that somebody has written to the application."""
    return (
        f"<xml><ToUserName>ww</ToUserName><FromUserName>{user}</FromUserName><CreateTime>{int(time.time())}</CreateTime>"
        f"<MsgType>text</MsgType><Content>{said}</Content><MsgId>{number}</MsgId><AgentID>1</AgentID>{more}</xml>"
    ).encode()


class Calls(Load):
    """Messages of many people as the vendor brings them, until stopped: each is called out until it is answered by 200,
    a try every 5 s. Of three tries the vendor's page speaks; half of the messages are tried once and then three times
    more, which is the other way to read it. A further try is sealed anew, or the very same bytes."""

    def __init__(self, address: str, wecom: Wecom, prefix: str, receiver: str, *, rate: float, seed: int) -> None:
        # Every person writes by one client alone, and it waits 5 s when the door is away: there are some of them.
        super().__init__(
            address, "", prefix, (receiver,), rate=rate, clients=8, subjects=64, seed=seed, timeout=WAITS_S
        )
        self._wecom = wecom
        self._first: dict[str, Call] = {}

    def call(self, sent: Sent, door: Door) -> bool:
        """One try; whether it was taken."""
        anew = len(sent.told) % 2 == 1
        call = self._wecom.call(sent.body) if anew else self._first.setdefault(sent.id, self._wecom.call(sent.body))
        status, _, _ = door.post(call.body, call.path, "text/xml")
        sent.told.append(status)
        if status == 200 and sent.accepted is None:
            sent.accepted = time.time()
        return status == 200

    def _body(self, number: str, subject: str, _to: Sequence[str]) -> bytes:
        return text(number, "stands still", subject, f"<n>{self._count}</n>")

    def _until_taken(self, sent: Sent, door: Door) -> None:
        for _ in range(TRIES + self.sent.index(sent) % 2):
            began = time.monotonic()
            if self.call(sent, door):
                return
            time.sleep(max(0.0, began + WAITS_S - time.monotonic()))
