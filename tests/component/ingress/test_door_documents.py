"""What the door says of itself is what it does: every documented status is answered, and no other is found."""

from __future__ import annotations

import asyncio
import re
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import jsonschema_rs
import pytest

from andon.config.settings import Listen
from andon.core.failure import Retryable
from andon.core.ports import CallbackSource, Context
from andon.ingress import api
from andon.ingress.sources.wechat_oa import WechatOa
from andon.runtime.clock import SystemClock
from tests.component.ingress import test_door_vendors as vendors
from tests.component.ingress.stand import Stand, standing, unavailable
from tests.component.ingress.test_door_silences import EPISODES, opened, silence
from tests.component.ingress.wecom import KEYS, MES, PATH, RANDOM, call, signed, source, text

EVENT: dict[str, Any] = {"id": "1", "type": "t"}
CLOUD = {"specversion": "1.0", "id": "c-1", "source": "/p", "type": "t"}
ALERT: dict[str, Any] = {"labels": {"alertname": "Down"}}
ALERT_TOO: dict[str, Any] = {"labels": {"a": "c"}}
POSTED: tuple[tuple[str, str, str, str, Any, Any], ...] = (
    ("postEvent", "/v1/events", "alpha", "scrape", EVENT, {"type": "t", "id": "new-1"}),
    ("postEvents", "/v1/events:batch", "alpha", "scrape", [EVENT], [{"type": "t", "id": "new-2"}]),
    ("postAlerts", "/api/v2/alerts", "scrape", "alpha", [ALERT], [{"labels": {"alertname": "New"}}]),
    ("hook", "/hooks/wms", "delta", "alpha", {"kind": "k", "bin": "b", "no": 1}, {"kind": "k", "bin": "b", "no": 2}),
    ("prometheusAlert", "/prometheusalert?type=wx", "scrape", "alpha", {"alerts": [ALERT]}, {"alerts": [ALERT_TOO]}),
    ("alertHook", "/v1/alertmanager", "scrape", "alpha", {"alerts": [ALERT]}, {"alerts": [{"labels": {"a": "b"}}]}),
)
DOCUMENTS = ("/docs", "/docs/openapi.json", "/docs/asyncapi.json")
SEED, EXAMPLES = "1", "20"


def test_documents_are_served_without_a_token_and_load_nothing_from_elsewhere(tmp_path: Path) -> None:
    async def run() -> None:
        async with standing(tmp_path) as stand:
            page, openapi, asyncapi = [await stand.client.get(path) for path in DOCUMENTS]
            assert [one.status_code for one in (page, openapi, asyncapi)] == [200, 200, 200]
            assert page.headers["content-type"] == "text/html; charset=utf-8"
            assert page.headers["content-security-policy"] == "default-src 'none'; style-src 'unsafe-inline'"
            for shown in ("/v1/events:batch", "andon.deliveries", "409", "CloudEvent", "OutcomeRecord", "egress"):
                assert shown in page.text
            for foreign in ("<script", "<link", "<img", "url(", "http://", "https://"):
                assert foreign not in page.text
            assert openapi.json()["openapi"] == "3.1.0"
            assert asyncapi.json()["asyncapi"] == "3.0.0"
            assert (await stand.client.post("/docs")).status_code == 405
            assert "alpha" not in page.text + openapi.text + asyncapi.text

    asyncio.run(run())


