"""What pydantic finds wrong in the data of a file, said in the file's own words and at the file's own paths."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from types import UnionType
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from andon.config.later import is_later
from andon.config.mistakes import OfKey, Path, hint, named


class Found(NamedTuple):
    """A mistake without its place. `at_key`: it is looked for at the key, even where a value stands behind it."""

    path: Path
    text: str
    at_key: bool = False


# A member of an enumeration, as pydantic names it among others: <Reason.GONE: 'gone'>.
_MEMBER = re.compile(r"<[\w.]+: ('[^']*')>")
_TEXTS = {
    "model_type": "must be a map (`key: value`)",
    "model_attributes_type": "must be a map (`key: value`)",
    "dict_type": "must be a map (`name: …`)",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "set_type": "must be a list",
    "frozen_set_type": "must be a list",
    "string_type": "must be text; put it in quotes",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be more than {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be less than {lt}",
    "too_short": "needs at least {min_length} entries",
    "too_long": "takes at most {max_length} entries",
    "string_too_short": "must not be shorter than {min_length} characters",
    "string_too_long": "must not be longer than {max_length} characters",
}


def shape_mistakes(model: type[BaseModel], data: Any, error: ValidationError, above: Path = ()) -> list[Found]:
    """Every mistake of a validation. `above` is where `data` stands in the file."""
    found: list[Found] = []
    unions: dict[Path, dict[str, list[Found]]] = {}
    for detail in error.errors(include_url=False):
        if detail["type"] == "too_short" and len(detail["input"]) >= detail["ctx"]["min_length"]:
            continue  # pydantic counts the good entries only, and what is wrong with the others is said
        path, arm = _in_data(detail, data)
        if isinstance(about := detail.get("ctx", {}).get("error"), OfKey):
            path = (*path, about.key)
        unknown = detail["type"] == "extra_forbidden"
        mistake = Found((*above, *path), _text(model, path, above, detail), at_key=unknown)
        if arm is None:
            found.append(mistake)
        else:
            depth, name = arm
            unions.setdefault((*above, *path[:depth]), {}).setdefault(name, []).append(mistake)
    for place, arms in unions.items():
        found.extend(_of_union(place, arms))
    return found


def without_mistakes(data: Any, error: ValidationError) -> Any:
    """A copy without the values that a validation found wrong, to look for other mistakes in; of a list also without
    what stands behind such a value. None where nothing is left."""
    places = set()
    for detail in error.errors(include_url=False):
        path, _ = _in_data(detail, data)
        places.add(path[:-1] if detail["type"] == "missing" else path)
    if () in places:
        return None
    rest = deepcopy(data)
    for place in places:
        _cut(rest, place)
    return rest


def _cut(data: Any, place: Path) -> None:
    """Without a word where it was cut out with what it stood in."""
    step, rest = place[0], place[1:]
    if isinstance(data, list) and isinstance(step, int):
        if not rest:
            del data[step:]
        elif step < len(data):
            _cut(data[step], rest)
    elif isinstance(data, dict) and step in data:
        if rest:
            _cut(data[step], rest)
        else:
            del data[step]


def _of_union(place: Path, arms: dict[str, list[Found]]) -> list[Found]:
    """Of all that pydantic says about the arms of a union, what concerns the arm that was meant.

    That is the one whose mistakes lie deepest; where none lies deeper than the union itself, any arm would do.
    """
    meant = max(arms.values(), key=lambda found: max(len(one.path) for one in found))
    if any(len(one.path) > len(place) for one in meant):
        return meant
    name = named(place)
    texts = [one.text.removeprefix(name).removeprefix(":").strip() for found in arms.values() for one in found]
    return [Found(place, f"{name} " + " or ".join(texts))]


def _in_data(detail: ErrorDetails, data: Any) -> tuple[Path, tuple[int, str] | None]:
    """The part of pydantic's `loc` that is in the file, and the first union arm it put between (its depth, its name).

    A key that is missing in the file belongs to the path as its last step.
    """
    path: list[str | int] = []
    arm: tuple[int, str] | None = None
    last = len(detail["loc"]) - 1
    for index, step in enumerate(detail["loc"]):
        missing = detail["type"] == "missing" and index == last
        if isinstance(data, dict) and (step in data or missing):
            path.append(step)
            data = data.get(step)
        elif isinstance(data, list) and isinstance(step, int) and step < len(data):
            path.append(step)
            data = data[step]
        elif arm is None:
            arm = (len(path), str(step))
    return tuple(path), arm


def _text(model: type[BaseModel], path: Path, above: Path, detail: ErrorDetails) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    key = str(path[-1]) if path else ""
    if kind == "extra_forbidden":
        if is_later((*above, *path)):
            return f"`{key}` is not in this version"
        return f"unknown key `{key}`{hint(key, keys_at(model, path[:-1]))}"
    if kind == "missing":
        return f"{named(path)} is missing"
    if kind == "value_error":
        return f"{named((*above, *path))}: {context['error']}"
    if kind in ("literal_error", "enum"):
        words = _MEMBER.sub(r"\1", context["expected"])
        return f"{named(path)} must be {words.replace(chr(39), '`')}"
    if kind in _TEXTS:
        return f"{named(path)} {_TEXTS[kind].format_map(context)}"
    return f"{named(path)}: {detail['msg']}"


def keys_at(model: type[BaseModel], path: Path) -> frozenset[str]:
    """The keys a model takes in the map at `path`."""
    types: list[Any] = [model]
    for step in path:
        types = [inner for outer in types for inner in _inner(outer, step)]
    return frozenset(name for one in types for name in fields_of(one))


def fields_of(model: Any) -> Mapping[str, Any]:
    """The keys of a model as they are written in the file, with their fields; empty for any other type."""
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return {}
    return {field.alias or name: field for name, field in model.model_fields.items()}


def arms_of(annotation: Any) -> Iterator[Any]:
    """The plain types of an annotation: what a union or `Annotated` is made of."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from arms_of(get_args(annotation)[0])
    elif origin in (Union, UnionType):
        for arm in get_args(annotation):
            yield from arms_of(arm)
    else:
        yield annotation


def _inner(outer: Any, step: str | int) -> Iterator[Any]:
    """The types of what stands at `step` within a value of type `outer`."""
    if isinstance(step, str) and step in (fields := fields_of(outer)):
        yield from arms_of(fields[step].annotation)
    elif get_origin(outer) is dict and isinstance(step, str):
        yield from arms_of(get_args(outer)[1])
    elif get_origin(outer) in (tuple, list, set, frozenset) and isinstance(step, int):
        yield from arms_of(get_args(outer)[0])
