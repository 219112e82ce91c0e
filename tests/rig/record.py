"""What the sink wrote down, and what was done meanwhile to those who called it. Imports nothing of Andon."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any

MARK = "【可能重复】"
# What was answered longer than this before its caller was killed, frozen or lost its lease has been stored: no result
# is kept back. A disk may stand still for seconds, so the clock is asked no more than that; what was stored when a desk
# ended, its store says to the row (see `Closed`).
RESULT_S = 10.0
# A desk waits so long for its store before it gives up, and until then nothing it is answered gets written down. It
# writes results in the order of the answers, so who has stored a later one was not kept waiting; the sink's clock and
# the desk's order may differ by a second or two.
STORE_S = 35.0
ORDER_S = 2.0
# A look at the store that follows another thing seen in it is done within this.
LOOK_S = 1.0

Result = tuple[float, float]
"""When a call was answered, and when its delivery was first seen closed."""


@dataclass
class Effect:
    """A call as the sink saw it. `answered` is when the whole answer was written, None when the caller was gone."""

    call: int
    at: float
    pid: int
    marked: bool
    kind: str
    id: str
    receiver: str
    count: int
    connection: int
    answered: float | None = None
    cut: float | None = None


@dataclass(frozen=True)
class Odd:
    """An answer that was no success, in the way `how`, to the robot of this receiver."""

    at: float
    how: str
    receiver: str


@dataclass(frozen=True)
class Move:
    """The lease of a partition of `andon.deliveries` moved between these two looks at it."""

    partition: int
    after: float
    before: float


@dataclass
class Closed:
    """What stood closed in the store of egress when somebody looked. Nothing here is ever redriven, so what is closed
    is over: whatever happens to its desk, no call of it may follow.

    `first` holds for each delivery when a look first found it closed; `after` for each process of egress that has ended
    when the look that followed was done, provided that no other had written in between.
    """

    first: dict[str, float] = field(default_factory=dict)
    after: dict[int, float] = field(default_factory=dict)

    def seen(self, ids: Iterable[str], at: float, ended: int | None = None) -> None:
        """A look that was done at this time found these; `ended` is the process after whose end it was made."""
        for one in ids:
            self.first.setdefault(one, at)
        if ended is not None:
            self.after[ended] = at

    def since(self, ids: Iterable[str]) -> float:
        """When a look first found one of these closed; infinity when none did."""
        return min((self.first.get(one, inf) for one in ids), default=inf)


class Record:
    """The sink's record, from byte `start` of it on. `frozen` holds the processes that were stopped meanwhile: pid,
    from when, until when; `moves` the leases that moved: a result that comes later than its lease moved is refused
    (design, section 3)."""

    def __init__(
        self,
        path: Path,
        frozen: Sequence[tuple[int, float, float]] = (),
        moves: Sequence[Move] = (),
        closed: Closed | None = None,
        start: int = 0,
    ) -> None:
        self._frozen = frozen
        self._moves = moves
        self.closed = closed or Closed()
        self.effects: list[Effect] = []
        self.odd: list[Odd] = []
        self.lured: list[str] = []
        self.gone: dict[int, float] = {}
        calls: dict[int, Effect] = {}
        with path.open("rb") as file:
            file.seek(start)
            lines = file.read().split(b"\n")[:-1]
        for line in map(json.loads, lines):
            if line["what"] in ("told", "cut") and line["call"] not in calls:
                continue  # of a call from before `start`
            match line["what"]:
                case "got":
                    effect = calls[line["call"]] = _effect(line)
                    self.effects.append(effect)
                case "told":
                    calls[line["call"]].answered = line["at"]
                case "cut":
                    calls[line["call"]].cut = line["at"]
                case "odd":
                    self.odd.append(Odd(line["at"], line["how"], line["key"].removeprefix("key-")))
                case "lured":
                    self.lured.append(line["path"])
                case "gone":
                    self.gone[line["connection"]] = line["at"]

    def unsure(
        self, effect: Effect, partition: int | None, deliveries: Iterable[str], stored: Iterable[Result] = ()
    ) -> bool:
        """Whether the caller may not have learnt, or not have stored, that this call had its effect. `partition` is
        where its delivery stands, `deliveries` are the delivery's ids, `stored` what the caller was answered and has
        stored."""
        if effect.answered is None:
            return True
        later = [since for answered, since in stored if answered > effect.answered + ORDER_S]

        def kept_back(ended: float, seen: float) -> bool:
            """Whether the result may have waited until that end, though what stood closed then was `seen`."""
            within = RESULT_S if any(since <= seen for since in later) else STORE_S
            return effect.answered is not None and ended - effect.answered < within

        gone, looked = self.gone.get(effect.connection), self.closed.after.get(effect.pid, -inf)
        if gone is not None and kept_back(gone, max(gone, looked)) and not self.closed.since(deliveries) <= looked:
            return True
        if any(pid == effect.pid and begin - RESULT_S < effect.answered < end for pid, begin, end in self._frozen):
            return True
        return any(
            move.partition == partition and effect.at < move.before and kept_back(move.after, move.before + LOOK_S)
            for move in self._moves
        )

    def around(self, effect: Effect, partition: int | None) -> str:
        """What may have kept a result of this call from being stored, for people to read."""
        frozen = [span for pid, *span in self._frozen if pid == effect.pid]
        moved = [(move.after, move.before) for move in self._moves if move.partition == partition]
        return f"partition {partition}, frozen {frozen}, moved {moved}, gone {self.gone.get(effect.connection)}"

    def ended(self, effect: Effect) -> float | None:
        """When a call was over: answered, or given up by its caller."""
        return effect.answered or effect.cut or self.gone.get(effect.connection)


def said(text: str) -> tuple[bool, str, str, str, int]:
    """What a notice says of itself (plantfile.TEMPLATE): marked as a possible repeat or not, its kind, the event's id,
    the receiver, and for how many events it speaks."""
    kind, number, receiver, count = text.removeprefix(MARK).strip().split("|")[:4]
    return text.startswith(MARK), kind, number, receiver, int(count)


def _effect(line: dict[str, Any]) -> Effect:
    return Effect(line["call"], line["at"], line["pid"], *said(line["text"]), line["connection"])
