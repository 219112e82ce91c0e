"""What a process takes from the file itself: how Kafka is reached, and nothing else of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from andon.config.document import Unreadable, parse, section
from andon.config.kafka import Kafka
from andon.config.mistakes import Invalid
from andon.config.reach import kafka_of

KAFKA = "kafka: {bootstrap: 'kafka:9093', partitions: 3}"


def found(folder: Path, text: str) -> Kafka:
    (folder / "andon.yaml").write_text(text, encoding="utf-8")
    assert kafka_of(folder) == kafka_of(folder / "andon.yaml")
    return kafka_of(folder)


@pytest.mark.parametrize(
    "text",
    [
        KAFKA,
        f"version: 1\nsite: &site {{zone: Asia/Shanghai}}\n{KAFKA}\nchannels: {{}}\n",
        f"{KAFKA}\nroute: what is wrong here is told by who publishes it\n",
        f"{KAFKA}\nroute: [not even YAML\n",
        "names: {it: &it kafka:9093}\nkafka: {bootstrap: *it, partitions: 3}\n",
    ],
)
def test_the_rest_of_the_file_does_not_matter(tmp_path: Path, text: str) -> None:
    assert found(tmp_path, text) == Kafka(bootstrap="kafka:9093", partitions=3)


@pytest.mark.parametrize("text", ["version: 1\n", "version: 1\nkafka:\nsite: {}\n"])
def test_without_the_section_it_is_the_embedded_node(tmp_path: Path, text: str) -> None:
    assert found(tmp_path, text) == Kafka()


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("kafka: {bootstrap: 'kafka:9093', partition: 3}\n", (1, 34), "`partitions`"),
        ("version: 1\nkafka: []\n", (2, 1), "a map"),
        ("version: 1\nkafka: {bootstrap: 'kafka:9093\n", (2, 20), "YAML"),
        ("", (1, 1), "empty"),
    ],
)
def test_a_mistake_in_it_is_told_with_its_place(tmp_path: Path, text: str, place: tuple[int, int], words: str) -> None:
    with pytest.raises(Invalid) as told:
        found(tmp_path, text)
    mistake = next(one for one in told.value.mistakes if words in one.text)
    assert (mistake.line, mistake.column) == place


def test_a_file_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="there is no such file"):
        kafka_of(tmp_path / "andon.yaml")


def test_a_section_is_what_the_whole_document_says() -> None:
    text = b"a: 1\nkafka: {x: [1, 00123, 'y', ~], y: {z: yes}}\nb: 2\n"
    assert section(text, "kafka") == parse(text).data["kafka"]
    assert section(b"- kafka\n", "kafka") is None


def test_what_stands_before_it_has_to_be_readable() -> None:
    with pytest.raises(Unreadable):
        section(b"a: [\nkafka: {}\n", "kafka")
