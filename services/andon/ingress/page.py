"""The page at /docs: the two documents of the interfaces, to read. No script, and nothing from elsewhere.

It needs no token: it is made from the program alone, so it says no more than the program's source does; of the
configuration it shows nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

PAGE = "/docs"
OPENAPI = "/docs/openapi.json"
ASYNCAPI = "/docs/asyncapi.json"

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
}

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%}td,th{border:1px solid #8888;padding:.3rem .6rem;text-align:left;"
    "vertical-align:top}code{font-family:ui-monospace,monospace}h2{margin-top:2.5rem}:root{color-scheme:light dark}"
)


def page(openapi: Mapping[str, Any], asyncapi: Mapping[str, Any]) -> str:
    """The whole page, HTML."""
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Andon: interfaces</title>',
        f"<style>{_STYLE}</style></head><body><h1>Andon: interfaces</h1>",
        f'<p>The same for programs: <a href="{OPENAPI}">OpenAPI</a>, <a href="{ASYNCAPI}">AsyncAPI</a>.</p>',
        f"<h1>{_text(openapi['info']['title'])}</h1><p>{_text(openapi['info']['description'])}</p>",
        *_operations(openapi),
        f"<h1>{_text(asyncapi['info']['title'])}</h1><p>{_text(asyncapi['info']['description'])}</p>",
        *_topics(asyncapi),
        "<h1>Schemas</h1>",
        *_schemas({**openapi["components"]["schemas"], **asyncapi["components"]["schemas"]}),
        "</body></html>\n",
    ]
    return "\n".join(parts)


def _operations(openapi: Mapping[str, Any]) -> Iterator[str]:
    for path, methods in openapi["paths"].items():
        for method, operation in methods.items():
            yield f"<h2><code>{_text(method.upper())} {_text(path)}</code></h2><p>{_text(operation['summary'])}"
            yield f" {_text(operation.get('description', ''))}</p>"
            taken = [
                (media, _named(content["schema"]), "body")
                for media, content in operation.get("requestBody", {}).get("content", {}).items()
            ]
            taken += [(one["name"], one["description"], one["in"]) for one in operation.get("parameters", ())]
            yield from _table(("takes", "", ""), taken)
            answers = [
                (status, answer["description"], ", ".join(_named(one["schema"]) for one in answer["content"].values()))
                for status, answer in operation["responses"].items()
            ]
            yield from _table(("answers", "", ""), answers)


def _topics(asyncapi: Mapping[str, Any]) -> Iterator[str]:
    for name, channel in asyncapi["channels"].items():
        message = channel["messages"]["record"]
        who = [
            (operation.partition("-")[0], "writes" if one["action"] == "send" else "reads")
            for operation, one in asyncapi["operations"].items()
            if one["channel"]["$ref"].removeprefix("#/channels/") == name
        ]
        yield f"<h2><code>{_text(name)}</code></h2><p>{_text(channel['description'])}</p>"
        rows = [("key", message["bindings"]["kafka"]["key"]["description"].removeprefix("Key: "))]
        rows += [("value", _named(message["payload"]))] if "payload" in message else []
        rows += [("partitions", str(channel["bindings"]["kafka"]["partitions"]))]
        rows += [(verb, ", ".join(one for one, does in who if does == verb)) for verb in ("writes", "reads")]
        yield from _table((), rows)


def _schemas(schemas: Mapping[str, Any]) -> Iterator[str]:
    for name, schema in schemas.items():
        yield f'<h2 id="{_text(name)}"><code>{_text(name)}</code></h2><p>{_text(schema.get("description", ""))}</p>'
        required = schema.get("required", ())
        rows = [
            (field, _named(one), "required" if field in required else "")
            for field, one in schema.get("properties", {}).items()
        ]
        rows += [("one of", ", ".join(str(value) for value in schema["enum"]), "")] if "enum" in schema else []
        yield from _table((), rows)


def _named(schema: Mapping[str, Any]) -> str:
    """A schema in a few words."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(_named(one) for one in schema["anyOf"])
    if "items" in schema and isinstance(schema["items"], dict):
        return f"list of {_named(schema['items'])}"
    kind = schema.get("type", schema.get("const", "anything"))
    return str(schema.get("format") or (" or ".join(kind) if isinstance(kind, list) else kind))


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    if not rows:
        return
    yield "<table>" + ("<tr>" + "".join(f"<th>{_text(one)}</th>" for one in head) + "</tr>" if head else "")
    for first, *rest in rows:
        yield f"<tr><td><code>{_text(first)}</code></td>" + "".join(f"<td>{_text(one)}</td>" for one in rest) + "</tr>"
    yield "</table>"


def _text(value: str) -> str:
    return escape(value)