async def each_status(
    stand: Stand, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, dict[str, httpx2.Response]]:
    """Operation → status → an answer, each brought about by what the document says of it."""
    found: dict[str, dict[str, httpx2.Response]] = defaultdict(dict)

    def note(operation: str, answer: httpx2.Response) -> None:
        found[operation][str(answer.status_code)] = answer

    for name, path in zip(("docs", "openapi", "asyncapi"), DOCUMENTS, strict=True):
        note(name, await stand.client.get(path))
    for name, path, token, other, event, new in POSTED:
        mine = {"path": path, "authorization": f"Bearer {token}"}
        note(name, await stand.post(event, **mine))
        note(name, await stand.post(b"{", **mine))
        note(name, await stand.post(event, path=path, authorization=""))
        note(name, await stand.post(event, path=path, authorization=f"Bearer {other}"))
        note(name, await stand.post(b" " * 5_000, **mine))
        note(name, await stand.post(event, **mine, content_type="text/csv; charset=big5"))
        stand.waiting = 1_000_000
        note(name, await stand.post(event, **mine))
        stand.waiting = 0
        answers: list[Retryable | None] = [unavailable(2.0)]
        stand.log.answers = answers
        note(name, await stand.post(new, **mine))
        with monkeypatch.context() as patch:
            patch.setattr(api, "SLOWEST", 0.05)
            note(name, await slow(stand, path, token))
    for name, answer in await muted(stand, monkeypatch):
        note(name, answer)
    for name, answer in await silenced(stand, monkeypatch):
        note(name, answer)
    for answer in await called_back(stand, monkeypatch):
        note("callback", answer)
    for answer in await pushed(stand):
        note("callback", answer)
    note("greet", await stand.client.get("/callbacks/lark"))
    sealed = MES.close(b"echo", RANDOM)
    for path in (f"{PATH}{signed(MES, sealed)}&echostr={quote(sealed, safe='')}", PATH, "/callbacks/nobody"):
        note("greet", await stand.client.get(path))
    key = folder / "key0"
    key.unlink()
    note("greet", await stand.client.get(f"{PATH}{signed(MES, sealed)}&echostr={quote(sealed, safe='')}"))
    key.write_text(KEYS[0], encoding="utf-8")
    note(
        "hook",
        await stand.post({"kind": "other", "bin": "b", "no": 1}, path="/hooks/wms", authorization="Bearer delta"),
    )
    note("hook", await stand.post(EVENT, path="/hooks/mes"))
    note("postEvent", await stand.post({**EVENT, "data": {"other": 1}}))
    note("postEvent", await stand.post(CLOUD, content_type="application/cloudevents+json"))
    note("postEvents", await stand.batch([CLOUD, {}], content_type="application/cloudevents-batch+json"))
    return found


async def muted(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, httpx2.Response]]:
    """Every answer there is about mutes."""
    path, wanted = "/v1/mutes", {"matchers": ['line="L3"'], "for": "2h", "why": "换模"}
    mine, other = ({"authorization": f"Bearer {token}"} for token in ("alpha", "beta"))
    found = [("postMute", await stand.post(wanted, path=path)), ("postMute", await stand.post({}, path=path))]
    found += [("postMute", await stand.post(wanted, path=path, authorization=one)) for one in ("", "Bearer beta")]
    found += [("postMute", await stand.post(b" " * 5_000, path=path))]
    found += [("postMute", await stand.post(wanted, path=path, content_type="text/csv"))]
    found += [("getMutes", await stand.client.get(path, headers=one)) for one in (mine, {}, other)]
    ends = [(f"{path}/m2", {}), (f"{path}/m2", other), (f"{path}/m2", mine), (f"{path}/m2", mine)]
    found += [("deleteMute", await stand.client.delete(where, headers=one)) for where, one in ends]
    stand.configuration.failing = True
    found += [("postMute", await stand.post(wanted, path=path))]
    found += [("getMutes", await stand.client.get(path, headers=mine))]
    found += [("deleteMute", await stand.client.delete(f"{path}/m2", headers=mine))]
    stand.configuration.failing = False
    with monkeypatch.context() as patch:
        patch.setattr(api, "SLOWEST", 0.05)
        found += [("postMute", await slow(stand, path, "alpha"))]
    return found


