"""The demo's configuration and data, through the real connectors, routes and templates."""

from __future__ import annotations

import asyncio
import shutil
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest

from andon.cli.commands.check import checked
from andon.config.plugs import CONNECTORS, TICKET_SYSTEMS
from andon.config.settings import Settings
from andon.core.delivery import Delivery
from andon.core.digest import merged
from andon.core.event import Event, Position
from andon.core.ports import Connector, Content
from andon.dev.data import FAULTS, LINES, MACHINES, Fault, Machine, create_machines
from andon.egress.look import Look
from andon.egress.render import Renderer
from andon.enrichment.mapping import Answer, enriched
from andon.routing.router import Router
from andon.runtime.registry import Registry
from andon.testing.builders import context
from andon.ticketing.episode import episode_key
from andon.web.wire import HttpWire

DEMO = Path(__file__).parents[3] / "deploy" / "config" / "demo"
ZONE = ZoneInfo("Asia/Shanghai")


@pytest.fixture(scope="module")
def settings() -> Settings:
    loaded = checked(DEMO)
    assert loaded.mistakes == ()
    return loaded.settings


def raised(machine: Machine, fault: Fault, hour: int, state: str = "raise") -> Event:
    at = datetime(2026, 11, 23, hour, 30, tzinfo=ZONE)
    return Event(
        id="e1",
        source="mes/demo",
        type="mes.fault.raised" if state == "raise" else "mes.fault.cleared",
        subject=machine.number,
        time=at,
        data={"code": fault.code, "message": fault.text, "temperature": 96.5},
        labels={
            "state": state,
            "severity": fault.severity,
            "department": fault.department,
            "line": machine.line,
            "code": fault.code,
        },
        origin=(Position("andon.events", 0, 0, int(at.timestamp() * 1000)),),
    )


def deliveries(settings: Settings, event: Event) -> tuple[Delivery, ...]:
    domains = dict.fromkeys(settings.receivers, "domain")
    return Router(settings, 1, domains).route(event).outputs


@pytest.mark.parametrize("hour", [0, 7, 8, 19, 20, 23])
def test_every_fault_reaches_exactly_one_group_at_any_hour(settings: Settings, hour: int) -> None:
    for machine in MACHINES:
        for fault in FAULTS:
            (delivery,) = deliveries(settings, raised(machine, fault, hour))
            logistics = fault.department == "logistics"
            assert delivery.receiver == ("logistics" if logistics else f"{machine.line}-group")
            assert delivery.urgent or fault.severity != "critical"


def test_anything_else_reaches_the_default(settings: Settings) -> None:
    other = msgspec.structs.replace(raised(MACHINES[0], FAULTS[0], 9), type="stock.changed")
    assert [delivery.receiver for delivery in deliveries(settings, other)] == ["duty"]


def facts(settings: Settings, name: str, directory: Path, keys: list[str]) -> list[dict[str, object]]:
    async def ask() -> list[dict[str, object]]:
        wire = HttpWire()
        connector: Connector = Registry().build(
            CONNECTORS, settings.connectors[name], context(wire, name=name, directory=directory)
        )
        try:
            found = await connector.lookup(keys)
        finally:
            await connector.close()
            await wire.close()
        assert all(one.found for one in found)
        return [dict(one.values) for one in found]

    return asyncio.run(ask())


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("demo") / "config"
    shutil.copytree(DEMO, copy)
    create_machines(copy / "machines.sqlite")
    return copy


def test_every_machine_and_every_leader_is_known(settings: Settings, directory: Path) -> None:
    machines = facts(settings, "machine", directory, [machine.number for machine in MACHINES])
    assert [found["line"] for found in machines] == [machine.line for machine in MACHINES]
    assert all(isinstance(age := found["age_days"], int) and age > 0 for found in machines)
    leaders = facts(settings, "leader", directory, list(LINES))
    assert len({found["leader"] for found in leaders}) == len(LINES)
    assert all("****" in str(found["phone"]) for found in leaders)


def notice(settings: Settings, event: Event, digest_of: tuple[Event, ...] = ()) -> Content:
    files = {file.name: file.read_text(encoding="utf-8") for file in (DEMO / "templates").iterdir()}
    renderer = Renderer(files)
    (delivery,) = deliveries(settings, event)
    digest = None
    for one in digest_of:
        digest = merged(digest, one)
    return renderer.render(delivery, "wecom_robot", Look("fault"), digest).content


def known(settings: Settings, directory: Path, event: Event) -> Event:
    (machine,) = facts(settings, "machine", directory, [event.subject])
    (leader,) = facts(settings, "leader", directory, [event.labels["line"]])
    return enriched(enriched(event, "machine", Answer(machine), {}), "leader", Answer(leader), {})


def test_a_notice_says_what_is_known_and_marks_what_is_not(settings: Settings, directory: Path) -> None:
    machine = next(machine for machine in MACHINES if machine.number == "line-3/M-07")
    event = raised(machine, FAULTS[0], 9)
    told = notice(settings, known(settings, directory, event))
    assert told.kind == "markdown"
    for text in (
        "紧急报警",
        machine.name,
        "E-217",
        "主轴温度过高",
        "陈思远",
        "2026-11-23 09:30:00",
        str(machine.spare),
    ):
        assert text in told.text
    assert "【缺】" not in told.text
    assert len(told.text.encode()) < 4096
    unknown = notice(settings, enriched(event, "machine", Answer(missing="timeout"), {}))
    assert unknown.text.count("【缺】") == 6
    cleared = notice(settings, known(settings, directory, raised(machine, FAULTS[0], 9, "clear")))
    assert "已恢复" in cleared.text
    assert "备件" not in cleared.text


def test_a_digest_of_all_machines_fits_one_call(settings: Settings) -> None:
    events = tuple(raised(machine, FAULTS[0], 9) for machine in MACHINES)
    told = notice(settings, events[0], events)
    assert f"合并 {len(events)} 条" in told.text
    assert told.text.count("> ") >= len(events)
    assert len(told.text.encode()) < 4096


def test_faults_are_episodes_and_the_tracker_is_configured(settings: Settings) -> None:
    rule = settings.episodes["machine-fault"]
    assert episode_key(rule, raised(MACHINES[0], FAULTS[0], 9)) == f"{MACHINES[0].number}/{FAULTS[0].code}"
    assert rule.ticket_system is not None
    config = Registry().config(TICKET_SYSTEMS, settings.ticket_systems[rule.ticket_system])
    assert config.limit_domain() == "roundup:127.0.0.1"  # type: ignore[attr-defined]


def test_the_data_is_made_once_and_again_when_it_changes(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "machines.sqlite"
    create_machines(file)
    made = file.stat().st_mtime_ns
    create_machines(file)
    assert file.stat().st_mtime_ns == made
    create_machines(file, MACHINES[:1])
    assert file.stat().st_mtime_ns != made
    file.write_bytes(b"not a database at all" * 100)
    create_machines(file)
    assert file.read_bytes().startswith(b"SQLite format 3")
    assert [entry.name for entry in file.parent.iterdir()] == ["machines.sqlite"]
