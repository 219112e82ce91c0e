"""Which earlier versions `andon config rollback` puts back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from andon.cli import main as frame
from andon.cli.asking import where
from andon.cli.commands import config
from andon.cli.commands.check import checked, unusable
from andon.config.published import Published, bundle, unpublished
from andon.config.settings import Settings
from andon.runtime import publishing
from andon.runtime.changes import Change, Said, applied
from andon.runtime.follower import CURRENT_KEY, Board, Current, version_key
from tests.unit.versions.boards import files, put

AGAIN = ("config", "rollback", "1", "--why", "zu laut")


class Topic:
    """What `andon.config` says: two versions."""

    def __init__(self, folder: Path) -> None:
        self.board = Board()
        for name in ("one", "two"):
            put(self.board, applied(files(folder, name), Said("wang")))

    def change_first(self, raw: bytes) -> None:
        """As if version 1 had been these bytes."""
        before, self.board = self.board, Board()
        for key, value in ((version_key(1), raw), (version_key(2), before.versions[2])):
            self.board.take(key, value)
        self.board.take(CURRENT_KEY, msgspec.json.encode(Current(2)))


@pytest.fixture
def topic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Topic:
    topic = Topic(tmp_path)

    async def publish(_link: Any, change: Change) -> Published | None:
        put(topic.board, change)
        return topic.board.newest

    monkeypatch.setattr(where, "cluster", lambda _args: where.Where(None, None, tmp_path))  # type: ignore[arg-type]
    monkeypatch.setattr(config, "_board", lambda _args: topic.board)
    monkeypatch.setattr(publishing, "publish", publish)
    return topic


def test_what_is_right_is_put_back(topic: Topic) -> None:
    assert frame.main(AGAIN) == 0
    assert topic.board.newest is not None
    assert (topic.board.newest.version, topic.board.newest.settings.site.name) == (3, "one")


def test_whose_limits_are_counted_anew_is_told(topic: Topic, capsys: pytest.CaptureFixture[str]) -> None:
    one = topic.board.version(1)
    data = one.settings.model_dump(mode="json", by_alias=True)
    data["channels"]["robot"]["options"]["keys"] = ["env:BEFORE"]
    topic.change_first(bundle(replace(one, settings=Settings.model_validate(data))))
    assert frame.main(AGAIN) == 0
    assert "it moves from wecom_robot:env:ROBOT to wecom_robot:env:BEFORE" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("section", "value", "told"),
    [
        ("sources", {"mes": {"kind": "kafka", "topic": "t", "group": "x"}}, "sources.mes.group: "),
        ("channels", {"robot": {"kind": "no_such_kind"}}, "channels.robot: there is no plug-in `no_such_kind`"),
        ("route", {"matchers": ['line=~"("']}, "route"),
    ],
)
def test_what_no_service_can_take_is_refused_and_named(
    section: str, value: dict[str, Any], told: str, topic: Topic, capsys: pytest.CaptureFixture[str]
) -> None:
    one = topic.board.version(1)
    data = one.settings.model_dump(mode="json", by_alias=True)
    data[section] |= value
    topic.change_first(bundle(replace(one, settings=Settings.model_validate(data))))
    assert frame.main(AGAIN) == 2
    said = capsys.readouterr().err
    assert "version 1 of the configuration cannot be put back" in said
    assert told in said
    assert max(topic.board.versions) == 2


def test_what_another_andon_wrote_is_no_surprise(topic: Topic, capsys: pytest.CaptureFixture[str]) -> None:
    topic.change_first(b'{"of": "the future"}')
    assert frame.main(AGAIN) == 1
    assert "unexpected" not in capsys.readouterr().err


def test_mutes_that_cannot_be_kept_are_told(topic: Topic, capsys: pytest.CaptureFixture[str]) -> None:
    topic.board.take(version_key(3), b'{"of": "the future", "mutes": [{"then": "later"}, {"then": "never"}]}')
    topic.board.take(CURRENT_KEY, msgspec.json.encode(Current(3)))
    assert frame.main(AGAIN) == 0
    assert "2 mutes of the version in force cannot be read by this Andon" in capsys.readouterr().err


def test_what_files_may_say_a_version_may_say() -> None:
    demo = Path(__file__).parents[3] / "deploy" / "config" / "demo"
    assert unusable(unpublished(checked(demo))) == []


def test_mistakes_in_the_files_are_told_a_program_as_json(
    topic: Topic, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "andon.yaml").write_text("version: 2\nroute: {receiver: it}\n")
    assert frame.main(["config", "diff", "--json", "--config", str(tmp_path)]) == 2
    told = msgspec.json.decode(capsys.readouterr().out)
    assert (told["ok"], told["mistakes"][0]["text"]) == (False, "`version` must be 1")
