"""Alertmanager's silence API at the door: a silence is a mute, and what a mute cannot say is refused in a sentence."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from uuid import NAMESPACE_URL, uuid5

import httpx2
import msgspec
import pytest

from andon.core.event import Home
from andon.core.matchers import Matcher, OnLabel, compile_matchers
from andon.core.mute import Mute
from andon.core.ticket import EpisodeRecord
from andon.ingress.muting import active
from andon.ingress.muting.active import Active, Wanted, fingerprint
from andon.ingress.muting.mutes import PublishedConfiguration
from andon.ingress.muting.silences import Known
from andon.kafka.connection import Connection
from andon.kafka.producer import Publisher
from andon.kafka.records import Record
from tests.component.ingress.stand import PLANT, FakeConfiguration, Stand, standing

PATH = "/api/v2/silences"
MINE, OTHERS = {"authorization": "Bearer panel"}, {"authorization": "Bearer scrape"}
HOT = {"name": "alertname", "value": "Hot", "isRegex": False, "isEqual": True}
EPISODES = {
    "episodes": {"alerts": {"key": ["subject", "alertname"], "ticket_system": "it"}},
    "receivers": {"it": {"channel": "mail"}, "值班": {"channel": "mail"}},
}


def opened(name: str, **labels: str) -> EpisodeRecord:
    began = datetime(2026, 3, 1, 8, 30, tzinfo=UTC)
    said = {"alertname": name, "state": "raise"} | labels
    key = f"{labels.get('instance', name)}/{name}"
    own = {"source": "prometheus", "type": "prometheus.alert", "labels": said}
    return EpisodeRecord(uuid5(NAMESPACE_URL, key), key, 1, "raised", began, "e1", name, **own)  # type: ignore[arg-type]


def at(hours: float) -> str:
    """A time that many hours from now, as Alertmanager's clients write it."""
    return (datetime.now(UTC) + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def silence(**more: Any) -> dict[str, Any]:
    """As amtool 0.25 posts one."""
    said = {"matchers": [HOT], "startsAt": at(0), "endsAt": at(2), "createdBy": "wang", "comment": "换轴承"}
    return said | more


def at_door(folder: Path, test: Callable[[Stand], Awaitable[None]]) -> None:
    async def run() -> None:
        async with standing(folder) as stand:
            await test(stand)

    asyncio.run(run())


async def post(stand: Stand, body: object, token: str = "panel") -> httpx2.Response:
    return await stand.post(body, path=PATH, authorization=f"Bearer {token}")


async def put(stand: Stand, body: object) -> str:
    answer = await post(stand, body)
    assert answer.status_code == 200, answer.text
    which: str = answer.json()["silenceID"]
    return which


async def shown(stand: Stand, query: str = "") -> list[dict[str, Any]]:
    answer = await stand.client.get(PATH + query, headers=MINE)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found


def test_a_silence_is_a_mute_that_is_told_in_a_digest(tmp_path: Path) -> None:
    async def test(stand: Stand) -> None:
        assert await put(stand, silence()) == "m2"
        (mute,) = stand.configuration.mutes()
        assert (mute.matchers, mute.creator, mute.why, mute.then) == (('alertname="Hot"',), "wang", "换轴承", "digest")
        (one,) = await shown(stand)
        assert one == (await stand.client.get("/api/v2/silence/m2", headers=MINE)).json()
        assert (one["id"], one["status"], one["matchers"]) == ("m2", {"state": "active"}, [HOT])
        assert (one["createdBy"], one["comment"]) == ("wang", "换轴承")
        assert set(one) == {"id", "status", "updatedAt", "matchers", "startsAt", "endsAt", "createdBy", "comment"}
        ended = await stand.client.delete("/api/v2/silence/m2", headers=MINE)
        assert (ended.status_code, stand.configuration.mutes()) == (200, ())
        (one,) = await shown(stand)
        assert one["status"] == {"state": "expired"}
        assert datetime.fromisoformat(one["endsAt"]) <= datetime.now(UTC)
        assert (await stand.client.delete("/api/v2/silence/m2", headers=MINE)).status_code == 404

    at_door(tmp_path, test)


MATCHERS: list[tuple[dict[str, Any], str]] = [
    ({"name": "a", "value": "x", "isRegex": False}, 'a="x"'),
    ({"name": "a", "value": "x", "isRegex": False, "isEqual": False}, 'a!="x"'),
    ({"name": "a", "value": "x|y", "isRegex": True}, 'a=~"x|y"'),
    ({"name": "a", "value": "x", "isRegex": True, "isEqual": False}, 'a!~"x"'),
    ({"name": "a", "value": 'q"\\', "isRegex": False}, r'a="q\"\\"'),
    ({"name": "data.x", "value": "1", "isRegex": False}, '"data.x"="1"'),
    ({"name": "state", "value": "failed", "isRegex": False}, 'exported_state="failed"'),
]


def test_each_kind_of_matcher_says_the_same_there_and_back(tmp_path: Path) -> None:
    async def test(stand: Stand) -> None:
        for matcher, text in MATCHERS:
            which = await put(stand, silence(matchers=[HOT, matcher]))
            assert stand.configuration.mutes()[-1].matchers == ('alertname="Hot"', text)
            one = (await stand.client.get(f"/api/v2/silence/{which}", headers=MINE)).json()
            name = {"state": "exported_state"}.get(matcher["name"], matcher["name"])
            assert one["matchers"] == [HOT, {"isEqual": True} | matcher | {"name": name}]

    at_door(tmp_path, test)


def test_an_update_is_the_same_silence_unless_it_takes_something_else(tmp_path: Path) -> None:
    async def test(stand: Stand) -> None:
        await put(stand, silence())
        (one,) = await shown(stand)
        began = one["startsAt"][:23] + "Z"  # amtool keeps milliseconds
        assert await put(stand, silence(id="m2", startsAt=began, endsAt=at(4), comment="再等等")) == "m2"
        (mute,) = stand.configuration.mutes()
        assert (mute.id, mute.why, mute.begins.isoformat()) == ("m2", "再等等", one["startsAt"].replace("Z", "+00:00"))
        assert mute.ends > datetime.now(UTC) + timedelta(hours=3)
        # What is read may be written as it is, with its status.
        (one,) = await shown(stand)
        assert await put(stand, one) == "m2"
        assert await put(stand, silence(id="m2", startsAt=began, matchers=[HOT | {"value": "Cold"}])) == "m5"
        assert [(each.id, each.matchers) for each in stand.configuration.mutes()] == [("m5", ('alertname="Cold"',))]
        assert [(each["id"], each["status"]["state"]) for each in await shown(stand)] == [
            ("m5", "active"),
            ("m2", "expired"),
        ]
        assert await put(stand, silence(id="m5", startsAt=at(1), matchers=[HOT | {"value": "Cold"}])) == "m6"

    at_door(tmp_path, test)


def test_what_is_over_is_made_anew_under_an_id_of_its_own(tmp_path: Path) -> None:
    async def test(stand: Stand) -> None:
        await put(stand, silence(comment="first"))
        await stand.client.delete("/api/v2/silence/m2", headers=MINE)
        assert await put(stand, silence(id="m2", comment="again")) == "m4"
        assert [(each["id"], each["comment"], each["status"]["state"]) for each in await shown(stand)] == [
            ("m4", "again", "active"),
            ("m2", "first", "expired"),
        ]

    at_door(tmp_path, test)


def test_a_silence_of_later_is_pending_and_may_be_moved(tmp_path: Path) -> None:
    async def test(stand: Stand) -> None:
        await put(stand, silence(startsAt=at(1), endsAt=at(3)))
        assert [one["status"]["state"] for one in await shown(stand)] == ["pending"]
        assert await put(stand, silence(id="m2", startsAt=at(2), endsAt=at(3))) == "m2"
        assert stand.configuration.mutes()[0].begins > datetime.now(UTC) + timedelta(hours=1.5)
        assert (await stand.client.delete("/api/v2/silence/m2", headers=MINE)).status_code == 200
        (one,) = await shown(stand)
        assert (one["status"]["state"], one["startsAt"]) == ("expired", one["endsAt"]), "it never began"
        assert datetime.fromisoformat(one["endsAt"]) <= datetime.now(UTC)

    at_door(tmp_path, test)


def test_a_mute_that_alertmanager_has_no_words_for_is_shown_and_stays_as_it_is(tmp_path: Path) -> None:
    async def test(stand: Stand) -> None:
        texts = ["data.temperature > 90", 'type="prometheus.alert"', 'line in [L3, "L4"]', 'state="raise"']
        answer = await stand.post({"matchers": texts, "for": "2h", "why": "x", "then": "drop"}, path="/v1/mutes")
        assert answer.status_code == 201, answer.text
        (one,) = await shown(stand)
        assert [(each["name"], each["value"], each["isRegex"]) for each in one["matchers"]] == [
            ("data.temperature>90", "", False),
            ("type", "prometheus.alert", False),
            ("line", "L3|L4", True),
            ("state", "raise", False),
        ]
        assert await put(stand, one | {"endsAt": at(5), "id": "m2"}) == "m2"
        (mute,) = stand.configuration.mutes()
        assert (mute.matchers, mute.then) == (tuple(texts), "drop")
        assert await put(stand, one | {"matchers": [*one["matchers"], HOT], "id": "m2"}) == "m4"
        (mute,) = stand.configuration.mutes()
        assert mute.matchers == ("data.temperature>90", *texts[1:], 'alertname="Hot"')

    at_door(tmp_path, test)


REFUSED: list[tuple[Any, int, str]] = [
    (b"{", 400, ""),
    (silence(colour=1), 400, "colour"),
    (silence(matchers=[]), 400, "matchers: 1 to 20 matchers"),
    (silence(matchers=[HOT | {"name": ""}]), 400, "matchers: "),
    (silence(matchers=[HOT | {"value": "["} | {"isRegex": True}]), 400, "matchers: the pattern cannot be read"),
    (silence(matchers=[HOT | {"value": ""}]), 400, "matchers: it would mute everything"),
    (silence(matchers=[HOT | {"name": "subject"}]), 400, "matchers[0].name: `subject` is what the event is about"),
    (silence(comment=""), 400, "comment: a mute needs a reason"),
    (silence(comment="a\nb"), 400, "comment: at most"),
    (silence(createdBy="a\nb"), 400, "createdBy: at most"),
    (silence(endsAt=at(-1)), 400, "endsAt: "),
    (silence(endsAt=at(24 * 400)), 400, "endsAt: a mute lasts 366 days at most"),
    (silence(startsAt="2026-01-01T00:00:00"), 400, "startsAt"),
    (silence(startsAt="0001-01-01T00:00:00+08:00"), 400, "startsAt"),
    (silence(endsAt="9999-12-31T23:59:59-08:00"), 400, "endsAt"),
    ({"matchers": [HOT]}, 400, "'startsAt' is required"),
    (silence(id="m9"), 404, "there is no mute m9 that is not over"),
    (silence(id=7), 400, "id: "),
    (silence(status=json.loads("[" * 200 + "]" * 200)), 400, "nested deeper than 64 levels"),
]


def test_what_a_mute_cannot_say_is_refused_in_one_sentence(tmp_path: Path) -> None:
    async def test(stand: Stand) -> None:
        for body, status, said in REFUSED:
            answer = await post(stand, body)
            assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json"), answer.text
            assert isinstance(answer.json(), str)
            assert said in answer.json()
        assert stand.configuration.mutes() == ()
        assert [one.done for one in stand.configuration.actions] == [False] * len(REFUSED)

    at_door(tmp_path, test)


def test_silences_are_filtered_by_their_own_matchers_and_creators(tmp_path: Path) -> None:
    async def test(stand: Stand) -> None:
        await put(stand, silence())
        await put(stand, silence(createdBy="li", matchers=[HOT | {"value": "Cold"}]))

        async def found(query: str) -> list[str]:
            return [one["id"] for one in await shown(stand, query)]

        assert await found('?filter=alertname="Hot"') == ["m2"]
        assert await found("?filter=alertname=~.*o.*&filter=alertname!=Hot") == ["m3"]
        assert await found("?filter=line=L3") == []
        assert await found("?creator=li") == ["m3"]
        assert await found("?creator=li&creator=wang") == ["m2", "m3"]
        for query in ("?filter=%7B", "?filter=data.x>1"):
            answer = await stand.client.get(PATH + query, headers=MINE)
            assert (answer.status_code, answer.json()[:7]) == (400, "filter:")

    at_door(tmp_path, test)


def test_only_a_client_that_may_mute_sees_or_changes_anything(tmp_path: Path) -> None:
    async def test(stand: Stand) -> None:
        names = ("silences", "silence/m1", "status", "receivers", "alerts", "alerts/groups")
        for headers, status in ((OTHERS, 403), ({}, 401)):
            answers = [await stand.client.get(f"/api/v2/{name}", headers=headers) for name in names]
            answers.append(await stand.client.delete("/api/v2/silence/m1", headers=headers))
            answers.append(await stand.client.post(PATH, json=silence(), headers=headers))
            assert [answer.status_code for answer in answers] == [status] * 8
            assert all(isinstance(answer.json(), str) for answer in answers)
        assert stand.configuration.mutes() == ()
        assert [one.done for one in stand.configuration.actions] == [False] * 8
        assert "may: [mutes]" in stand.configuration.actions[0].why

    at_door(tmp_path, test)


def test_without_kafka_nothing_is_said_to_be_done(tmp_path: Path) -> None:
    async def test(stand: Stand) -> None:
        stand.configuration.failing = True
        answers = [await post(stand, silence()), await post(stand, silence(id="m2"))]
        answers += [await stand.client.get(path, headers=MINE) for path in (PATH, "/api/v2/alerts", "/api/v2/status")]
        answers.append(await stand.client.delete("/api/v2/silence/m1", headers=MINE))
        assert [answer.status_code for answer in answers] == [503] * 6
        assert all(answer.headers["retry-after"] for answer in answers)

    at_door(tmp_path, test)


def test_alerts_are_the_open_episodes_and_nothing_is_said_where_there_is_no_rule(tmp_path: Path) -> None:
    async def test(stand: Stand) -> None:
        answer = await stand.client.get("/api/v2/alerts", headers=MINE)
        assert (answer.status_code, "episodes" in answer.json()) == (404, True)
        stand.configuration.configure(EPISODES)
        assert (await stand.client.get("/api/v2/alerts/groups", headers=MINE)).json() == []
        stand.open = [opened("Hot", instance="m8", severity="major")]
        (alert,) = (await stand.client.get("/api/v2/alerts", headers=MINE)).json()
        labels = {"alertname": "Hot", "instance": "m8", "severity": "major"}
        assert alert == {
            "labels": labels,
            "annotations": {},
            "receivers": [],
            "startsAt": "2026-03-01T08:30:00Z",
            "updatedAt": "2026-03-01T08:30:00Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "fingerprint": fingerprint(labels),
            "status": {"state": "active", "silencedBy": [], "inhibitedBy": []},
            "generatorURL": "",
        }
        (group,) = (await stand.client.get("/api/v2/alerts/groups", headers=MINE)).json()
        assert (group["labels"], group["receiver"], group["alerts"]) == ({}, {"name": "andon"}, [alert])
        which = await put(stand, silence())

        async def found(query: str) -> Any:
            return (await stand.client.get(f"/api/v2/alerts?{query}", headers=MINE)).json()

        assert [one["status"] for one in await found("")] == [
            {"state": "suppressed", "silencedBy": [which], "inhibitedBy": []}
        ]
        assert await found("silenced=false") == []
        assert len(await found("active=false&inhibited=false&unprocessed=false")) == 1
        assert await found("filter=severity=critical") == []
        assert len(await found("filter=severity=major&filter=line!=L3")) == 1
        assert (await found("silenced=perhaps"))[:9] == "silenced:"
        assert (await found("receiver=it"))[:9] == "receiver:"

    at_door(tmp_path, test)


def test_an_episode_that_cannot_be_read_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    there = [(b"a", msgspec.json.encode(opened("Hot"))), (b"b", b'{"newer": true}'), (b"c", b"{}"), (b"c", b"")]

    class Topic:
        def __init__(self, _: Connection) -> None: ...

        def partitions(self) -> dict[str, int]:
            return {"andon.active": 1}

        def beginnings(self, homes: Sequence[Home]) -> dict[Home, int]:
            return dict.fromkeys(homes, 0)

        def ends(self, homes: Sequence[Home]) -> dict[Home, int]:
            return dict.fromkeys(homes, len(there))

        def stretch(self, *_: object) -> list[Record]:
            return [Record("andon.active", 0, at, 0, key, value) for at, (key, value) in enumerate(there)]

        def close(self) -> None: ...

    monkeypatch.setattr(active, "Scan", Topic)
    assert active.open_episodes(Connection("b")) == [opened("Hot")]


def test_the_loop_goes_on_while_alerts_are_held_against_mutes_and_a_mute_is_compiled_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compiled: list[Sequence[str]] = []
    threads: set[int] = set()

    def counted(texts: Sequence[str]) -> tuple[Matcher, ...]:
        compiled.append(texts)
        threads.add(threading.get_ident())
        return compile_matchers(texts)

    def fits(_: str) -> bool:
        threads.add(threading.get_ident())
        return True

    monkeypatch.setattr(active, "compile_matchers", counted)
    now = datetime.now(UTC)
    mutes = [
        Mute(f"m{number}", (f'instance=~"m{number}.*"',), now, now + timedelta(hours=hours), "wang", "x")
        for number, hours in ((2, 1), (3, 1), (4, 0))
    ]
    configuration = FakeConfiguration()
    configuration.configure(EPISODES, tuple(mutes))
    asked = Active(lambda: [opened("Hot", instance=f"m{number}") for number in range(20)])
    wanted = Wanted((OnLabel("instance", "=", ("",), fits),))
    alerts = asyncio.run(asked.alerts(configuration.newest(), now, wanted))
    by = {one.labels["instance"]: one.status.silencedBy for one in alerts}
    assert (len(by), by["m2"], by["m3"], by["m4"]) == (20, ("m2",), ("m3",), ())
    assert compiled == [mute.matchers for mute in mutes[:2]], "each that holds now, whatever is open"
    assert threading.get_ident() not in threads


def test_status_and_receivers_say_what_there_is(tmp_path: Path) -> None:
    async def test(stand: Stand) -> None:
        stand.configuration.configure(EPISODES)
        assert (await stand.client.get("/api/v2/receivers", headers=MINE)).json() == [{"name": "it"}, {"name": "值班"}]
        status = (await stand.client.get("/api/v2/status", headers=MINE)).json()
        assert status["cluster"] == {"status": "disabled"}
        assert set(status["versionInfo"]) == {"version", "revision", "branch", "buildUser", "buildDate", "goVersion"}
        assert status["config"]["original"].endswith(
            'route:\n  receiver: "it"\nreceivers:\n- name: "it"\n- name: "值班"\n'
        )
        assert datetime.fromisoformat(status["uptime"]) <= datetime.now(UTC)

    at_door(tmp_path, test)


def test_other_methods_are_named(tmp_path: Path) -> None:
    async def test(stand: Stand) -> None:
        for path, allowed in ((PATH, "GET, POST"), ("/api/v2/silence/m1", "GET, DELETE"), ("/api/v2/status", "GET")):
            answer = await stand.client.put(path, headers=MINE)
            assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
        answer = await stand.client.put("/api/v2/alerts", headers=MINE)
        assert answer.headers["allow"] == "POST, GET"

    at_door(tmp_path, test)


def test_a_fingerprint_is_prometheus_own() -> None:
    """As Alertmanager 0.25 shows these labels."""
    assert fingerprint({"alertname": "Hot", "instance": "m8", "severity": "major"}) == "cd5b3765d8738419"


def test_a_silence_ended_with_the_first_version_without_it_whether_or_not_anybody_asked_meanwhile(
    tmp_path: Path,
) -> None:
    async def test(stand: Stand) -> None:
        await put(stand, silence())
        assert len(await shown(stand)) == 1
        stand.configuration.configure({})
        ended = stand.configuration.newest().at
        stand.configuration.configure({})
        (one,) = await shown(stand)
        assert datetime.fromisoformat(one["endsAt"]) == datetime.fromisoformat(one["updatedAt"]) == ended

    at_door(tmp_path, test)


def test_who_follows_the_configuration_is_told_of_each_version_and_of_none_twice() -> None:
    first = FakeConfiguration().newest()
    configuration = PublishedConfiguration(Connection("b"), cast("Publisher", None), first)
    told: list[int] = []
    configuration.follow(lambda published: told.append(published.version))
    for version in (1, 2, 2, 1, 3):
        configuration.take(replace(first, version=version))
    assert told == [1, 2, 3]


def test_what_is_over_is_known_for_five_days_and_never_grows_without_bound() -> None:
    configuration, known = FakeConfiguration(), Known()
    now = datetime.now(UTC)
    mute = Mute("m2", ("a=b",), now, now + timedelta(hours=1), "wang", "x")
    configuration.configure(PLANT, (mute,))
    assert known.take(configuration.newest(), now) == [(mute, configuration.newest().at)]
    configuration.configure(PLANT, ())
    ((ended, _),) = known.take(configuration.newest(), now)
    assert ended.ends <= datetime.now(UTC)
    assert known.take(configuration.newest(), now + timedelta(days=5, minutes=1)) == []
