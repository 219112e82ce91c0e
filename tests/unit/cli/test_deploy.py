"""What `deploy/` has for systemd and Kubernetes says nothing that `andon` does not know."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from andon.cli.main import parse

DEPLOY = Path(__file__).parents[3] / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
# Calls under way have so long to end.
DRAIN_S = 20
GIVEN = {"SERVICE": "egress", "SLOT": "1", "METRICS_PORT": "8705"}


def parsed(words: list[str]) -> Namespace:
    """The arguments of a command of ours, as `andon` reads them; what the platform fills in is filled in."""
    assert Path(words[0]).name == "andon"
    return parse([re.sub(r"\$[({](\w+)[)}]", lambda found: GIVEN[found[1]], word) for word in words[1:]])


def settings(unit: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in unit.read_text(encoding="utf-8").splitlines():
        name, sign, value = line.partition("=")
        if sign and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def documents(manifest: Path) -> list[dict[str, Any]]:
    return list(YAML(typ="safe", pure=True).load_all(manifest))


def sets() -> list[dict[str, Any]]:
    return [one for manifest in MANIFESTS for one in documents(manifest) if one["kind"] == "StatefulSet"]


def test_each_of_our_commands_in_the_manual_of_running_is_one_that_andon_has() -> None:
    manual = (DEPLOY.parent / "docs" / "running.md").read_text(encoding="utf-8")
    lines = [line.partition(" #")[0] for line in manual.splitlines() if re.match(r"/opt/andon/.venv/bin/andon ", line)]
    assert [parsed(shlex.split(line)).command for line in lines] == ["apply"]


def test_there_is_something_for_both() -> None:
    assert UNITS
    assert sets()


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_starts_a_service_that_is_no_administrator_and_gives_it_time_to_end(unit: Path) -> None:
    found = settings(unit)
    (command,) = found["ExecStart"]
    args = parsed(shlex.split(command))
    assert (args.command, args.service, args.slot, args.metrics_port) == ("run", "egress", 1, 8705)
    assert str(args.data) == f"/var/lib/{found['StateDirectory'][0]}"
    assert found["User"] not in ([], ["root"])
    assert int(found["TimeoutStopSec"][0]) > DRAIN_S


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_finds_nothing_wrong_in_a_unit(unit: Path, tmp_path: Path) -> None:
    program = tmp_path / "andon"
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o755)
    text = unit.read_text(encoding="utf-8").replace("/opt/andon/.venv/bin/andon", str(program))
    (tmp_path / "andon@egress.service").write_text(text, encoding="utf-8")
    command = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(tmp_path / "andon@egress.service")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert [line for line in done.stderr.splitlines() if "andon" in line] == []


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda manifest: manifest.name)
def test_a_manifest_is_yaml_of_objects_with_a_kind_and_a_name(manifest: Path) -> None:
    for one in documents(manifest):
        assert {"apiVersion", "kind", "metadata", "spec"} <= one.keys()
        assert one["metadata"]["name"].startswith("andon-")


@pytest.mark.parametrize("found", sets(), ids=lambda found: found["metadata"]["name"])
def test_a_set_of_pods_starts_a_service_by_its_ordinal_and_asks_where_it_answers(found: dict[str, Any]) -> None:
    pod = found["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    args = parsed(container["command"])
    assert (args.command, args.slot) == ("run", 1)
    assert {"SLOT", "ANDON_CONFIG"} <= {one["name"] for one in container["env"]}
    assert args.metrics_address == "0.0.0.0"
    (port,) = container["ports"]
    assert port["containerPort"] == args.metrics_port
    asked = {name: container[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert {one["port"] for one in asked.values()} == {port["name"]}
    assert [one["path"] for one in asked.values()] == ["/healthz", "/healthz", "/readyz"]
    assert pod["terminationGracePeriodSeconds"] > DRAIN_S
    assert found["spec"]["selector"]["matchLabels"].items() <= found["spec"]["template"]["metadata"]["labels"].items()
    mounted = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}
    assert mounted.keys() == {one["name"] for one in pod["volumes"]}
    assert mounted["data"] == str(args.data)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
