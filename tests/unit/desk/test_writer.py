"""Group commits: order kept, few transactions, and after a failure nothing more (law L4)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence

import pytest

from andon.core.event import Home
from andon.core.work import StoreFailure, Write
from andon.runtime.desk.writer import GroupWriter
from andon.store.memory import MemoryDeskStore
from tests.unit.desk.items import HOME, OTHER, item


class Recording(MemoryDeskStore):
    """Remembers the groups; `gate` holds the thread in its first commit, `bug` is raised by the next."""

    def __init__(self) -> None:
        super().__init__()
        self.groups: list[list[int | None]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.bug: Exception | None = None

    def commit(self, writes: Sequence[Write]) -> set[tuple[Home, int]]:
        self.gate.wait(5)
        if self.bug is not None:
            raise self.bug
        self.groups.append([write.offset for write in writes])
        return super().commit(writes)


def scene(play: Callable[[Recording, GroupWriter], Awaitable[None]]) -> Recording:
    async def whole() -> Recording:
        store = Recording()
        store.acquire(HOME, "x", 0.0)
        writer = GroupWriter(store, "test")
        await play(store, writer)
        await writer.close()
        return store

    return asyncio.run(whole())


def test_writes_are_committed_in_the_order_they_were_handed_over() -> None:
    async def play(_: Recording, writer: GroupWriter) -> None:
        assert all(await asyncio.gather(*(writer.commit(Write(HOME, 1, offset=n)) for n in range(500))))

    store = scene(play)
    assert [offset for group in store.groups for offset in group] == list(range(500))


def test_a_commit_gathers_what_comes_while_the_last_one_runs() -> None:
    async def play(store: Recording, writer: GroupWriter) -> None:
        store.gate.clear()
        first = writer.commit(Write(HOME, 1, offset=0))
        await asyncio.sleep(0.05)
        rest = [writer.commit(Write(HOME, 1, offset=n)) for n in range(1, 200)]
        store.gate.set()
        await asyncio.gather(first, *rest)

    assert [len(group) for group in scene(play).groups] == [1, 199]


def test_a_commit_takes_no_more_than_256_rows_and_a_single_large_write_whole() -> None:
    async def play(store: Recording, writer: GroupWriter) -> None:
        store.gate.clear()
        held = writer.commit(Write(HOME, 1, offset=0))
        await asyncio.sleep(0.05)
        large = writer.commit(Write(HOME, 1, offset=1, taken=[item(n) for n in range(600)]))
        rest = [writer.commit(Write(HOME, 1, offset=n, memos={"a": b"", "b": b""})) for n in range(2, 302)]
        store.gate.set()
        await asyncio.gather(held, large, *rest)

    assert [len(group) for group in scene(play).groups] == [1, 1, 128, 128, 44]


def test_a_lone_write_does_not_wait_long() -> None:
    async def play(_: Recording, writer: GroupWriter) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        for n in range(20):
            await writer.commit(Write(HOME, 1, offset=n))
        assert (loop.time() - began) / 20 < 0.05

    scene(play)


def test_a_write_of_a_moved_lease_is_told_so_and_the_others_are_not() -> None:
    async def play(store: Recording, writer: GroupWriter) -> None:
        store.acquire(OTHER, "x", 0.0)
        store.acquire(HOME, "y", 0.0)
        answers = [writer.commit(Write(HOME, 1)), writer.commit(Write(OTHER, 1)), writer.commit(Write(HOME, 2))]
        assert await asyncio.gather(*answers) == [False, True, True]

    scene(play)


def test_a_question_is_answered_after_the_writes_before_it() -> None:
    async def play(store: Recording, writer: GroupWriter) -> None:
        one = item(1)
        writer.commit(Write(HOME, 1, taken=[one]))
        asked = writer.ask(lambda: set(store.known([one.id])))
        writer.commit(Write(HOME, 1, taken=[item(2)]))
        assert await asked == {one.id}

    scene(play)


@pytest.mark.parametrize("bug", [StoreFailure("the disk is full"), KeyError("a mistake of ours")])
def test_after_a_failure_everyone_is_told_and_nothing_more_is_written(bug: Exception) -> None:
    async def play(store: Recording, writer: GroupWriter) -> None:
        assert await writer.commit(Write(HOME, 1, offset=1))
        store.bug = bug
        waiting = [writer.commit(Write(HOME, 1, offset=n)) for n in range(2, 5)]
        asked = writer.ask(lambda: store.known([]))
        failures = await asyncio.gather(*waiting, asked, return_exceptions=True)
        assert [type(one) for one in failures] == [StoreFailure] * 4
        store.bug = None
        with pytest.raises(StoreFailure):
            await writer.commit(Write(HOME, 1, offset=9))
        with pytest.raises(StoreFailure):
            await writer.ask(lambda: store.known([]))

    store = scene(play)
    assert store.groups == [[1]]
    assert store.leases[HOME].offset == 1


def test_closing_writes_what_was_handed_over_before() -> None:
    async def play(store: Recording, writer: GroupWriter) -> None:
        store.gate.clear()
        for n in range(400):
            writer.commit(Write(HOME, 1, offset=n))
        store.gate.set()

    store = scene(play)
    assert store.leases[HOME].offset == 399


def test_a_caller_that_gave_up_does_not_disturb_the_others() -> None:
    async def play(_: Recording, writer: GroupWriter) -> None:
        gone, kept = writer.commit(Write(HOME, 1, offset=1)), writer.commit(Write(HOME, 1, offset=2))
        gone.cancel()
        assert await kept

    assert scene(play).leases[HOME].offset == 2
