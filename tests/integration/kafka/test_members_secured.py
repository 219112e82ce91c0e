"""The members of a group on a cluster that wants TLS and an account, asked by our own requests and the client's."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import cast
from uuid import uuid4

import msgspec
import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclBindingFilter, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType
from confluent_kafka.admin._scram import ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion

from andon import broker
from andon.broker import properties
from andon.core.failure import Retryable
from andon.core.ports import Call, Context, Wire
from andon.core.reason import Reason
from andon.egress.channels.kafka import KafkaTopic
from andon.kafka.connection import Connection
from andon.kafka.consumer import GroupConsumer
from andon.kafka.errors import KafkaFailure, NoEntry, Unreachable
from andon.kafka.members import Members
from andon.kafka.topics import group_of
from andon.testing.builders import event
from andon.testing.clock import ManualClock
from tests.rig.client import wait_for
from tests.rig.kafka import Kafka
from tests.rig.ports import free_port

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.skipif(not shutil.which("openssl"), reason="needs the openssl program to make a certificate"),
]

USER, PASSWORD = "andon,=", "a-password-of-this-test"
LOGIN = "org.apache.kafka.common.security"
SETTINGS = """
listener.name.secure.ssl.keystore.type=PEM
listener.name.secure.ssl.keystore.location={pem}
listener.name.secure.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.secure.plain.sasl.jaas.config={login}.plain.PlainLoginModule required "user_{user}"="{password}";
listener.name.secure.scram-sha-256.sasl.jaas.config={login}.scram.ScramLoginModule required;
listener.name.secure.scram-sha-512.sasl.jaas.config={login}.scram.ScramLoginModule required;
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
allow.everyone.if.no.acl.found=true
"""


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Kafka, Connection]]:
    """A node with a listener more, and the connection to that; without an account in it."""
    home, port = tmp_path_factory.mktemp("secured"), free_port()
    cert, key, pem = home / "cert.pem", home / "key.pem", home / "both.pem"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-out", str(cert), "-keyout", str(key)]
    subprocess.run([*command, *subject], check=True, capture_output=True)
    pem.write_text(key.read_text() + cert.read_text())
    plain = properties.server_properties

    def with_listener(*args: object, **more: object) -> str:
        lines = []
        for line in plain(*args, **more).splitlines():  # type: ignore[arg-type]
            name, _, value = line.partition("=")
            if name in ("listeners", "advertised.listeners"):
                value += f",SECURE://127.0.0.1:{port}"
            elif name == "listener.security.protocol.map":
                value += ",SECURE:SASL_SSL"
            lines.append(f"{name}={value}")
        settings = SETTINGS.format(pem=pem, login=LOGIN, user=USER, password=PASSWORD)
        return "\n".join(lines) + settings

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(properties, "server_properties", with_listener)
        running = broker.start(home / "kafka", port=free_port(), tie_to_parent=True)
    kafka = Kafka(running.bootstrap, home / "kafka", running.pid)
    try:
        admin = AdminClient({"bootstrap.servers": running.bootstrap, "log_level": 0})
        for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
            upsert = UserScramCredentialUpsertion(USER, ScramCredentialInfo(mechanism, 4_096), PASSWORD.encode())
            for future in admin.alter_user_scram_credentials([upsert]).values():
                future.result(30)
        security = {"security.protocol": "SASL_SSL", "ssl.ca.location": str(cert)}
        yield kafka, Connection(f"127.0.0.1:{port}", security)
    finally:
        kafka.close()
        broker.stop(home / "kafka")
        kafka._keeper.shutdown()
        shutil.rmtree(home)


def account(link: Connection, mechanism: str, password: str = PASSWORD) -> Connection:
    words = {"sasl.mechanism": mechanism, "sasl.username": USER, "sasl.password": password}
    return msgspec.structs.replace(link, security=link.security | words)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_a_member_is_found_and_taken_out(secured: tuple[Kafka, Connection], mechanism: str) -> None:
    kafka, link = secured
    link = account(link, mechanism)
    topic = kafka.topic("in", 2)
    service = kafka.service(topic)
    consumer = GroupConsumer(link, service, topic, 3)
    try:
        assert wait_for(lambda: bool(consumer.poll(1, 0.2) or consumer.assigned), 30)
    finally:
        consumer.close()
    members = Members(link)
    assert [(one.instance, one.partitions) for one in members.of(service)] == [(f"{service}-3", (0, 1))]
    assert members.remove(service, [3]) == [3]
    assert members.of(service) == []


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
def test_a_wrong_password_is_one_sentence_without_it(secured: tuple[Kafka, Connection], mechanism: str) -> None:
    wrong = account(secured[1], mechanism, "wrong-password")
    with pytest.raises(KafkaFailure, match=r"refuses the account \(kafka.sasl\)") as failure:
        Members(wrong).of("egress")
    chain = [failure.value, failure.value.__cause__, failure.value.__context__]
    assert not any("wrong-password" in repr(one) for one in chain)


def test_a_topic_of_others_is_left_when_they_refuse_the_account_and_read_when_they_take_it(
    secured: tuple[Kafka, Connection],
) -> None:
    kafka, link = secured
    topic = kafka.topic("in", 1)
    service = kafka.service(topic)
    right, wrong = (account(link, "SCRAM-SHA-512", word) for word in (PASSWORD, "wrong-password"))

    def entered(own: Connection) -> bool:
        consumer = GroupConsumer(msgspec.structs.replace(own, foreign=True), service, topic, 0)
        try:
            return wait_for(lambda: bool(consumer.poll(1, 0.2) or consumer.assigned), 30)
        finally:
            consumer.close()

    for _ in range(2):
        with pytest.raises(NoEntry, match="refuses the account") as refused:
            entered(wrong)
        assert "wrong-password" not in str(refused.value)
        assert entered(right)


@pytest.mark.parametrize("resource", [ResourceType.TOPIC, ResourceType.GROUP])
def test_a_topic_of_others_is_left_when_they_take_away_the_right_and_read_when_they_give_it_back(
    secured: tuple[Kafka, Connection], resource: ResourceType
) -> None:
    kafka, link = secured
    topic = kafka.topic("in", 1)
    service = kafka.service(topic)
    own = msgspec.structs.replace(account(link, "SCRAM-SHA-512"), foreign=True)
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap, "log_level": 0})
    name = topic if resource is ResourceType.TOPIC else group_of(service)
    rule = (resource, name, ResourcePatternType.LITERAL, f"User:{USER}", "*", AclOperation.READ, AclPermissionType.DENY)

    def read(consumer: GroupConsumer) -> bool:
        kafka.write(topic, [b"one"])
        return wait_for(lambda: bool(consumer.poll(1, 0.2)), 30)

    consumer = GroupConsumer(own, service, topic, 0)
    try:
        assert read(consumer)
        for future in admin.create_acls([AclBinding(*rule)]).values():
            future.result(30)
        with pytest.raises(NoEntry, match=f"does not let the account read {topic} as {group_of(service)}"):
            wait_for(lambda: bool(consumer.poll(1, 0.2)) and False, 30)
    finally:
        consumer.close()
        for deleted in admin.delete_acls([AclBindingFilter(*rule)]).values():
            deleted.result(30)
    consumer = GroupConsumer(own, service, topic, 0)
    try:
        assert read(consumer)
    finally:
        consumer.close()


def test_a_channel_takes_up_a_rotated_password_and_a_certificate_that_is_replaced(
    secured: tuple[Kafka, Connection], tmp_path: Path
) -> None:
    kafka, link = secured
    topic = kafka.topic("out", 1)
    password, ca = tmp_path / "password", tmp_path / "ca.pem"
    (tmp_path / "user").write_text(USER)
    sasl = {"mechanism": "SCRAM-SHA-512", "user": f"file:{tmp_path / 'user'}", "password": f"file:{password}"}
    options = {"topic": topic, "bootstrap": link.bootstrap, "sasl": sasl, "tls": {"ca": f"file:{ca}"}}
    password.write_text("wrong-password")
    ours = Path(link.security["ssl.ca.location"]).read_text()
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "/dev/null", "-subj", "/CN=other"]
    subprocess.run([*command, "-out", str(ca)], check=True, capture_output=True)

    async def main() -> None:
        clock = ManualClock()
        one = KafkaTopic(KafkaTopic.Config.model_validate(options), Context("out", Path(), clock, cast("Wire", None)))
        call = Call(uuid4(), "out", ("out",), one.content(event()))
        for refused, file, right in (
            ("refuses the connection (tls)", ca, ours),
            ("refuses the account (sasl)", password, PASSWORD),
        ):
            with pytest.raises(Retryable) as failure:
                await one.send(call)
            assert (failure.value.reason, failure.value.ambiguous) == (Reason.NOT_SENT, False)
            assert refused in failure.value.detail
            file.write_text(right)
            clock.advance(5)
        await one.send(call)
        await one.close()

    asyncio.run(main())
    assert len(kafka.read(topic)) == 1


def test_a_certificate_of_nobody_we_know_is_refused(secured: tuple[Kafka, Connection]) -> None:
    link = account(secured[1], "PLAIN")
    stranger = msgspec.structs.replace(
        link, security={name: value for name, value in link.security.items() if name != "ssl.ca.location"}
    )
    with pytest.raises(Unreachable, match="cannot be reached"):
        Members(stranger, within_s=0.1).of("egress")
