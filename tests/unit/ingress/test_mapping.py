"""Bodies of other systems as events: what real ones send, what a map can say, and what is said of a mistake."""

from __future__ import annotations

from typing import Any

import pytest

from andon.config.maps import Map
from andon.core.event import Event
from andon.core.failure import Invalid
from andon.core.ports import Mapped
from andon.ingress.mapping import EventMap, MapError

NOW = 1_764_144_000.0  # 2025-11-26T08:00:00Z
ZONE = "Asia/Shanghai"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

MES = {
    "type": "machine.fault",
    "subject": "{machine_no}",
    "labels": {
        "code": "{fault_code}",
        "state": {"from": "status", "table": {"ON": "raise", "OFF": "clear"}},
        "severity": {"from": "level", "table": {"1": "critical", "2": "major"}, "else": "minor"},
    },
}
WMS = {
    "each": "Alarms",
    "when": "AlarmType != 'HEARTBEAT'",
    "type": "wms.alarm",
    "subject": "{$.Header.Warehouse}/{Location}",
    "id": "{$.Header.MessageId}-{Seq}",
    "time": {"from": "RaisedAt", "format": "%Y/%m/%d %H:%M:%S"},
    "labels": {"code": "{AlarmType}", "aisle": {"from": "Aisle", "else": ""}},
    "data": {"weight": "{Weight}", "text": "{Text}", "tags": "{Tags}", "from": "{$.Header.Warehouse}"},
}
WMS_BODY = """{"Header": {"MessageId": "M-77", "Warehouse": "苏州"}, "Alarms": [
  {"Seq": 1, "AlarmType": "JAM", "Location": "A-01-03", "RaisedAt": "2025/11/26 08:30:00", "Weight": 12.50,
   "Text": "卡料", "Tags": ["x", 2], "Aisle": null},
  {"Seq": 2, "AlarmType": "HEARTBEAT"}]}"""
SOAP = {
    "body": "xml",
    "namespaces": {"s": "http://schemas.xmlsoap.org/soap/envelope/", "m": "urn:sap-com:document:pm"},
    "each": "/s:Envelope/s:Body/m:Notifications/m:Item",
    "type": "sap.notification",
    "subject": "{m:Equnr}",
    "id": "{m:Qmnum}",
    "time": {"from": "concat(m:Date, m:Time)", "format": "%Y%m%d%H%M%S"},
    "labels": {
        "prio": "{m:Priority/@code}",
        "plant": "{/s:Envelope/s:Header/m:Plant}",
        "state": {"from": "boolean(m:Done = 'X')", "table": {"true": "clear", "false": "raise"}},
    },
}
SOAP_BODY = """<?xml version="1.0" encoding="UTF-8"?>
<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/" xmlns="urn:sap-com:document:pm">
  <soap:Header><Plant> 1100 </Plant></soap:Header>
  <soap:Body><Notifications>
    <Item><Qmnum>000010004711</Qmnum><Equnr>10-1003</Equnr><Date>20251126</Date><Time>083000</Time>
      <Priority code="1">hoch</Priority><Done/><Text>主轴 &amp; 过热</Text></Item>
    <Item><Qmnum>000010004712</Qmnum><Equnr>10-1004</Equnr><Date>20251126</Date><Time>083100</Time>
      <Priority code="3"/><Done>X</Done></Item>
  </Notifications></soap:Body>
</soap:Envelope>"""
FORM = {
    "body": "form",
    "type": "scada.{事件}",
    "subject": "{设备编号}",
    "time": {"from": "ts", "format": "seconds"},
    "labels": {"code": '{"alarm-code"}', "zone": {"from": "zone[0]", "else": "none"}},
}


def mapped(rules: dict[str, Any], body: str | bytes, content_type: str = "") -> list[Event | Invalid | None]:
    one = EventMap(Map.model_validate(rules), ZONE)
    raw = body.encode() if isinstance(body, str) else body
    found = one.events(one.read(raw, content_type), "src", NOW, TRACE)
    return [made.event if isinstance(made, Mapped) else made for made in found]


