"""The embedded Kafka: a single node of the real Apache Kafka, supported for production on one box."""

from andon.broker.disk import disk_full, used_share
from andon.broker.download import Progress, fetch
from andon.broker.errors import BrokerError, ChecksumError, DiskFullError, FetchError, JavaError, PortError
from andon.broker.jars import kafka_version
from andon.broker.node import Running, Status, is_running, reset, start, status, stop

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
    "disk_full",
    "fetch",
    "is_running",
    "kafka_version",
    "reset",
    "start",
    "status",
    "stop",
    "used_share",
]
