"""Open work that moves with its keys when a topic has more partitions, on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from functools import partial

import msgspec

from andon.core.event import Home
from andon.core.work import Closed, Item, Note, Write
from andon.store import moved
from andon.store.database import Database
from andon.store.desk import SqlDeskStore
from andon.store.lookup import Lookup, look_into
from tests.contract.desk_stores.conftest import entry
from tests.unit.desk.items import HOME, OTHER, START, item

NEW = Home(HOME.topic, 2)
NEWEST = Home(HOME.topic, 6)


class ByDomain:
    domains = True

    def of_item(self, domain: str, lane: str, body: bytes, memos: Mapping[str, bytes]) -> bytes:
        return domain.encode()

    def of_memo(self, body: bytes) -> bytes:
        return body


class ByLane(ByDomain):
    domains = False

    def of_item(self, domain: str, lane: str, body: bytes, memos: Mapping[str, bytes]) -> bytes:
        return memos.get(lane, lane.encode())


def place(homes: Mapping[bytes, int], key: bytes) -> int:
    return homes[key]


def repartition(url: str, homes: dict[bytes, int], keys: moved.Keys) -> int:
    with closing(Database(url, "desk", alone=True)) as store:
        return store.run(partial(moved.move, HOME.topic, partial(place, homes), keys))


def written(url: str, *writes: Write) -> None:
    with closing(SqlDeskStore(url, "desk")) as store:
        for write in writes:
            write.epoch = store.acquire(write.home, "x", 0.0).epoch
            assert store.commit([write]) == set()


def held(url: str, home: Home) -> tuple[list[Item], list[str], dict[str, bytes], int]:
    """Open items, the domains of recent attempts, memos and the epoch of a home that is taken over."""
    with closing(SqlDeskStore(url, "desk")) as store:
        found = store.acquire(home, "y", START - 60)
        return found.items, [one.domain for one in found.recent], found.memos, found.epoch


def lookup(url: str) -> Lookup:
    found = look_into(url, "desk")
    assert found is not None
    return found


def test_a_domain_moves_with_its_queue_and_its_log(url: str) -> None:
    stays, goes = item(7, domain="a"), [item(n, domain="b") for n in (5, 6, 9)]
    ended = item(3, domain="b")
    tried = entry(goes[0], ended=None)
    told = entry(ended, ended=START + 1)
    closed = [Closed(ended.id, b"{}", START)]
    written(url, Write(HOME, 0, offset=10, taken=[stays, *goes, ended], began=[tried, told], closed=closed))
    assert repartition(url, {b"a": 0, b"b": 2}, ByDomain()) == 3
    items, log, _, _ = held(url, HOME)
    assert ([one.id for one in items], log) == ([stays.id], [])
    assert (items[0].offset, items[0].record) == (7, (0, 7))
    items, log, _, _ = held(url, NEW)
    assert [one.id for one in items] == [one.id for one in goes], "they lost their order"
    assert all(one.offset < 0 and one.home == NEW for one in items), "what comes later would overtake them"
    assert [one.record for one in items] == [(0, 5), (0, 6), (0, 9)]
    assert [one.ended for one in items[0].entries] == [None], "an attempt that was under way is forgotten"
    assert log == ["b", "b"], "the limiter forgets attempts"


def test_moved_again_it_keeps_its_order_and_its_record(url: str) -> None:
    early, late = item(5, domain="b"), item(1, domain="b", home=NEW)
    written(url, Write(HOME, 0, taken=[early]))
    assert repartition(url, {b"b": 2}, ByDomain()) == 1
    assert repartition(url, {b"b": 2}, ByDomain()) == 0, "said again it moved something"
    written(url, Write(NEW, 0, taken=[msgspec.structs.replace(late)]))
    assert repartition(url, {b"b": 6}, ByDomain()) == 2
    items, _, _, _ = held(url, NEWEST)
    assert [(one.id, one.record) for one in items] == [(early.id, (0, 5)), (late.id, (2, 1))]
    assert all(one.offset < 0 for one in items)
    with closing(lookup(url)) as look:
        kept = look.items([early.id, late.id])
    assert [(kept[one.id].home, kept[one.id].offset) for one in (early, late)] == [(HOME, 5), (NEW, 1)]


def test_who_held_a_lease_before_writes_nothing_any_more(url: str) -> None:
    with closing(SqlDeskStore(url, "zombie")) as zombie:
        epoch = zombie.acquire(HOME, "x", 0.0).epoch
        with closing(Database(url, "zombie")) as store:
            store.run(partial(moved.move, HOME.topic, partial(place, {}), ByDomain()))
        assert zombie.commit([Write(HOME, epoch, taken=[item(1)])]) == {(HOME, epoch)}


def test_a_command_goes_with_what_is_remembered_of_it(url: str) -> None:
    taken = [item(1, lane="e1"), item(2, lane="e2"), item(3, lane="free")]
    written(url, Write(OTHER, 0, taken=[_at(OTHER, one) for one in taken], memos={"e1": b"s1", "e2": b"s2"}))
    assert repartition(url, {b"s1": 1, b"s2": 6, b"free": 6}, ByLane()) == 2
    items, _, memos, _ = held(url, OTHER)
    assert ([one.lane for one in items], memos) == (["e1"], {"e1": b"s1"})
    items, _, memos, _ = held(url, NEWEST)
    assert ([one.lane for one in items], memos) == (["e2", "free"], {"e2": b"s2"})


def test_what_is_pruned_leaves_nothing_of_where_it_stood(url: str) -> None:
    one = item(5, domain="b")
    written(url, Write(HOME, 0, taken=[one], notes=[(1, Note("t", b"k", b"v"))]))
    with closing(Database(url, "desk")) as store:
        assert store.look(partial(moved.unpublished, topic=HOME.topic)) == 1
        assert store.look(partial(moved.offsets, topic=HOME.topic)) == {}
    repartition(url, {b"b": 2}, ByDomain())
    written(url, Write(NEW, 0, closed=[Closed(one.id, b"{}", START)]))
    with closing(SqlDeskStore(url, "desk")) as desk, closing(Database(url, "desk")) as store:
        records = lambda connection: moved.records(connection, [one.id.bytes])  # noqa: E731 - asked twice
        assert store.look(records) == {one.id.bytes: (0, 5)}
        assert desk.prune(START + 1, 10) == 1
        assert store.look(records) == {}


def test_a_desk_reads_on_where_it_is_told_to(url: str) -> None:
    written(url, Write(HOME, 0, offset=12), Write(OTHER, 0, offset=5))
    with closing(SqlDeskStore(url, "desk")) as zombie:
        epoch = zombie.acquire(HOME, "x", 0.0).epoch
        with closing(Database(url, "desk")) as store:
            store.run(partial(moved.read_on, {HOME: 8}))
            assert store.look(partial(moved.offsets, topic=HOME.topic)) == {HOME: 8, OTHER: 5}
        assert zombie.commit([Write(HOME, epoch, offset=13)]) == {(HOME, epoch)}


def _at(home: Home, one: Item) -> Item:
    return msgspec.structs.replace(one, home=home)
