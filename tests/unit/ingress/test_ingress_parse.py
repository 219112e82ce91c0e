"""What the HTTP source takes, and how it names what it does not take."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from andon.config.secrets import SecretRef
from andon.core.failure import Invalid, Rejected
from andon.core.ids import minted_at
from andon.core.ports import Context, Inbound
from andon.core.reason import Reason
from andon.ingress.bodies.draft import Draft
from andon.ingress.bodies.randomness import Randomness
from andon.ingress.sources.http import HttpSource
from andon.testing.clock import ManualClock

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
CLOCK = ManualClock(1_760_000_000.0)


def source(**config: Any) -> HttpSource:
    counter = iter(range(1, 1_000_000))
    context = Context("mes", Path(), CLOCK, None)  # type: ignore[arg-type]  # nothing is called through it
    return HttpSource(
        HttpSource.Config(token=SecretRef("env:NONE"), **config),
        context,
        random=lambda size: next(counter).to_bytes(size, "big"),
    )


def sent(body: Any, headers: dict[str, str] | None = None) -> Draft:
    raw = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
    return source().draft(Inbound("mes", headers or {}, raw))


def event_with(**fields: Any) -> bytes:
    return json.dumps({"type": "mes.fault.raised", **fields}, ensure_ascii=False).encode()


def nested(levels: int) -> bytes:
    """An event nested so many levels deep: itself, `data`, and arrays."""
    return b'{"type":"t","data":{"a":' + b"[" * (levels - 2) + b"]" * (levels - 2) + b"}}"


BAD = [
    (event_with(colour="red"), Reason.INVALID, "colour"),
    (event_with(facts={"line": "L3"}), Reason.INVALID, "facts"),
    (event_with(origin=[]), Reason.INVALID, "origin"),
    (event_with(traceparent="00-" + "1" * 32 + "-" + "1" * 16 + "-01"), Reason.INVALID, "traceparent"),
    (b"{}", Reason.INVALID, "type"),
    (b'{"type":""}', Reason.INVALID, "type"),
    (b'{"type":null}', Reason.INVALID, "type"),
    (b'{"type":7}', Reason.INVALID, "type"),
    (event_with(id=7), Reason.INVALID, "id"),
    (event_with(id=None), Reason.INVALID, "id"),
    (event_with(id=""), Reason.INVALID, "id"),
    (event_with(id="a\nb"), Reason.INVALID, "id"),
    (event_with(id="a\x7f"), Reason.INVALID, "id"),
    (event_with(id="a\x85"), Reason.INVALID, "id"),
    (event_with(id="x" * 513), Reason.INVALID, "id"),
    (event_with(subject="设" * 171), Reason.INVALID, "subject"),
    (event_with(subject=""), Reason.INVALID, "subject"),
    (event_with(source=["a"]), Reason.INVALID, "source"),
    (event_with(source="a\u0000b"), Reason.INVALID, "source"),
    (event_with(data=[1]), Reason.INVALID, "data"),
    (event_with(data="text"), Reason.INVALID, "data"),
    (event_with(data=None), Reason.INVALID, "data"),
    (event_with(labels=["a"]), Reason.INVALID, "labels"),
    (event_with(labels={"line": "L3", "severity": 1}), Reason.INVALID, "labels.severity"),
    (event_with(labels={"line": None}), Reason.INVALID, "labels.line"),
    (event_with(time="2026-03-01T08:30:00"), Reason.INVALID, "time"),
    (event_with(time="2026-03-01"), Reason.INVALID, "time"),
    (event_with(time="yesterday"), Reason.INVALID, "time"),
    (event_with(time=1_760_000_000), Reason.INVALID, "time"),
    (event_with(time="0001-01-01T00:00:00+14:00"), Reason.INVALID, "time"),
    (event_with(time="9999-12-31T23:59:59-14:00"), Reason.INVALID, "time"),
    (b'{"type":"a","type":"b"}', Reason.MALFORMED, "type"),
    (b'{"type":"a","data":{"n":1,"n":1}}', Reason.MALFORMED, "data.n"),
    (b'{"type":"a","data":{"n":[{"m":{}},{"m":{"k":1,"k":2}}]}}', Reason.MALFORMED, "data.n[1].m.k"),
    (b'{"type":"a","labels":{"line":"1","line":"2"}}', Reason.MALFORMED, "labels.line"),
    # The escape writes a colon that the raw text does not hold, and so hides the one that is lost with a key.
    (b'{"type":"a","data":{"n":1,"n":2,"t":"\\u003a"}}', Reason.MALFORMED, "data.n"),
    (b'{"type":"a","data":{"n":1,"n":2,"t":"\\u003A"}}', Reason.MALFORMED, "data.n"),
    (b'{"type":"a","data":{"a:":1,"a\\u003a":2}}', Reason.MALFORMED, "data.a:"),
    (b'{"type":"a","\\u0074ype":"b"}', Reason.MALFORMED, "type"),
    (b'{"type":"a","data":{"v":NaN}}', Reason.MALFORMED, ""),
    (b'{"type":"a","data":{"v":-Infinity}}', Reason.MALFORMED, ""),
    (b'{"type":"a","data":{"v":1e999}}', Reason.INVALID, "data[...]"),
    (b'{"type":"a","data":{"v":"\xff"}}', Reason.MALFORMED, ""),
    (b'{"type":"a","data":{"v":"\\ud800"}}', Reason.MALFORMED, ""),
    (b'\xef\xbb\xbf{"type":"a"}', Reason.MALFORMED, ""),
    (b'\x0b{"type":"a"}', Reason.MALFORMED, ""),
    (b"", Reason.MALFORMED, ""),
    (b'{"type":"a"', Reason.MALFORMED, ""),
    (b'{"type":"a"} {}', Reason.MALFORMED, ""),
    (b"{'type':'a'}", Reason.MALFORMED, ""),
    (b'[{"type":"a"}]', Reason.INVALID, ""),
    (b'"text"', Reason.INVALID, ""),
    (nested(65), Reason.MALFORMED, ""),
    (nested(900), Reason.MALFORMED, ""),
    (nested(500_000), Reason.MALFORMED, ""),
    (b'{"type":"a","data":{"a":' + b"[" * 500_000, Reason.MALFORMED, ""),
]


@pytest.mark.parametrize(("raw", "reason", "field"), BAD, ids=[raw[:60].decode("latin-1") for raw, _, _ in BAD])
def test_what_is_wrong_is_named(raw: bytes, reason: Reason, field: str) -> None:
    with pytest.raises(Invalid) as caught:
        sent(raw)
    assert (caught.value.reason, caught.value.field) == (reason, field)
    assert caught.value.detail
    assert "\n" not in caught.value.detail
    assert isinstance(caught.value, Rejected)


@pytest.mark.parametrize("text", [r"\ud83d", r"\uD83D more of it", r"\ud83d\u0041", r"\ude00 more of it"])
@pytest.mark.parametrize("frame", ["%s", "[%s]", '[%s, {"type": "t", "subject": "another one"}]'])
def test_half_a_character_is_named(text: str, frame: str) -> None:
    """As a program leaves it that cuts texts by UTF-16, JavaScript's way."""
    body = frame % f'{{"type":"t","data":{{"v":"{text}"}}}}'
    with pytest.raises(Invalid, match="half a character") as refusal:
        source().parse(Inbound("mes", {"content-type": "application/json"}, body.encode()))
    assert refusal.value.reason is Reason.MALFORMED


