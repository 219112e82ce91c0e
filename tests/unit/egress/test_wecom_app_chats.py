"""A WeCom application's group chats, and what it changes after it was sent: messages taken back, cards updated."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from andon.config.receivers import Receiver
from andon.core.failure import Rejected, Retryable
from andon.core.policy import Limit, Merge, Per
from andon.core.ports import HasWays, Recalls
from andon.core.reason import Reason
from andon.egress.receivers import policy_of
from andon.testing.builders import call
from andon.testing.clock import ManualClock
from tests.unit.egress.app_vendor import BUTTONS, NOTICE, Vendor, app, config, sent


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_CORP", "ww0123")
    monkeypatch.setenv("APP_SECRET", "the-secret")


# Group chats


def test_a_chat_is_written_to_without_an_agent_and_names_no_message() -> None:
    vendor = Vendor(send=[{"errcode": 0, "errmsg": "ok"}])
    asyncio.run(app(vendor).send(call("停机", recipients=("chat:shift-3",))))
    body = {"chatid": "shift-3", "msgtype": "text", "text": {"content": "停机"}, "safe": 0}
    assert vendor.asked == [("appchat/send", body)]


def test_people_first_and_then_one_chat_at_a_time() -> None:
    vendor = Vendor()
    to = ["chat:a", "wang", "chat:b", "li|zhao"]
    receipts = asyncio.run(app(vendor).send(call(recipients=tuple(to))))
    assert [path for path, _ in vendor.asked] == ["message/send"]
    assert [(one.later, one.failed and one.failed.reason) for one in receipts] == [
        (True, Reason.BUSY),
        (False, None),
        (True, Reason.BUSY),
        (False, Reason.INVALID),
    ]
    receipts = asyncio.run(app(vendor).send(call(recipients=("chat:a", "chat:b"))))
    assert vendor.asked[1][1]["chatid"] == "a"
    assert [one.later for one in receipts] == [False, True]


@pytest.mark.parametrize("errcode", [86001, 86003])
def test_a_chat_that_is_none_is_gone_alone(errcode: int) -> None:
    vendor = Vendor(send=[{"errcode": errcode, "errmsg": "no"}])
    receipts = asyncio.run(app(vendor).send(call(recipients=("chat:a", "chat:b"))))
    assert [(one.later, one.failed and one.failed.reason) for one in receipts] == [
        (False, Reason.GONE),
        (True, Reason.BUSY),
    ]


def test_a_notice_of_a_mini_program_goes_to_no_chat_and_not_to_everybody() -> None:
    notice = {"appid": "wx1", "title": "停机通知"}
    told: dict[tuple[str, ...], list[Reason | None]]
    told = {("chat:a", "wang"): [Reason.REJECTED, None], ("@all",): [Reason.REJECTED]}
    for to, others in told.items():
        vendor = Vendor()
        receipts = sent(vendor, "miniprogram_notice", notice, *to)
        assert [one.failed and one.failed.reason for one in receipts] == others
        assert len(vendor.asked) == others.count(None)
        assert config().unfit(to, "miniprogram_notice")
    assert not config().unfit(("wang", "party:2"), "miniprogram_notice")


def test_a_chat_takes_no_template_card() -> None:
    vendor = Vendor()
    receipts = sent(vendor, "template_card", NOTICE, "chat:a", "wang")
    assert [one.failed and one.failed.reason for one in receipts] == [Reason.REJECTED, None]
    assert sent(vendor, "template_card", NOTICE, "chat:a")[0].failed
    assert len(vendor.asked) == 1
    assert "takes no template_card" in config().unfit(("chat:a",), "template_card")
    assert not config().unfit(("chat:a",), "news") + config().unfit(("wang",), "template_card")


@pytest.mark.parametrize(
    ("to", "place", "words"),
    [
        (["chat:a", "wang"], 0, "make a receiver of its own"),
        (["wang", "chat:a", "party:2"], 1, "make a receiver of its own"),
        (["chat:"], 0, "names no chat"),
        (["chat:a b"], 0, "names no chat"),
        (["@all", "chat:a"], 0, "stands alone"),
    ],
)
def test_chats_that_cannot_be(to: list[str], place: int, words: str) -> None:
    ((found, text),) = config().recipient_mistakes(to)
    assert found == place
    assert words in text


def test_chats_have_limits_of_their_own() -> None:
    settings = config(accounts=800, per_member=["5/10s"])
    assert isinstance(settings, HasWays)
    policy = policy_of(Receiver.model_validate({"channel": "app", "to": ["chat:a", "chat:b"]}), settings)
    each = (Limit(200, 62.0, Per.RECIPIENT), Limit(10_000, 86_402.0, Per.RECIPIENT))
    assert policy.routine == (), "a chat is no person, whose load the site bounds"
    assert (policy.people, policy.sender, policy.merge) == (each, "1000002/chats", Merge(Limit(100, 62.0)))
    policy = policy_of(Receiver.model_validate({"channel": "app", "to": ["wang"]}), settings)
    assert policy.routine
    assert (policy.sender, policy.people[0]) == ("1000002", Limit(5, 10.0, Per.RECIPIENT))
    own = config(per_chat=["7/m"]).toward(("chat:a",))
    assert [limit.count for limit in own.limits()] == [10_000, 150_000, 7]
    assert (own.limit_domain(), own.lines()) == (settings.limit_domain(), 1)
    assert config(accounts=9).behind("chat:a") == 1, "for anyone, but a day counts it as one"


# What can be changed after it was sent


def test_a_message_is_taken_back_by_the_first_word_of_its_reference() -> None:
    vendor, clock = Vendor(), ManualClock()
    channel = app(vendor, clock=clock)
    assert isinstance(channel, Recalls)
    asyncio.run(channel.recall("m1 c1", clock.now() - 86_399))
    assert vendor.asked == [("message/recall", {"msgid": "m1"})]


def test_what_is_older_than_a_day_is_not_asked_for() -> None:
    vendor, clock = Vendor(), ManualClock()
    with pytest.raises(Rejected, match="within 24 hours") as caught:
        asyncio.run(app(vendor, clock=clock).recall("m1", clock.now() - 86_400))
    assert (caught.value.reason, vendor.asked) == (Reason.GONE, [])


@pytest.mark.parametrize(
    ("errcode", "reason", "retry"),
    [(40058, Reason.GONE, False), (45009, Reason.THROTTLED, True), (60020, Reason.CREDENTIALS, False)],
)
def test_a_recall_that_is_refused(errcode: int, reason: Reason, *, retry: bool) -> None:
    vendor, clock = Vendor(recall=[{"errcode": errcode, "errmsg": "no"}]), ManualClock()
    with pytest.raises(Retryable if retry else Rejected) as caught:
        asyncio.run(app(vendor, clock=clock).recall("m1", clock.now()))
    assert caught.value.reason is reason


def updated(vendor: Vendor, **changes: Any) -> Sequence[str]:
    return asyncio.run(app(vendor).update_card("c1", **changes))


def test_the_buttons_of_a_card_are_replaced_for_all_or_for_some() -> None:
    vendor = Vendor(update_template_card=[{"errcode": 0, "invaliduser": ["li"]}, {"errcode": 0}])
    assert updated(vendor, to=("wang", "party:2", "tag:7"), button="已处理") == ("li",)
    assert updated(vendor, button="已处理") == ()
    common = {"agentid": 1000002, "response_code": "c1", "button": {"replace_name": "已处理"}}
    assert [body for _, body in vendor.asked] == [
        {"userids": ["wang"], "partyids": [2], "tagids": [7], "atall": 0, **common},
        {"atall": 1, **common},
    ]


def test_a_card_takes_the_place_of_another() -> None:
    vendor = Vendor()
    card = {**BUTTONS, "replace_text": "王晴 已接手"}
    updated(vendor, to=("@all",), card=json.dumps(card))
    assert vendor.asked[0][1]["template_card"] == card
    assert vendor.asked[0][1]["atall"] == 1


@pytest.mark.parametrize(
    ("changes", "reason", "words"),
    [
        ({}, Reason.INVALID, "either"),
        ({"button": "x", "card": "{}"}, Reason.INVALID, "either"),
        ({"button": "x", "to": ("chat:a",)}, Reason.INVALID, "chat:a"),
        ({"button": "x", "to": ("a b",)}, Reason.INVALID, "a b"),
        ({"card": "{"}, Reason.TEMPLATE_BROKEN, "no JSON"),
        ({"card": '{"card_type":"text_notice"}'}, Reason.TEMPLATE_BROKEN, "`card_action` is missing"),
        ({"card": json.dumps({**BUTTONS, "task_id": "x" * 129})}, Reason.TOO_LONG, "`task_id` has 129 bytes"),
    ],
)
def test_an_update_that_cannot_be(changes: dict[str, Any], reason: Reason, words: str) -> None:
    vendor = Vendor()
    with pytest.raises(Rejected, match=words) as caught:
        updated(vendor, **changes)
    assert (caught.value.reason, vendor.asked) == (reason, [])


def test_a_code_that_was_used_is_said_to_be() -> None:
    with pytest.raises(Rejected, match="used already") as caught:
        updated(Vendor(update_template_card=[{"errcode": 40058, "errmsg": "no"}]), button="x")
    assert caught.value.reason is Reason.GONE
