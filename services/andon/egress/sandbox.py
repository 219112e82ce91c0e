"""The Jinja2 environment templates run in: sandboxed, and with our meaning of a missing field."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, tzinfo
from functools import wraps
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from jinja2 import DictLoader, Undefined, pass_context
from jinja2.exceptions import SecurityError
from jinja2.filters import do_float, do_int, do_truncate
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import htmlsafe_json_dumps
from msgspec import Struct
from msgspec.structs import asdict

from andon.egress import amount, escape
from andon.egress.masks import FURTHEST, HIDDEN, Mask, named
from andon.egress.mentions import Mentions
from andon.egress.missing import Render, is_none, number, of_what_is_there, place_of_value

MAX_STEPS = 10_000
_TIME, _DAY, _HOUR = "%Y-%m-%d %H:%M:%S", "%Y-%m-%d", "%H:%M"
_UTC = ZoneInfo("UTC")
_DICT_METHODS = frozenset({"items", "keys", "values", "get"})
# Filters that make a text or a number of one value.
_OF_A_VALUE = (
    *(
        "capitalize",
        "center",
        "e",
        "escape",
        "filesizeformat",
        "forceescape",
        "indent",
        "join",
        "lower",
        "md",
        "pprint",
    ),
    *("raw", "replace", "round", "string", "striptags", "title", "trim", "truncate", "upper", "urlencode", "urlize"),
    *("wordcount", "wordwrap"),
)
# Filters after which a number of a person may not be known for one, beside `tojson`.
_CUT_OR_WRITTEN_OTHERWISE = ("pprint", "striptags", "urlencode", "urlize", "wordwrap")
_NO_GLOBALS = ("lipsum", "cycler", "joiner")


_HARMLESS = {"text": escape.plain, "markdown": escape.markdown, "markdown_v2": escape.markdown}


class Sandbox(ImmutableSandboxedEnvironment):
    """Templates of one kind ("text", "markdown", "markdown_v2"); every value they show is made harmless for it.

    A field that is not there, or is null (see `Render.fields`), shows as the mark of one and is counted; calculating
    with it gives a missing field again, comparing with it is false. `range` is limited over the whole render, so nested
    loops end, and what an operator, a filter or a method makes of a value is limited too (`amount`). It does not bound
    what a template computes in many steps: templates are written by the operator. `link` is where an event can be
    looked up, with `{id}` or `{subject}` in it.
    """

    intercepted_binops = frozenset({"*", "**", "%"})

    def __init__(
        self,
        files: Mapping[str, str],
        kind: str,
        render: Render,
        mask: Mask,
        link: str = "",
    ) -> None:
        self._escaped = _HARMLESS[kind]
        self._mask = mask
        self._render = render
        self._address = link
        super().__init__(
            loader=DictLoader(files),
            undefined=render.absent,
            finalize=self._show,
            extensions=(Mentions,),
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
            cache_size=-1,
        )
        self.filters |= amount.FILTERS
        self.filters |= {"at": self._at, "date": self._date, "time": self._clock, "link": self._link}
        self.filters |= {"md": self._md, "raw": _raw, "mask": _masked, "tojson": self._tojson}
        self.filters |= {"int": number(do_int, 0), "float": number(do_float, 0.0), "truncate": self._truncate}
        for name in _CUT_OR_WRITTEN_OTHERWISE:
            self.filters[name] = self._of_hidden(self.filters[name])
        for name in _OF_A_VALUE:
            self.filters[name] = of_what_is_there(self.filters[name])
        self.tests["none"] = is_none
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
        return self._present(super().getattr(obj, attribute))

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "**":
            raise SecurityError("** is not allowed in templates")
        if operator == "%" and isinstance(left, bytes):
            raise SecurityError("% of bytes is not allowed in templates")
        if operator == "%" and isinstance(left, str):
            return amount.formatted(left, right)
        if operator == "*":
            amount.repeated(left, right)
        return super().call_binop(context, operator, left, right)

    def call(self, context: Context, function: Any, /, *arguments: Any, **named: Any) -> Any:
        arguments = amount.called(function, arguments, named)
        return self._present(super().call(context, function, *arguments, **named))

    def _present(self, value: Any) -> Any:
        return self.undefined(name="none") if value is None else value

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        if super().wrap_str_format(value) is None:
            return None
        text, by_map = value.__self__, value.__name__ == "format_map"

        def made(*arguments: Any, **named: Any) -> str:
            if by_map:
                arguments, named = (), *arguments
            return amount.Formatter(self).vformat(text, arguments, named)

        return made

    def _range(self, *arguments: Any) -> range:
        if any(isinstance(one, Undefined) for one in arguments):
            return range(0)
        steps = range(*arguments)
        self._render.steps += len(steps)
        if self._render.steps > MAX_STEPS:
            raise SecurityError(f"range has more than {MAX_STEPS} steps in all")
        return steps

    # With a context, so that nothing constant is shown when templates are compiled: the mark is not known then.
    @pass_context
    def _show(self, _context: Context, value: Any) -> Any:
        if type(value) is str:
            return self._escaped(self._hide(value))
        if value is None or callable(value):
            self._render.missing += 1
            return self._render.mark
        if isinstance(value, escape.Escaped | Undefined):
            return value
        return self._escaped(self._text(value))

    def _text(self, value: Any) -> str:
        """What a value reads as, with what is hidden hidden."""
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, datetime):
            return _local(value, self._render.zone, _TIME)
        if isinstance(value, dict | list | tuple | Struct):
            amount.within(len(json.dumps(value, ensure_ascii=False, default=_in_list)))
            return json.dumps(self._hidden(value), ensure_ascii=False, default=_in_list)
        return self._hide(str(value))

    def _hide(self, text: str) -> str:
        amount.within(len(text))
        return self._mask(text)

    def _md(self, value: Any) -> escape.Escaped:
        """Escapes for markdown, also where the template itself is plain text."""
        return escape.Escaped(escape.markdown(self._text(value)))

    def _truncate(
        self, s: Any, length: int = 255, killwords: bool = False, end: str = "...", leeway: int | None = None
    ) -> str:
        """Jinja's own; what is hidden is hidden before it cuts, and it looks no further than that needs."""
        text = s
        if not isinstance(s, escape.Escaped):
            seen = length + (self.policies["truncate.leeway"] if leeway is None else leeway) + FURTHEST
            text = self._hide(s[:seen]) if isinstance(s, str) else self._text(s)
        return do_truncate(self, text, length, killwords, end, leeway)

    def _of_hidden(self, made: Callable[..., Any]) -> Callable[..., Any]:
        """A filter of Jinja that does not see what is hidden."""
        place = place_of_value(made)

        @wraps(made)
        def filtered(*arguments: Any, **named: Any) -> Any:
            value = arguments[place]
            if not isinstance(value, escape.Escaped):
                value = list(value) if isinstance(value, Iterator) else value
                amount.within(len(str(value)))
                value = self._hidden(value)
            return made(*arguments[:place], value, *arguments[place + 1 :], **named)

        return filtered

    def _tojson(self, value: Any, indent: int | None = None) -> escape.Escaped:
        """Jinja's own, with what is hidden hidden within the values: in the JSON itself it would be no number any more,
        and a letter that JSON escapes would stand before one as if it were part of it. A time is text in ISO 8601, a
        missing field null."""
        amount.indented(indent)
        amount.within(len(json.dumps(value, default=_in_json)))
        self._render.missing += isinstance(value, Undefined)
        text = htmlsafe_json_dumps(self._hidden(value), indent=indent, sort_keys=True, default=_in_json)
        return escape.Escaped(self._escaped(str(text)))

    def _hidden(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._mask(value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            text = str(value)
            shown = self._mask(text)
            return value if shown == text else shown
        if isinstance(value, list | tuple):
            return [self._hidden(one) for one in value]
        if isinstance(value, Struct):
            return self._hidden(asdict(value))
        if not isinstance(value, dict):
            return value
        found: dict[Any, Any] = {}
        alike: Counter[str] = Counter()
        for key, one in value.items():
            name = shown = self._mask(key) if isinstance(key, str) else key
            # Two that show alike stay two.
            while name in found:
                alike[shown] += 1
                name = shown + HIDDEN * alike[shown]
            found[name] = self._hidden(one)
        return found

    @pass_context
    def _at(self, _context: Context, value: Any, zone: str | None = None, format: str = _TIME) -> Any:  # noqa: A002 - template word
        """A time on the clock of `zone`, else of the reader; text in ISO 8601 with a zone counts as a time.
        One that is in no year of that clock (9999-12-31T23:59:59Z in China) stays as it is."""
        time = value
        if isinstance(value, str):
            try:
                time = datetime.fromisoformat(value)
            except ValueError:
                return value
        if not isinstance(time, datetime) or time.tzinfo is None:
            return value
        try:
            return _local(time, _clock_of(zone) if zone else self._render.zone, format)
        except OverflowError:
            return value

    @pass_context
    def _date(self, context: Context, value: Any, format: str = _DAY) -> Any:  # noqa: A002 - template word
        return self._at(context, value, format=format)

    @pass_context
    def _clock(self, context: Context, value: Any, format: str = _HOUR) -> Any:  # noqa: A002 - template word
        return self._at(context, value, format=format)

    def _link(self, value: Any) -> Any:
        """Where an event, or a line of a digest, can be looked up; a missing field when that is not known."""
        if not self._address or isinstance(value, Undefined) or not getattr(value, "id", ""):
            return self.undefined(name="link")
        return escape.Escaped(link_to(self._address, value.id, value.subject))


def link_to(address: str, event: str, subject: str) -> str:
    """The address with an event's id and subject in it, as they may stand in one and in markup."""
    return address.replace("{id}", quote(event, safe="")).replace("{subject}", quote(subject, safe=""))


def _clock_of(zone: str) -> ZoneInfo:
    try:
        return ZoneInfo(zone)
    except OSError:  # a folder of zones, or a name that no file can have
        raise ZoneInfoNotFoundError(zone) from None


def _local(time: datetime, zone: tzinfo, format: str) -> str:  # noqa: A002 - template word
    return time.astimezone(zone).strftime(format)


def _in_json(value: Any) -> Any:
    if isinstance(value, Undefined):
        return None
    if isinstance(value, Struct):
        return asdict(value)
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def _in_list(value: Any) -> Any:
    return _in_json(value) if isinstance(value, Undefined | Struct) else str(value)


def _raw(value: Any) -> escape.Raw:
    """Shows a value as it is, markup and mentions included."""
    return escape.Raw(str(value))


def _masked(value: Any) -> Any:
    """A name of which the first character is left; what is missing stays missing."""
    return value if isinstance(value, Undefined) else named(str(value))