def test_a_body_that_ends_within_a_text_is_truncated_whatever_its_characters_are() -> None:
    with pytest.raises(Invalid, match="truncated"):
        sent(rb'{"type":"t","data":{"v":"\ud83d\ude00')


def test_nan_is_named_and_a_text_that_mentions_it_is_not_meant() -> None:
    with pytest.raises(Invalid, match="NaN"):
        sent(b'{"type":"a","data":{"v":NaN}}')
    with pytest.raises(Invalid) as caught:
        sent(b'{"type":"a","data":{"v":" NaN"},}')
    assert "NaN" not in caught.value.detail


def test_all_that_is_given_arrives_unchanged() -> None:
    body = {
        "id": "E-1",
        "source": "line-3-plc",
        "type": "mes.fault.raised",
        "subject": "line-3/M-07",
        "time": "2026-03-01T08:30:00.250+08:00",
        "data": {"code": "E42", "说明": "主轴过载:停", "n": 12345678901234567890123, "deep": [[{"a": None}]], "f": 0.1},
        "labels": {"state": "raise", "severity": "critical"},
    }
    event = sent(body).event
    assert event.time == datetime(2026, 3, 1, 0, 30, 0, 250_000, tzinfo=UTC)
    assert (event.id, event.source, event.subject, event.type) == ("E-1", "line-3-plc", "line-3/M-07", body["type"])
    assert (event.data, event.labels, event.facts, event.origin) == (body["data"], body["labels"], {}, ())