def event(rules: dict[str, Any], body: str | bytes, content_type: str = "") -> Event:
    (made,) = mapped(rules, body, content_type)
    assert isinstance(made, Event)
    return made


def refusal(rules: dict[str, Any], body: str | bytes, content_type: str = "") -> Invalid:
    with pytest.raises(Invalid) as refused:
        mapped(rules, body, content_type)
    return refused.value


def test_the_map_of_the_contract() -> None:
    made = event(MES, '{"machine_no": "M7", "fault_code": 42, "status": "ON", "level": 1}')
    assert (made.source, made.type, made.subject, made.traceparent) == ("src", "machine.fault", "M7", TRACE)
    assert made.labels == {"code": "42", "state": "raise", "severity": "critical"}
    assert made.data == {"machine_no": "M7", "fault_code": 42, "status": "ON", "level": 1}
    assert made.time.timestamp() == NOW
    assert event(MES, '{"machine_no": "M7", "fault_code": 1, "status": "OFF"}').labels["severity"] == "minor"


def test_a_wms_with_a_list_a_heartbeat_and_a_header() -> None:
    made, left_out = mapped(WMS, WMS_BODY)
    assert left_out is None
    assert isinstance(made, Event)
    assert (made.id, made.subject) == ("M-77-1", "苏州/A-01-03")
    assert made.labels == {"code": "JAM"}
    assert made.data == {"weight": 12.5, "text": "卡料", "tags": ["x", 2], "from": "苏州"}
    assert made.time.isoformat() == "2025-11-26T08:30:00+08:00"


def test_soap_with_namespaces() -> None:
    first, second = mapped(SOAP, SOAP_BODY)
    assert isinstance(first, Event)
    assert isinstance(second, Event)
    assert (first.id, first.subject) == ("000010004711", "10-1003")
    assert first.labels == {"prio": "1", "plant": "1100", "state": "raise"}
    assert first.data["Text"] == "主轴 & 过热"
    assert first.data["Priority"] == {"@code": "1", "#text": "hoch"}
    assert first.time.isoformat() == "2025-11-26T08:30:00+08:00"
    assert second.labels == {"prio": "3", "plant": "1100", "state": "clear"}


@pytest.mark.parametrize("charset", ["utf-8", "GBK", '"gb2312"', "GB18030"])
def test_a_form_in_the_charsets_of_china(charset: str) -> None:
    text = "事件=报警&设备编号=一号线&alarm-code=E+42%26&ts=1764144000&zone=A&zone=B"
    raw = text.encode(charset.strip('"'))
    made = event(FORM, raw, f"application/x-www-form-urlencoded; charset={charset}")
    assert (made.type, made.subject) == ("scada.报警", "一号线")
    assert made.labels == {"code": "E 42&", "zone": "A"}
    assert made.data["zone"] == ["A", "B"]
    assert made.time.timestamp() == 1_764_144_000


@pytest.mark.parametrize("content_type", ["", "text/xml", "text/xml; charset=gbk"])
def test_xml_that_declares_gbk(content_type: str) -> None:
    body = '<?xml version="1.0" encoding="GBK"?><r><m>一号线</m></r>'.encode("gbk")
    assert event({"body": "xml", "type": "x", "subject": "{m}"}, body, content_type).subject == "一号线"


@pytest.mark.parametrize("declared", ["UTF-8", "ISO-8859-1", "GBK", "UTF-16"])
@pytest.mark.parametrize(("charset", "mark"), [("utf-8", ""), ("utf-8", "\ufeff"), ("GBK", "")])
def test_the_charset_of_the_header_goes_before_what_xml_declares(declared: str, charset: str, mark: str) -> None:
    body = f'{mark}<?xml version="1.0" encoding="{declared}"?><r><m>停机</m></r>'.encode(charset)
    made = event({"body": "xml", "type": "x", "subject": "{m}"}, body, f"text/xml; charset={charset}")
    assert made.subject == "停机"


