"""What a person is shown of another system's answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import quote

_SHOWN = 160
_PREFIXES = ("whsec_", "whsk_")


def beginning(text: str, secrets: Sequence[str]) -> str:
    """The beginning of an answer in one line that can be printed, with `***` for every secret of ours in it.

    A secret is found as it is, without its prefix, percent-encoded as in an address, and as in JSON whose slashes are
    escaped.
    """
    for form in sorted({form for secret in secrets for form in _forms(secret)}, key=len, reverse=True):
        text = text.replace(form, "***")
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())[:_SHOWN]


def _forms(secret: str) -> Iterator[str]:
    bare = secret
    for prefix in _PREFIXES:
        bare = bare.removeprefix(prefix)
    for form in filter(None, (secret, bare)):
        yield from (form, quote(form, safe=""), form.replace("/", "\\/"))
