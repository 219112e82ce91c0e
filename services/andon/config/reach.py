"""How to reach Kafka: all that a process takes from the file itself, for the rest of it is published there."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from andon.config.document import Unreadable, file_of, read, section
from andon.config.kafka import Kafka

_NAME = "kafka"


def kafka_of(path: Path) -> Kafka:
    """The section `kafka` of andon.yaml, or of the one in a folder. What is wrong elsewhere is left to who publishes
    it. Raises Invalid, with every mistake of the file, where the section cannot be had."""
    try:
        found = section(read(file_of(path)), _NAME)
        return Kafka() if found is None else Kafka.model_validate(found, by_alias=True, by_name=False)
    except (Unreadable, ValidationError):
        from andon.config.load import load

        return load(path).settings.kafka
