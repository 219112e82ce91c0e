"""A stage, a step from topic to topic, and what it makes of one input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

import msgspec

from andon.core.outcome import Parked, Skipped

In = TypeVar("In", contravariant=True)
Out = TypeVar("Out")


class Result(msgspec.Struct, Generic[Out], frozen=True):
    """What a stage made of one input: outputs, or the reason why there are none. Never both empty."""

    outputs: tuple[Out, ...] = ()
    ended: Skipped | Parked | None = None


class Stage(Protocol[In, Out]):
    """A step from topic to topic. Takes a batch and returns exactly one result per input, in order."""

    async def __call__(self, batch: Sequence[In], /) -> Sequence[Result[Out]]: ...
