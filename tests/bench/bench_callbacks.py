"""Callbacks at the door, 1,000 a second for a minute, whatever it answers: valid, tampered, replayed and repeated ones.

What became of them is read from Kafka by a reader that shares no code with Andon.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import statistics
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.bench.calls import Sent, Stalls, sent_openly
from tests.bench.figures import report
from tests.bench.plant import Plant, kafka, robots
from tests.rig import vendor
from tests.rig.ports import free_port
from tests.rig.topics import EVENTS, Topics

RATE, SECONDS = 1_000, 60
KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
LATE_S = 1.0
SEED = 7
VALID, TAMPERED, REPLAYED, REPEATED = "valid", "tampered", "replayed", "repeated"
MIX = {VALID: 60, TAMPERED: 15, REPLAYED: 10, REPEATED: 15}
TAKEN, REFUSED = {200}, {401, 429}


def bench(seconds: int = int(os.environ.get("CALLBACKS_S", SECONDS))) -> None:
    os.environ |= {"BENCH_CALL_TOKEN": "bench", "BENCH_CALL_KEY": KEY}
    keys = "token: env:BENCH_CALL_TOKEN, aes_key: env:BENCH_CALL_KEY, receive_id: ww1"
    config = robots(1, free_port()).replace("sources: {", f"sources: {{app: {{kind: wecom_callback, {keys}}}, ")
    with tempfile.TemporaryDirectory(prefix="andon-bench-") as name, kafka(Path(name)) as link:
        door = free_port()
        plant = Plant(Path(name), link, config + "limits: {backlog: 100000000}\n")
        try:
            plant.prepare()
            plant.start("ingress", "--listen", f"127.0.0.1:{door}")
            plant.wait_ready()
            asyncio.run(sent_openly(door, _prepared(2_000, "warm"), RATE))
            calls = _prepared(RATE * seconds, "call")
            gc.freeze()
            gc.disable()
            before = _cpu_s(plant.processes["ingress"].pid)
            sent, stalls = asyncio.run(sent_openly(door, calls, RATE))
            took = _cpu_s(plant.processes["ingress"].pid) - before
            gc.enable()
            topics = Topics(link.bootstrap)
            assert topics.more(120), "Kafka does not let the reader get to the end"
            topics.close()
        finally:
            plant.stop()
    kept = Counter(value["id"] for one in topics.records[EVENTS] if (value := one.json()) is not None)
    report("callbacks_door_cpu", [took / len(sent) * 1_000], "ms/call")
    _judge(sent, stalls, Counter({name: n for name, n in kept.items() if name.startswith("call-")}))


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _prepared(count: int, prefix: str) -> list[tuple[str, str, bytes]]:
    """Kind, number and request, in the order in which they are sent: what repeats another comes a second or more later,
    where there is one that long ago."""
    rng = random.Random(SEED)
    wecom = vendor.Wecom("/callbacks/app", "bench", KEY, "ww1")
    kinds = rng.choices(list(MIX), list(MIX.values()), k=count)
    valid: list[tuple[int, str, bytes, vendor.Call]] = []
    made: list[tuple[str, str, bytes]] = []
    old = 0
    for at, kind in enumerate(kinds):
        while old < len(valid) and valid[old][0] < at - RATE:
            old += 1
        if kind in (REPLAYED, REPEATED) and not old:
            kind = VALID
        if kind == VALID:
            number = f"{prefix}-{at}"
            message = vendor.text(number, f"line {at % 50} stands still")
            call = wecom.call(message)
            valid.append((at, number, message, call))
            made.append((kind, number, call.request()))
        elif kind == TAMPERED:
            call = wecom.call(vendor.text(f"{prefix}-forged-{at}", "all is well"))
            where = call.body.index(b"CDATA[") + 6 + rng.randrange(64)
            other = b"B" if call.body[where : where + 1] == b"A" else b"A"
            body = call.body[:where] + other + call.body[where + 1 :]
            made.append((kind, f"{prefix}-forged-{at}", call._replace(body=body).request()))
        else:
            _, number, message, call = valid[rng.randrange(max(0, old - 10 * RATE), old)]
            again = call if kind == REPLAYED else wecom.call(message)
            made.append((kind, number, again.request()))
    return made


def _judge(sent: Sequence[Sent], stalls: Stalls, kept: Counter[str]) -> None:
    took = sorted(one.took_s for one in sent)
    wrong = [one for one in sent if one.status not in (REFUSED if one.kind == TAMPERED else TAKEN)]
    late = [one for one in sent if one.took_s > LATE_S]
    unexplained = [one for one in late if one.took_s - stalls.within(one) > LATE_S]
    valid = {one.number for one in sent if one.kind == VALID}
    taken = {one.number for one in sent if one.status in TAKEN}
    report("callbacks_sent_per_s", [len(sent) / (sent[-1].due - sent[0].due)], "1/s", ">= 990")
    for kind in MIX:
        report(f"callbacks_{kind}", [sum(1 for one in sent if one.kind == kind)], "calls")
    report("callbacks_p50_ms", [statistics.median(took) * 1_000], "ms")
    report("callbacks_p99_ms", [took[int(len(took) * 0.99)] * 1_000], "ms", "<= 200")
    report("callbacks_worst_ms", [took[-1] * 1_000], "ms")
    report("callbacks_above_1s", [len(late)], "calls")
    report(
        "callbacks_above_1s_unexplained",
        [len(unexplained)],
        "calls",
        "== 0",
    )
    report("callbacks_generator_stalls_s", [stalls.total_s], "s")
    report("callbacks_answered_wrongly", [len(wrong)], "calls", "== 0")
    report("callbacks_events", [len(kept)], "events", f"== {len(valid)}")
    report("callbacks_lost", [len(taken - kept.keys())], "events", "== 0")
    report("callbacks_twice", [sum(1 for n in kept.values() if n > 1)], "events", "== 0")
    report("callbacks_forged", [len(kept.keys() - valid)], "events", "== 0")
    report("load_average", [os.getloadavg()[0]], "")
