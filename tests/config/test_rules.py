"""Names that name nothing and broken rules: each mistake with its place (marked `‹`) and what a person reads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from andon.config.later import KEYS, KINDS, RECIPIENTS
from andon.config.settings import Settings, Store
from andon.config.shapes import keys_at
from tests.config.plant import changed, marked, read, said

# What is replaced in the plant, by what, and what is said of it.
TABLE: dict[str, tuple[str, str, str]] = {
    # references
    "channel": (
        "office: {channel: printer}",
        "office: {channel: ‹prnter}",
        "there is no channel `prnter` under `channels`; did you mean `printer`?",
    ),
    "route's receiver": (
        "matchers: ['severity=\"critical\"'], receiver: shift",
        "matchers: ['severity=\"critical\"'], receiver: ‹shfit",
        "there is no receiver `shfit` under `receivers`; did you mean `shift`?",
    ),
    "root's receiver": (
        "route:\n  receiver: office",
        "route:\n  receiver: ‹it",
        "there is no receiver `it` under `receivers`; possible: `office`, `shift`",
    ),
    "connector": (
        "connector: machine",
        "connector: ‹machines",
        "there is no connector `machines` under `connectors`; did you mean `machine`?",
    ),
    "ticket system": (
        "ticket_system: tracker",
        "ticket_system: ‹trakcer",
        "there is no ticket system `trakcer` under `ticket_systems`; did you mean `tracker`?",
    ),
    "time interval": (
        "mute_time_intervals: [night]",
        "mute_time_intervals: [night, ‹nigth]",
        "there is no time interval `nigth` under `calendar.time_intervals`; did you mean `night`?",
    ),
    "template": (
        "template: fault",
        "template: ‹falt",
        "there is no template `falt` (falt.paper.j2 or falt.j2); did you mean `fault`?",
    ),
    "recipients of a later part": (
        "office: {channel: printer}",
        'office: {channel: printer, to: ["fact:machine.leader", ‹"rota:maintenance"]}',
        "`rota:` is not in this version",
    ),
    # the door, Kafka, the store
    "plain HTTP": (
        'address: "127.0.0.1:8700"',
        'address: ‹"0.0.0.0:8443"',
        "plain HTTP is refused on `0.0.0.0`, which other machines can reach; give `cert` and `key`",
    ),
    "certificate without key": (
        "listen: {address",
        "‹listen: {cert: /c.pem, address",
        "`key` is missing: a certificate and its key go together",
    ),
    "address": (
        'address: "127.0.0.1:8700"',
        "address: ‹127.0.0.1",
        "`address`: '127.0.0.1' is not host:port; write for example 127.0.0.1:8700 or [::1]:8700",
    ),
    "network of a source": (
        "line: {kind: door, token: env:LINE_TOKEN}",
        "line: {kind: door, token: env:LINE_TOKEN, allow: [10.0.0.0/8, ‹10.3.*]}",
        "`allow[1]`: '10.3.*' is not a network; write for example 10.0.0.0/8, 10.3.*.*, fd00::/8 or one address",
    ),
    "address within a network": (
        "line: {kind: door, token: env:LINE_TOKEN}",
        "line: {kind: door, token: env:LINE_TOKEN, allow: [‹10.0.0.5/8]}",
        "`allow[0]`: '10.0.0.5/8' is an address within a network; the network is 10.0.0.0/8",
    ),
    "network of a proxy": (
        "listen: {address",
        "listen: {trusted_proxies: [‹proxy], address",
        (
            "`trusted_proxies[0]`: 'proxy' is not a network; "
            "write for example 10.0.0.0/8, 10.3.*.*, fd00::/8 or one address"
        ),
    ),
    "client certificates without TLS": (
        "listen: {address",
        "listen: {client_ca: ‹/ca.pem, address",
        "`client_ca` is for TLS; give `cert` and `key`",
    ),
    "certificate of nobody": (
        "line: {kind: door, token: env:LINE_TOKEN}",
        "line: {kind: door, token: env:LINE_TOKEN, client_cert: ‹line-7}",
        "`client_cert` needs `listen.client_ca`, which signs it",
    ),
    "rate of strangers": (
        "listen: {address",
        "listen: {strangers: ‹never, address",
        "`strangers` 'never' is not a rate; write for example 10/m, 5/10m or 50/s or must be `none`",
    ),
    "rate of a source": (
        "line: {kind: door, token: env:LINE_TOKEN}",
        "line: {kind: door, token: env:LINE_TOKEN, rate: ‹50}",
        "`rate`: 50 is not a rate; write for example 10/m, 5/10m or 50/s",
    ),
    "bootstrap": (
        "bootstrap: embedded",
        "bootstrap: ‹embeded",
        "`bootstrap`: 'embeded' is neither `embedded` nor host:port; did you mean `embedded`?",
    ),
    "one of the brokers": (
        "bootstrap: embedded",
        'bootstrap: ‹"kafka-1:9092, kafka-2"',
        "`bootstrap`: 'kafka-2' is neither `embedded` nor host:port",
    ),
    "broker's port": (
        "bootstrap: embedded",
        "bootstrap: ‹a:70000",
        "`bootstrap`: 'a:70000' is neither `embedded` nor host:port",
    ),
    "TLS to the embedded node": (
        "bootstrap: embedded",
        "bootstrap: embedded, ‹tls: {}",
        "`tls` is for a cluster of your own; the embedded node listens on loopback only",
    ),
    "copies of three nodes": (
        "partitions: 6",
        "replication: ‹4",
        "the embedded Kafka has three nodes at most, so `replication` is at most 3",
    ),
    "data of another's node": (
        "bootstrap: embedded",
        "bootstrap: kafka-1:9092, data: ‹/data",
        "`data` is for the embedded node; a cluster of your own keeps its data itself",
    ),
    "store": (
        "version: 1\n",
        "version: 1\nstore: {url: ‹postgresql://db/andon}\n",
        "`url` must be sqlite:////folder or postgresql+psycopg://host/name; did you mean `postgresql+psycopg`?",
    ),
    # what topics are written in
    "codec": (
        "partitions: 6",
        "partitions: 6, codec: {default: ‹arvo}",
        "`default` must be `json` or `avro`",
    ),
    "name without password": (
        "partitions: 6",
        'partitions: 6, ‹registry: {url: "https://r:8081", user: env:R}',
        "`user` stands alone: name and password go together",
    ),
    "address of a registry": (
        "partitions: 6",
        'partitions: 6, registry: {url: ‹"r:8081"}',
        "`url` must be http://host:port or https://host:port, with a path if need be",
    ),
    "password over plain HTTP": (
        "partitions: 6",
        'partitions: 6, registry: {url: ‹"http://r:8081/v7", token: env:R}',
        "a password would go to `r` over plain HTTP; use https",
    ),
    "two ways to prove": (
        "partitions: 6",
        'partitions: 6, registry: {url: "http://127.0.0.1:8081", user: env:R, password: env:P, token: ‹env:R}',
        "`token` is in place of `user` and `password`",
    ),
    "address of a collector": (
        "version: 1\n",
        'version: 1\notel: {endpoint: ‹"collector:4318"}\n',
        "`endpoint` must be http://host:port or https://host:port: OTLP over HTTP, 4318 as a rule (4317 is gRPC's)",
    ),
    # the tree
    "matchers at the root": (
        "route:\n  receiver: office",
        "route:\n  receiver: office\n  ‹matchers: ['line=\"1\"']",
        "`matchers` has no place at the root, which takes every event",
    ),
    "never reached": (
        "{matchers: ['severity=\"critical\"'], receiver: shift, urgent: true, continue: true}\n    - {",
        "{receiver: shift}\n    - ‹{",
        "never reached: route 1 of this list has no matchers and no `continue`, so it takes all",
    ),
    "nameless": (
        "office: {channel: printer}",
        'office: {channel: printer}\n  ‹"": {channel: printer}',
        "a name is not empty and has no blanks around it",
    ),
    "a name with a sign that nobody sees": (
        "office: {channel: printer}",
        'office: {channel: printer}\n  ‹"a\\u200bb": {channel: printer}',
        "a name has no tabs and other signs in it that nobody sees",
    ),
}


@pytest.mark.parametrize("case", TABLE)
def test_one_mistake(case: str, tmp_path: Path) -> None:
    old, new, text = TABLE[case]
    file, place = marked(changed(old, new))
    assert said(read(tmp_path, file)) == [f"{place}: {text}"]


def test_missing_folder_of_templates(tmp_path: Path) -> None:
    assert said(read(tmp_path, changed("{dir: texts}", "{dir: text}"))) == [
        "32:18: there is no such folder",
    ]


def test_templates_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "old.j2").write_bytes("故障".encode("gbk"))
    (tmp_path / "texts" / "big.j2").write_bytes(b"x" * ((128 << 10) + 1))
    (tmp_path / "texts" / "folder.j2").mkdir()
    assert said(read(tmp_path, changed("template: fault", "template: falt"))) == [
        "21:37: there is no template `falt` (falt.paper.j2 or falt.j2); did you mean `fault`?",
        "32:18: big.j2 is larger than 128 KiB",
        "32:18: folder.j2 cannot be read (Is a directory)",
        "32:18: old.j2 is not UTF-8; save it as UTF-8",
    ]


def test_a_folder_of_templates_that_nobody_may_look_at(tmp_path: Path) -> None:
    """Root may look at everything; a name that the system refuses is like one that it keeps from us."""
    name = "x" * 300
    assert said(read(tmp_path, changed("{dir: texts}", f"{{dir: {name}}}"))) == [
        f"32:18: {name} cannot be read (File name too long)",
    ]


def test_more_than_one_record_can_hold(tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    for number in range(8):
        (tmp_path / "texts" / f"t{number}.j2").write_bytes(b"x" * (127 << 10))
    (mistake,) = said(read(tmp_path))
    said_of_all = r"1:1: 10[12]\d KiB with its templates and tables; at most 900 KiB can be published"
    assert re.fullmatch(said_of_all, mistake)


@pytest.mark.parametrize("address", ["localhost:80", "[::1]:8700", "127.9.9.9:0"])
def test_loopback_needs_no_certificate(address: str, tmp_path: Path) -> None:
    assert said(read(tmp_path, changed("127.0.0.1:8700", address))) == []


@pytest.mark.parametrize("address", ["[::]:8700", "plant.example:8700", "10.0.0.1:8700"])
def test_other_addresses_do(address: str, tmp_path: Path) -> None:
    (mistake,) = said(read(tmp_path, changed("127.0.0.1:8700", address)))
    assert "plain HTTP is refused" in mistake
    with_tls = changed('{address: "127.0.0.1:8700"}', f'{{address: "{address}", cert: c.pem, key: k.pem}}')
    assert said(read(tmp_path, with_tls)) == []


def test_a_cluster_of_ones_own(tmp_path: Path) -> None:
    brokers = "k1:9093, k2.corp.cn:9093,[fe80::1]:9093"
    kafka = f'{{bootstrap: "{brokers}", replication: 3, tls: {{}}, sasl: {{user: env:U, password: env:P}}'
    assert said(read(tmp_path, changed("{bootstrap: embedded, partitions: 6", kafka))) == []


@pytest.mark.parametrize("url", ["sqlite:////data/andon/store", "postgresql+psycopg://db/andon", "env:STORE_URL"])
def test_stores(url: str, tmp_path: Path) -> None:
    assert said(read(tmp_path, changed("version: 1\n", f"version: 1\nstore: {{url: '{url}'}}\n"))) == []


@pytest.mark.parametrize("store", ["hosts: 2", "hosts: 2, url: 'sqlite:////data/andon/store'"])
def test_sqlite_is_refused_for_several_hosts(store: str, tmp_path: Path) -> None:
    (mistake,) = said(read(tmp_path, changed("version: 1\n", f"version: 1\nstore: {{{store}}}\n")))
    assert "SQLite serves one host, not 2" in mistake
    postgres = "hosts: 2, url: 'postgresql+psycopg://db/andon'"
    assert said(read(tmp_path, changed("version: 1\n", f"version: 1\nstore: {{{postgres}}}\n"))) == []


@pytest.mark.parametrize("hosts", ['"2"', "+2.0", "'on'"])
def test_what_is_no_number_is_no_way_past_a_rule_about_one(hosts: str, tmp_path: Path) -> None:
    (mistake,) = said(read(tmp_path, changed("version: 1\n", f"version: 1\nstore: {{hosts: {hosts}}}\n")))
    assert mistake.endswith("`hosts` must be a whole number")


def test_what_an_address_elsewhere_names_is_looked_at_and_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = changed("version: 1\n", "version: 1\nstore: {url: 'env:STORE_URL', hosts: 2}\n")
    assert said(read(tmp_path, text)) == []
    monkeypatch.setenv("STORE_URL", "sqlite:////data/hidden")
    (mistake,) = said(read(tmp_path, text))
    assert "SQLite serves one host, not 2" in mistake
    monkeypatch.setenv("STORE_URL", "mysql://andon:hidden@db/andon")
    (mistake,) = said(read(tmp_path, text))
    assert "must be sqlite:////folder or postgresql+psycopg://host/name" in mistake
    assert "hidden" not in mistake


def test_address_of_a_store_with_a_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read(tmp_path, changed("version: 1\n", "version: 1\nstore: {url: 'env:STORE_URL'}\n")).settings
    assert settings.store.url == "env:STORE_URL"
    monkeypatch.setenv("STORE_URL", "postgresql+psycopg://andon:pw@db/andon")
    assert settings.store.address() == "postgresql+psycopg://andon:pw@db/andon"
    assert Store().address() is None


# Every word of the whole product's file that has no part yet, in the shape people will write it.
LATER = """\
version: 1
access: {sign_in: wecom, roles: {}}
sources:
  db: {kind: sql, view: v}
  plc: {kind: opcua}
  sap: {kind: odata}
  chat: {kind: wecom_aibot}
  clock: {kind: schedule}
  door: {kind: door, token: env:T, labels: {}}
