"""Receivers, compiled."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from andon.config.receivers import FallbackRule, MergeRule, Receiver
from andon.config.settings import Settings
from andon.core.delivery import Remark
from andon.core.event import CLEAR, STATE, Event
from andon.core.paths import Text, compile_key
from andon.core.people import Directory
from andon.core.reason import Reason
from andon.routing.once import Account
from andon.routing.recipients import NOBODY, Names, Whom, compile_recipients, named


class Target:
    """A receiver, compiled: who hears of an event, and the group its merge rule puts the event in."""

    __slots__ = (
        "_directory",
        "_kind",
        "account",
        "domain",
        "fallback",
        "group",
        "if_nobody",
        "name",
        "resolved",
        "settings",
        "whom",
    )

    def __init__(
        self, name: str, receiver: Receiver, domain: str, account: Account | None, directory: Directory, kind: str
    ) -> None:
        self.name = name
        self.settings = receiver
        self.domain = domain
        self.account = account
        self._directory = directory
        self._kind = kind
        self.whom: Callable[[Event], Whom] = compile_recipients(name, receiver, directory, kind)
        self.group: Text = _group(receiver.merge)
        self.resolved = receiver.send_resolved
        self.fallback: tuple[tuple[FallbackRule, Target], ...] = ()
        self.if_nobody: Target | None = None

    def hears(self, event: Event) -> bool:
        """Whether it wants events of this state."""
        return self.resolved or event.labels.get(STATE) != CLEAR

    def recipients(self, event: Event) -> Names:
        """Who hears of an event, whatever its state."""
        return self.whom(event).names

    def named(self, event: Event) -> tuple[tuple[str, Names], ...]:
        """Each entry of `to` with whom it names."""
        return named(self.name, self.settings, self._directory, self._kind, event)

    def answering(self, event: Event) -> tuple[Target, Whom]:
        """The receiver that hears of an event, this one or where it has nobody the one in its place, and whom it tells;
        nobody, if there is nobody at last."""
        if not self.hears(event):
            return self, NOBODY
        whom = self.whom(event)
        return (self, whom) if whom.names else self._in_its_place(event, whom.remarks)

    def _in_its_place(self, event: Event, remarks: tuple[Remark, ...]) -> tuple[Target, Whom]:
        before = self
        while (target := before.if_nobody) is not None and target.hears(event):
            whom = target.whom(event)
            remarks = (*remarks, Remark(Reason.NO_RECIPIENTS, before.name), *whom.remarks)
            if whom.names:
                return target, Whom(whom.names, remarks)
            before = target
        return self, NOBODY


def compile_targets(
    settings: Settings, domains: Mapping[str, str], accounts: Mapping[str, Account], directory: Directory
) -> dict[str, Target]:
    """Every receiver by its name. Raises PathError, and ValueError for a name that names nothing."""
    targets = {
        name: Target(name, each, _domain(domains, name), accounts.get(name), directory, _kind(settings, each))
        for name, each in settings.receivers.items()
    }
    for name, each in settings.receivers.items():
        targets[name].fallback = tuple((rule, _named(targets, rule.receiver)) for rule in each.fallback)
        targets[name].if_nobody = _named(targets, each.if_nobody) if each.if_nobody else None
    for target in targets.values():
        _check_end(target)
    return targets


def _named(targets: Mapping[str, Target], receiver: str) -> Target:
    if receiver not in targets:
        raise ValueError(f"a receiver names the receiver {receiver}, which does not exist")
    return targets[receiver]


def _group(merge: MergeRule | str | None) -> Text:
    """None where the receiver refuses merging, "" without a rule, else the values of the rule's labels."""
    if merge is None:
        return lambda _event: ""
    if isinstance(merge, str):
        return lambda _event: None
    return compile_key(merge.by, missing="")


def _domain(domains: Mapping[str, str], receiver: str) -> str:
    if receiver not in domains:
        raise ValueError(f"the receiver {receiver} has no limit domain")
    return domains[receiver]


def _kind(settings: Settings, receiver: Receiver) -> str:
    channel = settings.channels.get(receiver.channel)
    return channel.kind if channel else ""


def _check_end(target: Target) -> None:
    """Raises ValueError where receivers that have nobody would ask each other for ever."""
    seen: set[str] = set()
    following: Target | None = target
    while following is not None:
        if following.name in seen:
            raise ValueError(f"`if_nobody` of the receiver {target.name} leads back to {following.name}")
        seen.add(following.name)
        following = following.if_nobody
