"""The files that are made from the settings are what the settings make now."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from andon.config.reference import reference_text
from andon.config.schema import schema_text
from andon.config.settings import Section, Settings
from andon.config.shapes import keys_at

ROOT = Path(__file__).parents[2]


def test_schema_is_current() -> None:
    text = (ROOT / "schemas" / "andon.yaml.json").read_text(encoding="utf-8")
    assert text == schema_text(), "run: python -m andon.config.schema > schemas/andon.yaml.json"


def test_reference_is_current() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert text == reference_text(), "run: python -m andon.config.reference > docs/configuration.md"


def sections(of: type[Section] = Section) -> Iterator[type[Section]]:
    """Every section of the file: the classes of settings.py."""
    for model in of.__subclasses__():
        if model.__module__ == Settings.__module__:
            yield model
        yield from sections(model)


@pytest.mark.parametrize("model", list(sections()), ids=lambda model: str(model.__name__))
def test_every_key_is_described(model: type[Section]) -> None:
    page = reference_text()
    for key in keys_at(model, ()) - {"options"}:
        assert f"\n| `{key}` | " in page
    undescribed = [name for name, field in model.model_fields.items() if not field.description and name != "options"]
    assert undescribed == []


def test_schema_says_what_the_loader_says() -> None:
    schema: dict[str, Any] = json.loads(schema_text())
    assert schema["additionalProperties"] is False
    assert set(schema["properties"]) == keys_at(Settings, ())
    assert set(schema["required"]) == {"version", "route"}
    parts = schema["$defs"]
    assert "continue" in parts["Route"]["properties"]
    assert parts["Plug"].get("additionalProperties") is not False
    assert parts["Limits"]["properties"]["window"]["minimum"] == 500
    assert {branch["type"] for branch in parts["EnrichRule"]["properties"]["wait"]["anyOf"]} == {"string", "number"}
    assert parts["MergeRule"]["properties"]["over"]["pattern"] == r"^(\d+)/(?:(\d+)?(ms|s|m|h|d))$"
    assert parts["Sasl"]["properties"]["password"]["pattern"] == "^(env|file):.+"
