"""A running system to look into: a Kafka of its own, four services, a robot's stand-in, and a collector of spans."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from andon import broker
from andon.kafka.connection import Connection
from tests.rig.ports import free_port

SERVICES = ("ingress", "enrichment", "routing", "egress")
CONFIG = """
version: 1
kafka: {{bootstrap: embedded, partitions: 3, codec: {{default: avro, andon.events: json}}}}
listen: {{address: "127.0.0.1:{door}"}}
otel: {{endpoint: "http://127.0.0.1:{collector}"}}
sources: {{mes: {{kind: http, token: env:TRACE_TOKEN, source: mes/l3}}}}
connectors:
  machine: {{kind: csv, file: machines.csv, key: machine_no}}
enrich: [{{matchers: ['type="fault"'], connector: machine}}]
channels:
  a: {{kind: wecom_robot, keys: [env:TRACE_A], base_url: "http://127.0.0.1:{robot}"}}
  b: {{kind: wecom_robot, keys: [env:TRACE_B], base_url: "http://127.0.0.1:{robot}"}}
receivers: {{duty: {{channel: a}}, 三线班组: {{channel: b}}}}
calendar: {{time_intervals: {{always: [{{times: ["00:00-24:00"]}}]}}}}
route:
  receiver: duty
  routes:
    - {{matchers: ['line="L3"'], receiver: 三线班组}}
    - {{matchers: ['severity="minor"'], mute_time_intervals: [always]}}
"""


def until(reached: Callable[[], Any], within_s: float = 60.0) -> Any:
    """The first true answer of `reached`."""
    deadline = time.monotonic() + within_s
    while not (answer := reached()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return answer


class Collector:
    """Takes OTLP over HTTP and keeps the spans."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        collector = self

        class Take(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.path == "/v1/traces"
                body = self.rfile.read(int(self.headers["Content-Length"]))
                for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                    service = next(
                        a.value.string_value for a in resource.resource.attributes if a.key == "service.name"
                    )
                    for scope in resource.scope_spans:
                        collector.spans += [(service, span) for span in scope.spans]
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Take)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def of(self, event: str) -> list[tuple[str, Any, Mapping[str, Any]]]:
        """Service, span and attributes of every span of an event."""
        told = [(service, span, _attributes(span)) for service, span in tuple(self.spans)]
        return [one for one in told if one[2].get("andon.event") == event]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _attributes(span: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


class World:
    """Everything, started; `close` ends it by the ids of its processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "andon.yaml"
        self.data = folder / "data"
        self.door, self.robot = free_port(), free_port()
        self.collector = Collector()
        self.link = Connection(broker.start(self.data / "kafka", port=free_port(), tie_to_parent=True).bootstrap)
        self.common = ["--config", str(self.config), "--data", str(self.data)]
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._ports: dict[str, int] = {}
        (folder / "machines.csv").write_text("machine_no,name\nM-07,冲压机 7\n", encoding="utf-8")
        text = CONFIG.format(door=self.door, collector=self.collector.port, robot=self.robot)
        self.config.write_text(text, encoding="utf-8")

    def start(self) -> None:
        """Services and stand-in; returns when all are ready."""
        robot = ["-m", "andon.dev.wecom", "--port", str(self.robot), "--record", str(self.folder / "seen.jsonl")]
        if "wecom" not in self._processes:
            self._spawn("wecom", [*robot, "--keys", "a,b", "--limit", "0"])
        for service in SERVICES:
            self._ports[service] = free_port()
            self._spawn_service(service)
        for port in self._ports.values():
            until(partial(_answers, f"http://127.0.0.1:{port}/readyz"))

    @property
    def bootstrap(self) -> str:
        return self.link.bootstrap

    def _spawn_service(self, service: str) -> None:
        more = ["--slot", "0", "--metrics-port", str(self._ports[service]), "--bootstrap", self.bootstrap]
        self._spawn(service, ["-m", "andon.cli.main", "run", service, *self.common, *more])

    def _spawn(self, name: str, argv: list[str]) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen([sys.executable, *argv], stdout=log, stderr=log)

    def stop(self, *names: str) -> None:
        """Ends these processes, in this order."""
        for name in names or SERVICES:
            self._processes[name].terminate()
        for name in names or SERVICES:
            self._processes.pop(name).wait(30)

    def close(self) -> None:
        self.stop(*self._processes)
        broker.stop(self.data / "kafka")
        self.collector.close()

    def post(self, event: Mapping[str, Any], **headers: str) -> str:
        """Posts an event to the door; the id it was accepted under."""
        told = {"Authorization": "Bearer t", "Content-Type": "application/json", **headers}
        request = urllib.request.Request(f"http://127.0.0.1:{self.door}/v1/events", json.dumps(event).encode(), told)
        with urllib.request.urlopen(request, timeout=20) as answer:
            assert answer.status == 202
            return str(json.load(answer)["id"])

    def fault(self, **fault: Any) -> None:
        """Lets the robot fail."""
        address = f"http://127.0.0.1:{self.robot}/_fault"
        request = urllib.request.Request(address, json.dumps(fault).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status < 300

    def seen(self, text: str) -> int:
        """How often somebody in a group saw this."""
        file = self.folder / "seen.jsonl"
        return file.read_text(encoding="utf-8").count(text) if file.exists() else 0


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError as error:
        error.close()
        return False
    except OSError:
        return False


os.environ.update(TRACE_TOKEN="t", TRACE_A="a", TRACE_B="b")
