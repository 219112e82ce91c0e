"""A WeCom application: what it sends byte by byte, and what each of the vendor's answers means."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import ValidationError

from andon.config.receivers import Receiver
from andon.core.failure import Failure, Rejected, Retryable
from andon.core.outcome import Evidence, Parked
from andon.core.policy import Limit, Merge, Per
from andon.core.ports import Content, Context, NamesPeople, Receipt, Reply
from andon.core.reason import Reason
from andon.egress.channels.wecom_app import WecomApp
from andon.egress.receivers import policy_of
from andon.testing.builders import call
from andon.testing.clock import ManualClock
from andon.web.nowire import NoWire

CORP, SECRET = "ww0123", "the-secret"
OPTIONS: dict[str, Any] = {"corp_id": "env:APP_CORP", "agent_id": 1000002, "secret": "env:APP_SECRET"}
OK = {"errcode": 0, "errmsg": "ok", "msgid": "m1"}


class Vendor(NoWire):
    """A wire: tokens t1, t2, … for the right secret, and the answers to `send` in their order, then "ok"."""

    def __init__(self, *answers: Mapping[str, Any] | Retryable) -> None:
        self.answers = list(answers)
        self.tokens = 0
        self.refusal: Mapping[str, Any] | None = None
        self.sent: list[tuple[str, dict[str, Any]]] = []

    async def request(
        self, method: str, url: str, /, *, body: bytes = b"", headers: Any = None, deadline: float = 15.0
    ) -> Reply:
        parts = urlsplit(url)
        query = parse_qs(parts.query)
        assert parts.netloc == "qyapi.weixin.qq.com"
        if parts.path == "/cgi-bin/gettoken":
            assert (method, query) == ("GET", {"corpid": [CORP], "corpsecret": [SECRET]})
            self.tokens += 1
            granted = {"errcode": 0, "errmsg": "ok", "access_token": f"t{self.tokens}/+", "expires_in": 7200}
            return Reply(200, json.dumps(self.refusal or granted).encode(), {})
        assert (method, parts.path, list(query)) == ("POST", "/cgi-bin/message/send", ["access_token"])
        self.sent.append((query["access_token"][0], json.loads(body)))
        answer = self.answers.pop(0) if self.answers else OK
        if isinstance(answer, Retryable):
            raise answer
        return Reply(200, json.dumps(answer).encode(), {})


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_CORP", CORP)
    monkeypatch.setenv("APP_SECRET", SECRET)


def app(vendor: Vendor, clock: ManualClock | None = None, **options: Any) -> WecomApp:
    config = WecomApp.Config.model_validate({**OPTIONS, **options})
    return WecomApp(config, Context("app", Path(), clock or ManualClock(), vendor))


def sent(vendor: Vendor, to: Sequence[str] = ("wang",), text: str = "停机", kind: str = "text") -> Sequence[Receipt]:
    return asyncio.run(app(vendor).send(call(text, kind, recipients=tuple(to))))


def failed(vendor: Vendor, to: Sequence[str] = ("wang",)) -> Failure:
    with pytest.raises(Failure) as caught:
        sent(vendor, to)
    return caught.value


def test_a_message_is_what_the_vendor_wants() -> None:
    vendor = Vendor()
    assert sent(vendor) == [Receipt("wang", Evidence.VENDOR_ACCEPTED, reference="m1")]
    body = {
        "touser": "wang",
        "msgtype": "text",
        "agentid": 1000002,
        "text": {"content": "停机"},
        "safe": 0,
        "enable_duplicate_check": 0,
    }
    assert vendor.sent == [("t1/+", body)]
    assert isinstance(vendor.sent[0][1]["agentid"], int)


def test_users_parties_and_tags_are_joined() -> None:
    vendor = Vendor()
    sent(vendor, ["wang", "party:2", "Li.3@x", "tag:7", "party:1"], kind="markdown")
    body = vendor.sent[0][1]
    assert (body["touser"], body["toparty"], body["totag"]) == ("wang|Li.3@x", "2|1", "7")
    assert body["markdown"] == {"content": "停机"}
    sent(vendor, ["@all"])
    assert vendor.sent[1][1]["touser"] == "@all"
    sent(vendor, ["wang", "@all", "party:2"])
    assert vendor.sent[2][1]["touser"] == "@all"
    assert "toparty" not in vendor.sent[2][1]
    sent(vendor, ["party:2"])
    assert "touser" not in vendor.sent[3][1]


@pytest.mark.parametrize("word", ["party", "tag"])
def test_facts_that_name_more_groups_than_a_call_takes_are_not_sent(word: str) -> None:
    vendor = Vendor()
    assert len(sent(vendor, [f"{word}:{n}" for n in range(1, 101)])) == 100
    refused = failed(vendor, [f"{word}:{n}" for n in range(1, 102)])
    assert (refused.reason, len(vendor.sent)) == (Reason.TOO_LARGE, 1)


def test_who_is_named_as_invalid_was_not_told() -> None:
    answer = {
        **OK,
        "invaliduser": "zhang|li",
        "invalidparty": "2",
        "invalidtag": "7",
        "unlicenseduser": "chen",
    }
    receipts = sent(Vendor(answer), ["Wang", "Zhang", "LI", "party:1", "party:2", "tag:7", "Chen"])
    gone = {one.recipient: one.failed.reason for one in receipts if one.failed}
    assert gone == {
        "Zhang": Reason.GONE,
        "LI": Reason.GONE,
        "party:2": Reason.GONE,
        "tag:7": Reason.GONE,
        "Chen": Reason.REJECTED,
    }
    assert [one.recipient for one in receipts] == ["Wang", "Zhang", "LI", "party:1", "party:2", "tag:7", "Chen"]


@pytest.mark.parametrize(
    ("errcode", "errmsg"),
    [(81013, "user & party & tag all invalid"), (82001, "All touser & toparty & totag invalid")],
)
def test_nobody_could_be_told(errcode: int, errmsg: str) -> None:
    receipts = sent(Vendor({"errcode": errcode, "errmsg": errmsg}), ["wang", "li"])
    assert [one.failed.reason for one in receipts if one.failed] == [Reason.GONE, Reason.GONE]


def test_a_name_that_is_none_is_not_sent() -> None:
    vendor = Vendor()
    receipts = sent(vendor, ["wang", "li|zhao", "party:x"])
    assert vendor.sent[0][1]["touser"] == "wang"
    assert [one.failed and one.failed.reason for one in receipts] == [None, Reason.INVALID, Reason.INVALID]
    receipts = sent(vendor, ["", "王 晴"])
    assert all(isinstance(one.failed, Parked) for one in receipts)
    assert len(vendor.sent) == 1, "nothing is sent to nobody"


@pytest.mark.parametrize(
    ("errcode", "reason", "retry", "after"),
    [
        (-1, Reason.BUSY, True, None),
        (45033, Reason.BUSY, True, None),
        (45009, Reason.THROTTLED, True, 60.0),
        (40001, Reason.CREDENTIALS, False, None),
        (40013, Reason.CREDENTIALS, False, None),
        (41001, Reason.CREDENTIALS, False, None),
        (48002, Reason.CREDENTIALS, False, None),
        (60020, Reason.CREDENTIALS, False, None),
        (301002, Reason.CREDENTIALS, False, None),
        (50003, Reason.GONE, False, None),
        (60011, Reason.GONE, False, None),
        (60111, Reason.GONE, False, None),
        (44004, Reason.EMPTY, False, None),
        (45002, Reason.TOO_LONG, False, None),
        (40058, Reason.REJECTED, False, None),
        (99999, Reason.REJECTED, False, None),
    ],
)
def test_every_errcode_has_its_meaning(errcode: int, reason: Reason, retry: bool, after: float | None) -> None:
    vendor = Vendor({"errcode": errcode, "errmsg": f"said about {SECRET}, t1/+ and t1%2F%2B"})
    failure = failed(vendor)
    assert (failure.reason, isinstance(failure, Retryable)) == (reason, retry)
    assert getattr(failure, "after", None) == after
    assert str(errcode) in failure.detail
    assert not any(secret in failure.detail for secret in (SECRET, "t1/+", "t1%2F%2B"))
    assert len(vendor.sent) == 1


def test_over_long_by_the_text_of_another_code() -> None:
    vendor = Vendor({"errcode": 40058, "errmsg": "text.content exceed max length 2048"})
    assert failed(vendor).reason is Reason.TOO_LONG


@pytest.mark.parametrize("errcode", [40014, 42001])
def test_a_stale_token_is_renewed_once_and_the_call_made_once_more(errcode: int) -> None:
    async def scene() -> None:
        clock, vendor = ManualClock(), Vendor()
        channel = app(vendor, clock)
        await channel.send(call(recipients=("wang",)))
        clock.advance(600)
        vendor.answers = [{"errcode": errcode, "errmsg": "access_token expired"}]
        assert await channel.send(call(recipients=("wang",))) == [Receipt("wang", reference="m1")]
        assert [token for token, _ in vendor.sent] == ["t1/+", "t1/+", "t2/+"]
        clock.advance(600)
        stale = {"errcode": errcode, "errmsg": "access_token expired"}
        vendor.answers = [stale] * 50
        for _ in range(5):
            with pytest.raises(Retryable) as caught:
                await channel.send(call(recipients=("wang",)))
            assert caught.value.reason is Reason.CREDENTIALS
        assert vendor.tokens == 3, "never in a loop"
        assert len(vendor.sent) == 3 + 2 + 4

    asyncio.run(scene())


def test_a_wrong_secret_is_not_tried_again() -> None:
    async def scene() -> None:
        vendor = Vendor()
        vendor.refusal = {"errcode": 40001, "errmsg": f"invalid credential, corpsecret={SECRET}"}
        channel = app(vendor)
        for _ in range(5):
            with pytest.raises(Rejected) as caught:
                await channel.send(call(recipients=("wang",)))
            assert caught.value.reason is Reason.CREDENTIALS
            assert "the secret is wrong" in caught.value.detail
            assert SECRET not in caught.value.detail
        assert (vendor.tokens, vendor.sent) == (1, [])

    asyncio.run(scene())


def test_a_ban_is_waited_out() -> None:
    vendor = Vendor()
    vendor.refusal = {"errcode": 45009, "errmsg": "api freq out of limit"}
    failure = failed(vendor)
    assert isinstance(failure, Retryable)
    assert failure.reason is Reason.THROTTLED
    assert failure.after == pytest.approx(600.0)


def test_the_block_is_configuration() -> None:
    for answer in ({"errcode": 45009, "errmsg": "api freq out of limit"}, "<html>too many</html>"):
        vendor = Throttling(answer)
        with pytest.raises(Retryable) as caught:
            asyncio.run(app(vendor, block="1s").send(call(recipients=("wang",))))
        assert (caught.value.reason, caught.value.after) == (Reason.THROTTLED, 1.0)


def test_a_success_may_leave_its_errcode_out_where_it_has_what_was_asked() -> None:
    vendor = Vendor({"msgid": "m1"})
    vendor.refusal = {"access_token": "t1/+", "expires_in": 7200}
    assert sent(vendor) == [Receipt("wang", Evidence.VENDOR_ACCEPTED, reference="m1")]


@pytest.mark.parametrize(
    "answer", [{}, {"errmsg": "ok"}, {"msgid": ""}, {"msgid": None}, {"errcode": None, "msgid": "m1"}]
)
def test_an_answer_without_both_is_not_the_vendors(answer: dict[str, Any]) -> None:
    failure = failed(Vendor(answer))
    assert isinstance(failure, Retryable)
    assert (failure.reason, failure.ambiguous) == (Reason.BAD_REPLY, True)


def test_an_answer_to_the_question_for_a_token_without_either_is_none() -> None:
    vendor = Vendor()
    vendor.refusal = {"expires_in": 7200}
    assert failed(vendor).reason is Reason.NOT_SENT
    assert not vendor.sent


class Throttling(Vendor):
    """Shuts the app out, in the vendor's words or in those of what stands before it."""

    def __init__(self, answer: Mapping[str, Any] | str) -> None:
        super().__init__()
        self.answer = answer

    async def request(
        self, method: str, url: str, /, *, body: bytes = b"", headers: Any = None, deadline: float = 15.0
    ) -> Reply:
        if method == "GET":
            return await super().request(method, url, body=body, headers=headers, deadline=deadline)
        if isinstance(self.answer, str):
            return Reply(429, self.answer.encode(), {})
        return Reply(200, json.dumps(self.answer).encode(), {})


