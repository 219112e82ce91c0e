"""The robot's configuration, its signature, its bodies, and how each answer of the vendor is judged."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import ValidationError

from andon.core.failure import Failure, Rejected, Retryable
from andon.core.policy import Limit
from andon.core.ports import Content, KeyedChannel
from andon.core.reason import Reason
from andon.egress.channels.dingtalk_robot import BODY, DingtalkRobot, signature
from andon.testing.builders import call, context
from andon.testing.clock import ManualClock
from andon.testing.contract_channels import unnumbered
from tests.unit.egress.robots import Asked, Recorder, failed, sent

TOKEN, SECRET = "3f9a/+token", "this is secret"
OK = b'{"errcode":0,"errmsg":"ok"}'


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DING", TOKEN)
    monkeypatch.setenv("DING_SECRET", SECRET)


def robot(wire: Recorder, **options: Any) -> DingtalkRobot:
    robots = [{"token": "env:DING", "secret": "env:DING_SECRET"}]
    clock = ManualClock(1_700_000_000.0)
    return DingtalkRobot(DingtalkRobot.Config(**{"robots": robots, **options}), context(wire, clock=clock))


def asked(text: str = "停机", kind: str = "text", **changes: Any) -> Asked:
    return sent(robot, call(text, kind, **changes), OK)


def failure(body: bytes | dict[str, Any], status: int = 200) -> Failure:
    return failed(robot, body, status)


# The request


def test_signature_is_the_published_one() -> None:
    assert signature(SECRET, 1_700_000_000_000) == "sSFWELbV2YwjdDQhWZwTcWlX5BWUx5J6TPpsZmuPii0="


def test_address_is_signed_in_milliseconds_and_encoded_once() -> None:
    url = asked().url
    assert url.startswith("https://oapi.dingtalk.com/robot/send?access_token=3f9a%2F%2Btoken&timestamp=1700000000000&")
    assert url.endswith("&sign=sSFWELbV2YwjdDQhWZwTcWlX5BWUx5J6TPpsZmuPii0%3D")


def test_robot_without_a_secret_is_not_signed() -> None:
    wire = Recorder(body=OK)
    asyncio.run(robot(wire, robots=[{"token": "env:DING"}]).send(call()))
    assert set(parse_qs(urlsplit(wire.asked[0].url).query)) == {"access_token"}


def test_bodies_of_text_and_markdown() -> None:
    key = str(call().key)
    assert asked("停机").said == {"msgtype": "text", "msgUuid": key, "text": {"content": "停机"}}
    said = asked("## **停机** [单](http://x)\n正文", "markdown").said
    assert said["markdown"] == {"title": "停机 单", "text": "## **停机** [单](http://x)\n正文"}


@pytest.mark.parametrize("text", ["---", "**", "\n\n> #\n", "x" * 500])
def test_markdown_always_has_a_title(text: str) -> None:
    title = asked(text, "markdown").said["markdown"]["title"]
    assert 0 < len(title) <= 60


def test_people_are_called_by_name_in_list_and_text() -> None:
    said = asked("停机 @zhang", recipients=("zhang", "@13800001111", "all", "li")).said
    assert said["at"] == {"atMobiles": ["13800001111"], "atUserIds": ["zhang", "li"], "isAtAll": True}
    assert said["text"]["content"] == "停机 @zhang\n\n@13800001111 @li"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("停机 @lisi", "停机 @lisi\n\n@li"),
        ("停机 @li-2 @li.x", "停机 @li-2 @li.x\n\n@li"),
        ("停机 @li.", "停机 @li."),
        ("@li请看", "@li请看"),
    ],
)
def test_a_longer_name_is_another_one(text: str, said: str) -> None:
    assert asked(text, recipients=("li",)).said["text"]["content"] == said


def test_more_people_than_a_call_may_name_are_parked_and_never_left_out() -> None:
    wire = Recorder(body=OK)
    with pytest.raises(Rejected, match="calls 51 people"):
        asyncio.run(robot(wire).send(call(recipients=tuple(f"u{number}" for number in range(51)))))
    assert wire.asked == []


def test_only_the_first_part_calls_people() -> None:
    assert "at" not in asked(recipients=("zhang",), part=1).said
    assert "at" not in asked(recipients=("l3-group",)).said
    assert asked(recipients=("l3-group",), named=True).said["at"]["atUserIds"] == ["l3-group"]


def test_key_is_of_the_part_and_not_of_the_attempt() -> None:
    channel = robot(Recorder())
    assert isinstance(channel, KeyedChannel)
    keys = [
        channel.repeat_key(call(**changes))
        for changes in ({}, {"deadline": 1.0}, {"part": 1}, {"redrive": 1}, {"refused": 1})
    ]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 4


def test_body_over_the_limit_is_never_sent() -> None:
    wire = Recorder(body=OK)
    with pytest.raises(Rejected, match="shorten it, or call fewer") as caught:
        asyncio.run(robot(wire).send(call("x" * 17_000, recipients=tuple(f"{n:064}" for n in range(50)))))
    assert (caught.value.reason, wire.asked) == (Reason.TOO_LONG, [])


@pytest.mark.parametrize("text", ['"\n' * 20_000, "\x01" * 20_000, "汉" * 20_000])
def test_parts_fit_the_body_however_json_writes_them(text: str) -> None:
    wire = Recorder(body=OK)
    channel = robot(wire)
    parts = channel.split(Content("markdown", text))
    for part in parts:
        asyncio.run(channel.send(call(part.text, part.kind)))
    assert "".join(unnumbered([part.text for part in parts])) == text
    assert max(len(one.body) for one in wire.asked) <= BODY


@pytest.mark.parametrize("kind", ["text", "markdown"])
def test_a_long_text_goes_whoever_it_calls(kind: str) -> None:
    """The first part of a long notice parked the whole of it when it called fifty people with longer ids."""
    wire = Recorder(body=OK)
    channel = robot(wire)
    first = channel.split(Content(kind, "🏭汉\n" * 5_000))[0]
    asyncio.run(channel.send(call(first.text, kind, recipients=tuple(f"{n:064}" for n in range(50)))))
    assert len(wire.asked[0].body) <= BODY


# The answer

PLEASE_SIGN = "请确认签名和生成签名的时间戳必须都放在调用的网址中，请确认机器人的密钥加密和填写正确"


@pytest.mark.parametrize(
    ("errcode", "errmsg", "reason", "advice"),
    [
        (310000, "keywords not in content", Reason.REJECTED, "keywords"),
        (310000, "sign not match", Reason.CREDENTIALS, "`secret`"),
        (310000, "ip 1.2.3.4 not in whitelist", Reason.CREDENTIALS, "list of addresses"),
        (310000, "description:关键词不匹配;solution:请联系群管理员查看此机器人的关键词", Reason.REJECTED, "keywords"),
        (310000, "错误描述:关键词不匹配;解决方案:请联系群管理员查看此机器人的关键词", Reason.REJECTED, "keywords"),
        (310000, f"description:机器人发送签名不匹配;solution:{PLEASE_SIGN}", Reason.CREDENTIALS, "`secret`"),
        (310000, "description:ip 不在白名单中;solution:设置安全ip地址段", Reason.CREDENTIALS, "list of addresses"),
        (310000, "something new", Reason.CREDENTIALS, ""),
        (300005, "token is not exist", Reason.CREDENTIALS, "token"),
        (300001, "token is not exist", Reason.CREDENTIALS, "token"),
        (400101, "x", Reason.CREDENTIALS, "token"),
        (400013, "x", Reason.GONE, "taken out"),
        (400102, "x", Reason.GONE, "stopped"),
        (400106, "x", Reason.GONE, "stopped"),
        ("400106", "x", Reason.GONE, "stopped"),
        (430102, "inappropriate text", Reason.REJECTED, ""),
        (999999, "x", Reason.REJECTED, ""),
    ],
)
def test_refusals_are_final_and_say_what_to_do(errcode: Any, errmsg: str, reason: Reason, advice: str) -> None:
    error = failure({"errcode": errcode, "errmsg": errmsg})
    assert isinstance(error, Rejected)
    assert error.reason is reason
    assert advice in error.detail


@pytest.mark.parametrize("errcode", [410100, 130101, 660026])
def test_each_code_of_the_throttle_waits_ten_minutes(errcode: int) -> None:
    error = failure({"errcode": errcode, "errmsg": "x"})
    assert isinstance(error, Retryable)
    assert (error.reason, error.after, error.ambiguous) == (Reason.THROTTLED, 600.0, False)


@pytest.mark.parametrize("errmsg", ["invalid timestamp", "description:机器人发送签名过期;solution:签名生成时间"])
def test_wrong_clock_is_tried_again(errmsg: str) -> None:
    error = failure({"errcode": 310000, "errmsg": errmsg})
    assert isinstance(error, Retryable)
    assert "clock" in error.detail


def test_throttle_of_the_gateway_waits_as_long_as_it_says() -> None:
    error = failure(b'{"status":1111,"wait":5,"source":"x5","punish":"deny","uuid":"0"}')
    assert isinstance(error, Retryable)
    assert (error.reason, error.after, error.ambiguous) == (Reason.THROTTLED, 5.0, False)


@pytest.mark.parametrize(
    ("wait", "after"), [("9" * 400, 3_600.0), (f'"{"9" * 5_000}"', 60.0), ("-5", 0.0), ("1.5", 60.0)]
)
def test_throttle_of_the_gateway_that_names_no_time_that_can_be_waited_for(wait: str, after: float) -> None:
    error = failure(f'{{"status":1111,"wait":{wait}}}'.encode())
    assert isinstance(error, Retryable)
    assert error.after == after


def test_a_code_of_thousands_of_digits_is_none() -> None:
    error = failure(f'{{"errcode":"{"9" * 5_000}"}}'.encode())
    assert isinstance(error, Retryable)
    assert (error.reason, error.ambiguous) == (Reason.BAD_REPLY, True)


@pytest.mark.parametrize(("sub_code", "reason"), [("40014", Reason.CREDENTIALS), ("90018", Reason.THROTTLED)])
def test_errcode_of_the_old_interface_is_told_by_its_sub_code(sub_code: str, reason: Reason) -> None:
    error = failure({"errcode": 88, "sub_code": sub_code, "sub_msg": "x"})
    assert error.reason is reason
    assert f"88: {sub_code}" in error.detail


def test_the_gateway_may_say_its_code_as_the_errcode() -> None:
    error = failure({"errcode": 90002, "subcode": 90002, "errmsg": "submsg=超出了该接口承受的最大qps"})
    assert isinstance(error, Retryable)
    assert (error.reason, error.after, error.ambiguous) == (Reason.THROTTLED, 60.0, False)


def test_errcode_as_text_is_success() -> None:
    wire = Recorder(body=b'{"errcode":"0","errmsg":"ok"}')
    assert len(asyncio.run(robot(wire).send(call()))) == 1


@pytest.mark.parametrize("body", [b"{}", b"", b"<html>", b'{"errcode":null}', b'{"errcode":true}', b'{"errcode":"ok"}'])
def test_answer_without_an_errcode_is_ambiguous(body: bytes) -> None:
    error = failure(body)
    assert isinstance(error, Retryable)
    assert error.ambiguous


def test_detail_holds_no_secret() -> None:
    error = failure({"errcode": 300005, "errmsg": f"?access_token={TOKEN} 3f9a%2F%2Btoken {SECRET}"})
    assert not any(secret in str(error) for secret in (TOKEN, "%2F%2B", SECRET))


# Configuration


def test_pool_of_robots() -> None:
    config = DingtalkRobot.Config.model_validate({"robots": [{"token": "env:B"}, {"token": "env:A"}]})
    assert (config.limit_domain(), config.lines()) == ("dingtalk_robot:env:B", 2)
    assert config.line_names() == ("env:B", "env:A")
    assert config.limits() == (Limit(20, 62.0),)


@pytest.mark.parametrize(
    "options",
    [
        {"robots": []},
        {"robots": [{"token": "3f9a"}]},
        {"robots": [{"token": "env:A"}, {"token": "env:A"}]},
        {"robots": [{"token": "env:A", "secrets": "env:B"}]},
        {"robots": [{"secret": "env:B"}]},
        {"robots": [{"token": "env:A"}], "base_url": "http://oapi.dingtalk.com"},
        {},
    ],
)
def test_bad_configuration_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        DingtalkRobot.Config.model_validate(options)


def test_more_than_fifty_people_are_refused() -> None:
    config = DingtalkRobot.Config.model_validate({"robots": [{"token": "env:A"}]})
    assert config.recipient_mistakes([str(n) for n in range(51)])[0][1].startswith("51 people")
    assert config.recipient_mistakes(["all", *(str(n) for n in range(50))]) == []


def test_body_is_json_with_utf8() -> None:
    assert json.dumps("停机", ensure_ascii=False).encode() in asked().body