def test_xml_that_is_not_in_the_charset_of_its_header_is_refused() -> None:
    body = '<?xml version="1.0" encoding="GBK"?><r><m>停机</m></r>'.encode("gbk")
    with pytest.raises(Invalid, match="not valid UTF-8"):
        event({"body": "xml", "type": "x", "subject": "{m}"}, body, "text/xml; charset=utf-8")


def test_json_with_a_byte_order_mark_and_in_gb18030() -> None:
    rules = {"type": "x", "subject": "{名}"}
    assert event(rules, '\ufeff{"名": "甲"}').subject == "甲"
    assert event(rules, '{"名": "甲"}'.encode("gb18030"), "text/plain;charset=gb18030").subject == "甲"


@pytest.mark.parametrize(
    ("written", "body", "made"),
    [
        ("{a}", '{"a": "x"}', "x"),
        ("{a}", '{"a": " x\\t"}', "x"),
        ("{a}", '{"a": 7}', "7"),
        ("{a}", '{"a": 7.0}', "7"),
        ("{a}", '{"a": 7.25}', "7.25"),
        ("{a}", '{"a": true}', "true"),
        ("{a}", '{"a": 0}', "0"),
        ("{a}", '{"a": false}', "false"),
        ("{a}", '{"a": 123456789012345678901234567890}', "123456789012345678901234567890"),
        ("{{{a}}}-{a.b || a}", '{"a": "x"}', "{x}-x"),
        ("{a.b[0].c}/{a.d}", '{"a": {"b": [{"c": 1}], "d": "y"}}', "1/y"),
        ("{join('-', [a, b])}", '{"a": "x", "b": "y"}', "x-y"),
        ({"from": "a || b"}, '{"b": "x"}', "x"),
        ({"from": "a", "table": {"1": "one", "true": "yes"}}, '{"a": 1}', "one"),
        ({"from": "a", "table": {"1": "one", "true": "yes"}}, '{"a": true}', "yes"),
        ({"from": "a", "table": {"1": "one"}, "else": "other"}, '{"a": 2}', "other"),
        ({"from": "a", "table": {"1": "one"}, "else": "other"}, "{}", "other"),
        ({"from": "a", "else": "other"}, '{"a": ""}', "other"),
        ({"from": "a", "else": "other"}, '{"a": null}', "other"),
        ({"from": "a", "else": ""}, "{}", None),
        ("constant", "{}", "constant"),
    ],
)
def test_values(written: Any, body: str, made: str | None) -> None:
    assert event({"type": "t", "labels": {"x": written}}, body).labels.get("x") == made


@pytest.mark.parametrize(
    ("written", "body", "said", "field"),
    [
        ("{a}", "{}", "`labels.x` needs `a`, and there is nothing", "a"),
        ("{a}", '{"a": null}', "`labels.x` needs `a`, and there is nothing", "a"),
        ("{a}", '{"a": "  "}', "`labels.x` needs `a`, and there is nothing", "a"),
        ("{b}-{a}", '{"b": 1}', "`labels.x` needs `a`, and there is nothing", "a"),
        ("{a}", '{"a": [1]}', "`labels.x`: `a` is a list, not one value", "a"),
        ("{a}", '{"a": {"b": 1}}', "`labels.x`: `a` is an object, not one value", "a"),
        ({"from": "a", "table": {"1": "one"}}, '{"a": 2}', "`labels.x`: the table has nothing for '2'", "a"),
        ({"from": "a", "table": {"1": "one"}}, "{}", "`labels.x` needs `a`", "a"),
        ({"from": "a", "else": "e"}, '{"a": [1]}', "`labels.x`: `a` is a list", "a"),
        ("{sum(a)}", '{"a": "x"}', "`sum(a)` cannot be looked up in this: In function sum()", "sum(a)"),
        ("{a > `1`}", '{"a": "x"}', "`a > `1`` cannot be looked up in this", "a > `1`"),
        ("{a}", '{"a": "' + "x" * 4_097 + '"}', "`labels.x` is longer than 4,096 characters", "a"),
    ],
)
def test_what_is_not_there_or_no_text_is_named(written: Any, body: str, said: str, field: str) -> None:
    refused = refusal({"type": "t", "labels": {"x": written}}, body)
    assert refused.detail.startswith(said)
    assert refused.field == field


