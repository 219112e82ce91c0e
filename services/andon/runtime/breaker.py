"""A circuit breaker: leaves a failing system alone for a while instead of asking it again and again.

The pattern is M. Nygard's (Release It!, "Circuit Breaker"), counting consecutive failures.
"""

from __future__ import annotations

from enum import IntEnum

from andon.core.ports import Clock


class State(IntEnum):
    """The value of the metric `andon_breaker_state`."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class Breaker:
    """Closed until `failures` calls in a row failed; then open for `cool` seconds; then one call may try.

    If that call succeeds the breaker closes, if it fails it opens again. A trial that never reports back is given up
    after another `cool` seconds. Every call that `allows` let through reports `succeeded` or `failed` once.
    """

    def __init__(self, clock: Clock, failures: int = 5, cool: float = 10.0) -> None:
        self._clock = clock
        self._failures = failures
        self._cool = cool
        self._failed_in_a_row = 0
        self._since = 0.0
        self._state = State.CLOSED

    @property
    def state(self) -> State:
        """The state now; an open breaker whose time has passed is still open until somebody asks `allows`."""
        return self._state

    def allows(self) -> bool:
        """Whether a call may be made now. Turns an open breaker whose time has passed to half open."""
        if self._state is State.CLOSED:
            return True
        if 0 <= self._clock.now() - self._since < self._cool:
            return False
        self._turn(State.HALF_OPEN)
        return True

    def succeeded(self) -> None:
        """A call had its answer."""
        self._failed_in_a_row = 0
        self._state = State.CLOSED

    def failed(self) -> None:
        """A call had none. A late failure of a call begun before the breaker opened does not prolong its time."""
        self._failed_in_a_row += 1
        if self._state is State.HALF_OPEN or (self._state is State.CLOSED and self._failed_in_a_row >= self._failures):
            self._turn(State.OPEN)

    def _turn(self, state: State) -> None:
        self._state = state
        self._since = self._clock.now()
