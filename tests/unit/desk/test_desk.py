"""What a desk decides: turns, retries, ends, merges, and what it knows after a restart."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from andon.core.outcome import Delivered, Evidence, Parked, RecipientState, Skipped
from andon.core.policy import Limit, Merge, OnAmbiguous, QueuePolicy, Retry, account_number
from andon.core.reason import Reason
from andon.core.work import Item, Note, Write
from andon.runtime.desk.desk import Decision
from andon.runtime.desk.open_work import Call
from andon.runtime.desk.verdict import backoff
from andon.runtime.desk.work import Held, Success
from andon.runtime.failures import Failed
from tests.unit.desk.items import HOME, OTHER, START, ScriptedWork, item, limited
from tests.unit.desk.rig import DEADLINE, GONE, NOT_SENT, TIMED_OUT, Rig

OPEN = QueuePolicy(channel="robot")


def rig(policy: QueuePolicy = OPEN, **more: int) -> Rig:
    return Rig(ScriptedWork(policy), **more)


def test_a_delivery_is_an_intent_a_call_and_a_result() -> None:
    at = rig()
    at.admit(item(1))
    (call,) = at.call()
    (intent,) = at.entries(item(1))
    assert (intent.ended, intent.epoch, intent.number, intent.started) == (None, 1, 1, START)
    at.now += 2
    at.end(call)
    (done,) = at.entries(item(1))
    assert (done.ended, done.reason) == (START + 2, Reason.DELIVERED)
    assert at.outcomes() == {1: "delivered/delivered"}
    assert not at.desk.items
    assert at.desk.open_of(HOME) == 0


def test_nothing_begins_twice() -> None:
    at = rig()
    at.admit(item(1))
    assert len(at.call()) == 1
    assert at.call() == []


# ---- recipients


def states(*outcomes: Delivered | Parked) -> tuple[RecipientState, ...]:
    return tuple(RecipientState(f"u{n}", one) for n, one in enumerate(outcomes))


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([], "delivered/delivered"),
        ([Delivered(Evidence.READ), Parked(Reason.GONE)], "delivered/delivered"),
        ([Parked(Reason.GONE), Parked(Reason.REJECTED)], "parked/gone"),
    ],
)
def test_a_delivery_that_reached_nobody_is_parked(outcomes: list[Delivered | Parked], expected: str) -> None:
    at = rig()
    at.admit(item(1))
    at.end(at.call()[0], Success(states(*outcomes)))
    assert at.outcomes() == {1: expected}


def test_the_weakest_evidence_speaks_for_all() -> None:
    at = rig()
    at.admit(item(1))
    several = states(Delivered(Evidence.READ), Delivered(Evidence.VENDOR_ACCEPTED), Delivered(Evidence.RECEIPT))
    at.end(at.call()[0], Success(several))
    assert b"vendor_accepted" in at.store.closed[item(1).id].outcome


# ---- retries


def test_the_wait_doubles_within_bounds_and_is_the_same_every_time() -> None:
    policy = QueuePolicy(channel="c", retry=Retry(first=2.0, most=60.0))
    for number in range(200):
        at = rig(policy)
        one = item(number)
        at.admit(one)
        waits = []
        for _ in range(8):
            (call,) = at.call()
            at.end(call, Failed(Reason.BUSY, "", True))
            waits.append(at.stored(one).due - at.now)
            at.now = at.stored(one).due
        for wait, middle in zip(waits, (2, 4, 8, 16, 32, 60, 60, 60), strict=True):
            assert 0.8 * middle - 1e-6 <= wait <= 1.2 * middle + 1e-6
        if number == 0:
            again = item(number)
            again.entries = at.entries(one)[:3]
            assert backoff(again, policy) == pytest.approx(waits[2], abs=1e-6)


def test_the_other_sides_wish_counts_when_it_is_longer() -> None:
    at = rig()
    at.admit(item(1))
    at.end(at.call()[0], Failed(Reason.SERVER_ERROR, "", True, after=77.0))
    assert at.stored(item(1)).due == START + 77
    assert at.call() == []
    assert START < at.wake_at <= START + 77


def test_given_up_after_the_age_and_not_before() -> None:
    at = rig(QueuePolicy(channel="c", retry=Retry(first=10.0, most=10.0, age=100.0)))
    at.admit(item(1))
    calls = at.run(1_000, lambda _: Failed(Reason.BUSY, "later", True))
    assert at.outcomes() == {1: "parked/retries_exhausted"}
    assert calls[-2][0] <= 100 < calls[-1][0] < 113
    assert b"busy later" in at.store.closed[item(1).id].outcome


def test_what_nobody_foresaw_is_tried_five_times() -> None:
    at = rig()
    at.admit(item(1))
    calls = at.run(10_000, lambda _: Failed(Reason.UNEXPECTED, "KeyError", True, ambiguous=True, unexpected=True))
    assert len(calls) == 5
    assert at.outcomes() == {1: "parked/unexpected"}


def test_a_rejection_is_final() -> None:
    at = rig()
    at.admit(item(1), item(2))
    assert len(at.run(100, lambda _: Failed(Reason.CREDENTIALS, "bad key", False))) == 2
    assert set(at.outcomes().values()) == {"parked/credentials"}


def test_a_failing_item_holds_its_lane_and_no_other() -> None:
    at = rig()
    at.admit(item(1, lane="a"), item(2, lane="a"), item(3, lane="b"))
    first, third = at.call()
    at.end(first, Failed(Reason.BUSY, "", True))
    at.end(third)
    at.wait()
    (again,) = at.call()
    at.end(again)
    assert [call.item.offset for call in at.call()] == [2]


# ---- ambiguity


def test_after_an_ambiguous_attempt_the_next_one_is_marked() -> None:
    at = rig()
    at.admit(item(1))
    at.end(at.call()[0], TIMED_OUT)
    at.wait()
    (again,) = at.call()
    assert again.item.marked
    at.end(again)
    assert [(e.marked, e.ambiguous) for e in at.entries(item(1))] == [(False, True), (True, False)]


def test_or_it_is_parked_where_the_receiver_asks_for_that() -> None:
    at = rig(QueuePolicy(channel="c", on_ambiguous=OnAmbiguous.PARK_UNKNOWN))
    at.admit(item(1))
    at.end(at.call()[0], TIMED_OUT)
    assert at.outcomes() == {1: "parked/unknown"}


def test_a_failure_that_is_not_ambiguous_is_sent_again_unmarked_in_both() -> None:
    for on_ambiguous in OnAmbiguous:
        at = rig(QueuePolicy(channel="c", on_ambiguous=on_ambiguous))
        at.admit(item(1))
        at.end(at.call()[0], NOT_SENT)
        at.wait()
        (again,) = at.call()
        assert not again.item.marked


def test_what_knows_no_key_of_it_shows_a_repeat_with_its_mark() -> None:
    at = rig(pool("one", on_ambiguous=OnAmbiguous.RESEND_KEYED))
    at.admit(item(1))
    at.end(at.call()[0], TIMED_OUT)
    at.work.standard = pool("two", on_ambiguous=OnAmbiguous.RESEND_KEYED)
    at.wait()
    (again,) = at.call()
    assert again.item.marked
    assert again.entry.marked


def test_with_a_key_at_the_other_side_nothing_is_marked() -> None:
    at = rig(QueuePolicy(channel="c", on_ambiguous=OnAmbiguous.RESEND_KEYED))
    at.admit(item(1))
    at.end(at.call()[0], TIMED_OUT)
    at.wait()
    assert not at.call()[0].item.marked


# ---- restarts


def test_an_interrupted_call_waits_its_deadline_on_the_new_owners_clock() -> None:
    at = rig(limited(1))
    at.admit(item(1, lane="a"), item(2, lane="b"))
    assert len(at.call()) == 1
    at.now += 100
    at.restart()
    assert at.call() == []  # it holds its lane and its slot in the limiter
    assert at.wake_at == START + 100 + DEADLINE
    at.wait()
    assert at.call() == []
    (entry,) = at.entries(item(1))
    assert (entry.ended, entry.reason, entry.ambiguous) == (START + 115, Reason.INTERRUPTED, True)
    assert at.stored(item(1)).marked
    at.now = START + 100 + DEADLINE + 61.9
    assert at.call() == []
    at.now += 0.1
    (again,) = at.call()
    assert again.item.offset == 1
    assert again.entry.marked


def test_interrupted_calls_hold_up_their_own_subjects_and_nobody_else() -> None:
    at = rig(QueuePolicy(channel="c", in_flight=2))
    at.admit(*(item(n, lane=str(n)) for n in range(4)), item(4, lane="0"))
    assert [call.item.offset for call in at.call()] == [0, 1]
    at.restart()
    calls = at.call()
    assert [call.item.offset for call in calls] == [2, 3], "as many at one time as before, not less"
    for call in calls:
        at.end(call)
    assert at.call() == []
    at.now += DEADLINE
    assert at.run(5, lambda _: Success())[0][1] in (0, 1)
    assert at.outcomes().keys() == {0, 1, 2, 3, 4}


def test_a_restart_forgets_no_attempt() -> None:
    at = rig(limited(20))
    at.admit(*(item(n, lane=str(n)) for n in range(40)))
    seen = at.run(5, lambda _: Success())
    assert len(seen) == 20
    at.restart()
    assert at.run(56.9, lambda _: Success()) == []
    assert len(at.run(0.2, lambda _: Success())) == 20


def test_a_restart_forgets_no_throttle() -> None:
    at = rig()
    at.admit(item(1, lane="a"), item(2, lane="b"))
    first, second = at.call()
    at.end(first, Failed(Reason.THROTTLED, "45009", True, after=600.0))
    at.end(second, Failed(Reason.REJECTED, "", False))
    at.restart()
    at.admit(item(3, lane="c"))
    assert at.run(599.0, lambda _: Success()) == []
    assert {offset for _, offset in at.run(2.0, lambda _: Success())} == {1, 3}


def test_a_time_that_an_older_version_took_from_the_vendor_shuts_an_account_for_an_hour_at_most() -> None:
    at = rig()
    at.admit(item(1, lane="a"))
    at.end(at.call()[0], Failed(Reason.THROTTLED, "429", True, after=99_999_999_999.0))
    at.restart()
    assert [seen for seen, _ in at.run(4_000.0, lambda _: Success())] == [3_600.0]


def test_a_throttled_robot_of_a_pool_does_not_hold_the_others() -> None:
    at = rig(QueuePolicy(channel="c", lines=(0, 1), limits=(Limit(20, 62.0),)))
    at.admit(item(1))
    (call,) = at.call()
    at.end(call, Failed(Reason.THROTTLED, "", True, after=600.0))
    at.wait()
    assert at.now < START + 2
    (again,) = at.call()
    assert again.entry.line != call.entry.line


def throttled_meanwhile(policy: QueuePolicy, **of_second: Any) -> tuple[Rig, Call]:
    """Two intents of one account were stored, and it asked to be left alone before the second call began."""
    at = rig(policy)
    at.admit(item(1, lane="a"), item(2, lane="b", **of_second))
    first, second = at.call()
    assert at.desk.taken_back(second, at.now) is None
    at.end(first, Failed(Reason.THROTTLED, "429", True, after=600.0))
    return at, second


def test_an_intent_whose_account_asks_to_be_left_alone_is_taken_back_and_made_again_when_it_may() -> None:
    at, second = throttled_meanwhile(limited(2))
    at.take_back(second)
    (entry,) = at.entries(second.item)
    assert (entry.reason, entry.ambiguous, entry.ended) == (Reason.NOT_SENT, False, at.now)
    assert at.run(599.0, lambda _: Success()) == []
    # One at a time, for half of the limit is used after a throttle: what was not sent takes no place of it.
    assert {offset for _, offset in at.run(70.0, lambda _: Success())} == {1, 2}
    assert not at.entries(second.item)[-1].marked


def test_what_was_taken_back_goes_by_another_account_of_its_pool_at_once() -> None:
    at = rig(QueuePolicy(channel="c", lines=(0, 1)))
    at.admit(*(item(n, lane=f"m{n}") for n in range(3)))
    first, by_the_other, third = at.call()
    at.end(first, Failed(Reason.THROTTLED, "429", True, after=600.0))
    assert third.entry.line == first.entry.line != by_the_other.entry.line
    assert at.desk.taken_back(by_the_other, at.now) is None, "that one was not throttled"
    at.take_back(third)
    (again,) = at.call()
    assert (again.item.id, again.entry.line) == (third.item.id, by_the_other.entry.line)


def test_an_intent_of_an_account_that_left_its_pool_is_taken_back_and_made_by_another() -> None:
    at = rig(pool("one", "two"))
    at.admit(item(1))
    (call,) = at.call()
    assert call.entry.line == account_number("one")
    at.work.standard = pool("two", "three")
    at.take_back(call)
    (again,) = at.call()
    assert (again.entry.line, again.item.marked, again.entry.number) == (account_number("two"), False, 2)
    assert again.item.entries[0].taken_back
    assert at.desk.taken_back(again, at.now) is None


def pool(*names: str, **more: Any) -> QueuePolicy:
    """A pool of accounts, of two calls in 62 s each."""
    return limited(2, lines=tuple(map(account_number, names)), **more)


def test_an_account_keeps_its_count_wherever_it_stands_in_its_pool() -> None:
    at = rig(pool("one"))
    at.admit(*(item(n, lane=f"m{n}") for n in range(9)))
    assert len(at.run(10.0, lambda _: Success())) == 2
    at.work.standard = pool("two", "one")
    at.desk.reconsider()
    assert len(at.run(20.0, lambda _: Success())) == 2
    assert [one.line for one in at.store.entries.values()] == [
        *[account_number("one")] * 2,
        *[account_number("two")] * 2,
    ]
    at.work.standard = pool("one")
    at.restart()
    assert [seen for seen, _ in at.run(62.0, lambda _: Success())] == [62.0, 62.0]


def test_an_account_that_left_its_pool_and_came_back_is_still_left_alone() -> None:
    at = rig(pool("one", "two"))
    at.admit(item(1))
    at.end(at.call()[0], Failed(Reason.THROTTLED, "45009", True, after=600.0))
    at.work.standard = pool("two")
    at.run(60.0, lambda _: Success())
    at.work.standard = pool("one")
    at.admit(item(2))
    assert [seen for seen, _ in at.run(600.0, lambda _: Success())] == [600.0]


def placed(at: Rig) -> None:
    """The ledger as an older version wrote it: with the place of an account in its pool, not its number."""
    lines = at.work.standard.lines
    for key, entry in at.store.entries.items():
        at.store.entries[key] = msgspec.structs.replace(entry, line=lines.index(entry.line))


def test_what_an_older_version_wrote_counts_for_the_account_at_that_place() -> None:
    at = rig(pool("one", "two"))
    at.admit(*(item(n, lane=f"m{n}") for n in range(5)))
    assert len(at.run(10.0, lambda _: Success())) == 4
    placed(at)
    at.restart()
    assert [seen for seen, _ in at.run(55.0, lambda _: Success())] == [62.0]


def test_a_call_that_an_older_version_was_interrupted_in_gives_its_place_back() -> None:
    at = rig(pool("one", on_ambiguous=OnAmbiguous.RESEND_KEYED))
    at.admit(*(item(n, lane=f"m{n}") for n in range(3)))
    assert len(at.call()) == 2
    placed(at)
    at.restart()
    assert at.call() == []
    # It is the account that knows the key, and all of its places are free again a period after the two have ended.
    assert at.run(DEADLINE + 61.0, lambda _: Success()) == []
    assert len(at.run(3.0, lambda _: Success())) == 2
    assert not any(entry.marked for entry in at.store.entries.values())


def test_what_was_taken_back_says_nothing_about_the_health_of_the_other_side() -> None:
    at = rig(QueuePolicy(channel="c", in_flight=8))
    at.admit(*(item(n, lane=f"m{n}") for n in range(5)))
    first, *others = at.call()
    at.end(first, Failed(Reason.THROTTLED, "429", True, after=10.0))
    for call in others:
        at.take_back(call)
    assert not any(at.desk.suspect(call) for call in others)
    at.now += 10.0
    assert len(at.call()) == 5


def test_what_was_taken_back_counts_as_no_attempt_of_its_item() -> None:
    retry = Retry(first=1.0, most=300.0, age=1_000.0)
    at = rig(QueuePolicy(channel="c", in_flight=8, retry=retry))
    late = item(100)
    at.admit(late)
    for n in range(8):
        at.admit(item(n, lane=f"m{n}"))
        calls = {call.item.offset: call for call in at.call()}
        at.end(calls[n], Failed(Reason.THROTTLED, "429", True, after=300.0))
        at.take_back(calls[100])
        at.restart()
        at.now += 300.0
    calls = {call.item.offset: call for call in at.call()}
    at.end(calls[100], Failed(Reason.CONNECTION, "reset", True))
    assert 100 not in at.outcomes(), "the time in which it is tried begins with its first attempt"
    assert at.store.items[late.id].due - at.now <= 1.2


def test_a_full_queue_whose_receiver_takes_no_digest_is_not_merged() -> None:
    at = rig(QueuePolicy(channel="c", cap=2, single=True))
    assert at.admit(item(1, lane="a"), item(2, lane="b"), item(3, lane="c")) == [True, True, False]
    assert at.outcomes() == {}


def test_what_was_taken_back_too_late_to_be_told_is_overdue() -> None:
    at, second = throttled_meanwhile(limited(2), expires=START + 30.0)
    at.now = START + 30.0
    at.take_back(second)
    assert at.outcomes() == {2: "parked/overdue"}


def test_a_slow_channel_of_an_account_does_not_hold_back_a_fast_one_nor_keep_the_desk_awake() -> None:
    """Two webhooks of one host, of which one may be called once a minute."""
    slow = QueuePolicy(channel="slow", limits=(Limit(1, 60.0),))
    at = Rig(ScriptedWork(policies={"slow": slow, "fast": QueuePolicy(channel="fast")}))
    asked = decisions(at)
    at.admit(item(1, queue="slow", lane="a"), item(2, queue="slow", lane="b"))
    at.admit(*[item(n, queue="fast", lane=f"f{n}") for n in range(3, 8)])
    seen = at.run(70.0, lambda call: Success())
    assert sorted(seen) == [(0.0, 1), *((0.0, n) for n in range(3, 8)), (60.0, 2)]
    assert len(asked) < 20


@pytest.mark.parametrize(("urgent", "longest"), [(False, 120.0), (True, 60.0)])
def test_a_fast_channel_does_not_keep_a_slow_one_of_its_account_waiting_for_ever(urgent: bool, longest: float) -> None:
    """Each of its calls counts in the slow one's limit."""
    slow = QueuePolicy(channel="slow", limits=(Limit(1, 60.0),))
    at = Rig(ScriptedWork(policies={"slow": slow, "fast": QueuePolicy(channel="fast", in_flight=64)}))
    asked = decisions(at)
    at.admit(item(1, queue="slow", lane="a"), item(2, queue="slow", lane="b", urgent=urgent))
    seen = []
    for n in range(3, 43):
        at.admit(item(n, queue="fast", lane=f"f{n}", born=at.now))
        seen += at.run(10.0, lambda call: Success())
    times = {offset: when for when, offset in seen}
    assert times[2] <= longest
    assert len(times) == 42
    assert len(asked) < 200


