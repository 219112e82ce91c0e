"""What leaves together with the item whose turn it is."""

from __future__ import annotations

from collections.abc import Iterator

from andon.core.policy import Per
from andon.core.reason import Reason
from andon.core.work import Item
from andon.runtime.desk.domain import Choice, Domain
from andon.runtime.desk.queue import mergeable


def companions(domain: Domain, chosen: Choice, free: int, now: float) -> Iterator[tuple[Reason, list[Item]]]:
    """The waiting items that may become part of the chosen one, and why: the others of its group; above the rate of the
    merge rule what the rule combines; and all that waits for its people, when they have had as much as they can read.

    Each is looked for when it is asked for, so that what joined before is not found again. `free` is the number of
    free places of the line it leaves by.
    """
    queue, item, policy, reach, _ = chosen
    if item.batch:
        yield Reason.GROUPED, mergeable(queue, item, alike=lambda other: other.batch == item.batch)
    merge = policy.merge
    if merge and (queue.over_rate(merge, now) or (free == 1 and queue.size > 1)):
        yield Reason.OVER_RATE, mergeable(queue, item, alike=lambda other: other.group == item.group)
    load = [limit for limit in policy.routine if limit.per is Per.RECIPIENT]
    if reach and load and queue.size > 1 and domain.meter(reach.sender).spare(reach, load, now) <= 1:
        yield Reason.ALARM_LOAD, mergeable(queue, item)
