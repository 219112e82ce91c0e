"""JSON Schemas of the topic records: `python -m andon.kafka.schemas schemas/` writes them anew."""

from __future__ import annotations

import json
import sys
from inspect import cleandoc
from pathlib import Path
from typing import Any

import msgspec

from andon.core.delivery import Delivery
from andon.core.event import Event
from andon.core.outcome import OutcomeRecord
from andon.core.ticket import EpisodeRecord
from andon.kafka.topics import ACTIVE, DELIVERIES, ENRICHED, EVENTS, OUTCOMES, TICKETS

RECORDS: dict[str, Any] = {
    EVENTS: Event,
    ENRICHED: Event,
    DELIVERIES: Delivery,
    OUTCOMES: OutcomeRecord,
    TICKETS: EpisodeRecord,
    ACTIVE: EpisodeRecord,
}
"""Topic → the type of its values. `andon.dlq` holds the original bytes of any of them."""


def schema(topic: str) -> str:
    """The JSON Schema (2020-12) of a topic's values, as it stands in `schemas/`."""
    found = cleaned(msgspec.json.schema(RECORDS[topic]))
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", "title": topic, **found}, indent=2)


def cleaned(part: Any) -> Any:
    """The same with every description free of its indentation, which Python keeps in docstrings before 3.13 only."""
    if isinstance(part, list):
        return [cleaned(one) for one in part]
    if not isinstance(part, dict):
        return part
    return {
        key: cleandoc(one) if key == "description" and isinstance(one, str) else cleaned(one)
        for key, one in part.items()
    }


def main(folder: Path) -> None:
    """Writes `<topic>.json` for every topic."""
    for topic in RECORDS:
        (folder / f"{topic}.json").write_text(schema(topic) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
