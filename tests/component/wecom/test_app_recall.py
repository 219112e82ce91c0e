"""`andon recall` beside a desk that works: by the desk's own store and access token to the strict stand-in."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from andon.cli.main import main
from andon.dev.wecom_app import WecomAppStandIn
from andon.testing.clock import ManualClock
from andon.web.wire import HttpWire
from tests.component.wecom.app_laws import AGENT, CORP, SECRET
from tests.component.wecom.app_plant import Process, notices

CONFIG = """
version: 1
channels:
  app: {{kind: wecom_app, corp_id: env:APP_CORP, agent_id: 1000002, secret: env:APP_SECRET, base_url: "{url}"}}
receivers: {{office: {{channel: app, to: [wang]}}, both: {{channel: app, to: [wang, li]}}}}
route: {{receiver: office}}
"""


def test_a_delivery_is_taken_back_from_all_who_had_it_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "store").mkdir()

    async def scene() -> None:
        clock, wire = ManualClock(time.time()), HttpWire()
        given = {"corp_id": CORP, "secret": SECRET, "agent": AGENT, "now": clock.now}
        async with asyncio.timeout(60), WecomAppStandIn(["wang", "li"], **given) as vendor:  # type: ignore[arg-type]
            (tmp_path / "andon.yaml").write_text(CONFIG.format(url=vendor.url), encoding="utf-8")
            receivers = {"both": {"channel": "app", "to": ["wang", "li"]}}
            desk = Process(tmp_path / "store", vendor, wire, clock, receivers=receivers)
            (notice,) = notices(1, "both", ["wang", "li"])
            desk.take([notice, *notices(1)])
            await desk.run(1)
            assert len(vendor.seen) == 3
            command = ["recall", str(notice.id), "--config", str(tmp_path), "--data", str(tmp_path)]
            assert await asyncio.to_thread(main, command) == 0
            assert [each.member for each in vendor.seen if each.what == "recalled"] == ["wang", "li"]
            assert await asyncio.to_thread(main, command) == 1, "it is not there any more"
            assert vendor.counts.recalled == 1
            assert vendor.counts.asked == 1, "with the desk's own token"
            desk.kill()
        await wire.close()

    asyncio.run(scene())
    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith("recalled")
    assert ": code 40058: " in second
