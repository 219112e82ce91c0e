"""The embedded Kafka: one node of the real Apache Kafka, or three, supported for production on one box."""

from andon.broker import cluster
from andon.broker.box import bootstrap, is_cluster, is_running, last_words, pids, reset, stop
from andon.broker.disk import disk_full, used_share
from andon.broker.download import Progress, fetch
from andon.broker.errors import BrokerError, ChecksumError, DiskFullError, FetchError, JavaError, PortError
from andon.broker.jars import kafka_version
from andon.broker.node import Running, Status, start, status

__all__ = [
    "BrokerError",
    "ChecksumError",
    "DiskFullError",
    "FetchError",
    "JavaError",
    "PortError",
    "Progress",
    "Running",
    "Status",
    "bootstrap",
    "cluster",
    "disk_full",
    "fetch",
    "is_cluster",
    "is_running",
    "kafka_version",
    "last_words",
    "pids",
    "reset",
    "start",
    "status",
    "stop",
    "used_share",
]
