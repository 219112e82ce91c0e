"""The configuration files of a node, as text."""

from collections.abc import Mapping
from pathlib import Path

from andon.broker.layout import Layout
from andon.broker.ports import LOOPBACK

YEAR_MINUTES = 365 * 24 * 60
LONGEST_MS = 2**31 - 1  # transactional.id.expiration.ms is a 32-bit number: 24.8 days is the most that Kafka takes


def server_properties(layout: Layout, *, port: int, controller_port: int, node_id: int = 1) -> str:
    """Kafka's `server.properties` for a single node that is broker and controller, reachable from this machine only."""
    settings: dict[str, object] = {
        "process.roles": "broker,controller",
        **_quorum(layout, controller_port, node_id),
        "listeners": f"BROKER://{LOOPBACK}:{port},CONTROLLER://{LOOPBACK}:{controller_port}",
        "advertised.listeners": f"BROKER://{LOOPBACK}:{port}",
        "listener.security.protocol.map": "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "BROKER",
        "auto.create.topics.enable": False,
        "num.partitions": 12,
        "default.replication.factor": 1,
        "min.insync.replicas": 1,
        # Retention follows the time of arrival: a source's clock may be wrong.
        "log.message.timestamp.type": "LogAppendTime",
        "offsets.topic.num.partitions": 4,
        "offsets.topic.replication.factor": 1,
        "offsets.retention.minutes": YEAR_MINUTES,
        "transaction.state.log.num.partitions": 4,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transactional.id.expiration.ms": LONGEST_MS,
        "group.initial.rebalance.delay.ms": 0,
        # One box has one user: the default buffer of the cleaner alone would take a quarter of the heap.
        "log.cleaner.dedupe.buffer.size": 32 << 20,
        # No other node could take over, so a broker that stands still is better waited for: while it is fenced, marks
        # of transactions are lost (see crash.py).
        "broker.session.timeout.ms": 20_000,
        "broker.heartbeat.interval.ms": 300,
    }
    return _text(settings)


def controller_properties(layout: Layout, *, controller_port: int, session_ms: int, node_id: int = 1) -> str:
    """The same for the controller alone, which fences the broker unless it hears of it within `session_ms`."""
    return _text(
        {
            "process.roles": "controller",
            **_quorum(layout, controller_port, node_id),
            "listeners": f"CONTROLLER://{LOOPBACK}:{controller_port}",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT",
            "broker.session.timeout.ms": session_ms,
            "broker.heartbeat.interval.ms": session_ms // 3,
        }
    )


def _quorum(layout: Layout, controller_port: int, node_id: int) -> dict[str, object]:
    """Who decides, and where it is written."""
    return {
        "node.id": node_id,
        "controller.listener.names": "CONTROLLER",
        # Static, and so read at each start: the port may move between two starts.
        "controller.quorum.voters": f"{node_id}@{LOOPBACK}:{controller_port}",
        "log.dirs": layout.topics,
    }


def logging_properties(layout: Layout) -> str:
    """What java.util.logging needs to keep Kafka's log in five files of at most 10 MB."""
    handler = "java.util.logging.FileHandler"
    settings: dict[str, object] = {
        "handlers": handler,
        ".level": "INFO",
        f"{handler}.pattern": str(layout.logs).replace("%", "%%") + "/kafka-%g.log",
        f"{handler}.limit": 10_000_000,
        f"{handler}.count": 5,
        f"{handler}.append": True,
        f"{handler}.formatter": "java.util.logging.SimpleFormatter",
        "java.util.logging.SimpleFormatter.format": "%1$tFT%1$tT.%1$tL%1$tz %4$s %3$s: %5$s%6$s%n",
        # Thousands of lines at each start that repeat the configuration's defaults.
        "org.apache.kafka.common.config.AbstractConfig.level": "WARNING",
    }
    return _text(settings)


def _text(settings: Mapping[str, object]) -> str:
    return "".join(f"{key}={_value(value)}\n" for key, value in settings.items())


def _value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value)
    # Java reads a backslash as an escape and Latin-1 outside of ASCII.
    text = text.replace("\\", "\\\\") if isinstance(value, Path) else text
    return "".join(c if c.isascii() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))
