"""What a desk shows of its state as metrics."""

from __future__ import annotations

from math import inf

from andon.runtime.desk.desk import Desk
from andon.runtime.desk.work import Work
from andon.runtime.metrics import Metrics


class DeskGauges:
    """Queue depth, oldest open item, quotas and use of limits; the channel of a queue that once was stays shown."""

    def __init__(self, desk: Desk, work: Work, metrics: Metrics) -> None:
        self._desk = desk
        self._work = work
        self._metrics = metrics
        self._channels: set[str] = set()

    def refresh(self, now: float) -> None:
        """Sets the gauges to how things stand."""
        depth: dict[str, int] = dict.fromkeys(self._channels, 0)
        oldest: dict[str, float] = {}
        for queue in self._desk.queues():
            channel = self._work.policy(queue.name).channel
            depth[channel] = max(depth.get(channel, 0), queue.size)
            oldest[channel] = min(oldest.get(channel, inf), queue.oldest())
        for channel, size in depth.items():
            self._metrics.queue_depth.labels(channel).set(size)
            self._metrics.oldest_open.labels(channel).set(max(0.0, now - oldest.get(channel, inf)))
        # Of a domain that was handed over another process tells, and the last value shown here would stay for ever.
        for gauge in (self._metrics.quota_left, self._metrics.quota_runs_out, self._metrics.limit_utilisation):
            gauge.clear()
        for _, channel, quota in self._desk.quotas(now):
            self._metrics.quota_left.labels(channel).set(quota.left / quota.total)
            self._metrics.quota_runs_out.labels(channel).set(quota.out - now)
        for kind, share in self._desk.utilisation(now).items():
            self._metrics.limit_utilisation.labels(kind).set(share)
        self._channels |= depth.keys()
