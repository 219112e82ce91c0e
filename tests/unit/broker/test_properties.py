"""The text of the configuration files."""

from pathlib import Path

import pytest

from andon.broker.layout import Layout
from andon.broker.properties import controller_properties, logging_properties, server_properties
from andon.broker.seats import Seat


def settings(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines())


def test_a_node_listens_on_loopback_alone_and_creates_no_topics() -> None:
    found = settings(server_properties(Layout(Path("/data")), Seat(1, 8792, 9792)))
    assert found["listeners"] == "BROKER://127.0.0.1:8792,CONTROLLER://127.0.0.1:9792"
    assert found["controller.quorum.voters"] == "1@127.0.0.1:9792"
    assert found["auto.create.topics.enable"] == "false"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("log.dirs", "/data/topics"),
        ("offsets.topic.num.partitions", "4"),
        ("transaction.state.log.num.partitions", "4"),
        ("group.initial.rebalance.delay.ms", "0"),
        ("offsets.topic.replication.factor", "1"),
        ("transaction.state.log.replication.factor", "1"),
        ("transaction.state.log.min.isr", "1"),
        ("min.insync.replicas", "1"),
        ("offsets.retention.minutes", "525600"),
        ("transactional.id.expiration.ms", "2147483647"),
        ("log.message.timestamp.type", "LogAppendTime"),
    ],
)
def test_setting(key: str, value: str) -> None:
    assert settings(server_properties(Layout(Path("/data")), Seat(1, 1, 2)))[key] == value


CLUSTER = tuple(Seat(n, 8791 + n, 9791 + n, f"10.0.0.{n}") for n in (1, 2, 3))


def test_three_nodes_know_each_other_and_any_one_may_be_lost() -> None:
    found = settings(server_properties(Layout(Path("/data")), CLUSTER[1], CLUSTER))
    assert found["node.id"] == "2"
    assert found["listeners"] == "BROKER://10.0.0.2:8793,CONTROLLER://10.0.0.2:9793"
    assert found["controller.quorum.voters"] == "1@10.0.0.1:9792,2@10.0.0.2:9793,3@10.0.0.3:9794"
    copies = (
        "default.replication.factor",
        "offsets.topic.replication.factor",
        "transaction.state.log.replication.factor",
    )
    assert [found[key] for key in copies] == ["3"] * 3
    assert [found[key] for key in ("min.insync.replicas", "transaction.state.log.min.isr")] == ["2"] * 2
    assert found["unclean.leader.election.enable"] == "false"
    assert int(found["broker.session.timeout.ms"]) <= 6_000, "writes wait for so long when a leader is lost"


def test_controllers_alone_have_no_broker_and_a_session_of_their_own() -> None:
    found = settings(controller_properties(Layout(Path("/data")), CLUSTER[0], CLUSTER, session_ms=300))
    assert (found["process.roles"], found["broker.session.timeout.ms"]) == ("controller", "300")
    assert found["listeners"] == "CONTROLLER://10.0.0.1:9792"


def test_a_directory_in_any_script_and_with_a_percent_sign() -> None:
    layout = Layout(Path("/数据/100%/a b"))
    assert settings(server_properties(layout, Seat(1, 1, 2)))["log.dirs"] == r"/\u6570\u636e/100%/a b/topics"
    pattern = settings(logging_properties(layout))["java.util.logging.FileHandler.pattern"]
    assert pattern == r"/\u6570\u636e/100%%/a b/logs/kafka-%g.log"


def test_the_log_is_bounded() -> None:
    found = settings(logging_properties(Layout(Path("/data"))))
    size, count = (int(found[f"java.util.logging.FileHandler.{key}"]) for key in ("limit", "count"))
    assert size * count <= 50_000_000
