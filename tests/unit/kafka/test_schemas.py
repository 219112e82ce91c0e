"""The schemas in schemas/ are those of the records we write."""

from __future__ import annotations

from pathlib import Path

import pytest

from andon.kafka.schemas import RECORDS, schema

FOLDER = Path(__file__).parents[3] / "schemas"


@pytest.mark.parametrize("topic", RECORDS)
def test_the_committed_schema_is_current(topic: str) -> None:
    committed = (FOLDER / f"{topic}.json").read_text(encoding="utf-8")

    assert committed == schema(topic) + "\n", "run: python -m andon.kafka.schemas schemas/"
