"""The configuration of a plant: twelve robots, and a route tree that does what an event's labels ask for."""

from __future__ import annotations

from collections.abc import Mapping

ROBOTS = tuple(f"r{n}" for n in range(1, 13))
TEMPLATE = """\
{% if digest %}digest|{{ event.id }}|{{ receiver }}|{{ digest.count }}|
{% else %}one|{{ event.id }}|{{ receiver }}|1|{{ data.n }}{% endif %}
"""


def plantfile(sink: int, door: int, limits: Mapping[str, int]) -> str:
    """The text of andon.yaml for these two ports."""
    listed = ", ".join(f"{name}: {value}" for name, value in limits.items())
    base = f'base_url: "http://127.0.0.1:{sink}", limit: 100000/s'
    channels = "\n".join(f"  {n}: {{kind: wecom_robot, keys: [env:CHAOS_{n}], {base}}}" for n in ROBOTS)
    receivers = "\n".join(f"  {n}: {{channel: {n}, template: probe, merge: none}}" for n in ROBOTS)
    also = "\n".join(f"    - {{matchers: ['also=\"{n}\"'], receiver: {n}, continue: true}}" for n in ROBOTS)
    to = "\n".join(f"    - {{matchers: ['to=\"{n}\"'], receiver: {n}}}" for n in ROBOTS)
    return (
        "version: 1\nkafka: {bootstrap: embedded}\n"
        f'listen: {{address: "127.0.0.1:{door}"}}\n'
        f"limits: {{{listed}}}\n"
        "sources:\n  chaos: {kind: http, token: env:CHAOS_TOKEN}\n"
        f"channels:\n{channels}\nreceivers:\n{receivers}\n"
        f"route:\n  receiver: r1\n  routes:\n{also}\n{to}\n"
    )
