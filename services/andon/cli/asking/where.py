"""Which Kafka, and which data, a command is about: found the same way by every command that asks a running system."""

from __future__ import annotations

import argparse
import functools
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from andon.cli import arguments
from andon.cli.running import runfile

if TYPE_CHECKING:
    from andon.config.kafka import Kafka
    from andon.kafka.connection import Connection


class NotRunning(Exception):  # noqa: N818 - a state of the machine, read by people
    """The embedded Kafka does not run."""

    exit_code = 1


@dataclass(frozen=True)
class Where:
    """A cluster, how it is configured, and the data directory beside it."""

    link: Connection
    kafka: Kafka
    data: Path


def option(parser: argparse.ArgumentParser) -> None:
    """Adds `--bootstrap`."""
    shown = "Kafka's address (default: the configuration's)"
    parser.add_argument("--bootstrap", type=_bootstrap, metavar="HOST:PORT", help=shown)


def _bootstrap(text: str) -> str:
    from andon.config.addresses import bootstrap

    return arguments.told(bootstrap, text)


def cluster(args: argparse.Namespace, kafka: Kafka | None = None) -> Where:
    """The cluster of `--bootstrap`, else of `kafka` or of the configuration; `embedded` is what runs on
    `--data`. Without a configuration here, the one of the last `andon up` on `--data` counts.

    Raises NotRunning, SecretMissing, and config.mistakes.Invalid for a configuration that cannot be read.
    """
    from andon.kafka.connection import connection

    logging.root.addHandler(logging.NullHandler())  # what the client library says is said by our own sentences
    kafka = kafka or _configured(args)
    return Where(connection(kafka, address(args, kafka)), kafka, args.data)


def address(args: argparse.Namespace, kafka: Kafka) -> str:
    """Kafka's address: `--bootstrap`, else what the configuration says, `embedded` being what runs on `--data`. Raises
    NotRunning."""
    found: str = args.bootstrap or kafka.bootstrap
    return _node(args.data / (kafka.data or "kafka")) if found == "embedded" else found


def file(args: argparse.Namespace) -> Path | None:
    """The configuration that was named or is here, else the one of the last `andon up` on `--data`, if there is one."""
    named: Path = args.config
    if os.path.exists(named) or args.config_given or "ANDON_CONFIG" in os.environ:
        return named
    last = runfile.read(args.data, "config")
    return Path(last["config"]) if last is not None and os.path.exists(last["config"]) else None


def _configured(args: argparse.Namespace) -> Kafka:
    from andon.config.kafka import Kafka
    from andon.config.reach import kafka_of

    found = file(args)
    return Kafka() if found is None else kafka_of(found)


def _node(data: Path) -> str:
    from andon import broker

    found = broker.bootstrap(data)
    if found is None:
        raise NotRunning(f"the embedded Kafka on {data} does not run; start it with `andon up` or `andon broker start`")
    return found


def reported(command: Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    """A Kafka or a store that does not answer is a failed command here (exit 1): no service stopped for it."""

    @functools.wraps(command)
    def run(args: argparse.Namespace) -> int:
        from andon.core.work import StoreFailure
        from andon.kafka.errors import KafkaFailure

        try:
            return command(args)
        except (KafkaFailure, StoreFailure) as problem:
            raise SystemExit(str(problem)) from None

    return run


def agreed(question: str, *, yes: bool) -> bool:
    """Whether a person said yes, by `--yes` or at the terminal. Without either, SystemExit says what is missing."""
    import sys

    if yes:
        return True
    if not sys.stdin.isatty():
        raise SystemExit(f"{question} Say --yes when nobody can be asked; nothing was changed.")
    return input(f"{question} [y/N] ").strip().lower() in {"y", "yes"}
