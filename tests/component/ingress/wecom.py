"""What WeCom calls the door with: two applications at one address, their messages, and how they are sealed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx2

from andon.core.ports import Clock, Context
from andon.ingress.bodies.sealed import Seal
from andon.ingress.sources.wecom_callback import WecomCallback
from andon.runtime.clock import SystemClock
from tests.component.ingress.stand import Stand

PATH = "/callbacks/app-events"
KEYS = ("abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG", "GFEDCBA9876543210zyxwvutsrqponmlkjihgfedcba")
MES, ERP = (Seal(f"token{number}", key, f"ww{number}") for number, key in enumerate(KEYS))
RANDOM = bytes(range(16))
WRITTEN = int(time.time())
"""When what is sealed was written: the same for all tries of one message, and never long ago."""


def source(folder: Path, clock: Clock = SystemClock(), **more: Any) -> WecomCallback:  # noqa: B008 - it has no state
    apps = []
    for number, key in enumerate(KEYS):
        (folder / f"token{number}").write_text(f"token{number}", encoding="utf-8")
        (folder / f"key{number}").write_text(key, encoding="utf-8")
        token, aes = f"file:{folder / f'token{number}'}", f"file:{folder / f'key{number}'}"
        apps.append({"token": token, "aes_key": aes, "channel": f"app{number}"})
    channels = {"app0": {"corp_id": "ww0"}, "app1": {"corp_id": "ww1"}}
    context = Context("app-events", folder, clock, None, channels=channels)  # type: ignore[arg-type]
    return WecomCallback(WecomCallback.Config.model_validate({"apps": apps} | more), context)


def message(kind: str, *, user: str = "zhang", at: int = WRITTEN) -> bytes:
    common = f"<ToUserName>ww</ToUserName><FromUserName>{user}</FromUserName><CreateTime>{at}</CreateTime>"
    return f"<xml>{common}<AgentID>1</AgentID>{kind}</xml>".encode()


def text(content: str, number: str = "45612", at: int = WRITTEN) -> bytes:
    return message(f"<MsgType>text</MsgType><Content>{content}</Content><MsgId>{number}</MsgId>", at=at)


def signed(seal: Seal, sealed: str, at: float | None = None) -> str:
    now = str(int(time.time() if at is None else at))
    return f"?msg_signature={seal.signature(now, 'n', sealed)}&timestamp={now}&nonce=n"


async def call(stand: Stand, plain: bytes, seal: Seal = MES, *, random: bytes = RANDOM) -> httpx2.Response:
    sealed = seal.close(plain, random)
    body = f"<xml><ToUserName>ww</ToUserName><Encrypt><![CDATA[{sealed}]]></Encrypt><AgentID>1</AgentID></xml>"
    return await stand.client.post(f"{PATH}{signed(seal, sealed)}", content=body.encode())