@pytest.mark.parametrize("order", [("hourly", "slow"), ("slow", "hourly")])
def test_of_two_slow_channels_of_an_account_none_waits_for_the_limits_of_the_other(order: tuple[str, str]) -> None:
    """Whichever of them came first: once it has waited for as long as its own limits look back, it is the next."""

    def channel(count: int, period: float) -> QueuePolicy:
        return QueuePolicy(channel="c", limits=(Limit(count, period),), in_flight=64)

    policies = {"hourly": channel(100, 3_600.0), "slow": channel(10, 60.0), "fast": channel(1_000, 60.0)}
    offsets = {"hourly": 1, "slow": 2}
    at = Rig(ScriptedWork(policies=policies))
    seen = []
    for n in range(400):
        at.admit(item(1_000 + n, queue="fast", lane=f"f{n}", born=at.now))
        if n in (0, 200):
            at.admit(*(item(n + offsets[queue], queue=queue, lane=queue, born=at.now) for queue in order))
        seen += at.run(1.0, lambda call: Success())
    times = {offset: when for when, offset in seen}
    assert times[200 + offsets["slow"]] <= 200 + 2 * 60


def decisions(at: Rig) -> list[float]:
    """When the rig's desk is asked to decide, from now on."""
    asked, decide = [], at.desk.decide

    def counted(now: float, ahead: int = 0) -> Decision:
        asked.append(now)
        return decide(now, ahead)

    at.desk.decide = counted  # type: ignore[method-assign]
    return asked


