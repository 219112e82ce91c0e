"""The door as a process in front of a real Kafka: its gate as the file says, and what it tells before it leaves."""

from __future__ import annotations

import ssl
from collections import Counter
from pathlib import Path

import httpx2
import msgspec
import pytest

from andon.core.action import REFUSE, Action
from andon.kafka.topics import ACTIONS
from tests.bench.plant import Plant
from tests.rig.kafka import Kafka
from tests.rig.ports import free_port
from tests.rig.tls import Authority

pytestmark = pytest.mark.kafka

CONFIG = """\
version: 1
listen: {{cert: "{cert}", key: "{key}", client_ca: "{ca}", trusted_proxies: [127.0.0.1], strangers: 2/1h}}
sources:
  mes: {{kind: http, token: env:GATE_TOKEN, client_cert: line-7, allow: [10.3.*.*], rate: 2/1h}}
channels:
  robot: {{kind: wecom_robot, keys: [env:GATE_TOKEN]}}
receivers:
  it: {{channel: robot}}
route: {{receiver: it}}
"""


def test_a_process_asks_as_its_file_says_and_tells_of_refusals_before_it_leaves(
    kafka: Kafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATE_TOKEN", "gate")
    authority = Authority(tmp_path)
    cert, key = authority.issue("127.0.0.1")
    config = CONFIG.format(cert=cert, key=key, ca=authority.ca)
    plant, port = Plant(tmp_path / "plant", kafka.connection, config), free_port()
    tls = ssl.create_default_context(cafile=str(authority.ca))
    tls.load_cert_chain(*authority.issue("line-7"))

    def post(address: str, token: str = "gate") -> int:
        headers = {"authorization": f"Bearer {token}", "x-forwarded-for": address}
        return client.post("/v1/events", json={"type": "t"}, headers=headers).status_code

    plant.prepare()
    plant.start("ingress", "--listen", f"127.0.0.1:{port}")
    try:
        plant.wait_ready()
        with httpx2.Client(base_url=f"https://127.0.0.1:{port}", verify=tls, trust_env=False, timeout=20) as client:
            assert [post("10.3.0.1") for _ in range(3)] == [202, 202, 429]
            assert post("203.0.113.9") == 403
            assert [post("203.0.113.9", "wrong") for _ in range(3)] == [401, 401, 429]
    finally:
        plant.stop()
    told: Counter[tuple[str, str, str | None]] = Counter()
    for action in (msgspec.json.decode(one.value() or b"", type=Action) for one in kafka.read(ACTIONS)):
        if action.action == REFUSE and action.on == "/v1/events":
            reason, _, times = action.why.partition(", ")
            told[action.actor, reason, action.client] += int(times.partition(" ")[0] or 1)
    assert told == {
        ("mes", "over_rate", "mes"): 1,
        ("mes", "forbidden", "mes"): 1,
        ("203.0.113.9", "unauthorised", None): 2,
        ("203.0.113.9", "over_rate", None): 1,
    }
