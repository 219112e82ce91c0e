"""Tokens that must open nothing: each in a sentence for the log, and in another for whoever shows it."""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from andon.ingress.tokens.compact import Untrusted, token_of
from tests.rig.oidc import Key, Provider, b64, compact, hs256
from tests.unit.ingress.tokens import CLIENT, Stand, run

NOW = 1_700_000_000
Forge = Callable[[Provider], str]


def raw(header: str | dict[str, Any], claims: str | dict[str, Any] | None = None) -> Forge:
    """A token whose header or claims are written as they are here, rightly signed."""

    def forged(provider: Provider) -> str:
        key = provider.keys[provider.current]
        head = header if isinstance(header, str) else json.dumps({"alg": "RS256", "kid": provider.current} | header)
        body = claims if isinstance(claims, str) else json.dumps(provider.claims(CLIENT) | (claims or {}))
        return compact(head.encode(), body.encode(), key.sign)

    return forged


def with_(header: dict[str, Any] | None = None, key: Key | None = None, **claims: Any) -> Forge:
    return lambda provider: provider.token(CLIENT, header=header, key=key, **claims)


def unsigned(alg: str) -> Forge:
    return lambda provider: compact(
        {"alg": alg, "kid": provider.current, "typ": "at+jwt"}, provider.claims(CLIENT), lambda _: b"\0"
    )


def confused(secret: Callable[[Provider], bytes], kid: str | None = "key-0") -> Forge:
    def forged(provider: Provider) -> str:
        head = {"alg": "HS256", "typ": "at+jwt"} | ({"kid": kid} if kid else {})
        return compact(head, provider.claims(CLIENT), hs256(secret(provider)))

    return forged


def tampered(part: int) -> Forge:
    def forged(provider: Provider) -> str:
        parts = provider.token(CLIENT).split(".")
        parts[part] = parts[part][:7] + ("A" if parts[part][7] != "A" else "B") + parts[part][8:]
        return ".".join(parts)

    return forged


def swapped(provider: Provider) -> str:
    """The claims of another client under the signature of a good token."""
    head, _, signature = provider.token(CLIENT).split(".")
    return f"{head}.{b64(json.dumps(provider.claims('admin')).encode())}.{signature}"


STRANGER = Key.made("RS256", 99)
OFFERED: dict[str, Any] = {
    "jwk": STRANGER.jwk("key-0"),
    "jku": "http://evil.example/keys",
    "x5u": "http://evil.example",
}
DEEP = '{"iss":%s' + ',"a":' + "[" * 70 + "]" * 70 + "}"

