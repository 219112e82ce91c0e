"""The configuration of a plant: twelve usual robots and a few others, and a route tree that does what an event's labels
ask for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

ROBOTS = tuple(f"r{n}" for n in range(1, 13))
PARKING = ("r13", "r14", "r15")
"""Receivers that want no repeat of what may have arrived."""
LIMITED = ("r16", "r17")
"""Receivers whose robots take LIMIT calls in any PERIOD_S seconds."""
LIMIT, PERIOD_S = 10, 2
BLOCK_S = 20
"""For so long each robot is left alone once its vendor has said 45009. The usual minute would be most of a round."""
ALL_ROBOTS = ROBOTS + PARKING + LIMITED
CALLED, CORP = "/callbacks/app", "ww1"
"""Where messages to an application are called out, and whose it is."""
ROTATING = ("turn1", "turn2", "turn3", "turn4")
"""Clients whose tokens stand in files of their names beside the configuration."""
TEMPLATE = """\
{% if digest %}digest|{{ event.id }}|{{ receiver }}|{{ digest.count }}|
{% else %}one|{{ event.id }}|{{ receiver }}|1|{{ data.n }}{% endif %}
"""


def plantfile(sink: int, door: int, limits: Mapping[str, int], folder: Path) -> str:
    """The text of andon.yaml in this folder, for these two ports."""
    listed = ", ".join(f"{name}: {value}" for name, value in limits.items())
    channels = "\n".join(_channel(name, sink) for name in ALL_ROBOTS)
    receivers = "\n".join(_receiver(name) for name in ALL_ROBOTS)
    also = "\n".join(f"    - {{matchers: ['also=\"{n}\"'], receiver: {n}, continue: true}}" for n in ALL_ROBOTS)
    to = "\n".join(f"    - {{matchers: ['to=\"{n}\"'], receiver: {n}}}" for n in ALL_ROBOTS)
    turning = "".join(f"  {name}: {{kind: http, token: 'file:{folder / name}'}}\n" for name in ROTATING)
    return (
        "version: 1\nkafka: {bootstrap: embedded}\n"
        f'listen: {{address: "127.0.0.1:{door}"}}\n'
        f"limits: {{{listed}}}\n"
        f"sources:\n  chaos: {{kind: http, token: env:CHAOS_TOKEN}}\n{turning}"
        f"  app: {{kind: wecom_callback, token: env:CHAOS_CALL, aes_key: env:CHAOS_AES, receive_id: {CORP}}}\n"
        f"channels:\n{channels}\nreceivers:\n{receivers}\n"
        f"route:\n  receiver: r1\n  routes:\n{also}\n{to}\n"
    )


def _channel(name: str, sink: int) -> str:
    limit = f"{LIMIT}/{PERIOD_S}s" if name in LIMITED else "100000/s"
    base = f'base_url: "http://127.0.0.1:{sink}", limit: {limit}, block: {BLOCK_S}s'
    return f"  {name}: {{kind: wecom_robot, keys: [env:CHAOS_{name}], {base}}}"


def _receiver(name: str) -> str:
    ambiguous = ", on_ambiguous: park_unknown" if name in PARKING else ""
    return f"  {name}: {{channel: {name}, template: probe, merge: none{ambiguous}}}"
