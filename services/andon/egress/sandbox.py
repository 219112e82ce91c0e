"""The Jinja2 environment templates run in: sandboxed, and with our meaning of a missing field."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import ChainableUndefined, DictLoader, Undefined
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from andon.egress import escape
from andon.egress.masks import Mask, named

MAX_STEPS = 10_000
MAX_REPEAT = 1_000
_TIME = "%Y-%m-%d %H:%M:%S"
_DICT_METHODS = frozenset({"items", "keys", "values", "get"})
_NO_GLOBALS = ("lipsum", "cycler", "joiner")


_HARMLESS = {"text": escape.plain, "markdown": escape.markdown, "markdown_v2": escape.markdown_v2}


class Tally:
    """What one render used: fields that were missing, and steps of `range`."""

    __slots__ = ("missing", "steps")

    def __init__(self) -> None:
        self.missing = 0
        self.steps = 0


class Sandbox(ImmutableSandboxedEnvironment):
    """Templates of one kind ("text", "markdown", "markdown_v2"); every value they show is made harmless for it.

    A field that is not there, or is null, shows as `missing` and is counted; calculating with it gives a missing
    field again, comparing with it is false. `range` is limited over the whole render, so nested loops end. It does
    not bound what a template computes from large data: templates are written by the operator.
    """

    intercepted_binops = frozenset({"*", "**"})

    def __init__(
        self,
        files: Mapping[str, str],
        kind: str,
        missing: str,
        zone: ZoneInfo,
        tally: Tally,
        mask: Mask,
    ) -> None:
        self._escaped = _HARMLESS[kind]
        self._mask = mask
        self._zone = zone
        self._tally = tally
        super().__init__(
            loader=DictLoader(files),
            undefined=_missing_type(missing, tally),
            finalize=self._show,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
            cache_size=-1,
        )
        self._missing = missing
        self.filters |= {"at": self._at, "md": self._md, "raw": _raw, "mask": _masked}
        del self.filters["random"]
        for name in _NO_GLOBALS:
            del self.globals[name]
        self.globals["range"] = self._range

    def getattr(self, obj: Any, attribute: str) -> Any:
        """A field of data before a method of dict: events have fields named `items` and `values`."""
        if isinstance(obj, dict):
            if attribute in obj:
                return obj[attribute]
            if attribute not in _DICT_METHODS:
                return self.undefined(obj=obj, name=attribute)
        return super().getattr(obj, attribute)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "**":
            raise SecurityError("** is not allowed in templates")
        for sequence, count in ((left, right), (right, left)):
            if isinstance(sequence, str | list | tuple) and isinstance(count, int) and count > MAX_REPEAT:
                raise SecurityError(f"repeats a text more than {MAX_REPEAT} times")
        return super().call_binop(context, operator, left, right)

    def _range(self, *arguments: int) -> range:
        steps = range(*arguments)
        self._tally.steps += len(steps)
        if self._tally.steps > MAX_STEPS:
            raise SecurityError(f"range has more than {MAX_STEPS} steps in all")
        return steps

    def _show(self, value: Any) -> Any:
        if type(value) is str:
            return self._harmless(value)
        if value is None or callable(value):
            self._tally.missing += 1
            return self._missing
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int | float):
            return self._harmless(str(value))
        if isinstance(value, escape.Escaped | Undefined):
            return value
        if isinstance(value, datetime):
            return _local(value, self._zone, _TIME)
        if isinstance(value, dict | list | tuple):
            return self._harmless(json.dumps(value, ensure_ascii=False, default=str))
        return self._harmless(str(value))

    def _harmless(self, text: str) -> str:
        return self._escaped(self._mask(text))

    def _md(self, value: Any) -> escape.Escaped:
        """Escapes for markdown, also where the template itself is plain text."""
        return escape.Escaped(escape.markdown(self._mask(str(value))))

    def _at(self, value: Any, zone: str | None = None, format: str = _TIME) -> Any:  # noqa: A002 - template word
        """A time on the clock of `zone`, else of the site; text in ISO 8601 with a zone counts as a time."""
        time = value
        if isinstance(value, str):
            try:
                time = datetime.fromisoformat(value)
            except ValueError:
                return value
        if not isinstance(time, datetime) or time.tzinfo is None:
            return value
        return _local(time, ZoneInfo(zone) if zone else self._zone, format)


def _local(time: datetime, zone: tzinfo, format: str) -> str:  # noqa: A002 - template word
    return time.astimezone(zone).strftime(format)


def _raw(value: Any) -> escape.Escaped:
    """Shows a value as it is, markup and mentions included."""
    return escape.Escaped(str(value))


def _masked(value: Any) -> Any:
    """A name of which the first character is left; what is missing stays missing."""
    return value if isinstance(value, Undefined) else named(str(value))


def _missing_type(mark: str, tally: Tally) -> type[Undefined]:
    """Jinja makes its undefined values itself, so the type must know the mark and the tally."""

    def show(_self: Undefined) -> str:
        tally.missing += 1
        return mark

    def keep(self: Undefined, *_arguments: Any) -> Undefined:
        return self

    def no(_self: Undefined, _other: Any) -> bool:
        return False

    names = ("add", "radd", "sub", "rsub", "mul", "rmul", "truediv", "rtruediv", "floordiv", "rfloordiv")
    more = ("mod", "rmod", "neg", "pos", "abs", "round", "call")
    methods: dict[str, Callable[..., Any]] = {f"__{name}__": keep for name in (*names, *more)}
    methods |= {f"__{name}__": no for name in ("lt", "le", "gt", "ge")}
    return type("Missing", (ChainableUndefined,), {**methods, "__str__": show, "__slots__": ()})
