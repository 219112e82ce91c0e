"""The stand-in as a user's own tests see it: strict, and with a record that outlives it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from andon.core.failure import Failure, Retryable
from andon.core.ports import Reply
from andon.dev.webhook import WebhookStandIn
from andon.web.webhooks import headers
from andon.web.wire import HttpWire
from tests.rig.ports import free_port

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = b'{"a":1}'
TYPE = {"Content-Type": "application/json"}


def asked(body: bytes = BODY, method: str = "POST", **changes: str) -> tuple[Reply, WebhookStandIn]:
    """One request that would be taken, with changes to its headers; "" takes one out."""

    async def scene() -> tuple[Reply, WebhookStandIn]:
        whole = {**TYPE, **headers([SECRET], "evt_1", int(time.time()), BODY)}
        whole |= {name.replace("_", "-"): value for name, value in changes.items()}
        sent = {name: value for name, value in whole.items() if value}
        wire = HttpWire()
        async with WebhookStandIn([SECRET]) as standin:
            reply = await wire.request(method, f"{standin.url}/x?y", body=body, headers=sent)
            await wire.close()
            return reply, standin

    return asyncio.run(scene())


def test_good_request_is_taken() -> None:
    reply, standin = asked()
    assert (reply.status, reply.body) == (200, b"")
    assert [(one.path, one.id, one.body) for one in standin.seen] == [("/x", "evt_1", '{"a":1}')]


@pytest.mark.parametrize(
    ("changes", "status", "word"),
    [
        ({"webhook_signature": ""}, 401, "signature"),
        ({"webhook_signature": "v1,AAAA"}, 401, "signature"),
        ({"webhook_signature": "garbage"}, 401, "signature"),
        ({"webhook_signature": "v1,***"}, 400, "signature_form"),
        ({"webhook_id": ""}, 400, "id"),
        ({"webhook_id": "evt_2"}, 401, "signature"),
        ({"webhook_timestamp": "1614265330"}, 401, "too_old_or_new"),
        ({"webhook_timestamp": "1614265330000"}, 400, "timestamp"),
        ({"webhook_timestamp": "soon"}, 400, "timestamp"),
        ({"body": b'{"a":2}'}, 401, "signature"),
        ({"Content_Type": ""}, 415, "content_type"),
        ({"Content_Type": "application/cloudevents+json"}, 400, "cloudevent"),
        ({"method": "PUT"}, 405, "method"),
    ],
)
def test_everything_else_is_refused_by_name(changes: dict[str, Any], status: int, word: str) -> None:
    reply, standin = asked(**changes)
    assert (reply.status, json.loads(reply.body)) == (status, {"error": word})
    assert standin.seen == []
    assert standin.counts["/x"].refused == {word: 1}


def test_program_records_before_it_answers_and_injects_faults(tmp_path: Path) -> None:
    record, port = tmp_path / "taken.jsonl", free_port()
    program = [sys.executable, "-m", "andon.dev.webhook", "--port", str(port), "--record", str(record)]
    environment = {**os.environ, "HOOK": SECRET}
    with subprocess.Popen([*program, "--secret-env", "HOOK"], stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout
        assert process.stdout.readline() == f"ready http://127.0.0.1:{port}\n".encode()

        async def scene() -> dict[str, Any]:
            wire, base = HttpWire(), f"http://127.0.0.1:{port}"
            fault = json.dumps({"kind": "reset", "times": 1, "seen": True}).encode()
            assert (await wire.request("POST", f"{base}/_fault", body=fault)).status == 200
            assert (await wire.request("POST", f"{base}/_fault", body=b'{"kind":"x"}')).status == 400
            signed = {**TYPE, **headers([SECRET], "evt_1", int(time.time()), BODY)}
            with pytest.raises(Failure) as lost:
                await wire.request("POST", f"{base}/hook", body=BODY, headers=signed)
            assert isinstance(lost.value, Retryable)
            assert (await wire.request("POST", f"{base}/hook", body=BODY, headers=signed)).status == 200
            counts = json.loads((await wire.request("GET", f"{base}/_record")).body)
            assert (await wire.request("DELETE", f"{base}/_fault")).status == 200
            await wire.close()
            return counts  # type: ignore[no-any-return]

        counts = asyncio.run(scene())
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert counts == {"/hook": {"accepted": 2, "repeats": 1, "refused": {}, "faults": 1}}
    lines = [json.loads(line) for line in record.read_text().splitlines()]
    assert [(one["id"], one["repeat"]) for one in lines] == [("evt_1", False), ("evt_1", True)]


def test_program_says_why_it_cannot_start(tmp_path: Path) -> None:
    program = [sys.executable, "-m", "andon.dev.webhook", "--secret-env", "NO_SUCH_VARIABLE"]
    ended = subprocess.run(program, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "the variable NO_SUCH_VARIABLE is not set" in ended.stderr
