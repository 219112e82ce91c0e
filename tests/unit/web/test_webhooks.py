"""Signatures of Standard Webhooks against published vectors and the official library."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook as Official

from andon.dev.webhook_rules import Refusal, Verifier
from andon.web.webhooks import NoSecret, headers

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
# RFC 8032, section 7.1, test 1.
SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
NOW = 1_700_000_000

# The first is the expected value of the suites of the specification's own libraries.
VECTORS = [
    (
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        '{"test": 2432232314}',
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    ),
    (
        "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W",
        1674087231,
        (
            '{"type":"contact.created","timestamp":"2022-11-03T20:26:10.344522Z",'
            '"data":{"id":"1f81eb52-5198-4599-803e-771906343485"}}'
        ),
        "v1,ARw42xaAApl/nxRo+iPGYwSaMQaOwMo2eyH5JBRA+bQ=",
    ),
    ("evt_1", NOW, "", "v1,oBpYuMiV1A+3rHbB1OJfN4Z0ytu+rZe53/sHdi1qKjg="),
    ("evt_2", NOW, '{"消息":"报警"}', "v1,Ji+7c1ClP8fdHRCS1XNNq7epzu08yztdYEOOSSmLDl4="),
]


def whsk(raw: bytes) -> str:
    return "whsk_" + b64encode(raw).decode()


@pytest.mark.parametrize(("identity", "timestamp", "body", "signature"), VECTORS)
def test_vectors_of_v1(identity: str, timestamp: int, body: str, signature: str) -> None:
    assert headers([SECRET], identity, timestamp, body.encode()) == {
        "webhook-id": identity,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature,
    }


@pytest.mark.parametrize("key", [SEED, SEED + PUBLIC], ids=["seed", "pair"])
def test_vector_of_v1a(key: bytes) -> None:
    identity, timestamp, body, _ = VECTORS[0]
    found = headers([whsk(key)], identity, timestamp, body.encode())["webhook-signature"]
    assert found == "v1a,fldxM4gAKugP6nnt1hdz3sgGfZ6d99nzrMFnZOELIxbzEHoVmAb2ADpkJK7zgPePmPsle0zV9jSeGlHFG2NVAw=="


@given(
    st.binary(min_size=24, max_size=64),
    st.from_regex(r"[A-Za-z0-9_-]{1,40}", fullmatch=True),
    st.integers(1, 4_000_000_000),
    st.text(),
)
def test_official_library_signs_alike(key: bytes, identity: str, timestamp: int, text: str) -> None:
    text = text.encode(errors="replace").decode()
    secret = "whsec_" + b64encode(key).decode()
    theirs = Official(secret).sign(identity, datetime.fromtimestamp(timestamp, UTC), text)
    assert headers([secret], identity, timestamp, text.encode())["webhook-signature"] == theirs


@given(st.binary(min_size=32, max_size=32), st.binary())
def test_what_is_signed_is_verified_and_nothing_else_is(seed: bytes, body: bytes) -> None:
    public: Ed25519PublicKey = Ed25519PrivateKey.from_private_bytes(seed).public_key()
    verifier = Verifier([SECRET, "whpk_" + b64encode(public.public_bytes_raw()).decode()])
    for secret in (SECRET, whsk(seed)):
        signed = headers([secret], "evt_1", NOW, body)
        assert verifier.check(signed, body, NOW) == "evt_1"
        for name, value in (("webhook-id", "evt_2"), ("webhook-timestamp", str(NOW + 1))):
            with pytest.raises(Refusal):
                verifier.check({**signed, name: value}, body, NOW)
        with pytest.raises(Refusal):
            verifier.check(signed, body + b" ", NOW)


def test_every_secret_makes_a_signature_in_order() -> None:
    both = headers([SECRET, whsk(SEED)], "evt_1", NOW, b"x")["webhook-signature"].split(" ")
    assert both == [headers([one], "evt_1", NOW, b"x")["webhook-signature"] for one in (SECRET, whsk(SEED))]


def test_without_a_secret_there_is_no_signature() -> None:
    assert headers([], "evt_1", NOW, b"x") == {"webhook-id": "evt_1", "webhook-timestamp": str(NOW)}


@pytest.mark.parametrize(
    "secret",
    [
        "hunter2",
        "whsec_",
        "whsec_!!!",
        "whsec_" + b64encode(b"x" * 23).decode(),
        "whsec_" + b64encode(b"x" * 65).decode(),
        "whsk_" + b64encode(b"x" * 31).decode(),
        "whpk_" + b64encode(PUBLIC).decode(),
        "",
    ],
)
def test_what_is_no_secret_is_said_without_it(secret: str) -> None:
    with pytest.raises(NoSecret) as refused:
        headers([secret], "evt_1", NOW, b"x")
    assert not secret or secret not in str(refused.value).replace("whsec_", "", 2) or secret == "whsec_"


def test_identity_with_a_full_stop_is_refused() -> None:
    with pytest.raises(ValueError, match="full stop"):
        headers([SECRET], "evt.1", NOW, b"x")
