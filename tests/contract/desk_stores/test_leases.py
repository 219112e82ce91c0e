"""Leases of every desk store: nothing of an old epoch is applied."""

from __future__ import annotations

from andon.core.work import Closed, Note, Write
from tests.contract.desk_stores.conftest import Open, entry, owned
from tests.unit.desk.items import HOME, OTHER, START, item


def test_a_lease_counts_up_and_begins_without_an_offset(opened: Open) -> None:
    store = opened()
    first = store.acquire(HOME, "egress-0", 0.0)
    assert (first.epoch, first.offset, first.items, first.recent) == (1, None, [], [])
    assert store.acquire(HOME, "egress-1", 0.0).epoch == 2
    assert store.acquire(OTHER, "egress-1", 0.0).epoch == 1


def test_nothing_of_an_old_epoch_is_applied(opened: Open) -> None:
    zombie, owner = owned(opened), opened()
    zombie.commit([Write(HOME, 1, offset=5, taken=[item(1)])])
    owner.acquire(HOME, "egress-1", 0.0)
    late = Write(
        HOME,
        1,
        offset=9,
        taken=[item(2)],
        began=[entry(item(1))],
        changed=[item(1, due=START + 9)],
        closed=[Closed(item(1).id, b"{}", START)],
        memos={"m": b"1"},
        notes=[(1 << 32, Note("t", b"k", b"v"))],
    )
    assert zombie.commit([late]) == {(HOME, 1)}
    now = owner.acquire(HOME, "egress-2", 0.0)
    assert now.offset == 5
    assert [(one.id, one.due, one.entries) for one in now.items] == [(item(1).id, 0.0, [])]
    assert (now.memos, now.notes, now.recent) == ({}, [], [])


def test_a_refused_write_takes_no_other_with_it(opened: Open) -> None:
    store = owned(opened, HOME, OTHER)
    store.acquire(HOME, "egress-1", 0.0)
    moved = store.commit([Write(HOME, 1, offset=3), Write(OTHER, 1, offset=4), Write(HOME, 2, offset=5)])
    assert moved == {(HOME, 1)}
    assert store.acquire(HOME, "x", 0.0).offset == 5
    assert store.acquire(OTHER, "x", 0.0).offset == 4


def test_a_home_nobody_acquired_takes_no_write(opened: Open) -> None:
    store = opened()
    assert store.commit([Write(HOME, 1, offset=3)]) == {(HOME, 1)}
