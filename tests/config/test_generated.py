"""The files that are made from the settings are what the settings make now."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from openapi_spec_validator.validation.exceptions import OpenAPIValidationError

from andon.config.reference import reference_text
from andon.config.schema import schema_text
from andon.config.section import Section
from andon.config.settings import Settings
from andon.config.shapes import keys_at
from andon.ingress import openapi
from andon.kafka import asyncapi
from andon.kafka.schemas import RECORDS
from andon.kafka.topics import DLQ, READERS, TOPICS
from tests.rig.npm import package

ROOT = Path(__file__).parents[2]
ASYNCAPI_SHA256 = "01af8744dc33c0c7eb2e908f6a955319ee58b70ecadc9387d1aeb16c0cd28928"


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


def test_documents_of_the_interfaces_are_current() -> None:
    for name, text, module in (
        ("openapi", openapi.text(), "andon.ingress.openapi"),
        ("asyncapi", asyncapi.text(), "andon.kafka.asyncapi"),
    ):
        committed = (ROOT / "schemas" / f"{name}.json").read_text(encoding="utf-8")
        assert committed == text, f"run: python -m {module} > schemas/{name}.json"


def test_the_openapi_document_is_one() -> None:
    OpenAPIV31SpecValidator(openapi.document()).validate()
    broken = openapi.document()
    del broken["paths"]["/v1/events"]["post"]["responses"]["202"]["description"]
    with pytest.raises(OpenAPIValidationError):
        OpenAPIV31SpecValidator(broken).validate()


def test_the_asyncapi_document_is_one_by_the_official_schema() -> None:
    schema = json.loads((package("@asyncapi/specs", "6.11.1", ASYNCAPI_SHA256) / "schemas" / "3.0.0.json").read_bytes())
    judge = jsonschema_rs.validator_for(schema)
    assert [error.message for error in judge.iter_errors(asyncapi.document())] == []
    broken = asyncapi.document()
    broken["operations"]["ingress-writes-andon.events"]["action"] = "shout"
    assert not judge.is_valid(broken)


def test_the_asyncapi_document_has_every_topic_and_every_reader() -> None:
    document = asyncapi.document()
    assert document["channels"].keys() == {topic.name for topic in TOPICS}
    assert asyncapi.WRITERS.keys() == asyncapi.PURPOSES.keys() == document["channels"].keys()
    operations = {name for name, one in document["operations"].items() if one["action"] == "receive"}
    assert {f"{service}-reads-{topic}" for service, topic in READERS.items()} <= operations
    for part in ("payload", "headers"):
        with_part = {name for name, one in document["channels"].items() if part in one["messages"]["record"]}
        assert with_part == (set(RECORDS) if part == "payload" else {DLQ})


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