def test_what_need_not_be_told_ends_also_while_its_account_has_no_place() -> None:
    class Needless(ScriptedWork):
        def turn(self, item: Item, behind: Sequence[Item], now: float) -> float | Held | Skipped:
            return Skipped(Reason.REPEATED, "rule")

    at = Rig(Needless(limited(1)))
    at.admit(item(1, lane="a"), item(2, lane="b", batch=""))
    assert [call.item.offset for call in at.call()] == [1]
    at.call()
    assert at.outcomes() == {2: "skipped/repeated"}


def test_a_throttle_that_names_no_time_rests_the_account_all_the_same() -> None:
    at = rig(QueuePolicy(channel="c", in_flight=1, retry=Retry(first=8.0)))
    at.admit(item(1, lane="a"), item(2, lane="b"))
    at.end(at.call()[0], Failed(Reason.THROTTLED, "", True))
    at.now += 6
    assert at.call() == []


def test_a_delivery_of_several_parts_goes_on_where_it_was() -> None:
    at = rig()
    at.admit(item(1), item(2))
    at.end(at.call()[0], Success(parts=b"three", more=True))
    at.restart()
    (second,) = at.call()
    assert (second.item.offset, second.entry.part, second.item.parts) == (1, 1, b"three")
    at.end(second, Success(more=True))
    at.restart()
    (third,) = at.call()
    assert (third.entry.part, third.item.parts) == (2, b"three")
    at.end(third)
    assert at.outcomes() == {1: "delivered/delivered"}
    assert [call.item.offset for call in at.call()] == [2]


