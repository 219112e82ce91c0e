"""What every desk store is given comes back as it was."""

from __future__ import annotations

from datetime import UTC, datetime
from math import inf
from random import Random

import msgspec
import pytest

from andon.core.digest import Digest, Line
from andon.core.reason import Reason
from andon.core.work import Closed, Note, Reach, Write, memo_name
from tests.contract.desk_stores.conftest import Open, entry, owned
from tests.unit.desk.items import HOME, OTHER, START, item


def test_an_item_comes_back_as_it_was(opened: Open) -> None:
    store = owned(opened)
    at = datetime(2026, 11, 22, 6, 3, 5, tzinfo=UTC)
    whole = item(
        7,
        lane="线 3/M-07",
        urgent=True,
        group="g",
        due=START + 0.25,
        redrive=2,
        hop=1,
        batch="0.1 线 3",
        expires=START + 120.5,
        part=1,
        parts=b"\x00parts",
        carried=Digest(3, at, at, (Line("线 3", "停机", at),), 2),
        marked=True,
        body=bytes(range(256)),
    )
    store.commit([Write(HOME, 1, offset=8, taken=[whole])])
    found = opened().acquire(HOME, "egress-1", 0.0)
    assert found.items == [whole]
    assert found.offset == 8


def test_items_come_in_the_order_of_their_offsets_and_only_while_open(opened: Open) -> None:
    store = owned(opened, HOME, OTHER)
    store.commit([Write(HOME, 1, taken=[item(3), item(1), item(2)]), Write(OTHER, 1, taken=[item(9, home=OTHER)])])
    store.commit([Write(HOME, 1, closed=[Closed(item(2).id, b"{}", START)])])
    assert [one.offset for one in store.acquire(HOME, "x", 0.0).items] == [1, 3]


def test_an_item_taken_and_closed_in_one_write_is_closed(opened: Open) -> None:
    store = owned(opened)
    store.commit([Write(HOME, 1, taken=[item(1)], closed=[Closed(item(1).id, b"{}", START)])])
    assert store.acquire(HOME, "x", 0.0).items == []
    assert store.known([item(1).id])[item(1).id].closed


def test_the_last_change_of_a_commit_counts(opened: Open) -> None:
    store = owned(opened)
    store.commit([Write(HOME, 1, taken=[item(1)])])
    store.commit([Write(HOME, 1, changed=[item(1, part=1)]), Write(HOME, 1, changed=[item(1, part=2, parts=b"p")])])
    (found,) = store.acquire(HOME, "x", 0.0).items
    assert (found.part, found.parts) == (2, b"p")


def test_the_end_of_an_items_time_may_move(opened: Open) -> None:
    store = owned(opened)
    store.commit([Write(HOME, 1, taken=[item(1, expires=START), item(2)])])
    store.commit([Write(HOME, 1, changed=[item(1, expires=START + 60.5), item(2, part=1)])])
    assert [one.expires for one in store.acquire(HOME, "x", 0.0).items] == [START + 60.5, inf]


def test_entries_come_back_with_their_results(opened: Open) -> None:
    store = owned(opened)
    one = item(1)
    begun = entry(one, line=2, part=1, marked=True)
    ended = msgspec.structs.replace(begun, ended=START + 1, reason=Reason.THROTTLED, ambiguous=True, until=START + 60.5)
    store.commit([Write(HOME, 1, taken=[one], began=[begun])])
    assert store.acquire(HOME, "x", START + 99).items[0].entries == [begun]
    store.commit([Write(HOME, 2, ended=[ended], began=[entry(one, 2, started=START + 2, epoch=2)])])
    found = store.acquire(HOME, "x", START + 99)
    assert found.items[0].entries == [ended, entry(one, 2, started=START + 2, epoch=2)]
    assert found.recent == found.items[0].entries


def test_who_was_told_is_known_when_the_call_has_ended(opened: Open) -> None:
    store = owned(opened)
    begun = entry(item(1), reach=Reach("app", ("p", "q")))
    store.commit([Write(HOME, 1, taken=[item(1)], began=[begun])])
    ended = msgspec.structs.replace(begun, ended=START + 1, reason=Reason.DELIVERED, reach=Reach("app", ("q",)))
    store.commit([Write(HOME, 1, ended=[ended])])
    assert store.acquire(HOME, "x", START + 99).items[0].entries == [ended]


def test_recent_holds_what_began_since_and_everything_of_open_items(opened: Open) -> None:
    store = owned(opened, HOME, OTHER)
    done, old, still = item(1), item(2), item(3)
    foreign = item(4, home=OTHER)
    write = Write(HOME, 1, taken=[done, old, still])
    write.began = [entry(still, started=START - 9_000), entry(done, started=START), entry(old, started=START - 8_000)]
    write.closed = [Closed(done.id, b"{}", START), Closed(old.id, b"{}", START)]
    store.commit([write, Write(OTHER, 1, taken=[foreign], began=[entry(foreign)])])
    recent = store.acquire(HOME, "x", START - 3_600).recent
    assert [one.item for one in recent] == [still.id, done.id]


