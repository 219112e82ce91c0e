"""The routing stage with Avro in and out, beside the same stage with JSON in and out."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from andon.kafka.admin import Cluster
from andon.kafka.topics import ENRICHED
from tests.bench.bench_stage import EVENTS, PARTITIONS, RUNS, timed
from tests.bench.figures import ratio, report
from tests.bench.plant import Plant, fill, kafka, robots
from tests.bench.stage_process import avro

SOURCES = {"json": ENRICHED, "avro": "enriched-avro"}


def bench() -> None:
    with tempfile.TemporaryDirectory(prefix="andon-bench-") as name, kafka(Path(name)) as link:
        plant = Plant(Path(name), link, robots(50, 1))
        plant.prepare()
        admin = AdminClient(link.client())  # lives until the answer is there
        for future in admin.create_topics([NewTopic(SOURCES["avro"], PARTITIONS, 1)]).values():
            future.result()
        asyncio.run(fill(link, SOURCES["json"], EVENTS))
        asyncio.run(fill(avro(link.bootstrap, SOURCES["avro"], ENRICHED), SOURCES["avro"], EVENTS))
        speeds: dict[str, list[float]] = {"json": [], "avro": []}
        for run in range(RUNS + 1):
            for codec, source in SOURCES.items():
                service = f"{codec}{run}"
                Cluster(link).seed_offsets(service, source)
                more = [service, str(plant.config), "0", codec]
                speed = timed(link, source, f"out-{service}", ["tests.bench.stage_process"], more)
                if run:  # the first round warms the broker up
                    speeds[codec].append(speed)
        report("json_stage_events_per_s", speeds["json"], "1/s")
        report("avro_stage_events_per_s", speeds["avro"], "1/s")
        ratio("avro_stage_ratio", speeds["avro"], speeds["json"], ">= 0.5")