@pytest.mark.parametrize("state", ["raised", "RAISE", "0"])
def test_a_state_is_raise_or_clear(state: str) -> None:
    refused = refusal({"type": "t", "labels": {"state": "{s}"}}, f'{{"s": "{state}"}}')
    assert refused.detail == "`labels.state` must become raise or clear"


@pytest.mark.parametrize(
    ("written", "body", "moment"),
    [
        ("{t}", '{"t": "2025-11-26T08:30:00Z"}', "2025-11-26T08:30:00+00:00"),
        ("{t}", '{"t": "2025-11-26 08:30:00.250+08:00"}', "2025-11-26T08:30:00.250000+08:00"),
        ("{t}", '{"t": "2025-11-26 08:30:00"}', "2025-11-26T08:30:00+08:00"),
        ("{d}T{t}", '{"d": "2025-11-26", "t": "08:30"}', "2025-11-26T08:30:00+08:00"),
        ({"from": "t", "zone": "Europe/Berlin"}, '{"t": "2025-07-26 08:30:00"}', "2025-07-26T08:30:00+02:00"),
        ({"from": "t", "format": "seconds"}, '{"t": 1764145800}', "2025-11-26T08:30:00+00:00"),
        ({"from": "t", "format": "seconds"}, '{"t": "1764145800"}', "2025-11-26T08:30:00+00:00"),
        ({"from": "t", "format": "milliseconds"}, '{"t": 1764145800250}', "2025-11-26T08:30:00.250000+00:00"),
        ({"from": "t", "format": "%d.%m.%y %H.%M"}, '{"t": "26.11.25 08.30"}', "2025-11-26T08:30:00+08:00"),
        ({"from": "t", "format": "%Y%m%d%H%M%S%z"}, '{"t": "20251126083000-0500"}', "2025-11-26T08:30:00-05:00"),
        ({"from": "t", "else": "now"}, "{}", "2025-11-26T08:00:00+00:00"),
    ],
)
def test_times(written: Any, body: str, moment: str) -> None:
    assert event({"type": "t", "time": written}, body).time.isoformat() == moment


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("iso", '"2025-11-26"'),
        ("iso", '"yesterday"'),
        ("iso", '"2025-13-26T08:30:00Z"'),
        ("iso", '"1969-12-31T23:59:59Z"'),
        ("iso", '"9999-01-01T00:00:00Z"'),
        ("iso", "1764145800"),
        ("iso", '"' + "2" * 3_000 + '"'),
        ("seconds", '"-1"'),
        ("seconds", "1764145800000"),
        ("seconds", '"1e400"'),
        ("seconds", '"nan"'),
        ("milliseconds", '"inf"'),
        ("%Y-%m-%d %H:%M", '"2025-11-26 08:30:00"'),
    ],
)
def test_what_is_no_time(form: str, said: str) -> None:
    refused = refusal({"type": "t", "time": {"from": "t", "format": form, "else": "now"}}, f'{{"t": {said}}}')
    assert "is no time between 1970 and 9998" in refused.detail
    assert len(refused.detail) < 120


def test_data_keeps_numbers_and_lists_as_they_are() -> None:
    rules = {"type": "t", "data": {"n": "{a}", "text": "{a}!", "none": {"from": "b", "else": ""}, "all": "{@}"}}
    assert event(rules, '{"a": 1.5}').data == {"n": 1.5, "text": "1.5!", "all": {"a": 1.5}}
    assert event({"type": "t", "data": "{a}"}, '{"a": {"b": 1}}').data == {"b": 1}
    assert event({"type": "t", "data": "{a}"}, '{"a": [1]}').data == {"value": [1]}
    assert event({"type": "t"}, "[1]").data == {"value": [1]}
    assert refusal({"type": "t", "data": {"n": "{a}"}}, "{}").detail == "`data.n` needs `a`, and there is nothing"


