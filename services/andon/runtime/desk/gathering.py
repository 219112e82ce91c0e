"""What leaves together with the item whose turn it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial

from andon.core.outcome import Skipped
from andon.core.policy import Per
from andon.core.reason import Reason
from andon.core.work import Item
from andon.runtime.desk.domain import Choice, Domain
from andon.runtime.desk.queue import Queue, crowd, mergeable, whole
from andon.runtime.desk.work import Held, Work


def companions(
    domain: Domain, chosen: Choice, free: int, now: float, *, stormed: bool = False
) -> Iterator[tuple[Reason, list[Item]]]:
    """The waiting items that may become part of the chosen one, and why: the others of its group; the others of its
    storm, if it had to wait for that (`stormed`); above the rate of the merge rule what the rule combines; and all that
    waits for its people, when they have had as much as they can read.

    Each is looked for when it is asked for, so that what joined before is not found again. `free` is the number of
    free places of the line it leaves by.
    """
    queue, item, policy, reach, _ = chosen
    if item.batch and (flock := item.flock):
        yield Reason.GROUPED, mergeable(queue, item, alike=partial(_is_of, flock))
    if stormed:
        storm = item.storm
        yield Reason.STORM, mergeable(queue, item, alike=lambda other: other.storm == storm)
    merge = policy.merge
    if merge and (queue.over_rate(merge, now) or (free == 1 and queue.size > 1)):
        yield Reason.OVER_RATE, mergeable(queue, item, alike=lambda other: other.group == item.group)
    load = [limit for limit in policy.routine if limit.per is Per.RECIPIENT]
    if reach and load and queue.size > 1 and domain.meter(reach.sender).spare(reach, load, now) <= 1:
        yield Reason.ALARM_LOAD, mergeable(queue, item)


def _is_of(flock: str, item: Item) -> bool:
    """Whether the item is of this group; asked about all that wait, so what is cheap goes first."""
    return item.batch is not None and item.batch.endswith(flock) and item.flock == flock


def crowded(queue: Queue) -> list[Item]:
    """What of a full queue becomes one: of the audience for which most waits, its storm where that is most of it, so
    that it takes nothing else along; otherwise all."""
    audience = crowd(queue)
    joined = mergeable(queue, None, audience=audience, alike=lambda item: not item.apart)
    storm, size = Counter(item.storm for item in joined).most_common(1)[0] if joined else ("", 0)
    if storm and 2 * size > len(joined):
        alone = mergeable(queue, None, audience=audience, alike=lambda item: item.storm == storm)
        if 2 * len(alone) > len(joined):
            return alone
    return joined


def may_join(domain: Domain, work: Work, item: Item, now: float) -> bool:
    """Whether an item could have a call of its own now, to all of its people: then another's call may tell them."""
    queue, policy = domain.queue(item.queue), work.policy(item.queue)
    first = queue.lanes[item.lane][0] is item and item.lane not in queue.busy
    if not first or item.entries or item.carried or not whole(item) or queue.paced(policy.merge, now) > now:
        return False
    if isinstance(work.turn(item, queue.behind(item), now), Held | Skipped):
        return False
    reach = work.reach(item)
    told, _ = domain.meter(reach.sender).open(reach, (*policy.people, *policy.routine), now)
    return told == reach.recipients and not reach.wide