def test_the_record_is_what_was_written_and_what_the_door_adds() -> None:
    given = (
        b'{ "type":"t", "id":"E-1","subject":"s","source":"x",'
        b'"data":{"b":71.50,"a":"\\u8bf4"},\n"time":"2026-03-01T08:30:00Z" }'
    )
    draft = sent(b"\n " + given + b" \n", {"traceparent": TRACE})
    assert draft.record == given[:-1] + b',"traceparent":"' + TRACE.encode() + b'"}'
    assert list(draft.event.data.items()) == [("b", 71.5), ("a", "说")]
    filled = json.loads(sent(b'{"type":"t"}', {"traceparent": TRACE}).record)
    assert filled.pop("id")
    assert filled.pop("time")
    assert filled == {"type": "t", "source": "mes", "subject": "mes", "data": {}, "traceparent": TRACE}


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("2026-03-01T08:30:00.250+08:00", "2026-03-01T08:30:00.250+08:00"),
        ("2026-03-01T00:30:00Z", "2026-03-01T00:30:00Z"),
        ("2026-03-01T08:30:00+0800", "2026-03-01T08:30:00+08:00"),
        ("2026-03-01t00:30:00z", "2026-03-01T00:30:00+00:00"),
        ("2026-03-01 00:30:00Z", "2026-03-01T00:30:00+00:00"),
    ],
)
def test_a_time_stands_in_the_record_as_any_reader_takes_it(written: str, kept: str) -> None:
    draft = sent({"type": "t", "time": written, "data": {"b": 1, "a": 2}})
    assert json.loads(draft.record)["time"] == kept
    assert (draft.event.time, draft.event.data) == (datetime.fromisoformat(kept), {"b": 1, "a": 2})


@pytest.mark.parametrize("text", ["2026-03-01T08:30:00\\u005a", '2026-03-01T08:30:00Z"', "", "Z"])
def test_a_time_that_only_looks_like_one_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        sent({"type": "t", "time": text})
    assert caught.value.field == "time"


def test_what_is_missing_is_filled_in() -> None:
    event = sent({"type": "t"}).event
    assert (event.source, event.subject, event.data, event.labels) == ("mes", "mes", {}, {})
    assert event.time.timestamp() == CLOCK.now()
    assert minted_at(event.id) == CLOCK.now()
    assert event.traceparent is not None
    assert event.traceparent.startswith("00-")
    configured = source(source="plant/mes").draft(Inbound("mes", {}, b'{"type":"t","data":{}}')).event
    assert (configured.source, configured.subject) == ("plant/mes", "plant/mes")


def test_limits_are_reached_and_not_crossed() -> None:
    assert sent(event_with(id="x" * 512, subject="设" * 170)).event.id == "x" * 512
    assert sent(nested(64)).event.data
    wide = {"type": "t", "data": {"rows": [[i, {"v": "}]{["}] for i in range(500)]}}
    assert sent(wide).event.data == wide["data"]  # many brackets, also in texts, are no depth


