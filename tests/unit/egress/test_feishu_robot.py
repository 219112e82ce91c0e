"""The bot's configuration, its signature, its bodies, and how each answer of the vendor is judged."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import ValidationError

from andon.core.failure import Failure, Rejected, Retryable
from andon.core.policy import Limit
from andon.core.ports import Content
from andon.core.reason import Reason
from andon.egress.channels.feishu_robot import BODY, FeishuRobot, signature
from andon.testing.builders import call, context
from andon.testing.clock import ManualClock
from andon.testing.contract_channels import unnumbered
from tests.unit.egress.robots import Asked, Recorder, failed, sent

OK = b'{"StatusCode":0,"StatusMessage":"success","code":0,"data":{},"msg":"success"}'


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK", "aa-bb/cc")
    monkeypatch.setenv("HOOK_SECRET", "demo")


def robot(wire: Recorder, **options: Any) -> FeishuRobot:
    robots = [{"hook": "env:HOOK", "secret": "env:HOOK_SECRET"}]
    clock = ManualClock(1_599_360_473.9)
    return FeishuRobot(FeishuRobot.Config(**{"robots": robots, **options}), context(wire, clock=clock))


def asked(text: str = "停机", kind: str = "text", **changes: Any) -> Asked:
    return sent(robot, call(text, kind, **changes), OK)


def failure(body: bytes | dict[str, Any], status: int = 200) -> Failure:
    return failed(robot, body, status)


@pytest.mark.parametrize(
    ("seconds", "sign"),
    [
        (1_599_360_473, "l1N0gAcBjdwBvGm1xMjOF0XSyaLRpR7tuO5dHfhAYc8="),
        (1_700_000_000, "8oT2n3SMKFfEnDoiwer8BUM/SjKLwe9SqoEIHlhDTKo="),
    ],
)
def test_signature_is_the_published_one(seconds: int, sign: str) -> None:
    assert signature("demo", seconds) == sign


def test_signature_stands_in_the_body_in_seconds() -> None:
    one = asked()
    assert one.url == "https://open.feishu.cn/open-apis/bot/v2/hook/aa-bb%2Fcc"
    assert one.said == {
        "timestamp": "1599360473",
        "sign": "l1N0gAcBjdwBvGm1xMjOF0XSyaLRpR7tuO5dHfhAYc8=",
        "msg_type": "text",
        "content": {"text": "停机"},
    }


def test_bot_without_a_secret_is_not_signed() -> None:
    wire = Recorder(body=OK)
    asyncio.run(robot(wire, robots=[{"hook": "env:HOOK"}]).send(call()))
    assert wire.asked[0].said == {"msg_type": "text", "content": {"text": "冲压机 7 停机"}}


def test_markdown_is_a_card_and_not_content() -> None:
    said = asked("**x**", "markdown").said
    assert "content" not in said
    assert said["card"] == {"schema": "2.0", "body": {"elements": [{"tag": "markdown", "content": "**x**"}]}}


def test_people_are_called_in_the_first_part_only() -> None:
    to = ("ou_1", "all")
    assert asked("x", recipients=to).said["content"]["text"] == 'x\n<at user_id="ou_1"></at> <at user_id="all"></at>'
    card = asked("x", "markdown", recipients=to).said["card"]["body"]["elements"][0]
    assert card["content"] == "x\n<at id=ou_1></at> <at id=all></at>"
    assert asked("x", recipients=to, part=1).said["content"]["text"] == "x"


def test_name_that_is_markup_calls_nobody() -> None:
    forged = asked("x", recipients=('ou_1"></at><at user_id="all',)).said["content"]["text"]
    assert forged == "x"


@pytest.mark.parametrize("kind", ["text", "markdown"])
@pytest.mark.parametrize("text", ['"\n' * 20_000, "汉" * 20_000])
def test_whole_body_keeps_the_limit(kind: str, text: str) -> None:
    wire = Recorder(body=OK)
    channel = robot(wire)
    parts = channel.split(Content(kind, text))
    for part in parts:
        asyncio.run(channel.send(call(part.text, part.kind)))
    assert "".join(unnumbered([part.text for part in parts])) == text
    assert max(len(one.body) for one in wire.asked) <= BODY


@pytest.mark.parametrize("kind", ["text", "markdown"])
def test_a_long_text_goes_to_a_hundred_people_called_by_name(kind: str) -> None:
    """The first part of a long notice parked the whole of it when it called more than fifty."""
    wire = Recorder(body=OK)
    channel = robot(wire)
    first = channel.split(Content(kind, '汉"\n' * 10_000))[0]
    asyncio.run(channel.send(call(first.text, kind, recipients=tuple(f"ou_{n:032x}" for n in range(100)))))
    assert len(wire.asked[0].body) <= BODY


@pytest.mark.parametrize(
    ("code", "reason", "advice"),
    [
        (9499, Reason.REJECTED, "size"),
        (19001, Reason.CREDENTIALS, "`hook`"),
        (19007, Reason.GONE, "enable it"),
        (19021, Reason.CREDENTIALS, "clock"),
        (19022, Reason.CREDENTIALS, "addresses"),
        (19024, Reason.REJECTED, "keywords"),
        (123456, Reason.REJECTED, ""),
    ],
)
@pytest.mark.parametrize("status", [200, 400])
def test_refusals_are_final_and_say_what_to_do(code: int, reason: Reason, advice: str, status: int) -> None:
    error = failure({"code": code, "msg": "no", "data": {}}, status)
    assert isinstance(error, Rejected)
    assert error.reason is reason
    assert advice in error.detail


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, {"code": 11232, "msg": "frequency limited"}),
        (400, {"code": 9499, "msg": "too many request", "data": {}}),
        (200, {"StatusCode": 0, "StatusMessage": "", "code": 9499, "msg": "too many request"}),
        (429, {"code": 99991400, "msg": "request trigger frequency limit"}),
        (400, {"code": 99991400, "msg": "request trigger frequency limit"}),
    ],
)
def test_throttle_is_tried_again(status: int, body: dict[str, Any]) -> None:
    error = failure(body, status)
    assert isinstance(error, Retryable)
    assert (error.reason, error.after, error.ambiguous) == (Reason.THROTTLED, 15.0, False)


@pytest.mark.parametrize("body", [OK, b'{"StatusCode":0,"StatusMessage":"success"}', b'{"code":0,"msg":"success"}'])
def test_success_of_old_and_new_servers(body: bytes) -> None:
    wire = Recorder(body=body)
    assert len(asyncio.run(robot(wire).send(call()))) == 1


@pytest.mark.parametrize("body", [b'{"code":0,"StatusCode":19001}', b'{"code":19001,"StatusCode":0}'])
def test_both_codes_must_be_good(body: bytes) -> None:
    assert failure(body).reason is Reason.CREDENTIALS


@pytest.mark.parametrize("body", [b"{}", b"", b"<html>", b'{"code":"0"}', b'{"msg":"success"}', b'{"code":false}'])
def test_answer_without_a_code_is_ambiguous(body: bytes) -> None:
    error = failure(body)
    assert isinstance(error, Retryable)
    assert error.ambiguous


def test_detail_holds_no_secret() -> None:
    error = failure({"code": 19001, "msg": "hook aa-bb/cc aa-bb%2Fcc of demo"})
    assert not any(secret in str(error) for secret in ("aa-bb", "demo"))


def test_limits_are_both_of_the_vendors() -> None:
    config = FeishuRobot.Config.model_validate({"robots": [{"hook": "env:B"}, {"hook": "env:A"}]})
    assert config.limits() == (Limit(100, 62.0), Limit(5, 1.1))
    assert (config.limit_domain(), config.lines()) == ("feishu_robot:env:B", 2)
    assert config.line_names() == ("env:B", "env:A")


@pytest.mark.parametrize(
    "options",
    [
        {"robots": []},
        {"robots": [{"hook": "https://open.feishu.cn/open-apis/bot/v2/hook/x"}]},
        {"robots": [{"hook": "env:A"}, {"hook": "env:A"}]},
        {"robots": [{"hook": "env:A", "token": "env:B"}]},
        {"robots": [{"hook": "env:A"}], "base_url": "http://open.feishu.cn"},
    ],
)
def test_bad_configuration_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FeishuRobot.Config.model_validate(options)
