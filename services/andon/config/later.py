"""Words of the product's configuration whose part does not exist yet.

They are refused by name, so that nobody believes a key is obeyed that is not. A word leaves this table when its part
arrives; the table is asked only about keys and kinds that nothing else knows, so a stale word does no harm.
"""

from __future__ import annotations

from andon.config.mistakes import Path

# A path is written without names and positions: `*` stands for one of them, a route's children count as routes.
KEYS: dict[tuple[str, ...], frozenset[str]] = {
    (): frozenset({"logins", "rota", "escalations", "audit"}),
    ("access",): frozenset({"sign_in", "roles"}),
    ("watch",): frozenset({"receiver", "certificates", "disk", "drill"}),
    ("sources", "*"): frozenset({"labels", "login", "proxy"}),
    ("connectors", "*"): frozenset({"login", "proxy"}),
    ("channels", "*"): frozenset({"limits"}),
    ("ticket_systems", "*"): frozenset({"login", "preset", "reconcile", "proxy"}),
    ("receivers", "*"): frozenset({"actions"}),
    ("route",): frozenset({"escalation"}),
    ("episodes", "*"): frozenset({"reopen_within", "flapping", "stale_after"}),
}

KINDS: dict[str, frozenset[str]] = {
    "sources": frozenset({"sql", "opcua", "odata", "wecom_aibot", "schedule"}),
    "connectors": frozenset({"odata", "wecom_contacts"}),
    "channels": frozenset({"aliyun_voice"}),
    "ticket_systems": frozenset({"rest", "builtin"}),
}

# A recipient written `word:…` names people through a part that does not exist yet.
RECIPIENTS = frozenset({"rota"})

NAMED_SECTIONS = frozenset({"sources", "connectors", "channels", "receivers", "ticket_systems", "episodes"})


def is_later(path: Path) -> bool:
    """Whether the last key of `path` belongs to a part that does not exist yet."""
    *above, key = path
    return key in KEYS.get(_pattern(tuple(above)), frozenset())


def _pattern(path: Path) -> tuple[str, ...]:
    if path[:1] == ("route",):
        path = ("route", *_below_routes(path[1:]))
    return tuple(
        "*" if isinstance(step, int) or (index == 1 and path[0] in NAMED_SECTIONS) else step
        for index, step in enumerate(path)
    )


def _below_routes(path: Path) -> Path:
    while len(path) >= 2 and path[0] == "routes":
        path = path[2:]
    return path
