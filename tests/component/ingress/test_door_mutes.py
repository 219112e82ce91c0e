"""Mutes over the door: who may, what is refused in which words, and the record that every call leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.component.ingress.stand import Stand, standing
from tests.component.ingress.test_door_http import problem

PATH = "/v1/mutes"
MUTE: dict[str, Any] = {"matchers": ['line="L3"'], "for": "2h", "why": "换模"}
MINE, OTHERS = {"authorization": "Bearer alpha"}, {"authorization": "Bearer beta"}


def at_door(folder: Path, test: Callable[[Stand], Awaitable[None]]) -> None:
    async def run() -> None:
        async with standing(folder, body=4_096) as stand:
            await test(stand)

    asyncio.run(run())


def test_a_mute_is_created_listed_and_ended(tmp_path: Path) -> None:
    async def test(stand: Stand) -> None:
        before = datetime.now(UTC)
        made = await stand.post(MUTE | {"then": "drop", "creator": "李班长"}, path=PATH)
        assert made.status_code == 201
        mute = made.json()
        assert (mute["id"], mute["creator"], mute["then"], mute["matchers"]) == ("m2", "李班长", "drop", ['line="L3"'])
        begins, ends = (datetime.fromisoformat(mute[name]) for name in ("begins", "ends"))
        assert before <= begins <= datetime.now(UTC)
        assert ends - begins == timedelta(hours=2)
        assert (await stand.client.get(PATH, headers=MINE)).json() == [mute]
        ended = await stand.client.delete(f"{PATH}/m2", headers=MINE)
        assert (ended.status_code, ended.json()) == (200, {"id": "m2", "version": 3})
        assert (await stand.client.get(PATH, headers=MINE)).json() == []
        problem(await stand.client.delete(f"{PATH}/m2", headers=MINE), 404, "invalid")

    at_door(tmp_path, test)


def test_each_call_of_a_client_leaves_a_record(tmp_path: Path) -> None:
    async def test(stand: Stand) -> None:
        await stand.post(MUTE, path=PATH)
        await stand.post(MUTE, path=PATH, authorization="Bearer beta")
        await stand.post(MUTE | {"for": "soon"}, path=PATH)
        await stand.client.get(PATH, headers=MINE)
        await stand.client.get(PATH, headers=OTHERS)
        await stand.client.delete(f"{PATH}/m2", headers=MINE)
        await stand.client.delete(f"{PATH}/m9", headers=MINE)
        await stand.client.get(PATH)  # nobody we know
        told = [(one.client, one.action, one.done, one.on, one.version) for one in stand.configuration.actions]
        assert told == [
            ("mes", "mute.create", True, "m2", 2),
            ("erp", "mute.create", False, "", 0),
            ("mes", "mute.create", False, "", 0),
            ("mes", "mute.list", True, "", 0),
            ("erp", "mute.list", False, "", 0),
            ("mes", "mute.end", True, "m2", 3),
            ("mes", "mute.end", False, "m9", 0),
        ]
        assert stand.configuration.actions[0].why == "换模"

    at_door(tmp_path, test)


def test_only_a_client_with_the_right_may_and_a_right_to_mute_is_none_to_anything_else(tmp_path: Path) -> None:
    async def test(stand: Stand) -> None:
        for answer in (
            await stand.post(MUTE, path=PATH, authorization="Bearer beta"),
            await stand.client.get(PATH, headers=OTHERS),
            await stand.client.delete(f"{PATH}/m1", headers=OTHERS),
        ):
            assert "may: [mutes]" in problem(answer, 403, "forbidden")["detail"]
        for answer in (
            await stand.post(MUTE, path=PATH, authorization=""),
            await stand.client.get(PATH),
            await stand.client.delete(f"{PATH}/m1"),
        ):
            problem(answer, 401, "unauthorised", "Authorization")
        assert stand.configuration.mutes() == ()

    at_door(tmp_path, test)


@pytest.mark.parametrize(
    ("body", "reason", "field"),
    [
        (b"{", "malformed", None),
        (b'{"matchers":["line=L3"],"for":"2h","why":"a","why":"b"}', "malformed", "why"),
        (MUTE | {"colour": 1}, "invalid", "colour"),
        ({"for": "2h", "why": "x"}, "invalid", "matchers"),
        (MUTE | {"matchers": 'line="L3"'}, "invalid", "matchers"),
        (MUTE | {"matchers": ['line="']}, "invalid", "matchers"),
        (MUTE | {"matchers": ['line=""']}, "invalid", "matchers"),
        (MUTE | {"why": " "}, "invalid", "why"),
        (MUTE | {"for": "soon"}, "invalid", "for"),
        (MUTE | {"for": "9999999999d"}, "invalid", "for"),
        (MUTE | {"for": "400d"}, "invalid", "until"),
        (MUTE | {"until": "2030-01-01T00:00:00Z"}, "invalid", "for"),
        ({"matchers": ['line="L3"'], "why": "x"}, "invalid", "for"),
        ({"matchers": ['line="L3"'], "why": "x", "until": "2030-01-01T00:00:00"}, "invalid", "until"),
        ({"matchers": ['line="L3"'], "why": "x", "until": "2020-01-01T00:00:00Z"}, "invalid", "until"),
        (MUTE | {"then": "shout"}, "invalid", "then"),
        (MUTE | {"creator": "a\nb"}, "invalid", "creator"),
        (MUTE | {"from": "0001-01-01T00:00:00+14:00"}, "invalid", "from"),
        ({"matchers": ['line="L3"'], "why": "x", "until": "9999-12-31T23:59:59-14:00"}, "invalid", "until"),
    ],
)
def test_what_is_no_mute_is_refused_by_its_field(tmp_path: Path, body: Any, reason: str, field: str | None) -> None:
    async def test(stand: Stand) -> None:
        problem(await stand.post(body, path=PATH), 400, reason, field)
        assert stand.configuration.mutes() == ()
        assert [one.done for one in stand.configuration.actions] == [False]

    at_door(tmp_path, test)


def test_without_kafka_nothing_is_said_to_be_done(tmp_path: Path) -> None:
    async def test(stand: Stand) -> None:
        stand.configuration.failing = True
        for answer in (
            await stand.post(MUTE, path=PATH),
            await stand.post(MUTE | {"why": ""}, path=PATH),  # its record cannot be kept
            await stand.client.get(PATH, headers=MINE),
            await stand.client.delete(f"{PATH}/m1", headers=MINE),
        ):
            problem(answer, 503, "unavailable")
            assert answer.headers["retry-after"] == "5"

    at_door(tmp_path, test)


def test_other_methods_are_named(tmp_path: Path) -> None:
    async def test(stand: Stand) -> None:
        for path, allowed in ((PATH, "GET, POST"), (f"{PATH}/m1", "DELETE")):
            answer = await stand.client.put(path, headers=MINE)
            assert (answer.status_code, answer.headers["allow"]) == (405, allowed)

    at_door(tmp_path, test)
