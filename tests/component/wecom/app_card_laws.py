"""What the channel of WeCom applications must do with cards, files, chats and recalls, as laws it keeps or breaks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from andon.core.failure import Failure, Rejected, Retryable
from andon.core.policy import Per
from andon.core.ports import Receipt
from andon.core.reason import Reason
from andon.dev.wecom_app import Fault
from andon.testing.rig import expect
from tests.component.wecom.app_laws import ACTION, BUTTONS, PNG, Stand, law, reached

CARDS: dict[str, list[dict[str, Any]]] = {
    "textcard": [{"title": "停机", "description": "冲压机 7", "url": "https://mes.corp/1", "btntxt": "详情"}],
    "news": [{"articles": [{"title": "停机", "appid": "wx1", "pagepath": "pages/1"}]}],
    "miniprogram_notice": [
        {
            "appid": "wx1",
            "title": "停机通知",
            "description": "冲压机 7",
            "page": "pages/fault?id=1",
            "emphasis_first_item": True,
            "content_item": [{"key": "代码", "value": "E-104"}],
        }
    ],
    "template_card": [
        BUTTONS,
        {"card_type": "text_notice", "main_title": {"title": "停机"}, "card_action": ACTION},
        {
            "card_type": "text_notice",
            "sub_title_text": "停机",
            "action_menu": {"action_list": [{"text": "不再推送", "key": "mute"}]},
            "card_action": ACTION,
        },
        {
            "card_type": "news_notice",
            "main_title": {"title": "停机"},
            "image_text_area": {"image_url": "https://mes.corp/1.png", "title": "冲压机 7"},
            "card_action": ACTION,
        },
        {
            "card_type": "vote_interaction",
            "main_title": {"title": "原因"},
            "checkbox": {
                "question_key": "why",
                "mode": 0,
                "option_list": [{"id": "1", "text": "模具", "is_checked": True}],
            },
            "submit_button": {"text": "提交", "key": "sent"},
        },
        {
            "card_type": "multiple_interaction",
            "main_title": {"title": "原因"},
            "select_list": [{"question_key": "why", "option_list": [{"id": "1", "text": "模具"}], "selected_id": "1"}],
            "submit_button": {"text": "提交", "key": "sent"},
        },
    ],
}


def reference(result: Sequence[Receipt] | Failure) -> str:
    """The vendor's name for what it has just taken."""
    expect(reached(result), "it is taken")
    return result[0].reference  # type: ignore[index]


def seen(one: Stand) -> list[tuple[str, str]]:
    return [(each.member, each.what) for each in one.vendor.seen]


@law
async def every_card_is_taken(one: Stand) -> None:
    app = one.app()
    for kind, cards in CARDS.items():
        for card in cards:
            another = UUID(int=len(one.vendor.seen))
            result = await one.send(app, "wang", text=json.dumps(card), kind=kind, delivery=another)
            expect(reached(result) == ["wang"], f"a {kind} is taken: {result}")
            said = [text for text in _texts(card) if not text.startswith(("https:", "wx", "pages"))]
            content = one.vendor.seen[-1].content
            expect(any(text in content for text in said), f"and seen: {content}")
    expect(one.vendor.counts.cut == 0, "nothing is cut in silence")


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict | list):
        return [text for each in (value.values() if isinstance(value, dict) else value) for text in _texts(each)]
    return [value] if isinstance(value, str) else []


@law
async def card_with_buttons_has_a_task_of_its_own(one: Stand) -> None:
    app = one.app()
    for to in (("wang",), ("Li", "00123")):
        expect(len(reached(await one.card(app, *to))) == len(to), "further calls of a delivery are taken")
    expect(reached(await one.card(app, "wang", redrive=1)) == ["wang"], "and a redriven one")
    expect(len(one.vendor.seen) == 4, "all have seen it")


@law
async def repeat_of_a_card_has_the_same_task(one: Stand) -> None:
    one.vendor.fail(Fault("reset", "send", times=1, seen=True))
    app = one.app()
    first = await one.card(app, "wang")
    expect(isinstance(first, Retryable) and first.ambiguous, "it may have been seen")
    again = await one.card(app, "wang")
    expect(isinstance(again, Rejected) and "task_id" in str(again), f"the vendor knows its task: {again}")
    expect(len(one.vendor.seen) == 1, "one card was seen, and its answers are answers to one")


