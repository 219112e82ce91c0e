"""A real system, looked into: what happened to an event, what was parked and sent again, and offsets that were lost."""

from __future__ import annotations

import asyncio
import json
import uuid
from functools import partial
from typing import Any

import pytest

from andon.core.event import Home
from andon.kafka.admin import Cluster
from andon.kafka.producer import Publisher
from andon.kafka.reader import BEGINNING, TopicReader
from andon.kafka.records import Outgoing
from andon.kafka.topics import DELIVERIES, DLQ, ENRICHED, EVENTS
from andon.runtime import dlq, parked
from tests.integration.trace.conftest import Command
from tests.integration.trace.world import SERVICES, World, until

pytestmark = [pytest.mark.kafka, pytest.mark.xdist_group("trace")]

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


def fault(**changes: Any) -> dict[str, Any]:
    labels = {"line": "L3", "severity": "major", "state": "raise"}
    whole = {
        "id": f"e-{uuid.uuid4()}",
        "type": "fault",
        "subject": "M-07",
        "data": {"message": "主轴过热"},
        "labels": labels,
    }
    return whole | changes


@pytest.fixture
def traced(world: World, andon: Command) -> Any:
    """`andon trace`, asked again until the event has come so far."""

    def trace(event: str, state: str = "delivered", *more: str) -> dict[str, Any]:
        def there() -> dict[str, Any] | None:
            code, out, _ = andon("trace", event, "--json", *(more or world.common))
            found: dict[str, Any] = json.loads(out) if code == 0 else {}
            ends = [one["state"] for one in found.get("deliveries", ())]
            own = found.get("outcome") or {}
            # The desk's store says so at once, its outbox publishes a moment later.
            delivered = [one for one in found.get("deliveries", ()) if one["state"] == "delivered"]
            told = found.get("parked") if state == "parked" else all(one["recipient_states"] for one in delivered)
            return found if told and state in (*ends, own.get("outcome")) else None

        so_far: dict[str, Any] = until(there)
        return so_far

    return trace


def test_the_whole_path_of_a_delivered_event(world: World, andon: Command, traced: Any) -> None:
    event = world.post(fault(id="e-路径"))
    found = until(lambda: (one := traced(event))["accepted"]["client"] and one)  # the index is written a little later
    assert found["event"]["data"] == {"message": "主轴过热"}
    assert found["accepted"]["client"] == "mes"
    assert found["accepted"]["source"] == "mes/l3"
    assert found["accepted"]["position"]["topic"] == EVENTS
    assert found["enriched"]["facts"] == {"machine": {"machine_no": "M-07", "name": "冲压机 7"}}
    assert found["routes"]["version"] == 1
    taken = [visit for visit in found["routes"]["visits"] if visit.get("taken")]
    assert [(visit["path"], visit["receiver"]) for visit in taken] == [("0.0", "三线班组")]
    (delivery,) = found["deliveries"]
    assert (delivery["receiver"], delivery["route"], delivery["config_version"]) == ("三线班组", "0.0", 1)
    assert delivery["outcome"] == {"outcome": "delivered", "evidence": "vendor_accepted", "reason": "delivered"}
    assert [attempt["reason"] for attempt in delivery["attempts"]] == ["delivered"]
    assert found["parked"] == []
    code, out, err = andon("explain", event, "--json", *world.common)
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert (told["event"], told["version"], told["receivers"]) == (event, 1, ["三线班组"])
    assert told["path"] == found["routes"]["visits"]
    code, out, err = andon("trace", event, *world.common)
    assert (code, err) == (0, "")
    assert "e-路径" in out
    assert "name=冲压机 7" in out
    assert 'line="L3"' in out
    assert "delivered (vendor_accepted)" in out
    assert "by the door's index" in out


def test_what_was_traced_stands_in_avro_behind_the_events(world: World, traced: Any) -> None:
    traced(world.post(fault()))
    for topic, avro in {EVENTS: False, ENRICHED: True, DELIVERIES: True}.items():
        reader = TopicReader(world.link, {Home(topic, number): BEGINNING for number in range(3)})
        (first, *_) = until(lambda reader=reader: reader.poll(10))  # type: ignore[misc]
        reader.close()
        assert (first.avro is not None) == avro


def test_without_the_data_directory_the_topics_say_the_same(world: World, traced: Any, tmp_path: Any) -> None:
    event = world.post({**fault(), "id": str(uuid.uuid4())})
    with_stores = traced(event)
    far = ("--bootstrap", world.bootstrap, "--config", str(world.config), "--data", str(tmp_path))
    without = traced(event, "delivered", *far)
    assert without["search"]["found"] == f"among all records of {EVENTS}"
    assert without["accepted"]["position"] == with_stores["accepted"]["position"]
    assert without["enriched"] == with_stores["enriched"]
    assert without["routes"] == with_stores["routes"]
    same = ("id", "receiver", "recipients", "route", "state", "outcome", "config_version", "merged_into")
    for one, other in zip(without["deliveries"], with_stores["deliveries"], strict=True):
        assert {key: one[key] for key in same} == {key: other[key] for key in same}
        assert [a["reason"] for a in one["attempts"]] == [a["reason"] for a in other["attempts"]]


