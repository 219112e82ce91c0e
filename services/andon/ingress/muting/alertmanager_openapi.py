"""The part of the door's OpenAPI document that speaks of alerts and of Alertmanager's API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from andon.core import cloudevents
from andon.ingress.muting.active import ActiveAlert, AlertGroup, Receiver
from andon.ingress.muting.alertmanager import ALERTS, GROUPS, RECEIVERS, SILENCE, SILENCES, STATUS, Status
from andon.ingress.muting.silences import PostableSilence, Put, Silence
from andon.ingress.sources.alertmanager import MOST_ALERTS

STRUCTS = (PostableSilence, Put, Silence, Status, Receiver, ActiveAlert, AlertGroup)
_RIGHT = "As Alertmanager has it, for clients that may mute. Every call leaves a record in andon.actions."
_ALERT = {
    "type": "object",
    "required": ["labels"],
    "properties": {
        "labels": {"type": "object", "minProperties": 1, "additionalProperties": {"type": "string", "minLength": 1}},
        "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
        "startsAt": {"type": "string", "format": "date-time"},
        "endsAt": {"type": "string", "format": "date-time"},
        "generatorURL": {"type": "string"},
        "status": {"enum": ["firing", "resolved"]},
    },
}
LIST_OF_ALERTS = {"type": "array", "items": _ALERT, "maxItems": MOST_ALERTS}
HOOK = {"type": "object", "required": ["alerts"], "properties": {"alerts": LIST_OF_ALERTS}}
_WORDS = {
    "400": "Not what this address takes, in one sentence.",
    "401": "No valid token.",
    "403": "The client may not mute, or this address or certificate may not call.",
    "404": "There is no such silence; of alerts, that nothing is known of what is active.",
    "408": "The body took longer than 30 seconds.",
    "413": "Larger than `limits.body`.",
    "415": "Not application/json, or compressed.",
    "429": "Over the rate of strangers; come again after `Retry-After` seconds.",
    "503": "Kafka does not answer; come again after `Retry-After` seconds.",
}
_ALWAYS = ("401", "403", "413", "429", "503")
_OF_BODIES = ("400", "408", "415")
_OF_ALERTS = ("400", "404")
_OBJECT = {"type": "object"}
_TEXT = {"type": "string"}


def operations(ref: Callable[[str], dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Address → method → operation; `ref` refers to a schema by its name."""
    which = _parameter("id", "path", "The silence.")
    many = _parameter("filter", "query", "A matcher; all of them must hold.", _list(_TEXT))
    by = _parameter("creator", "query", "Who made it.", _list(_TEXT))
    truths = [
        _parameter(name, "query", "Whether these are wanted.", {"type": "boolean"})
        for name in ("active", "silenced", "inhibited", "unprocessed")
    ]
    asked = [*truths, many, _parameter("receiver", "query", "Not known here: leave it out.")]
    body = {"required": True, "content": {cloudevents.JSON: {"schema": ref("PostableSilence")}}}
    silences = _operation(
        "getSilences", "Which silences there are.", _list(ref("Silence")), "400", parameters=[many, by]
    )
    put = _operation("postSilences", "Mutes, or changes a mute.", ref("Put"), "404", *_OF_BODIES, requestBody=body)
    one = _operation("getSilence", "One silence.", ref("Silence"), "404", parameters=[which])
    end = _operation("deleteSilence", "Ends a silence.", _OBJECT, "404", parameters=[which])
    alerts = _operation("getAlerts", "The open episodes.", _list(ref("ActiveAlert")), *_OF_ALERTS, parameters=asked)
    groups = _operation(
        "getAlertGroups", "The same as one group.", _list(ref("AlertGroup")), *_OF_ALERTS, parameters=asked
    )
    return {
        SILENCES: {"get": silences, "post": put},
        SILENCE: {"get": one, "delete": end},
        STATUS: {"get": _operation("getStatus", "What this is.", ref("Status"))},
        RECEIVERS: {"get": _operation("getReceivers", "The names of all receivers.", _list(ref("Receiver")))},
        ALERTS: {"get": alerts},
        GROUPS: {"get": groups},
    }


def _operation(name: str, summary: str, schema: dict[str, Any], *refusals: str, **more: Any) -> dict[str, Any]:
    answers = {"200": {"description": "Done.", "content": {cloudevents.JSON: {"schema": schema}}}}
    for status in sorted({*_ALWAYS, *refusals}):
        answers[status] = {"description": _WORDS[status], "content": {cloudevents.JSON: {"schema": _TEXT}}}
    for status in ("429", "503"):
        answers[status]["headers"] = {"Retry-After": {"$ref": "#/components/headers/RetryAfter"}}
    return {"operationId": name, "summary": summary, "description": _RIGHT, **more, "responses": answers}


def _parameter(name: str, place: str, description: str, schema: dict[str, Any] = _TEXT) -> dict[str, Any]:
    required = place == "path"
    return {"name": name, "in": place, "required": required, "description": description, "schema": schema}


def _list(of: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": of}


PROMETHEUS_ALERT_ASKS = tuple(
    _parameter(name, "query", f"Becomes a label; any other parameter is left out ({word}).")
    for name, word in (("type", "wx, dd, fs, …"), ("tpl", "the template"), ("alertgroup", "the group"))
)
