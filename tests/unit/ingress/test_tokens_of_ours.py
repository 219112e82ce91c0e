"""Our own short-lived tokens: what the door takes, for how long, and how a key is changed."""

from __future__ import annotations

import json
import logging
from base64 import urlsafe_b64decode
from pathlib import Path
from typing import Any

import pytest

from andon.config.access import SignedTokens
from andon.config.secrets import SecretRef
from andon.ingress.tokens.compact import Untrusted
from andon.ingress.tokens.own import Own, WeakKey, made, new_key
from andon.testing.clock import ManualClock
from tests.rig.oidc import compact, hs256
from tests.unit.ingress.tokens import CLIENT, Stand, run

NOW = ManualClock().now()
KEY, OLD = "k" * 43, "o" * 43


def stand_of(folder: Path, keys: str = KEY, **settings: Any) -> Stand:
    (folder / "key").write_text(keys, encoding="utf-8")
    own = Own(SignedTokens(key=SecretRef(f"file:{folder / 'key'}"), **settings), NOW)
    return Stand(folder, own=own)


def token(client: str = "mes", lasts: float = 600, key: str = KEY, audience: str = "andon", now: float = NOW) -> str:
    return made(key, client, audience, now, lasts).token


def forged(key: str = KEY, header: dict[str, Any] | None = None, **claims: Any) -> str:
    """A token of ours as others would write it."""
    written = made(key, "mes", "andon", NOW, 1).token.partition(".")[0]
    head = json.loads(urlsafe_b64decode(written + "=="))
    body = {"iss": "andon", "aud": "andon", "client": "mes", "nbf": NOW, "exp": NOW + 60, "jti": "1"} | claims
    return compact(
        {name: value for name, value in (head | (header or {})).items() if value is not None},
        {name: value for name, value in body.items() if value is not None},
        hs256(key.encode()),
    )


def test_a_token_opens_the_door_for_its_client_until_it_ends(tmp_path: Path) -> None:
    async def shown() -> None:
        stand = stand_of(tmp_path)
        for client in ("mes", "erp"):
            shown = token(client)
            assert await stand.shows(shown) == client
            assert stand.known(shown) == client
        stand.clock.advance(599)
        assert stand.known(shown) == "erp"
        stand.clock.advance(1)
        assert stand.known(shown) is None
        with pytest.raises(Untrusted, match="it has expired 0 s ago") as caught:
            await stand.shows(shown)
        assert caught.value.told == "the token has expired"
        assert stand.known("beta") == "erp"

    run(shown())


def test_a_door_without_a_key_takes_none(tmp_path: Path) -> None:
    async def shown() -> None:
        with pytest.raises(Untrusted, match="its issuer `andon` is none of ours"):
            await Stand(tmp_path).shows(token())

    run(shown())


# What is shown, and what the log says of it.
TABLE: dict[str, tuple[str, str]] = {
    "of nobody": (token("nobody"), "its client `nobody` is that of no source"),
    "of a client elsewhere": (token(CLIENT), f"its client `{CLIENT}` is that of no source"),
    "for another plant": (token(audience="other-plant"), "another audience"),
    "for too long": (token(lasts=3_601), "3,600 s is the longest life allowed"),
    "another key": (token(key=OLD), "not among the issuer's"),
    "not yet": (token(now=NOW + 31), "its `nbf` lies 31 s ahead"),
    "no end": (forged(exp=None), "its `exp` is missing"),
    "no beginning": (forged(nbf=None), "its `nbf` is missing"),
    "no client": (forged(client=None), "it names no client"),
    "no audience": (forged(aud=None), "it names no audience"),
    "another type": (forged(header={"typ": "JWT"}), "not the type of an access token"),
    "no type": (forged(header={"typ": None}), "has no `typ`"),
    "HS512": (forged(header={"alg": "HS512"}), "the algorithm `HS512` is not allowed"),
    "none": (forged(header={"alg": "none"}), "the algorithm `none` is not allowed"),
    "no name of a key": (forged(OLD, {"kid": None}), "its signature is wrong"),
    "a provider's": (compact({"alg": "RS256", "typ": "andon+jwt"}, {"iss": "andon"}, lambda _: b"0"), "`RS256` is not"),
}


@pytest.mark.parametrize("name", TABLE)
def test_it_opens_nothing(name: str, tmp_path: Path) -> None:
    shown, why = TABLE[name]

    async def refused() -> None:
        stand = stand_of(tmp_path)
        with pytest.raises(Untrusted, match=why):
            await stand.shows(shown)
        assert await stand.shows(forged()) == "mes", "what is as it should be is taken"

    run(refused())


def test_a_key_is_changed_while_both_count_and_its_tokens_end_with_it(tmp_path: Path) -> None:
    async def shown() -> None:
        stand = stand_of(tmp_path, OLD)
        before, after = token(key=OLD), token(key=KEY)
        assert await stand.shows(before) == "mes"
        (tmp_path / "key").write_text(f"{KEY}\n{OLD}\n")
        stand.clock.advance(5)
        assert [await stand.shows(one) for one in (before, after)] == ["mes", "mes"]
        (tmp_path / "key").write_text(f"{KEY}\n")
        stand.clock.advance(4)
        assert stand.known(before) == "mes"
        stand.clock.advance(1)
        assert stand.known(before) is None
        assert stand.known(after) is None, "looked at again"
        assert await stand.shows(after) == "mes"
        with pytest.raises(Untrusted, match="not among the issuer's"):
            await stand.shows(before)

    run(shown())


def test_a_key_file_that_is_gone_for_a_moment_ends_nothing_and_for_good_it_does(tmp_path: Path) -> None:
    async def shown() -> None:
        stand = stand_of(tmp_path)
        await stand.shows(token())
        (tmp_path / "key").unlink()
        stand.clock.advance(59)
        assert stand.known(token()) is None
        assert await stand.shows(token()) == "mes"
        stand.clock.advance(6)
        with pytest.raises(Untrusted, match="not among the issuer's"):
            await stand.shows(token())

    run(shown())


def test_a_key_that_can_be_guessed_signs_nothing_and_counts_for_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def shown() -> None:
        stand = stand_of(tmp_path, f"{KEY}\n{'w' * 42}")
        assert await stand.shows(token()) == "mes"
        assert [key.alg for key in stand.clients._passes._signers["andon"].keys] == ["HS256"]

    with pytest.raises(WeakKey, match="fewer than 43 characters"):
        made("w" * 42, "mes", "andon", NOW, 60)
    caplog.set_level(logging.ERROR)
    run(shown())
    (said,) = caplog.messages
    assert said.startswith("no token that is signed with it is taken: the signing key has fewer than 43")
    assert "www" not in said
    assert len(new_key()) == 43
    assert new_key() != new_key()


def test_a_key_that_is_not_there_at_the_start_proves_nothing_until_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own = Own(SignedTokens(key=SecretRef(f"file:{tmp_path / 'absent'}")), NOW)
    assert list(own.keys) == []
    assert caplog.messages[0].startswith("access.tokens: nobody comes in by it until its secret is there: ")
    (tmp_path / "absent").write_text(KEY, encoding="utf-8")
    own.refresh(NOW + 5)
    assert ([key.alg for key in own.keys], own.version) == (["HS256"], 1)
