"""Whose address a request comes from: what proxies say, what is forged, and how addresses are written."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.ingress.entry.caller import Networks, address_of, caller, group_of

PROXIES = Networks(["10.0.0.0/8", "fd00::/8"])


@pytest.mark.parametrize(
    ("peer", "told", "expected"),
    [
        ("203.0.113.9", [], "203.0.113.9"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        # Who is no trusted proxy may write what he likes.
        ("203.0.113.9", ["10.0.0.7"], "203.0.113.9"),
        ("203.0.113.9", ["192.0.2.1, 10.0.0.7"], "203.0.113.9"),
        # What the caller wrote stands on the left of what the proxies appended.
        ("10.0.0.1", ["192.0.2.1, 203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["192.0.2.1", "203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["192.0.2.1, 203.0.113.9, 10.0.0.2"], "203.0.113.9"),
        ("10.0.0.1", ["192.0.2.1, 203.0.113.9", "10.0.0.3, 10.0.0.2"], "203.0.113.9"),
        ("10.0.0.1", ["10.0.0.9, 203.0.113.9, 10.0.0.2"], "203.0.113.9"),
        # Within the plant all are trusted: the outermost called.
        ("10.0.0.1", ["10.9.9.9, 10.0.0.2"], "10.9.9.9"),
        # An IPv4 address is one, however it is written.
        ("::ffff:10.0.0.1", ["::ffff:203.0.113.9"], "203.0.113.9"),
        ("fd00::1%eth0", ["2001:db8::7"], "2001:db8::7"),
        ("10.0.0.1", ["203.0.113.9:4711"], "203.0.113.9"),
        ("10.0.0.1", ["[2001:db8::7]:443"], "2001:db8::7"),
        ("10.0.0.1", ["[::ffff:203.0.113.9]"], "203.0.113.9"),
        # Nobody can say, and nothing further left is believed.
        ("10.0.0.1", ["203.0.113.9, unknown"], None),
        ("10.0.0.1", ["203.0.113.9,"], None),
        ("10.0.0.1", [""], None),
        ("10.0.0.1", ["203.0.113.9, 010.0.0.2"], None),
        (None, ["203.0.113.9"], None),
        ("", [], None),
    ],
)
def test_x_forwarded_for(peer: str | None, told: list[str], expected: str | None) -> None:
    assert caller(peer, told, [], PROXIES) == expected


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["for=203.0.113.9"], "203.0.113.9"),
        (["For=203.0.113.9;proto=https;by=10.0.0.1"], "203.0.113.9"),
        (['for="[2001:db8:cafe::17]:4711"'], "2001:db8:cafe::17"),
        (['for="203.0.113.9:80" , for=10.0.0.2'], "203.0.113.9"),
        (["for=192.0.2.1, for=203.0.113.9", "for=10.0.0.2;host=a"], "203.0.113.9"),
        (['host="a,b";for=203.0.113.9'], "203.0.113.9"),
        (['for="192.0.2.1\\", for=203.0.113.9'], None),
        (['for="evil, for=203.0.113.9'], None),
        (["for=192.0.2.1;for=203.0.113.9"], None),
        (["for=_hidden, for=10.0.0.2"], None),
        (["for=unknown"], None),
        (["proto=https"], None),
        (["203.0.113.9"], None),
        ([""], None),
    ],
)
def test_forwarded(lines: list[str], expected: str | None) -> None:
    assert caller("10.0.0.1", [], lines, PROXIES) == expected


def test_two_headers_have_to_agree() -> None:
    """A proxy that writes one of them lets through what the caller writes into the other one."""
    same, forged = ["for=203.0.113.9"], ["for=10.5.5.5"]
    assert caller("10.0.0.1", ["203.0.113.9"], same, PROXIES) == "203.0.113.9"
    assert caller("10.0.0.1", ["203.0.113.9"], forged, PROXIES) is None


@given(st.lists(st.text(alphabet='0123456789abcdef.:,;="\\[]for _%', max_size=60), max_size=4))
def test_what_a_caller_forges_on_the_left_is_never_believed(lines: list[str]) -> None:
    """Whatever he sends, the proxy appends his own address."""
    appended = [*lines[:-1], f"{lines[-1]}, 203.0.113.9"] if lines else ["203.0.113.9"]
    assert caller("10.0.0.1", appended, [], PROXIES) == "203.0.113.9"
    standard = [*lines[:-1], f"{lines[-1]}, for=203.0.113.9"] if lines else ["for=203.0.113.9"]
    assert caller("10.0.0.1", [], standard, PROXIES) in ("203.0.113.9", None)


@pytest.mark.parametrize(
    "line", ['"\\' * 4_000, " " * 8_000, 'for="' * 1_600, ";" * 8_000, "a=b;" * 2_000, ",\t" * 4_000]
)
def test_no_header_takes_long(line: str) -> None:
    began = time.process_time()
    assert caller("10.0.0.1", [], [line], PROXIES) is None
    assert time.process_time() - began < 1.0


def test_networks() -> None:
    assert not Networks()
    assert "10.3.0.1" in Networks(["10.3.*.*"])
    assert "10.4.0.1" not in Networks(["10.3.*.*", "fd00::/8"])
    assert address_of("::ffff:10.3.0.1") in Networks(["10.3.*.*"])
    assert address_of("10.3.0.1") in Networks(["::ffff:10.3.0.0/112"])
    assert None not in Networks(["0.0.0.0/0", "::/0"])


def test_strangers_are_told_apart_by_what_one_subscriber_has() -> None:
    assert group_of("203.0.113.9") == "203.0.113.9"
    assert group_of("2001:db8:1:2:3:4:5:6") == group_of("2001:db8:1:2::9") == "2001:db8:1:2::/64"
    assert group_of(None) == "unknown"
