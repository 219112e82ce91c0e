"""The keys of an identity provider: read, kept, rotated, and what becomes of them while it is away or lies."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from andon.ingress.tokens.compact import Untrusted
from andon.ingress.tokens.keys import MOST_KEYS, published_keys
from andon.ingress.tokens.provider import DISCOVERY, KeysUnknown
from tests.rig.oidc import Key, Provider
from tests.unit.ingress.tokens import CLIENT, Stand, run

DAY = 86_400.0


@pytest.mark.parametrize("alg", ["RS256", "PS256", "ES256", "EdDSA"])
@pytest.mark.parametrize("typ", ["at+jwt", "application/at+jwt", "JWT", None])
def test_an_access_token_opens_the_door_for_its_client(alg: str, typ: str | None, tmp_path: Path) -> None:
    async def shown() -> None:
        stand = Stand(tmp_path, Provider(alg))
        token = stand.standin.token(CLIENT, header={"typ": typ})
        assert await stand.shows(token) == "mes"
        assert stand.known(token) == "mes"

    run(shown())


@pytest.mark.parametrize(
    ("settings", "header", "claims"),
    [
        ({"algorithms": ["ES512"]}, {}, {}),
        ({"typ": "at+jwt"}, {}, {"nbf": None, "jti": None, "sub": None}),
        ({"claim": "appid"}, {"kid": None}, {"appid": CLIENT, "client_id": None, "azp": None}),
        ({}, {"kid": None}, {"client_id": None, "aud": ["account", "andon"], "iat": 1_699_999_000.5}),
        ({"leeway": "10s"}, {}, {"nbf": 1_700_000_010, "iat": 1_700_000_010, "exp": 1_699_999_991}),
        ({"max_age": "5m"}, {}, {"exp": 1_700_000_300}),
    ],
)
def test_what_else_is_a_good_token(
    settings: dict[str, Any], header: dict[str, Any], claims: dict[str, Any], tmp_path: Path
) -> None:
    async def shown() -> None:
        stand = Stand(tmp_path, Provider(settings.get("algorithms", ["RS256"])[0]), **settings)
        assert await stand.shows(stand.standin.token(CLIENT, header=header, **claims)) == "mes"

    run(shown())


def test_the_type_may_be_pinned(tmp_path: Path) -> None:
    async def shown() -> None:
        stand = Stand(tmp_path, typ="at+jwt")
        for typ in ("JWT", None):
            with pytest.raises(Untrusted, match="not the type of an access token"):
                await stand.shows(stand.standin.token(CLIENT, header={"typ": typ}))

    run(shown())


def test_a_known_token_ends_in_the_second_it_says(tmp_path: Path) -> None:
    async def shown() -> None:
        stand = Stand(tmp_path, leeway="10s")
        token = stand.standin.token(CLIENT)  # for 300 s
        assert await stand.shows(token) == "mes"
        stand.clock.advance(309)
        assert stand.known(token) == "mes"
        stand.clock.advance(1)
        assert stand.known(token) is None
        with pytest.raises(Untrusted, match="it has expired 10 s ago"):
            await stand.shows(token)

    run(shown())


def test_as_many_tokens_are_remembered_as_there_is_room_for(tmp_path: Path) -> None:
    async def shown() -> None:
        stand = Stand(tmp_path, Provider("EdDSA"))
        stand.clients._passes._most = 50
        first, second = (stand.standin.token(CLIENT) for _ in range(2))
        assert [await stand.shows(token) for token in (first, second)] == ["mes", "mes"]
        for _ in range(49):
            assert stand.known(first) == "mes"  # in use, so it stays
            await stand.shows(stand.standin.token(CLIENT))
        assert (stand.known(first), stand.known(second)) == ("mes", None)
        assert await stand.shows(second) == "mes"

    run(shown())


def test_a_new_key_is_read_when_a_token_names_it_and_once_for_all_who_wait(tmp_path: Path) -> None:
    async def shown() -> None:
        stand = Stand(tmp_path)
        old = stand.standin.token(CLIENT)
        await stand.shows(old)
        stand.clock.advance(10)
        stand.standin.rotate()
        new = [stand.standin.token(CLIENT) for _ in range(20)]
        assert await asyncio.gather(*map(stand.shows, new)) == ["mes"] * 20
        assert stand.standin.asked == {DISCOVERY: 2, "/keys": 2}
        assert stand.known(old) is None, "the keys are others, so it is looked at again"
        assert await stand.shows(old) == "mes"
        stand.standin.rotate(keep=False)
        stand.clock.advance(10)
        assert await stand.shows(stand.standin.token(CLIENT)) == "mes"
        stand.clock.advance(10)
        with pytest.raises(Untrusted, match="its key `key-0` is not among the issuer's"):
            await stand.shows(old)

    run(shown())


def test_invented_keys_are_no_requests(tmp_path: Path) -> None:
    async def shown() -> None:
        stand = Stand(tmp_path, Provider("EdDSA"))
        for second in range(60):
            for number in range(5):
                with pytest.raises(Untrusted, match="is not among the issuer's"):
                    await stand.shows(stand.standin.token(CLIENT, header={"kid": f"{second}-{number}"}))
            stand.clock.advance(1)
        assert stand.standin.asked["/keys"] == 6, "once in ten seconds"
        assert await stand.shows(stand.standin.token(CLIENT)) == "mes"

    run(shown())


def test_keys_are_read_again_when_they_have_lived_as_long_as_the_provider_says(tmp_path: Path) -> None:
    async def shown() -> None:
        stand = Stand(tmp_path, refresh="10m")
        stand.standin.headers = {"Cache-Control": "public, max-age=120"}

        async def after(seconds: float) -> int:
            stand.clock.advance(seconds)
            for _ in range(10):
                await asyncio.sleep(0)
            return stand.standin.asked["/keys"]

        stand.provider.start()
        assert await after(0) == 1
        assert await after(119) == 1
        stand.standin.headers = {"Cache-Control": "max-age=1"}
        assert await after(1) == 2
        assert await after(59) == 2, "never more than once a minute"
        stand.standin.headers = {}
        assert await after(1) == 3
        assert await after(599) == 3
        stand.standin.down = True
        assert await after(1) == 3
        assert stand.standin.asked[DISCOVERY] == 4
        assert (await after(15), stand.standin.asked[DISCOVERY]) == (3, 5)
        stand.standin.down = False
        assert await after(15) == 4
        await stand.provider.close()
        assert await after(DAY) == 4
        assert stand.wire.closed

    run(shown())


def test_while_the_provider_is_away_its_last_keys_count_and_not_for_ever(tmp_path: Path) -> None:
    async def shown() -> None:
        stand = Stand(tmp_path, stale="1h", refresh="10m", max_age="7d")
        lasting = stand.standin.token(CLIENT, exp=stand.clock.now() + 7 * DAY)
        assert await stand.shows(lasting) == "mes"
        stand.standin.down = True
        stand.standin.rotate()
        stand.clock.advance(4_200)
        assert stand.known(lasting) == "mes"
        assert await stand.shows(stand.standin.token(CLIENT, key=Key.made("RS256"), header={"kid": "key-0"})) == "mes"
        with pytest.raises(KeysUnknown, match="cannot be asked now"):
            await stand.shows(stand.standin.token(CLIENT))
        stand.clock.advance(6)
        assert stand.known(lasting) is None
        with pytest.raises(KeysUnknown):
            await stand.shows(lasting)
        stand.standin.down = False
        stand.clock.advance(10)
        assert await stand.shows(lasting) == "mes"

    run(shown())


def test_a_provider_that_never_answered_is_said_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def shown() -> None:
        stand = Stand(tmp_path)
        stand.wire.gone = True
        with pytest.raises(KeysUnknown) as caught:
            await stand.shows(stand.standin.token(CLIENT))
        assert caught.value.after == 10
        assert stand.known("beta") == "erp", "fixed tokens need no provider"

    caplog.set_level(logging.WARNING)
    run(shown())
    assert caplog.messages == ["the keys of the issuer plant could not be read: not_sent: no connection"]


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ({"claimed": "http://127.0.0.1:0/realms/plan"}, "that of another issuer"),
        ({"claimed": "http://127.0.0.1:0/realms/plant/"}, "that of another issuer"),
        ({"discovery": {"jwks_uri": "http://keys.example/"}}, "sends us to plain HTTP"),
        ({"discovery": {"jwks_uri": "ftp://127.0.0.1/"}}, "an address begins with https://"),
        ({"discovery": {"jwks_uri": None}}, "its discovery document is none"),
        ({"discovery": {"issuer": 7}}, "its discovery document is none"),
        ({"jwks": []}, "no key set"),
        ({"jwks": {"keys": {}}}, "no key set"),
        ({"jwks": b"<html>"}, "no key set"),
        ({"jwks": b"[" * 5_000}, "no key set"),
        ({"jwks": {"keys": [{}] * (MOST_KEYS + 1)}}, "no key set of at most 100"),
    ],
)
def test_a_provider_that_lies_or_rambles_changes_no_key(
    what: dict[str, Any], why: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def shown() -> None:
        stand = Stand(tmp_path)
        await stand.shows(stand.standin.token(CLIENT))
        for name, value in what.items():
            setattr(stand.standin, name, value)
        stand.clock.advance(10)
        with pytest.raises(KeysUnknown):
            await stand.shows(stand.standin.token(CLIENT, header={"kid": "new"}))
        assert await stand.shows(stand.standin.token(CLIENT)) == "mes"

    caplog.set_level(logging.WARNING)
    run(shown())
    assert why in caplog.messages[0]


def test_a_provider_that_takes_back_all_keys_is_believed(tmp_path: Path) -> None:
    async def shown() -> None:
        stand = Stand(tmp_path)
        token = stand.standin.token(CLIENT)
        await stand.shows(token)
        stand.standin.jwks = {"keys": []}
        stand.clock.advance(10)
        await stand.provider.renew()
        assert stand.known(token) is None
        with pytest.raises(Untrusted, match="its key `key-0` is not among"):
            await stand.shows(token)

    run(shown())


GOOD = Key.made("RS256")


@pytest.mark.parametrize(
    "jwk",
    [
        {"kty": "oct", "k": "AAAA", "kid": "a", "alg": "RS256"},
        {"kty": "oct", "k": "AAAA"},
        {"kty": "RSA"},
        {"kty": "RSA", "n": 7, "e": "AQAB"},
        {"kty": "RSA", "n": "!", "e": "AQAB"},
        {"kty": ["RSA"]},
        {"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA"},
        {"kty": "EC", "crv": "secp256k1", "x": "AAAA", "y": "AAAA"},
        {"kty": "OKP", "crv": "X25519", "x": "AAAA"},
        {"kty": "OKP", "crv": "Ed25519"},
        GOOD.jwk("a", use="enc"),
        GOOD.jwk("a", key_ops=["sign"]),
        GOOD.jwk("a", key_ops=7),
        GOOD.jwk("a", alg="RS384"),
        GOOD.jwk("a", alg="HS256"),
        GOOD.jwk("a", d="AQAB"),
        GOOD.jwk("a") | {"kid": 7},
        Key("RS256", 1_024).jwk("a"),
        "text",
        None,
    ],
)
def test_a_key_that_cannot_be_used_is_left_out_and_harms_no_other(jwk: Any) -> None:
    body = json.dumps({"keys": [jwk, GOOD.jwk("b"), Key.made("EdDSA").jwk(None, alg=None, use=None)]}).encode()
    found = published_keys(body, ("RS256", "PS256", "ES256", "EdDSA"))
    assert [(key.kid, key.alg) for key in found] == [("b", "RS256"), (None, "EdDSA")]


def test_a_token_without_a_name_of_a_key_needs_a_provider_with_one_key(tmp_path: Path) -> None:
    async def shown() -> None:
        stand = Stand(tmp_path)
        assert await stand.shows(stand.standin.token(CLIENT, header={"kid": None})) == "mes"
        stand.standin.rotate()
        stand.clock.advance(10)
        await stand.provider.renew()
        with pytest.raises(Untrusted, match="it names no key"):
            await stand.shows(stand.standin.token(CLIENT, header={"kid": None}))

    run(shown())