@pytest.mark.parametrize(
    ("when", "body", "taken"),
    [
        ("a", '{"a": "x"}', True),
        ("a", '{"a": ""}', False),
        ("a", "{}", False),
        ("a", '{"a": 0}', False),
        ("a", '{"a": false}', False),
        ("a", '{"a": []}', False),
        ("a == 'x' && b", '{"a": "x", "b": 1}', True),
        ("contains(['x', 'y'], a)", '{"a": "y"}', True),
        ("contains(['x', 'y'], a)", '{"a": "z"}', False),
    ],
)
def test_what_is_left_out(when: str, body: str, taken: bool) -> None:
    (made,) = mapped({"type": "t", "when": when}, body)
    assert (made is not None) is taken


def test_what_is_left_out_needs_nothing_of_what_the_map_needs() -> None:
    assert mapped(MES | {"when": "status"}, '{"heartbeat": 1}') == [None]


def test_an_id_of_its_own_content_or_a_new_one() -> None:
    def ids(rules: dict[str, Any], *bodies: str) -> list[str]:
        return [event(rules, body).id for body in bodies]

    same = ids({"type": "t"}, '{"a": 1, "b": 2}', '{"b":2,"a":1}')
    assert same[0] == same[1]
    assert len(set(ids({"type": "t"}, '{"a": 1}', '{"a": "1"}', '{"a": 2}', '{"a": 1, "b": null}'))) == 4
    chosen = ids({"type": "t", "data": {"a": "{a}"}}, '{"a": 1, "at": 1}', '{"a": 1, "at": 2}')
    assert chosen[0] != chosen[1], "what is not chosen tells two events apart too"
    assert len(set(ids({"type": "t", "id": "new"}, "{}", "{}"))) == 2
    assert ids({"type": "t", "id": "{a}-{b}"}, '{"a": 1, "b": 2}') == ["1-2"]


def test_a_digest_follows_the_content() -> None:
    one = EventMap(Map.model_validate({"type": "t", "id": "{a}"}), ZONE)

    def digest(body: bytes, now: float) -> bytes:
        (made,) = one.events(one.read(body), "s", now, TRACE)
        assert isinstance(made, Mapped)
        return made.digest

    assert digest(b'{"a": 1}', NOW) == digest(b'{ "a":1 }', NOW + 60)
    assert digest(b'{"a": 1}', NOW) != digest(b'{"a": 1, "b": 1}', NOW)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("{}", "`each` needs a list at `Alarms`"),
        ('{"Alarms": {}}', "`each` needs a list at `Alarms`"),
        ('{"Alarms": [' + ",".join(["1"] * 1_001) + "]}", "at most 1,000 events, not 1,001"),
    ],
)
def test_each_needs_a_list_of_a_thousand_at_most(body: str, said: str) -> None:
    assert refusal(WMS, body).detail == said


def test_a_bad_event_is_named_by_its_number_and_takes_no_good_one_with_it() -> None:
    long = "x" * 4_097
    body = f'[{{"t": "a"}}, {{}}, {{"t": "b"}}, {{"t": "c", "x": "{long}"}}, {{"t": "d"}}]'
    rules = {"each": "@", "type": "{t}", "labels": {"x": {"from": "x", "else": ""}}}
    first, second, third, fourth, fifth = mapped(rules, body)
    assert all(isinstance(good, Event) for good in (first, third, fifth))
    assert isinstance(second, Invalid)
    assert (second.detail, second.field) == ("event 2: `type` needs `t`, and there is nothing", "t")
    assert isinstance(fourth, Invalid)
    assert (fourth.detail, fourth.field) == ("event 4: `labels.x` is longer than 4,096 characters", "x")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("a", "1"),
        ("a/@n", "x"),
        ("/r/a", "1"),
        ("//d", "deep"),
        ("count(b)", "2"),
        ("string(b)", "2"),
        ("b[2]", "3"),
        ("b[@k='y']", "3"),
        ("number(a) + 1", "2"),
        ("concat(a, '-', //d)", "1-deep"),
        ("*[local-name()='a']", "1"),
        ("a | zzz", "1"),
    ],
)
def test_xpath(path: str, value: str) -> None:
    body = '<r><a n="x">1</a><b>2</b><b k="y"> 3 </b><c><d>deep</d></c></r>'
    assert event({"body": "xml", "type": "t", "labels": {"x": f"{{{path}}}"}}, body).labels["x"] == value


