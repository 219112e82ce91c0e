"""Alerts at the door, as Prometheus and Alertmanager post them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from tests.component.ingress.stand import Stand, standing, unavailable

API, HOOK = "/api/v2/alerts", "/v1/alertmanager"
BEGAN, ENDED, FUTURE = "2026-03-01T08:30:00.123Z", "2026-03-01T08:40:00Z", "2100-01-01T00:00:00Z"
Case = Callable[[Stand], Coroutine[Any, Any, None]]


def alert(name: str = "Down", **more: Any) -> dict[str, Any]:
    return {"labels": {"alertname": name, "instance": "m7:9100", "severity": "critical"}, "startsAt": BEGAN} | more


def run(folder: Path, case: Case) -> None:
    async def inside() -> None:
        async with standing(folder) as stand:
            await case(stand)

    asyncio.run(inside())


async def post(stand: Stand, body: object, path: str = API) -> int:
    answer = await stand.post(body, path=path, authorization="Bearer scrape")
    return answer.status_code


def test_an_alert_is_one_event_until_it_ends_and_its_end_another(tmp_path: Path) -> None:
    async def case(stand: Stand) -> None:
        for ends in (FUTURE, "2100-01-01T00:01:00Z", "0001-01-01T00:00:00Z"):  # Prometheus moves the end on each time
            assert await post(stand, [alert(endsAt=ends, annotations={"summary": "no answer"})]) == 200
        assert await post(stand, [alert(endsAt=ENDED)] * 2) == 200
        raised, cleared = stand.log.events
        assert (raised.type, raised.subject, raised.source) == ("prometheus.alert", "m7:9100", "prometheus")
        labels = {"alertname": "Down", "instance": "m7:9100", "severity": "critical"}
        assert (raised.labels, cleared.labels) == ({**labels, "state": "raise"}, {**labels, "state": "clear"})
        assert raised.data["annotations"] == {"summary": "no answer"}
        assert (raised.time.isoformat(), cleared.time.isoformat()) == (
            "2026-03-01T08:30:00.123000+00:00",
            "2026-03-01T08:40:00+00:00",
        )

    run(tmp_path, case)


def test_a_webhook_says_the_same_as_prometheus_itself(tmp_path: Path) -> None:
    async def case(stand: Stand) -> None:
        hook = {"version": "4", "status": "firing", "receiver": "andon", "groupLabels": {}}
        alerts = [alert(status="firing", fingerprint="x"), alert("Hot", status="resolved", endsAt=FUTURE)]
        assert await post(stand, {**hook, "alerts": alerts}, HOOK) == 200
        assert await post(stand, [alert(endsAt=FUTURE)]) == 200
        assert [event.labels["state"] for event in stand.log.events] == ["raise", "clear"]

    run(tmp_path, case)


def test_a_bad_alert_takes_no_good_one_with_it_and_is_named(tmp_path: Path) -> None:
    async def case(stand: Stand) -> None:
        bad = [{"labels": {}}, {"labels": {"a": 1}}, {"annotations": {}}, alert(startsAt="yesterday"), 7]
        for number, one in enumerate(bad):
            answer = await stand.post([alert(f"good-{number}"), one], path=API, authorization="Bearer scrape")
            assert answer.status_code == 400
            assert answer.json()["field"].startswith("[1]"), answer.text
        assert [event.labels["alertname"] for event in stand.log.events] == [f"good-{n}" for n in range(len(bad))]

    run(tmp_path, case)


def test_a_label_state_of_the_alert_gives_way_to_ours(tmp_path: Path) -> None:
    async def case(stand: Stand) -> None:
        assert await post(stand, [{"labels": {"alertname": "Unit", "state": "failed"}, "startsAt": BEGAN}]) == 200
        (event,) = stand.log.events
        assert event.labels == {"alertname": "Unit", "exported_state": "failed", "state": "raise"}
        assert event.subject == "Unit"

    run(tmp_path, case)


def test_no_label_is_lost_where_the_name_of_another_is_taken(tmp_path: Path) -> None:
    async def case(stand: Stand) -> None:
        both = {"alertname": "Unit", "state": "Bayern", "exported_state": "failed"}  # as Prometheus itself makes them
        assert await post(stand, [{"labels": both, "startsAt": BEGAN}]) == 200
        (event,) = stand.log.events
        assert event.labels == {
            "alertname": "Unit",
            "exported_exported_state": "Bayern",
            "exported_state": "failed",
            "state": "raise",
        }

    run(tmp_path, case)


def test_without_kafka_it_is_503_and_the_same_again_is_taken(tmp_path: Path) -> None:
    async def case(stand: Stand) -> None:
        stand.log.answers = [unavailable()]
        assert await post(stand, [alert()]) == 503
        assert await post(stand, [alert()]) == 200
        assert len(stand.log.events) == 1

    run(tmp_path, case)


@pytest.mark.parametrize(
    ("path", "token", "body", "status"),
    [
        (API, "alpha", [alert()], 403),
        (API, "nobody", [alert()], 401),
        ("/v1/events", "scrape", {"type": "t"}, 403),
        ("/v1/events:batch", "scrape", [{"type": "t"}], 403),
        (API, "scrape", b"[", 400),
        (API, "scrape", b"{}", 400),
        (HOOK, "scrape", b"[" * 100_000, 400),
        (HOOK, "scrape", {"alerts": [alert(str(number)) for number in range(1_001)]}, 413),
    ],
)
def test_what_is_refused(tmp_path: Path, path: str, token: str, body: object, status: int) -> None:
    async def case(stand: Stand) -> None:
        answer = await stand.post(body, path=path, authorization=f"Bearer {token}")
        assert answer.status_code == status, answer.text
        assert not stand.log.events

    run(tmp_path, case)


ROBOT = "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=SECRET-KEY"
URL = f"/prometheusalert?type=wx&tpl=prometheus-wx&wxurl={ROBOT}&at=wang&phone=138"


def test_the_address_of_prometheusalert_is_taken_with_what_it_asks_for(tmp_path: Path) -> None:
    async def case(stand: Stand) -> None:
        body = {"version": "4", "receiver": "wx", "alerts": [alert(status="firing", fingerprint="x")]}
        for _ in range(2):
            assert await post(stand, body, URL) == 200
        (event,) = stand.log.events
        asked = {"prometheusalert_type": "wx", "prometheusalert_tpl": "prometheus-wx"}
        assert event.labels == alert()["labels"] | asked | {"state": "raise"}
        assert "SECRET-KEY" not in repr(event)
        assert "138" not in repr(event.labels)
        # Another address there was another notice; the plain hook says nothing of either.
        assert await post(stand, body, "/prometheusalert?type=dd&tpl=%E9%92%89%E9%92%89&alertgroup=dba") == 200
        assert await post(stand, body, HOOK) == 200
        _, other, plain = stand.log.events
        assert (other.labels["prometheusalert_tpl"], other.labels["prometheusalert_group"]) == ("钉钉", "dba")
        assert plain.labels == alert()["labels"] | {"state": "raise"}

    run(tmp_path, case)


@pytest.mark.parametrize(
    ("query", "token", "body", "status"),
    [
        ("?type=wx", "", {"alerts": [alert()]}, 401),
        ("?type=wx", "alpha", {"alerts": [alert()]}, 403),
        ("?type=wx", "scrape", {"title": "a message of Grafana"}, 400),
        ("?type=wx", "scrape", {"alerts": [{"labels": {}}]}, 400),
        ("?tpl=" + "x" * 129, "scrape", {"alerts": [alert()]}, 400),
        ("?tpl=a%0Ab", "scrape", {"alerts": [alert()]}, 400),
        ("", "scrape", {"alerts": [alert()]}, 200),
        ("?type=&tpl", "scrape", {"alerts": [alert()]}, 200),
    ],
)
def test_what_prometheusalerts_address_refuses(
    tmp_path: Path, query: str, token: str, body: object, status: int
) -> None:
    async def case(stand: Stand) -> None:
        shown = f"Bearer {token}" if token else ""
        answer = await stand.post(body, path=f"/prometheusalert{query}", authorization=shown)
        assert answer.status_code == status, answer.text
        assert len(stand.log.events) == (status == 200)
        if "tpl=" in query and status == 400:
            assert answer.json()["field"] == "tpl"

    run(tmp_path, case)
