"""Whom receivers name, in the words of their channel: `andon check` says what is wrong, and where."""

from __future__ import annotations

from pathlib import Path

import pytest

from andon.cli.commands.check import checked

PLANT = """\
version: 1
channels:
  app: {{kind: wecom_app, corp_id: env:CORP, agent_id: 1000002, secret: env:SECRET}}
receivers:
  office: {{channel: app{to}}}
route: {{receiver: office}}
"""


@pytest.mark.parametrize(
    ("to", "said"),
    [
        ("", ": `to` is missing: an app writes to people"),
        (', to: [wang, "a b"]', "5:37: 'a b' is no userid"),
        (', to: ["fact:machine.leader", "@all", "party:x"]', "5:62: 'party:x' names none"),
        (', to: ["rota:maintenance"]', "`rota:` is not in this version"),
    ],
)
def test_a_mistake_is_found(tmp_path: Path, to: str, said: str) -> None:
    (tmp_path / "andon.yaml").write_text(PLANT.format(to=to), encoding="utf-8")
    found = [str(one).partition("andon.yaml:")[2] for one in checked(tmp_path).mistakes]
    assert any(said in one for one in found), found
    assert len(found) == (2 if "@all" in to else 1), "one mistake is said once"


@pytest.mark.parametrize("to", ["[wang, party:2, tag:3]", '["@all"]', '["fact:machine.leader"]', '["fact:a.b", wang]'])
def test_good_ones_pass(tmp_path: Path, to: str) -> None:
    (tmp_path / "andon.yaml").write_text(PLANT.format(to=f", to: {to}"), encoding="utf-8")
    assert checked(tmp_path).mistakes == ()
