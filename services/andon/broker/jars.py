"""The pinned jars the embedded Kafka runs on."""

from dataclasses import dataclass
from functools import cache
from importlib import resources

KAFKA = "org.apache.kafka:kafka_2.13"


@dataclass(frozen=True)
class Jar:
    """One artifact of a Maven repository, known by its SHA-256."""

    group: str
    artifact: str
    version: str
    sha256: str
    size: int

    @property
    def name(self) -> str:
        """The file's name, in the repository as in the cache."""
        return f"{self.artifact}-{self.version}.jar"

    @property
    def path(self) -> str:
        """Where it lies below the address of a Maven repository."""
        return f"{self.group.replace('.', '/')}/{self.artifact}/{self.version}/{self.name}"


def parse(text: str) -> tuple[Jar, ...]:
    """The jars of a list in the form of `jars.txt`: SHA-256, bytes and coordinates on each line."""
    jars = []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        sha256, size, coordinates = line.split()
        group, artifact, version = coordinates.split(":")
        jars.append(Jar(group, artifact, version, sha256, int(size)))
    return tuple(jars)


@cache
def pinned() -> tuple[Jar, ...]:
    """All jars of the embedded Kafka, in the order of its class path."""
    return parse(resources.files(__package__).joinpath("jars.txt").read_text(encoding="ascii"))


@cache
def kafka_version() -> str:
    """The version of Apache Kafka that is pinned."""
    return next(jar.version for jar in pinned() if f"{jar.group}:{jar.artifact}" == KAFKA)
