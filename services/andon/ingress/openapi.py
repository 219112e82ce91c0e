"""The OpenAPI 3.1 document of the door: `python -m andon.ingress.openapi > schemas/openapi.json`.

Specification: https://spec.openapis.org/oas/v3.1.1.html
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from typing import Any

import msgspec

from andon.core import cloudevents
from andon.core.mute import Mute
from andon.core.reason import Reason
from andon.ingress.api import ALERT_HOOK, CALLBACK, EVENTS, HOOKS, MUTE, MUTES, PROMETHEUS_ALERT
from andon.ingress.bodies.sent import MOST_NAME, Sent
from andon.ingress.door import BATCH, Accepted, Item, Taken
from andon.ingress.muting.alertmanager import ALERTS
from andon.ingress.muting.alertmanager_openapi import HOOK, LIST_OF_ALERTS, PROMETHEUS_ALERT_ASKS, STRUCTS, operations
from andon.ingress.muting.mutes import Ended, NewMute
from andon.ingress.page import ASYNCAPI, OPENAPI, PAGE
from andon.ingress.refusal import STATUSES, TITLES, Problem
from andon.ingress.sources.http import MOST_EVENTS
from andon.kafka.schemas import cleaned

_REF = "#/components/schemas/{name}"
_OBJECT = {"type": "object"}
_GATE = {"403", "413", "429"}
_ANY = {"400", "401", "408", "415", "503"}
_RETRY = (Reason.OVER_CAPACITY, Reason.UNAVAILABLE)
_RIGHT = "For clients whose source says `may: [mutes]`. Every call leaves a record in andon.actions."
_WORDS = {
    "400": "Not valid JSON, not an event, a body that ended early, or a vendor's GET where it only posts; `field` "
    "names what is wrong.",
    "401": "No valid token.",
    "403": "This address or certificate may not call, the client has no right to do this, or its token is for another "
    "address of the door.",
    "404": "Nothing has this name: no source that is called back or has a map, no mute that is not over.",
    "408": "The body took longer than 30 seconds.",
    "409": "Other content was accepted under this id, or under this signature of a vendor.",
    "413": "Larger than `limits.body`.",
    "415": "A media type that is not taken here, not UTF-8, compressed, or binary data.",
    "429": "Over capacity, or over the rate of the client or of strangers: nothing was taken; come again after "
    "`Retry-After` seconds.",
    "503": "Kafka has not acknowledged it, the door's memory fails, or the issuer of a token cannot be asked for its "
    "keys; come again after `Retry-After` seconds.",
}


def document() -> dict[str, Any]:
    """The document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Andon: the door",
            "version": version("andon"),
            "summary": "Takes events in.",
            "description": "202 means that Kafka has the event, acknowledged by every replica in sync. Any other "
            "answer means that nothing was promised: send the event again, with the same id.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}, {"password": []}],
        "paths": {
            EVENTS: {"post": _single()},
            BATCH: {"post": _batch()},
            HOOKS: {"post": _hook()},
            MUTES: {"get": _mutes(), "post": _mute()},
            MUTE: {"delete": _unmute()},
            **operations(_ref),
            ALERTS: {"post": _alerts("postAlerts", "Takes alerts as Prometheus posts them.", LIST_OF_ALERTS)}
            | operations(_ref)[ALERTS],
            ALERT_HOOK: {"post": _alerts("alertHook", "Takes what Alertmanager's webhook posts.", HOOK)},
            PROMETHEUS_ALERT: {
                "post": _alerts("prometheusAlert", "Takes what was for PrometheusAlert.", HOOK, *PROMETHEUS_ALERT_ASKS)
            },
            CALLBACK: {"get": _greeting(), "post": _callback()},
            PAGE: {"get": _open("docs", "This description, to read.", "text/html", {"type": "string"})},
            OPENAPI: {"get": _open("openapi", "The OpenAPI document of the door.", cloudevents.JSON, _OBJECT)},
            ASYNCAPI: {"get": _open("asyncapi", "The AsyncAPI document of all topics.", cloudevents.JSON, _OBJECT)},
        },
        "components": {
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "A token of the client."},
                "password": {"type": "http", "scheme": "basic", "description": "Any name, and the token as password."},
            },
            "headers": {
                "RetryAfter": {"description": "Whole seconds.", "required": True, "schema": {"type": "integer"}}
            },
            "schemas": _schemas(),
        },
    }


