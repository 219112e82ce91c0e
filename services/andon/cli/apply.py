"""`andon apply [PATH]`: check the configuration, show what changes, and publish it."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from difflib import unified_diff
from pathlib import Path
from typing import TYPE_CHECKING, Any

from andon.cli import where
from andon.cli.main import DONE, USAGE
from andon.runtime.logs import safe

if TYPE_CHECKING:
    from andon.config.load import Loaded
    from andon.config.published import Published


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("apply", help="check the configuration and publish it", description=__doc__)
    parser.add_argument("path", nargs="?", type=Path, metavar="PATH", help="andon.yaml or its folder, as --config")
    parser.add_argument("--dry-run", action="store_true", help="show the difference and publish nothing")
    where.option(parser)
    parser.set_defaults(func=where.reported(_apply))


def _apply(args: argparse.Namespace) -> int:
    """Exit code 2 for a configuration with mistakes: they are printed, and nothing is published."""
    from andon.cli.check import checked
    from andon.kafka.admin import Cluster
    from andon.kafka.topics import CONFIG
    from andon.runtime.bootstrap import prepare, read_board

    loaded = checked(args.path or args.config)
    if loaded.mistakes:
        answer = {"ok": False, "mistakes": [asdict(mistake) for mistake in loaded.mistakes]}
        print(json.dumps(answer, ensure_ascii=False) if args.json else "\n".join(map(str, loaded.mistakes)))
        return USAGE
    place = where.cluster(args, loaded.settings.kafka)
    cluster = Cluster(place.link)
    cluster.wait(10.0)
    board = read_board(place.link) if CONFIG in cluster.partitions() else None
    before = board.newest if board else None
    changes = list(difference(before, loaded))
    if changes and not args.json:
        print("\n".join(map(safe, changes)))
    version = (before.version if before else 0) if args.dry_run else asyncio.run(prepare(loaded, place.link.bootstrap))
    published = not args.dry_run and version != (before.version if before else 0)
    if args.json:
        told = {"ok": True, "version": version, "published": published, "changes": changes}
        print(json.dumps(told, ensure_ascii=False))
    else:
        print(_said(version, published=published, dry=args.dry_run, changed=bool(changes)))
    return DONE


def _said(version: int, *, published: bool, dry: bool, changed: bool) -> str:
    if published:
        return f"published: version {version} is in force"
    if dry and changed:
        return f"nothing was published; version {version} is in force" if version else "nothing was published yet"
    return f"nothing changed; version {version} is in force"


def difference(before: Published | None, loaded: Loaded) -> Iterator[str]:
    """What changes with `loaded`: `+` comes, `-` goes, `~` was another value; templates line by line. Shows no secret,
    for settings hold references only."""
    old = dict(_flat(_plain(before.settings))) if before else {}
    new = dict(_flat(_plain(loaded.settings)))
    for path in sorted(old.keys() | new.keys()):
        was, now = old.get(path), new.get(path)
        if was == now:
            continue
        if was is None or now is None:
            yield f"+ {path}: {now}" if was is None else f"- {path}: {was}"
        else:
            yield f"~ {path}: {was} → {now}"
    if before and before.directory != str(loaded.directory):
        yield f"~ folder of the configuration: {before.directory} → {loaded.directory}"
    yield from _templates(before.files if before else {}, loaded.files)


def _templates(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(before.keys() | after.keys()):
        was, now = before.get(name, "").splitlines(), after.get(name, "").splitlines()
        yield from unified_diff(was, now, f"templates/{name} (in force)", f"templates/{name}", lineterm="", n=1)


def _plain(settings: Any) -> Any:
    return settings.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every single value with its path, `route.routes[2].receiver`; a plug-in's keys stand beside its kind."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            below = path if key == "options" and "kind" in value else f"{path}.{key}" if path else str(key)
            yield from _flat(inner, below)
    elif isinstance(value, list) and any(isinstance(one, dict | list) for one in value):
        for number, inner in enumerate(value):
            yield from _flat(inner, f"{path}[{number}]")
    else:
        yield path, json.dumps(value, ensure_ascii=False)
