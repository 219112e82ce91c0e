"""`andon topics repartition N`: more partitions for a system that stands still."""

from __future__ import annotations

import argparse
import json
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

from andon.cli.arguments import whole
from andon.cli.asking import where
from andon.cli.main import DONE, FAILED

if TYPE_CHECKING:
    from andon.config.settings import Settings
    from andon.runtime.repartition import Desk


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    one = commands.add_parser("repartition", help="more partitions; stop everything first", description=__doc__)
    one.add_argument("count", type=_count, metavar="N", help="a multiple of the present count")
    one.add_argument("--yes", action="store_true", help="do not ask")
    where.option(one)
    one.set_defaults(func=where.reported(_repartition))


def _count(text: str) -> int:
    if (found := whole(text, 1, 1_000)) is None:
        raise argparse.ArgumentTypeError("a number of partitions is 1 to 1000")
    return found


def _repartition(args: argparse.Namespace) -> int:
    from andon.kafka.topics import READERS
    from andon.runtime.follower import read_board
    from andon.runtime.repartition import Refused, Repartition, require_nobody

    place = where.cluster(args)
    newest = read_board(place.link).newest
    if newest is None:
        raise Refused("no configuration is published; `andon apply` publishes one")
    services = list(filter(newest.settings.employs, READERS))
    require_nobody(place.link)
    with ExitStack() as stack:
        desks = _desks(place, newest.settings, services, stack)
        work = stack.enter_context(closing(Repartition(place.link, args.count, services, desks)))
        work.require()
        if not where.agreed(f"Give the topics {args.count} partitions? This cannot be taken back.", yes=args.yes):
            print("nothing was changed")
            return FAILED
        work.run(lambda sentence: None if args.json else print(sentence))
    if args.json:
        print(json.dumps({"partitions": args.count}))
    else:
        print(f"done; set kafka.partitions to {args.count} in the configuration, and start the services again")
    return DONE


def _desks(place: where.Where, settings: Settings, services: list[str], stack: ExitStack) -> dict[str, Desk]:
    """The stores of the desks, each held alone. Raises Refused and StoreFailure."""
    from andon.egress.keys import DeliveryKeys
    from andon.runtime.repartition import Desk, Refused
    from andon.store.database import Database
    from andon.store.lookup import look_into
    from andon.ticketing.keys import EpisodeKeys

    url = settings.store.address() or f"sqlite:///{place.data.absolute() / 'store'}"
    found: dict[str, Desk] = {}
    for service, keys in (("egress", DeliveryKeys()), ("ticketing", EpisodeKeys())):
        there = look_into(url, service)
        if there is not None:
            there.close()
            database = stack.enter_context(closing(Database(url, service, alone=True)))
            found[service] = Desk(database, keys)
        elif service in services:
            raise Refused(f"the store of {service} is not here; give its data directory with --data")
    return found
