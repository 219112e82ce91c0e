"""`andon topics [list|create|check|repartition N|offsets GROUP|members GROUP]`: topics and groups, and their repair."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from functools import partial
from typing import TYPE_CHECKING, Any

from andon.cli import arguments
from andon.cli.asking import where
from andon.cli.asking.stores import address, desk
from andon.cli.commands import repartition
from andon.cli.main import DONE, FAILED
from andon.cli.running.processes import MEMBERS
from andon.cli.shown.columns import columns

if TYPE_CHECKING:
    from andon.kafka.connection import Connection
    from andon.store.lookup import Lookup

_SHOWN = ("cleanup.policy", "retention.ms", "min.insync.replicas")
_DAY_MS = 86_400_000


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("topics", help="create, look at and repair the topics", description=__doc__)
    parser.set_defaults(func=where.reported(_list), bootstrap=None)
    commands = parser.add_subparsers(title="commands", metavar="list|create|check|offsets|members|repartition")
    for name, what, command in (
        ("list", "partitions, records and settings (the default)", _list),
        ("create", "create what is missing; what is there stays as it is", _create),
        ("check", "compare with what was recorded and configured; exit 1 when something differs", _check),
    ):
        one = commands.add_parser(name, help=what, description=what)
        where.option(one)
        one.set_defaults(func=where.reported(command))
    offsets = commands.add_parser("offsets", help="a group's offsets; --restore mends those of no use")
    groups = f"{', '.join(MEMBERS)} or source-NAME, with or without andon-"
    offsets.add_argument("group", type=_service, metavar="GROUP", help=groups)
    offsets.add_argument("--restore", action="store_true", help="commit what those of no use must have been")
    offsets.add_argument("--yes", action="store_true", help="do not ask")
    where.option(offsets)
    offsets.set_defaults(func=where.reported(_offsets))
    members = commands.add_parser("members", help="the processes of a group; --remove takes out one that is gone")
    members.add_argument("group", type=_service, metavar="GROUP", help=groups)
    members.add_argument(
        "--remove",
        type=arguments.slot,
        action="append",
        default=[],
        metavar="SLOT",
        help="the process of this slot does not come back: the others get its partitions at once",
    )
    where.option(members)
    members.set_defaults(func=where.reported(_members))
    repartition.add_parser(commands)


def _service(text: str) -> str:
    name = text.removeprefix("andon-")
    if name not in MEMBERS and not name.startswith("source-"):
        raise argparse.ArgumentTypeError(f"there is no group {text}; there are {', '.join(MEMBERS)} and source-NAME")
    return name


def _list(args: argparse.Namespace) -> int:
    with ExitStack() as stack:
        rows = list(_topics(where.cluster(args), stack))
    if args.json:
        print(json.dumps(rows))
        return DONE
    shown = [("TOPIC", "PARTITIONS", "RECORDS", "KEPT", "IN SYNC")]
    shown += [(r["topic"], str(r["partitions"]), f"{r['records']:,}", _kept(r["settings"]), _in_sync(r)) for r in rows]
    print("\n".join(columns(shown, 0)))
    return DONE


def _topics(place: where.Where, stack: ExitStack) -> Iterator[dict[str, Any]]:
    """Records are counted by offsets, so the marks transactions leave count too."""
    from andon.core.event import Home
    from andon.kafka.inspect import topic_settings
    from andon.kafka.scan import Scan

    scan = stack.enter_context(closing(Scan(place.link)))
    counts = {name: n for name, n in sorted(scan.partitions(5.0).items()) if name.startswith("andon.")}
    settings = topic_settings(place.link, counts)
    homes = [Home(name, number) for name, count in counts.items() for number in range(count)]
    first, ends = scan.beginnings(homes), scan.ends(homes)
    for name, count in counts.items():
        records = sum(ends[home] - first[home] for home in homes if home.topic == name)
        yield {"topic": name, "partitions": count, "records": records, "settings": settings[name]}


def _kept(settings: Mapping[str, str]) -> str:
    if settings["cleanup.policy"] == "compact":
        return "the latest of each key"
    return "for ever" if settings["retention.ms"] == "-1" else f"{int(settings['retention.ms']) / _DAY_MS:g} days"


def _in_sync(row: Mapping[str, Any]) -> str:
    return f"at least {row['settings']['min.insync.replicas']}"


def _create(args: argparse.Namespace) -> int:
    from andon.kafka.admin import Cluster
    from andon.runtime.bootstrap import create

    place = where.cluster(args)
    cluster = Cluster(place.link)
    cluster.wait(10.0)
    before = set(cluster.partitions())
    create(place.kafka, place.link)
    made = sorted(name for name in set(cluster.partitions()) - before if name.startswith("andon."))
    print(
        json.dumps({"created": made}) if args.json else f"created {', '.join(made)}" if made else "nothing is missing"
    )
    return DONE


def _check(args: argparse.Namespace) -> int:
    with ExitStack() as stack:
        found = list(_deviations(where.cluster(args), stack))
    if args.json:
        print(json.dumps({"ok": not found, "deviations": found}, ensure_ascii=False))
    else:
        print("\n".join(found) or "OK topics, settings and offsets are as they should be")
    return FAILED if found else DONE


def _deviations(place: where.Where, stack: ExitStack) -> Iterator[str]:
    from andon.config.secrets import SecretMissing
    from andon.kafka.admin import Cluster
    from andon.kafka.errors import KafkaFailure
    from andon.kafka.topics import READERS, TOPICS, group_of
    from andon.runtime.follower import read_board

    there = {row["topic"]: row for row in _topics(place, stack)}
    missing = [topic.name for topic in TOPICS if topic.name not in there]
    if missing:
        yield f"missing: {', '.join(missing)}; `andon topics create` makes them"
        return
    replication = Cluster(place.link).replication(place.kafka)
    for topic in TOPICS:
        for name, wanted in topic.settings(place.kafka.retention, replication).items():
            actual = there[topic.name]["settings"].get(name)
            if actual != wanted:
                yield f"{topic.name} has {name}={actual}, the configuration says {wanted}"
    board = read_board(place.link)
    recorded = board.recorded
    if recorded is None:
        yield "nothing is recorded in andon.config; `andon apply` publishes a configuration"
    elif recorded.becoming:
        yield f"a repartition to {recorded.becoming} was begun; `andon topics repartition {recorded.becoming}` ends it"
    for name, count in (recorded.partitions if recorded else {}).items():
        if name in there and there[name]["partitions"] != count:
            yield f"{name} has {there[name]['partitions']} partitions, {count} were recorded: services refuse to start"
    for service, name in READERS.items():
        yield from _lost(place.link, service, name, _store(place, service, stack))
    for service, feed in _feeds(board).items():
        try:
            yield from _lost(feed.config.elsewhere() or place.link, service, feed.config.topic)
        except (KafkaFailure, SecretMissing) as problem:
            yield f"{group_of(service)} cannot be looked at: {problem}"


def _lost(link: Connection, service: str, topic: str, store: Lookup | None = None) -> Iterator[str]:
    from andon.kafka.admin import Cluster
    from andon.kafka.scan import Scan
    from andon.kafka.topics import group_of
    from andon.runtime.offsets import standing

    with closing(Scan(link)) as scan:
        lost = [one for one in standing(scan, Cluster(link), service, topic, store) if one.lost]
    for what, partitions in (
        ("no offset on", [str(one.home.partition) for one in lost if one.committed is None]),
        ("an offset outside of", [str(one.home.partition) for one in lost if one.committed is not None]),
    ):
        if partitions:
            yield (
                f"{group_of(service)} has {what} {topic} {', '.join(partitions)}; "
                f"`andon topics offsets {group_of(service)} --restore` mends it"
            )


def _feeds(board: Any) -> Mapping[str, Any]:
    """The sources of the configuration in force that read a topic, by service."""
    from andon.runtime.feeds import feeds_in_force
    from andon.runtime.registry import Registry

    return feeds_in_force(board.newest.settings if board.newest else None, Registry())


def _offsets(args: argparse.Namespace) -> int:
    """Exit code 1 when an offset is of no use and was not restored."""
    from andon.kafka.admin import Cluster
    from andon.kafka.scan import Scan
    from andon.kafka.topics import READERS, group_of
    from andon.runtime import offsets
    from andon.runtime.clock import SystemClock
    from andon.runtime.follower import read_board

    place = where.cluster(args)
    link, topic = place.link, READERS.get(args.group)
    if topic is None:
        feed = _feeds(read_board(place.link)).get(args.group)
        if feed is None:
            print(f"the configuration in force has no {args.group} that reads a topic")
            return FAILED
        link, topic = feed.config.elsewhere() or place.link, feed.config.topic
    with ExitStack() as stack:
        scan, cluster = stack.enter_context(closing(Scan(link))), Cluster(link)
        store = _store(place, args.group, stack)
        found = offsets.standing(scan, cluster, args.group, topic, store)
        lost = [one for one in found if one.lost]
        if not lost or not args.restore:
            _show(args, found, {})
            if lost and not args.json:
                print(f"`andon topics offsets {group_of(args.group)} --restore` says what they were, and restores them")
            return FAILED if lost else DONE
        known = offsets.restored(scan, args.group, lost, store, SystemClock().now())
    if not args.json:
        _show(args, found, known)
    if not where.agreed(f"Commit {len(known)} offsets for {group_of(args.group)}?", yes=args.yes):
        print("nothing was changed")
        return FAILED
    offsets.commit(cluster, args.group, known)
    if store and (moved := {one.home: known[one.home].offset for one in lost if one.stored != known[one.home].offset}):
        _place(place, args.group, moved)
    if args.json:
        _show(args, found, known)
    else:
        print(f"restored; {args.group} can be started again")
    return DONE


def _members(args: argparse.Namespace) -> int:
    """Exit code 1 when a slot that is to be removed was not in the group."""
    from andon.kafka.members import Members
    from andon.kafka.topics import group_of
    from andon.runtime.follower import KEPT, read_board

    place = where.cluster(args)
    feed = None if args.group in MEMBERS else _feeds(read_board(place.link, KEPT)).get(args.group)
    members = Members((feed.config.elsewhere() if feed else None) or place.link)
    removed = members.remove(args.group, args.remove)
    strangers = [slot for slot in args.remove if slot not in removed]
    found = sorted(members.of(args.group), key=lambda one: one.instance or "")
    if args.json:
        rows = [{"name": one.instance, "host": one.host, "partitions": one.partitions} for one in found]
        print(json.dumps({"group": group_of(args.group), "members": rows, "removed": removed}))
    else:
        shown = [("MEMBER", "HOST", "PARTITIONS")]
        shown += [(one.instance or one.client, one.host, " ".join(map(str, one.partitions)) or "-") for one in found]
        print("\n".join(columns(shown, 0)) if found else f"nobody is in {group_of(args.group)}")
        for slot in removed:
            print(f"{args.group} {slot} was taken out of {group_of(args.group)}")
        for slot in strangers:
            print(f"{args.group} {slot} was not in {group_of(args.group)}")
    return FAILED if strangers else DONE


def _store(place: where.Where, service: str, stack: ExitStack) -> Lookup | None:
    """The store of a desk, None when it is not at hand; a stage has none."""
    from andon.config.secrets import SecretMissing

    if service not in ("egress", "ticketing"):
        return None
    try:
        return desk(_address(place), service, stack)
    except SecretMissing as problem:
        print(f"andon: the store of {service} cannot be looked at: {problem}", file=sys.stderr)
        return None


def _place(place: where.Where, service: str, offsets: Mapping[Any, int]) -> None:
    """Lets a desk read on at these offsets, and not where its store has it."""
    from andon.store.database import Database
    from andon.store.moved import read_on

    with closing(Database(_address(place), service, alone=True)) as database:
        database.run(partial(read_on, offsets))


def _address(place: where.Where) -> str:
    from andon.runtime.follower import KEPT, read_board

    return address(read_board(place.link, KEPT).newest, place.data)


def _show(args: argparse.Namespace, found: Sequence[Any], known: Mapping[Any, Any]) -> None:
    rows = [
        {
            "topic": one.home.topic,
            "partition": one.home.partition,
            "first": one.first,
            "end": one.end,
            "committed": one.committed,
            "stored": one.stored,
            "restored": known[one.home].offset if one.home in known else None,
            "why": known[one.home].why if one.home in known else "",
        }
        for one in found
    ]
    if args.json:
        print(json.dumps({"group": f"andon-{args.group}", "partitions": rows}, ensure_ascii=False))
        return
    shown = [("PARTITION", "FIRST", "END", "COMMITTED", "TO RESTORE")]
    shown += [
        (
            f"{row['topic']}-{row['partition']}",
            str(row["first"]),
            str(row["end"]),
            _committed(row),
            f"{row['restored']}  {row['why']}" if row["restored"] is not None else "",
        )
        for row in rows
    ]
    print("\n".join(line.rstrip() for line in columns(shown, 0)))


def _committed(row: Mapping[str, Any]) -> str:
    shown = "missing" if row["committed"] is None else str(row["committed"])
    return shown if row["stored"] in (None, row["committed"]) else f"{shown}, its store has {row['stored']}"
