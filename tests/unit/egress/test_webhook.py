"""The webhook's configuration, and how each answer is judged."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from andon.core.failure import Failure, Rejected, Retryable
from andon.core.policy import Limit
from andon.core.ports import Call, Content, EventChannel, KeyedChannel, Receipt, Reply, Way
from andon.core.reason import Reason
from andon.egress import events
from andon.egress.channels.webhook import BYTES, Webhook
from andon.testing.builders import call, context, event
from andon.testing.clock import ManualClock
from andon.web.nowire import NoWire

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
URL = "https://hook.example.cn/andon"


class Recorder(NoWire):
    """A wire that gives one answer, keeps what it was asked, and the way it was told to take."""

    def __init__(self, status: int = 204, body: bytes = b"", **headers: str) -> None:
        self.reply = Reply(status, body, {name.replace("_", "-"): value for name, value in headers.items()})
        self.asked: list[tuple[str, str, bytes, Mapping[str, str], float]] = []
        self.ways: list[Way] = []
        self.closed = 0

    def apart(self, way: Way, /) -> Recorder:
        self.ways.append(way)
        return self

    async def request(
        self,
        method: str,
        url: str,
        /,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        deadline: float = 15,
    ) -> Reply:
        self.asked.append((method, url, body, headers or {}, deadline))
        return self.reply

    async def close(self) -> None:
        self.closed += 1


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK", SECRET)


def webhook(wire: Recorder, **options: Any) -> Webhook:
    config = Webhook.Config(**{"url": URL, "secrets": ["env:HOOK"], "body": "template", **options})
    return Webhook(config, context(wire, directory=Path("/etc/andon"), clock=ManualClock(1_763_791_400.9)))


def sent(wire: Recorder, one: Call | None = None, **options: Any) -> tuple[bytes, Mapping[str, str]]:
    receipts = asyncio.run(webhook(wire, **options).send(one or call(recipients=("mes",))))
    assert receipts == [Receipt("mes")]
    (_, _, body, headers, _) = wire.asked[-1]
    return body, headers


def failure(status: int, body: bytes | str = b"", options: dict[str, Any] | None = None, **headers: str) -> Failure:
    wire = Recorder(status, body.encode() if isinstance(body, str) else body, **headers)
    with pytest.raises(Failure) as caught:
        asyncio.run(webhook(wire, **(options or {})).send(call()))
    return caught.value


# ---- what is sent


def test_text_goes_out_whole_with_its_type_and_the_three_headers() -> None:
    wire = Recorder()
    body, headers = sent(wire)
    assert body == "冲压机 7 停机".encode()
    assert headers["Content-Type"] == "text/plain; charset=utf-8"
    assert headers["webhook-id"] == "0189d2c4-7f3e-7a52-8b16-3f1f2f3a4b5c"
    assert headers["webhook-timestamp"] == "1763791400"
    assert headers["webhook-signature"].startswith("v1,")
    assert wire.asked[0][:2] == ("POST", URL)


def test_markdown_and_types_of_ones_own() -> None:
    assert sent(Recorder(), call("**x**", "markdown", recipients=("mes",)))[1]["Content-Type"].startswith("text/mark")
    _, headers = sent(Recorder(), call('{"a":1}', recipients=("mes",)), content_type="application/vnd.mes+json")
    assert headers["Content-Type"] == "application/vnd.mes+json"


def test_template_that_renders_no_json_is_not_sent_as_json() -> None:
    wire = Recorder()
    with pytest.raises(Rejected, match="no JSON") as refused:
        asyncio.run(webhook(wire, content_type="application/json").send(call('{"a":1')))
    with pytest.raises(Rejected, match="no JSON"):
        asyncio.run(webhook(wire, content_type="application/json").send(call("[" * 60_000)))
    assert refused.value.reason is Reason.TEMPLATE_BROKEN
    assert wire.asked == []


def test_only_what_people_read_ends_with_a_tail() -> None:
    text, tail = Content("text", '{"a":1}'), "\nl3 · 3f2a9c1e"
    assert list(webhook(Recorder()).split(text, tail)) == [Content("text", '{"a":1}' + tail)]
    assert list(webhook(Recorder(), content_type="application/json").split(text, tail)) == [text]
    one = Content(events.KIND, "{}")
    assert list(webhook(Recorder(), body="event").split(one, tail)) == [one]


def test_event_goes_out_as_a_cloud_event_with_its_trace_beside_it() -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    wire = Recorder()
    channel = webhook(wire, body="event")
    assert isinstance(channel, EventChannel)
    content = channel.content(event(traceparent=trace))
    assert list(channel.split(content)) == [content]
    asyncio.run(channel.send(call(content.text, content.kind)))
    _, _, body, headers, _ = wire.asked[0]
    assert headers["Content-Type"] == "application/cloudevents+json"
    assert headers["traceparent"] == trace
    said = json.loads(body)
    assert (said["specversion"], said["id"], said["data"]["code"]) == ("1.0", "e-1", "E-104")
    assert "traceparent" not in said


@pytest.mark.parametrize("trace", ["x", "a\r\nX-B: c", "", "00-" + "g" * 32])
def test_trace_that_is_none_is_left_out(trace: str) -> None:
    wire = Recorder()
    channel = webhook(wire, body="event")
    assert isinstance(channel, EventChannel)
    content = channel.content(event(traceparent=trace))
    asyncio.run(channel.send(call(content.text, content.kind)))
    assert "traceparent" not in wire.asked[0][3]
    assert json.loads(wire.asked[0][2])["id"] == "e-1"


def test_each_form_takes_its_own_kind_only() -> None:
    assert not isinstance(webhook(Recorder()), EventChannel)
    for options, kind in (({"body": "event"}, "text"), ({}, "cloudevent"), ({}, "card")):
        with pytest.raises(Rejected, match="this webhook takes"):
            webhook(Recorder(), **options).split(Content(kind, "x"))


def test_longer_than_any_template_renders_is_rejected_not_cut() -> None:
    with pytest.raises(Rejected) as refused:
        webhook(Recorder()).split(Content("text", "汉" * (BYTES // 3 + 1)))
    assert refused.value.reason is Reason.TOO_LONG


def test_every_value_of_every_secret_signs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECOND", "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=")
    file = tmp_path / "hook"
    file.write_text(f"{SECRET}\nwhsec_{'A' * 32}\n")
    _, headers = sent(Recorder(), secrets=[f"file:{file}", "env:SECOND"])
    assert [one.partition(",")[0] for one in headers["webhook-signature"].split(" ")] == ["v1", "v1", "v1a"]


@pytest.mark.parametrize("value", ["", "hunter2"])
def test_secret_that_is_not_there_or_is_none_leaves_nothing(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK", value)
    wire = Recorder()
    with pytest.raises(Retryable) as refused:
        asyncio.run(webhook(wire).send(call()))
    assert (refused.value.reason, refused.value.ambiguous) == (Reason.NOT_SENT, False)
    assert "hunter2" not in str(refused.value)
    assert wire.asked == []


def test_headers_and_an_address_that_is_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_URL", "https://hook.example.cn/T0/B0/tokentoken?key=abc123abc")
    monkeypatch.setenv("TOKEN", "geheim")
    monkeypatch.setenv("PASS", "gleich")
    wire = Recorder(400, b"no /T0/B0/tokentoken for Bearer geheim, gleich and key=abc123abc")
    headers = {"Authorization": "Bearer env:TOKEN", "X-Plant": "L3 east", "X-Pass": "env:PASS"}
    channel = webhook(wire, url="env:HOOK_URL", headers=headers)
    with pytest.raises(Rejected) as refused:
        asyncio.run(channel.send(call()))
    assert wire.asked[0][1] == "https://hook.example.cn/T0/B0/tokentoken?key=abc123abc"
    assert (
        wire.asked[0][3].items() >= {"Authorization": "Bearer geheim", "X-Plant": "L3 east", "X-Pass": "gleich"}.items()
    )
    shown = str(refused.value) + repr(channel)
    assert not any(secret in shown for secret in ("tokentoken", "geheim", "gleich", "abc123abc"))


def test_address_that_is_a_secret_is_checked_when_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    wire = Recorder()
    for url in ("http://hook.example.cn/key", "nonsense", "https://0x7f.1/"):
        monkeypatch.setenv("HOOK_URL", url)
        with pytest.raises(Rejected) as refused:
            asyncio.run(webhook(wire, url="env:HOOK_URL").send(call()))
        assert refused.value.reason is Reason.CREDENTIALS
        assert url not in str(refused.value)
    assert wire.asked == []


def test_its_way_is_strict_and_its_own() -> None:
    wire = Recorder()
    channel = webhook(wire, allow=["10.1.0.0/16"], ca="file:/etc/ca.pem", cert="tls/our.pem", key="file:tls/our.key")
    asyncio.run(channel.send(call()))
    asyncio.run(channel.send(call()))
    (way,) = wire.ways
    assert way.allow == ("10.1.0.0/16",)
    assert (way.ca, way.cert, way.key) == ("/etc/ca.pem", "/etc/andon/tls/our.pem", "/etc/andon/tls/our.key")
    strict = Recorder()
    asyncio.run(webhook(strict).send(call()))
    assert strict.ways[0].allow == ()
    asyncio.run(channel.close())
    assert wire.closed == 1


# ---- how it is judged


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_taken(status: int) -> None:
    sent(Recorder(status, b"<html>whatever</html>"))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 406, 409, 413, 415, 422, 451])
def test_4xx_is_parked_with_what_it_said(status: int) -> None:
    found = failure(status, f"no such\r\nline\x00 3 {SECRET} {'x' * 500}")
    assert isinstance(found, Rejected)
    assert found.reason is Reason.REJECTED
    assert found.detail.startswith(f"HTTP {status}: no such line 3 *** xxx")
    assert len(found.detail) < 200


def test_410_is_gone() -> None:
    found = failure(410)
    assert isinstance(found, Rejected)
    assert found.reason is Reason.GONE


@pytest.mark.parametrize("status", [500, 501, 502, 503, 504, 520])
def test_5xx_may_have_had_its_effect_and_is_tried_again(status: int) -> None:
    found = failure(status, "<html>502</html>")
    assert isinstance(found, Retryable)
    assert (found.reason, found.ambiguous) == (Reason.SERVER_ERROR, True)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 304])
def test_3xx_had_none_and_shows_no_location(status: int) -> None:
    found = failure(status, b"", location="https://elsewhere.example/secret")
    assert isinstance(found, Retryable)
    assert (found.reason, found.ambiguous) == (Reason.BAD_REPLY, False)
    assert "elsewhere" not in found.detail


@pytest.mark.parametrize(
    ("said", "after"),
    [
        ("120", 120.0),
        ("0", 0.0),
        ("99999999999999999999", 3_600.0),
        ("soon", None),
        ("Mon, 01 Jan 99999999999 00:00:00 GMT", None),
        ("Mon, 01 Jan 0001 00:00:00 +2359", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 -2359", 3_600.0),
        ("Mon, 01 Jan 2026 00:00:00 +99999999999999", None),
        ("-5", None),
        (format_datetime(datetime.fromtimestamp(1_763_791_460, UTC), usegmt=True), 59.1),
        (format_datetime(datetime.fromtimestamp(1_763_000_000, UTC), usegmt=True), 0.0),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_kept_for_an_hour_at_most(status: int, said: str, after: float | None) -> None:
    found = failure(status, retry_after=said)
    assert isinstance(found, Retryable)
    assert found.after == (pytest.approx(after, abs=0.01) if after is not None else None)
    if status == 429:
        assert (found.reason, found.ambiguous) == (Reason.THROTTLED, False)


RULE: dict[str, Any] = {"accept": {"status": [200, 202], "body": {"path": "$.data.code", "equals": 0, "later": [-1]}}}


def test_where_the_body_decides_only_the_body_does() -> None:
    sent(Recorder(202, b'{"data":{"code":0}}'), **RULE)
    for body in (
        b'{"data":{"code":7}}',
        b'{"data":{"code":"0"}}',
        b'{"data":{"code":false}}',
        b'{"data":{"code":0.0}}',
    ):
        found = failure(200, body, RULE)
        assert isinstance(found, Rejected), body
        assert "code" in found.detail
    busy = failure(200, b'{"data":{"code":-1}}', RULE)
    assert isinstance(busy, Retryable)
    assert (busy.reason, busy.ambiguous) == (Reason.THROTTLED, False)
    for silence in (b"", b"{}", b"[]", b"null", b'{"data":[]}', b'{"code":0}', b"\xff", b"<html>", b"[" * 60_000):
        found = failure(200, silence, RULE)
        assert isinstance(found, Retryable), silence
        assert (found.reason, found.ambiguous) == (Reason.BAD_REPLY, True)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "gbk", "gb18030"])
def test_answer_of_an_older_system_is_read(encoding: str) -> None:
    """One that writes GBK, or a byte order mark, had taken the notice, and got it again until it was parked."""
    sent(Recorder(200, '{"data":{"code":0,"msg":"成功"}}'.encode(encoding)), **RULE)
    assert isinstance(failure(200, '{"data":{"code":7,"msg":"失败"}}'.encode(encoding), RULE), Rejected)


def test_status_that_is_not_named_is_no_success() -> None:
    found = failure(201, b'{"data":{"code":0}}', RULE)
    assert isinstance(found, Retryable)
    assert found.ambiguous


# ---- configuration


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"url": "http://hook.example.cn/x"}, "plain http is for this machine only"),
        ({"url": "ftp://hook.example.cn"}, "neither http:// nor https://"),
        ({"url": "https://2130706433/"}, "four decimal numbers"),
        ({"url": "https://10.1.2.3/hook"}, "10.1.2.3 is a private address; name it or its network in `allow`"),
        ({"url": "https://169.254.169.254/", "allow": ["169.254.0.0/16"]}, "is a metadata service's address"),
        ({"allow": ["10.1.2.3/8"]}, "neither a network like 10.1.0.0/16 nor a host name"),
        ({"secrets": [SECRET]}, "a secret is written as env:NAME or file:/path"),
        ({"content_type": "json"}, "write a media type like application/json"),
        ({"body": "event", "content_type": "application/json"}, "`content_type` is for `body: template`"),
        ({"accept": {"body": {"path": "code", "equals": 0}}}, "write a path like"),
        ({"accept": {"status": [404]}}, "less than or equal to 299"),
        ({"headers": {"Authorization": "Bearer x"}}, "Authorization is a secret"),
        ({"headers": {"webhook-id": "x"}}, "webhook-id is set by Andon"),
        ({"headers": {"Host": "x"}}, "Host is set by Andon"),
        ({"headers": {"X-A": "a\r\nX-B: b"}}, "is one line of ASCII"),
        ({"headers": {"X A": "a"}}, "letters, digits and hyphens"),
        ({"key": "file:/k.pem"}, "`cert` is missing"),
        ({"cert": "env:CERT"}, "is a file; write file:/path"),
        ({"limit": "fast"}, "is not a rate"),
    ],
)
def test_mistakes_are_said(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Webhook.Config.model_validate({"url": URL, "body": "template", **options})
    assert sentence in str(refused.value)


def test_what_the_desk_is_told() -> None:
    config = Webhook.Config.model_validate({"url": "https://Hook.example.cn:8443/a?b", "limit": "50/s"})
    assert config.limit_domain() == "webhook:hook.example.cn:8443"
    assert config.limits() == (Limit(50, 1.0),)
    secret = Webhook.Config.model_validate({"url": "env:HOOK_URL"})
    assert secret.limit_domain() == "webhook:env:HOOK_URL"
    assert secret.limits() == ()
    assert Webhook.Config.model_validate(secret.model_dump(mode="json")) == secret


def test_the_other_side_knows_a_repeat() -> None:
    assert issubclass(Webhook, KeyedChannel)
    channel = Webhook(Webhook.Config.model_validate({"url": URL}), context(Recorder()))
    keys = [channel.repeat_key(call(**changes)) for changes in ({}, {"refused": 2}, {"perhaps": True}, {"redrive": 1})]
    assert keys[:3] == [str(call().delivery)] * 3
    assert keys[3] != keys[0]