# What is shown, and what the log says of it.
TABLE: dict[str, tuple[Forge, str]] = {
    # the algorithm
    "none": (unsigned("none"), "the algorithm `none` is not allowed"),
    "None": (unsigned("None"), "the algorithm `None` is not allowed"),
    "no signature": (lambda p: compact({"alg": "none"}, p.claims(CLIENT), lambda _: b""), "not three parts"),
    "HS256 by the public key": (confused(lambda p: p.keys["key-0"].pem()), "the algorithm `HS256` is not allowed"),
    "HS256 by the JWK": (
        confused(lambda p: json.dumps(p.keys["key-0"].jwk("key-0")).encode()),
        "the algorithm `HS256` is not allowed",
    ),
    "HS256 by nothing": (confused(lambda _: b"", None), "the algorithm `HS256` is not allowed"),
    "an algorithm that is not pinned": (with_({"alg": "RS384"}), "the algorithm `RS384` is not allowed"),
    "another algorithm of the key's kind": (with_({"alg": "PS256"}), "not among the issuer's for this algorithm"),
    "another kind of key": (with_({"alg": "ES256"}), "not among the issuer's for this algorithm"),
    "alg of the wrong case": (with_({"alg": "rs256"}), "the algorithm `rs256` is not allowed"),
    "alg missing": (with_({"alg": None}), "`alg` is missing"),
    "alg is a list": (with_({"alg": ["RS256"]}), "`alg` is no text"),
    # the key
    "a stranger's key under a known name": (with_(key=STRANGER), "its signature is wrong"),
    "a stranger's key in the header": (with_(OFFERED, key=STRANGER), "its signature is wrong"),
    "an unknown key": (with_({"kid": "key-9"}), "its key `key-9` is not among the issuer's"),
    "a key like a path": (with_({"kid": "../../dev/null"}), "its key `../../dev/null` is not among the issuer's"),
    "a key that is long": (with_({"kid": "k" * 257}), "`kid` is no text of 1 to 256"),
    "a key that is a number": (with_({"kid": 0}), "`kid` is no text"),
    # what was signed
    "other claims": (swapped, "its signature is wrong"),
    "header changed": (tampered(0), ""),
    "claims changed": (tampered(1), ""),
    "signature changed": (tampered(2), "its signature is wrong"),
    "signature cut": (lambda p: p.token(CLIENT)[:-2], "its signature is wrong"),
    "signature's padding": (lambda p: p.token(CLIENT) + "==", "not three parts of base64url"),
    # what the header asks for
    "crit": (with_({"crit": ["exp"]}), "its header has `crit`"),
    "crit of b64": (with_({"crit": ["b64"], "b64": False}), "its header has `crit`"),
    "b64": (with_({"b64": True}), "its header has `b64`"),
    "compressed": (with_({"zip": "DEF"}), "its header has `zip`"),
    "a token in it": (with_({"cty": "JWT"}), "there is another token in it"),
    "of identity, by type": (with_({"typ": "id_token+jwt"}), "not the type of an access token"),
    "a proof": (with_({"typ": "dpop+jwt"}), "not the type of an access token"),
    "one of ours, by type": (with_({"typ": "andon+jwt"}), "not the type of an access token"),
    "typ is a number": (with_({"typ": 7}), "`typ` is no text"),
    # how it is written
    "nothing": (lambda _: "..", "not three parts"),
    "five parts": (lambda p: p.token(CLIENT) + ".AAAA.AAAA", "it is no source's"),
    "two parts": (lambda p: p.token(CLIENT).rpartition(".")[0], "it is no source's"),
    "huge": (with_(note="x" * 8_200), "longer than 8,192 characters"),
    "deep header": (raw(DEEP % '"x"'), "its header: nested deeper"),
    "deep claims": (raw({}, DEEP % '"x"'), "its claims: nested deeper"),
    "alg twice": (raw('{"alg":"none","alg":"RS256","kid":"key-0"}'), "its header: the key `alg` stands twice"),
    "aud twice": (raw({}, '{"iss":"x","aud":"andon","aud":"other"}'), "its claims: the key `aud` stands twice"),
    "key twice, escaped": (raw({}, '{"iss":"x","a\\u0075d":"andon","aud":"y"}'), "the key `aud` stands twice"),
    "header is a list": (raw("[]"), "its header: "),
    "claims are text": (raw({}, '"x"'), "its claims: "),
    "claims are no JSON": (raw({}, "{"), "its claims: "),
    "claims are no UTF-8": (lambda p: compact({"alg": "RS256"}, b'{"iss":"\xff"}', lambda _: b"0"), "its claims: "),
    "spaces in a part": (lambda p: p.token(CLIENT).replace(".", " .", 1), "not three parts"),
    "line break": (lambda p: p.token(CLIENT).replace(".", "\n.", 1), "not three parts"),
    "other letters": (lambda p: "ｅ" + p.token(CLIENT)[1:], "not three parts"),
    # the claims
    "another issuer": (with_(iss="https://evil.example"), "its issuer `https://evil.example` is none of ours"),
    "almost the issuer": (lambda p: p.token(CLIENT, iss=p.issuer + "/"), "is none of ours"),
    "the beginning of the issuer": (lambda p: p.token(CLIENT, iss=p.issuer[:-1]), "is none of ours"),
    "issuer missing": (with_(iss=None), "`iss` is missing"),
    "issuer is a list": (lambda p: p.token(CLIENT, iss=[p.issuer]), "`iss` is no text"),
    "another audience": (with_(aud="other"), "it is for another audience"),
    "almost the audience": (with_(aud="andon2"), "it is for another audience"),
    "audience in the audience": (with_(aud=["x-andon", "andon "]), "it is for another audience"),
    "audience missing": (with_(aud=None), "it names no audience"),
    "audience empty": (with_(aud=[]), "it names no audience"),
    "audience is a map": (with_(aud={"andon": 1}), "it names no audience"),
    "audience with a number": (with_(aud=["andon", 7]), "it names no audience"),
    "expired": (with_(exp=NOW - 31), "it has expired 31 s ago"),
    "expired just now": (with_(exp=NOW - 30), "it has expired 30 s ago"),
    "exp missing": (with_(exp=None), "its `exp` is missing"),
    "exp is text": (with_(exp="9999999999"), "its `exp` is no time"),
    "exp is true": (with_(exp=True), "its `exp` is no time"),
    "exp without end": (with_(exp=1e300), "its `exp` is no time"),
    "exp before time": (with_(exp=-1), "its `exp` is no time"),
    "not yet": (with_(nbf=NOW + 31), "its `nbf` lies 31 s ahead"),
    "nbf is text": (with_(nbf="0"), "its `nbf` is no time"),
    "made tomorrow": (with_(iat=NOW + 31), "its `iat` lies 31 s ahead"),
    "iat missing": (with_(iat=None), "its `iat` is missing"),
    "for ten years": (with_(exp=NOW + 315_360_000), "86,400 s is the longest life allowed"),
    "old and for ten years": (with_(iat=1, exp=NOW + 60), "86,400 s is the longest life allowed"),
    "another client": (lambda p: p.token("other"), "its client `other` is that of no source"),
    "a source's name for a client": (lambda p: p.token("mes"), "its client `mes` is that of no source"),
    "no client": (with_(client_id=None, azp=None), "it names no client"),
    "client is a list": (with_(client_id=[CLIENT]), "its `client_id` is no name"),
    "client_id counts before azp": (with_(client_id="other"), "its client `other` is that of no source"),
    "of identity, by hash": (with_(at_hash="x"), "no access token but one of another kind"),
    "of identity, by word": (with_(typ="ID"), "no access token but one of another kind"),
    "refresh token": (with_(typ="Refresh"), "no access token but one of another kind"),
}