def test_an_idempotency_key_gives_the_same_id_to_a_repetition_and_to_nobody_else() -> None:
    first = sent({"type": "t"}, {"idempotency-key": "k1"})
    again = sent({"type": "t"}, {"idempotency-key": "k1"})
    assert first.event.id == again.event.id
    assert UUID(first.event.id).version == 5
    assert first.keys == again.keys
    assert len({first.keys, sent({"type": "t"}, {"idempotency-key": "k2"}).keys}) == 2
    other_client = source().draft(Inbound("erp", {"idempotency-key": "k1"}, b'{"type":"t"}'))
    assert other_client.event.id != first.event.id
    assert sent({"type": "t", "source": "b"}, {"idempotency-key": "k1"}).event.id != first.event.id


def test_keys_follow_client_source_and_id() -> None:
    def keys(client: str, **fields: Any) -> tuple[bytes, ...]:
        return source().draft(Inbound(client, {}, event_with(**fields))).keys

    assert sent({"type": "t"}).keys == ()
    assert len({keys("a", id="1"), keys("b", id="1"), keys("a", id="2"), keys("a", id="1", source="s")}) == 4
    both = sent({"type": "t", "id": "1"}, {"idempotency-key": "k"})
    assert both.event.id == "1"
    assert len(both.keys) == 2


def test_an_id_that_was_read_in_the_answer_to_the_same_idempotency_key_is_one_key() -> None:
    minted = sent({"type": "t"}, {"idempotency-key": "k1"})
    again = sent({"type": "t", "id": minted.event.id}, {"idempotency-key": "k1"})
    assert (again.event.id, again.keys) == (minted.event.id, minted.keys)


@pytest.mark.parametrize("key", ["", "x" * 513, "a\tb", "钥匙"])
def test_a_bad_idempotency_key_is_named(key: str) -> None:
    with pytest.raises(Invalid) as caught:
        sent({"type": "t"}, {"idempotency-key": key})
    assert caught.value.field == "Idempotency-Key"


def test_the_digest_is_of_the_content_and_not_of_its_spelling() -> None:
    one = sent(b'{"type":"t","data":{"a":1,"b":"\\u00e9"},"labels":{"x":"1","y":"2"}}')
    two = sent(b'{ "labels": {"y":"2","x":"1"}, "data": {"b":"\xc3\xa9", "a": 1}, "type": "t" }')
    assert one.digest == two.digest
    assert one.digest != sent(b'{"type":"t","data":{"a":1,"b":"\\u00e9"},"labels":{"x":"1","y":"3"}}').digest
    assert sent({"type": "t"}).digest == sent({"type": "t"}).digest  # minted id, time and trace are no content


def test_a_valid_traceparent_is_kept() -> None:
    given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    assert sent({"type": "t"}, {"traceparent": given}).event.traceparent == given
    assert sent({"type": "t"}, {"traceparent": given.upper()}).event.traceparent != given


def batch(inbound: Inbound) -> list[Draft | Invalid]:
    return source().drafts(inbound, source().elements(inbound))


def array(*events: bytes) -> Inbound:
    return Inbound("mes", {}, b"[" + b",".join(events) + b"]")


def test_a_batch_answers_for_each_event() -> None:
    drafts = batch(array(event_with(id="1"), b'{"type":""}', b'{"type":"t","data":{"n":1,"n":2}}', b"7"))
    assert [type(draft) for draft in drafts] == [Draft, Invalid, Invalid, Invalid]
    assert [draft.field for draft in drafts if isinstance(draft, Invalid)] == ["type", "data.n", ""]


def fits_an_array(raw: bytes) -> bool:
    """Whether an array that holds it is refused for its sake alone, not as a whole."""
    try:
        return len(source().elements(array(raw))) == 1
    except Invalid:
        return False