def test_parts_are_numbered_and_their_markup_is_whole() -> None:
    first, *_, last = app(Vendor()).split(Content("markdown", "**" + "冲压机 7 停机。" * 200 + "**"))
    assert first.text.startswith("(1/3)\n**冲")
    assert first.text.endswith("**")
    assert last.text.startswith("(3/3)\n**")


def test_the_vendor_is_never_given_what_it_would_cut() -> None:
    vendor = Vendor()
    with pytest.raises(Rejected) as caught:
        sent(vendor, text="汉" * 683)
    assert caught.value.reason is Reason.TOO_LONG
    assert not vendor.sent


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"agent_id": "x"}, "agent_id"),
        ({"agent_id": -1}, "agent_id"),
        ({"secret": "in plain"}, "secret"),
        ({"base_url": "http://example.com"}, "base_url"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_a_configuration_that_cannot_be(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        WecomApp.Config.model_validate({**OPTIONS, **options})


@pytest.mark.parametrize(
    ("to", "place", "words"),
    [
        ([], None, "`to` is missing"),
        (["wang", "王晴"], 1, "'王晴' is no userid"),
        (["a|b"], 0, "no userid"),
        (["party:x"], 0, "party:12"),
        (["tag:0"], 0, "tag:12"),
        (["wang", "@all"], 1, "stands alone"),
        ([f"party:{n}" for n in range(1, 102)], None, "at most 100 of party:"),
    ],
)
def test_recipients_that_cannot_be(to: list[str], place: int | None, words: str) -> None:
    config: Any = WecomApp.Config.model_validate(OPTIONS)
    assert isinstance(config, NamesPeople)
    ((found, text),) = config.recipient_mistakes(to)
    assert found == place
    assert words in text


def test_good_recipients() -> None:
    config: Any = WecomApp.Config.model_validate(OPTIONS)
    for to in (["wang", "00123", "Li_3-x.y@z", "party:1", "tag:99"], ["@all"], [f"u{n}" for n in range(1_000)]):
        assert config.recipient_mistakes(to) == []


def test_all_apps_of_a_corp_share_a_domain_and_nothing_names_a_secret() -> None:
    one, two = (WecomApp.Config.model_validate({**OPTIONS, "agent_id": number}) for number in (1, 2))
    assert one.limit_domain() == two.limit_domain() == "wecom_app:env:APP_CORP"
    assert SECRET not in repr(app(Vendor())) + repr(one)


def test_the_limits_are_the_vendors_with_a_margin() -> None:
    config = WecomApp.Config.model_validate({**OPTIONS, "accounts": 800})
    found = {(limit.per, limit.count, limit.period) for limit in config.limits()}
    assert found == {
        (Per.CALL, 10_000, 62.0),
        (Per.CALL, 150_000, 3_602.0),
        (Per.RECIPIENT, 30, 62.0),
        (Per.RECIPIENT, 1_000, 3_602.0),
        (Per.PERSON, 160_000, 86_400.0),
    }
    without = WecomApp.Config.model_validate(OPTIONS)
    assert not [limit for limit in without.limits() if limit.per is Per.PERSON]
    own = WecomApp.Config.model_validate({**OPTIONS, "per_member": ["5/10s"], "per_corp": ["7/m"]})
    assert [(limit.count, limit.period) for limit in own.limits()] == [(7, 60.0), (5, 10.0)]


def test_how_many_people_a_name_stands_for() -> None:
    config = WecomApp.Config.model_validate({**OPTIONS, "accounts": 800, "sizes": {"party:2": 12}})
    asked = ("wang", "party:2", "party:3", "tag:1", "@all")
    assert [config.behind(name) for name in asked] == [None, 12, 800, 800, 800]
    for sizes in ({"wang": 1}, {"party:x": 1}, {"tag:1": 0}):
        with pytest.raises(ValidationError, match="sizes"):
            WecomApp.Config.model_validate({**OPTIONS, "sizes": sizes})


@pytest.mark.parametrize(
    ("receiver", "merge"),
    [
        ({"to": ["wang"]}, Merge(Limit(15, 62.0))),
        ({"to": ["wang", "fact:machine.leader"]}, None),
        ({"to": ["wang"], "merge": "none"}, None),
        ({"to": ["fact:machine.leader"], "merge": {"over": "3/m"}}, Merge(Limit(3, 60.0))),
    ],
)
def test_what_waits_for_the_same_people_is_merged(receiver: dict[str, Any], merge: Merge | None) -> None:
    config = WecomApp.Config.model_validate(OPTIONS)
    policy = policy_of(Receiver.model_validate({"channel": "app", **receiver}), config)
    assert policy.merge == merge
    assert {limit.per for limit in policy.limits} == {Per.CALL}
    assert {limit.per for limit in policy.people} == {Per.RECIPIENT}
    assert policy.sender == "1000002"
    assert policy.in_flight == 32
    assert (policy.looks_back(), policy.looks_back_on_people()) == (3_602.0, 3_602.0)
