"""What `andon check` says of channels, as their pages show it: the same sentence, at the right place."""

from __future__ import annotations

from pathlib import Path

import pytest

from andon.cli.commands.check import checked

DOCS = Path(__file__).parents[3] / "docs" / "channels"
WEBHOOK = """\
version: 1
channels:
  c: {kind: webhook, %s}
receivers:
  r: {channel: c}
route: {receiver: r}
"""
MAIL = """\
version: 1
channels:
  c: {kind: smtp, host: mail.corp.cn, from: andon@corp.cn, %s}
receivers:
  r: {channel: c, to: [it@corp.cn]}
route: {receiver: r}
"""
ROBOT = """\
version: 1
channels:
  c: {kind: wecom_robot, %s}
receivers:
  r: {channel: c}
route: {receiver: r}
"""
URL = 'url: "https://mes.corp.cn/x", '

CASES = [
    (
        WEBHOOK,
        "webhook.md",
        'url: "http://mes.corp.cn/x"',
        "write https://host/path; plain http is for this machine only",
    ),
    (
        WEBHOOK,
        "webhook.md",
        'url: "https://10.1.2.3/x"',
        "10.1.2.3 is a private address; name it or its network in `allow`",
    ),
    (
        WEBHOOK,
        "webhook.md",
        'url: "https://2130706433/"',
        "a number for a host; an IPv4 address is written as four decimal numbers, 192.168.1.10",
    ),
    (
        WEBHOOK,
        "webhook.md",
        URL + "secrets: [whsec_x]",
        "a secret is written as env:NAME or file:/path, never as its value",
    ),
    (
        WEBHOOK,
        "webhook.md",
        URL + "allow: [10.1.2.3/8]",
        "'10.1.2.3/8' is neither a network like 10.1.0.0/16 nor a host name",
    ),
    (
        WEBHOOK,
        "webhook.md",
        URL + "headers: {Authorization: Bearer x}",
        "Authorization is a secret; write it as env:NAME or file:/path",
    ),
    (
        WEBHOOK,
        "webhook.md",
        URL + "accept: {body: {path: code, equals: 0}}",
        "write a path like $.code or $.data.status",
    ),
    (
        WEBHOOK,
        "webhook.md",
        URL + "content_type: text/plain",
        "`content_type` is for `body: template`; an event is application/cloudevents+json",
    ),
    (MAIL, "smtp.md", "user: env:U", "`password` is missing: name and password go together"),
    (
        MAIL,
        "smtp.md",
        "tls: none",
        "without TLS every mail to mail.corp.cn could be read on its way; use starttls or tls",
    ),
    (
        MAIL,
        "smtp.md",
        'subject: "{event.type}"',
        "one line of text, in which {line} and {receiver} may stand",
    ),
]


@pytest.mark.parametrize(("plant", "page", "written", "sentence"), CASES)
def test_sentence_is_said_and_stands_on_the_page(
    plant: str, page: str, written: str, sentence: str, tmp_path: Path
) -> None:
    (tmp_path / "andon.yaml").write_text(plant % written)
    (mistake,) = checked(tmp_path).mistakes
    assert mistake.text.endswith(sentence)
    assert mistake.line == 3
    assert sentence in (DOCS / page).read_text(encoding="utf-8")


def test_an_address_that_is_not_allowed_is_found_at_the_url(tmp_path: Path) -> None:
    (tmp_path / "andon.yaml").write_text(WEBHOOK % 'url: "http://127.0.0.1:8721/x"')
    (mistake,) = checked(tmp_path).mistakes
    assert mistake.text == "`url`: 127.0.0.1 is a loopback address; name it or its network in `allow`"
    assert (mistake.column, mistake.path) == (27, ("channels", "c", "url"))


def test_what_is_wrong_about_a_whole_channel_is_not_said_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "andon.yaml").write_text(WEBHOOK % (URL + "content_type: text/plain"))
    (mistake,) = checked(tmp_path).mistakes
    assert mistake.text.startswith("`c`: `content_type` is for")


def test_both_channels_without_a_mistake(tmp_path: Path) -> None:
    for plant, written in (
        (WEBHOOK, URL + "secrets: [env:A, file:/b], allow: [10.1.0.0/16], limit: 50/s, proxy: none"),
        (WEBHOOK, "url: env:U, body: template, content_type: application/json, accept: {status: [200]}"),
        (WEBHOOK, 'url: "https://10.1.2.3/x", allow: [10.1.0.0/16], headers: {X-A: b, Authorization: env:T}'),
        (WEBHOOK, 'url: "http://127.0.0.1:8721/x", allow: [127.0.0.1], ca: "file:/ca.pem"'),
        (MAIL, 'user: env:U, password: env:P, port: 465, subject: "{receiver}: {line}", proxy: none'),
    ):
        (tmp_path / "andon.yaml").write_text(plant % written)
        assert [str(one) for one in checked(tmp_path).mistakes] == []


def test_a_secret_written_as_its_value_is_the_one_mistake(tmp_path: Path) -> None:
    for keys, sentence in (
        ("[abc]", "`keys[0]`: a secret is written as env:NAME or file:/path, never as its value"),
        ("[]", "`keys` needs at least 1 entries"),
    ):
        (tmp_path / "andon.yaml").write_text(ROBOT % f"keys: {keys}")
        (mistake,) = checked(tmp_path).mistakes
        assert mistake.text == sentence