def test_the_mark_of_a_repeat_ends_with_its_part() -> None:
    at = rig()
    at.admit(item(1))
    at.end(at.call()[0], TIMED_OUT)
    at.wait()
    at.end(at.call()[0], Success(parts=b"two", more=True))
    (second,) = at.call()
    assert not second.item.marked


def test_results_after_the_home_has_left_are_not_ours() -> None:
    at = rig()
    at.admit(item(1))
    (call,) = at.call()
    at.desk.drop(HOME)
    assert not at.desk.begins(call)
    assert at.desk.ended(call, Success(), at.now) is None


def test_a_home_taken_back_does_not_take_its_old_call_for_a_new_one() -> None:
    at = rig()
    at.admit(item(1))
    (old,) = at.call()
    at.desk.adopt(at.store.acquire(HOME, "rig", 0.0), at.now)
    assert at.desk.ended(old, Success(), at.now) is None
    assert at.call() == []
    at.now += DEADLINE
    at.call()
    at.wait()
    (again,) = at.call()
    at.end(again)
    assert at.outcomes() == {1: "delivered/delivered"}


def test_a_leaving_home_begins_nothing_and_says_when_it_is_quiet() -> None:
    at = rig()
    at.admit(item(1))
    (call,) = at.call()
    at.admit(item(2, lane="b"))
    assert not at.desk.leave(HOME)
    assert at.desk.leave(OTHER)
    assert at.call() == []
    at.end(call)
    assert at.desk.leave(HOME)