logins: {sap: {url: "https://sap.example"}}
connectors: {spare: {kind: odata}, people: {kind: wecom_contacts}}
channels:
  phone: {kind: aliyun_voice}
  p: {kind: paper, keys: [], limits: {}}
receivers:
  it: {channel: p, to: ["role:班长", "department:采购部", "rota:x"], actions: [take], fallback: [], if_nobody: it}
rota: {x: {}}
escalations: {x: []}
ticket_systems: {pm: {kind: rest}, own: {kind: builtin}, b: {kind: book, login: sap, reconcile: "02:30"}}
episodes: {f: {reopen_within: 30m, flapping: 3/10m, stale_after: 24h, ticket_system: b}}
route:
  receiver: it
  group_by: [line]
  group_wait: 5s
  routes: [{group_interval: 1m, repeat_interval: 2h, routes: [{escalation: x}]}]
inhibit_rules: []
maintenance: {}
templates: {mask: [phone]}
limits: {per_person: {notices: 12/h}, storm: {over: 200/m}}
audit: {keep: 190d}
watch: {receiver: it, quota_left: 20%, certificates: 30d, disk: 80%, drill: {}}
"""


def test_words_of_later_parts_are_refused_by_name(tmp_path: Path) -> None:
    texts = [mistake.text for mistake in read(tmp_path, LATER).mistakes]
    assert {text for text in texts if not text.endswith(" is not in this version")} == set()
    words = {text.removeprefix("kind ").split("`")[1].rstrip(":") for text in texts}
    known = {word for kinds in KINDS.values() for word in kinds} | RECIPIENTS
    known |= {
        key
        for path, keys in KEYS.items()
        for key in keys
        if path[-1:] != ("*",) or path[0] in ("receivers", "episodes")
    }
    assert known <= words
    assert {"labels", "limits", "login", "reconcile"} <= words


def test_no_word_of_a_later_part_is_a_key_by_now() -> None:
    for path, words in KEYS.items():
        way = tuple(0 if step == "*" and path[0] == "enrich" else step for step in path)
        assert words.isdisjoint(keys_at(Settings, way)), path
