"""Faults of brokers: one of three is killed, cut off, slow or without disk, and the power of all goes."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from tests.chaos.round import Round
from tests.rig.client import Sent, wait_for
from tests.rig.clusterplant import ClusterPlant
from tests.rig.network import NODES
from tests.rig.plant import SERVICES
from tests.rig.timing import p99
from tests.rig.topics import ALL, EVENTS

ACCEPT_GAP_S = 15.0
DISK_RECOVERY_S = 120.0
ON_ITS_WAY_S = 1.0  # an answer that was decided before the fault may come this much later
LOSS, NARROW_KBIT = 10, 1_000
AGAIN_S = 90.0
DISK_MB = 256
AHEAD_S, AHEAD = 7_200, "ahead of this machine's; set both by the same time server"
QUIET_S = 600.0  # so long the door does not say it again
INTACT, PAGES = 0.2, 0.5  # shares of the files that lose nothing, and of those that lose pages and not their end


def f06_leader_killed(run: Round) -> None:
    """kill -9 of a node that leads partitions of `andon.events`, under load: another leads within seconds, the door
    says 503 until then, and what it said 202 to is there."""
    plant = _cluster(run)
    gaps: list[float] = []
    with plant.load(run.prefix, run.rng, rate=run.rate(60)) as load:
        for _ in run.turns(4):
            run.pause(1.0, 2.5)
            victim = _a_leader(run)
            at = plant.nodes_kill([victim])
            run.injured(at)
            accepted = wait_for(lambda at=at: _accepted_after(load.sent, at + ON_ITS_WAY_S), AGAIN_S)  # type: ignore[misc]
            gone = wait_for(lambda node=victim: node not in plant.leaders().values(), AGAIN_S, every_s=0.2)  # type: ignore[misc]
            run.expect(accepted and gone, f"nobody took over from node {victim}")
            gaps.append(_gap(load.sent, at))
            run.delivers_again(load.sent, at + ON_ITS_WAY_S)
            run.pause(1.0, 2.0)
            plant.node_up(victim)
            run.pause(0.5, 1.0)
            plant.whole()
    _revived(run, load.sent)
    run.verdict.figures |= {"accept_gap_s": max(gaps), "longest_wait_s": _longest(load.sent, run.injuries)}
    # A test may share its machine, and then has all the time it needs.
    late = [f"{gap:.1f} s" for gap in gaps if gap > ACCEPT_GAP_S]
    run.expect(not run.soak or not late, f"after the loss of a leader the door took nothing for {late}")


def f07_leader_cut_off(run: Round) -> None:
    """A node that leads is cut off from the other two while clients still reach it: it may say yes to nothing that the
    two who choose another leader do not have."""
    plant = _cluster(run)
    dropped: list[int] = []
    with plant.load(run.prefix, run.rng, rate=run.rate(60)) as load:
        for _ in run.turns(4):
            run.pause(1.0, 2.0)
            dropped.append(_cut_off_and_heal(run, plant, load.sent))
        run.pause(1.0, 2.0)
    run.expect(all(dropped), "void: nothing was kept from passing")
    longest = _longest(load.sent, run.injuries)
    run.expect(longest > ON_ITS_WAY_S, "void: nothing was sent to the node meanwhile")
    _revived(run, load.sent)
    run.verdict.figures |= {"dropped": sum(dropped), "longest_wait_s": longest}


def _cut_off_and_heal(run: Round, plant: ClusterPlant, sent: Sequence[Sent]) -> int:
    """How many packets, or nodes, were held back meanwhile."""
    victim = _a_leader(run)
    others = [node for node in NODES if node != victim]
    if plant.network:
        plant.network.isolate(victim, others)
    else:
        plant.nodes_freeze(others)
    run.injured(time.time())
    if plant.network:
        moved = wait_for(lambda: victim not in plant.leaders(ask=others[0]).values(), AGAIN_S, every_s=0.2)
        run.expect(moved, f"the other two chose no leader in the place of node {victim}")
    run.pause(2.0, 5.0)
    dropped = plant.network.dropped() if plant.network else len(others)
    healed = time.time()
    plant.thaw_nodes()
    if plant.network:
        plant.network.heal()
    wait_for(lambda: _accepted_after(sent, healed), AGAIN_S)
    run.delivers_again(sent, healed)
    plant.whole()
    return dropped


def f08_two_of_three_down(run: Round) -> None:
    """kill -9 of two nodes: one alone may take nothing, so the door says 503 to all until they are back."""
    plant = _cluster(run)
    down: list[tuple[float, float]] = []
    with plant.load(run.prefix, run.rng, rate=run.rate(60)) as load:
        for _ in run.turns(4):
            run.pause(1.0, 2.0)
            at = plant.nodes_kill(run.rng.sample(NODES, 2))
            run.pause(4.0, 8.0)
            down.append((at + ON_ITS_WAY_S, time.time()))
            plant.kafka_up()
            healed = time.time()
            run.injured(healed)
            again = wait_for(lambda healed=healed: _accepted_after(load.sent, healed), AGAIN_S)  # type: ignore[misc]
            run.expect(again, "the door takes nothing after two nodes came back")
            run.delivers_again(load.sent, healed)
            run.pause(0.5, 1.5)
            plant.whole()
    taken = [one.id for one in load.sent if one.accepted and any(since < one.accepted < end for since, end in down)]
    run.expect(not taken, f"one node of three, and the door said 202 to {taken[:3]}")
    refused = sum(1 for one in load.sent if 503 in one.told)
    run.expect(refused >= len(down), "void: nothing was refused while two nodes were down")
    _revived(run, load.sent)
    run.verdict.figures["refused"] = refused


def f10_lossy_link(run: Round) -> None:
    """Every tenth packet to a node is lost, and each has a megabit a second: slow, but nothing lost and nothing
    doubled."""
    plant = _cluster(run)
    assert plant.network is not None
    lossy: list[tuple[float, float]] = []
    dropped = []
    with plant.load(run.prefix, run.rng, rate=10) as load:
        for _ in run.turns(4):
            run.pause(1.0, 2.0)
            plant.network.lose(LOSS)
            plant.network.narrow(NARROW_KBIT)
            at = time.time()
            run.injured(at)
            run.pause(5.0, 10.0)
            dropped.append(plant.network.dropped())
            plant.network.heal()
            lossy.append((at, time.time()))
    run.expect(all(dropped), "void: no packet was lost")
    meanwhile = [
        one.accepted - one.began
        for one in load.sent
        if one.accepted and any(since <= one.began < healed for since, healed in lossy)
    ]
    run.expect(meanwhile, "nothing was accepted over the lossy link")
    _revived(run, load.sent)
    run.verdict.figures |= {"dropped": sum(dropped), "p99_s": p99(meanwhile), "accepted_meanwhile": len(meanwhile)}


def f11_disk_full(run: Round) -> None:
    """The disk that all nodes write to is full: 503 and not 202; they do not start on a full disk; with room again all
    is there. Needs a plant with a disk of its own."""
    plant = _cluster(run)
    run.recovery_bound_s = DISK_RECOVERY_S
    full: list[float] = []
    with plant.load(run.prefix, run.rng, rate=run.rate(40)) as load:
        for _ in run.turns(4):
            run.pause(1.0, 2.0)
            _full_and_free(run, plant, load.sent, full)
    run.expect(min(full) > 0.99, f"void: the disk was {min(full):.0%} full")
    refused = sum(1 for one in load.sent if 503 in one.told)
    _revived(run, load.sent)
    run.verdict.figures |= {"refused": refused, "whole_after_s": plant.whole()}


def _full_and_free(run: Round, plant: ClusterPlant, sent: Sequence[Sent], full: list[float]) -> None:
    plant.fill()
    full.append(plant.disk_used())
    ended = wait_for(lambda: len(plant.running()) < len(NODES), AGAIN_S)
    run.expect(ended, "void: no node noticed that its disk is full")
    run.pause(2.0, 4.0)
    said = plant.refusal()
    run.expect("% full and Kafka does not start" in said, f"on a full disk a start says {said!r}")
    freed = time.time()
    plant.free()
    # A node may only now be at its end; whoever keeps them running tries again.
    run.expect(wait_for(lambda: not plant.refusal(), DISK_RECOVERY_S, every_s=1.0), "the nodes do not start again")
    healed = time.time()
    run.injured(freed)
    run.expect(wait_for(lambda: _accepted_after(sent, healed), AGAIN_S), "the door takes nothing with room again")
    run.delivers_again(sent, healed)
    run.pause(0.5, 1.5)
    plant.whole()


def f29_power_cut(run: Round) -> None:
    """Everything is killed at once, and a node that leads has lost the end of its files as a disk does: what was not
    written yet, or pages of it. What two others acknowledged is there, and all starts again by itself."""
    plant = _cluster(run)
    with plant.load(run.prefix, run.rng, rate=run.rate(60)) as load:
        for _ in run.turns(4):
            run.pause(2.0, 3.0)
            _cut_and_start(run, plant, load.sent)
    _revived(run, load.sent)


def _cut_and_start(run: Round, plant: ClusterPlant, sent: Sequence[Sent]) -> None:
    leaders = plant.leaders()
    victim = run.rng.choice(sorted(set(leaders.values())))
    plant.nodes_kill()
    for name in SERVICES:
        plant.kill(name)
    cut = {topic: _cut(run, plant.segments(victim, topic)) for topic in ALL}
    plant.kafka_up()
    for name in SERVICES:
        plant.start(name)
    for name in SERVICES:
        plant.wait_ready(name)
    healed = time.time()
    run.injured(healed)
    run.expect(wait_for(lambda: _accepted_after(sent, healed), AGAIN_S), "the door takes nothing with power again")
    run.delivers_again(sent, healed)
    run.pause(0.5, 1.5)
    led = {partition for partition, leader in leaders.items() if leader == victim}
    run.expect(led & cut[EVENTS].keys(), f"void: of {EVENTS} nothing was lost that node {victim} led")
    figures = run.verdict.figures
    figures["cut_bytes"] = figures.get("cut_bytes", 0) + sum(sum(lost.values()) for lost in cut.values())
    run.expect(plant.whole() <= DISK_RECOVERY_S, "copies are missing after the power came back")


def clocks_apart(run: Round) -> None:
    """The clock of one broker is two hours ahead, and leaders move from it and back: the door says so in one sentence,
    and nothing is lost. In the end it is set right, while events come in."""
    plant = _cluster(run)
    began = time.time()
    plant.set_clock(1, AHEAD_S)
    with plant.load(run.prefix, run.rng, rate=run.rate(60)) as load:
        # It names a partition that the node leads: without it there was no fault either.
        said = wait_for(lambda: _said_lately(plant, began), AGAIN_S, every_s=0.2)
        run.expect(said, "the door did not say that the clocks differ")
        for turn in reversed(run.turns(4)):
            run.pause(2.0, 3.0)
            at = plant.nodes_kill([1])
            run.injured(at)
            moved = wait_for(lambda: 1 not in plant.leaders().values(), AGAIN_S, every_s=0.2)
            run.expect(moved, "nobody took over from the node whose clock is ahead")
            run.delivers_again(load.sent, at + ON_ITS_WAY_S)
            run.pause(1.0, 2.0)
            plant.set_clock(1, AHEAD_S if turn else 0)
            run.pause(0.5, 1.5)
    _revived(run, load.sent)


def _said_lately(plant: ClusterPlant, began: float) -> bool:
    """Whether the door has said that clocks differ, in this round or too short before it to say it again."""
    said = [json.loads(line)["ts"] for line in plant.log("ingress").splitlines() if AHEAD in line]
    return any(datetime.fromisoformat(one).timestamp() > began - QUIET_S for one in said)


def _cut(run: Round, segments: Sequence[Path]) -> dict[int, int]:
    """Takes the end of the files, and what their indexes say; the bytes that each partition lost."""
    lost: dict[int, int] = {}
    for segment in segments:
        size = segment.stat().st_size
        if size == 0 or run.rng.random() < INTACT:
            continue
        end = run.rng.randrange(size // 2, size)
        with segment.open("r+b") as file:
            file.truncate(end)
            if run.rng.random() < PAGES:
                file.truncate(size)  # as long as before, but what was not written reads as zeros
        segment.with_suffix(".index").write_bytes(b"")
        lost[int(segment.parent.name.rpartition("-")[2])] = size - end
    return lost


def _a_leader(run: Round) -> int:
    """A node that leads partitions of `andon.events`."""
    return run.rng.choice(sorted(set(_cluster(run).leaders().values())))


def _cluster(run: Round) -> ClusterPlant:
    assert isinstance(run.plant, ClusterPlant)
    return run.plant


def _revived(run: Round, sent: Sequence[Sent]) -> None:
    """Services whose session ended meanwhile are started again, as their supervisor does, and all is judged."""
    plant = run.plant
    restarted: list[str] = []

    def drained() -> bool:
        restarted.extend(plant.revive())
        return not plant.case(run.prefix, sent).open()

    wait_for(drained, 120, every_s=0.3)
    run.judge(sent, 30)
    run.verdict.figures["restarted"] = len(restarted)


def _accepted_after(sent: Sequence[Sent], at: float) -> bool:
    return any(one.accepted and one.accepted > at for one in sent)


def _gap(sent: Sequence[Sent], at: float) -> float:
    """Seconds from a fault until something is accepted that was not decided before it."""
    return (
        min((one.accepted for one in sent if one.accepted and one.accepted > at + ON_ITS_WAY_S), default=at + 999) - at
    )


def _longest(sent: Sequence[Sent], injuries: Sequence[float]) -> float:
    """The longest that a client waited for its 202 after a fault: after the last one that came while it waited."""
    return max((_waited(one, injuries) for one in sent), default=0.0)


def _waited(one: Sent, injuries: Sequence[float]) -> float:
    if not one.accepted:
        return 0.0
    hit = [at for at in injuries if at < one.accepted]
    return one.accepted - max(one.began, *hit[-1:]) if hit else 0.0