def test_records_of_a_new_owner_stand_behind_the_last_ones_in_the_outbox() -> None:
    at = rig()
    numbers = []
    for _ in range(2):
        write = Write(HOME, at.desk.epochs[HOME])
        at.desk.note(write, [Note("t", b"k", b"v"), Note("t", b"k", b"w")])
        numbers += [number for number, _ in write.notes]
        at.restart()
    assert numbers == sorted(set(numbers))


# ---- health and fairness


def test_a_sick_domain_rests_longer_and_longer_and_is_probed_one_by_one() -> None:
    at = rig()
    at.admit(*(item(n, lane=str(n)) for n in range(8)))
    began = []
    while at.now < START + 200:
        calls = at.call()
        began.append((at.now - START, len(calls)))
        for call in calls:
            at.end(call, GONE)
        if not calls:
            at.now = at.wake_at
    probes = [(when, count) for when, count in began if count]
    assert probes[0] == (0.0, 4)
    assert {count for _, count in probes[1:]} == {1}
    assert [round(two - one) for (one, _), (two, _) in pairwise(probes)][:7] == [2, 4, 8, 16, 30, 30, 30]


def test_one_good_answer_makes_it_well() -> None:
    at = rig()
    at.admit(*(item(n, lane=str(n)) for n in range(8)))
    for call in at.call():
        at.end(call, GONE)
    at.now += 3
    (probe,) = at.call()
    at.end(probe)
    assert len(at.call()) == 4


