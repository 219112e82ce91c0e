"""Alertmanager's conditions on labels, in all the forms it has had, as matchers of andon.yaml.

`match` and `match_re` (deprecated), and `matchers` in the syntax of 0.27 and later; in the older one where only that
can read a text (Alertmanager itself falls back in the same way: matcher/compat).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from andon.config.alertmanager.source import Part
from andon.core.alert_labels import OURS, RENAMED, Condition, written
from andon.core.matcher_text import MatcherError, tokens_of
from andon.core.matchers import PSEUDO_LABELS, compile_matchers

_CLASSIC = re.compile(r"\s*([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(=~|=|!=|!~)\s*(\"(?:\\.|[^\"\\])*\"|[^\"]*?)\s*", re.DOTALL)
_CLASSIC_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


def conditions(part: Part, prefix: str = "") -> list[str]:
    """The matchers of a route, or of a side of an inhibition rule (`prefix` "source_" or "target_")."""
    texts: list[str] = []
    for key, sign in (("match", "="), ("match_re", "=~")):
        for name, value in part[prefix + key].items():
            texts.append(_checked((name, sign, value.text()), value))
    for each in part[f"{prefix}matchers"].parts():
        texts += [_checked(one, each) for one in _read(each)]
    return texts


def field(name: str) -> str:
    """A label in a list of fields like `group_by`, where some names mean something else."""
    reserved = name in (*PSEUDO_LABELS, "id", "...") or name.startswith(("data.", "facts.", "labels."))
    return f"labels.{name}" if reserved else RENAMED.get(name, name)


def _checked(condition: Condition, part: Part) -> str:
    text = written(condition)
    try:
        compile_matchers((text,))
    except MatcherError as error:
        raise part.wrong(f"cannot be read: {error.problem}") from None
    if condition[0] in OURS:
        part.note(f"{OURS[condition[0]]}; give the label another name where alerts come in, and here")
    return text


def _read(part: Part) -> list[Condition]:
    try:
        return list(_today(part.text()))
    except MatcherError as error:
        if found := list(_classic(part.text())):
            return found
        raise part.wrong(f"is no matcher: {error.problem}") from None


def _today(text: str) -> Iterator[Condition]:
    tokens = tokens_of(text)
    if tokens[0].kind == "open":
        tokens = tokens[1 : next((n for n, token in enumerate(tokens) if token.kind == "close"), 1)] + tokens[-1:]
    while tokens[0].kind != "end":
        name, sign, value, after = [*tokens, *tokens[-1:] * 3][:4]
        kinds = name.kind in ("word", "quoted") and value.kind in ("word", "quoted") and after.kind in ("comma", "end")
        if not kinds or sign.text not in ("=", "!=", "=~", "!~") or sign.kind != "operator":
            raise MatcherError(text, name.column, 'write it as name="value", with one of = != =~ !~')
        yield name.text, sign.text, value.text
        tokens = tokens[4:] if after.kind == "comma" else tokens[3:]


def _classic(text: str) -> Iterator[Condition]:
    """The older syntax: a value may hold blanks and unknown escapes without quotes. Nothing where it does not fit."""
    inner = text.strip().removeprefix("{").removesuffix("}")
    for piece in re.findall(r"(?:\"(?:\\.|[^\"\\])*\"|[^,\"])+", inner):
        match = _CLASSIC.fullmatch(piece)
        if not match:
            return
        name, sign, value = match.groups()
        bare = value[1:-1] if len(value) > 1 and value.startswith('"') else value
        yield (
            name,
            sign,
            _CLASSIC_ESCAPE.sub(lambda seen: {"n": "\n", '"': '"', "\\": "\\"}.get(seen[1], seen[0]), bare),
        )