ODD = [
    event_with(id="o", data={"list": [1, [2, {"deep": []}]]}),
    event_with(id="o", data={f"k{n}": n for n in range(70)}),
    event_with(id="o", data={"text": 'a "quoted": text\n'}),
    event_with(id="o", subject="产线三·冲压机" * 20),
    event_with(id="o", subject="产线三·冲压机" * 30),
    event_with(id="o", subject="a\x7fb"),
    event_with(id="o", subject="a\x85b"),
    event_with(id="o", time="2026-03-01 08:30:00+0800"),
    event_with(id="o", data={"n": 1e5}),
    b'{ "type" : "t",\n\t"id":"o" , "data":{"a" :1} }',
    b'{"type":"t","id":"o","data":{"a":1,"a":2}}',
    b'{"type":"t","id":"o","type":"t"}',
    b'{"type":"t","id":"o","data":{"a":1,"a":2,"b":"\\u003a"}}',
    b'{"type":"t","id":"o","data":{"a":"\\u003A"}}',
    nested(64)[:-1] + b',"id":"o"}',
    nested(65),
    nested(900),
    b'{"type":"t","data":' + b'{"a":' * 64 + b"1" + b"}" * 65,
    *(raw for raw, _, _ in BAD if fits_an_array(raw)),
]


@pytest.mark.parametrize("odd", ODD, ids=[raw[:60].decode("latin-1") for raw in ODD])
def test_an_event_is_judged_in_a_batch_as_it_is_alone(odd: bytes) -> None:
    events = [event_with(id="a", source="s"), odd, event_with(id="b", data={"n": 1})]
    for answer, raw in zip(batch(array(*events)), events, strict=True):
        try:
            alone: Draft | Invalid = sent(raw)
        except Invalid as invalid:
            alone = invalid
        assert type(answer) is type(alone)
        assert str(answer) == str(alone)
        assert isinstance(answer, Draft) or vars(answer) == vars(alone)


@pytest.mark.parametrize(
    ("count", "fits"), [(0, False), (1, True), (1_000, True), (1_001, False)], ids=["0", "1", "1000", "1001"]
)
def test_a_batch_has_1_to_1000_events(count: int, fits: bool) -> None:
    inbound = array(*[b'{"type":"t"}'] * count)
    if fits:
        assert len(batch(inbound)) == count
    else:
        with pytest.raises(Invalid, match="1 to 1,000"):
            batch(inbound)


@pytest.mark.parametrize("raw", [b"{}", b"", b"7", b"[", b"[1,]", b'[{"type":"t"}', b"[" * 1_000_000])
def test_a_body_that_is_no_array_is_refused_as_a_whole(raw: bytes) -> None:
    with pytest.raises(Invalid):
        batch(Inbound("mes", {}, raw))


@pytest.mark.parametrize("raw", [b"[]", b"[[]]", b"[" * 500 + b"]" * 500, b"[{}]", b"[null]"])
def test_an_array_without_an_event_is_refused(raw: bytes) -> None:
    with pytest.raises(Invalid):
        source().parse(Inbound("mes", {}, raw))


def test_a_key_for_a_whole_batch_is_refused() -> None:
    with pytest.raises(Invalid) as caught:
        batch(Inbound("mes", {"idempotency-key": "k"}, b'[{"type":"t"}]'))
    assert caught.value.field == "Idempotency-Key"


def test_parse_takes_an_object_or_an_array() -> None:
    assert [event.id for event in source().parse(Inbound("mes", {}, event_with(id="1")))] == ["1"]
    assert [event.id for event in source().parse(array(event_with(id="1"), event_with(id="2")))] == ["1", "2"]
    with pytest.raises(Invalid):
        source().parse(array(event_with(id="1"), event_with(id="")))


def test_random_bytes_are_given_out_once() -> None:
    fetched: list[bytes] = []

    def fetch(size: int) -> bytes:
        fetched.append(bytes([len(fetched)]) * size)
        return fetched[-1]

    randomness = Randomness(fetch)
    taken = [randomness.take(24) for _ in range(342)]
    assert taken[:341] == [b"\0" * 24] * 341
    assert taken[341] == b"\1" * 24, "8 bytes are left, too few, and not mixed into the next"
    assert len({Randomness().take(10) for _ in range(100)}) == 100
