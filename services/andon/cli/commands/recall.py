"""`andon recall DELIVERY_ID`: takes back what a delivery has sent, and says of each message what became of it."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

from andon.cli.asking import where
from andon.cli.main import DONE, FAILED

if TYPE_CHECKING:
    from andon.config.published import Published
    from andon.core.work import Entry
    from andon.egress.receivers import Receivers, Served
    from andon.runtime.registry import Registry
    from andon.store.lookup import Kept

_RECALLED = "recalled"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("recall", help="take back what a delivery has sent", description=__doc__)
    parser.add_argument("delivery", metavar="DELIVERY_ID", type=_id, help="as `andon trace EVENT_ID` shows it")
    parser.set_defaults(func=where.reported(_recall))


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is not a delivery id; `andon trace EVENT_ID` shows those") from None


def _recall(args: argparse.Namespace) -> int:
    """Exit code 1 when something was sent that is still there, or nothing was found. Needs no Kafka."""
    published = _published(args)
    url = published.settings.store.address() or f"sqlite:///{args.data.absolute() / 'store'}"
    kept = _kept(url, args.delivery)
    told = asyncio.run(_taken_back(published, url, kept))
    print(msgspec.json.encode(told).decode() if args.json else "\n".join(map(_text, told)))
    return DONE if all(one["said"] == _RECALLED for one in told) else FAILED


def _published(args: argparse.Namespace) -> Published:
    """The configuration as egress would have it. Raises Invalid."""
    from andon.cli.commands.check import checked
    from andon.config.published import unpublished

    return unpublished(checked(where.file(args) or args.config))


def _kept(url: str, delivery: UUID) -> Kept:
    """The delivery with its attempts. SystemExit when it is not there, or has sent nothing under its own name."""
    from andon.core.outcome import Merged
    from andon.store.lookup import look_into

    look = look_into(url, "egress")
    if look is None:
        raise SystemExit("the egress desk has no store here; name its configuration or its --data")
    with closing(look):
        kept = look.items([delivery]).get(delivery)
    if kept is None:
        raise SystemExit(f"the egress desk knows no delivery {delivery}: it keeps them 30 days")
    if isinstance(kept.outcome, Merged):
        raise SystemExit(f"it became part of delivery {kept.outcome.into}: recall that one")
    if not list(_sent(kept)):
        raise SystemExit(f"delivery {delivery} has sent nothing")
    return kept


def _sent(kept: Kept) -> Iterator[Entry]:
    """The attempts that people may have seen something of."""
    from andon.core.reason import Reason

    return (one for one in kept.entries if one.ended is None or one.ambiguous or one.reason is Reason.DELIVERED)


async def _taken_back(published: Published, url: str, kept: Kept) -> list[dict[str, Any]]:
    from andon.egress.receivers import Receivers
    from andon.runtime.clock import SystemClock
    from andon.runtime.registry import Registry
    from andon.store.desk import SqlDeskStore
    from andon.web.wire import site_wire

    wire = site_wire(published.settings)
    # The desk's own access tokens are used: a vendor may shut out who asks for one too often.
    with closing(SqlDeskStore(url, "egress")) as store:
        registry = Registry()
        receivers: Receivers = Receivers(published, registry, wire, SystemClock(), None, store.vault())
        try:
            accounts = list(_accounts(published, registry, receivers))
            return [await _one(entry, _account_of(entry, accounts)) for entry in _sent(kept)]
        finally:
            await receivers.close()
            await wire.close()


def _accounts(published: Published, registry: Registry, receivers: Receivers) -> Iterator[tuple[str, str, Served]]:
    """The limit domain and the sender of every account there is a receiver for."""
    from andon.egress.receivers import GROUP

    for served in receivers.values():
        config: Any = registry.config(GROUP, published.settings.channels[served.policy.channel])
        yield config.limit_domain(), served.policy.sender, served


def _account_of(entry: Entry, accounts: Sequence[tuple[str, str, Served]]) -> Served | None:
    """By what an attempt was made: a delivery that was handed on had others before its present receiver's."""
    for domain, sender, served in accounts:
        if domain == entry.domain and (entry.reach is None or entry.reach.sender == sender):
            return served
    return None


async def _one(entry: Entry, by: Served | None) -> dict[str, Any]:
    """What became of one message."""
    from andon.core.failure import Failure
    from andon.core.ports import Recalls

    at = entry.started if entry.ended is None else entry.ended
    told: dict[str, Any] = {
        "attempt": f"{entry.redrive}.{entry.number}" if entry.redrive else str(entry.number),
        "part": entry.part,
        "at": datetime.fromtimestamp(at, UTC),
        "reference": entry.reference,
    }
    if by is None:
        return {**told, "said": "no_channel", "detail": f"the configuration has no receiver of {entry.domain}"}
    channel = by.channel
    if not isinstance(channel, Recalls):
        return {**told, "said": "not_recallable", "detail": f"a {by.kind} cannot take back what it sent"}
    if not entry.reference:
        unknown = entry.ambiguous or entry.ended is None
        why = "no answer came with a name to recall it by" if unknown else "the vendor gave no name to recall it by"
        return {**told, "said": "no_reference", "detail": why}
    try:
        await channel.recall(entry.reference, at)
    except Failure as failure:
        return {**told, "said": str(failure.reason), "detail": failure.detail}
    return {**told, "said": _RECALLED, "detail": ""}


def _text(one: Mapping[str, Any]) -> str:
    from andon.runtime.logs import safe

    name = one["reference"].partition(" ")[0]
    head = f"attempt {one['attempt']}" + (f" part {one['part'] + 1}" if one["part"] else "")
    head += f"  {one['at']:%Y-%m-%d %H:%M:%S}Z" + (f"  {name}" if name else "")
    return safe(f"{head}  {one['said']}" + (f": {one['detail']}" if one["detail"] else ""))
