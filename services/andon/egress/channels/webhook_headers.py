"""The headers that a webhook's configuration adds: which may be, and the secrets in them."""

from __future__ import annotations

import re

from andon.config.secrets import SecretRef

_OURS = frozenset({"host", "content-length", "content-type", "connection", "transfer-encoding", "user-agent", "accept"})
_SECRET = frozenset({"authorization", "proxy-authorization", "cookie"})
_HEADER = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[\x20-\x7e\t]+")


def referred(value: str) -> tuple[str, SecretRef | None]:
    """What stands before the reference in a header's value, and the reference; None when there is none."""
    word, blank, last = value.rpartition(" ")
    return (word + blank, SecretRef(last)) if last.startswith(("env:", "file:")) else (value, None)


def require_header(name: str, value: str) -> None:
    """Raises ValueError unless this may be a header."""
    if not _HEADER.fullmatch(name):
        raise ValueError("the name of a header has letters, digits and hyphens")
    if name.lower() in _OURS or name.lower().startswith("webhook-"):
        raise ValueError(f"{name} is set by Andon")
    if not _VALUE.fullmatch(value):
        raise ValueError(f"the value of {name} is one line of ASCII")
    if name.lower() in _SECRET and referred(value)[1] is None:
        raise ValueError(f"{name} is a secret; write it as env:NAME or file:/path")
