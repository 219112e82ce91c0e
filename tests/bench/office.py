"""A corp of 100,000 members in one andon.yaml: a hundred receivers of a thousand each, and some people on duty.

A file takes at most 100,000 values and 900 KiB. So 99 receivers name their members, and the last thousand are a list of
facts, such as a connector of one's own would find; the event brings it with it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from andon.core.event import Event
from tests.bench.corp import AGENT, CORP, SECRET, member
from tests.bench.plant import VENDORS_LIMITS, Plant, event
from tests.bench.vendor import Vendor

GROUP = 1_000
DUTY = 10
SERVICES = ("enrichment", "routing", "egress")
FANNED = {"to": "all"}


class Office:
    """`groups` receivers of 1,000 members each. Label `to`: `all` reaches them all, `duty<n>` one member, urgently.

    `rules` are those of the stand-in, `limits` what andon.yaml says of the channel's.
    """

    def __init__(self, folder: Path, groups: int, rules: str, limits: str = "") -> None:
        self.groups = groups
        self.members = groups * GROUP
        self._folder = folder
        self._limits = limits
        self.vendor = Vendor("corp", folder, "tests.bench.corp", "--members", str(self.members), "--rules", rules)

    def open(self, plant: Plant) -> None:
        """Returns when the vendor answers and every service behind the door is ready."""
        self.vendor.start(plant)
        self._publish(plant)
        for service in SERVICES:
            plant.start(service)
        plant.wait_ready()

    def _publish(self, plant: Plant) -> None:
        """Publishes it, then leaves a small file in its place: services take the address of Kafka from there, and each
        would read all of it for that."""
        plant.prepare()
        (plant.config / "andon.yaml").write_text("version: 1\nroute: {receiver: none}\n", encoding="utf-8")

    def config(self) -> str:
        os.environ |= {"BENCH_CORP": CORP, "BENCH_SECRET": SECRET}
        app = f"corp_id: env:BENCH_CORP, agent_id: {AGENT}, secret: env:BENCH_SECRET, base_url: '{self.vendor.url}'"
        named = [self._named(number) for number in range(self.groups - 1)]
        duty = [f"  duty{n}: {{channel: app, to: [{member(n)}], template: bench, merge: none}}" for n in range(DUTY)]
        urgent = [f"    - {{matchers: ['to=\"duty{n}\"'], receiver: duty{n}, urgent: true}}" for n in range(DUTY)]
        fanned = [f"    - {{receiver: g{number}, continue: true}}" for number in range(self.groups)]
        return "\n".join(
            [
                "version: 1",
                VENDORS_LIMITS.strip(),
                f"channels: {{app: {{kind: wecom_app, {app}{self._limits}}}}}",
                "receivers:",
                *named,
                f"  g{self.groups - 1}: {{channel: app, to: ['fact:office.members'], template: bench, merge: none}}",
                *duty,
                "route:",
                "  receiver: g0",
                "  routes:",
                *urgent,
                *fanned,
                "",
            ]
        )

    def _named(self, number: int) -> str:
        people = ", ".join(map(member, range(number * GROUP, (number + 1) * GROUP)))
        return f"  g{number}: {{channel: app, to: [{people}], template: bench}}"

    def fan_out(self, number: int) -> Event:
        """One event for everybody."""
        last = [member(n) for n in range(self.members - GROUP, self.members)]
        return _changed(number, FANNED, {"office": {"members": last}})

    def urgent(self, number: int) -> Event:
        """One event for one member on duty; they take turns."""
        return _changed(number, {"to": f"duty{number % DUTY}"}, {})


def _changed(number: int, labels: Mapping[str, str], facts: Mapping[str, object]) -> Event:
    one = event(number)
    return msgspec.structs.replace(one, labels={**one.labels, **labels}, facts=dict(facts))
