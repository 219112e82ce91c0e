"""Plug-ins: found by entry points, imported when asked for, added by a test without an edit anywhere."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import cast

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from andon.config.plugs import GROUPS, Plug, PlugUnusable
from andon.config.secrets import SecretRef
from andon.config.section import Section
from andon.core.policy import Limit
from andon.core.ports import Call, Content, Context, Facts, Receipt, Wire
from andon.runtime import registry as module
from andon.runtime.registry import Registry
from andon.testing.clock import ManualClock
from tests.config.plant import Paper


def context(folder: Path) -> Context:
    return Context("robot", folder, ManualClock(), cast("Wire", None))


def point(name: str, value: str) -> metadata.EntryPoint:
    return metadata.EntryPoint(name, value, "andon.channels")


def test_added_plug_in_works_like_an_installed_one(tmp_path: Path) -> None:
    registry = Registry(extra={"andon.channels": {"paper": Paper}})
    assert "paper" in registry.kinds("andon.channels")
    assert "paper" not in registry.kinds("andon.sources")
    plug = Plug(kind="paper", options={"keys": ["env:A"]})
    channel = registry.build("andon.channels", plug, context(tmp_path))
    assert isinstance(channel, Paper)
    assert channel.config == Paper.Config(keys=(SecretRef("env:A"),))
    assert channel.context.directory == tmp_path


def test_bad_keys_are_refused_without_their_values() -> None:
    registry = Registry(extra={"andon.channels": {"paper": Paper}})
    with pytest.raises(ValidationError) as refused:
        registry.config("andon.channels", Plug(kind="paper", options={"keys": ["hunter2"], "colour": "hunter2"}))
    assert refused.value.error_count() == 2
    assert "hunter2" not in str(refused.value)


def test_unknown_kind() -> None:
    with pytest.raises(PlugUnusable, match=r"there is no plug-in `nobody` in andon\.channels"):
        Registry().plug_in("andon.channels", "nobody")
    with pytest.raises(PlugUnusable):
        Registry().plug_in("andon.nothing", "nobody")


def test_kinds_that_are_installed_import_nothing() -> None:
    code = (
        "import sys; from andon.runtime.registry import Registry; r = Registry(); "
        "assert 'wecom_robot' in r.kinds('andon.channels'); "
        "sys.exit(any(m.startswith(('andon.egress', 'andon.ingress', 'andon.enrichment')) for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class NoConfig:
    pass


class Lax:
    class Config(BaseModel):
        model_config = ConfigDict(hide_input_in_errors=True)


class Talkative:
    class Config(BaseModel):
        model_config = ConfigDict(extra="forbid")


class Fine:
    class Config(Section):
        def limit_domain(self) -> str:
            return "fine"

        def limits(self) -> tuple[Limit, ...]:
            return ()

        def lines(self) -> int:
            return 1

    def split(self, content: Content, tail: str = "", /) -> Sequence[Content]:
        return (content,)

    async def send(self, call: Call, /) -> Sequence[Receipt]:
        return ()

    async def close(self) -> None: ...


@pytest.mark.parametrize(
    ("plug_in", "words"),
    [(NoConfig, "no nested pydantic `Config`"), (Lax, "the rules of `Section`"), (Talkative, "the rules of `Section`")],
)
def test_plug_ins_that_would_take_typing_errors_or_show_secrets(plug_in: type, words: str) -> None:
    with pytest.raises(PlugUnusable, match=words):
        Registry(extra={"andon.channels": {"bad": plug_in}}).config_type("andon.channels", "bad")


class Deaf(Fine):
    """A channel that a vendor could not be told of by."""

    send = None  # type: ignore[assignment]


class Bare:
    """A connector whose keys are all its own."""

    class Config(Section):
        table: str

    async def lookup(self, keys: Sequence[str], /) -> Sequence[Facts]:
        return ()

    async def close(self) -> None: ...


class Domainless(Fine):
    class Config(Section):
        def lines(self) -> int:
            return 1


@pytest.mark.parametrize(
    ("group", "plug_in", "words"),
    [
        ("andon.channels", Deaf, "plug-in `bad` of andon.channels is no Channel: it has no `send`"),
        ("andon.channels", Domainless, "is no ChannelConfig: it has no `limit_domain`, no `limits`"),
        ("andon.connectors", Bare, "the `Config` of plug-in `bad` of andon.connectors is no ConnectorConfig: "),
        ("andon.connectors", Fine, "is no Connector: it has no `lookup`"),
        ("andon.sources", Fine, "is no Source: it has no `parse`"),
        ("andon.ticket_systems", Fine, "is no TicketSystem: it has no `find`, no `open`, no `comment`"),
    ],
)
def test_plug_ins_that_would_end_a_service_or_fail_each_call(group: str, plug_in: type, words: str) -> None:
    with pytest.raises(PlugUnusable, match=words):
        Registry(extra={group: {"bad": plug_in}}).config_type(group, "bad")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("class Robot:\n    def send(self:\n", r"`robot` of andon\.channels cannot be imported: SyntaxError: "),
        ("raise RuntimeError('no licence')\n", "cannot be imported: RuntimeError: no licence"),
    ],
)
def test_a_module_that_breaks_is_named_by_its_plug_in(
    text: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_plug_in.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    points = metadata.EntryPoints([point("robot", "broken_plug_in:Robot")])
    monkeypatch.setattr(module, "installed", lambda group: points)
    with pytest.raises(PlugUnusable, match=words):
        Registry().plug_in("andon.channels", "robot")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("andon.no_such_module:Robot", "cannot be imported: No module named"),
        ("tests.config.test_registry:Missing", "cannot be imported"),
        ("tests.config.test_registry:GROUPS", "is no class"),
    ],
)
def test_entry_points_that_lead_nowhere(value: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "installed", lambda group: metadata.EntryPoints([point("robot", value)]))
    registry = Registry()
    assert registry.kinds("andon.channels") == ("robot",)
    with pytest.raises(PlugUnusable, match=words):
        registry.plug_in("andon.channels", "robot")


def test_two_packages_with_one_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    both = metadata.EntryPoints(
        [point("robot", "a.b:Robot"), point("robot", "c.d:Robot"), point("fine", f"{__name__}:Fine")]
    )
    monkeypatch.setattr(module, "installed", lambda group: both)
    registry = Registry()
    assert registry.config_type("andon.channels", "fine") is Fine.Config
    with pytest.raises(PlugUnusable, match=r"registered twice: a\.b:Robot and c\.d:Robot"):
        registry.plug_in("andon.channels", "robot")


def test_every_installed_plug_in_has_the_rules_of_a_section() -> None:
    registry = Registry()
    for group in GROUPS.values():
        for kind in registry.kinds(group):
            assert registry.config_type(group, kind).model_config["extra"] == "forbid"