def test_a_rejected_item_says_nothing_about_the_domain() -> None:
    at = rig()
    at.admit(*(item(n, lane=str(n)) for n in range(12)))
    for _ in range(3):
        calls = at.call()
        assert len(calls) == 4
        for call in calls:
            at.end(call, Failed(Reason.TOO_LONG, "", False))


def test_a_receiver_that_hangs_costs_the_others_nothing() -> None:
    """One of 100 domains takes 15 s for each call; the others answer in 50 ms. 64 slots, in steps of 10 ms."""

    def spent(dead: frozenset[int]) -> list[float]:
        at = rig()
        at.admit(*(item(n, domain=f"d{n % 100}", lane=str(n)) for n in range(3_000)))
        flights: list[tuple[float, Call]] = []
        ends: list[float] = []
        while len(ends) < 30 * (100 - len(dead)):
            for flight in [one for one in flights if one[0] <= at.now]:
                flights.remove(flight)
                slow = int(flight[1].item.domain[1:]) in dead
                at.end(flight[1], TIMED_OUT if slow else Success())
                if not slow:
                    ends.append(at.now - START)
            flights += [(at.now + (15.0 if int(one.item.domain[1:]) in dead else 0.05), one) for one in at.call()]
            assert len(flights) <= 64 + 16
            at.now += 0.01
        return ends

    alone = spent(frozenset())
    with_one = spent(frozenset({42}))
    assert with_one[-1] <= alone[-1] * 1.1


def test_many_dead_receivers_keep_to_their_few_places() -> None:
    at = rig()
    at.admit(*(item(n, domain=f"dead{n}", lane=str(n)) for n in range(90)))
    while calls := at.call():
        for call in calls:
            at.end(call, GONE)
    at.admit(*(item(1_000 + n, domain=f"dead{n % 90}", lane=f"l{n}") for n in range(90)))
    at.admit(*(item(5_000 + n, domain=f"well{n}", lane=f"w{n}") for n in range(100)))
    at.now += 1.5
    begun = [call.item.domain for call in at.call()]
    assert sum(one.startswith("well") for one in begun) == 64
    assert 0 < sum(one.startswith("dead") for one in begun) <= 16