def test_a_minted_id_is_found_by_its_time(world: World, traced: Any) -> None:
    event = fault()
    del event["id"]
    found = traced(world.post(event))
    assert found["search"]["found"] == "by the time in its id"


def test_an_event_nobody_hears_of_says_by_which_rule(world: World, andon: Command, traced: Any) -> None:
    event = world.post(fault(labels={"line": "L1", "severity": "minor"}, subject="M-99"))
    found = traced(event, "skipped")
    assert found["deliveries"] == []
    assert (found["outcome"]["reason"], found["outcome"]["by"]) == ("muted", "0.1 always")
    assert found["enriched"]["facts"]["machine"]["missing"] == "not_found"
    out = andon("trace", event, *world.common)[1]
    assert "missing: not_found" in out
    assert "nobody hears of it: skipped (muted) 0.1 always" in out


def test_the_source_tells_two_events_with_one_id_apart(world: World, traced: Any, andon: Command) -> None:
    event = world.post(fault(id="twice", source="mes/l3"))
    world.post(fault(id="twice", source="wms", data={"message": "缺料"}))
    traced(event)
    for source in ("mes/l3", "wms"):
        code, out, _ = andon("trace", "twice", "--source", source, "--json", *world.common)
        assert code == 0
        assert json.loads(out)["event"]["source"] == source
    code, out, err = andon("trace", "twice", "--source", "erp", *world.common)
    assert (code, out) == (1, "")
    assert err == f"andon trace: there is no event twice of erp in the door's index, nor in all records of {EVENTS}\n"


def test_spans_hang_on_the_request(world: World, traced: Any) -> None:
    event = world.post(fault(), traceparent=f"00-{TRACE}-{PARENT}-01")
    traced(event)
    names = {"accept", "enrich", "route", "attempt", "outcome"}
    spans = until(
        lambda: names <= {span.name for _, span, _ in world.collector.of(event)} and world.collector.of(event)
    )
    assert {(span.trace_id.hex(), span.parent_span_id.hex()) for _, span, _ in spans} == {(TRACE, PARENT)}
    services = {span.name: service for service, span, _ in spans}
    assert services == {
        "accept": "andon-ingress",
        "enrich": "andon-enrichment",
        "route": "andon-routing",
        "attempt": "andon-egress",
        "outcome": "andon-egress",
    }
    ended = next(told for _, span, told in spans if span.name == "outcome")
    assert (ended["andon.receiver"], ended["andon.outcome"]) == ("三线班组", "delivered")
    assert all(span.end_time_unix_nano >= span.start_time_unix_nano > 0 for _, span, _ in spans)
    assert "主轴过热" not in str(spans)


def test_a_parked_delivery_is_redriven_once(world: World, andon: Command, traced: Any) -> None:
    world.fault(kind="errcode", code=93000, key="b", times=1)
    event = world.post(fault(data={"message": "急停按下"}))
    found = traced(event, "parked")
    (lying,) = found["parked"]
    assert world.seen("急停按下") == 0

    code, out, _ = andon("dlq", "list", "--json", "--since", "1h", *world.common)
    listed = next(one for one in json.loads(out) if one["event"] == event)
    assert code == 0
    assert listed == lying
    assert listed["receiver"] == "三线班组"
    assert "redriven" not in listed
    code, out, _ = andon("dlq", "redrive", listed["id"], *world.common)
    assert code == 0
    assert "redriven: 1" in out
    again = traced(event)
    assert [one["before"] for one in again["deliveries"]] == [["parked"]]
    assert [(a["redrive"], a["reason"] == "delivered") for a in again["deliveries"][0]["attempts"]] == [
        (0, False),
        (1, True),
    ]
    assert again["parked"][0]["redriven"]

    code, _, err = andon("dlq", "redrive", listed["id"], *world.common)
    assert code == 1
    assert "was redriven already" in err
    # As after a crash before the marker: the same redrive once more.
    assert asyncio.run(parked.redrive(world.link, {listed["id"]})) == 1
    traced(world.post(fault()))  # which comes behind it
    assert world.seen("急停按下") == 1
    assert event in andon("dlq", "list", "--reason", listed["reason"], *world.common)[1]


def test_what_a_stage_parked_is_redriven_once(world: World, andon: Command, traced: Any) -> None:
    """As if enrichment had parked it: the event is in no topic but the dead-letter topic."""
    event = {**fault(data={"message": "光栅触发"}), "source": "mes/l3", "time": "2026-11-22T06:03:05Z"}
    raw = json.dumps(event).encode()
    headers = {dlq.TOPIC: EVENTS, dlq.PARTITION: "0", dlq.OFFSET: "0", dlq.REASON: "stage_failed", dlq.REDRIVE: "0"}
    asyncio.run(write(world, Outgoing(DLQ, b"M-07", raw, tuple((k, v.encode()) for k, v in headers.items()))))
    code, out, _ = andon("dlq", "redrive", "--reason", "stage_failed", "--yes", "--json", *world.common)
    assert (code, json.loads(out)) == (0, {"redriven": 1})
    assert traced(event["id"])["deliveries"][0]["receiver"] == "三线班组"
    code, out, _ = andon("dlq", "redrive", "--reason", "stage_failed", "--yes", *world.common)
    assert (code, out) == (0, "nothing to redrive\n")
    listed = json.loads(andon("dlq", "list", "--json", *world.common)[1])
    asyncio.run(parked.redrive(world.link, {one["id"] for one in listed if one["reason"] == "stage_failed"}))
    traced(world.post(fault()))
    assert world.seen("光栅触发") == 1