async def silenced(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, httpx2.Response]]:
    """Every answer there is in Alertmanager's form."""
    mine, other = ({"authorization": f"Bearer {token}"} for token in ("panel", "scrape"))
    path = "/api/v2/silences"
    which = (await stand.post(silence(), path=path, **mine)).json()["silenceID"]
    reads = {
        "getSilences": (path, f"{path}?filter=%7B"),
        "getSilence": (f"/api/v2/silence/{which}", "/api/v2/silence/none"),
        "getStatus": ("/api/v2/status",),
        "getReceivers": ("/api/v2/receivers",),
        "getAlerts": ("/api/v2/alerts", "/api/v2/alerts?silenced=no"),
        "getAlertGroups": ("/api/v2/alerts/groups", "/api/v2/alerts/groups?receiver=it"),
    }
    found = [
        ("postSilences", await stand.post(body, path=path, **mine))
        for body in (silence(), silence(id="none"), {}, b" " * 5_000)
    ]
    found += [("postSilences", await stand.post({}, path=path, **mine, content_type="text/csv"))]
    found += [
        ("postSilences", await stand.post(silence(), path=path, authorization=one)) for one in ("", "Bearer beta")
    ]
    found += [(name, await stand.client.get(one, headers=mine)) for name, paths in reads.items() for one in paths]
    found += [
        (name, await stand.client.get(paths[0], headers=one)) for name, paths in reads.items() for one in ({}, other)
    ]
    stand.configuration.configure(EPISODES, stand.configuration.mutes())
    stand.open = [opened("Hot")]
    found += [(name, await stand.client.get(paths[0], headers=mine)) for name, paths in reads.items()]
    ends = [(which, {}), (which, other), (which, mine), ("none", mine)]
    found += [("deleteSilence", await stand.client.delete(f"/api/v2/silence/{id_}", headers=one)) for id_, one in ends]
    stand.configuration.failing = True
    found += [(name, await stand.client.get(paths[0], headers=mine)) for name, paths in reads.items()]
    found += [("postSilences", await stand.post(silence(), path=path, **mine))]
    found += [("deleteSilence", await stand.client.delete(f"/api/v2/silence/{which}", headers=mine))]
    stand.configuration.failing = False
    with monkeypatch.context() as patch:
        patch.setattr(api, "SLOWEST", 0.05)
        found += [("postSilences", await slow(stand, path, "panel"))]
    return found


