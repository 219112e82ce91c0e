"""Alerts of Prometheus and of Alertmanager: what Prometheus posts to `/api/v2/alerts`, and Alertmanager's webhook.

Sources: Alertmanager's OpenAPI document (api/v2/openapi.yaml, `postableAlert`) and prometheus.io, Alertmanager
configuration, `webhook_config` (version 4). The parameters of PrometheusAlert's address: its repository,
github.com/feiyu563/PrometheusAlert, controllers/prometheusalert.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal
from uuid import UUID

import msgspec

from andon.config.access import Bearer
from andon.core.alert_labels import RENAMED
from andon.core.event import ALERT, CLEAR, RAISE, STATE, Event
from andon.core.failure import Invalid
from andon.core.ids import Namespace
from andon.core.ports import Context, Inbound
from andon.core.reason import Reason
from andon.core.specimen import REFERENCE, SourceSpecimen
from andon.ingress.bodies import traceparent
from andon.ingress.bodies.randomness import Randomness
from andon.ingress.bodies.sent import check
from andon.ingress.bodies.strict import explain

MOST_ALERTS = 1_000
NAME, INSTANCE = "alertname", "instance"
_RESOLVED = "resolved"
_PARAMETERS = {"type": "prometheusalert_type", "tpl": "prometheusalert_tpl", "alertgroup": "prometheusalert_group"}
_MOST_PARAMETER = 128
_ids = Namespace(UUID("8a2c0f0e-5d0b-5c39-9f58-6e2f4f0b7d11"))
_canonical = msgspec.json.Encoder(order="sorted").encode


class Alert(msgspec.Struct, frozen=True):
    """One alert, as either of them writes it; `status` only in a webhook. What else there is is left out."""

    labels: dict[str, str]
    annotations: dict[str, str] = {}
    startsAt: datetime | None = None  # noqa: N815 - the names are theirs
    endsAt: datetime | None = None  # noqa: N815
    generatorURL: str = ""  # noqa: N815
    status: str = ""


class Webhook(msgspec.Struct, frozen=True):
    """What Alertmanager's webhook posts."""

    alerts: list[msgspec.Raw]
    receiver: str = ""
    externalURL: str = ""  # noqa: N815


