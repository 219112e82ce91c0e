"""What `pip install` of a built wheel gives: everything the demo needs that is no module, and the schemas."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ASK = """
import json
from pathlib import Path
import andon
from andon.dev.demo import Demo
demo = Demo(Path("demo"), lambda port: port)
print(json.dumps({"andon": andon.__file__, "source": str(demo.source), "copy": str(demo.derive())}))
"""


def run(*arguments: str, cwd: Path, **env: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=cwd,
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **env},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder a wheel of this checkout was installed into."""
    home = tmp_path_factory.mktemp("wheel")
    wheels, target = home / "wheels", home / "lib" / "site-packages"
    offline = ("--quiet", "--no-deps", "--no-index")
    run("-m", "pip", "wheel", *offline, "--no-build-isolation", "-w", str(wheels), str(ROOT), cwd=home)
    (wheel,) = wheels.glob("andon-*.whl")
    run("-m", "pip", "install", *offline, "--target", str(target), str(wheel), cwd=home)
    return target


def test_the_demo_of_an_installed_package_has_its_configuration(installed: Path, tmp_path: Path) -> None:
    path = {"PYTHONPATH": str(installed)}
    found = json.loads(run("-c", ASK, cwd=tmp_path, **path))
    assert Path(found["andon"]).is_relative_to(installed), "the checkout was asked, not the wheel"
    shipped = ROOT / "deploy" / "config" / "demo"
    packaged = Path(found["source"])
    assert packaged.is_relative_to(installed)
    assert contents(packaged) == contents(shipped)
    said = run("-m", "andon.cli.main", "check", found["copy"], cwd=tmp_path, **path)
    assert said.startswith("OK "), said


def test_an_installed_package_has_the_schemas(installed: Path) -> None:
    assert contents(installed / "andon" / "schemas") == contents(ROOT / "schemas")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
