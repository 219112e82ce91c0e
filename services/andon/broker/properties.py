"""The configuration files of a node, as text."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from andon.broker.layout import Layout
from andon.broker.seats import Seat

YEAR_MINUTES = 365 * 24 * 60
LONGEST_MS = 2**31 - 1  # transactional.id.expiration.ms is a 32-bit number: 24.8 days is the most that Kafka takes
SESSION_MS = 6_000  # how long a cluster waits for a node before another leads in its place


def server_properties(layout: Layout, seat: Seat, cluster: Sequence[Seat] = ()) -> str:
    """Kafka's `server.properties` for a node that is broker and controller, reachable at its seat only.

    Without a `cluster` it is the only node.
    """
    copies = len(cluster) or 1
    quorum = max(1, copies - 1)
    settings: dict[str, object] = {
        "process.roles": "broker,controller",
        **_quorum(layout, seat, cluster),
        "listeners": f"BROKER://{seat.address},CONTROLLER://{seat.host}:{seat.controller}",
        "advertised.listeners": f"BROKER://{seat.address}",
        "listener.security.protocol.map": "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "BROKER",
        "auto.create.topics.enable": False,
        "num.partitions": 12,
        "default.replication.factor": copies,
        "min.insync.replicas": quorum,
        "unclean.leader.election.enable": False,
        # Retention follows the time of arrival: a source's clock may be wrong.
        "log.message.timestamp.type": "LogAppendTime",
        "offsets.topic.num.partitions": 4,
        "offsets.topic.replication.factor": copies,
        "offsets.retention.minutes": YEAR_MINUTES,
        "transaction.state.log.num.partitions": 4,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": quorum,
        "transactional.id.expiration.ms": LONGEST_MS,
        # A writer that hangs holds up all who read what is committed until its transaction is ended: looked for every
        # 10 s by default, which would make 25 s of its 15.
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": 2_000,
        "group.initial.rebalance.delay.ms": 0,
        # One box has one user: the default buffer of the cleaner alone would take a quarter of the heap.
        "log.cleaner.dedupe.buffer.size": 32 << 20,
        **(_OF_MANY if cluster else _ALONE),
    }
    return _text(settings)


# No other node could take over, so a broker that stands still is better waited for: while it is fenced, marks of
# transactions are lost (see crash.py).
_ALONE = {"broker.session.timeout.ms": 20_000, "broker.heartbeat.interval.ms": 300}
# Nothing that a lost node leads can be written until its session is over, and another leads.
_OF_MANY = {"broker.session.timeout.ms": SESSION_MS, "broker.heartbeat.interval.ms": SESSION_MS // 6}


def controller_properties(layout: Layout, seat: Seat, cluster: Sequence[Seat] = (), *, session_ms: int) -> str:
    """The same for the controller alone, which fences a broker unless it hears of it within `session_ms`."""
    return _text(
        {
            "process.roles": "controller",
            **_quorum(layout, seat, cluster),
            "listeners": f"CONTROLLER://{seat.host}:{seat.controller}",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT",
            "broker.session.timeout.ms": session_ms,
            "broker.heartbeat.interval.ms": session_ms // 3,
        }
    )


def _quorum(layout: Layout, seat: Seat, cluster: Sequence[Seat]) -> dict[str, object]:
    """Who decides, and where it is written."""
    voters = ",".join(f"{one.node}@{one.host}:{one.controller}" for one in cluster or (seat,))
    return {
        "node.id": seat.node,
        "controller.listener.names": "CONTROLLER",
        # Static, and so read at each start: the ports may move while no node runs.
        "controller.quorum.voters": voters,
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