@pytest.mark.parametrize("path", ["b", "zzz", "e", "number(f)", "c"])
def test_xpath_that_finds_not_one_text(path: str) -> None:
    body = "<r><b>2</b><b>3</b><e/><f>f</f><c><d>deep</d></c></r>"
    refused = refusal({"body": "xml", "type": "t", "labels": {"x": f"{{{path}}}"}}, body)
    assert "`labels.x`" in refused.detail


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("//a = //b", "compares a path with a value"),
        ("//a[b = c]", "compares a path with a value"),
        ("//a < //b", "compares a path with a value"),
        ("a = 1", "compares a path with a text"),
        ("a != true()", "compares a path with a text"),
        ("$x", "there are no variables"),
        ("id('x')", "there is no `id()`"),
        ("q:a", "is not declared"),
        ("f(a)", "unknown function"),
        ("document('file:///etc/passwd')", "unknown function"),
        ("for $x in a return $x", "is no XPath 1.0"),
        ("a[", "is no XPath 1.0"),
        ("(" * 900 + "a", "is no XPath 1.0"),
    ],
)
def test_xpath_that_is_not_taken(path: str, said: str) -> None:
    with pytest.raises(MapError, match=said.replace("(", r"\(").replace(")", r"\)")):
        EventMap(Map.model_validate({"body": "xml", "type": "t", "when": path}), ZONE)


@pytest.mark.parametrize(
    ("body", "form", "content_type", "said"),
    [
        (b"{", "json", "", "truncated"),
        (b"", "json", "", "truncated"),
        (b'"\xff"', "json", "", "not valid UTF-8"),
        (b'{"a": 1, "a": 2}', "json", "", "stands twice"),
        (b"[" * 70 + b"]" * 70, "json", "", "deeper than 64"),
        (b"NaN", "json", "", "no JSON numbers"),
        (b"{}", "json", "application/json; charset=latin-1", "UTF-8, GBK or GB 18030"),
        (b"\xff\xff", "json", "application/json; charset=gbk", "not valid GB 18030"),
        (b"<r>", "xml", "", "no XML"),
        (b"", "xml", "", "no XML"),
        (b"{}", "xml", "", "no XML"),
        (b'<!DOCTYPE r [<!ENTITY a "x">]><r>&a;</r>', "xml", "", "DTD or entities"),
        (b"<r>&a;</r>", "xml", "", "no XML"),
        (b"<r/>" * 2, "xml", "", "no XML"),
        (b"<a>" * 33 + b"</a>" * 33, "xml", "", "deeper than 32"),
        (b"<r>" + b"<a/>" * 20_000 + b"</r>", "xml", "", "more than 20,000"),
        (b'<?xml version="1.0" encoding="klingon"?><r/>', "xml", "", "no XML"),
        (b"a=%ff", "form", "", "not valid UTF-8"),
        (b"\xff=1", "form", "", "not valid UTF-8"),
        (b"a=1&" * 1_001, "form", "", "at most 1,000 fields"),
    ],
)
def test_bodies_that_are_none(body: bytes, form: str, content_type: str, said: str) -> None:
    assert said in refusal({"type": "t", "body": form}, body, content_type).detail


def test_what_is_made_of_a_body_together_is_bounded() -> None:
    rules = {"each": "a", "type": "t", "data": {"all": "{$.text}"}}
    text = "x" * 100_000
    assert len(mapped(rules, f'{{"text": "{text}", "a": {list(range(40))}}}')) == 40
    assert "more than 4 MiB" in refusal(rules, f'{{"text": "{text}", "a": {list(range(50))}}}').detail
