"""The JSON Schema of andon.yaml, for editors: `python -m andon.config.schema > schemas/andon.yaml.json`."""

from __future__ import annotations

import json
import sys

from andon.config.settings import Settings


def schema_text() -> str:
    """The schema (JSON Schema 2020-12) as the text of schemas/andon.yaml.json."""
    schema = (
        {"$schema": "https://json-schema.org/draft/2020-12/schema"}
        | Settings.model_json_schema()
        | {"title": "andon.yaml"}
    )
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(schema_text())
