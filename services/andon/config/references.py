"""Names that must name something: checked on plain data, so that a mistake of shape elsewhere hides none of these."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from andon.config.computed import asks_directory
from andon.config.later import RECIPIENTS
from andon.config.mistakes import Path, hint
from andon.config.plugs import GROUPS
from andon.config.receivers import DirectoryTable
from andon.config.shapes import Found
from andon.config.templates import best, name_of

BUILT_IN_TEMPLATE = "plain"

# Where a name stands (`*`: any name or position), the section it names an entry of, and what an entry is called.
_REFERENCES: tuple[tuple[tuple[str, ...], tuple[str, ...], str], ...] = (
    (("sources", "*", "oauth", "issuer"), ("access", "issuers"), "issuer"),
    (("sources", "*", "channel"), ("channels",), "channel"),
    (("sources", "*", "apps", "*", "channel"), ("channels",), "channel"),
    (("sources", "*", "expect", "during"), ("calendar", "time_intervals"), "time interval"),
    (("sources", "*", "expect", "receiver"), ("receivers",), "receiver"),
    (("enrich", "*", "connector"), ("connectors",), "connector"),
    (("receivers", "*", "channel"), ("channels",), "channel"),
    (("receivers", "*", "fallback", "*", "receiver"), ("receivers",), "receiver"),
    (("receivers", "*", "if_nobody"), ("receivers",), "receiver"),
    (("episodes", "*", "ticket_system"), ("ticket_systems",), "ticket system"),
)
_ROUTE_REFERENCES: tuple[tuple[tuple[str, ...], tuple[str, ...], str], ...] = (
    (("receiver",), ("receivers",), "receiver"),
    (("active_time_intervals", "*"), ("calendar", "time_intervals"), "time interval"),
    (("mute_time_intervals", "*"), ("calendar", "time_intervals"), "time interval"),
)


def entries(data: Any, *path: str) -> Mapping[str, Any]:
    """The map at `path`; an empty one where there is none."""
    for step in path:
        data = data.get(step) if isinstance(data, dict) else None
    return data if isinstance(data, dict) else {}


def matches(data: Any, pattern: tuple[str, ...], above: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value whose path has the form `pattern`."""
    if not pattern:
        yield above, data
    elif isinstance(data, dict):
        for key in data if pattern[0] == "*" else [pattern[0]] if pattern[0] in data else []:
            yield from matches(data[key], pattern[1:], (*above, key))
    elif isinstance(data, list) and pattern[0] == "*":
        for index, item in enumerate(data):
            yield from matches(item, pattern[1:], (*above, index))


def routes(data: Any) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Every node of the route tree, parents first."""
    return _routes(data.get("route") if isinstance(data, dict) else None, ("route",))


def _routes(node: Any, path: Path) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    if isinstance(node, dict):
        yield path, node
        for inner, child in matches(node, ("routes", "*"), path):
            yield from _routes(child, inner)


def reference_mistakes(data: Any) -> Iterator[Found]:
    """Every name that names nothing."""
    for pattern, section, what in _REFERENCES:
        for path, name in matches(data, pattern):
            yield from _unless_known(path, name, section, what, data)
    for above, node in routes(data):
        for pattern, section, what in _ROUTE_REFERENCES:
            for path, name in matches(node, pattern, above):
                yield from _unless_known(path, name, section, what, data)
    yield from _recipients(data)


def _unless_known(path: Path, name: Any, section: tuple[str, ...], what: str, data: Any) -> Iterator[Found]:
    known = entries(data, *section)
    if isinstance(name, str) and name not in known:
        yield Found(path, f"there is no {what} `{name}` under `{'.'.join(section)}`{hint(name, known)}")


def unused(data: Any) -> Iterator[Found]:
    """Every entry that nothing names: what it is good for is written down nowhere. Whatever stands in the keys of a
    plug-in counts as a name, for only the plug-in knows."""
    rows = [(section, what) for _, section, what in (*_REFERENCES, *_ROUTE_REFERENCES)]
    texts = {text for section in GROUPS for plug in entries(data, section).values() for text in _texts(plug)}
    for section, what in dict.fromkeys(rows):
        named = texts | set(_named(data, section))
        for name in entries(data, *section):
            if name not in named:
                yield Found(
                    (*section, name), f"nothing uses the {what} `{name}`; name it somewhere, or delete it", at_key=True
                )


def _named(data: Any, section: tuple[str, ...]) -> Iterator[str]:
    """What is named as an entry of a section."""
    places = [(data, pattern) for pattern, known, _ in _REFERENCES if known == section]
    places += [
        (node, pattern) for _, node in routes(data) for pattern, known, _ in _ROUTE_REFERENCES if known == section
    ]
    for inner, pattern in places:
        yield from (name for _, name in matches(inner, pattern) if isinstance(name, str))
    if section == ("connectors",) and next(asking(data), None):
        yield str(entries(data, "directory").get("connector", DirectoryTable().connector))


def asking(data: Any) -> Iterator[tuple[Path, str]]:
    """The entries of receivers that ask who is who."""
    for path, entry in matches(data, ("receivers", "*", "to", "*")):
        if isinstance(entry, str) and asks_directory(entry):
            yield path, entry


def _texts(value: Any) -> Iterator[str]:
    """Every text within a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)


def _recipients(data: Any) -> Iterator[Found]:
    for path, name in matches(data, ("receivers", "*", "to", "*")):
        word, colon, _ = name.partition(":") if isinstance(name, str) else ("", "", "")
        if colon and word in RECIPIENTS:
            yield Found(path, f"`{word}:` is not in this version")


def template_mistakes(data: Any, files: Collection[str]) -> Iterator[Found]:
    """Every template of a receiver that is not among `files` (relative names)."""
    channels = entries(data, "channels")
    spoken = entries(data, "site").get("language", "zh")
    for path, template in matches(data, ("receivers", "*", "template")):
        receiver = entries(data, "receivers", str(path[1]))
        channel, language = receiver.get("channel"), receiver.get("language") or spoken
        kind = entries(channels, channel).get("kind") if isinstance(channel, str) else None
        if not isinstance(template, str) or not isinstance(kind, str) or template == BUILT_IN_TEMPLATE:
            continue
        if best(files, template, kind, str(language)) is None:
            known = {BUILT_IN_TEMPLATE} | {name_of(file, kind) for file in files}
            wanted = f"{template}.{kind}.j2 or {template}.j2"
            yield Found(path, f"there is no template `{template}` ({wanted}){hint(template, known)}")