def _single() -> dict[str, Any]:
    event = {"schema": _ref("Sent")}
    return {
        "operationId": "postEvent",
        "summary": "Takes one event.",
        "description": "As Andon's own JSON, as a structured CloudEvent, or as a CloudEvent in binary form: with the "
        "headers ce-id, ce-source, ce-type and ce-specversion the body is its data.",
        "parameters": [
            *_PARAMETERS,
            _header(
                "Idempotency-Key", "Stands for the id of an event that has none.", maxLength=MOST_NAME, minLength=1
            ),
            *(_header(f"ce-{name}", "Of a CloudEvent in binary form.") for name in cloudevents.REQUIRED),
        ],
        "requestBody": _body({cloudevents.JSON: event, cloudevents.STRUCTURED: {"schema": _ref("CloudEvent")}}),
        "responses": {
            "202": _answer("The log has the event.", cloudevents.JSON, _ref("Accepted")),
            **_problems({*_ANY, "409"}),
        },
    }


def _batch() -> dict[str, Any]:
    def many(name: str) -> dict[str, Any]:
        return {"schema": {"type": "array", "items": _ref(name), "minItems": 1, "maxItems": MOST_EVENTS}}

    return {
        "operationId": "postEvents",
        "summary": "Takes many events; each has its own answer, in order.",
        "description": "429 and 503 are the whole answer only when no event was taken.",
        "parameters": _PARAMETERS,
        "requestBody": _body({cloudevents.JSON: many("Sent"), cloudevents.BATCH: many("CloudEvent")}),
        "responses": {
            "200": _answer("An answer for each event.", cloudevents.JSON, {"type": "array", "items": _ref("Item")}),
            **_problems(_ANY),
        },
    }


def _hook() -> dict[str, Any]:
    return {
        "operationId": "hook",
        "summary": "Takes what another system sends, by the map of its source; docs/mapping.md.",
        "description": "In the form that the map says, whatever the content type. 400 when one of the events in it is "
        "none, after the good ones were taken.",
        "parameters": [_part_of_address("name", "path", _NAMED, required=True), *_PARAMETERS],
        "requestBody": _body({media: {"schema": {}} for media in _MAPPED}),
        "responses": {
            "202": _answer("The log has all of them.", cloudevents.JSON, _ref("Taken")),
            **_problems({*_ANY, "403", "404", "409"}),
        },
    }


def _alerts(name: str, what: str, schema: dict[str, Any], *more: dict[str, Any]) -> dict[str, Any]:
    return {
        "operationId": name,
        "summary": what,
        "description": "One event for each alert. 400 when one of them is none, after the good ones were taken.",
        "parameters": [*_PARAMETERS, *more],
        "requestBody": _body({cloudevents.JSON: {"schema": schema}}),
        "responses": {
            "200": _answer("The log has all of them.", cloudevents.JSON, _OBJECT),
            **_problems(_ANY),
        },
    }


def _mutes() -> dict[str, Any]:
    return {
        "operationId": "getMutes",
        "summary": "What is muted, or will be.",
        "description": _RIGHT,
        "responses": {
            "200": _answer("Every mute that is not over.", cloudevents.JSON, {"type": "array", "items": _ref("Mute")}),
            **_problems({"401", "503"}),
        },
    }


def _mute() -> dict[str, Any]:
    return {
        "operationId": "postMute",
        "summary": "Mutes what matches, for a while; docs/routing.md.",
        "description": _RIGHT,
        "requestBody": _body({cloudevents.JSON: {"schema": _ref("NewMute")}}),
        "responses": {
            "201": _answer("It is part of the published configuration.", cloudevents.JSON, _ref("Mute")),
            **_problems(_ANY),
        },
    }


def _unmute() -> dict[str, Any]:
    which = {"name": "id", "in": "path", "required": True, "description": "The mute.", "schema": {"type": "string"}}
    return {
        "operationId": "deleteMute",
        "summary": "Ends a mute before its time; what it held is told.",
        "description": _RIGHT,
        "parameters": [which],
        "responses": {
            "200": _answer("It is over.", cloudevents.JSON, _ref("Ended")),
            **_problems({"401", "404", "503"}),
        },
    }


def _greeting() -> dict[str, Any]:
    what = "What the vendor has sealed, as it was: the proof that the address is ours."
    return {
        "operationId": "greet",
        "summary": "A vendor asks whether an address is ours.",
        "security": [],
        "parameters": _SIGNED,
        "responses": {
            "200": _answer(what, "text/plain", {"type": "string"}),
            **_problems({"400", "401", "404", "503"}),
        },
    }


