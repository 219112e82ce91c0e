"""The labels of Prometheus' alerts in matchers of ours: how they are written, and which names mean something else here.

See docs/alertmanager.md, "The events".
"""

from __future__ import annotations

import re

Condition = tuple[str, str, str]
"""The name of a label, the sign (= != =~ !~), and the value."""

RENAMED = {"state": "exported_state"}
"""An alert's own labels that events have under another name: `state` itself is raise or clear."""
OURS = {
    "type": "`type` is the type of the event here, not a label of the alert",
    "subject": "`subject` is what the event is about here, not a label of the alert",
    "source": "`source` is where the event comes from here, not a label of the alert",
}
"""Names that no matcher can mean a label of an alert by, each with why."""
_PLAIN_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_ESCAPES = (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\t", "\\t"), ("\r", "\\r"))


def written(condition: Condition) -> str:
    """A condition on a label of an alert as a matcher of ours."""
    name, sign, value = condition
    name = RENAMED.get(name, name)
    return f"{name if _PLAIN_NAME.fullmatch(name) else _quoted(name)}{sign}{_quoted(value)}"


def _quoted(text: str) -> str:
    for sign, escape in _ESCAPES:
        text = text.replace(sign, escape)
    return f'"{text}"'
