"""What `andon up` decides before it starts anything."""

import os
import re
import socket
from argparse import ArgumentTypeError
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from andon.broker.ports import reserved
from andon.cli.running import plan
from andon.cli.running.processes import counts
from andon.cli.running.runfile import RunFile
from andon.config.mistakes import Invalid
from andon.runtime.command import Command
from andon.runtime.health import CannotListen
from andon.runtime.supervisor import Program, Status
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
    with ExitStack() as stack:
        stack.enter_context(reserved(8700))
        planned = plan.make(configure(), tmp_path, run_for=None, stack=stack)
        ingress = planned.programs[-1]
        moved = ingress.ports["door"]
        assert moved > 8700
        assert planned.addresses["door"] == f"http://127.0.0.1:{moved}"
        assert argv(ingress)[-2:] == ["--listen", f"127.0.0.1:{moved}"]
        assert planned.notes == (f"8700 is taken; the door is at {moved}",)


def test_the_door_that_the_configuration_names_does_not_move(configure: Configure, tmp_path: Path) -> None:
    with taken() as door, ExitStack() as stack:
        sentence = rf"^cannot listen on 127.0.0.1:{door} \(listen.address\): Port {door} is in use"
        with pytest.raises(CannotListen, match=sentence):
            plan.make(configure(door), tmp_path, run_for=None, stack=stack)
    with ExitStack() as stack:
        planned = plan.make(configure(door), tmp_path, run_for=None, stack=stack)
        assert (planned.addresses["door"], planned.notes) == (f"http://127.0.0.1:{door}", ())


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


def test_ticketing_runs_only_where_there_are_episodes(configure: Configure, tmp_path: Path) -> None:
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


def test_several_processes_have_their_own_names_slots_ports_and_logs(configure: Configure, tmp_path: Path) -> None:
    counts = {"ingress": 2, "routing": 2, "egress": 3}
    with ExitStack() as stack:
        planned = plan.make(configure(), tmp_path, run_for=None, stack=stack, processes=counts)
    names = ["egress", "egress-1", "egress-2", "routing", "routing-1", "enrichment", "ingress", "ingress-1"]
    assert [program.name for program in planned.programs] == names == list(planned.services)
    assert [program.log.name for program in planned.programs] == [f"{name}.log" for name in names]
    metrics = {program.name: program.ports["metrics"] for program in planned.programs}
    in_flow = ["ingress", "ingress-1", "enrichment", "routing", "routing-1", "egress", "egress-1", "egress-2"]
    assert sorted(metrics, key=metrics.__getitem__) == in_flow
    for program in planned.programs:
        words = argv(program)
        assert words[words.index("run") + 1] == program.name.partition("-")[0]
        assert words[words.index("--slot") + 1] == (program.name.partition("-")[2] or "0")
        assert words[words.index("--metrics-port") + 1] == str(program.ports["metrics"])
    doors = [program.ports["door"] for program in planned.programs if program.name.startswith("ingress")]
    assert len({*doors, *metrics.values()}) == len(doors) + len(metrics), "two processes were given one port"
    assert {name: planned.addresses[name] for name in ("door", "door-1")} == {
        name: f"http://127.0.0.1:{port}" for name, port in zip(("door", "door-1"), doors, strict=True)
    }
    for port, program in zip(doors, planned.programs[-2:], strict=True):
        assert argv(program)[-2:] == ["--listen", f"127.0.0.1:{port}"]


def test_processes_that_would_have_nothing_to_do_are_refused(configure: Configure, tmp_path: Path) -> None:
    with ExitStack() as stack:
        with pytest.raises(plan.Unfit, match=r"13 processes of routing are more than the 12 partitions"):
            plan.make(configure(), tmp_path, run_for=None, stack=stack, processes={"routing": 13})
        with pytest.raises(plan.Unfit, match=r"nothing for ticketing to do"):
            plan.make(configure(), tmp_path, run_for=None, stack=stack, processes={"ticketing": 2})
        plan.make(configure(), tmp_path, run_for=None, stack=stack, processes={"ingress": 13})


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("router=2", "there is no service 'router'"),
        ("routing", "write routing=N"),
        ("routing=0", "N from 1 to 64"),
        ("routing=65", "N from 1 to 64"),
        ("routing=٣", "N from 1 to 64"),
        ("routing=2,routing=3", "routing is named twice"),
        ("", "there is no service ''"),
    ],
)
def test_counts_of_processes_that_make_no_sense(text: str, sentence: str) -> None:
    with pytest.raises(ArgumentTypeError, match=sentence):
        counts(text)
    assert counts("routing=2, egress=64") == {"routing": 2, "egress": 64}


def test_what_the_last_run_had_and_this_one_has_not_is_to_be_taken_out(configure: Configure, tmp_path: Path) -> None:
    def planned(**processes: int) -> plan.Plan:
        with ExitStack() as stack:
            return plan.make(configure(), tmp_path, run_for=None, stack=stack, processes=processes)

    before = planned(ingress=2, routing=2, egress=3)
    assert before.left == {}, "nothing ran here before"
    statuses = [Status(one.name, one.log, one.ports) for one in before.programs]
    statuses.append(Status("ticketing", tmp_path / "ticketing.log", {}))
    RunFile(tmp_path, {}).write("stopped", statuses)
    assert planned(routing=2, egress=3).left == {"ticketing": [0]}
    assert planned(egress=2).left == {"egress": [2], "routing": [1], "ticketing": [0]}


def test_the_data_of_another_configuration_is_not_published_over(configure: Configure, tmp_path: Path) -> None:
    data, other = tmp_path / "data", tmp_path / "other.yaml"
    data.mkdir()

    def planned(file: Path, *, over_another: bool = False) -> plan.Plan:
        with ExitStack() as stack:
            return plan.make(file, data, run_for=None, stack=stack, over_another=over_another)

    file = configure()
    RunFile(data, {"config": str(file)}).write("stopped", [])
    planned(file)
    other.write_text(file.read_text())
    sentence = f"{data} is the data of {file}; give --data another directory for {other}, or --yes"
    with pytest.raises(plan.OfAnother, match=re.escape(sentence)):
        planned(other)
    with ExitStack() as stack, pytest.raises(plan.OfAnother):
        plan.make(None, data, run_for=None, stack=stack)
    assert not list(data.rglob("andon.yaml")), "a demo that was refused has left files"
    planned(other, over_another=True)
    file.unlink()
    planned(other)  # as after a new name


def test_the_demo_goes_on_with_its_own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANDON_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(os, "environ", dict(os.environ))
    for _ in range(2):
        with ExitStack() as stack:
            stack.enter_context(reserved(8700))  # its door moves, although it stands in the demo's file
            planned = plan.make(None, tmp_path / "data", run_for=None, stack=stack)
        RunFile(tmp_path / "data", {"config": str(planned.loaded.file)}).write("stopped", [])


def test_secrets_that_are_not_there_are_told_with_their_places(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, lost = configure(), tmp_path / "lost"
    file.write_text(file.read_text().replace("env:ROBOT_2", f"file:{lost}"))
    monkeypatch.delenv("PLANT_TOKEN")
    with ExitStack() as stack:
        stack.enter_context(reserved(8700))
        _, *notes = plan.make(file, tmp_path, run_for=None, stack=stack).notes
    then = "; what needs it does not work until it is there"
    assert notes == [
        f"sources.plant.token: the environment variable PLANT_TOKEN is not set{then}",
        f"channels.robot.keys[1]: the secret file {lost} cannot be read (No such file or directory){then}",
    ]
