"""Where a node keeps what."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Layout:
    """The files below one data directory."""

    data: Path

    @property
    def topics(self) -> Path:
        """Kafka's `log.dirs`."""
        return self.data / "topics"

    @property
    def logs(self) -> Path:
        """What the broker has to say."""
        return self.data / "logs"

    @property
    def console(self) -> Path:
        """What the Java runtime itself has to say, and Kafka when it cannot even begin to log."""
        return self.logs / "console.log"

    @property
    def temporary(self) -> Path:
        """Native libraries that the runtime unpacks; cleared at each start."""
        return self.data / "tmp"

    @property
    def server(self) -> Path:
        """Kafka's configuration, written at each start."""
        return self.data / "server.properties"

    @property
    def logging(self) -> Path:
        """The configuration of the log, written at each start."""
        return self.data / "logging.properties"

    @property
    def record(self) -> Path:
        """Which process runs on this directory, and where it listens."""
        return self.data / "broker.json"

    @property
    def lock(self) -> Path:
        """Held while a broker is started, stopped or reset."""
        return self.data / "start.lock"

    def all(self) -> tuple[Path, ...]:
        """Everything a node writes below its directory."""
        return (
            self.topics,
            self.logs,
            self.temporary,
            self.server,
            self.logging,
            self.record,
            self.lock,
        )