async def called_back(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> list[httpx2.Response]:
    """Every answer there is to a callback."""
    found = [await call(stand, text("hi", "1"))]
    found += [await stand.client.post(path) for path in (PATH + signed(MES, "x"), "/callbacks/nobody")]
    found += [await stand.client.post(PATH, content=b"<xml><Encrypt>x</Encrypt></xml>")]
    found += [await stand.client.post(PATH, content=b" " * 5_000)]
    found += [await stand.client.post(PATH, content=b"", headers={"content-encoding": "gzip"})]
    stand.waiting = 1_000_000
    found.append(await call(stand, text("hi", "2")))
    stand.waiting = 0
    stand.log.answers = [unavailable(2.0)]
    found.append(await call(stand, text("hi", "3")))
    with monkeypatch.context() as patch:
        patch.setattr(api, "SLOWEST", 0.05)
        found.append(await slow(stand, PATH))
    return found


async def pushed(stand: Stand) -> list[httpx2.Response]:
    """What other vendors read: JSON, and that other words came under a signature."""
    signed, frame = dict(vendors.wechat().query), "<xml><CreateTime>1700000000</CreateTime><MsgType>{}</MsgType></xml>"
    two = [
        await stand.client.post("/callbacks/plain", params=signed, content=frame.format(kind).encode())
        for kind in ("text", "image")
    ]
    return [await vendors.call(stand, "lark", vendors.lark()), *two]


def callbacks(folder: Path) -> dict[str, CallbackSource]:
    """WeCom's, those of other vendors, and an account of WeChat in plain mode."""
    found = {"app-events": source(folder), **vendors.sources(folder)}
    config = WechatOa.Config.model_validate({"token": f"file:{folder / 'token'}"})
    context = Context("plain", folder, SystemClock(), None)  # type: ignore[arg-type]  # no calls go out
    return {**found, "plain": WechatOa(config, context)}


async def slow(stand: Stand, path: str, token: str = "") -> httpx2.Response:
    """The answer to a body that does not end."""
    done = asyncio.Event()

    async def body() -> Any:
        yield b"{"
        await done.wait()

    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
    sending = asyncio.ensure_future(stand.client.post(path, content=body(), headers=headers))
    await asyncio.wait([sending], timeout=2)
    done.set()
    return await sending


async def at_the_gate(stand: Stand, document: dict[str, Any]) -> dict[str, list[httpx2.Response]]:
    """Operation → what whoever may not come in is answered: by his address, by the size of his body, as a stranger who
    asks too often."""
    found: dict[str, list[httpx2.Response]] = {}
    for number, (path, methods) in enumerate(document["paths"].items()):
        where = path.replace("{name}", "app-events").replace("{id}", "m1")
        for method, operation in methods.items():

            async def ask(address: str, body: bytes = b"", method: str = method, where: str = where) -> httpx2.Response:
                return await stand.client.request(method, where, content=body, headers={"x-forwarded-for": address})

            answers = [await ask("203.0.113.9"), await ask(f"10.1.{number}.{len(found)}", b" " * 5_000)]
            found[operation["operationId"]] = answers + [await ask(f"10.2.{number}.{len(found)}") for _ in range(2)][1:]
    return found


def test_every_documented_status_is_answered_as_documented(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        async with standing(tmp_path, body=4_096, callbacks=callbacks(tmp_path)) as stand:
            document = (await stand.client.get("/docs/openapi.json")).json()
            found = await each_status(stand, tmp_path, monkeypatch)
        (tmp_path / "gate").mkdir()
        gate = {"allow": ["10.0.0.0/8", "127.0.0.1"], "trusted_proxies": ["127.0.0.1"], "strangers": "1/1h"}
        vendor, listen = source(tmp_path), Listen.model_validate(gate)
        async with standing(tmp_path / "gate", body=4_096, callbacks={"app-events": vendor}, listen=listen) as stand:
            for name, answers in (await at_the_gate(stand, document)).items():
                found[name] |= {str(answer.status_code): answer for answer in answers}
        operations = {one["operationId"]: one for methods in document["paths"].values() for one in methods.values()}
        assert found.keys() == operations.keys()
        for name, operation in operations.items():
            assert found[name].keys() == operation["responses"].keys(), name
            for status, answer in found[name].items():
                described = operation["responses"][status]
                media = answer.headers["content-type"].partition(";")[0]
                assert media in described["content"], (name, status)
                assert set(described.get("headers", ())) == {"Retry-After"} & {h.title() for h in answer.headers}
                if media.endswith("json"):
                    schema = {**described["content"][media]["schema"], "components": document["components"]}
                    jsonschema_rs.Draft202012Validator(schema).validate(answer.json())

    asyncio.run(run())


def test_a_generator_of_requests_finds_no_undocumented_answer(tmp_path: Path) -> None:
    """Schemathesis: random requests, valid and not, made from the document the door serves."""
    checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"

    async def run() -> tuple[int, str]:
        async with standing(tmp_path) as stand:
            url = f"http://127.0.0.1:{stand.port}"
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "schemathesis.cli", "run", f"{url}/docs/openapi.json", "--url", url),
                *("--checks", checks, "--seed", SEED, "--max-examples", EXAMPLES, "--mode", "all"),
                *("-H", "Authorization: Bearer alpha", "--phases", "fuzzing", "--no-color"),
                "--suppress-health-check=too_slow",  # of a busy machine, where making the requests takes its time
                cwd=tmp_path,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            output, _ = await process.communicate()
            assert stand.log.events, "nothing of it was an event"
            return process.returncode or 0, output.decode(errors="replace")

    code, output = asyncio.run(run())
    print(output)
    assert code == 0, output[-4_000:]
    tried = re.search(r"(\d+) generated", output)
    assert tried
    assert int(tried[1]) >= 30, output[-2_000:]
