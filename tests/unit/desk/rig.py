"""A desk on a memory store with a clock of its own: what is decided is stored at once, calls end when told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from andon.core.event import Home
from andon.core.reason import Reason
from andon.core.work import Entry, Item, Write
from andon.runtime.desk.desk import Desk
from andon.runtime.desk.open_work import Call
from andon.runtime.desk.work import Success
from andon.runtime.failures import Failed
from andon.store.memory import MemoryDeskStore
from tests.unit.desk.items import HOME, START, Ended, ScriptedWork

DEADLINE = 15.0
GONE = Failed(Reason.CONNECTION, "reset", True)
NOT_SENT = Failed(Reason.NOT_SENT, "refused", True)
TIMED_OUT = Failed(Reason.TIMEOUT, "", True, ambiguous=True)


class Rig:
    """`call()` decides and returns the calls that begin; `end` gives one its result; `restart` is kill -9."""

    def __init__(self, work: ScriptedWork | None = None, *, room: int = 64) -> None:
        self.work = work or ScriptedWork()
        self.store = MemoryDeskStore()
        self.now = START
        self.room = room
        self.wake_at = 0.0
        self.restart()

    def restart(self, home: Home = HOME) -> None:
        self.desk = Desk(self.work, room=self.room, deadline=DEADLINE)
        since, people = self.work.looks_back(), self.work.looks_back_on_people()
        self.desk.adopt(self.store.acquire(home, "rig", self.now - since, self.now - people), self.now)

    def admit(self, *items: Item) -> list[bool]:
        write = Write(HOME, self.desk.epochs[HOME])
        taken = [self.desk.admit(one, self.now, write) for one in items]
        self.store.commit([write])
        return taken

    def call(self) -> list[Call]:
        decision = self.desk.decide(self.now)
        assert self.store.commit(list(decision.writes.values())) == set()
        self.wake_at = decision.wake_at
        return decision.calls

    def wait(self) -> None:
        """Lets the time pass until the desk wants to look again; nothing can begin now."""
        assert self.call() == []
        self.now = self.wake_at

    def end(self, call: Call, result: Success | Failed | None = None) -> None:
        write = self.desk.ended(call, result or Success(), self.now)
        assert write is not None
        self.store.commit([write])

    def take_back(self, call: Call) -> None:
        write = self.desk.taken_back(call, self.now)
        assert write is not None
        self.store.commit([write])

    def run(self, seconds: float, answer: Callable[[Call], Success | Failed]) -> list[tuple[float, int]]:
        """Answers every call at once for so long; the (seconds since the start, offset) of the calls."""
        until, seen = self.now + seconds, []
        while self.now <= until:
            for call in self.call():
                seen.append((round(self.now - START, 3), call.item.offset))
                self.end(call, answer(call))
            if not self.desk._turns._row_of:
                if self.wake_at > until:
                    self.now = until
                    break
                self.now = max(self.now, self.wake_at)
        return seen

    def outcomes(self) -> dict[int, str]:
        """The outcomes in the outbox, by the number of the record."""
        numbers = {one.id: one.offset for one in self.store.items.values()}
        notes = [note for home in self.store.notes.values() for note in home.values() if note.topic == "outcomes"]
        told = [msgspec.json.decode(note.value or b"", type=Ended) for note in notes]
        return {numbers[one.id]: one.outcome for one in told}

    def entries(self, of: Item) -> list[Entry]:
        """The ledger of an item."""
        return [entry for entry in self.store.entries.values() if entry.item == of.id]

    def stored(self, of: Item) -> Any:
        return self.store.items[of.id]
