"""A wire to a WeCom that keeps what it is asked, and the application's channel over it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from andon.core.ports import Context, Receipt, Reply
from andon.egress.channels.wecom_app import WecomApp
from andon.testing.builders import call
from andon.testing.clock import ManualClock
from andon.web.nowire import NoWire

OPTIONS: dict[str, Any] = {"corp_id": "env:APP_CORP", "agent_id": 1000002, "secret": "env:APP_SECRET"}
OK = {"errcode": 0, "errmsg": "ok", "msgid": "m1"}
BUTTONS = {
    "card_type": "button_interaction",
    "main_title": {"title": "停机"},
    "button_list": [{"text": "接手", "key": "take"}],
}
NOTICE = {"card_type": "text_notice", "sub_title_text": "停机", "card_action": {"type": 1, "url": "https://mes.corp/1"}}
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 100


class Vendor(NoWire):
    """A wire: tokens for all who ask, and the answers to other calls by their path, in order, then "ok"."""

    def __init__(self, **answers: Sequence[Mapping[str, Any]]) -> None:
        self.answers = {path: list(some) for path, some in answers.items()}
        self.asked: list[tuple[str, Any]] = []

    async def request(
        self, method: str, url: str, /, *, body: bytes = b"", headers: Any = None, deadline: float = 15.0
    ) -> Reply:
        parts = urlsplit(url)
        path = parts.path.removeprefix("/cgi-bin/")
        if path == "gettoken":
            return Reply(200, b'{"errcode":0,"access_token":"t1","expires_in":7200}', {})
        assert method == "POST"
        query = parse_qs(parts.query)
        assert query.pop("access_token") == ["t1"]
        if path == "media/upload":
            assert headers["Content-Type"].startswith("multipart/form-data; boundary=andon-")
            self.asked.append((f"{path} {query.pop('type')[0]}", body))
            default: Mapping[str, Any] = {"errcode": 0, "media_id": f"id-{len(self.asked)}"}
        else:
            self.asked.append((path, json.loads(body)))
            default = OK
        assert not query
        waiting = self.answers.get(path.rpartition("/")[2])
        answer = waiting.pop(0) if waiting else default
        return Reply(200, json.dumps(answer).encode(), {})


def app(vendor: Vendor, folder: Path = Path(), clock: ManualClock | None = None, **options: Any) -> WecomApp:
    config = WecomApp.Config.model_validate({**OPTIONS, **options})
    return WecomApp(config, Context("app", folder, clock or ManualClock(), vendor))


def config(**options: Any) -> WecomApp.Config:
    return WecomApp.Config.model_validate({**OPTIONS, **options})


def sent(vendor: Vendor, kind: str, value: Any, *to: str, **changes: Any) -> Sequence[Receipt]:
    folder = changes.pop("folder", Path())
    one = call(json.dumps(value), kind, recipients=to or ("wang",), **changes)
    return asyncio.run(app(vendor, folder).send(one))