def test_domains_take_turns() -> None:
    at = rig(QueuePolicy(channel="c", in_flight=64), room=10)
    at.admit(*(item(n, domain="loud", lane=str(n)) for n in range(100)))
    at.admit(*(item(100 + n, domain=f"calm{n}") for n in range(4)))
    first = [call.item.domain for call in at.call()]
    assert {f"calm{n}" for n in range(4)} <= set(first)


# ---- merging


def test_the_queue_never_holds_more_than_its_cap() -> None:
    policy = limited(20, cap=50)
    at = rig(policy)
    for n in range(1_000):
        at.admit(item(n, lane=f"m{n % 70}"))
        assert all(queue.size <= 50 for queue in at.desk.queues())
        if n % 10 == 0:
            for call in at.call():
                at.end(call)
    at.run(500, lambda _: Success())
    told = at.outcomes()
    assert len(told) == 1_000
    assert set(told.values()) == {"delivered/delivered", "merged/queue_full"}
    delivered = [at.stored(item(n)) for n in range(1_000) if told[n] == "delivered/delivered"]
    assert sum(one.carried.count if one.carried else 1 for one in delivered) == 1_000


def test_a_full_queue_of_what_cannot_be_merged_refuses_and_changes_nothing() -> None:
    at = rig(QueuePolicy(channel="c", cap=3))
    assert at.admit(*(item(n, urgent=True) for n in range(3))) == [True] * 3
    assert at.admit(item(3)) == [False]
    assert item(3).id not in at.store.items
    assert not at.desk.accepts(item(3))
    at.end(at.call()[0])
    assert at.desk.accepts(item(3))


def test_above_the_rate_what_waits_leaves_as_one_digest() -> None:
    policy = QueuePolicy(channel="c", limits=(Limit(20, 62.0),), merge=Merge(Limit(2, 60.0)))
    at = rig(policy)
    at.admit(*(item(n, lane=f"m{n}", group="g") for n in range(10)))
    calls = at.run(200, lambda _: Success())
    assert [offset for _, offset in calls] == [0, 1, 2]
    assert calls[2][0] == 30.0
    carried = at.stored(item(2)).carried
    assert (carried.count, [line.subject for line in carried.lines]) == (8, [f"m{n}" for n in range(2, 10)])
    assert at.outcomes()[9] == "merged/over_rate"


def test_a_restart_forgets_no_pace_of_the_merge_rule() -> None:
    at = rig(QueuePolicy(channel="c", merge=Merge(Limit(2, 600.0))))
    at.admit(item(1, lane="a"), item(2, lane="b"))
    for call in at.call():
        at.end(call)
    at.now += 10
    at.restart()
    at.admit(item(3, lane="c"), item(4, lane="d"))
    assert at.call() == [], "two have left in the last ten minutes: the next one leaves 300 s after the second"
    assert at.wake_at == START + 300
    at.now = at.wake_at
    (call,) = at.call()
    assert call.item.offset == 3
    assert call.item.carried is not None
    at.restart()
    at.admit(item(5, lane="e", queue="another"))
    assert [call.item.offset for call in at.call()] == [5], "every receiver has a pace of its own"


def test_a_restart_forgets_no_limit_however_long_its_period_is() -> None:
    at = rig(limited(1, 86_400.0))
    at.admit(item(1))
    at.end(at.call()[0])
    at.now += 80_000
    at.restart()
    at.admit(item(2))
    assert at.call() == []
    assert at.wake_at == START + 86_400


def test_what_was_handed_on_within_its_partition_leaves_no_queue_of_its_new_receiver_with_the_old_account() -> None:
    app = QueuePolicy(channel="app", merge=Merge(Limit(1, 60.0)))
    at = Rig(ScriptedWork(limited(5, merge=Merge(Limit(1, 60.0))), {"app": app}))
    at.admit(item(1))
    at.end(at.call()[0], Failed(Reason.REJECTED, "", False))
    at.admit(item(1, queue="app", domain="corp", hop=1))
    at.end(at.call()[0])
    at.restart()
    assert [(name, list(domain.queues)) for (_, name), domain in at.desk._domains.items()] == [
        ("robot", []),
        ("corp", ["app"]),
    ]
    assert at.desk._domains[HOME, "robot"].line(0).taken((Limit(5, 62.0),), at.now) == 1