@pytest.mark.parametrize("name", TABLE)
def test_it_opens_nothing(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    forge, why = TABLE[name]

    async def shown() -> None:
        stand = Stand(tmp_path)
        await stand.provider.renew()
        token = forge(stand.standin)
        with pytest.raises(Untrusted) as caught:
            await stand.shows(token)
        assert why in str(caught.value)
        assert caught.value.told == ("the token has expired" if name.startswith("expired") else "")
        assert stand.known(token) is None
        (record,) = caplog.records
        assert record.getMessage() == f"a token was refused: {caught.value}"
        assert token[:20] not in record.getMessage()
        assert await stand.shows(stand.standin.token(CLIENT)) == "mes"

    caplog.set_level(logging.WARNING)
    run(shown())


@pytest.mark.parametrize("alg", ["RS256", "PS256", "ES256", "EdDSA"])
def test_no_change_of_a_good_token_is_accepted(alg: str, tmp_path: Path) -> None:
    """Not one bit of a part, not one letter of its writing."""

    async def shown() -> None:
        stand = Stand(tmp_path, Provider(alg))
        await stand.provider.renew()
        token = stand.standin.token(CLIENT)
        assert await stand.shows(token) == "mes"
        letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.= \u00e9"
        dice = random.Random(7)
        ends = [index - 1 for index, letter in enumerate(token + ".") if letter == "."]  # bits that nothing is made of
        places = [*(place for place in ends for _ in letters), *dice.choices(range(len(token)), k=250)]
        others = [letters[n % len(letters)] for n in range(len(places))]
        for place, letter in zip(places, others, strict=True):
            if token[place] != letter:
                with pytest.raises(Untrusted):
                    await stand.shows(token[:place] + letter + token[place + 1 :])

    run(shown())


@settings(max_examples=500, deadline=None, derandomize=True)
@given(st.binary(max_size=200), st.binary(max_size=200), st.binary(max_size=40))
def test_whatever_is_shown_is_refused_in_one_sentence(header: bytes, claims: bytes, signature: bytes) -> None:
    with pytest.raises(Untrusted) as caught:
        token_of(compact(header, claims, lambda _: signature))
    assert "\n" not in str(caught.value)


def test_the_log_is_not_a_strangers_to_fill(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def shown() -> None:
        stand = Stand(tmp_path)
        await stand.provider.renew()
        for number in range(100):
            with pytest.raises(Untrusted):
                await stand.shows(stand.standin.token(CLIENT, iss=f"https://{number}.example"))
        assert len(caplog.records) == 20
        stand.clock.advance(60)
        with pytest.raises(Untrusted):
            await stand.shows(stand.standin.token(CLIENT, aud="other"))
        said = [record.getMessage() for record in caplog.records[20:]]
        assert said == [
            "80 more like the last ones were not written down",
            "a token was refused: it is for another audience (issuer plant)",
        ]

    caplog.set_level(logging.WARNING)
    run(shown())
