"""What a stand-in's record says of a load: seen, digested, cut, doubled. And what its lenient form reads."""

from __future__ import annotations

import msgspec

from tests.bench.corp import _read, member
from tests.bench.notices import Told, notices
from tests.rig.record import MARK


def told(*texts: str) -> Told:
    return Told({"content": text} for text in texts)


def test_a_load_has_distinct_notices_some_too_long_for_one_message() -> None:
    given = notices(40)
    assert len({one.text for one in given}) == 40
    assert [one.id for one in given if len(one.text.encode()) > 2_048] == ["F-000", "F-020"]


def test_what_was_seen_whole_in_parts_marked_and_in_a_digest() -> None:
    first, second, third = notices(3)
    found = told(
        first.text[:300], first.text[300:], second.text, MARK + second.text, "【合并 7 条】\n[F-009] x [/F-009]"
    )
    assert found.seen == {first.id, second.id}
    assert (found.cut, found.doubled, found.digested) == (0, 0, 7)
    assert set(found.marked) == {second.id}
    assert third.id not in found.seen


def test_what_was_cut_and_what_came_twice() -> None:
    first, second = notices(2)
    found = told(first.text[:300], second.text, second.text)
    assert (found.cut, found.doubled) == (1, 1)


def test_the_second_part_of_a_digest_is_no_notice() -> None:
    first, second = notices(2)
    found = told(f"(1/2)\n【合并 7 条】\n12:00 {first.text}", f"(2/2)\n12:01 M-07 {second.text}")
    assert (found.seen, found.digested) == (set(), 7)
    assert told(f"(1/2)\n{first.text[:300]}", f"(2/2)\n{first.text[300:]}").whole == {first.id}


def test_a_digest_that_came_again_counts_once() -> None:
    assert told("【合并 7 条】 a", MARK + "【合并 7 条】 a").digested == 7


def test_numbers_as_texts_and_parts_that_are_empty_are_read_as_the_vendor_reads_them() -> None:
    body = {"agentid": "7", "safe": "0", "msgtype": "text", "text": {"content": "x"}, "markdown": {"content": ""}}
    wanted = {"agentid": 7, "safe": 0, "msgtype": "text", "text": {"content": "x"}}
    assert msgspec.json.decode(_read(msgspec.json.encode(body))) == wanted
    for odd in (b"", b"{", b"[]"):
        assert _read(odd) == odd


def test_members_have_names_of_their_own() -> None:
    assert len({member(number) for number in range(100_000)}) == 100_000