class AlertmanagerSource:
    """Alerts as events: `prometheus.alert`, with the alert's labels, `state` raise or clear.

    Whoever sends an alert again, as both do until it ends, sends the same event: its id comes from the labels, the
    beginning and the state, and from what PrometheusAlert's address asks for: each of these was a notice of its own.
    """

    class Config(Bearer):
        """The token that Prometheus or Alertmanager shows (`authorization: {credentials: …}`, or `oauth2: …`)."""

        own_name: ClassVar = True

        may: tuple[Literal["mutes"], ...] = ()
        """What it may do beside telling of alerts: `mutes`, to see, create and end silences."""

    specimen: ClassVar = SourceSpecimen(
        {"token": REFERENCE},
        b'[{"labels":{"alertname":"Down","instance":"m7:9100","severity":"critical"},'
        b'"annotations":{"summary":"no answer"},"startsAt":"2023-11-14T22:00:00Z"}]',
    )

    def __init__(self, config: Config, context: Context) -> None:
        self.token, self.oauth = config.token, config.oauth
        self.may = config.may
        self._name = context.name
        self._clock = context.clock
        self._random = Randomness().take
        self._many = msgspec.json.Decoder(list[msgspec.Raw])
        self._hook = msgspec.json.Decoder(Webhook)
        self._one = msgspec.json.Decoder(Alert)

    def parse(self, inbound: Inbound, /) -> Sequence[Event]:
        """The events of all alerts, all or none. Raises Invalid (a Rejected)."""
        events = []
        for one in self.each(inbound):
            if isinstance(one, Invalid):
                raise one
            events.append(one)
        return events

    def each(self, inbound: Inbound) -> list[Event | Invalid]:
        """An answer for each alert, in order: a bad one takes no good one with it. Raises Invalid for what holds no
        alerts at all."""
        found: list[Event | Invalid] = []
        more = _asked(inbound.query)
        for number, raw in enumerate(self._alerts(inbound.body)):
            try:
                found.append(self._event(self._read(bytes(raw)), inbound, more))
            except Invalid as invalid:
                field = f"[{number}].{invalid.field}".removesuffix(".")
                found.append(Invalid(invalid.reason, invalid.detail, field))
        return found

    def _alerts(self, body: bytes) -> list[msgspec.Raw]:
        try:
            alerts = self._many.decode(body) if body.lstrip()[:1] == b"[" else self._hook.decode(body).alerts
        except (ValueError, RecursionError) as error:
            raise explain(body, error) from None
        if len(alerts) > MOST_ALERTS:
            raise Invalid(Reason.TOO_LARGE, f"at most {MOST_ALERTS:,} alerts, not {len(alerts):,}")
        return alerts

    def _read(self, raw: bytes) -> Alert:
        try:
            return self._one.decode(raw)
        except (ValueError, RecursionError) as error:
            raise explain(raw, error) from None

    def _event(self, alert: Alert, inbound: Inbound, more: dict[str, str]) -> Event:
        for name in ("startsAt", "endsAt"):
            moment = getattr(alert, name)
            if moment is not None and (moment.tzinfo is None or moment.year > 9998):
                raise Invalid(Reason.INVALID, "a time with a zone, before the year 9999", name)
        if not any(alert.labels.values()):
            raise Invalid(Reason.INVALID, "an alert has a label", "labels")
        alert = msgspec.structs.replace(alert, labels=alert.labels | more) if more else alert
        began = alert.startsAt if alert.startsAt and alert.startsAt.year > 1 else self._now()
        over = alert.endsAt if alert.endsAt and alert.endsAt.year > 1 else None
        ended = alert.status == _RESOLVED if alert.status else over is not None and over <= self._now()
        state = CLEAR if ended else RAISE
        subject = alert.labels.get(INSTANCE) or alert.labels.get(NAME) or self._name
        identity = str(_ids.id(_canonical((alert.labels, began.astimezone(UTC), state)).decode()))
        check(self._name, ALERT, subject, identity)
        trace = traceparent.accepted(inbound.headers.get("traceparent")) or traceparent.minted(self._random(24))
        at = over if ended and over else began
        labels = {**dict(_labels(alert.labels)), STATE: state}
        return Event(identity, self._name, ALERT, subject, at, _data(alert, began), labels, traceparent=trace)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now(), UTC)


def _asked(query: Mapping[str, str]) -> dict[str, str]:
    """The labels that the parameters of PrometheusAlert's address make: in what form, and for which group, it was to
    tell. Where to is not among them: an address of a robot is a secret, and is neither kept nor called.

    Raises Invalid.
    """
    found = {label: query[name] for name, label in _PARAMETERS.items() if query.get(name)}
    for name, label in _PARAMETERS.items():
        if len(text := found.get(label, "")) > _MOST_PARAMETER or not text.isprintable():
            raise Invalid(Reason.INVALID, f"at most {_MOST_PARAMETER} characters in one line", name)
    return found


def _labels(labels: dict[str, str]) -> Iterator[tuple[str, str]]:
    """The alert's labels; its own `state` gives way to ours, and goes on until its name is free, as Prometheus does
    with such."""
    for name, value in labels.items():
        called = RENAMED.get(name, name)
        while called != name and called in labels:
            called = f"exported_{called}"
        yield called, value


def _data(alert: Alert, began: datetime) -> dict[str, Any]:
    said: dict[str, Any] = {"annotations": alert.annotations, "startsAt": began.isoformat()}
    if alert.endsAt is not None and alert.endsAt.year > 1:
        said["endsAt"] = alert.endsAt.isoformat()
    return said | ({"generatorURL": alert.generatorURL} if alert.generatorURL else {})
