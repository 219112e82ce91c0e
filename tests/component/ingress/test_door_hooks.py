"""What other systems post to `/hooks/NAME`, over the door: who may, what becomes of it, what is said of a mistake."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from andon.config.maps import Map
from andon.core.failure import Retryable
from andon.core.reason import Reason
from tests.component.ingress.stand import MAPPED, Stand, standing

PATH, WMS = "/hooks/wms", "Bearer delta"
Case = Callable[[Stand], Awaitable[None]]
MANY = Map.model_validate(
    {
        "each": "alarms",
        "when": "kind != 'heartbeat'",
        "type": "wms.{kind}",
        "subject": "{bin}",
        "labels": {"site": "{$.site}"},
        "id": "{no}",
    }
)


def run(folder: Path, case: Case, mapped: Map = MAPPED, **options: Any) -> None:
    async def stood() -> None:
        async with standing(folder, mapped=mapped, **options) as stand:
            await case(stand)

    asyncio.run(stood())


async def send(stand: Stand, body: object, **headers: str) -> httpx2.Response:
    return await stand.post(body, path=PATH, **{"authorization": WMS, **headers})


def body(no: int | None = 1, **more: object) -> dict[str, object]:
    return {"kind": "blocked", "bin": "A-01", **({"no": no} if no is not None else {}), **more}


def test_a_body_is_an_event_once_the_log_has_it(tmp_path: Path) -> None:
    async def case(stand: Stand) -> None:
        answer = await send(stand, body(7, code=42, weight=1.5))
        assert (answer.status_code, answer.json()) == (202, {"ids": ["7"], "left_out": 0})
        (event,) = stand.log.events
        assert (event.id, event.source, event.type, event.subject) == ("7", "wms", "wms.blocked", "A-01")
        assert event.labels == {"code": "42"}
        assert event.data == body(7, code=42, weight=1.5)
        assert event.traceparent
        assert stand.counts.taken == {"wms": 1}

    run(tmp_path, case)


def test_the_same_again_is_one_event_and_other_content_a_conflict(tmp_path: Path) -> None:
    async def case(stand: Stand) -> None:
        assert [(await send(stand, body())).status_code for _ in range(3)] == [202] * 3
        other = await send(stand, body(bin="B-02"))
        assert (other.status_code, other.json()["field"]) == (409, "id")
        assert len(stand.log.events) == 1

    run(tmp_path, case)

    async def again(stand: Stand) -> None:
        assert (await send(stand, body())).status_code == 202
        assert not stand.log.events, "the door knew it before it was restarted"

    run(tmp_path, again)


def test_without_kafka_nothing_was_taken_and_the_same_body_may_come_again(tmp_path: Path) -> None:
    async def case(stand: Stand) -> None:
        stand.log.answers = [Retryable(Reason.UNAVAILABLE, "no broker")]
        answer = await send(stand, body())
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        assert (await send(stand, body())).status_code == 202
        assert len(stand.log.events) == 1

    run(tmp_path, case)


@pytest.mark.parametrize("name", ["", "wms", "any name"])
def test_the_token_may_be_the_password_of_any_user(tmp_path: Path, name: str) -> None:
    async def case(stand: Stand) -> None:
        shown = b64encode(f"{name}:delta".encode()).decode()
        assert (await send(stand, body(), authorization=f"Basic {shown}")).status_code == 202
        for wrong in (f"{name}:delt", f"{name}:delta:", "delta", f"delta:{name}"):
            header = "Basic " + b64encode(wrong.encode()).decode()
            answer = await send(stand, body(), authorization=header)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == 'Bearer, Basic realm="andon"'
        for broken in ("Basic", "Basic delta", "Basic /w==", f"Digest {shown}"):
            assert (await send(stand, body(), authorization=broken)).status_code == 401

    run(tmp_path, case)


@pytest.mark.parametrize(
    ("path", "token", "status", "says"),
    [
        ("/hooks/wms", "alpha", 403, "another source"),
        ("/hooks/mes", "delta", 403, "another source"),
        ("/hooks/nobody", "delta", 403, "another source"),
        ("/hooks/wms", "", 401, "token"),
        ("/hooks/nobody", "", 401, "token"),
        ("/hooks/mes", "alpha", 404, "no `map`"),
        ("/hooks/prometheus", "scrape", 403, "another address"),
    ],
)
def test_only_the_source_itself_is_mapped(tmp_path: Path, path: str, token: str, status: int, says: str) -> None:
    async def case(stand: Stand) -> None:
        answer = await stand.post(body(), path=path, authorization=f"Bearer {token}" if token else "")
        assert answer.status_code == status
        assert says in answer.json()["detail"]
        assert not stand.log.events

    run(tmp_path, case)


@pytest.mark.parametrize(
    ("sent", "status", "field", "says"),
    [
        (b"{", 400, None, "truncated"),
        (b"", 400, None, "truncated"),
        (b'{"kind": "a", "kind": "b"}', 400, "kind", "stands twice"),
        (b'{"kind": "a", "no": 1}', 400, "bin", "`subject` needs `bin`, and there is nothing"),
        (b'{"kind": "a", "bin": null, "no": 1}', 400, "bin", "`subject` needs `bin`"),
        (b'{"kind": "a", "bin": " ", "no": 1}', 400, "bin", "`subject` needs `bin`"),
        (b'{"kind": "a", "bin": ["b"], "no": 1}', 400, "bin", "is a list, not one value"),
        (b'{"kind": "a", "bin": {}, "no": 1}', 400, "bin", "is an object, not one value"),
        (b'{"kind": "a\\u0000", "bin": "b", "no": 1}', 400, "type", "control character"),
        (b"[]", 400, "kind", "`type` needs `kind`"),
        (b"null", 400, "kind", "`type` needs `kind`"),
    ],
)
def test_bad_bodies_are_named_and_not_taken(
    tmp_path: Path, sent: bytes, status: int, field: str | None, says: str
) -> None:
    async def case(stand: Stand) -> None:
        answer = await send(stand, sent)
        assert answer.status_code == status
        assert answer.json().get("field") == field
        assert says in answer.json()["detail"]
        assert not stand.log.events

    run(tmp_path, case)


def test_good_events_of_a_body_are_taken_before_a_bad_one_is_named(tmp_path: Path) -> None:
    async def case(stand: Stand) -> None:
        alarms = [body(1), {"kind": "heartbeat"}, {"kind": "blocked", "no": 3}, body(4)]
        answer = await send(stand, {"site": "S1", "alarms": alarms})
        assert answer.status_code == 400
        assert answer.json()["detail"] == "event 3: `subject` needs `bin`, and there is nothing"
        assert [(event.id, event.labels) for event in stand.log.events] == [
            ("1", {"site": "S1"}),
            ("4", {"site": "S1"}),
        ]

    run(tmp_path, case, MANY)


def test_what_the_map_leaves_out_is_answered_and_counted(tmp_path: Path) -> None:
    async def case(stand: Stand) -> None:
        answer = await send(stand, {"site": "S1", "alarms": [{"kind": "heartbeat"}, body(1), {"kind": "heartbeat"}]})
        assert (answer.status_code, answer.json()) == (202, {"ids": ["1"], "left_out": 2})
        assert (await send(stand, {"alarms": []})).json() == {"ids": [], "left_out": 0}
        assert stand.counts.left == {"wms": 2}

    run(tmp_path, case, MANY)


def test_a_thousand_events_pass_window_by_window_and_one_more_is_too_many(tmp_path: Path) -> None:
    async def case(stand: Stand) -> None:
        alarms = [body(number) for number in range(1_000)]
        answer = await send(stand, {"site": "S1", "alarms": alarms})
        assert (answer.status_code, len(answer.json()["ids"])) == (202, 1_000)
        assert stand.log.appends == [500, 500]
        assert (await send(stand, {"site": "S1", "alarms": [*alarms, body(1_000)]})).status_code == 413
        assert len(stand.log.events) == 1_000

    run(tmp_path, case, MANY)


def test_a_conflict_keeps_nothing_behind_it_out(tmp_path: Path) -> None:
    async def case(stand: Stand) -> None:
        await send(stand, {"site": "S1", "alarms": [body(0)]})
        alarms = [body(0, bin="other"), *(body(number) for number in range(1, 700))]
        assert (await send(stand, {"site": "S1", "alarms": alarms})).status_code == 409
        assert len(stand.log.events) == 700

    run(tmp_path, case, MANY)


def test_an_event_that_no_record_holds_is_refused(tmp_path: Path) -> None:
    async def case(stand: Stand) -> None:
        # Three bytes each in a form, six in a record.
        answer = await send(stand, f"kind=k&bin=b&no=1&text={'%01' * 700}".encode())
        assert answer.status_code == 413, answer.text
        assert not stand.log.events

    run(tmp_path, case, MAPPED.model_copy(update={"body": "form"}), body=4_096)


def test_a_large_body_is_looked_through_beside_the_loop(tmp_path: Path) -> None:
    async def case(stand: Stand) -> None:
        answer = await send(stand, body(1, text="x" * 900_000))
        assert answer.status_code == 202
        assert len(stand.log.events[0].data["text"]) == 900_000

    run(tmp_path, case)
