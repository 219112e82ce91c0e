"""`andon token` from the command line, and what `andon check` says of who may come in."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from pathlib import Path

import pytest

from andon.cli import main as frame
from andon.cli.commands.check import checked
from andon.config.access import SignedTokens
from andon.config.secrets import SecretRef
from andon.ingress.tokens.own import Own
from tests.unit.ingress.tokens import Stand, run

FILE = """\
version: 1
access:
  issuers: {}
  tokens: {key: "file:KEY", max_age: 30m}
sources:
  mes: {kind: http}
  am: {kind: alertmanager}
  topic: {kind: kafka, bootstrap: "k:9092", topic: t}
channels: {robot: {kind: webhook, url: "https://x.example/"}}
receivers: {it: {channel: robot}}
route: {receiver: it}
"""


@pytest.fixture
def plant(tmp_path: Path) -> Path:
    (tmp_path / "key").write_text("k" * 43 + "\n" + "o" * 43)
    return written(tmp_path, FILE)


def written(folder: Path, text: str) -> Path:
    file = folder / "andon.yaml"
    file.write_text(text.replace("KEY", str(folder / "key")), encoding="utf-8")
    return file


def token(file: Path, *words: str) -> int:
    return frame.main(["token", *words, "--config", str(file)])


def test_a_token_that_is_issued_opens_the_door(plant: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert token(plant, "issue", "--client", "mes", "--for", "10m") == 0
    told = capsys.readouterr()
    assert told.err == ""
    shown = told.out.strip()
    assert told.out == f"{shown}\n"

    async def shows() -> None:
        own = Own(SignedTokens(key=SecretRef(f"file:{plant.parent / 'key'}")), 0.0)
        stand = Stand(plant.parent, own=own)
        stand.clock.advance(claims_of(shown)["nbf"] - stand.clock.now())
        assert await stand.shows(shown) == "mes"

    run(shows())


def claims_of(shown: str) -> dict[str, int]:
    body = shown.split(".")[1]
    claims: dict[str, int] = json.loads(urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return claims


def test_in_json_it_says_when_it_ends(plant: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert token(plant, "issue", "--client", "am", "--for", "30m", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    claims = claims_of(told["token"])
    assert (told["client"], claims["exp"] - claims["nbf"], told["id"]) == ("am", 1_800, claims["jti"])
    assert told["ends"].endswith("+00:00")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("issue", "--client", "mse", "--for", "10m"), 2, "no source `mse` whose client shows a token; did you mean"),
        (("issue", "--client", "topic", "--for", "10m"), 2, "no source `topic` whose client shows a token"),
        (
            ("issue", "--client", "mes", "--for", "31m"),
            2,
            "takes no token for longer than 30m (`access.tokens.max_age`)",
        ),
        (("issue", "--client", "mes", "--for", "soon"), 2, "'soon' is not a duration"),
        (("issue", "--client", "mes", "--for", "0s"), 2, "a token lasts at least a second"),
        (("issue", "--client", "mes"), 2, "--for"),
        (("issue", "--for", "1m"), 2, "--client"),
        ((), 2, "issue|key"),
    ],
)
def test_what_cannot_be_made_is_said(
    words: tuple[str, ...], code: int, said: str, plant: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert token(plant, *words) == code
    told = capsys.readouterr()
    assert said in told.err
    assert told.out == "", "a script takes what stands there for a token"


def test_a_key_that_is_weak_or_missing_or_not_configured(plant: Path, capsys: pytest.CaptureFixture[str]) -> None:
    issue = ("issue", "--client", "mes", "--for", "1m")
    (plant.parent / "key").write_text("weak-secret")
    assert token(plant, *issue) == 1
    told = capsys.readouterr()
    assert "make one by `andon token key`" in told.err
    assert "weak-secret" not in told.out + told.err
    (plant.parent / "key").unlink()
    assert token(plant, *issue) == 2
    assert "cannot be read" in capsys.readouterr().err
    assert token(written(plant.parent, FILE.replace('  tokens: {key: "file:KEY", max_age: 30m}\n', "")), *issue) == 2
    assert "the configuration has no `access.tokens`" in capsys.readouterr().err


def test_a_key_is_made(plant: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert token(plant, "key") == 0
    made = capsys.readouterr().out.strip()
    (plant.parent / "key").write_text(made)
    assert token(plant, "issue", "--client", "mes", "--for", "1m") == 0
    assert token(plant, "key", "--json") == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["key"] != made


ISSUER = 'issuer: "https://id.example/realms/x", audience: andon'
GOOD = f"issuers: {{plant: {{{ISSUER}}}}}"
SOURCE = "mes: {kind: http, oauth: {issuer: plant, client: m}}"


def mistakes(folder: Path, issuers: str, sources: str = SOURCE) -> list[str]:
    (folder / "key").write_text("k" * 43)
    text = FILE.replace("issuers: {}", issuers).replace("mes: {kind: http}", sources)
    return [one.text for one in checked(written(folder, text)).mistakes]


def test_a_provider_in_the_configuration(tmp_path: Path) -> None:
    assert mistakes(tmp_path, GOOD) == []
    for more in (
        "algorithms: [ES512, EdDSA], typ: at+jwt, claim: appid, leeway: 1m, max_age: 1h, stale: 1h, refresh: 5m",
        "allow: [10.0.0.0/8, id.corp.cn], ca: file:/etc/andon/ca.pem, proxy: none",
        'proxy: "http://proxy:3128"',
    ):
        assert mistakes(tmp_path, f"issuers: {{plant: {{{ISSUER}, {more}}}}}") == []
    local = 'issuers: {plant: {issuer: "http://127.0.0.1:8080/realms/x", audience: a, allow: [127.0.0.1]}}'
    assert mistakes(tmp_path, local) == []


@pytest.mark.parametrize(
    ("issuer", "said"),
    [
        ('issuer: "http://id.example/", audience: a', "over plain HTTP anybody on the way could choose the keys"),
        ('issuer: "http://10.0.0.1/", audience: a', "over plain HTTP anybody on the way could choose the keys"),
        ('issuer: "id.example", audience: a', "an address begins with https://"),
        ('issuer: "https://u:p@id.example", audience: a', "no account, query or fragment"),
        ('issuer: "https://u@id.example", audience: a', "no account, query or fragment"),
        ('issuer: "https://id.example/?a=b", audience: a', "no account, query or fragment"),
        ('issuer: "https://10.0.0.1/x", audience: a', "10.0.0.1 is a private address; name it or its network in"),
        ('issuer: "https://169.254.169.254/", audience: a', "a metadata service's address"),
        ('issuer: "http://127.0.0.1/", audience: a', "127.0.0.1 is a loopback address"),
        ('issuer: "http://localhost:8080/", audience: a', "localhost is a loopback address"),
        ('issuer: "https://id.example"', "`audience` is missing"),
        (f"{ISSUER}, algorithms: [HS256]", "`HS256` is signed with a secret, and whoever can check such a token can"),
        (f"{ISSUER}, algorithms: [RS256, none]", "`none` is no signature"),
        (f"{ISSUER}, algorithms: [RS265]", "`RS265` is not known; did you mean `RS256`?"),
        (f"{ISSUER}, algorithms: []", "needs at least 1 entries"),
        (f"{ISSUER}, leeway: 1h", "must be more than 0 and at most 5m"),
        (f"{ISSUER}, typ: JWT", "`typ` must be `at+jwt`"),
        (f"{ISSUER}, allow: [10.1.0.0]", ""),
        (f'{ISSUER}, allow: ["10.*"]', "neither a network like 10.1.0.0/16 nor a host name"),
        (f"{ISSUER}, secret: x", "unknown key `secret`"),
    ],
)
def test_a_provider_that_would_prove_nothing_is_refused(issuer: str, said: str, tmp_path: Path) -> None:
    found = mistakes(tmp_path, f"issuers: {{plant: {{{issuer}}}}}")
    assert any(said in text for text in found) if said else found == []


def test_clients_that_nobody_or_two_could_be_are_refused(tmp_path: Path) -> None:
    twice = f"issuers: {{plant: {{{ISSUER}}}, again: {{{ISSUER}}}}}"
    assert mistakes(tmp_path, twice) == ["`plant` is this issuer already"]
    both = f"{SOURCE}\n  wms: {{kind: http, oauth: {{issuer: plant, client: m}}}}"
    assert mistakes(tmp_path, GOOD, both) == ["this is the client of the source `mes` already"]
    unknown = "mes: {kind: http, oauth: {issuer: plnt, client: m}}"
    assert mistakes(tmp_path, GOOD, unknown) == [
        "there is no issuer `plnt` under `access.issuers`; did you mean `plant`?"
    ]
    (tmp_path / "key").write_text("k" * 43)
    without = FILE.replace('  tokens: {key: "file:KEY", max_age: 30m}\n', "")
    texts = [one.text for one in checked(written(tmp_path, without)).mistakes]
    assert texts == ["no client can come in here: write `token` or `oauth`, or `access.tokens`"] * 2
    (tmp_path / "key").write_text("short")
    weak = [one.text for one in checked(written(tmp_path, FILE)).mistakes]
    assert weak == ["the signing key has fewer than 43 characters; make one by `andon token key`"]
