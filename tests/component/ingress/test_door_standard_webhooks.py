"""Webhooks signed by Standard Webhooks 1.0, over the door: published vectors, the official library, our own channel's
signatures, rotation, repeats, and what is not signed for us."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from standardwebhooks import Webhook as Official

from andon.cli.commands.check import checked
from andon.config.maps import Map
from andon.core.failure import Invalid, Retryable
from andon.core.ports import Context, Inbound
from andon.core.reason import Reason
from andon.ingress.mapping import EventMap
from andon.ingress.sources.standard_webhooks import StandardWebhooks
from andon.runtime.clock import SystemClock
from andon.testing.clock import ManualClock
from andon.web.webhooks import headers
from tests.component.ingress.stand import Stand, standing
from tests.unit.web.test_webhooks import PUBLIC, SECRET, SEED, VECTORS, whsk

OTHER = "whsec_" + b64encode(b"another-secret-of-32-bytes-------").decode()
WHPK = "whpk_" + b64encode(PUBLIC).decode()
PAYLOAD = {"type": "order.late", "timestamp": "2026-11-26T08:00:00Z", "data": {"order": "4711"}}
ANY = {"type": "any", "data": "{@}"}
Case = Callable[[Stand], Awaitable[None]]


def source(
    folder: Path, now: float | None = None, rules: dict[str, Any] | None = None, *secrets: str, **more: Any
) -> Any:
    """A source with these secrets, each in a file of its own; a line break makes two of one."""
    references = []
    for number, secret in enumerate(secrets or (SECRET,)):
        (folder / f"secret{number}").write_text(secret, encoding="utf-8")
        references.append(f"file:{folder / f'secret{number}'}")
    config = StandardWebhooks.Config.model_validate({"secrets": references} | more)
    clock = SystemClock() if now is None else ManualClock(now)
    compiled = EventMap(Map.model_validate(rules), "Asia/Shanghai") if rules else None
    return StandardWebhooks(config, Context("shop", folder, clock, None, map=compiled))  # type: ignore[arg-type]


def run(folder: Path, case: Case, rules: dict[str, Any] | None = None, *secrets: str) -> None:
    async def stood() -> None:
        async with standing(folder, callbacks={"shop": source(folder, None, rules, *secrets)}) as stand:
            await case(stand)

    asyncio.run(stood())


async def call(stand: Stand, body: bytes, signed: Mapping[str, str]) -> httpx2.Response:
    return await stand.client.post("/callbacks/shop", content=body, headers=dict(signed))


def signed_now(body: bytes, identity: str = "msg_1", *secrets: str, late: float = 0.0) -> Mapping[str, str]:
    return headers(secrets or (SECRET,), identity, int(SystemClock().now() - late), body)


def test_what_the_official_library_signs_is_one_event_however_often_it_comes(tmp_path: Path) -> None:
    body = json.dumps(PAYLOAD)

    async def case(stand: Stand) -> None:
        for late in (0, 5, 60):  # the timestamp is each attempt's, the id stays
            at = datetime.fromtimestamp(int(SystemClock().now()) - late, UTC)
            signature = Official(SECRET).sign("msg_late", at, body)
            signed = {
                "webhook-id": "msg_late",
                "webhook-timestamp": str(int(at.timestamp())),
                "webhook-signature": signature,
            }
            answer = await call(stand, body.encode(), signed)
            assert (answer.status_code, answer.content) == (200, b"")
        (event,) = stand.log.events
        assert (event.id, event.source, event.type, event.subject) == ("msg_late", "shop", "order.late", "shop")
        assert event.data == {"order": "4711"}
        assert event.time.isoformat() == "2026-11-26T08:00:00+00:00"
        assert stand.counts.taken == {"shop": 1}

    run(tmp_path, case)


@pytest.mark.parametrize(("identity", "timestamp", "body", "signature"), VECTORS)
def test_vectors(tmp_path: Path, identity: str, timestamp: int, body: str, signature: str) -> None:
    inbound = Inbound(
        "shop",
        {"webhook-id": identity, "webhook-timestamp": str(timestamp), "webhook-signature": signature},
        body.encode(),
    )
    one = source(tmp_path, timestamp + 200.0, {**ANY, "body": "json" if body else "form"})
    (event,) = one.parse(inbound)
    assert event.id == identity


def test_vector_of_v1a(tmp_path: Path) -> None:
    identity, timestamp, body, _ = VECTORS[0]
    signature = "v1a,fldxM4gAKugP6nnt1hdz3sgGfZ6d99nzrMFnZOELIxbzEHoVmAb2ADpkJK7zgPePmPsle0zV9jSeGlHFG2NVAw=="
    given = {"webhook-id": identity, "webhook-timestamp": str(timestamp), "webhook-signature": signature}
    one = source(tmp_path, float(timestamp), ANY, WHPK)
    (event,) = one.parse(Inbound("shop", given, body.encode()))
    assert event.id == identity
    with pytest.raises(Invalid):
        one.parse(Inbound("shop", {**given, "webhook-signature": signature.replace("v1a,", "v1,")}, body.encode()))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from([SECRET, OTHER, whsk(SEED)]), min_size=1, max_size=4),
    st.lists(st.sampled_from([SECRET, OTHER, WHPK]), min_size=1, max_size=3, unique=True),
)
def test_one_common_secret_is_enough(tmp_path_factory: pytest.TempPathFactory, by: list[str], ours: list[str]) -> None:
    body = json.dumps(PAYLOAD).encode()
    one = source(tmp_path_factory.mktemp("keys"), 1_700_000_000.0, None, *ours)
    inbound = Inbound("shop", headers(by, "msg_1", 1_700_000_000, body), body)
    public = {SECRET: SECRET, OTHER: OTHER, whsk(SEED): WHPK}
    if {public[secret] for secret in by} & set(ours):
        assert [event.id for event in one.parse(inbound)] == ["msg_1"]
    else:
        with pytest.raises(Invalid) as refused:
            one.parse(inbound)
        assert refused.value.reason is Reason.UNAUTHORISED


def test_two_lines_of_a_file_are_both_good(tmp_path: Path) -> None:
    body = json.dumps(PAYLOAD).encode()
    one = source(tmp_path, 1_700_000_000.0, None, f"{OTHER}\n{SECRET}")
    for number, secret in enumerate((SECRET, OTHER)):
        (event,) = one.parse(Inbound("shop", headers([secret], f"msg_{number}", 1_700_000_000, body), body))
        assert event.id == f"msg_{number}"


def signature_of(body: bytes, **other: str) -> dict[str, str]:
    signed = dict(headers([SECRET], "msg_1", 1_700_000_000, body))
    return {**signed, **{f"webhook-{name}": value for name, value in other.items()}}


GOOD = json.dumps(PAYLOAD).encode()
FORGED: dict[str, dict[str, str]] = {
    "nothing": {},
    "no id": {"id": ""},
    "no timestamp": {"timestamp": ""},
    "no signature": {"signature": ""},
    "other id": {"id": "msg_2"},
    "other timestamp": {"timestamp": "1700000001"},
    "spaces": {"timestamp": " 1700000000 "},
    "fraction": {"timestamp": "1700000000.0"},
    "other digits": {"timestamp": "１７００００００００"},
    "endless": {"timestamp": "9" * 5_000},
    "no version": {"signature": "garbage"},
    "no base64": {"signature": "v1,!!!"},
    "cut": {"signature": signature_of(GOOD)["webhook-signature"][:-2]},
    "three parts": {"signature": "v1,a,b"},
    "other version": {"signature": signature_of(GOOD)["webhook-signature"].replace("v1,", "v2,")},
    "surrogates": {"id": "\ud800", "timestamp": "\ud800", "signature": "v1,\ud800"},
    "too many before it": {"signature": "v1,AAAA " * 16 + signature_of(GOOD)["webhook-signature"]},
}


@pytest.mark.parametrize("other", FORGED.values(), ids=FORGED.keys())
def test_what_is_forged_is_unauthorised_and_nothing_of_it_read(tmp_path: Path, other: dict[str, str]) -> None:
    one = source(tmp_path, 1_700_000_000.0)
    given = signature_of(GOOD, **other) if other else {}
    for body in (GOOD, b"{", b"\xff"):
        with pytest.raises(Invalid) as refused:
            one.parse(Inbound("shop", given, body))
        assert refused.value.reason is Reason.UNAUTHORISED
        assert SECRET not in str(refused.value)
    assert one.parse(Inbound("shop", signature_of(GOOD), GOOD))


def test_signed_parts_do_not_shift(tmp_path: Path) -> None:
    """`a.1` at `2` is signed by the same bytes as `a` at `1` with a body that begins with `2.`."""
    one = source(tmp_path, 1_700_000_000.0, {**ANY, "body": "form"})
    signature = headers([SECRET], "msg", 1_700_000_000, b"1700000000.x=1")["webhook-signature"]
    shifted = {"webhook-id": "msg.1700000000", "webhook-timestamp": "1700000000", "webhook-signature": signature}
    with pytest.raises(Invalid):
        one.parse(Inbound("shop", shifted, b"x=1"))
    assert one.parse(Inbound("shop", {**shifted, "webhook-id": "msg"}, b"1700000000.x=1"))


@pytest.mark.parametrize(("off", "taken"), [(-301, False), (-299, True), (299, True), (301, False)])
def test_the_window(tmp_path: Path, off: int, taken: bool) -> None:
    one = source(tmp_path, 1_700_000_000.0 + off)
    if taken:
        assert one.parse(Inbound("shop", signature_of(GOOD), GOOD))
        return
    with pytest.raises(Invalid, match="not signed within 300 s"):
        one.parse(Inbound("shop", signature_of(GOOD), GOOD))


@pytest.mark.parametrize("secret", ["hunter2", "whsec_!!", "whsec_AAAA", "whpk_AAAA", whsk(SEED)])
def test_a_secret_that_is_none_costs_503_and_is_not_shown(tmp_path: Path, secret: str) -> None:
    one = source(tmp_path, 1_700_000_000.0, None, secret)
    with pytest.raises(Retryable) as refused:
        one.parse(Inbound("shop", signature_of(GOOD), GOOD))
    assert secret not in str(refused.value)


def test_a_map_makes_the_events_under_the_webhooks_id(tmp_path: Path) -> None:
    rules = {"each": "items", "when": "late", "type": "shop.{kind}", "subject": "{$.shop}"}

    async def case(stand: Stand) -> None:
        items = [{"kind": "a", "late": True}, {"kind": "b", "late": False}, {"kind": "c", "late": True}]
        body = json.dumps({"shop": "S1", "items": items}).encode()
        for _ in range(2):
            assert (await call(stand, body, signed_now(body))).status_code == 200
        assert [(event.id, event.type, event.subject) for event in stand.log.events] == [
            ("msg_1/1", "shop.a", "S1"),
            ("msg_1/3", "shop.c", "S1"),
        ]
        assert stand.counts.left == {"shop": 2}
        bad = json.dumps({"shop": "S1", "items": [{"kind": "d", "late": True}, {"late": True}]}).encode()
        answer = await call(stand, bad, signed_now(bad, "msg_2"))
        assert (answer.status_code, answer.json()["detail"]) == (
            400,
            "event 2: `type` needs `kind`, and there is nothing",
        )
        assert len(stand.log.events) == 2, "all of them or none"

    run(tmp_path, case, rules)


def test_over_the_door_what_is_not_ours_or_not_in_the_log_is_not_answered_by_200(tmp_path: Path) -> None:
    async def case(stand: Stand) -> None:
        assert (await call(stand, GOOD, {})).status_code == 401
        assert (await call(stand, GOOD + b" ", signed_now(GOOD))).status_code == 401
        assert (await call(stand, GOOD, signed_now(GOOD, late=1_000))).status_code == 401
        assert (await stand.client.get("/callbacks/shop")).status_code == 400
        assert (await call(stand, b"{}", signed_now(b"{}"))).json()["field"] == "type"
        stand.log.answers = [Retryable(Reason.UNAVAILABLE, "no broker")]
        assert (await call(stand, GOOD, signed_now(GOOD))).status_code == 503
        assert (await call(stand, GOOD, signed_now(GOOD))).status_code == 200
        assert len(stand.log.events) == 1

    run(tmp_path, case)


def test_a_cloud_event_of_our_own_channel_is_one_here(tmp_path: Path) -> None:
    body = json.dumps(
        {"specversion": "1.0", "id": "e-1", "source": "other", "type": "t", "subject": "M7", "data": {"n": 1}}
    ).encode()
    one = source(tmp_path, 1_700_000_000.0)
    (event,) = one.parse(Inbound("shop", headers([SECRET], "msg_9", 1_700_000_000, body), body))
    assert (event.id, event.source, event.type, event.subject, event.data) == ("msg_9", "shop", "t", "M7", {"n": 1})


def test_another_key_than_a_seed_is_not_ours(tmp_path: Path) -> None:
    stranger = "whsk_" + b64encode(Ed25519PrivateKey.generate().private_bytes_raw()).decode()
    one = source(tmp_path, 1_700_000_000.0, None, WHPK)
    with pytest.raises(Invalid):
        one.parse(Inbound("shop", headers([stranger], "msg_1", 1_700_000_000, GOOD), GOOD))
    assert one.parse(Inbound("shop", headers([whsk(SEED)], "msg_1", 1_700_000_000, GOOD), GOOD))


def test_its_map_says_no_id(tmp_path: Path) -> None:
    (tmp_path / "andon.yaml").write_text(
        "version: 1\nchannels: {robot: {kind: wecom_robot, keys: [env:R]}}\nreceivers: {it: {channel: robot}}\n"
        "route: {receiver: it}\n"
        "sources: {shop: {kind: standard_webhooks, secrets: [env:S], map: {type: x, id: '{y}'}}}\n"
    )
    (mistake,) = checked(tmp_path).mistakes
    assert mistake.text == "what a source of kind `standard_webhooks` is sent has an id already; leave this out"
