"""Every metric of Andon, in one place. No label is ever a person, a receiver or an id."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_LATENCY_S = (0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.4, 0.6, 1, 2, 5, 10, 30, 60, 300, 1800)


class Metrics:
    """The metrics of one process. Registered in a registry of their own, so tests can hold several."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._gauges: list[Callable[[], None]] = []
        r = self.registry
        accepted = Counter("andon_events_accepted", "Events answered with 202.", ["source"], registry=r)
        self._refused = Counter("andon_refused", "Requests refused at the door.", ["reason"], registry=r)
        self._left_out = Counter("andon_left_out", "Events that the map of a source left out.", ["source"], registry=r)
        records = Counter("andon_records", "Records that left a service.", ["service", "outcome", "reason"], registry=r)
        deliveries = Counter(
            "andon_deliveries", "Deliveries with a final outcome.", ["channel", "outcome", "reason"], registry=r
        )
        remarks = Counter("andon_remarks", "What routing could not do as it is configured.", ["reason"], registry=r)
        attempts = Counter("andon_attempts", "Calls to the outside.", ["channel", "reason"], registry=r)
        self.window_in_flight = Gauge("andon_window_in_flight", "Records in work.", ["service"], registry=r)
        self.window_cap = Gauge("andon_window_cap", "Most records in work.", ["service"], registry=r)
        self.config_version = Gauge(
            "andon_config_version", "Version of the configuration in force.", ["service"], registry=r
        )
        self.queue_depth = Gauge("andon_queue_depth", "Open items of the fullest queue.", ["channel"], registry=r)
        self.oldest_open = Gauge("andon_oldest_open_seconds", "Age of the oldest open item.", ["channel"], registry=r)
        self.consumer_lag = Gauge(
            "andon_consumer_lag", "Offsets not yet taken in; markers count.", ["topic", "partition"], registry=r
        )
        self.undecided = Gauge(
            "andon_undecided_seconds",
            "For how long an open transaction has held up what stands behind it, longest.",
            ["topic"],
            registry=r,
        )
        end_to_end = Histogram(
            "andon_end_to_end_seconds",
            "From acceptance to delivery.",
            ["channel"],
            buckets=_LATENCY_S,
            registry=r,
        )
        self.breaker_state = Gauge("andon_breaker_state", "0 closed, 1 trying, 2 open.", ["target"], registry=r)
        self.limit_utilisation = Gauge(
            "andon_limit_utilisation", "Share of the vendor's limit in use, highest.", ["domain_kind"], registry=r
        )
        self.quota_left = Gauge(
            "andon_quota_left_ratio", "Share of the channel's quota by the day that is left.", ["channel"], registry=r
        )
        self.quota_runs_out = Gauge(
            "andon_quota_runs_out_seconds",
            "Until the quota is used up at the pace of the last hour; +Inf when it lasts.",
            ["channel"],
            registry=r,
        )
        self._missing = Counter(
            "andon_fields_missing", "Fields of templates that were not there, in notices.", ["channel"], registry=r
        )
        self._heartbeats = Counter(
            "andon_heartbeats", "Signs of life to the monitor of watch.heartbeat.", ["outcome"], registry=r
        )
        # Finding a label's counter takes longer than counting, and each delivery counts in four places.
        self._accept = cache(accepted.labels)
        self._record = cache(records.labels)
        self._delivery = cache(deliveries.labels)
        self._remark = cache(remarks.labels)
        self._attempt = cache(attempts.labels)
        self._delivered = cache(end_to_end.labels)

    def refresh(self, gauge: Callable[[], None]) -> None:
        """Calls `gauge` before each time the metrics are read."""
        self._gauges.append(gauge)

    def text(self) -> bytes:
        """The metrics in Prometheus' text format."""
        for gauge in self._gauges:
            gauge()
        return generate_latest(self.registry)

    def accepted(self, source: str, count: int = 1) -> None:
        self._accept(source).inc(count)

    def refused(self, reason: str, count: int = 1) -> None:
        self._refused.labels(reason).inc(count)

    def left_out(self, source: str, count: int = 1) -> None:
        self._left_out.labels(source).inc(count)

    def record(self, service: str, outcome: str, reason: str, count: int = 1) -> None:
        self._record(service, outcome, reason).inc(count)

    def delivery(self, channel: str, outcome: str, reason: str) -> None:
        self._delivery(channel, outcome, reason).inc()

    def remarked(self, reason: str) -> None:
        self._remark(reason).inc()

    def attempt(self, channel: str, reason: str) -> None:
        self._attempt(channel, reason).inc()

    def heartbeat(self, outcome: str) -> None:
        self._heartbeats.labels(outcome).inc()

    def fields_missing(self, channel: str, count: int) -> None:
        self._missing.labels(channel).inc(count)

    def delivered_after(self, channel: str, seconds: float) -> None:
        self._delivered(channel).observe(seconds)
