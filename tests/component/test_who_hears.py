"""An event through enrichment and routing, as the services run them: whom a department, a line and its manager mean."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from andon.cli.commands.check import checked
from andon.config.published import unpublished
from andon.core.delivery import Delivery
from andon.core.event import Event
from andon.core.ports import Result
from andon.enrichment.app import GROUP
from andon.enrichment.cache import CachedConnector
from andon.enrichment.stage import EnrichmentStage
from andon.routing.published import router_of
from andon.routing.router import RoutingStage
from andon.runtime.registry import Registry
from andon.testing.builders import context
from andon.web.nowire import NoWire
from tests.unit.routing.events import event

PLANT = """\
version: 1
calendar:
  holidays: china
  time_intervals: {working: [{days: [workday]}]}
channels:
  app: {kind: wecom_app, corp_id: env:CORP, agent_id: 1000002, secret: env:SECRET}
  mail: {kind: smtp, host: mail.corp.cn, from: andon@corp.cn}
connectors:
  people: {kind: csv, file: people.csv, key: userid}
  machine: {kind: csv, file: machines.csv, key: machine_no}
  owners: {kind: sql, url: "sqlite:///crm.sqlite", view: v_owners, key: customer, many: true}
enrich:
  - {matchers: ['type="machine.fault"'], connector: machine, wait: 30s, labels: {line: "{facts.machine.line}"}}
  - {matchers: ['type="order.late"'], connector: owners, by: data.customer, wait: 30s}
directory: {addresses: {smtp: mail}}
receivers:
  it: {channel: mail, to: [it@corp.cn]}
  leader: {channel: app, to: ["role:班长 & department:{labels.line}"], if_nobody: manager}
  manager: {channel: app, to: ["manager-of:role:班长"]}
  office: {channel: app, to: ["department:生产部"]}
  owner: {channel: mail, to: ["fact:owners.mail"]}
route:
  receiver: it
  routes:
    - matchers: ['type="machine.fault"']
      receiver: leader
      continue: true
    - {matchers: ['type="machine.fault"'], receiver: office, active_time_intervals: [working]}
    - {matchers: ['type="order.late"', 'facts.owners.region in [华东, 华北]'], receiver: owner}
"""
PEOPLE = """\
userid,department,role,manager,mail
00101,生产部/L3,班长,00201,a@corp.cn
00102,生产部/L3,操作工,00101,
00201,生产部,经理,,d@corp.cn
"""
MACHINES = "machine_no,line\nM-07,L3\nM-08,L9\n"


@pytest.fixture
def plant(tmp_path: Path) -> Path:
    for name, text in (("andon.yaml", PLANT), ("people.csv", PEOPLE), ("machines.csv", MACHINES)):
        (tmp_path / name).write_text(text, encoding="utf-8")
    with closing(sqlite3.connect(tmp_path / "crm.sqlite")) as database, database:
        database.execute("create table v_owners (customer text, mail text, region text)")
        database.executemany(
            "insert into v_owners values (?, ?, ?)",
            [("C1", "x@corp.cn", "华东"), ("C1", "y@corp.cn", "华南"), ("C2", "z@corp.cn", "华南")],
        )
    return tmp_path


def through(folder: Path, *events: Event) -> list[dict[str, tuple[str, ...]]]:
    """The receivers of each event with their people, by the stages of both services."""
    published, registry = unpublished(checked(folder)), Registry()

    async def run() -> list[Result[Delivery]]:
        connectors = {
            name: CachedConnector(
                name,
                registry.build(GROUP, plug, context(NoWire(), name=name, directory=folder)),
                context(NoWire()).clock,
            )
            for name, plug in published.settings.connectors.items()
        }
        try:
            enriched = await EnrichmentStage(published.settings.enrich, connectors)(events)
            stage = RoutingStage(router_of(published, registry))
            return list(await stage([one.outputs[0] for one in enriched]))
        finally:
            for connector in connectors.values():
                await connector.close()

    return [{one.receiver: one.recipients for one in result.outputs} for result in asyncio.run(run())]


def at(day: str) -> datetime:
    return datetime.fromisoformat(f"{day}T10:00").replace(tzinfo=ZoneInfo("Asia/Shanghai"))


def test_computed_receivers_from_the_source_to_the_delivery(plant: Path) -> None:
    made_up, holiday, unknown = at("2026-10-10"), at("2026-10-05"), at("2099-10-10")
    told = through(
        plant,
        event(subject="M-07", at=made_up),
        event(subject="M-07", at=holiday),
        event(subject="M-08", at=holiday),
        event(subject="M-07", at=unknown),
        event("order.late", data={"customer": "C1"}, at=holiday),
        event("order.late", data={"customer": "C2"}, at=holiday),
        event("order.late", data={"customer": "C3"}, at=holiday),
    )
    assert told == [
        {"leader": ("00101",), "office": ("00102", "00201")},  # a Saturday that is worked; the leader hears once
        {"leader": ("00101",)},
        {"manager": ("00201",)},  # line L9 has no shift leader
        {"leader": ("00101",), "office": ("00102", "00201")},  # nobody knows that day, so it is told
        {"owner": ("x@corp.cn", "y@corp.cn")},
        {"it": ("it@corp.cn",)},
        {"it": ("it@corp.cn",)},
    ]
