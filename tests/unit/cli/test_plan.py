"""What `andon up` decides before it starts anything."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from andon.broker.ports import reserved
from andon.cli import plan
from andon.config.mistakes import Invalid
from andon.runtime.command import Command
from andon.runtime.supervisor import Program
from tests.rig.ports import free_port
from tests.unit.cli.conftest import Configure


@contextmanager
def taken() -> Iterator[int]:
    with socket.socket() as other:
        other.bind(("127.0.0.1", free_port()))
        other.listen()
        yield other.getsockname()[1]


def argv(program: Program) -> list[str]:
    assert isinstance(program.spawn, Command)
    return list(program.spawn.argv)


def test_a_taken_port_moves_up_and_everyone_is_told(configure: Configure, tmp_path: Path) -> None:
    with taken() as door, ExitStack() as stack:
        planned = plan.make(configure(door), tmp_path, run_for=None, stack=stack)
        ingress = planned.programs[-1]
        moved = ingress.ports["door"]
        assert moved > door
        assert planned.addresses["door"] == f"http://127.0.0.1:{moved}"
        assert argv(ingress)[-2:] == ["--listen", f"127.0.0.1:{moved}"]


def test_two_plans_never_share_a_port(configure: Configure, tmp_path: Path) -> None:
    with ExitStack() as stack:
        plans = [plan.make(configure(tickets=True), tmp_path / n, run_for=None, stack=stack) for n in "ab"]
        ports = [port for planned in plans for program in planned.programs for port in program.ports.values()]
        assert len(ports) == len(set(ports)) == 12


def test_metrics_ports_go_upwards_in_the_order_of_the_flow(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with taken() as base, ExitStack() as stack:
        monkeypatch.setattr(plan, "METRICS", base)
        planned = plan.make(configure(), tmp_path, run_for=None, stack=stack)
        by_name = {program.name: program.ports["metrics"] for program in planned.programs}
    order = [by_name[name] for name in ("ingress", "enrichment", "routing", "egress")]
    assert order == sorted(order)
    assert order[0] > base


def test_ticketing_runs_only_where_there_is_a_ticket_system(configure: Configure, tmp_path: Path) -> None:
    with ExitStack() as stack:
        without = plan.make(configure(), tmp_path, run_for=None, stack=stack)
        tracked = plan.make(configure(tickets=True), tmp_path, run_for=None, stack=stack)
    assert [program.name for program in without.programs] == ["egress", "routing", "enrichment", "ingress"]
    assert tracked.programs[0].name == "ticketing"


def test_an_own_cluster_starts_no_kafka_and_the_embedded_one_comes_first(configure: Configure, tmp_path: Path) -> None:
    with ExitStack() as stack:
        own = plan.make(configure(), tmp_path, run_for=None, stack=stack)
        assert (own.kafka, own.bootstrap) == (None, "kafka-1:9092")
        embedded = plan.make(configure(kafka="embedded"), tmp_path, run_for=None, stack=stack)
        first = embedded.programs[0]
        assert first.name == "kafka"
        assert embedded.bootstrap == f"127.0.0.1:{first.ports['kafka']}"
        assert f"--bootstrap {embedded.bootstrap}" in " ".join(argv(embedded.programs[-1]))
        with reserved(first.ports["kafka"], strict=True):
            pass  # the node may take it, although nobody else may
        other = plan.make(configure(kafka="embedded"), tmp_path / "other", run_for=None, stack=stack)
        assert other.bootstrap != embedded.bootstrap, "what the first one has not started yet was taken away"


def test_a_mistake_in_the_configuration_starts_nothing(configure: Configure, tmp_path: Path) -> None:
    file = configure()
    file.write_text(file.read_text().replace("route:", "roue:"))
    with ExitStack() as stack, pytest.raises(Invalid, match=r"andon.yaml:\d+:\d+: .*`roue`"):
        plan.make(file, tmp_path, run_for=None, stack=stack)
