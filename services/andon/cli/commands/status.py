"""`andon status`: what runs under `andon up`, where it listens, and how large the embedded Kafka is."""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from andon.cli.main import DONE, FAILED
from andon.cli.running import runfile

if TYPE_CHECKING:
    from andon import broker


_SHOWN = ("pid", "started", "data", "kafka_data", "addresses", "state", "programs")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("status", help="what runs, and where it listens", description=__doc__)
    parser.set_defaults(func=_status)


def _status(args: argparse.Namespace) -> int:
    """Exit code 0 when `andon up` runs on the data directory and every program of it is ready, else 1: also when one is
    not there any more that is said to be."""
    found = runfile.read(args.data, *_SHOWN)
    if found is None:
        print(json.dumps({"alive": False}) if args.json else f"nothing was ever started in {args.data.absolute()}")
        return FAILED
    found["kafka"] = _kafka(found["kafka_data"]) if found["alive"] and found["kafka_data"] else None
    programs = found["programs"] if found["alive"] and _runs(found["pid"]) else []  # else of another container
    found["gone"] = [program["name"] for program in programs if program["pid"] and not _runs(program["pid"])]
    print(json.dumps(found) if args.json else text(found))
    well = all(program["state"] in ("ready", "done") for program in found["programs"]) and not found["gone"]
    return DONE if found["alive"] and well else FAILED


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True


def text(found: dict[str, Any]) -> str:
    """run.json as a person reads it."""
    if not found["alive"]:
        ending = "was stopped" if found["state"] == "stopped" else "ended without stopping"
        return f"not running: the last `andon up` on {found['data']} (process {found['pid']}) {ending}"
    lines = [f"{found['state']}, process {found['pid']}, since {found['started']}", f"data     {found['data']}"]
    lines += [f"{name:<8} {address}" for name, address in found["addresses"].items()]
    lines += [f"at start {note}" for note in found.get("notes", ())]
    lines += [f"{'PROGRAM':<12} {'STATE':<11} {'PID':>8} {'RESTARTS':>8}  PORTS"]
    for program in found["programs"]:
        ports = " ".join(f"{name} {port}" for name, port in program["ports"].items())
        unwell = program["exit"] and program["state"] not in ("ready", "done")
        note = f"  exit {program['exit']}: {program['note']}" if unwell else ""
        pid = program["pid"] or "-"
        row = f"{program['name']:<12} {program['state']:<11} {pid:>8} {program['restarts']:>8}  {ports}{note}"
        lines.append(row.rstrip())
    if gone := found.get("gone"):
        lines.append(f"old      run.json could not be written since (a full disk?): {', '.join(gone)} ended meanwhile")
    kafka = found.get("kafka") or []
    for node in kafka if isinstance(kafka, list) else [kafka]:
        sizes = f"topics {node['topics_bytes'] / 1e6:.1f} MB, logs {node['logs_bytes'] / 1e6:.1f} MB"
        lines.append(f"kafka    {node['port']}, {node['version']}, {sizes}, disk {node['disk_used']:.0%} full")
    return "\n".join(lines)


def _kafka(data: str) -> dict[str, Any] | list[dict[str, Any]] | None:
    """The node that runs on `data`; a list of those that run where it has a cluster."""
    from andon import broker

    if broker.is_cluster(Path(data)):
        return [_shown(member.status) for member in broker.cluster.status(Path(data)) if member.status]
    found = broker.status(Path(data))
    return _shown(found) if found else None


def _shown(status: broker.Status) -> dict[str, Any]:
    return {key: str(value) if isinstance(value, Path) else value for key, value in asdict(status).items()}
