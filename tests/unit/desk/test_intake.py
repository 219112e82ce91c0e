"""Records into a desk: what is new, what is a repeat, what has no room, and what must be kept of each."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Mapping
from uuid import UUID

import msgspec

from andon.core.policy import QueuePolicy
from andon.core.work import Known, Write
from andon.kafka.records import Record
from andon.runtime.desk.intake import Intake, Refused, ids
from andon.runtime.desk.work import Advance, Taken
from andon.runtime.dlq import REASON, REDRIVE
from andon.runtime.metrics import Metrics
from tests.unit.desk.items import HOME, OTHER, Ended, Said, ScriptedWork, item, record
from tests.unit.desk.rig import Rig


class Desk:
    def __init__(self, policy: QueuePolicy | None = None, work: ScriptedWork | None = None) -> None:
        self.rig = Rig(work or ScriptedWork(policy))
        self.intake = Intake(self.rig.desk, self.rig.work, Metrics(), "egress")

    def take(self, *records: Record) -> tuple[Write | None, Refused | None]:
        read = self.intake.read(records)
        writes, refused = self.intake.take(read, self.rig.store.known(ids(read)), self.rig.now)
        self.rig.store.commit(list(writes.values()))
        return writes.get(HOME), refused.get(HOME)


def outcomes(write: Write | None) -> list[Ended]:
    assert write is not None
    return [msgspec.json.decode(note.value or b"", type=Ended) for _, note in write.notes if note.topic == "outcomes"]


def test_the_offset_stands_behind_the_last_record_taken_in() -> None:
    write, refused = Desk().take(record(4, Said(1)), record(7, Said(2)))
    assert write is not None
    assert (write.offset, refused) == (8, None)
    assert [one.id for one in write.taken] == [item(1).id, item(2).id]


def test_a_repeat_in_the_same_batch_or_later_is_taken_once() -> None:
    desk = Desk()
    first, _ = desk.take(record(0, Said(1)), record(1, Said(1)))
    second, _ = desk.take(record(2, Said(1)))
    assert first is not None
    assert second is not None
    assert (len(first.taken), first.offset) == (1, 2)
    assert (second.taken, second.notes, second.offset) == ([], [], 3)


def test_a_repeat_of_what_was_pruned_is_taken_in_as_new() -> None:
    """What docs/operations.md says of redriving records older than 30 days."""
    desk = Desk()
    desk.take(record(0, Said(1)))
    (call,) = desk.rig.call()
    desk.rig.end(call)
    write, _ = desk.take(record(1, Said(1)))
    assert write is not None
    assert write.taken == []
    assert desk.rig.store.prune(desk.rig.now + 1, 10) == 1
    write, _ = desk.take(record(2, Said(1)))
    assert write is not None
    assert [one.id for one in write.taken] == [item(1).id]


def test_other_content_under_the_same_id_ends_as_a_conflict_with_an_id_of_its_own() -> None:
    desk = Desk()
    desk.take(record(0, Said(1, text="news")))
    first, _ = desk.take(record(1, Said(1, text="other")))
    again, _ = desk.take(record(2, Said(1, text="other")))
    (one,), (two,) = outcomes(first), outcomes(again)
    assert (one.outcome, one.id) == ("parked/conflict", two.id)
    assert one.id != item(1).id
    assert desk.rig.desk.open_of(HOME) == 1


def test_a_conflict_within_one_batch_is_found() -> None:
    write, _ = Desk().take(record(0, Said(1, text="news")), record(1, Said(1, text="other")))
    assert [one.outcome for one in outcomes(write)] == ["parked/conflict"]


def test_the_memos_and_notes_of_a_repeat_count_its_item_does_not() -> None:
    desk = Desk()
    desk.take(record(0, Said(1, memo="m")))
    write, _ = desk.take(record(1, Said(1, memo="m")))
    assert write is not None
    assert write.taken == []
    assert list(write.memos) == ["m"]
    assert [note.topic for _, note in write.notes] == ["memos"]


def test_a_memo_is_stored_as_it_stands_at_the_end_of_the_intake() -> None:
    """A call that ended between reading and taking in may have changed it; the older one must not come back."""
    desk = Desk()
    read = desk.intake.read([record(0, Said(1, memo="m"))])
    desk.rig.work.memos[HOME]["m"] = b"newer"
    writes, _ = desk.intake.take(read, {}, desk.rig.now)
    assert writes[HOME].memos == {"m": b"newer"}


class Counting(ScriptedWork):
    """A memo counts the records; the order of the first ones is in it."""

    def read(self, record: Record) -> Taken | Advance:
        taken = super().read(record).take({})

        def take(known: Mapping[UUID, Known]) -> Taken:
            memos = self.memos.setdefault(record.home, {})
            memos["n"] = memos.get("n", b"") + b"%d " % record.offset
            return msgspec.structs.replace(taken, memos=("n",))

        return Advance(taken.ids, take)


def test_a_record_changes_memos_when_it_is_taken_in_and_not_when_it_is_read() -> None:
    desk = Desk(work=Counting())
    read = desk.intake.read([record(0, Said(1)), record(1, Said(2)), record(2, Said(1))])
    assert (desk.rig.work.memos[HOME], ids(read)) == ({}, [item(1).id, item(2).id, item(1).id])
    writes, _ = desk.intake.take(read, {}, desk.rig.now)
    assert (len(writes[HOME].taken), writes[HOME].memos) == (2, {"n": b"0 1 2 "})


def test_what_stays_in_the_log_changes_no_memo() -> None:
    desk = Desk(work=Counting())
    desk.rig.desk.drop(HOME)
    desk.take(record(0, Said(1)))
    assert desk.rig.work.memos[HOME] == {}


def test_poison_is_parked_as_it_was_and_does_not_stop_the_rest() -> None:
    poison = msgspec.structs.replace(record(0, Said(1)), value=b"\xff{")
    write, _ = Desk().take(poison, record(1, Said(2)))
    assert write is not None
    ((_, note),) = write.notes
    assert (note.topic, note.value) == ("andon.dlq", b"\xff{")
    assert dict(note.headers)[REASON] == b"undecodable"
    assert (len(write.taken), write.offset) == (1, 2)


def test_without_room_the_rest_of_the_home_waits_in_the_log() -> None:
    desk = Desk(QueuePolicy(channel="c", cap=2))
    urgent = [record(n, Said(n, urgent=True)) for n in range(4)]
    write, refused = desk.take(*urgent, record(4, Said(9, queue="empty")))
    assert write is not None
    assert (len(write.taken), write.offset) == (2, 2)
    assert refused is not None
    assert (refused.offset, refused.item.id) == (2, item(2).id)


def test_records_of_a_home_that_left_are_passed_over() -> None:
    desk = Desk()
    desk.rig.desk.drop(HOME)
    assert desk.take(record(0, Said(1))) == (None, None)
    assert desk.take(record(0, Said(1), home=OTHER)) == (None, None)


def test_a_redrive_counts_only_above_the_last_one_and_only_after_the_end() -> None:
    desk = Desk()
    redriven = record(1, Said(1), headers=((REDRIVE, b"1"),))
    read = desk.intake.read([redriven])
    for known, taken in (
        (Known(b"", 0, closed=False), 0),
        (Known(b"", 1, closed=True), 0),
        (Known(b"", 0, closed=True), 1),
    ):
        writes, _ = desk.intake.take(read, {item(1).id: known}, desk.rig.now)
        assert len(writes[HOME].taken) == taken
    assert writes[HOME].taken[0].redrive == 1


def test_a_batch_with_poison_is_let_go_with_its_last_use() -> None:
    """A collector comes by every few minutes, and the records may be of megabytes."""
    desk = Desk()

    class Batch(list[Record]):
        pass

    def taken() -> weakref.ref[Batch]:
        batch = Batch([msgspec.structs.replace(record(0, Said(1)), value=b"{")])
        read = desk.intake.read(batch)
        desk.intake.take(read, {}, desk.rig.now)
        return weakref.ref(batch)

    gc.disable()
    try:
        assert taken()() is None
    finally:
        gc.enable()
