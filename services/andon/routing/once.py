"""One event tells a person once: what several receivers of one account are to say to them, the first of them says."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple, Protocol

from andon.routing.recipients import Whom


class Account(NamedTuple):
    """Who tells people something: one application, one mail account. `is_person` tells the name of one person from
    that of a group chat or a department, of which nobody knows who is in it."""

    name: str
    is_person: Callable[[str], bool]


class Teller(Protocol):
    """A receiver as far as it matters here."""

    name: str
    account: Account | None


def told_once(speaking: Sequence[tuple[Teller, Whom]], urgent: Collection[str]) -> dict[str, Whom]:
    """Whom each receiver is left to tell, by its name and in the order given; one that has nobody left is not there.

    Urgent ones choose first, for what is urgent waits for nothing: no group, no cause, no load of notices.
    """
    if not _share_an_account(speaking):
        return {target.name: whom for target, whom in speaking}
    told: set[tuple[str, str]] = set()
    left: dict[str, Whom] = {}
    for target, whom in sorted(speaking, key=lambda one: one[0].name not in urgent):
        account, names = target.account, whom.names
        if account is not None:
            names = tuple(name for name in names if (account.name, name) not in told)
            told.update((account.name, name) for name in names if account.is_person(name))
        if names:
            left[target.name] = whom._replace(names=names)
    return left


def _share_an_account(speaking: Sequence[tuple[Teller, Whom]]) -> bool:
    accounts = [target.account.name for target, _ in speaking if target.account is not None]
    return len(set(accounts)) < len(accounts)
