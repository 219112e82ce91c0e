"""The same faults by Alertmanager, by Apprise and by Andon, to the same stand-ins: a member, and a group's robot.

200 faults come within seconds; some of their texts are longer than a message may be. The first three calls have their
effect, and then the connection breaks. Alertmanager writes to members only, Apprise to robots only. What they count as
sent is held against what the stand-in's record says was seen.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import msgspec

from andon.core.event import Event
from andon.kafka.topics import OUTCOMES
from tests.bench import apprise_load
from tests.bench.corp import AGENT, CORP, SECRET, member
from tests.bench.figures import report
from tests.bench.notices import COUNT, HEAD, Notice, Row, Told, notices
from tests.bench.open_loop import appended
from tests.bench.outcomes import at_end, read
from tests.bench.plant import VENDORS_LIMITS, Plant, Processes, by_label, event, kafka
from tests.bench.vendor import Vendor
from tests.rig import apprise
from tests.rig.alertmanager import VERSION, Unavailable, running
from tests.rig.client import wait_for

APP, ROBOT = "a member (app)", "a group (robot)"
KEY, FAST, QUIET_S, WITHIN_S = "r0", 5_000.0, 5.0, 180.0
ALERTMANAGER = """
route: {{receiver: app, group_by: ['...'], group_wait: 1s, group_interval: 5m, repeat_interval: 4h}}
receivers:
  - name: app
    wechat_configs:
      - api_url: '{url}/cgi-bin/'
        corp_id: {corp}
        api_secret: {secret}
        agent_id: '{agent}'
        to_user: {to}
        message: '{{{{ (index .Alerts 0).Annotations.text }}}}'
        send_resolved: false
"""


def bench() -> None:
    given, rows = notices(), []
    with tempfile.TemporaryDirectory(prefix="andon-bench-") as name:
        for number, run in enumerate((_alertmanager, _apprise, _andon)):
            folder = Path(name) / str(number)
            folder.mkdir()
            try:
                rows += run(folder, given)
            except Unavailable as reason:
                print(f"skipped: {reason}", flush=True)
    for row in rows:
        what = f"peers_{row.program.partition(' ')[0].lower()}_{'app' if row.vendor == APP else 'robot'}"
        bar = "0" if row.program == "Andon" else ""
        report(f"{what}_silently_lost", [row.lost], "notices", bar)
    print("\n".join([HEAD, *(row.line() for row in rows)]))


def _standin(kind: str, folder: Path) -> Vendor:
    """A stand-in with the vendor's true limits; the same for every program."""
    if kind == ROBOT:
        return Vendor("robot", folder, "andon.dev.wecom", "--keys", KEY)
    return Vendor("app", folder, "tests.bench.corp", "--members", "10", "--as-written")


def _break(vendor: Vendor) -> None:
    vendor.fail(kind="reset", key="send" if vendor.name == "app" else "*", seen=True, times=3)


def _refused(vendor: Vendor) -> int:
    counts = vendor.counts()
    return sum(sum(one["refused"].values()) for one in ([counts] if vendor.name == "app" else counts.values()))


def _quiet(vendor: Vendor, done: Callable[[], bool]) -> None:
    """Returns when it is done and nothing more has come for some seconds."""
    assert wait_for(done, WITHIN_S, every_s=0.5), "it did not end in time"
    size, since = vendor.size(), time.monotonic()
    while time.monotonic() - since < QUIET_S:
        time.sleep(0.5)
        if vendor.size() != size:
            size, since = vendor.size(), time.monotonic()


def _alertmanager(folder: Path, given: list[Notice]) -> list[Row]:
    with ExitStack() as stack:
        vendor = _begun(APP, folder, stack)
        config = ALERTMANAGER.format(url=vendor.url, corp=CORP, secret=SECRET, agent=AGENT, to=member(0))
        one = stack.enter_context(running(folder / "alertmanager", config))
        one.raise_([{"labels": {"alertname": n.id}, "annotations": {"text": n.text}} for n in given])
        _quiet(vendor, lambda: one.counted()[0] >= len(given))
        tried, failed = one.counted()
        told, sent = Told(vendor.seen()), tried - failed
        return [
            Row(f"Alertmanager {VERSION[1:]}", APP, len(given), sent, told, _refused(vendor), sent - len(told.seen))
        ]


