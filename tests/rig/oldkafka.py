"""A node of Kafka 3.8.1, the last version that Andon does not support, from jars pinned by their checksums."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from andon.broker import download, jars, java
from andon.runtime import launch
from tests.rig.client import wait_for
from tests.rig.ports import free_port

JARS = Path(__file__).with_name("kafka-3.8.1.txt")
READY_S = 120.0


@contextmanager
def old_kafka(home: Path) -> Iterator[str]:
    """Its address; it ends with the block, and its files with it. Raises BrokerError where its jars cannot be had."""
    files = download.fetch(jars.parse(JARS.read_text(encoding="ascii")))
    port, controller = free_port(), free_port()
    settings = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": home / "topics",
        "offsets.topic.replication.factor": 1,
        "auto.create.topics.enable": "false",
    }
    home.mkdir(parents=True, exist_ok=True)
    file = home / "server.properties"
    file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()), encoding="ascii")
    small = ("-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")
    run = [str(java.find().path), *small, "-cp", ":".join(map(str, files))]
    cluster = urlsafe_b64encode(uuid.UUID(int=uuid.uuid4().int >> 1).bytes).decode().rstrip("=")
    subprocess.run(
        [*run, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(file)], check=True, capture_output=True
    )
    tied = [sys.executable, "-I", "-S", launch.__file__, str(os.getpid())]
    log = home / "log"
    with log.open("wb") as out:
        node = subprocess.Popen([*tied, *run, "kafka.Kafka", str(file)], stdout=out, stderr=out)
    try:
        assert wait_for(lambda: "Kafka Server started" in log.read_text(errors="replace"), READY_S), log.read_text()
        yield f"127.0.0.1:{port}"
    finally:
        node.kill()
        node.wait()
        shutil.rmtree(home)
