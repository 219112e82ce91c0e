"""Which addresses may be connected to, by what they are and not by how they are written."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.web.address import checked_host, parse
from andon.web.guard import Guard, kind_of, require_entry

STRICT = Guard(())
OWN = Guard(None)

REFUSED = {
    "127.0.0.1": "a loopback",
    "127.255.255.254": "a loopback",
    "::1": "a loopback",
    "0.0.0.0": "the unspecified",
    "0.1.2.3": "the unspecified",
    "::": "the unspecified",
    "10.0.0.1": "a private",
    "172.31.255.255": "a private",
    "192.168.1.1": "a private",
    "fc00::1": "a private",
    "fdff::1": "a private",
    "169.254.1.1": "a link-local",
    "fe80::1": "a link-local",
    "169.254.169.254": "a metadata service's",
    "fd00:ec2::254": "a metadata service's",
    "100.100.100.200": "a metadata service's",
    "168.63.129.16": "a metadata service's",
    "100.64.0.1": "a carrier's shared",
    "100.127.255.255": "a carrier's shared",
    "224.0.0.1": "a multicast",
    "ff02::1": "a multicast",
    "64:ff9b::a01:203": "a NAT64",
    "64:ff9b:1::1": "a NAT64",
    "2002:a01:203::1": "a 6to4",
    "2001:0:1::1": "a Teredo",
    "::ffff:8.8.8.8": "an IPv4-mapped",
    "::ffff:10.1.2.3": "an IPv4-mapped",
    "::8.8.8.8": "an IPv4-compatible",
    "240.0.0.1": "a reserved",
    "255.255.255.255": "a reserved",
    "192.0.2.1": "a reserved",
    "198.18.0.1": "a reserved",
    "2001:db8::1": "a reserved",
    "fec0::1": "a reserved",
    "4000::1": "a reserved",
    "100::1": "a reserved",
}


@pytest.mark.parametrize(("address", "kind"), REFUSED.items())
def test_what_is_not_public_is_refused_by_name(address: str, kind: str) -> None:
    assert STRICT.refuses("hook.test", address) == kind


@pytest.mark.parametrize("address", ["8.8.8.8", "100.63.255.255", "100.128.0.0", "172.32.0.1", "2606:4700::1111"])
def test_public_addresses_are_not(address: str) -> None:
    assert STRICT.refuses("hook.test", address) is None


@given(st.ip_addresses())
def test_nothing_that_the_standard_library_calls_special_passes(address: IPv4Address | IPv6Address) -> None:
    if not address.is_global or address.is_multicast:
        assert kind_of(address)


@given(st.ip_addresses(v=4), st.sampled_from(["::ffff:{}", "64:ff9b::{}", "::{}", "::ffff:0:{}"]))
def test_an_address_within_an_address_is_never_a_way_around(inner: IPv4Address, form: str) -> None:
    assert STRICT.refuses("hook.test", form.format(inner))
    assert Guard((f"{inner}/32",)).refuses("hook.test", form.format(inner))


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "10.0.0.1", "192.168.1.1", "100.64.0.1", "fc00::1"])
def test_what_the_operator_wrote_down_may_stand_on_networks_of_his_own(address: str) -> None:
    assert OWN.refuses("robot.corp.cn", address) is None


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "100.100.100.200", "fd00:ec2::254", "0.0.0.0", "fe80::1", "::ffff:10.1.2.3"]
)
def test_but_nowhere_where_no_server_is(address: str) -> None:
    assert OWN.refuses("robot.corp.cn", address)


def test_an_allowed_network_opens_itself_and_no_more() -> None:
    guard = Guard(("10.1.0.0/16", "fd12::/16"))
    assert guard.refuses("hook.test", "10.1.255.255") is None
    assert guard.refuses("hook.test", "fd12::1") is None
    assert guard.refuses("hook.test", "10.2.0.1")
    assert guard.refuses("hook.test", "127.0.0.1")


def test_metadata_is_opened_by_its_own_name_only() -> None:
    assert Guard(("0.0.0.0/0",)).refuses("x", "169.254.169.254")
    assert Guard(("fd00::/8",)).refuses("x", "fd00:ec2::254")
    assert Guard(("169.254.169.254",)).refuses("x", "169.254.169.254") is None


def test_an_allowed_name_counts_as_written_down() -> None:
    guard = Guard(("Hooks.corp.cn", "10.1.0.0/16"))
    assert guard.trusts("hooks.CORP.cn")
    assert guard.refuses("hooks.corp.cn", "192.168.3.4") is None
    assert guard.refuses("hooks.corp.cn", "169.254.169.254")
    assert not guard.trusts("evil.hooks.corp.cn")


def test_a_zone_does_not_hide_a_link_local_address() -> None:
    assert STRICT.refuses("x", "fe80::1%eth0") == "a link-local"


@pytest.mark.parametrize("host", ["weiß.de", "ẞ.de", "νίκος.gr", "a\u200db.cn"])
def test_a_name_that_is_another_one_by_the_older_rule_is_refused(host: str) -> None:
    """Calls for weiß.de went to weiss.de, which is somebody else's."""
    with pytest.raises(ValueError, match="write it in ASCII"):
        parse(f"https://{host}/hook")


def test_other_letters_become_ascii() -> None:
    assert parse("https://公司.cn:8443/x").origin == (True, "xn--55qx5d.cn", 8443)


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "0x7f.0.0.1",
        "127.1",
        "127.0.1",
        "127.0.0.01",
        "127.0.0.1.",
        "0x7f.1",
        "256.1.1.1",
        "1.2.3.4.5",
        "0",
        "0x",
        "[127.0.0.1]",
        "[::1%lo]",
        "::1",
        "a b",
        "",
        "-a.cn",
        "a..b",
        "ａ.cn",
        "a/b",
    ],
)
def test_odd_spellings_of_addresses_and_names_are_refused(host: str) -> None:
    with pytest.raises(ValueError, match=r"no host|four decimal numbers"):
        checked_host(host)


@pytest.mark.parametrize(
    ("host", "plain"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("[::1]", "::1"),
        ("a.cn", "a.cn"),
        ("a.cn.", "a.cn."),
        ("x_y.a-1.cn", "x_y.a-1.cn"),
        ("3com.com", "3com.com"),
        ("face.b0c", "face.b0c"),
    ],
)
def test_usual_ones_are_taken(host: str, plain: str) -> None:
    assert checked_host(host) == plain


@given(st.integers(0, 2**32 - 1))
def test_every_number_is_refused_as_a_host(number: int) -> None:
    for text in (str(number), hex(number), f"0{number:o}"):
        with pytest.raises(ValueError, match="four decimal"):
            checked_host(text)


@pytest.mark.parametrize("text", ["10.1.0.0/16", "10.1.2.3", "fd12::/16", "::1", "hooks.corp.cn", "localhost"])
def test_entries_of_allow(text: str) -> None:
    assert require_entry(text) == text


@pytest.mark.parametrize("text", ["10.1.0.1/16", "10.1", "10.1.0.0/33", "http://a.cn", "a.cn:80", "*", "", "*.corp.cn"])
def test_what_is_no_entry_of_allow(text: str) -> None:
    with pytest.raises(ValueError, match="neither a network"):
        require_entry(text)
