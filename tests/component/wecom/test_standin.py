"""The channel, over real HTTP, against the stand-in; and the stand-in held to the vendor's rules by a plain client."""

from __future__ import annotations

import asyncio
import hashlib
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from andon.core.failure import Failure, Rejected, Retryable
from andon.core.ports import Content, Reply
from andon.core.reason import Reason
from andon.dev.wecom import Fault, WecomStandIn
from andon.egress.channels.wecom_robot import WecomRobot
from andon.testing.builders import call, context
from andon.testing.clock import ManualClock
from andon.testing.contract_channels import unnumbered
from andon.web.wire import HttpWire

T = TypeVar("T")
JSON = {"Content-Type": "application/json"}


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROBOT_A", "a")
    monkeypatch.setenv("ROBOT_B", "b")
    monkeypatch.setenv("ROBOT_X", "unknown")


def scene(play: Callable[[WecomStandIn, HttpWire], Awaitable[T]], **options: Any) -> T:
    async def whole() -> T:
        wire = HttpWire()
        try:
            async with WecomStandIn(["a", "b"], **options) as standin:
                return await play(standin, wire)
        finally:
            await wire.close()

    return asyncio.run(whole())


def robot(standin: WecomStandIn, wire: HttpWire, key: str = "env:ROBOT_A") -> WecomRobot:
    return WecomRobot(WecomRobot.Config(keys=[key], base_url=standin.url), context(wire))


