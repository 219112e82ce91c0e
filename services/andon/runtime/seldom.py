"""What is true many times a second, and is to be said once in a while."""

from __future__ import annotations

from math import inf

from andon.core.ports import Clock


class Seldom:
    """Whether to say something now: the first time, and again `every_s` seconds after it was said last, for each that
    it is said of. At once after a clock was set back."""

    def __init__(self, every_s: float, clock: Clock) -> None:
        self._every_s = every_s
        self._clock = clock
        self._said: dict[str, float] = {}

    def due(self, of: str = "") -> bool:
        """Whether it is time; if so, it counts as said."""
        now = self._clock.now()
        if 0 <= now - self._said.get(of, -inf) < self._every_s:
            return False
        self._said = {one: at for one, at in self._said.items() if 0 <= now - at < self._every_s}
        self._said[of] = now
        return True
