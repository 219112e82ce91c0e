"""Secrets that the configuration names and this machine has not: what needs them stands still, the rest runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from andon.config.published import plain
from andon.config.secrets import SecretMissing, SecretRef

if TYPE_CHECKING:
    from andon.config.settings import Settings


def absent(settings: Settings) -> tuple[str, ...]:
    """A sentence for each secret that is not there, with the place that names it."""
    sentences = []
    for place, text in _texts(plain(settings)):
        try:
            if text.startswith(("env:", "file:/")):
                SecretRef(text).values()
        except SecretMissing as missing:
            sentences.append(f"{place}: {missing}; what needs it does not work until it is there")
        except ValueError:
            continue  # an `env:` without a name is no reference
    return tuple(sentences)


def _texts(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Every text, with the keys above it as the file has them."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(inner, place if key == "options" else f"{place}.{key}".lstrip("."))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _texts(inner, f"{place}[{number}]")
