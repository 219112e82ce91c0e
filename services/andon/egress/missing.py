"""Fields that are not there: one shows as a mark and is counted, and what is made of one is missing too."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import ChainableUndefined, Undefined

_UTC = ZoneInfo("UTC")


class Render:
    """What one render goes by and has used: the mark of a missing field and the reader's clock; fields that were
    missing, and steps of `range`."""

    __slots__ = ("absent", "mark", "missing", "steps", "zone")

    def __init__(self) -> None:
        self.absent = _missing_type(self)
        self.begin("", _UTC)

    def begin(self, mark: str, zone: ZoneInfo) -> None:
        """Another one."""
        self.mark, self.zone = mark, zone
        self.missing = self.steps = 0

    def fields(self, values: dict[str, Any]) -> dict[str, Any]:
        """A copy in which each null, however deep, is a missing field."""
        missing = self.absent(name="null")
        whole = values.copy()
        copies: list[Any] = [whole]
        while copies:
            copy = copies.pop()
            for key, value in copy.items() if isinstance(copy, dict) else enumerate(copy):
                if value is None:
                    copy[key] = missing
                elif isinstance(value, dict | list):
                    copy[key] = value.copy()
                    copies.append(copy[key])
        return whole


def is_none(value: Any) -> bool:
    """The test `is none`: a null is a missing field too."""
    return value is None or isinstance(value, Undefined)


def number(made: Callable[..., Any], otherwise: float) -> Callable[..., Any]:
    """Jinja's `int` or `float`, which gives `otherwise` for what is no number; a missing field stays one when there is
    no default for it."""

    @wraps(made)
    def filtered(value: Any, default: Any = None, *more: Any, **named: Any) -> Any:
        if isinstance(value, Undefined):
            return value if default is None else default
        return made(value, otherwise if default is None else default, *more, **named)

    return filtered


def of_what_is_there(made: Callable[..., Any]) -> Callable[..., Any]:
    """A filter of Jinja by which what is missing stays missing."""
    place = place_of_value(made)

    @wraps(made)
    def filtered(*arguments: Any, **named: Any) -> Any:
        value = arguments[place]
        return value if isinstance(value, Undefined) else made(*arguments, **named)

    return filtered


def place_of_value(made: Callable[..., Any]) -> int:
    """Which argument of a filter is its value: some are given the environment before."""
    return 1 if hasattr(made, "jinja_pass_arg") else 0


def _missing_type(render: Render) -> type[Undefined]:
    """Jinja makes its undefined values itself, so the type must know the render."""

    def show(_self: Undefined) -> str:
        render.missing += 1
        return render.mark

    def keep(self: Undefined, *_arguments: Any) -> Undefined:
        return self

    def no(_self: Undefined, _other: Any) -> bool:
        return False

    def same(_self: Undefined, other: Any) -> bool:
        return other is None or isinstance(other, Undefined)

    def hashed(_self: Undefined) -> int:
        return hash(None)

    names = ("add", "radd", "sub", "rsub", "mul", "rmul", "truediv", "rtruediv", "floordiv", "rfloordiv")
    more = ("mod", "rmod", "neg", "pos", "abs", "round", "call")
    methods: dict[str, Callable[..., Any]] = {f"__{name}__": keep for name in (*names, *more)}
    methods |= {f"__{name}__": no for name in ("lt", "le", "gt", "ge")}
    methods |= {"__eq__": same, "__hash__": hashed, "__str__": show, "__format__": lambda self, _form: show(self)}
    return type("Missing", (ChainableUndefined,), {**methods, "__slots__": ()})
