"""What stands in `andon.config`: everything a service needs, no secret, and the same digest for the same content."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from andon.config.load import Loaded
from andon.config.mistakes import Invalid
from andon.config.published import MAX_BUNDLE, BundleUnreadable, content_digest, published, unbundle
from andon.config.published import bundle as bundled
from andon.core.mute import Mute
from tests.config.plant import PLANT, changed, read

AT = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


def bundle(loaded: Loaded, version: int, author: str, at: datetime) -> bytes:
    return bundled(published(loaded, version, author, at))


def test_there_and_back(tmp_path: Path) -> None:
    loaded = read(tmp_path)
    one = unbundle(bundle(loaded, 7, "wang", AT))
    assert one.settings == loaded.settings
    assert one.files == loaded.files
    assert (one.version, one.author, one.at) == (7, "wang", AT)
    assert one.directory == str(tmp_path)


def test_reason_and_mutes_come_back_and_are_no_content(tmp_path: Path) -> None:
    bare = published(read(tmp_path), 7, "wang", AT)
    mute = Mute("m7", ('line="L3"',), AT, AT + timedelta(hours=2), "wang", "换模")
    whole = replace(bare, reason="新产线", restores=3, mutes=(mute,))
    assert unbundle(bundled(whole)) == whole
    assert whole.digest == bare.digest
    assert b'"mutes":' not in bundled(bare), "an older Andon reads what has nothing new in it"


def test_secrets_stay_references(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LINE_TOKEN", "ROBOT_1", "PRINTER", "KAFKA_USER"):
        monkeypatch.setenv(name, "hunter2")
    text = changed("bootstrap: embedded", "bootstrap: a:1, sasl: {user: env:KAFKA_USER, password: file:/run/p}")
    raw = bundle(read(tmp_path, text), 1, "wang", AT)
    assert b"hunter2" not in raw
    assert b"env:ROBOT_1" in raw
    sasl = unbundle(raw).settings.kafka.sasl
    assert sasl is not None
    assert sasl.user.reveal() == "hunter2"


def test_digest_follows_the_content_and_nothing_else(tmp_path: Path) -> None:
    loaded = read(tmp_path)
    digest = content_digest(loaded)
    first = unbundle(bundle(loaded, 1, "wang", AT))
    second = unbundle(bundle(loaded, 2, "li", AT + timedelta(days=1)))
    assert first.digest == second.digest == digest
    commented = read(
        tmp_path,
        "# a note\n" + PLANT.replace("{name: 二号厂, zone: Asia/Shanghai}", "{zone: Asia/Shanghai, name: 二号厂}"),
    )
    assert content_digest(commented) == digest
    assert content_digest(read(tmp_path, changed("wait: 500ms", "wait: 501ms"))) != digest
    assert content_digest(read(tmp_path, changed("file: machines.csv", "file: other.csv"))) != digest
    (tmp_path / "texts" / "new.j2").write_text("x")
    assert content_digest(read(tmp_path)) != digest


def test_order_of_routes_is_content(tmp_path: Path) -> None:
    lines = PLANT.splitlines(keepends=True)
    swapped = [*lines[:29], lines[30], lines[29], *lines[31:]]
    assert content_digest(read(tmp_path, "".join(swapped))) != content_digest(read(tmp_path))


def test_bundle_is_equal_byte_for_byte(tmp_path: Path) -> None:
    assert bundle(read(tmp_path), 1, "wang", AT) == bundle(read(tmp_path), 1, "wang", AT)


def test_a_bad_file_is_not_bundled(tmp_path: Path) -> None:
    loaded = read(tmp_path, changed("window: 800", "window: 8"))
    with pytest.raises(Invalid):
        bundle(loaded, 1, "wang", AT)
    with pytest.raises(Invalid):
        content_digest(loaded)


def test_time_needs_a_zone(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="zone"):
        bundle(read(tmp_path), 1, "wang", AT.replace(tzinfo=None))


def test_the_largest_bundle_fits_a_record(tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    for number in range(7):
        (tmp_path / "texts" / f"t{number}.j2").write_text("中" * (42 << 10), encoding="utf-8")
    raw = bundle(read(tmp_path), 2**31, "w" * 500, AT)
    assert MAX_BUNDLE * 0.95 < len(raw) < 1_000_000


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"version": 1}',
        b'{"version":1,"at":"2026-11-23T08:00:00Z","author":"a","directory":"/","settings":{},"files":{}}',
    ],
)
def test_what_is_no_bundle(raw: bytes) -> None:
    with pytest.raises(BundleUnreadable, match="a published configuration"):
        unbundle(raw)


def test_a_bundle_of_a_later_version_is_refused_without_its_content(tmp_path: Path) -> None:
    content = msgspec.json.decode(bundle(read(tmp_path), 1, "wang", AT))
    content["settings"]["site"]["motto"] = "hunter2"
    with pytest.raises(BundleUnreadable, match=r"another format: site\.motto") as refused:
        unbundle(msgspec.json.encode(content))
    assert "hunter2" not in str(refused.value)


def test_services_do_not_import_the_yaml_reader() -> None:
    code = "import sys, andon.config.published, andon.runtime.registry; sys.exit('ruamel.yaml' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_tables_are_content(tmp_path: Path) -> None:
    text = changed("calendar:\n", "calendar:\n  overrides: days.csv\n")
    (tmp_path / "days.csv").write_text("date,day\n2026-10-10,off\n")
    loaded = read(tmp_path, text)
    published = unbundle(bundle(loaded, 7, "wang", AT))
    assert published.tables == loaded.tables
    assert [day.isoformat() for day in published.tables.workdays.off] == ["2026-10-10"]
    assert published.digest == content_digest(loaded)
    (tmp_path / "days.csv").write_text("date,day\n2026-10-10,work\n")
    assert content_digest(read(tmp_path, text)) != published.digest
    (tmp_path / "days.csv").write_text("date,day\n2026-10-10,wrk\n")
    (mistake,) = read(tmp_path, text).mistakes
    assert mistake.path == ("calendar", "overrides")
    assert mistake.text == "days.csv, line 2: 'wrk' says nothing of a day; write work or off"
