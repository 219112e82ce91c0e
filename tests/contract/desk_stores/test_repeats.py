"""Repeats, conflicts, redrives and pruning, in every desk store."""

from __future__ import annotations

from uuid import uuid5

import pytest

from andon.core.work import Closed, StoreFailure, Write
from andon.store.memory import MemoryDeskStore
from tests.contract.desk_stores.conftest import Open, entry, owned
from tests.unit.desk.items import HOME, NAMESPACE, OTHER, START, item


def test_known_tells_content_redrive_and_end(opened: Open) -> None:
    store = owned(opened)
    store.commit([Write(HOME, 1, taken=[item(1), item(2, redrive=3, hop=1)])])
    store.commit([Write(HOME, 1, closed=[Closed(item(2).id, b"{}", START)])])
    known = store.known([item(1).id, item(2).id, uuid5(NAMESPACE, "nobody")])
    assert {one: (k.content, k.redrive, k.hop, k.closed) for one, k in known.items()} == {
        item(1).id: (b"c1", 0, 0, False),
        item(2).id: (b"c2", 3, 1, True),
    }
    assert store.known([]) == {}


def test_a_redriven_item_takes_the_place_of_its_closed_self(opened: Open) -> None:
    store = owned(opened, HOME, OTHER)
    first = item(1, part=1, parts=b"p", marked=True)
    began = [entry(first, ended=START + 1)]
    store.commit([Write(HOME, 1, taken=[first], began=began, closed=[Closed(first.id, b"{}", START)])])
    again = item(1, home=OTHER, offset=44, redrive=1, body=b"another")
    store.commit([Write(OTHER, 1, taken=[again])])
    assert store.acquire(HOME, "x", 0.0).items == []
    assert store.acquire(OTHER, "x", 0.0).items == [again]
    assert not store.known([first.id])[first.id].closed


def test_what_is_handed_on_does_not_see_the_attempts_before(opened: Open) -> None:
    store = owned(opened, HOME, OTHER)
    closed = [Closed(item(1).id, b"{}", START)]
    store.commit([Write(HOME, 1, taken=[item(1)], began=[entry(item(1), ended=START + 1)], closed=closed)])
    onward = item(1, home=OTHER, hop=1)
    store.commit([Write(OTHER, 1, taken=[onward], began=[entry(onward, started=START + 5)])])
    (found,) = store.acquire(OTHER, "x", 0.0).items
    assert [one.hop for one in found.entries] == [1]


def test_a_redriven_item_does_not_see_its_earlier_attempts(opened: Open) -> None:
    store = owned(opened)
    closed = [Closed(item(1).id, b"{}", START)]
    store.commit([Write(HOME, 1, taken=[item(1)], began=[entry(item(1), ended=START + 1)], closed=closed)])
    again = item(1, redrive=1)
    store.commit([Write(HOME, 1, taken=[again], began=[entry(again, started=START + 5)])])
    found = store.acquire(HOME, "x", 0.0)
    assert [one.redrive for one in found.items[0].entries] == [1]
    assert [one.redrive for one in found.recent] == [0, 1]


def test_an_open_item_is_not_replaced(opened: Open) -> None:
    store = owned(opened, HOME, OTHER)
    store.commit([Write(HOME, 1, taken=[item(1)])])
    store.commit([Write(OTHER, 1, taken=[item(1, home=OTHER, offset=9)])])
    assert store.acquire(HOME, "x", 0.0).items == [item(1)]
    assert store.acquire(OTHER, "x", 0.0).items == []


def test_an_id_that_two_homes_take_in_at_once_is_kept_once(opened: Open) -> None:
    store = owned(opened, HOME, OTHER)
    store.commit([Write(HOME, 1, taken=[item(1)]), Write(OTHER, 1, taken=[item(1, home=OTHER, offset=9)])])
    assert store.acquire(HOME, "x", 0.0).items == [item(1)]
    assert store.acquire(OTHER, "x", 0.0).items == []


def test_an_attempt_begins_once(opened: Open) -> None:
    store = owned(opened)
    store.commit([Write(HOME, 1, taken=[item(1)], began=[entry(item(1))])])
    with pytest.raises(StoreFailure):
        store.commit([Write(HOME, 1, offset=9, began=[entry(item(1))])])
    assert store.acquire(HOME, "x", 0.0).offset is None


def test_prune_forgets_old_ends_in_portions_and_nothing_open(opened: Open) -> None:
    store = owned(opened)
    items = [item(n) for n in range(1, 6)]
    write = Write(HOME, 1, taken=items, began=[entry(one, started=START + one.offset) for one in items])
    write.closed = [Closed(one.id, b"{}", START + one.offset) for one in items[:4]]
    store.commit([write])
    assert store.prune(START + 4, 2) == 2
    assert store.prune(START + 4, 2) == 1
    assert store.prune(START + 4, 2) == 0
    assert store.known([one.id for one in items]).keys() == {items[3].id, items[4].id}
    assert [one.item for one in store.acquire(HOME, "x", 0.0).recent] == [items[3].id, items[4].id]


def test_check_is_silent_while_the_store_answers(opened: Open) -> None:
    opened().check()


def test_a_failing_memory_store_fails_in_every_method() -> None:
    store = MemoryDeskStore()
    store.failure = StoreFailure("gone")
    for use in (
        lambda: store.acquire(HOME, "x", 0.0),
        lambda: store.known([]),
        lambda: store.commit([]),
        lambda: store.prune(0.0, 1),
        store.check,
    ):
        with pytest.raises(StoreFailure, match="gone"):
            use()