@law
async def card_is_updated_by_its_reference(one: Stand) -> None:
    app = one.app()
    words = reference(await one.card(app, "wang", "Li")).split(" ")
    expect(len(words) == 2, f"the reference names the message and the code: {words}")
    try:
        expect(list(await app.update_card(words[1], to=("wang",), button="已处理")) == [], "the change is taken")
    except Failure as failure:
        expect(False, f"the change is taken: {failure}")
    last = one.vendor.seen[-1]
    expect((last.member, last.what, last.content) == ("wang", "updated", "已处理"), f"and seen by one: {last}")
    try:
        await app.update_card(words[1], button="已处理")
    except Rejected as used:
        expect(used.reason is Reason.GONE, "a code is good once")
    else:
        expect(False, "a code is good once")


@law
async def file_is_uploaded_once(one: Stand) -> None:
    (one.folder / "plan.png").write_bytes(PNG)
    app = one.app()
    for _ in range(3):
        result = await one.send(app, "wang", text='{"file":"plan.png"}', kind="image")
        expect(reached(result) == ["wang"], f"it is seen: {result}")
    expect(one.vendor.counts.uploads == 1, "one upload serves three days")
    expect([each.content for each in one.vendor.seen] == ["plan.png"] * 3, "under its name")


@law
async def file_the_vendor_lost_is_uploaded_again(one: Stand) -> None:
    (one.folder / "plan.png").write_bytes(PNG)
    app = one.app()
    await one.send(app, "wang", text='{"file":"plan.png"}', kind="image")
    one.vendor.corp.forget_media()
    lost = await one.send(app, "wang", text='{"file":"plan.png"}', kind="image")
    expect(isinstance(lost, Retryable) and not lost.ambiguous, f"it is tried again: {lost}")
    result = await one.send(app, "wang", text='{"file":"plan.png"}', kind="image")
    expect(not isinstance(result, Failure) and one.vendor.counts.uploads == 2, "with a new upload")


@law
async def each_chat_has_a_call_of_its_own(one: Stand) -> None:
    app = one.app()
    result = await one.send(app, "chat:shift-3", "chat:night")
    expect(reached(result) == ["chat:shift-3"], "one call is for one chat")
    expect([each.later for each in result] == [False, True], "the other waits for a call of its own")  # type: ignore[union-attr]
    expect(reached(await one.send(app, "chat:night")) == ["chat:night"], "and gets it")
    told = [(each.member, each.chat) for each in one.vendor.seen]
    expect(told == [("wang", "shift-3"), ("Li", "shift-3"), ("00123", "night")], f"their members see it: {told}")


@law
async def chat_that_is_gone_stops_no_other(one: Stand) -> None:
    result = await one.send(one.app(), "chat:nowhere", "chat:night")
    expect(reached(result) == [], "nobody is in it")
    expect([each.later for each in result] == [False, True], "the other one is still to be told")  # type: ignore[union-attr]


@law
async def chats_have_limits_of_their_own(one: Stand) -> None:
    people, chats = (one.config().toward(to) for to in (("wang",), ("chat:night",)))
    counts = [{limit.count for limit in way.limits() if limit.per is Per.RECIPIENT} for way in (people, chats)]
    expect(counts == [{30, 1_000}, {200, 10_000}], f"a member gets more in chats: {counts}")
    expect(people.sender() != chats.sender(), "and apart from what goes to each alone")


@law
async def message_is_recalled_by_its_reference(one: Stand) -> None:
    app = one.app()
    for result in (await one.send(app, "wang", "Li"), await one.card(app, "wang", "Li")):
        failure = await one.recall(reference(result))
        expect(failure is None, f"it is taken back: {failure}")
    expect(seen(one).count(("wang", "recalled")) == seen(one).count(("Li", "recalled")) == 2, "from all who had it")


@law
async def recall_that_is_refused_is_no_success(one: Stand) -> None:
    name = reference(await one.send(one.app(), "wang"))
    expect(await one.recall(name) is None, "it is taken back")
    again = await one.recall(name)
    expect(isinstance(again, Rejected) and again.reason is Reason.GONE, f"once: {again}")
    name = reference(await one.send(one.app(), "wang"))
    one.clock.advance(86_401)
    old = await one.recall(name)
    expect(isinstance(old, Rejected), f"within a day: {old}")
