"""How Kafka's classes are run: which Java, which jars, which settings of the runtime."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from andon.broker.java import Java
from andon.broker.layout import Layout

# What decides how the runtime lays out its memory; a start-up archive only fits the settings that it was made with.
FIXED = (
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:-UsePerfData",  # it would leave files in the system's temporary directory
    "-Djava.awt.headless=true",
)
# On so few cores Java's optimising compiler takes half of one from everybody else for the first minutes.
FEW_CORES = 2


def _cores() -> int:
    # macOS does not tell which cores a process may use.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Runtime:
    """A Java with the jars of Kafka. `cores` are those this process may use; `within` stands before the command, when
    Java is to run in a place of its own, such as a network namespace."""

    java: Java
    jars: tuple[Path, ...]
    heap_mb: int = 512
    cores: int = field(default_factory=_cores)
    within: tuple[str, ...] = ()

    def command(self, layout: Layout, main: Sequence[str], options: Sequence[str] = ()) -> list[str]:
        """The command line that runs the class `main[0]` with the arguments that follow it."""
        return [
            *self.within,
            str(self.java.path),
            f"-Xmx{self.heap_mb}m",
            *FIXED,
            *self._compiler(),
            *self._quiet(),
            f"-Djava.io.tmpdir={layout.temporary}",
            f"-Djava.util.logging.config.file={layout.logging}",
            *options,
            "-cp",
            ":".join(map(str, self.jars)),
            *main,
        ]

    def _compiler(self) -> tuple[str, ...]:
        return ("-XX:TieredStopAtLevel=1",) if self.cores <= FEW_CORES else ()

    def _quiet(self) -> tuple[str, ...]:
        # Kafka's compressors are native code, which later runtimes warn of.
        return (
            ("--enable-native-access=ALL-UNNAMED", "--sun-misc-unsafe-memory-access=allow")
            if self.java.major >= 24
            else ()
        )

    @property
    def fingerprint(self) -> str:
        """Another one for each runtime and set of jars: all that Java compares before it uses a start-up archive."""
        parts = (self.java.identity, *map(_as_compared, self.jars), *FIXED)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _as_compared(jar: Path) -> str:
    try:
        return f"{jar} {jar.stat().st_mtime_ns}"
    except OSError:
        return str(jar)
