"""Routing once more, as plainly as it can be said: every text is read anew for every event, and every route is asked.

It shares no code with the router: nothing of Andon is imported, and patterns are matched by Python's own engine.
A configuration is the mapping that a file would give; what happened is a `Happened`.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

BLANK = "[\t\n\v\f\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]"
RESERVED = BLANK[1:-1] + "{}!=~,\\\\\"'`"
QUOTED = r'"(?:[^"\\\n]|\\[^\n])*"'
CONDITION = re.compile(
    f"{BLANK}*(?P<name>{QUOTED}|[^{RESERVED}<>]+){BLANK}*"
    f"(?:(?P<sign>==|!=|=~|!~|<=|>=|=|<|>){BLANK}*(?P<value>{QUOTED}|[^{RESERVED}]+)|(?P<exists>exists)){BLANK}*"
)
ESCAPE = re.compile(r'\\(x[0-9a-fA-F]{2}|[0-3][0-7]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[abfnrtv"\\])')
LETTERS = {"a": 7, "b": 8, "t": 9, "n": 10, "v": 11, "f": 12, "r": 13, '"': 34, "\\": 92}
COMPARE = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq}
DECIMAL = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)")


class Refused(ValueError):  # noqa: N818 - an answer of the grammar
    """A text that is no matcher."""


@dataclass
class Happened:
    """An event, in plain values; `at` is the local time at which it was accepted."""

    type: str
    subject: str
    source: str
    at: datetime
    labels: dict[str, str] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass
class Condition:
    """One matcher as it was written."""

    name: str
    sign: str
    value: str
    is_path: bool  # the name is that of a value in data or facts
    is_word: bool  # the value stands without quotes


# ---- matchers


def read(text: str) -> list[Condition]:
    """The matchers of a text; whether a pattern is one is left to who uses it. Raises Refused."""
    inner = re.fullmatch(f"(?s){BLANK}*(.*?){BLANK}*", text)
    assert inner
    rest = inner[1]
    if rest.startswith("{"):
        if not rest.endswith("}") or len(rest) == 1:
            raise Refused("a brace stays open")
        rest = rest[1:-1]
    found: list[Condition] = []
    while re.sub(BLANK, "", rest):
        match = CONDITION.match(rest)
        if not match:
            raise Refused(f"no matcher: {rest}")
        found.append(condition(match))
        rest = rest[match.end() :]
        if rest and not rest.startswith(","):
            raise Refused(f"no comma: {rest}")
        rest = rest[1:]
    if not found:
        raise Refused("nothing")
    return found


def condition(match: re.Match[str]) -> Condition:
    is_path = match["name"].startswith(("data.", "facts."))
    name = unquoted(match["name"])
    if not name:
        raise Refused("no name")
    if match["exists"]:
        if not is_path and match["name"] not in ("type", "subject", "source", "id"):
            raise Refused("no value")
        return Condition(name, "exists", "", is_path, True)
    sign, value = match["sign"], unquoted(match["value"])
    if not is_path and sign not in ("=", "!=", "=~", "!~"):
        raise Refused("labels are text")
    if is_path and sign == "=":
        raise Refused("written ==")
    return Condition(name, sign, value, is_path, not match["value"].startswith('"'))


def unquoted(text: str) -> str:
    if not text.startswith('"'):
        return text
    inside = text[1:-1]
    if re.sub(ESCAPE, "", inside).count("\\"):
        raise Refused(f"no escape: {text}")
    pieces = re.split(ESCAPE, inside)  # texts at even places, escapes at odd ones
    try:
        return b"".join(escaped(one) if number % 2 else one.encode() for number, one in enumerate(pieces)).decode()
    except (UnicodeError, ValueError, OverflowError):
        raise Refused(f"no text: {text}") from None


def escaped(code: str) -> bytes:
    if code in LETTERS:
        return bytes([LETTERS[code]])
    if code[0] in "uU":
        return chr(int(code[1:], 16)).encode()
    return bytes([int(code[1:], 16) if code[0] == "x" else int(code, 8)])


def holds(one: Condition, given: Happened) -> bool:
    if one.is_path or one.sign == "exists":
        return compares(one, given)
    own = {"type": given.type, "subject": given.subject, "source": given.source}
    seen = own[one.name] if one.name in own else given.labels.get(one.name, "")
    if one.sign in ("=", "!="):
        return (seen == one.value) == (one.sign == "=")
    return (re.fullmatch(one.value, seen) is not None) == (one.sign == "=~")


def compares(one: Condition, given: Happened) -> bool:
    seen = found_at(one.name, given)
    if seen is None:
        return False
    if one.sign == "exists":
        return True
    if one.sign in ("=~", "!~"):
        text = text_of(seen)
        return text is not None and (re.fullmatch(one.value, text) is not None) == (one.sign == "=~")
    if one.is_word and one.value.startswith(("data.", "facts.", "labels.")):
        other = found_at(one.value, given)
    else:
        other = one.value
        if one.is_word and DECIMAL.fullmatch(other) and number_of(seen) is None:
            return False  # compared as a number, and it is none
    if one.is_word and one.sign in ("<", "<=", ">", ">=") and None not in (amount_of(seen), amount_of(other)):
        return compared(one.sign, amount_of(seen), amount_of(other))
    if one.is_word and number_of(seen) is not None and number_of(other) is not None:
        return compared(one.sign, number_of(seen), number_of(other))
    texts = text_of(seen), text_of(other)
    return one.sign in ("==", "!=") and None not in texts and compared(one.sign, *texts)


def compared(sign: str, one: Any, other: Any) -> bool:
    return bool(one != other) if sign == "!=" else bool(COMPARE[sign](one, other))


def found_at(path: str, given: Happened) -> Any:
    root, _, rest = path.partition(".")
    if root == "labels":
        return given.labels.get(rest)
    value: Any = {"data": given.data, "facts": given.facts}[root]
    for step in rest.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value


def number_of(value: Any) -> float | None:
    if isinstance(value, str):
        return float(value) if DECIMAL.fullmatch(value.strip()) else None
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def amount_of(value: Any) -> float | None:
    if isinstance(value, str) and re.fullmatch(DECIMAL.pattern + r"[eE][+-]?[0-9]+", value.strip()):
        return float(value)
    return number_of(value)


def text_of(value: Any) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value == int(value):
        return str(int(value))
    return str(value) if isinstance(value, (str, int, float)) else None


# ---- the tree

HANDED_DOWN = ("receiver", "urgent", "group_by", "group_wait", "group_interval", "repeat_interval")
Asked = Callable[[str, datetime], bool]


@dataclass
class Taken:
    """A route that an event takes: its place, what it says or has from above, and whether it is silent now."""

    path: str
    receiver: str
    urgent: bool
    group: str | None
    pace: tuple[float, float, float] | None
    verdict: str  # "", muted or inactive


def taken(root: dict[str, Any], given: Happened, is_on: Asked) -> list[Taken]:
    """Every route taken, in their order. `is_on(name, at)` says whether a time interval holds."""
    return walked(root, given, is_on, {}, "0")


def walked(node: dict[str, Any], given: Happened, is_on: Asked, above: dict[str, Any], path: str) -> list[Taken]:
    said = above | {key: node[key] for key in HANDED_DOWN if node.get(key) is not None}
    found: list[Taken] = []
    for number, child in enumerate(node.get("routes", [])):
        if all(holds(one, given) for text in child.get("matchers", []) for one in read(text)):
            found += walked(child, given, is_on, said, f"{path}.{number}")
            if not child.get("continue"):
                break
    if found:
        return found
    verdict = ""
    if any(is_on(name, given.at) for name in node.get("mute_time_intervals", [])):
        verdict = "muted"
    active = node.get("active_time_intervals", [])
    if active and not any(is_on(name, given.at) for name in active):
        verdict = "inactive"
    group = pace = None
    if "group_by" in said:
        group = f"{path} {grouped(said['group_by'], given)}"
        pace = tuple(seconds(said.get(key, "0s")) for key in ("group_wait", "group_interval", "repeat_interval"))
    return [Taken(path, said["receiver"], said.get("urgent", False), group, pace, verdict)]  # type: ignore[arg-type]


def grouped(by: list[str], given: Happened) -> str:
    if by == ["..."]:
        return json.dumps([given.subject, sorted(given.labels.items())], ensure_ascii=False, separators=(",", ":"))
    own = {"type": given.type, "subject": given.subject}
    return "/".join(own.get(name, given.labels.get(name, "")) for name in by)


def seconds(text: str) -> float:
    return int(text[:-1]) * {"s": 1, "m": 60, "h": 3600}[text[-1]]


def told(routes: list[Taken]) -> tuple[list[tuple[str, str, bool]], str]:
    """(receiver, path, urgent) of every delivery, or why there is none."""
    found: dict[str, tuple[str, str, bool]] = {}
    for one in routes:
        if not one.verdict:
            _, first, before = found.get(one.receiver, (one.receiver, one.path, False))
            found[one.receiver] = (one.receiver, first, before or one.urgent)
    return list(found.values()), "" if found else routes[0].verdict