def _callback() -> dict[str, Any]:
    return {
        "operationId": "callback",
        "summary": "A vendor tells of a message or an event; docs/callbacks.md.",
        "description": "200 means that Kafka has the event. Signed by the vendor, not by a token.",
        "security": [],
        "parameters": _SIGNED,
        "requestBody": _body({"application/xml": {"schema": _OBJECT}, cloudevents.JSON: {"schema": _OBJECT}}),
        "responses": {
            "200": {
                "description": "The log has the event. The body is what the vendor wants to read, or nothing.",
                "content": {media: {"schema": {"type": "string"}} for media in ("application/xml", "text/plain")}
                | {cloudevents.JSON: {"schema": _OBJECT}},
            },
            **_problems({*_ANY, "404", "409"}),
        },
    }


def _open(name: str, what: str, media: str, schema: dict[str, Any]) -> dict[str, Any]:
    """An operation that needs no token."""
    answers = {"200": _answer(what, media, schema), **_problems(set())}
    return {"operationId": name, "summary": what, "security": [], "responses": answers}


def _problems(statuses: set[str]) -> dict[str, Any]:
    """Those, and what the gate says of any request."""
    found = {}
    for status in sorted(statuses | _GATE):
        found[status] = _answer(_WORDS[status], "application/problem+json", _ref("Problem"))
        if any(STATUSES[reason] == int(status) for reason in _RETRY):
            found[status]["headers"] = {"Retry-After": {"$ref": "#/components/headers/RetryAfter"}}
    return found


def _schemas() -> dict[str, Any]:
    _, found = msgspec.json.schema_components(
        [Sent, Accepted, Taken, Item, Problem, NewMute, Mute, Ended, *STRUCTS], ref_template=_REF
    )
    schemas: dict[str, Any] = cleaned(found)
    for name in ("id", "source", "type", "subject"):
        schemas["Sent"]["properties"][name] = {"type": "string", "minLength": 1, "maxLength": MOST_NAME}
    schemas["Sent"]["properties"]["time"] = {"type": "string", "format": "date-time"}
    schemas["Problem"]["properties"]["type"]["enum"] = [f"urn:andon:problem:{reason}" for reason in TITLES]
    text = {"type": "string", "minLength": 1}
    schemas["CloudEvent"] = {
        "title": "CloudEvent",
        "description": "CloudEvents 1.0.2 in the JSON event format; extensions become labels.",
        "type": "object",
        "required": list(cloudevents.REQUIRED),
        "properties": {
            "specversion": {"const": cloudevents.VERSION},
            **{name: {**text, "maxLength": MOST_NAME} for name in ("id", "type", "subject")},
            "source": {**text, "maxLength": MOST_NAME, "format": "uri-reference"},
            "time": {"type": "string", "format": "date-time"},
            "datacontenttype": text,
            "dataschema": {**text, "format": "uri"},
            "data": {},
        },
        "propertyNames": {"pattern": "^[a-z0-9]+$"},
        "additionalProperties": {"type": ["string", "boolean", "integer", "null"]},
    }
    return schemas


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": _REF.format(name=name)}


def _answer(description: str, media: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {media: {"schema": schema}}}


def _body(content: dict[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": content}


def _header(name: str, description: str, **limits: int) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": description, "schema": {"type": "string", **limits}}


def _part_of_address(name: str, place: str, description: str, *, required: bool) -> dict[str, Any]:
    schema = {"type": "string"}
    return {"name": name, "in": place, "required": required, "description": description, "schema": schema}


_PARAMETERS = [_header("traceparent", "The trace the event belongs to (W3C); one that is not valid is not taken.")]
_NAMED = "The name of the source in andon.yaml."
_MAPPED = (cloudevents.JSON, "application/xml", "application/x-www-form-urlencoded")
_SIGNED = [
    _part_of_address("name", "path", _NAMED, required=True),
    _part_of_address("msg_signature", "query", "The vendor's signature of what is sealed.", required=False),
    _part_of_address("signature", "query", "WeChat's signature of time and nonce.", required=False),
    _part_of_address("timestamp", "query", "When it signed, in its unit of time since 1970.", required=False),
    _part_of_address("nonce", "query", "A word of its own for each call.", required=False),
    _part_of_address("echostr", "query", "Of a GET: what is to be opened.", required=False),
]


def text() -> str:
    """The document as it stands in schemas/openapi.json."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
