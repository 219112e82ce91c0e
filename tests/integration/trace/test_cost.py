"""What a look-up costs: records read, not seconds. The seconds, with a million events, are printed by `million.py`."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from andon import broker
from andon.cli.commands.check import checked
from andon.core.event import Event, Home, Position
from andon.kafka.codecs import Json, encode
from andon.kafka.connection import Connection
from andon.kafka.records import Record
from andon.kafka.scan import Scan
from andon.kafka.topics import ENRICHED
from andon.runtime.bootstrap import prepare
from andon.testing.builders import event
from tests.integration.trace.conftest import Command
from tests.integration.trace.fill import Filler, configuration
from tests.rig.kafka import Kafka
from tests.rig.ports import free_port

pytestmark = [pytest.mark.kafka, pytest.mark.xdist_group("trace")]

CHUNK, CHUNKS = 2_000, 12
MOST = 3 * CHUNK
EVERY_S = 1.25
"""A look-up by time begins two seconds early, for clocks differ: chunks must lie apart for it."""


class Filled:
    """A node with 24,000 events, and an early, a middle and a late one of them."""

    def __init__(self, folder: Path, link: Connection) -> None:
        asyncio.run(prepare(checked(configuration(folder)), link.bootstrap))
        filler = Filler(link)
        chunks = []
        for first in range(0, CHUNK * CHUNKS, CHUNK):
            began = time.monotonic()
            chunks.append(filler.chunk(first, CHUNK))
            time.sleep(max(0.0, began + EVERY_S - time.monotonic()))
        self.events = [chunks[number][CHUNK // 2] for number in (0, CHUNKS // 2, -1)]
        self.link = link
        nothing = folder / "nothing"
        self.argv = ["--config", str(folder / "andon.yaml"), "--bootstrap", link.bootstrap, "--data", str(nothing)]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    folder = tmp_path_factory.mktemp("cost")
    link = Connection(broker.start(folder / "kafka", port=free_port(), tie_to_parent=True).bootstrap)
    try:
        yield Filled(folder, link)
    finally:
        broker.stop(folder / "kafka")


def test_a_trace_reads_a_small_part_of_what_there_is(filled: Filled, andon: Command) -> None:
    for one in filled.events:
        code, out, err = andon("trace", one.id, "--json", *filled.argv)
        assert code == 0, err
        found = json.loads(out)
        assert found["search"]["found"] == "by the time in its id"
        assert found["enriched"]["position"]["offset"] == one.origin[1].offset
        assert [each["state"] for each in found["deliveries"]] == ["delivered"]
        assert found["search"]["read"] < MOST, f"of {4 * CHUNK * CHUNKS:,} records"
        assert found["search"]["notes"] == []


def test_an_enriched_event_is_found_by_its_order(filled: Filled) -> None:
    codec = Json(Event)

    def place(record: Record) -> int:
        return codec.decode(record.value).origin[0].offset

    with closing(Scan(filled.link)) as scan:
        for one in filled.events:
            home = Home(ENRICHED, one.origin[1].partition)
            end = scan.ends([home])[home]
            assert end > 1_000
            before = scan.read
            found = scan.ordered(home, 0, end, place, one.origin[0].offset)
            assert found is not None
            assert codec.decode(found.value).id == one.id
            assert scan.read - before <= 200 + 20, f"of {end:,} records"
        assert scan.ordered(home, 0, end, place, 10**9) is None
        assert scan.ordered(home, 0, 0, place, 1) is None


def test_what_is_not_there_is_searched_for_within_bounds(filled: Filled, andon: Command) -> None:
    code, out, err = andon("trace", "no-such-event", "--json", *filled.argv)
    assert (code, out) == (1, "")
    assert err == "andon trace: there is no event no-such-event in all records of andon.events\n"


def test_gaps_and_ties_do_not_lead_the_search_astray(kafka: Kafka) -> None:
    """As after parked events and a redriven batch: places are missing, and some stand twice."""
    topic = kafka.topic("order")
    places = sorted([*range(0, 6_000, 3), *range(0, 6_000, 300)])
    kafka.write(topic, [encode(event(origin=(Position("e", 0, place),))) for place in places])
    codec, home = Json(Event), Home(topic, 0)

    def place(record: Record) -> int:
        return codec.decode(record.value).origin[0].offset

    with closing(Scan(kafka.connection)) as scan:
        end = scan.ends([home])[home]
        assert end == len(places)
        for wanted in (0, 3, 299, 300, 301, 3_000, 5_997, 5_998):
            found = scan.ordered(home, 0, end, place, wanted)
            assert (found is not None) == (wanted in places), wanted
            assert found is None or place(found) == wanted


def test_a_stretch_ends_where_it_was_told_to(kafka: Kafka) -> None:
    topic = kafka.topic("stretch", partitions=2)
    for number in range(2):
        kafka.write(topic, [b"%d-%d" % (number, n) for n in range(50)], partition=number)
    homes = [Home(topic, number) for number in range(2)]
    with closing(Scan(kafka.connection)) as scan:
        starts = dict.fromkeys(homes, 10)
        got = list(scan.stretch(starts, {homes[0]: 20, homes[1]: 50}))
        assert [one.value for one in got if one.partition == 0] == [b"0-%d" % n for n in range(10, 20)]
        assert len([one for one in got if one.partition == 1]) == 40
        assert {one.value for one in scan.stretch(starts, scan.ends(homes), having=b"-33")} == {b"0-33", b"1-33"}
        before = scan.read
        list(scan.stretch(starts, scan.ends(homes), most=7))
        assert scan.read - before == 7
        assert list(scan.stretch(starts, starts)) == []
        assert scan.at_time(homes, 4_000_000_000.0) == scan.ends(homes)
        assert scan.at_time(homes, 0.0) == scan.beginnings(homes) == dict.fromkeys(homes, 0)
