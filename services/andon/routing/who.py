"""Computed recipients: people named by what they are, looked up in the event's facts and in the published directory.

fact:machine.leader                           the name, or the list of names, that enrichment found there
role:设备经理                                  everyone with this role
department:采购部 & role:主管                  everyone of this department, or one below it, with this role
role:班长 & department:{facts.machine.line}    the text in braces is a value of the event
manager-of:fact:machine.leader                whom they report to; twice for one step more
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from andon.config.computed import AND, FACT, MANAGER_OF, TRAITS
from andon.core.event import Event
from andon.core.paths import PathError, compile_path, compile_template, text_of
from andon.core.people import Directory, Trait, means_everybody

Ids = Sequence[str]
Who = Callable[[Event], Ids]


def compile_who(entry: str, directory: Directory) -> Who:
    """The function that names the people an entry means, in the order of facts and directory. Raises PathError."""
    steps, rest = 0, entry
    while rest.startswith(f"{MANAGER_OF}:"):
        steps, rest = steps + 1, rest.removeprefix(f"{MANAGER_OF}:")
    first, *others = (_term(term.strip(), directory, below=bool(steps)) for term in rest.split(AND))

    def who(event: Event) -> Ids:
        found: Ids = first(event)
        for other in others:
            also = frozenset(other(event))
            found = [person for person in found if person in also]
        for _ in range(steps):
            found = list(dict.fromkeys(manager for person in found for manager in directory.managers(person)))
        return found

    return who


def _term(term: str, directory: Directory, *, below: bool) -> Who:
    word, colon, value = term.partition(":")
    if word == FACT and value:
        return _from_fact(value)
    if word in TRAITS and value.strip():
        trait, asked = Trait(word), compile_template(value.strip())
        return lambda event: directory.having(trait, asked(event) or "")
    if below and term and not colon:
        return lambda _event: (term,)
    raise PathError(
        f"'{term}' names nobody; write fact:machine.leader, role:…, department:… or shift:…, or several of them with "
        "' & ' between"
    )


def _from_fact(path: str) -> Who:
    lookup = compile_path(f"facts.{path}")

    def names(event: Event) -> list[str]:
        value = lookup(event)
        texts = map(text_of, value if isinstance(value, list) else (value,))
        return [text for text in texts if text and not means_everybody(text)]

    return names