def test_what_is_urgent_is_neither_paced_nor_merged() -> None:
    policy = QueuePolicy(channel="c", in_flight=64, limits=(Limit(20, 62.0),), merge=Merge(Limit(2, 60.0)))
    at = rig(policy)
    at.admit(*(item(n, lane=f"m{n}", group="g", urgent=True) for n in range(10)))
    assert len(at.call()) == 10


def test_a_routine_item_before_an_urgent_one_of_its_lane_is_not_paced_either() -> None:
    at = rig(QueuePolicy(channel="c", merge=Merge(Limit(1, 600.0))))
    at.admit(item(0, lane="a"))
    at.end(at.call()[0])
    at.admit(item(1, lane="b"), item(2, lane="b", urgent=True))
    assert [offset for _, offset in at.run(1.0, lambda _: Success())] == [1, 2]


def test_the_last_slot_of_the_account_takes_the_rest_along() -> None:
    at = rig(limited(3, merge=Merge(Limit(100, 60.0)), in_flight=64))
    at.admit(*(item(n, lane=f"m{n}", group="g") for n in range(10)))
    assert [call.item.offset for call in at.call()] == [0, 1, 2]
    assert at.stored(item(2)).carried.count == 8


def test_a_digest_that_may_have_arrived_takes_nothing_more_in() -> None:
    at = rig(QueuePolicy(channel="c", merge=Merge(Limit(1, 600.0)), on_ambiguous=OnAmbiguous.RESEND_KEYED))
    at.admit(item(1, lane="a", group="g"))
    at.end(at.call()[0], TIMED_OUT)
    at.admit(item(2, lane="b", group="g"))
    at.run(1_300, lambda _: Success())
    assert at.outcomes() == {1: "delivered/delivered", 2: "delivered/delivered"}
    assert at.stored(item(1)).carried is None


def test_a_full_queue_leaves_when_the_most_pressing_of_it_would_have() -> None:
    at = rig(QueuePolicy(channel="c", cap=2, retry=Retry(first=300.0)))
    at.admit(item(1, lane="a"))
    at.end(at.call()[0], Failed(Reason.BUSY, "", True))
    at.admit(item(2, lane="b"), item(3, lane="c"))
    assert at.outcomes() == {2: "merged/queue_full"}
    assert [call.item.offset for call in at.call()] == [1, 3]


# ---- the configuration changes


def test_a_limit_that_is_lowered_counts_at_once_and_what_was_sent_still_counts() -> None:
    work = ScriptedWork(limited(20, in_flight=64))
    at = Rig(work)
    at.admit(*(item(n, lane=str(n)) for n in range(40)))
    for call in at.call()[:]:
        at.end(call)
    work.standard = limited(5, 120.0, in_flight=64)
    at.now += 62.0
    assert at.call() == []
    at.now += 58.0
    assert len(at.call()) == 5


def test_a_receiver_that_is_gone_does_not_make_its_account_forget() -> None:
    work = ScriptedWork(limited(100, in_flight=200))
    at = Rig(work, room=200)
    at.admit(*(item(n, lane=str(n)) for n in range(101)), item(999, queue="gone", lane="z"))
    for call in at.call():
        at.end(call)
    work.policies["gone"] = OPEN
    at.desk._touch((HOME, "robot"))
    for call in at.call():
        at.end(call, Failed(Reason.UNKNOWN_RECEIVER, "", False))
    at.now += 61.0
    at.desk._touch((HOME, "robot"))
    assert at.call() == []


# ---- writes


def test_a_write_keeps_saying_what_was_decided_then() -> None:
    at = rig(QueuePolicy(channel="c", cap=2))
    taking, merging = Write(HOME, 1), Write(HOME, 1)
    for one in (item(1, lane="a"), item(2, lane="b")):
        assert at.desk.admit(one, at.now, taking)
    for one in (item(3, lane="c"), item(4, lane="d")):
        assert at.desk.admit(one, at.now, merging)
    assert [one.carried for one in taking.taken] == [None, None]
    assert [one.carried and one.carried.count for one in merging.changed] == [2, 3]
    at.store.commit([taking, merging])
    (call,) = [call for call in at.call() if call.item.offset == 1]
    partly = at.desk.ended(call, Success(parts=b"parts", more=True), at.now)
    failed = at.desk.ended(at.desk.decide(at.now).calls[0], Failed(Reason.BUSY, "", True), at.now)
    assert partly is not None
    assert failed is not None
    assert (partly.changed[0].due, partly.changed[0].part) == (0.0, 1)
    assert failed.changed[0].due > at.now
