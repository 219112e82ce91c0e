"""What is wrong in the `enrich` rules of a configuration, each with its place in the file."""

from __future__ import annotations

from collections.abc import Iterator

from andon.config.routing import EnrichRule
from andon.config.settings import Settings
from andon.core.matchers import MatcherError, compile_matchers
from andon.core.paths import PathError, compile_path, compile_template

Place = tuple[str | int, ...]
Mistake = tuple[Place, str]


def check(settings: Settings) -> list[Mistake]:
    """Every mistake in matchers, `by` and label templates: its path and one sentence."""
    return [mistake for index, rule in enumerate(settings.enrich) for mistake in _rule(rule, ("enrich", index))]


def _rule(rule: EnrichRule, place: Place) -> Iterator[Mistake]:
    for index, text in enumerate(rule.matchers):
        try:
            compile_matchers((text,))
        except MatcherError as error:
            yield (*place, "matchers", index), str(error)
    try:
        compile_path(rule.by)
    except PathError as error:
        yield (*place, "by"), str(error)
    for name, text in rule.labels.items():
        try:
            compile_template(text)
        except PathError as error:
            yield (*place, "labels", name), str(error)
