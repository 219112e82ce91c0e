"""The door's promises: 202 only after the acknowledgement (L7), and one event however often it is sent."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from andon.core.event import Position
from andon.core.fate import Undecided
from andon.core.reason import Reason
from andon.core.work import StoreFailure
from andon.ingress import acceptance, admission, bloom, requests
from andon.store.requests import Request, RequestIndex
from tests.component.ingress.stand import TOPIC, standing, unavailable

FAULT = {"id": "E-1", "type": "mes.fault.raised"}


def lose_the_index(folder: Path) -> None:
    for file in folder.glob("requests.sqlite*"):
        file.unlink()


def test_202_comes_after_the_acknowledgement_and_not_before(tmp_path: Path) -> None:
    async def run() -> None:
        async with standing(tmp_path) as stand:
            stand.log.open.clear()
            asking = asyncio.create_task(stand.post(FAULT))
            await stand.log.until_asked(1)
            await asyncio.sleep(0.05)
            assert not asking.done()
            stand.log.open.set()
            assert (await asking).status_code == 202
            assert [event.id for event in stand.log.events] == ["E-1"]

    asyncio.run(run())


def test_no_acknowledgement_in_time_is_503_and_the_same_id_may_come_again(tmp_path: Path) -> None:
    async def run() -> None:
        async with standing(tmp_path, deadline=0.8) as stand:
            stand.log.open.clear()
            answer = await stand.post(FAULT)
            assert answer.status_code == 503
            assert int(answer.headers["retry-after"]) >= 1
            assert answer.json()["retry_after"] == int(answer.headers["retry-after"])
            batch = await stand.batch([FAULT, {"type": "t"}])
            assert batch.status_code == 503, "a client that looks at the status alone must not think it was taken"
            stand.log.open.set()
            assert (await stand.post(FAULT)).status_code == 202
            assert [event.id for event in stand.log.events] == ["E-1"]
            assert stand.counts.no == {"unavailable": 2}
            assert stand.counts.taken == {"mes": 1}

    asyncio.run(run())


def test_what_kafka_refuses_is_503_with_its_own_time_and_nothing_is_remembered(tmp_path: Path) -> None:
    async def run() -> None:
        async with standing(tmp_path) as stand:
            stand.log.answers = [unavailable(after=6.2)]
            answer = await stand.post(FAULT)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")
            assert "no broker" not in answer.text
            other = await stand.post({**FAULT, "data": {"n": 2}})
            assert other.status_code == 202, "the id is free: nothing was accepted under it"

    asyncio.run(run())


UNDECIDED = Undecided(Reason.UNAVAILABLE, "no acknowledgement", ambiguous=True)


def test_what_is_on_its_way_is_not_sent_on_again_and_counts_once_it_is_there(tmp_path: Path) -> None:
    """After a long outage it would otherwise stand in the log as often as its sender tried."""

    async def run() -> None:
        async with standing(tmp_path) as stand:
            stand.log.answers = [UNDECIDED]
            assert (await stand.post(FAULT)).status_code == 503
            repeat = asyncio.create_task(stand.post(FAULT))
            await asyncio.sleep(0.05)
            assert not repeat.done(), "it waits for what is under way"
            assert stand.log.late is not None
            stand.log.late(0, Position(TOPIC, 0, 7, 1_760_000_000_000))
            assert (await repeat).status_code == 202
            assert (await stand.post({**FAULT, "data": {"n": 2}})).status_code == 409
            assert stand.log.asked == 1
            assert stand.counts.taken == {"mes": 1}

    asyncio.run(run())


def test_who_repeats_what_stays_undecided_is_not_kept_waiting_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acceptance, "_WAIT_S", 0.2)

    async def run() -> None:
        async with standing(tmp_path) as stand:
            stand.log.answers = [UNDECIDED]
            for _ in range(3):
                answer = await stand.post(FAULT)
                assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
            assert stand.log.asked == 1
            assert stand.log.late is not None
            stand.log.late(0, unavailable())
            assert (await stand.post(FAULT)).status_code == 202, "it never came: the id is free"
            assert stand.log.asked == 2

    asyncio.run(run())


def test_who_repeats_a_batch_that_stays_undecided_waits_no_longer_than_for_one_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acceptance, "_WAIT_S", 0.2)

    async def run() -> None:
        async with standing(tmp_path) as stand:
            events = [{"id": f"E-{n}", "type": "t"} for n in range(50)]
            stand.log.answers = [UNDECIDED] * 50
            for _ in range(2):
                async with asyncio.timeout(5):  # one after another it would be ten
                    answer = await stand.batch(events)
                assert answer.status_code == 503
            assert stand.log.appends == [50]

    asyncio.run(run())


def test_of_a_batch_what_is_known_is_answered_and_the_rest_settled_later(tmp_path: Path) -> None:
    async def run() -> None:
        async with standing(tmp_path) as stand:
            events = [{"id": f"E-{n}", "type": "t", "subject": f"s{n}"} for n in range(3)]
            stand.log.answers = [None, UNDECIDED, UNDECIDED]
            items = (await stand.batch(events)).json()
            assert [item["status"] for item in items] == [202, 503, 503]
            assert stand.log.late is not None
            stand.log.late(1, Position(TOPIC, 0, 7, 1_760_000_000_000))
            stand.log.late(2, unavailable())
            items = (await stand.batch(events)).json()
            assert [item["status"] for item in items] == [202, 202, 202]
            assert stand.log.appends == [3, 1], "only what never came is appended again"

    asyncio.run(run())


def test_what_is_told_before_the_answer_is_read_is_not_missed(tmp_path: Path) -> None:
    async def run() -> None:
        async with standing(tmp_path) as stand:
            stand.log.answers = [UNDECIDED]
            stand.log.before = Position(TOPIC, 0, 7, 1_760_000_000_000)
            assert (await stand.post(FAULT)).status_code == 202
            assert stand.counts.taken == {"mes": 1}

    asyncio.run(run())


def test_a_log_that_answers_too_little_has_not_acknowledged(tmp_path: Path) -> None:
    async def run() -> None:
        async with standing(tmp_path) as stand:
            stand.log.short = 1
            items = (await stand.batch([{"id": str(n), "type": "t"} for n in range(3)])).json()
            assert [item["status"] for item in items] == [202, 202, 503]

    asyncio.run(run())


def test_after_a_failure_the_rest_of_a_batch_does_not_overtake(tmp_path: Path) -> None:
    async def run() -> None:
        async with standing(tmp_path, window=500) as stand:
            stand.log.answers = [None] * 499 + [unavailable()]
            items = (await stand.batch([{"id": str(n), "type": "t"} for n in range(1_000)])).json()
            assert [item["status"] for item in items] == [202] * 499 + [503] * 501
            assert len(stand.log.events) == 499

    asyncio.run(run())


def test_a_repeat_gets_the_same_answer_and_other_content_409(tmp_path: Path) -> None:
    async def run() -> None:
        async with standing(tmp_path) as stand:
            for _ in range(3):
                answer = await stand.post(FAULT)
                assert (answer.status_code, answer.json()) == (202, {"id": "E-1"})
            other = await stand.post({**FAULT, "data": {"n": 2}})
            assert (other.status_code, other.json()["field"]) == (409, "id")
            assert (await stand.post(FAULT, authorization="Bearer beta")).status_code == 202
            assert (await stand.post({**FAULT, "source": "line-4"})).status_code == 202
            assert [(event.id, event.source) for event in stand.log.events] == [
                ("E-1", "mes"),
                ("E-1", "erp"),
                ("E-1", "line-4"),
            ]

    asyncio.run(run())


def test_an_idempotency_key_does_the_same_for_events_without_id(tmp_path: Path) -> None:
    async def run() -> None:
        async with standing(tmp_path) as stand:
            first = await stand.post({"type": "t"}, idempotency_key="k-1")
            again = await stand.post({"type": "t"}, idempotency_key="k-1")
            assert (first.status_code, again.status_code, first.json()) == (202, 202, again.json())
            assert (await stand.post({"type": "u"}, idempotency_key="k-1")).status_code == 409
            assert (await stand.post({"type": "t", "id": "a"}, idempotency_key="k-2")).status_code == 202
            assert (await stand.post({"type": "t", "id": "b"}, idempotency_key="k-2")).status_code == 409
            assert (await stand.post({"type": "u", "id": "a"}, idempotency_key="k-3")).status_code == 409
            assert (await stand.post({"type": "t"})).json() != (await stand.post({"type": "t"})).json()
            assert len(stand.log.events) == 4

    asyncio.run(run())


def test_answers_survive_a_restart(tmp_path: Path) -> None:
    async def run() -> None:
        async with standing(tmp_path) as stand:
            assert (await stand.post(FAULT)).status_code == 202
            keyed = (await stand.post({"type": "t"}, idempotency_key="k")).json()
        async with standing(tmp_path) as stand:
            assert (await stand.post(FAULT)).json() == {"id": "E-1"}
            assert (await stand.post({**FAULT, "type": "other"})).status_code == 409
            assert (await stand.post({"type": "t"}, idempotency_key="k")).json() == keyed
            assert not stand.log.events
            assert stand.index.find("E-1") == Position(TOPIC, 0, 0, 1_760_000_000_000)
            assert stand.index.find(keyed["id"]) == Position(TOPIC, 0, 1, 1_760_000_000_000)

    asyncio.run(run())


def test_killed_between_acknowledgement_and_index_a_repeat_has_the_same_id(tmp_path: Path) -> None:
    async def run() -> None:
        async with standing(tmp_path) as stand:
            first = (await stand.post({"type": "t"}, idempotency_key="k")).json()
        lose_the_index(tmp_path)
        async with standing(tmp_path) as stand:
            assert (await stand.post({"type": "t"}, idempotency_key="k")).json() == first
            assert [event.id for event in stand.log.events] == [first["id"]], "a second record, for one effect"

    asyncio.run(run())


def test_what_left_the_memory_is_found_in_the_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "RECENT", 0)
    monkeypatch.setattr(requests, "LINGER", 0.0)

    async def run() -> None:
        async with standing(tmp_path) as stand:
            events = [{"id": str(n), "type": "t"} for n in range(100)]
            await stand.batch(events)
            async with asyncio.timeout(5):
                await asyncio.to_thread(wait_until_indexed, stand.index, "99")
            again = await stand.batch([*events, {"id": "7", "type": "other"}, {"id": "new", "type": "t"}])
            assert [item["status"] for item in again.json()] == [202] * 100 + [409, 202]
            assert len(stand.log.events) == 101

    asyncio.run(run())


def test_a_full_filter_is_built_anew_beside_the_traffic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bloom, "_LEAST", 1 << 6)
    monkeypatch.setattr(requests, "PRUNE_EVERY", 0.0)
    monkeypatch.setattr(requests, "LINGER", 0.001)
    monkeypatch.setattr(requests, "RECENT", 10)

    async def run() -> None:
        async with standing(tmp_path) as stand:
            for start in range(0, 1_000, 50):
                await stand.batch([{"id": str(n), "type": "t"} for n in range(start, start + 50)])
            again = await stand.batch([{"id": str(n), "type": "t"} for n in range(1_000)])
            assert {item["status"] for item in again.json()} == {202}
            assert len(stand.log.events) == 1_000

    asyncio.run(run())


def wait_until_indexed(index: RequestIndex, event_id: str) -> None:
    while index.find(event_id) is None:
        time.sleep(0.005)


def test_the_answer_does_not_wait_for_the_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        async with standing(tmp_path) as stand:
            writing, go_on = asyncio.Event(), asyncio.Event()
            loop = asyncio.get_running_loop()
            write = stand.index.write

            def slow(requests: list[Request], now: float) -> None:
                loop.call_soon_threadsafe(writing.set)
                asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(5)
                write(requests, now)

            monkeypatch.setattr(stand.index, "write", slow)
            assert (await stand.post(FAULT)).status_code == 202
            await writing.wait()
            assert stand.index.find("E-1") is None
            assert (await stand.post(FAULT)).status_code == 202, "a repeat is known before the index knows it"
            assert (await stand.post({**FAULT, "type": "other"})).status_code == 409
            assert len(stand.log.events) == 1
            go_on.set()

    asyncio.run(run())


def test_concurrent_repeats_wait_for_the_first(tmp_path: Path) -> None:
    async def run() -> None:
        async with standing(tmp_path) as stand:
            stand.log.open.clear()
            same = [asyncio.create_task(stand.post(FAULT)) for _ in range(10)]
            await stand.log.until_asked(1)
            other = asyncio.create_task(stand.post({**FAULT, "type": "other"}))
            batch = asyncio.create_task(stand.batch([{"id": "E-2", "type": "t"}, FAULT]))
            await stand.log.until_asked(2)
            await asyncio.sleep(0.05)
            assert not any(task.done() for task in [*same, other, batch])
            stand.log.open.set()
            assert {(await task).status_code for task in same} == {202}
            assert (await other).status_code == 409
            assert [item["status"] for item in (await batch).json()] == [202, 202]
            assert sorted(event.id for event in stand.log.events) == ["E-1", "E-2"]

    asyncio.run(run())


def test_when_the_first_fails_those_who_waited_may_come_again(tmp_path: Path) -> None:
    async def run() -> None:
        async with standing(tmp_path, deadline=0.8) as stand:
            stand.log.open.clear()
            answers = await asyncio.gather(*(stand.post(FAULT) for _ in range(5)))
            assert {answer.status_code for answer in answers} == {503}
            stand.log.open.set()
            assert (await stand.post(FAULT)).status_code == 202
            assert len(stand.log.events) == 1

    asyncio.run(run())


def test_over_capacity_is_429_with_a_time_and_takes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "PATIENCE", 0.05)

    async def run() -> None:
        async with standing(tmp_path, window=500) as stand:
            stand.waiting = 1_000
            for answer in (await stand.post(FAULT), await stand.batch([FAULT])):
                assert answer.status_code == 429
                assert 1 <= int(answer.headers["retry-after"]) <= 60
            stand.waiting = 999
            assert (await stand.post(FAULT)).status_code == 202
            stand.log.open.clear()
            full = asyncio.create_task(stand.batch([{"type": "t"}] * 500))
            await stand.log.until_asked(501)
            late = await stand.post({"type": "t"})
            assert (late.status_code, late.headers["retry-after"]) == (429, "1")
            stand.log.open.set()
            assert {item["status"] for item in (await full).json()} == {202}
            assert stand.counts.no == {"over_capacity": 3}

    asyncio.run(run())


@pytest.mark.parametrize("broken", ["write", "read"])
def test_a_failing_index_closes_the_door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    def fails(*_: object) -> None:
        raise StoreFailure("the disk is full")

    async def run() -> None:
        async with standing(tmp_path) as stand:
            await stand.post(FAULT)
        async with standing(tmp_path) as stand:
            monkeypatch.setattr(stand.index, broken, fails)
            known = FAULT if broken == "read" else {"id": "E-2", "type": "t"}
            await stand.post(known)
            assert str(await asyncio.wait_for(stand.fatal, 5)) == "the disk is full"
            answer = await stand.post({"id": "E-3", "type": "t"})
            assert answer.status_code == 503
            assert "retry-after" in answer.headers
            assert "disk" not in answer.text
            assert [event.id for event in stand.log.events] == ([] if broken == "read" else ["E-2"])

    asyncio.run(run())
