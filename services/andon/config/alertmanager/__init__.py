"""A configuration of Prometheus' Alertmanager (0.15 to 0.35) as andon.yaml: the same labels reach the same receivers.

Format: https://prometheus.io/docs/alerting/latest/configuration/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from andon.config.alertmanager.channels import Channels
from andon.config.alertmanager.layout import Entry, comments, flow, route, section
from andon.config.alertmanager.matchers import conditions, field
from andon.config.alertmanager.routes import Routes
from andon.config.alertmanager.source import Note, Part, Source
from andon.config.alertmanager.times import Times
from andon.config.alertmanager.times import read as read_times
from andon.config.alertmanager.variables import Variables
from andon.config.document import Unreadable, parse_texts
from andon.config.mistakes import Invalid, Mistake, shortened

__all__ = ["Note", "Translation", "translate"]

_SECTIONS = (
    "global", "route", "inhibit_rules", "receivers", "templates", "time_intervals", "mute_time_intervals",
)  # fmt: skip
_TOKEN = "ALERTMANAGER_TOKEN"  # noqa: S105 - the name of a variable
_EVERYTHING = "it has no condition on one of its sides, so it would mean everything: left out"
_CAUSES = "The alerts that hold others back: two are one where these fields are equal. They have no tickets."


class Translation(NamedTuple):
    """The text of andon.yaml; what a person has to know, in the order of the source; the environment variables to set,
    with what belongs into each; and the receivers of ours by the name there."""

    text: str
    notes: tuple[Note, ...]
    variables: Mapping[str, str]
    receivers: Mapping[str, tuple[str, ...]]


def translate(raw: bytes, file: str) -> Translation:
    """The configuration in `raw`. `file` is its name in texts.

    No secret of the source is in the result. Raises Invalid for what Alertmanager would refuse.
    """
    try:
        document = parse_texts(raw)
    except Unreadable as error:
        raise Invalid([Mistake(file, *error.place, (), shortened(error.text))]) from None
    if document.mistakes:
        raise Invalid([Mistake(file, *place, (), text) for place, text in document.mistakes])
    source = Source(file, document)
    root = source.root
    if not root["route"]:
        raise root.wrong("has no `route`, so it is not one of Alertmanager's")
    variables, times = Variables(), read_times(root)
    channels = Channels(root, variables)
    routes = Routes(root, channels, times)
    rules = list(_inhibitions(root))
    _left_out(root)
    variables.named[_TOKEN] = "a token of your own making, by which alerts are let in (`Authorization: Bearer`)"
    lines = [*_head(source, times, routes.silent), *section("channels", channels.channels)]
    lines += [*section("receivers", channels.receivers), "", "route:", *route(routes.root), *rules]
    notes = tuple(sorted(set(source.notes)))
    return Translation("\n".join(lines) + "\n", notes, variables.named, channels.of)


def _head(source: Source, times: Times, silent: str) -> Iterator[str]:
    yield from comments([f"Made of {source.file} by `andon import alertmanager`; see docs/importing.md."], "")
    yield "version: 1"
    yield f"site: {flow({'zone': times.zone})}"
    intervals = dict(times.entries)
    if silent:
        intervals[silent] = [{"times": ["00:00-24:00"]}]
    if intervals:
        yield from ("", "calendar:", "  time_intervals:")
    for name, entries in intervals.items():
        if name == silent:
            yield "    # Of what goes to a receiver that tells nobody: it ends as `muted`."
        yield f"    {flow(name)}: {flow(entries)}"
    yield from ("", "sources:", f"  alerts: {flow({'kind': 'alertmanager', 'token': f'env:{_TOKEN}'})}")


def _inhibitions(root: Part) -> Iterator[str]:
    rules: list[dict[str, list[str]]] = []
    lines: list[str] = []
    for part in root["inhibit_rules"].parts():
        part.unread(
            "name",
            "equal",
            *(f"{side}_{form}" for side in ("source", "target") for form in ("match", "match_re", "matchers")),
        )
        rule: dict[str, list[str]] = {f"{side}_matchers": conditions(part, f"{side}_") for side in ("source", "target")}
        if part["equal"]:
            rule["equal"] = [field(each.text()) for each in part["equal"].parts()]
        if rule["source_matchers"] and rule["target_matchers"]:
            rules.append(rule)
            lines.append(f"  - {flow(rule)}")
        else:
            part.note(_EVERYTHING)
            lines += comments([f"{_EVERYTHING}: {flow(rule)}"], "  ")
    causes = dict.fromkeys(tuple(rule["source_matchers"]) for rule in rules)
    keys = {"key": ["labels.alertname", "subject"]}
    episodes = {f"cause-{n}": Entry({"matchers": list(one), **keys}) for n, one in enumerate(causes, 1)}
    if episodes:
        next(iter(episodes.values())).beside.append(_CAUSES)
    yield from section("episodes", episodes)
    if lines:
        yield from ("", "inhibit_rules:" if rules else "inhibit_rules: []", *lines)


def _left_out(root: Part) -> None:
    """What is about the program and not about who hears of what."""
    root.unread(*_SECTIONS)
    if root["templates"]:
        root["templates"].note(
            "templates of Go were left out: write them in Jinja2, in `templates/` (docs/templates.md)"
        )
    for key, part in root["global"].items():
        if key == "resolve_timeout":
            part.note(
                "an alert that is no longer reported is not taken for resolved: let who sends alerts report the end"
            )
        elif not key.startswith(("wechat_", "smtp_", "http_config")):
            part.note(f"`{key}` belongs to what has no equivalent, and was left out")
        elif key in ("smtp_hello", "smtp_auth_identity", "smtp_auth_secret", "smtp_auth_secret_file"):
            part.note(f"`{key}` has no equivalent and was left out")
