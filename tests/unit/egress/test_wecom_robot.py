"""The robot's configuration and how each answer of the vendor is judged."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from andon.config.receivers import Receiver
from andon.core.failure import Failure, Rejected, Retryable
from andon.core.policy import Limit, Merge, QueuePolicy, account_number
from andon.core.ports import Content
from andon.core.reason import Reason
from andon.egress.channels.wecom_robot import WecomRobot
from andon.egress.receivers import policy_of
from andon.testing.builders import call, context
from tests.unit.egress import robots

KEY = "693a91f6-7xxx-4bc4-97a0/+"


class Recorder(robots.Recorder):
    """Its answer is WeCom's yes, unless another is given."""

    def __init__(self, status: int = 200, body: bytes = b'{"errcode":0,"errmsg":"ok"}', **headers: str) -> None:
        super().__init__(status, body, **headers)


def robot(wire: Recorder, **options: Any) -> WecomRobot:
    return WecomRobot(WecomRobot.Config(**{"keys": ["env:ROBOT_1", "env:ROBOT_2"], **options}), context(wire))


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROBOT_1", KEY)
    monkeypatch.setenv("ROBOT_2", "second")


def failure(status: int, body: bytes | dict[str, Any], **headers: str) -> Failure:
    wire = Recorder(status, body if isinstance(body, bytes) else json.dumps(body).encode(), **headers)
    with pytest.raises(Failure) as caught:
        asyncio.run(robot(wire).send(call()))
    return caught.value


def refused(errcode: int, errmsg: str = "no") -> Failure:
    return failure(200, {"errcode": errcode, "errmsg": errmsg})


# The request


@pytest.mark.parametrize("kind", ["text", "markdown"])
def test_request_is_the_vendors(kind: str) -> None:
    wire = Recorder()
    receipts = asyncio.run(robot(wire).send(call('停机 "3"\n', kind, recipients=("a", "b"), deadline=7.5)))
    ((method, url, body, deadline),) = wire.asked
    assert (method, deadline) == ("POST", 7.5)
    assert url == "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=693a91f6-7xxx-4bc4-97a0%2F%2B"
    called = {"mentioned_list": ["a", "b"]} if kind == "text" else {}
    assert json.loads(body) == {"msgtype": kind, kind: {"content": '停机 "3"\n', **called}}
    assert [receipt.recipient for receipt in receipts] == ["a", "b"]


def test_line_picks_the_robot() -> None:
    wire = Recorder()
    asyncio.run(robot(wire, base_url="http://127.0.0.1:8720/").send(call(line=1)))
    assert wire.asked[0][1] == "http://127.0.0.1:8720/cgi-bin/webhook/send?key=second"


def test_key_is_read_anew_for_every_call(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("old\n")
    wire = Recorder()
    channel = robot(wire, keys=[f"file:{file}"])
    asyncio.run(channel.send(call()))
    file.write_text("new\nold\n")
    asyncio.run(channel.send(call()))
    assert [url.rpartition("=")[2] for _, url, _, _ in wire.asked] == ["old", "new"]


def test_missing_key_is_not_sent_and_names_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ROBOT_1")
    wire = Recorder()
    with pytest.raises(Retryable, match="ROBOT_1") as caught:
        asyncio.run(robot(wire).send(call()))
    assert (caught.value.reason, caught.value.ambiguous, wire.asked) == (Reason.NOT_SENT, False, [])


def test_limits_of_one_part() -> None:
    channel = robot(Recorder())
    for kind, limit in (("text", 2048), ("markdown", 4096)):
        parts = channel.split(Content(kind, "汉" * 3000))
        assert [part.kind for part in parts] == [kind] * len(parts)
        # Some bytes are left for the number and for the mark of a possible repeat.
        assert limit - 40 < max(len(part.text.encode()) for part in parts) <= limit
        whole, over = (len(channel.split(Content(kind, "a" * size))) for size in (limit, limit + 1))
        assert (whole, over) == (1, 2)
    with pytest.raises(Rejected):
        channel.split(Content("mpnews", "x"))


def test_people_are_called_in_the_first_part_of_a_text() -> None:
    wire = Recorder()
    to = ("zhang", "@13800001111", "all")
    for part in range(2):
        asyncio.run(robot(wire).send(call("x", recipients=to, part=part)))
    asyncio.run(robot(wire).send(call("x")))
    said = [json.loads(body)["text"] for _, _, body, _ in wire.asked]
    called = {"mentioned_list": ["zhang", "@all"], "mentioned_mobile_list": ["13800001111"]}
    assert said == [{"content": "x", **called}, {"content": "x"}, {"content": "x"}]


@pytest.mark.parametrize("name", ["@@all", "@@zhang", "@"])
def test_what_still_has_an_at_before_it_calls_nobody(name: str) -> None:
    wire = Recorder()
    asyncio.run(robot(wire).send(call("x", recipients=("li", name))))
    assert json.loads(wire.asked[0][2])["text"]["mentioned_list"] == ["li"]


# The answer


@pytest.mark.parametrize(
    ("errcode", "errmsg", "reason"),
    [
        (93000, "invalid webhook url, hint: [1], from ip: 1.2.3.4, more info at x?e=93000", Reason.CREDENTIALS),
        (93000, "Invalid input : content exceed max length", Reason.TOO_LONG),
        (40058, "markdown.content exceed max length 4096. Invalid input invalid Request Parameter", Reason.TOO_LONG),
        (40058, "invalid Request Parameter", Reason.REJECTED),
        (45002, "content size out of limit", Reason.TOO_LONG),
        (93004, "robot is disabled", Reason.GONE),
        (93008, "not in group", Reason.GONE),
        (44004, "empty content", Reason.EMPTY),
        (40008, "invalid message type", Reason.REJECTED),
        (99999, "something new", Reason.REJECTED),
    ],
)
def test_refusals_are_final(errcode: int, errmsg: str, reason: Reason) -> None:
    error = refused(errcode, errmsg)
    assert isinstance(error, Rejected)
    assert error.reason is reason
    assert error.detail.startswith(f"code {errcode}: {errmsg[:40]}")


@pytest.mark.parametrize(
    ("errcode", "advice"),
    [(93000, "take its key anew"), (93004, "another's key in `keys`"), (93008, "put its key in `keys`")],
)
def test_a_robot_that_is_none_is_parked_with_what_to_do(errcode: int, advice: str) -> None:
    assert refused(errcode, "no").detail.endswith(advice)


@pytest.mark.parametrize(
    ("errcode", "reason", "after"),
    [(45009, Reason.THROTTLED, 60.0), (-1, Reason.BUSY, None), (45033, Reason.BUSY, None)],
)
def test_throttle_and_busy_are_tried_again(errcode: int, reason: Reason, after: float | None) -> None:
    error = refused(errcode)
    assert isinstance(error, Retryable)
    assert (error.reason, error.after, error.ambiguous) == (reason, after, False)


def test_block_of_a_private_deployment_is_as_long_as_it_says() -> None:
    for answer in (Recorder(body=b'{"errcode":45009,"errmsg":"no"}'), Recorder(429, b"slow")):
        with pytest.raises(Retryable) as caught:
            asyncio.run(robot(answer, limit="20/1s", block="1s").send(call()))
        assert (caught.value.reason, caught.value.after) == (Reason.THROTTLED, 1.0)


@pytest.mark.parametrize("status", [200, 400, 500])
def test_errcode_decides_whatever_the_status(status: int) -> None:
    assert failure(status, {"errcode": 93008, "errmsg": "x"}).reason is Reason.GONE


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>login</html>",
        b"{}",
        b'{"errmsg":"ok"}',
        b'{"errcode":"0"}',
        b'{"errcode":null}',
        b'{"errcode":true}',
        b'{"errcode":0',
        b'{"errcode":0}{"errcode":93000}',
        b"[0]",
        b"\xff",
    ],
)
def test_answer_without_an_errcode_is_ambiguous(body: bytes) -> None:
    error = failure(200, body)
    assert isinstance(error, Retryable)
    assert (error.reason, error.ambiguous) == (Reason.BAD_REPLY, True)