def test_recent_holds_what_still_counts_however_long_ago_it_began(opened: Open) -> None:
    store = owned(opened)
    results = {
        1: (START - 61, Reason.DELIVERED, 0.0),  # nothing speaks of it any more
        2: (START - 59, Reason.DELIVERED, 0.0),  # a call counts from its end
        3: (START - 900, Reason.BUSY, START + 300),  # its account is left alone
        4: (START - 3_000, Reason.THROTTLED, 0.0),  # it lowers the rate for a while
        5: (START - 3_700, Reason.THROTTLED, 0.0),
        6: (START - 8_999, Reason.BUSY, START + 1),  # nor of what it was just after it began
    }
    write = Write(HOME, 1, taken=[item(n) for n in results], closed=[Closed(item(n).id, b"{}", START) for n in results])
    write.began = [entry(item(n), started=START - 9_000 + n) for n in results]
    write.ended = [
        msgspec.structs.replace(begun, ended=ended, reason=reason, until=until)
        for begun, (ended, reason, until) in zip(write.began, results.values(), strict=True)
    ]
    store.commit([write])
    assert [one.item for one in store.acquire(HOME, "x", START - 60).recent] == [item(n).id for n in (2, 3, 4, 6)]


def test_memos_are_kept_per_home_and_replaced(opened: Open) -> None:
    store = owned(opened, HOME, OTHER)
    store.commit([Write(HOME, 1, memos={"a": b"1", "b": b"2"}), Write(OTHER, 1, memos={"a": b"9"})])
    store.commit([Write(HOME, 1, memos={"a": b"3"}), Write(HOME, 1, memos={"a": b"4"})])
    assert store.acquire(HOME, "x", 0.0).memos == {"a": b"4", "b": b"2"}
    assert store.acquire(OTHER, "x", 0.0).memos == {"a": b"9"}


def test_a_memo_of_no_bytes_is_forgotten(opened: Open) -> None:
    store = owned(opened, HOME, OTHER)
    store.commit([Write(HOME, 1, memos={"a": b"1", "b": b"2"}), Write(OTHER, 1, memos={"a": b"9"})])
    store.commit([Write(HOME, 1, memos={"a": b"", "never": b""})])
    assert store.acquire(HOME, "x", 0.0).memos == {"b": b"2"}
    assert store.acquire(OTHER, "x", 0.0).memos == {"a": b"9"}


@pytest.mark.parametrize("alphabet", ["abcdefghijklmnopqrstuvwxyz0123456789", "\0\ue000", "停机线"])
def test_the_longest_name_of_a_memo_is_kept(opened: Open, alphabet: str) -> None:
    """A label of any length may be part of it, and a database that packs keys cannot pack what has no pattern."""
    store, chance = owned(opened), Random(1)
    names = [memo_name("".join(chance.choices(alphabet, k=size))) for size in (640, 5_000, 5_000)]
    memos = dict.fromkeys(names, b"m")
    assert len(memos) == 3
    store.commit([Write(HOME, 1, memos=memos)])
    assert store.acquire(HOME, "x", 0.0).memos == memos
    store.commit([Write(HOME, 2, memos=dict.fromkeys(names, b""))])
    assert store.acquire(HOME, "x", 0.0).memos == {}


def test_the_outbox_keeps_its_order_until_it_is_published(opened: Open) -> None:
    store = owned(opened)
    notes = [(2**32 + n, Note("t", b"k%d" % n, None if n == 3 else b"v", (("h", b"\xff"),))) for n in range(1, 6)]
    store.commit([Write(HOME, 1, notes=notes[3:]), Write(HOME, 1, notes=notes[:3])])
    assert store.acquire(HOME, "x", 0.0).notes == notes
    store.commit([Write(HOME, 2, published=notes[0][0]), Write(HOME, 2, published=notes[2][0])])
    assert store.acquire(HOME, "x", 0.0).notes == notes[3:]


def test_forgetting_a_note_twice_is_nothing(opened: Open) -> None:
    store = owned(opened, HOME, OTHER)
    store.commit([Write(HOME, 1, notes=[(1, Note("t", b"k", b"v"))])])
    store.commit([Write(OTHER, 1, notes=[(1, Note("t", b"k", b"v"))])])
    assert store.commit([Write(HOME, 1, published=1)]) == set()
    assert store.commit([Write(HOME, 1, published=77)]) == set()
    assert store.acquire(HOME, "x", 0.0).notes == []
    assert len(store.acquire(OTHER, "x", 0.0).notes) == 1


def test_many_rows_of_each_kind_fit_in_one_commit(opened: Open) -> None:
    store = owned(opened)
    items = [item(n) for n in range(1, 1_001)]
    store.commit([Write(HOME, 1, offset=1_001, taken=items, began=[entry(one) for one in items])])
    ended = [entry(one, ended=START + 1) for one in items]
    closed = [Closed(one.id, b"{}", START) for one in items[:900]]
    store.commit([Write(HOME, 1, ended=ended, changed=[item(n, due=5.0) for n in range(901, 1_001)], closed=closed)])
    found = store.acquire(HOME, "x", 0.0)
    assert len(found.items) == 100
    assert all(one.due == 5.0 and one.entries[0].ended == START + 1 for one in found.items)
    assert len(store.known([one.id for one in items])) == 1_000


def test_texts_come_back_whatever_characters_they_hold(opened: Open) -> None:
    store = owned(opened)
    strange = "a\0b\ue000c\ue0000\0\0"
    whole = item(1, lane=strange, group=strange, queue=strange, domain=strange)
    store.commit([Write(HOME, 1, taken=[whole], began=[entry(whole)], memos={strange: b"m"})])
    store.commit([Write(HOME, 1, memos={strange: b"n"})])
    found = store.acquire(HOME, "x", 0.0)
    assert found.memos == {strange: b"n"}
    (one,) = found.items
    assert (one.lane, one.group, one.queue, one.domain) == (strange,) * 4
    assert (one.entries[0].queue, one.entries[0].domain) == (strange, strange)
    store.commit([Write(HOME, 2, memos={strange: b"", "b": b"1"})])
    assert store.acquire(HOME, "x", 0.0).memos == {"b": b"1"}