def _begun(kind: str, folder: Path, stack: ExitStack) -> Vendor:
    """A stand-in without services beside it, which breaks the first calls."""
    vendor, processes = _standin(kind, folder), Processes(folder)
    stack.callback(processes.stop)
    vendor.start(processes)
    _break(vendor)
    return vendor


def _apprise(folder: Path, given: list[Notice]) -> list[Row]:
    with ExitStack() as stack:
        packages = apprise.packages()
        vendor = _begun(ROBOT, folder, stack)
        asked = {"url": vendor.url, "key": KEY, "notices": [[one.id, one.text] for one in given]}
        environment = {**os.environ, "PYTHONPATH": str(packages)}
        done = subprocess.run(
            [sys.executable, apprise_load.__file__],
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            env=environment,
            check=True,
        )
        said = {name for name, well in json.loads(done.stdout).items() if well}
        told = Told(vendor.seen())
        version = next(packages.glob("apprise-*.dist-info")).name.split("-")[1].removesuffix(".dist")
        return [Row(f"Apprise {version}", ROBOT, len(given), len(said), told, _refused(vendor), len(said - told.seen))]


def _andon(folder: Path, given: list[Notice]) -> list[Row]:
    with ExitStack() as stack:
        link = stack.enter_context(kafka(folder))
        vendors = {kind: _standin(kind, folder) for kind in (APP, ROBOT)}
        plant = Plant(folder, link, _config(vendors))
        (plant.config / "templates" / "notice.j2").write_text("{{ data.text }}", encoding="utf-8")
        stack.callback(plant.stop)
        for vendor in vendors.values():
            vendor.start(plant)
            _break(vendor)
        plant.prepare()
        for service in ("enrichment", "routing", "egress"):
            plant.start(service)
        plant.wait_ready()
        ended = at_end(link, OUTCOMES)
        events = [_event(number, one, to) for to in ("app", "robot") for number, one in enumerate(given)]
        asyncio.run(appended(link, events, FAST))
        outcomes = [msgspec.json.decode(one.value) for one in read(ended, len(events), WITHIN_S)]
        rows = []
        for (kind, vendor), to in zip(vendors.items(), ("app", "robot"), strict=True):
            mine = [one for one in outcomes if one["receiver"] == to]
            sent = sum(one["outcome"]["outcome"] in ("delivered", "merged") for one in mine)
            told = Told(vendor.seen())
            lost = sent - len(told.seen) - told.digested
            rows.append(Row("Andon", kind, COUNT, sent, told, _refused(vendor), lost))
        return rows


def _event(number: int, one: Notice, to: str) -> Event:
    made = event(number)
    return msgspec.structs.replace(
        made, id=f"{to}-{one.id}", subject=f"{to}/{one.id}", data={"text": one.text}, labels={"to": to}
    )


def _config(vendors: dict[str, Vendor]) -> str:
    """Merging and the vendors' limits are the defaults. What a person can read is not asked, or most would wait for ten
    minutes."""
    os.environ |= {"BENCH_CORP": CORP, "BENCH_SECRET": SECRET, "BENCH_KEY": KEY}
    app = f"corp_id: env:BENCH_CORP, agent_id: {AGENT}, secret: env:BENCH_SECRET, base_url: '{vendors[APP].url}'"
    channels = {
        "app": f"{{kind: wecom_app, {app}}}",
        "robot": f"{{kind: wecom_robot, keys: [env:BENCH_KEY], base_url: '{vendors[ROBOT].url}'}}",
    }
    receivers = {
        "app": f"{{channel: app, to: [{member(0)}], template: notice}}",
        "robot": "{channel: robot, template: notice}",
    }
    return VENDORS_LIMITS + by_label([], "", channels=channels, receivers=receivers)
