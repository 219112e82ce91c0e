"""Copies that lost their end get it back from another, and nothing sound is ever taken away."""

import struct
from collections.abc import Sequence
from pathlib import Path

import pytest

from andon.broker import replicas
from andon.broker.layout import Layout


def batch(first: int, count: int = 1, epoch: int = 0, body: bytes = b"records") -> bytes:
    """A batch of Kafka's second format with a right checksum."""
    tail = struct.pack(">hiqqqhii", 0, count - 1, 1, 1, -1, -1, -1, count) + body
    return struct.pack(">qiibI", first, 9 + len(tail), epoch, 2, replicas.crc32c(tail)) + tail


WHOLE = [batch(0, 2), batch(2), batch(3, 3, epoch=4), batch(6, epoch=4)]


@pytest.fixture
def nodes(tmp_path: Path) -> list[Layout]:
    return [Layout(tmp_path / f"node-{n}") for n in (1, 2, 3)]


def log(node: Layout, content: bytes, segment: int = 0, partition: str = "andon.events-0") -> Path:
    folder = node.topics / partition
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{segment:020}.log"
    path.write_bytes(content)
    return path


def logs(nodes: Sequence[Layout], *contents: bytes) -> list[Path]:
    return [log(node, content) for node, content in zip(nodes, contents, strict=True)]


def test_the_checksum_is_that_of_the_rfc() -> None:
    assert replicas.crc32c(b"123456789") == 0xE3069283
    assert replicas.crc32c(bytes(32)) == 0x8A9136AA


WAYS = {
    "ends between two batches": b"".join(WHOLE[:2]),
    "ends inside of one": b"".join(WHOLE[:3])[:-5],
    "reads as zeros from some place on": b"".join(WHOLE[:2]) + bytes(len(WHOLE[2] + WHOLE[3])),
    "lost the beginning of its last page": b"".join(WHOLE[:3]) + WHOLE[3][:-5] + bytes(5),
    "reads as zeros from inside of one on": b"".join(WHOLE[:2])[:-5] + bytes(20_000),
    "has nothing left": b"",
    "has nothing but zeros": bytes(300),
    "is full of something else": b"".join(WHOLE[:1]) + b"\xff" * 500,
}


@pytest.mark.parametrize("lost", WAYS.values(), ids=WAYS)
def test_a_copy_that_lost_its_end_is_whole_again(nodes: list[Layout], lost: bytes) -> None:
    files = logs(nodes, lost, b"".join(WHOLE), b"".join(WHOLE[:3]))
    assert replicas.complete(nodes, nodes) == {"andon.events-0": 2}
    assert [file.read_bytes() for file in files] == [b"".join(WHOLE)] * 3
    assert replicas.complete(nodes, nodes) == {}, "there is nothing more to do"


@pytest.mark.parametrize("pad", [0, 100, 5_000])
def test_wherever_the_end_was_lost(nodes: list[Layout], pad: int) -> None:
    whole = b"".join(batch(n, body=b"r" * 40) for n in range(6))
    for cut in range(0, len(whole), 5):
        files = logs(nodes, whole[:cut] + bytes(pad), whole, whole)
        replicas.complete(nodes, nodes)
        assert files[0].read_bytes() == whole, f"cut at {cut}"


def test_a_page_inside_of_a_batch_that_was_never_written_is_a_lost_end(nodes: list[Layout]) -> None:
    large = batch(0, body=b"x" * 20_000)
    torn = large[:8_192] + bytes(4_096) + large[12_288:]
    files = logs(nodes, torn + WHOLE[1], large + batch(1), large)
    assert replicas.complete(nodes, nodes) == {"andon.events-0": 2}
    assert [file.read_bytes() for file in files] == [large + batch(1)] * 3


def test_what_comes_does_so_from_several_segments(nodes: list[Layout]) -> None:
    short = log(nodes[0], WHOLE[0])
    log(nodes[1], b"".join(WHOLE[:2]))
    log(nodes[1], b"".join(WHOLE[2:]), segment=3)
    log(nodes[1], b"", segment=7)
    assert replicas.complete(nodes, nodes) == {"andon.events-0": 1}
    assert short.read_bytes() == b"".join(WHOLE)


def test_a_copy_with_an_empty_last_segment_goes_on_in_it(nodes: list[Layout]) -> None:
    log(nodes[0], b"".join(WHOLE[:2]))
    last = log(nodes[0], b"", segment=3)
    log(nodes[1], b"".join(WHOLE))
    replicas.complete(nodes, nodes)
    assert last.read_bytes() == b"".join(WHOLE[2:])


@pytest.mark.parametrize("alone", [batch(3, 9), batch(3, 3)], ids=["for longer", "for shorter"])
def test_a_copy_that_went_on_alone_for_a_while_is_left_to_kafka(nodes: list[Layout], alone: bytes) -> None:
    """The later leader counts for more than the longer log; Kafka takes from it what nobody acknowledged."""
    other = b"".join([*WHOLE[:2], alone])
    files = logs(nodes, other, b"".join(WHOLE), b"".join(WHOLE))
    assert replicas.complete(nodes, nodes) == {}
    assert [file.read_bytes() for file in files] == [other, b"".join(WHOLE), b"".join(WHOLE)]


def test_a_broken_batch_is_not_passed_on(nodes: list[Layout]) -> None:
    broken = bytearray(b"".join(WHOLE))
    broken[-1] ^= 1
    files = logs(nodes, b"".join(WHOLE[:3]), bytes(broken), b"".join(WHOLE[:3]))
    assert replicas.complete(nodes, nodes) == {}
    assert files[0].read_bytes() == b"".join(WHOLE[:3])


def test_a_node_that_was_stopped_in_order_and_the_votes_are_left_alone(nodes: list[Layout]) -> None:
    files = logs(nodes, WHOLE[0], b"".join(WHOLE), WHOLE[0])
    votes = log(nodes[0], WHOLE[0], partition="__cluster_metadata-0")
    log(nodes[1], b"".join(WHOLE), partition="__cluster_metadata-0")
    assert replicas.complete(nodes, [nodes[0]]) == {"andon.events-0": 1}
    assert files[2].read_bytes() == votes.read_bytes() == WHOLE[0]


def test_a_partition_that_only_one_has_stays_as_it_is(nodes: list[Layout]) -> None:
    file = log(nodes[0], WHOLE[0], partition="new-11")
    (nodes[1].topics / "new-11").mkdir(parents=True)
    assert replicas.complete(nodes, nodes) == {}
    assert file.read_bytes() == WHOLE[0]


def test_a_partition_of_which_nobody_has_a_segment_is_passed_over(nodes: list[Layout]) -> None:
    for node in nodes:
        (node.topics / "andon.active-0").mkdir(parents=True)
    files = logs(nodes, WHOLE[0], b"".join(WHOLE[:2]), WHOLE[0])
    assert replicas.complete(nodes, nodes) == {"andon.events-0": 2}
    assert [file.read_bytes() for file in files] == [b"".join(WHOLE[:2])] * 3
