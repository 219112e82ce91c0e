"""Networks as the file writes them, and the keys that every source has."""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path

import pytest

from andon.config.addresses import network_of
from andon.config.published import bundle, published, unbundle
from andon.config.rules import rule_mistakes
from andon.core.policy import Limit
from tests.config.plant import changed, read, said


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("10.*.*.*", "10.0.0.0/8"),
        ("10.3.*.*", "10.3.0.0/16"),
        ("140.207.54.*", "140.207.54.0/24"),
        ("1.2.3.4", "1.2.3.4/32"),
        ("fd00::/8", "fd00::/8"),
        ("::1", "::1/128"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("::ffff:1.2.3.4", "1.2.3.4/32"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("::/0", "::/0"),
    ],
)
def test_networks(text: str, network: str) -> None:
    assert network_of(text) == ip_network(network)


@pytest.mark.parametrize(
    "text",
    [
        *("", "*", "*.*.*.*", "10.3.*", "10.*.3.4", "10.3.*.*.*", "300.*.*.*", "1.2.3.4/33", "1.2.3", "plant.local"),
        *("fe80::1%eth0", "10.0.0.0/8 ", "fd00::*", "10.*.*.*/8"),
    ],
)
def test_no_networks(text: str) -> None:
    with pytest.raises(ValueError, match="is not a network"):
        network_of(text)


def test_a_source_has_the_keys_of_all_sources_beside_its_own(tmp_path: Path) -> None:
    line = "line: {kind: door, token: env:LINE_TOKEN"
    loaded = read(tmp_path, changed(f"{line}}}", f"{line}, allow: [10.3.*.*, '::1'], rate: 50/s}}"))
    assert said(loaded) == []
    source = unbundle(bundle(published(loaded, 1, "me", datetime.now(UTC)))).settings.sources["line"]
    assert source.allow == ("10.3.*.*", "::1")
    assert source.rate == Limit(50, 1.0)
    assert source.options == {"token": "env:LINE_TOKEN"}


@pytest.mark.parametrize(("key", "value"), [("allow", ["10.0.0.0/8"]), ("rate", "5/s"), ("client_cert", "none")])
def test_what_asks_a_caller_has_no_sense_where_nobody_calls(key: str, value: object) -> None:
    data = {"sources": {"alarms": {"kind": "kafka", "topic": "alarms", key: value}}, "route": {"receiver": "it"}}
    (found,) = rule_mistakes(data)
    assert found.path == ("sources", "alarms", key)
    assert found.text == f"nobody calls a `kafka` source, which fetches: `{key}` makes no sense"


@pytest.mark.parametrize(
    ("sources", "path", "at_key"),
    [
        ({"andon": {"kind": "alertmanager", "token": "env:T"}}, ("sources", "andon"), True),
        ({"mes": {"kind": "http", "token": "env:T", "source": "andon"}}, ("sources", "mes", "source"), False),
    ],
)
def test_no_source_speaks_in_the_name_of_andon(sources: dict[str, object], path: tuple[str, ...], at_key: bool) -> None:
    (found,) = rule_mistakes({"sources": sources, "route": {"receiver": "it"}})
    assert (found.path, found.at_key) == (path, at_key)
    assert "is the source of what Andon itself tells" in found.text
