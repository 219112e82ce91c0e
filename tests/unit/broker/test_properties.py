"""The text of the configuration files."""

from pathlib import Path

import pytest

from andon.broker.layout import Layout
from andon.broker.properties import logging_properties, server_properties


def settings(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines())


def test_a_node_listens_on_loopback_alone_and_creates_no_topics() -> None:
    found = settings(server_properties(Layout(Path("/data")), port=8792, controller_port=9792))
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
    assert settings(server_properties(Layout(Path("/data")), port=1, controller_port=2))[key] == value


def test_a_directory_in_any_script_and_with_a_percent_sign() -> None:
    layout = Layout(Path("/数据/100%/a b"))
    assert (
        settings(server_properties(layout, port=1, controller_port=2))["log.dirs"] == r"/\u6570\u636e/100%/a b/topics"
    )
    pattern = settings(logging_properties(layout))["java.util.logging.FileHandler.pattern"]
    assert pattern == r"/\u6570\u636e/100%%/a b/logs/kafka-%g.log"


def test_the_log_is_bounded() -> None:
    found = settings(logging_properties(Layout(Path("/data"))))
    size, count = (int(found[f"java.util.logging.FileHandler.{key}"]) for key in ("limit", "count"))
    assert size * count <= 50_000_000
