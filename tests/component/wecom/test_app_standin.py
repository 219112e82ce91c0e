"""The channel of WeCom applications against the strict stand-in, mistakes it must not make, and the stand-in itself."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from andon.core.failure import Retryable
from andon.dev.wecom_app import Fault, WecomAppStandIn
from andon.dev.wecom_app_corp import Rules
from andon.egress.channels.wecom_app import WecomApp
from andon.testing.builders import call
from andon.testing.rig import ContractBroken
from andon.web.wire import HttpWire
from tests.component.wecom import app_card_laws as card_laws
from tests.component.wecom import app_mistakes as mistakes
from tests.component.wecom.app_laws import AGENT, CORP, LAWS, SECRET, reached, run, stand

MISTAKES = [
    (mistakes.TokenForEveryCall, "token_is_fetched_once_by_all_processes"),
    (mistakes.TokenOfItsOwn, "token_is_fetched_once_by_all_processes"),
    (mistakes.RefreshesForever, "stale_token_is_renewed_once"),
    (mistakes.AsksAgainWithAWrongSecret, "wrong_secret_is_not_tried_again"),
    (mistakes.InvalidUsersAreTold, "invalid_members_are_not_told"),
    (mistakes.UseridsHaveCase, "invalid_members_are_not_told"),
    (mistakes.AgentAsText, "good_message_is_taken"),
    (mistakes.DuplicateCheck, "two_equal_notices_are_both_seen"),
    (mistakes.LetsTheVendorCut, "nothing_is_cut"),
    (mistakes.FirstThousand, "more_than_a_thousand_are_refused"),
    (mistakes.ErrcodeIsNotRead, "refusal_is_no_success"),
    (mistakes.JoinsAnything, "name_with_a_separator_reaches_nobody_else"),
    (mistakes.TaskOfTheDelivery, "card_with_buttons_has_a_task_of_its_own"),
    (mistakes.TaskOfItsOwn, "repeat_of_a_card_has_the_same_task"),
    (mistakes.NoTask, "card_with_buttons_has_a_task_of_its_own"),
    (mistakes.ConfidentialCards, "every_card_is_taken"),
    (mistakes.ForgetsTheCode, "card_is_updated_by_its_reference"),
    (mistakes.UploadsEachTime, "file_is_uploaded_once"),
    (mistakes.KeepsWhatIsGone, "file_the_vendor_lost_is_uploaded_again"),
    (mistakes.FirstChatIsAll, "each_chat_has_a_call_of_its_own"),
    (mistakes.ChatsAreUsers, "each_chat_has_a_call_of_its_own"),
    (mistakes.OneGoneChatStopsAll, "chat_that_is_gone_stops_no_other"),
    (mistakes.ChatsCountAsMembers, "chats_have_limits_of_their_own"),
    (mistakes.RecallsTheWholeReference, "message_is_recalled_by_its_reference"),
    (mistakes.RecallIsNotRead, "recall_that_is_refused_is_no_success"),
    (mistakes.UpdatesOneAsText, "card_is_updated_by_its_reference"),
]


assert card_laws.CARDS, "imported, so that its laws are among them"


@pytest.mark.parametrize("name", LAWS)
def test_the_channel_keeps_the_law(name: str) -> None:
    run(name, WecomApp)


@pytest.mark.parametrize(("channel", "name"), MISTAKES, ids=[one.__name__ for one, _ in MISTAKES])
def test_a_mistake_is_caught(channel: type[Any], name: str) -> None:
    with pytest.raises(ContractBroken):
        run(name, channel)


def scene(of: Any, **more: Any) -> None:
    async def play() -> None:
        async with asyncio.timeout(30), stand(WecomApp, **more) as one:
            await of(one)

    asyncio.run(play())


def test_what_is_beyond_a_members_limit_is_answered_with_ok_and_seen_by_nobody() -> None:
    async def of(one: Any) -> None:
        app = one.app()
        for _ in range(33):
            assert reached(await one.send(app, "wang", "Li")) == ["wang", "Li"]
        assert (one.vendor.counts.seen, one.vendor.counts.discarded) == (60, 6)
        one.clock.advance(60)
        await one.send(app, "wang")
        assert one.vendor.counts.seen == 61

    scene(of)


def test_a_thousand_an_hour() -> None:
    async def of(one: Any) -> None:
        app = one.app()
        for _ in range(1_010):
            await one.send(app, "wang")
            one.clock.advance(2.1)
        assert (one.vendor.counts.seen, one.vendor.counts.discarded) == (1_000, 10)

    scene(of, rules=Rules(per_account=1_000))


def test_accounts_times_200_a_day_and_the_day_is_chinas() -> None:
    async def of(one: Any) -> None:
        app = one.app()
        for _ in range(4):
            assert len(reached(await one.send(app, "wang", "Li"))) == 2
        assert "45009" in str(await one.send(app, "wang"))
        # The clock stands at 2023-11-14 22:13:20 UTC, 06:13:20 in China: the day has 17:46:40 to go.
        one.clock.advance(17 * 3_600 + 46 * 60 + 39)
        assert "45009" in str(await one.send(one.app(), "wang"))
        one.clock.advance(62)
        assert reached(await one.send(one.app(), "wang")) == ["wang"]

    scene(of, rules=Rules(per_account=2))


def test_a_corps_limit_and_groups_and_everybody() -> None:
    async def of(one: Any) -> None:
        app = one.app()
        assert reached(await one.send(app, "party:2", "tag:1", "wang")) == ["party:2", "tag:1", "wang"]
        assert sorted(each.member for each in one.vendor.seen) == ["00123", "Li", "wang"]
        assert reached(await one.send(app, "@all")) == ["@all"]
        assert len(one.vendor.seen) == 6
        assert "45009" in str(await one.send(app, "wang"))

    scene(of, rules=Rules(corp=((2, 60.0),)), parties={"2": ["wang", "li"]}, tags={"1": ["00123", "LI"]})


@pytest.mark.parametrize(
    ("body", "errcode"),
    [
        (b"{", 40058),
        ({}, 40063),
        ({"touser": ["wang"], "agentid": AGENT, "msgtype": "text", "text": {"content": "x"}}, 40058),
        ({"touser": "wang", "agentid": str(AGENT), "msgtype": "text", "text": {"content": "x"}}, 40058),
        ({"touser": "wang", "agentid": 7, "msgtype": "text", "text": {"content": "x"}}, 301002),
        ({"touser": "wang", "agentid": AGENT, "msgtype": "txt", "text": {"content": "x"}}, 40008),
        ({"touser": "wang", "agentid": AGENT, "msgtype": "text", "text": {"content": " "}}, 44004),
        ({"touser": "wang", "agentid": AGENT, "msgtype": "text", "text": {"content": "x"}, "tousr": "y"}, 40063),
        ({"touser": "wang", "agentid": AGENT, "msgtype": "text", "text": {"content": "x"}, "safe": True}, 40058),
        ({"toparty": "a", "agentid": AGENT, "msgtype": "text", "text": {"content": "x"}}, 40058),
        ({"touser": "|".join(["u"] * 1_001), "agentid": AGENT, "msgtype": "text", "text": {"content": "x"}}, 40058),
        ({"touser": "nobody", "agentid": AGENT, "msgtype": "text", "text": {"content": "x"}}, 81013),
    ],
)
def test_bodies_are_checked_field_by_field(body: Any, errcode: int) -> None:
    async def of(one: Any) -> None:
        base = one.vendor.url + "/cgi-bin"
        for corp, secret, said in (("", "", 41004), ("other", SECRET, 40013), (CORP, "other", 40001)):
            reply = await one.wire.request("GET", f"{base}/gettoken?corpid={corp}&corpsecret={secret}")
            assert json.loads(reply.body)["errcode"] == said
        await one.send(one.app(), "wang")
        token = one.vendor.corp.tokens.token
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        for given, said in (("", 41001), ("x", 40014), (token, errcode)):
            reply = await one.wire.request("POST", f"{base}/message/send?access_token={given}", body=raw)
            assert (reply.status, json.loads(reply.body)["errcode"]) == (200, said)

    scene(of)


def test_who_asks_with_a_wrong_secret_is_banned_for_an_hour() -> None:
    async def of(one: Any) -> None:
        url = f"{one.vendor.url}/cgi-bin/gettoken?corpid={CORP}&corpsecret="
        said = [json.loads((await one.wire.request("GET", url + "no")).body)["errcode"] for _ in range(6)]
        assert said == [40001] * 5 + [45009]
        failure = await one.send(one.app(), "wang")
        assert "45009" in str(failure)
        one.clock.advance(3_601)
        assert reached(await one.send(one.app(), "wang")) == ["wang"]

    scene(of)


def test_faults() -> None:
    async def of(one: Any) -> None:
        app = one.app()
        await one.send(app, "wang")
        for fault, ambiguous in (
            (Fault("reset", times=1, seen=True), True),
            (Fault("close", times=1), True),
            (Fault("html", code=502, times=1), True),
            (Fault("errcode", code=-1, times=1), False),
        ):
            one.vendor.fail(fault)
            failure = await one.send(app, "wang")
            assert failure.ambiguous is ambiguous, fault
        one.vendor.fail(Fault("delay", seconds=0.05, times=1))
        assert reached(await one.send(app, "wang")) == ["wang"]
        one.vendor.fail(Fault("hang", times=1))
        with pytest.raises(Retryable) as late:
            await app.send(call(recipients=("wang",), deadline=1.5))
        assert late.value.ambiguous
        assert len(one.vendor.seen) == 3

    scene(of)


def test_a_fault_of_the_one_call_leaves_the_other_alone() -> None:
    async def of(one: Any) -> None:
        one.vendor.fail(Fault("drip", "gettoken", seconds=0.1))
        with pytest.raises(Retryable):
            await one.app().send(call(recipients=("wang",), deadline=1.5))
        assert (one.vendor.counts.asked, one.vendor.counts.faults) == (0, 1)
        one.vendor.faults.clear()
        app = one.app()
        await one.send(app, "wang")
        one.vendor.fail(Fault("body", "gettoken", text="{}"))
        assert reached(await one.send(app, "wang")) == ["wang"]

    scene(of)


def test_the_program_writes_what_people_see(tmp_path: Path) -> None:
    record = tmp_path / "seen.jsonl"
    command = [sys.executable, "-m", "andon.dev.wecom_app", "--port", "0", "--record", str(record)]
    options = ["--corp", CORP, "--secret", SECRET, "--members", "wang,li"]
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        url = program.stdout.readline().removeprefix("ready ").strip()

        async def of() -> None:
            wire = HttpWire()
            reply = await wire.request("GET", f"{url}/cgi-bin/gettoken?corpid={CORP}&corpsecret=s3cret%2F%2Bof-the-app")
            token = json.loads(reply.body)["access_token"]
            body = {"touser": "wang|li", "agentid": AGENT, "msgtype": "text", "text": {"content": "停机"}}
            send = f"{url}/cgi-bin/message/send?access_token={token}"
            await wire.request("POST", send, body=json.dumps(body).encode())
            fault = b'{"kind": "errcode", "code": 60020, "times": 1}'
            assert (await wire.request("POST", f"{url}/_fault", body=fault)).status == 200
            reply = await wire.request("POST", send, body=json.dumps(body).encode())
            assert json.loads(reply.body)["errcode"] == 60020
            await wire.request("POST", f"{url}/_revoke")
            reply = await wire.request("POST", send, body=json.dumps(body).encode())
            assert json.loads(reply.body)["errcode"] == 40014
            assert json.loads((await wire.request("GET", f"{url}/_record")).body)["seen"] == 2
            await wire.close()

        asyncio.run(of())
        program.send_signal(signal.SIGTERM)
        assert program.wait(10) == 0
    assert [json.loads(line)["member"] for line in record.read_text(encoding="utf-8").splitlines()] == ["wang", "li"]


def test_a_standin_needs_a_port_that_is_free() -> None:
    async def play() -> None:
        async with WecomAppStandIn(["wang"]) as one:
            with pytest.raises(OSError, match=r"."):
                await WecomAppStandIn(["wang"], port=int(one.url.rpartition(":")[2])).__aenter__()

    asyncio.run(play())