@pytest.mark.parametrize(
    ("status", "reason", "ambiguous"),
    [
        (301, Reason.BAD_REPLY, False),
        (403, Reason.BAD_REPLY, False),
        (404, Reason.BAD_REPLY, False),
        (429, Reason.THROTTLED, False),
        (500, Reason.SERVER_ERROR, True),
        (502, Reason.SERVER_ERROR, True),
    ],
)
def test_answer_of_something_between_us_and_the_vendor(status: int, reason: Reason, ambiguous: bool) -> None:
    for body in (b"<html>", b"", b'{"errcode":0,"errmsg":"ok"}'):
        error = failure(status, body)
        assert isinstance(error, Retryable)
        assert (error.reason, error.ambiguous) == (reason, ambiguous)


def test_retry_after_of_a_gateway_is_heard() -> None:
    error = failure(429, b"slow", **{"retry-after": "7"})
    assert isinstance(error, Retryable)
    assert error.after == 7.0


def test_errmsg_is_cut_and_never_holds_the_key() -> None:
    error = refused(40058, f"url ?key={KEY} and 693a91f6-7xxx-4bc4-97a0%2F%2B " + "x" * 500)
    assert KEY not in str(error)
    assert "%2F%2B" not in str(error)
    assert len(error.detail) < 200


def test_errmsg_of_another_type_is_no_error_of_ours() -> None:
    assert failure(200, {"errcode": 93000, "errmsg": None}).reason is Reason.CREDENTIALS


# The configuration


def config(**options: Any) -> WecomRobot.Config:
    return WecomRobot.Config(**{"keys": ["env:B", "env:A"], **options})


def test_what_the_desk_is_told() -> None:
    assert config().limit_domain() == "wecom_robot:env:B"
    assert config().limits() == (Limit(20, 62.0),)
    assert (config().lines(), config().line_names()) == (2, ("env:B", "env:A"))
    assert config(limit="100/m").limits() == (Limit(100, 60.0),)


@pytest.mark.parametrize(
    "options",
    [
        {"keys": []},
        {"keys": ["env:A", "env:A"]},
        {"keys": ["693a91f6-7xxx"]},
        {"keys": "env:A"},
        {"base_url": "http://qyapi.weixin.qq.com"},
        {"base_url": "https://x?key=1"},
        {"base_url": "qyapi.weixin.qq.com"},
        {"limit": "often"},
        {"kye": 1},
    ],
)
def test_wrong_configuration_is_refused_without_showing_a_value(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        config(**options)
    assert "693a91f6" not in str(caught.value)


def test_its_policy_counts_calls_and_no_people() -> None:
    config = WecomRobot.Config.model_validate({"keys": ["env:ROBOT_1"]})
    policy = policy_of(Receiver(channel="robot"), config)
    lines = (account_number("env:ROBOT_1"),)
    assert policy == QueuePolicy("robot", (Limit(20, 62.0),), lines=lines, merge=Merge(Limit(10, 62.0)), cap=500)
    assert policy.in_flight == 4