async def ask(standin: WecomStandIn, wire: HttpWire, body: Any, key: str = "a") -> dict[str, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    reply = await wire.request("POST", f"{standin.url}/cgi-bin/webhook/send?key={key}", body=data, headers=JSON)
    assert reply.status == 200
    answer: dict[str, Any] = json.loads(reply.body)
    return answer


def text(content: Any = "x", **more: Any) -> dict[str, Any]:
    return {"msgtype": "text", "text": {"content": content, **more}}


# The channel


@pytest.mark.parametrize("kind", ["text", "markdown"])
def test_numbered_parts_arrive_byte_for_byte(kind: str) -> None:
    whole = "冲压机 7 停机。\n" * 1_000

    async def play(standin: WecomStandIn, wire: HttpWire) -> list[tuple[str, str]]:
        channel = robot(standin, wire)
        for part in channel.split(Content(kind, whole)):
            await channel.send(call(part.text, part.kind))
        return [(seen.msgtype, seen.content) for seen in standin.seen]

    seen = scene(play, limit=0)
    assert {msgtype for msgtype, _ in seen} == {kind}
    assert "".join(unnumbered([content for _, content in seen])) == whole


@pytest.mark.parametrize(
    ("kind", "content", "reason"),
    [("text", "汉" * 683, Reason.TOO_LONG), ("markdown", "汉" * 1366, Reason.TOO_LONG), ("text", "", Reason.EMPTY)],
)
def test_what_the_vendor_refuses_is_rejected_by_name(kind: str, content: str, reason: Reason) -> None:
    async def play(standin: WecomStandIn, wire: HttpWire) -> Failure:
        with pytest.raises(Rejected) as caught:
            await robot(standin, wire).send(call(content, kind))
        assert standin.seen == []
        return caught.value

    assert scene(play).reason is reason


def test_unknown_key_is_rejected_as_credentials() -> None:
    async def play(standin: WecomStandIn, wire: HttpWire) -> Failure:
        with pytest.raises(Rejected) as caught:
            await robot(standin, wire, "env:ROBOT_X").send(call())
        return caught.value

    assert scene(play).reason is Reason.CREDENTIALS


# Cards and files

CARD = {"card_type": "text_notice", "main_title": {"title": "停机"}, "card_action": {"type": 1, "url": "https://x.cn"}}
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 100


def in_folder(standin: WecomStandIn, wire: HttpWire, folder: Path, clock: ManualClock | None = None) -> WecomRobot:
    place = context(wire, directory=folder, clock=clock)
    return WecomRobot(WecomRobot.Config(keys=["env:ROBOT_A", "env:ROBOT_B"], base_url=standin.url), place)


def test_cards_and_a_picture_are_seen(tmp_path: Path) -> None:
    (tmp_path / "plan.png").write_bytes(PICTURE)

    async def play(standin: WecomStandIn, wire: HttpWire) -> list[tuple[str, str]]:
        channel = in_folder(standin, wire, tmp_path)
        for kind, text in WecomRobot.specimen.structured.items():
            await channel.send(call(text, kind))
        await channel.send(call('{"file":"plan.png"}', "image"))
        await channel.send(call("|a|b|\n|-|-|\n|1|2|", "markdown_v2"))
        return [(seen.msgtype, seen.content) for seen in standin.seen]

    assert scene(play) == [
        ("news", "停机\n冲压机 7"),
        ("template_card", "停机\n冲压机 7"),
        ("image", hashlib.md5(PICTURE).hexdigest()),
        ("markdown_v2", "|a|b|\n|-|-|\n|1|2|"),
    ]


def test_file_is_uploaded_once_per_robot_and_again_when_it_has_changed_or_aged(tmp_path: Path) -> None:
    file = tmp_path / "报表.pdf"
    file.write_bytes(b"%PDF-1.7 first")
    clock = ManualClock()

    async def play(standin: WecomStandIn, wire: HttpWire) -> list[int]:
        channel = in_folder(standin, wire, tmp_path, clock)
        uploads = []

        async def send(line: int = 0) -> None:
            await channel.send(call('{"file":"报表.pdf"}', "file", line=line))
            uploads.append(len(standin.media))

        await send()
        await send()
        await send(line=1)
        file.write_bytes(b"%PDF-1.7 second version")
        await send()
        clock.advance(3 * 86_400 - 1_800)
        await send()
        assert {one.content for one in standin.seen} == {"报表.pdf"}
        return uploads

    assert scene(play, now=clock.now) == [1, 1, 2, 3, 4]


def test_file_the_vendor_lost_is_uploaded_again_at_the_next_attempt(tmp_path: Path) -> None:
    (tmp_path / "a.amr").write_bytes(b"#!AMR\n12345")

    async def play(standin: WecomStandIn, wire: HttpWire) -> Retryable:
        channel = in_folder(standin, wire, tmp_path)
        await channel.send(call('{"file":"a.amr"}', "voice"))
        standin.media.clear()
        with pytest.raises(Retryable) as caught:
            await channel.send(call('{"file":"a.amr"}', "voice"))
        await channel.send(call('{"file":"a.amr"}', "voice"))
        assert len(standin.seen) == 2
        return caught.value

    error = scene(play)
    assert (error.reason, error.ambiguous) == (Reason.CHANGED, False)


def test_upload_that_breaks_off_is_never_ambiguous(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.7")

    async def play(standin: WecomStandIn, wire: HttpWire) -> Retryable:
        standin.fail(Fault("reset", times=1))
        with pytest.raises(Retryable) as caught:
            await in_folder(standin, wire, tmp_path).send(call('{"file":"a.pdf"}', "file"))
        return caught.value

    error = scene(play)
    assert (error.reason, error.ambiguous) == (Reason.CONNECTION, False)


def test_file_that_is_not_there_is_parked_with_what_to_do(tmp_path: Path) -> None:
    async def play(standin: WecomStandIn, wire: HttpWire) -> list[Failure]:
        found: list[Failure] = []
        for kind in ("file", "image"):
            with pytest.raises(Rejected) as caught:
                await in_folder(standin, wire, tmp_path).send(call('{"file":"gone.png"}', kind))
            found.append(caught.value)
        return found

    for error in scene(play):
        assert "gone.png cannot be read" in error.detail
        assert "beside andon.yaml" in error.detail


FAULTS = [
    (Fault("reset"), Reason.CONNECTION, True),
    (Fault("close"), Reason.CONNECTION, True),
    (Fault("hang"), Reason.TIMEOUT, True),
    (Fault("drip", seconds=0.5), Reason.TIMEOUT, True),
    (Fault("delay", seconds=2.5), Reason.TIMEOUT, True),
    (Fault("html", code=502), Reason.SERVER_ERROR, True),
    (Fault("html", code=403), Reason.BAD_REPLY, False),
    (Fault("errcode", code=-1), Reason.BUSY, False),
    (Fault("errcode", code=45009), Reason.THROTTLED, False),
]


@pytest.mark.parametrize(("fault", "reason", "ambiguous"), FAULTS, ids=lambda value: getattr(value, "kind", ""))
@pytest.mark.parametrize("seen", [False, True])
def test_fault_is_told_apart_and_the_next_call_works(fault: Fault, reason: Reason, ambiguous: bool, seen: bool) -> None:
    async def play(standin: WecomStandIn, wire: HttpWire) -> Retryable:
        channel = robot(standin, wire)
        standin.fail(Fault(fault.kind, "a", fault.seconds, fault.code, 1, seen))
        with pytest.raises(Retryable) as caught:
            await channel.send(call("first", deadline=1.5))
        if fault.kind != "delay":
            assert [one.content for one in standin.seen] == (["first"] if seen else [])
        await channel.send(call("second"))
        assert standin.seen[-1].content == "second"
        return caught.value

    error = scene(play)
    assert (error.reason, error.ambiguous) == (reason, ambiguous)


# The stand-in


@pytest.mark.parametrize(
    ("body", "errcode"),
    [
        (text(), 0),
        (text(mentioned_list=["zhang", "@all"], mentioned_mobile_list=["13800001111"]), 0),
        ({"msgtype": "markdown", "markdown": {"content": "**x**"}}, 0),
        ({"msgtype": "markdown_v2", "markdown_v2": {"content": "|a|"}}, 0),
        (text("汉" * 682 + "ab"), 0),
        (text("汉" * 682 + "abc"), 40058),
        (text(""), 44004),
        (text(3), 44004),
        (text(mentioned_list="@all"), 40058),
        (text(mentioned=["x"]), 40058),
        ({"msgtype": "markdown", "markdown": {"content": "x", "mentioned_list": []}}, 40058),
        ({"msgtype": "text", "markdown": {"content": "x"}}, 40063),
        ({"msgtype": "text", "text": {"content": "x"}, "agentid": 1}, 40063),
        ({"msgtype": "image", "image": {}}, 40058),
        ({"msgtype": "image", "image": {"base64": "eA==", "md5": "9dd4e461268c8034f5c8564e155c67a6"}}, 40058),
        ({"msgtype": "image", "image": {"base64": "eA==", "md5": "0"}}, 40058),
        ({"msgtype": "file", "file": {"media_id": "nobody's"}}, 40007),
        ({"msgtype": "news", "news": {"articles": [{"title": "x", "url": "https://x.cn"}]}}, 0),
        ({"msgtype": "news", "news": {"articles": [{"title": "x", "url": "https://x.cn"}] * 9}}, 45008),
        ({"msgtype": "news", "news": {"articles": [{"title": "x", "url": "x.cn"}]}}, 45034),
        ({"msgtype": "news", "news": {"articles": [{"title": "x"}]}}, 40058),
        ({"msgtype": "template_card", "template_card": CARD}, 0),
        ({"msgtype": "template_card", "template_card": {**CARD, "card_type": "button_interaction"}}, 40058),
        ({"msgtype": "template_card", "template_card": {**CARD, "main_title": {"desc": "x"}}}, 40058),
        ({"msgtype": "template_card", "template_card": {**CARD, "card_action": {"type": 0}}}, 40058),
        ({"msgtype": "template_card", "template_card": {**CARD, "card_action": {"type": 2}}}, 40058),
        ({"msgtype": "template_card", "template_card": {**CARD, "jump_list": [{"title": "x"}] * 4}}, 40058),
        ({"msgtype": "template_card", "template_card": {**CARD, "card_type": "news_notice"}}, 40058),
        ({"msgtype": "mpnews", "mpnews": {}}, 40008),
        ({"msgtype": ["text"]}, 40008),
        ({}, 40008),
        ([], 40058),
        (b"{", 40058),
        (b"\xff", 40058),
    ],
)
def test_body_is_checked_field_by_field(body: Any, errcode: int) -> None:
    answer = scene(lambda standin, wire: ask(standin, wire, body))
    assert answer["errcode"] == errcode
    if errcode == 0:
        assert answer == {"errcode": 0, "errmsg": "ok"}
    else:
        assert f"more info at https://open.work.weixin.qq.com/devtool/query?e={errcode}" in answer["errmsg"]


def test_limit_holds_in_every_window_and_per_key() -> None:
    clock = ManualClock()

    async def play(standin: WecomStandIn, wire: HttpWire) -> list[int]:
        codes = []
        for pause in (0, 30, 0, 0, 29.9, 0.2, 0, 29.8, 0.1):
            clock.advance(pause)
            codes.append((await ask(standin, wire, text()))["errcode"])
        codes.append((await ask(standin, wire, text(), "b"))["errcode"])
        assert standin.counts["a"].refused == {"45009": 4}
        return codes

    assert scene(play, limit=3, period=60.0, now=clock.now) == [0, 0, 0, 45009, 45009, 0, 45009, 45009, 0, 0]


def test_limit_of_zero_is_none() -> None:
    async def play(standin: WecomStandIn, wire: HttpWire) -> int:
        for _ in range(60):
            await ask(standin, wire, text())
        return standin.counts["a"].accepted

    assert scene(play, limit=0) == 60


def test_paths_and_methods_of_the_vendor() -> None:
    async def play(standin: WecomStandIn, wire: HttpWire) -> tuple[Reply, Reply]:
        unknown = await wire.request("POST", f"{standin.url}/cgi-bin/nothing", body=b"x")
        return unknown, await wire.request("GET", f"{standin.url}/cgi-bin/webhook/send?key=a")

    unknown, got = scene(play)
    assert (unknown.status, unknown.body) == (404, b"")
    assert json.loads(got.body)["errcode"] == 43002


@pytest.mark.parametrize(
    ("query", "errcode"),
    [
        ("?key=%61", 0),
        ("?debug=1&key=a", 0),
        ("?key=b&key=x", 0),
        ("?key=x%20y", 0),
        ("?key=x+y", 0),
        ("?key=", 93000),
        ("?KEY=a", 93000),
        ("", 93000),
    ],
)
def test_key_is_found_in_any_query(query: str, errcode: int) -> None:
    async def play() -> bytes:
        async with WecomStandIn(["a", "b", "x y"]) as standin:
            host, port = standin.url.removeprefix("http://").split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            body = json.dumps(text()).encode()
            head = f"POST /cgi-bin/webhook/send{query} HTTP/1.0\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            answer = await reader.read()
            writer.close()
            return answer

    assert json.loads(asyncio.run(play()).partition(b"\r\n\r\n")[2])["errcode"] == errcode


def test_administration_over_http() -> None:
    async def play(standin: WecomStandIn, wire: HttpWire) -> dict[str, Any]:
        fault = await wire.request("POST", f"{standin.url}/_fault", body=b'{"kind":"errcode","key":"b","code":93004}')
        wrong = await wire.request("POST", f"{standin.url}/_fault", body=b'{"kind":"explode"}')
        assert (fault.status, wrong.status) == (200, 400)
        assert [(await ask(standin, wire, text(), key))["errcode"] for key in ("a", "b")] == [0, 93004]
        await wire.request("DELETE", f"{standin.url}/_fault")
        assert (await ask(standin, wire, text(), "b"))["errcode"] == 0
        counts: dict[str, Any] = json.loads((await wire.request("GET", f"{standin.url}/_record")).body)
        return counts

    assert scene(play) == {
        "a": {"accepted": 1, "refused": {}, "faults": 0},
        "b": {"accepted": 1, "refused": {}, "faults": 1},
    }


def start(*arguments: str) -> tuple[subprocess.Popen[str], str]:
    command = [sys.executable, "-m", "andon.dev.wecom", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline()


def lines(record: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in record.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_process_forgets_nothing_people_saw(tmp_path: Path, end: signal.Signals) -> None:
    record = tmp_path / "seen.jsonl"
    record.write_text('{"at":1.0,"key":"a","msgtype":"text","content":"before"}\n')
    process, ready = start("--port", "0", "--keys", "a,b", "--record", str(record))
    with process:
        url = ready.split()[1]

        async def play() -> None:
            wire = HttpWire()
            for key in ("a", "b", "c"):
                await wire.request("POST", f"{url}/cgi-bin/webhook/send?key={key}", body=json.dumps(text(key)).encode())
            await wire.close()

        asyncio.run(play())
        process.send_signal(end)
        assert process.wait(5) == (0 if end is signal.SIGTERM else -9)
        assert process.communicate() == ("", "")
    assert [(line["key"], line["content"]) for line in lines(record)] == [("a", "before"), ("a", "a"), ("b", "b")]


def test_taken_port_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process, ready = start("--port", str(taken.getsockname()[1]), "--keys", "a")
        with process:
            _, errors = process.communicate(timeout=5)
            assert (process.returncode, ready) == (1, "")
            assert "in use" in errors
            assert len(errors.splitlines()) == 1