def test_poison_comes_back_with_its_number(world: World, andon: Command) -> None:
    asyncio.run(write(world, Outgoing(EVENTS, b"poison", b'{"id": 1')))

    def lying() -> list[dict[str, Any]]:
        found = json.loads(andon("dlq", "list", "--reason", "undecodable", "--json", *world.common)[1])
        return [one for one in found if one["origin"]["topic"] == EVENTS]

    (first,) = until(lying)
    assert first["redrive"] == 0
    assert "event" not in first
    assert andon("dlq", "redrive", first["id"], *world.common)[0] == 0
    again = until(lambda: len(lying()) == 2 and lying())
    assert [one["redrive"] for one in again] == [0, 1]
    assert "not readable" in andon("dlq", "list", *world.common)[1]


def test_redriving_many_asks_first(world: World, andon: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    asyncio.run(write(world, Outgoing(EVENTS, b"poison", b"[")))
    until(lambda: "undecodable" in andon("dlq", "list", *world.common)[1])
    monkeypatch.setattr("sys.stdin.isatty", lambda: False)
    code, _, err = andon("dlq", "redrive", "--all", *world.common)
    assert code == 1
    assert "Say --yes when nobody can be asked; nothing was changed." in err


def test_apply_shows_the_difference_and_publishes(world: World, andon: Command, tmp_path: Any) -> None:
    (tmp_path / "machines.csv").write_text("machine_no,name\n", encoding="utf-8")
    text = world.config.read_text(encoding="utf-8").replace('severity="minor"', 'severity="info"')
    file = tmp_path / "andon.yaml"
    file.write_text(text, encoding="utf-8")
    common = ("--data", str(world.data))
    code, out, _ = andon("apply", str(file), "--dry-run", *common)
    assert code == 0
    assert '~ route.routes[1].matchers: ["severity=\\"minor\\""] → ["severity=\\"info\\""]' in out
    assert out.endswith("nothing was published; version 1 is in force\n")
    file.write_text(text + "typo: 1\n", encoding="utf-8")
    code, out, _ = andon("apply", str(file), *common)
    assert code == 2
    assert "unknown key `typo`" in out
    told = json.loads(andon("apply", str(world.config), "--json", *common)[1])
    assert told == {"ok": True, "version": 1, "published": False, "changes": []}
    file.write_text(text, encoding="utf-8")
    assert andon("apply", str(file), *common)[1].endswith("published: version 2 is in force\n")
    assert json.loads(andon("apply", str(world.config), "--json", *common)[1])["version"] == 3


def test_lost_offsets_are_restored_and_nothing_is_done_twice(world: World, andon: Command, traced: Any) -> None:
    event = world.post(fault(data={"message": "液压不足"}))
    path = traced(event)
    world.stop()
    assert {**traced(event), "search": None} == {**path, "search": None}  # Kafka and the stores are enough
    cluster = Cluster(world.link)
    before = {service: {h: o for h, (o, _) in cluster.offsets(service).items()} for service in SERVICES[1:]}
    for service in SERVICES[1:]:
        until(partial(_deleted, cluster, service), 30)
    code, out, _ = andon("topics", "check", *world.common)
    assert code == 1
    assert (
        "andon-routing has no offset on andon.enriched 0, 1, 2; `andon topics offsets andon-routing --restore`" in out
    )
    for service in SERVICES[1:]:
        code, out, _ = andon("topics", "offsets", f"andon-{service}", *world.common)
        assert code == 1
        assert out.count("missing") == 3
        code, out, _ = andon("topics", "offsets", service, "--restore", "--yes", "--json", *world.common)
        assert code == 0, out
        told = {Home(one["topic"], one["partition"]): one["restored"] for one in json.loads(out)["partitions"]}
        if service == "egress":  # what a desk commits is advice; its store is never behind it
            assert all(told[home] >= offset for home, offset in before[service].items())
        else:
            assert told == before[service], service
    seen = world.seen("液压不足")
    world.start()
    assert andon("topics", "check", *world.common)[0] == 0
    traced(world.post(fault()))
    assert world.seen("液压不足") == seen == 1


def _deleted(cluster: Cluster, service: str) -> bool:
    from andon.kafka.errors import KafkaFailure

    try:
        cluster.delete_group(service)
    except KafkaFailure:  # its member has not gone yet
        return False
    return True


async def write(world: World, record: Outgoing) -> None:
    publisher = Publisher(world.link, "test")
    publisher.start()
    await publisher.append([record])
    await asyncio.to_thread(publisher.close)
