"""The pinned list itself."""

from andon.broker.jars import Jar, kafka_version, parse, pinned


def test_a_jar_lies_where_maven_puts_it() -> None:
    (jar,) = parse("# a comment\n\nab12     41125 org.slf4j:slf4j-api:1.7.36\n")
    assert jar == Jar("org.slf4j", "slf4j-api", "1.7.36", "ab12", 41125)
    assert jar.path == "org/slf4j/slf4j-api/1.7.36/slf4j-api-1.7.36.jar"


def test_every_jar_is_pinned_by_a_whole_checksum() -> None:
    jars = pinned()
    assert all(len(jar.sha256) == 64 and int(jar.sha256, 16) and jar.size for jar in jars)
    assert len({jar.name for jar in jars}) == len(jars)


def test_one_kafka_and_one_way_to_log() -> None:
    assert kafka_version().startswith("4.")
    assert {jar.version for jar in pinned() if jar.group == "org.apache.kafka"} == {kafka_version()}
    bindings = {"slf4j-jdk14", "slf4j-simple", "slf4j-reload4j", "log4j-slf4j-impl"}
    assert [jar.artifact for jar in pinned() if jar.artifact in bindings] == ["slf4j-jdk14"]
