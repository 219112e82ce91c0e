"""From the door to a member: a real Kafka, every service, the stand-in that discards in silence, and kill -9."""

from __future__ import annotations

import asyncio
import json
import re
import urllib.request
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from andon.cli.commands.check import checked
from andon.runtime.bootstrap import prepare
from tests.integration.trace.test_running import fault
from tests.integration.trace.world import World, until
from tests.rig.ports import free_port

pytestmark = [pytest.mark.kafka, pytest.mark.xdist_group("trace")]

CONFIG = """
version: 1
limits: {{per_person: none}}
kafka: {{bootstrap: embedded, partitions: 3}}
listen: {{address: "127.0.0.1:{door}"}}
sources: {{mes: {{kind: http, token: env:TRACE_TOKEN, source: mes/l3}}}}
channels:
  app: {{kind: wecom_app, corp_id: env:TRACE_CORP, agent_id: 1000002, secret: env:TRACE_SECRET, base_url: "{url}"}}
receivers:
  shift: {{channel: app, to: [wang, li, nobody], merge: {{over: 25/62s}}}}
route: {{receiver: shift}}
"""
NOTICES = 60


def test_sixty_notices_reach_two_members_through_two_kills(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACE_CORP", "wwcorp")
    monkeypatch.setenv("TRACE_SECRET", "secret")
    world, port = World(tmp_path), free_port()
    url, seen = f"http://127.0.0.1:{port}", tmp_path / "seen.jsonl"
    try:
        world.config.write_text(CONFIG.format(door=world.door, url=url), encoding="utf-8")
        vendor = ["-m", "andon.dev.wecom_app", "--port", str(port), "--record", str(seen), "--members", "wang,li"]
        world._spawn("wecom", vendor)
        asyncio.run(prepare(checked(world.config), world.bootstrap))
        world.start()

        def counts() -> Any:
            with urllib.request.urlopen(f"{url}/_record", timeout=10) as answer:
                return json.load(answer)

        def has_seen(count: int) -> bool:
            return bool(counts()["seen"] >= count)

        for number in range(NOTICES):
            world.post(fault(id=f"e-{number}", subject=f"M-{number:03}"))
        for kill_at in (6, 20):
            until(partial(has_seen, kill_at))
            egress = world._processes.pop("egress")
            egress.kill()
            egress.wait(10)
            world._spawn_service("egress")
        until(lambda: told(seen) >= NOTICES)
        said = counts()
        assert (said["discarded"], said["cut"]) == (0, 0)
        assert said["asked"] == 1, "later processes found the token in the store"
        by_member = Counter(json.loads(line)["member"] for line in seen.read_text(encoding="utf-8").splitlines())
        assert by_member["wang"] == by_member["li"] <= 30
        logs = "".join(file.read_text(encoding="utf-8") for file in tmp_path.glob("*.log"))
        assert "token-1" not in logs
    finally:
        world.close()


def told(seen: Path) -> int:
    """Of how many notices the first member has heard, one by one or as a count; a repeat is none."""
    lines = [json.loads(line) for line in seen.read_text(encoding="utf-8").splitlines()]
    mine = {one["content"].removeprefix("【可能重复】") for one in lines if one["member"] == "wang"}
    return sum(int(found[1]) if (found := re.search(r"合并 (\d+) 条", text)) else 1 for text in mine)
