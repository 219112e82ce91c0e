"""What is fuzzed: each target reads bytes and may refuse them by the one exception it names; all else is a finding.

What is taken is held against a second reader, so that a target can fail in what it accepts as well.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from andon.config.maps import Map
from andon.core.failure import Invalid
from andon.core.ports import CallbackSource, Context, Inbound
from andon.ingress.bodies.sealed import NotOurs, Seal
from andon.ingress.bodies.strict import DEPTH
from andon.ingress.bodies.traceparent import accepted
from andon.ingress.bodies.xml import DEPTH as XML_DEPTH
from andon.ingress.bodies.xml import fields_of
from andon.ingress.entry.caller import Networks, address_of, caller
from andon.ingress.entry.clients import Clients
from andon.ingress.mapping import EventMap
from andon.ingress.sources.dingtalk import DingtalkCallback
from andon.ingress.sources.feishu import FeishuCallback
from andon.ingress.sources.http import HttpSource
from andon.ingress.sources.wechat_oa import WechatOa
from andon.ingress.sources.wecom_callback import WecomCallback
from andon.testing.clock import ManualClock
from tests.unit.ingress.callbacks.bench import KEYS, NOW, SEALED, VECTORS, seal, sha1
from tests.unit.ingress.callbacks.calls import LARK_KEY, dingtalk_push, lark_push, wechat_push

One = Callable[[bytes], None]


class Target(NamedTuple):
    """`one` reads one input; `seeds` are good ones to start from."""

    one: One
    seeds: tuple[bytes, ...]


def xml(_folder: Path) -> Target:
    """XML as fields: what is taken has no DTD and is no deeper than it may be."""

    def one(raw: bytes) -> None:
        try:
            fields = fields_of(raw, ("Item",))
        except Invalid:
            return
        assert b"<!DOCTYPE" not in raw or b"<![CDATA[" in raw or b"<!--" in raw or b"<?" in raw
        assert max(_depths(fields)) <= 2 * XML_DEPTH

    plain = [vector["plaintext"].encode() for vector in SEALED.values() if vector.get("plaintext", "").startswith("<")]
    bombs = [
        b'<!DOCTYPE x [<!ENTITY a "b">]><x><y>&a;</y></x>',
        b"<x><![CDATA[<!DOCTYPE]]><Item/></x>",
        b"<?xml encoding='gbk'?><x/>",
    ]
    return Target(one, (*plain, *bombs))


def strict(folder: Path) -> Target:
    """Events as JSON: what is taken has no key twice, is not too deep, and is in the record with nothing lost."""
    (folder / "token").write_text("alpha", encoding="utf-8")
    source = HttpSource(HttpSource.Config.model_validate({"token": f"file:{folder / 'token'}"}), _context(folder))

    def one(raw: bytes) -> None:
        headers = {"content-type": "application/json"}
        try:
            draft = source.draft(Inbound("mes", headers, raw))
        except Invalid:
            return
        sent = json.loads(raw, object_pairs_hook=_unique)
        assert max(_depths(sent)) <= DEPTH
        kept = json.loads(draft.record)
        assert all(kept[name] == value or name == "time" for name, value in sent.items())
        assert draft.event.id == kept["id"]

    seeds = (
        b'{"id":"1","type":"t","subject":"s","time":"2026-03-01T08:30:00+08:00","labels":{"a":"b"},"data":{"v":[1,1e5]}}',
        b'{"type":"t","data":{"\\u0061":"\\ud83d\\ude00","a\\\\":null}}',
        b'{"type":"t","data":' + b'{"a":' * 62 + b"1" + b"}" * 62 + b"}",
    )
    return Target(one, seeds)


def sealed(_folder: Path) -> Target:
    """The envelope itself, and what is decrypted with our key although nobody has sealed it so."""
    ours = Seal("tok", KEYS[0], "ww1")

    def one(raw: bytes) -> None:
        text = raw.decode("utf-8", "replace")
        try:
            message = ours.open(text)
        except NotOurs:
            return
        assert ours.open(ours.close(message, bytes(16))) == message

    return Target(one, tuple(seal(KEYS[0], whom, "hi", bytes(16)).encode() for whom in ("ww1", "ww2", "")))


def callbacks(folder: Path) -> Target:
    """What the vendors themselves have sealed and signed, whatever it says."""
    wecom, ding, lark, wechat = _vendors(folder).values()

    def one(raw: bytes) -> None:
        text = raw[1:].decode("utf-8", "replace")
        closed = seal(KEYS[0], "ww1", raw[1:])
        query = {"msg_signature": sha1("tok", str(NOW), "n", closed), "timestamp": str(NOW), "nonce": "n"}
        envelope = f"<xml><Encrypt>{closed}</Encrypt></xml>".encode()
        calls: tuple[tuple[CallbackSource, Callable[[], Inbound]], ...] = (
            (wecom, lambda: Inbound("chat", {}, envelope, query)),
            (ding, lambda: dingtalk_push(text, whom="ww1")),
            (lark, lambda: lark_push(text)),
            (wechat, lambda: wechat_push(text, whom="ww1")),
        )
        source, made = calls[raw[0] % len(calls) if raw else 0]
        _called(source, made())

    plain = [vector["plaintext"].encode() for vector in SEALED.values() if "plaintext" in vector]
    plain += [vector["plaintext"].encode() for many in VECTORS.values() for vector in many if "plaintext" in vector]
    return Target(one, tuple(bytes([number]) + text for text in plain for number in range(4)))


def signatures(folder: Path) -> Target:
    """What anybody may write into the address and the headers of a callback."""
    sources = tuple(_vendors(folder).values())
    names = ("msg_signature", "timestamp", "nonce", "signature", "echostr", "encrypt_type")
    headers = (
        "timestamp",
        "sign",
        "x-lark-request-timestamp",
        "x-lark-request-nonce",
        "x-lark-signature",
        "traceparent",
    )

    def one(raw: bytes) -> None:
        parts = [part.decode("utf-8", "surrogateescape") for part in raw.split(b"\n")]
        number = len(parts[0]) % len(sources)
        values = parts[1:]
        query = dict(zip(names, values, strict=False))
        shown = dict(zip(headers, values[len(names) :], strict=False))
        inbound = Inbound("chat", shown, raw.rpartition(b"\n")[2], query)
        _called(sources[number], inbound)
        with suppress(Invalid):
            sources[number].greet(inbound)

    right = "\n".join(("", sha1("tok", str(NOW), "n", "x"), str(NOW), "n", sha1("tok", str(NOW), "n"), "x", "aes"))
    sign = "\n".join((str(NOW * 1_000), "c2lnbg==", str(NOW), "n", "0" * 64, f"00-{'1' * 32}-{'2' * 16}-01"))
    bodies = ("<xml><Encrypt>x</Encrypt></xml>", '{"encrypt":"x"}', '{"challenge":"x","token":"tok"}')
    return Target(one, tuple(f"{'s' * n}{right}\n{sign}\n{body}".encode() for n in range(4) for body in bodies))


def headers(folder: Path) -> Target:
    """Tokens, addresses behind proxies, and traces: no exception at all, and never somebody who is not."""
    (folder / "token").write_text("alpha", encoding="utf-8")
    config = HttpSource.Config.model_validate({"token": f"file:{folder / 'token'}"})
    clients = Clients({"mes": HttpSource(config, _context(folder))}, ManualClock(NOW))
    trusted = Networks(("10.0.0.0/8",))

    def one(raw: bytes) -> None:
        first, *rest = raw.decode("utf-8", "surrogateescape").split("\n")
        found = clients.find(first)
        assert found is None or "alpha" in first or first.lower().startswith("basic ")
        said = caller("10.0.0.1", rest[:2], rest[2:], trusted)
        assert said is None or not rest or str(said) or said not in trusted
        assert caller("192.0.2.1", rest[:2], rest[2:], trusted) == address_of("192.0.2.1"), "he may write what he likes"
        trace = accepted(first)
        assert trace is None or (len(trace) == 55 and trace.startswith("00-"))

    seeds = ("Bearer alpha", "Basic YTphbHBoYQ==", f"00-{'1' * 32}-{'2' * 16}-01")
    told = '\n192.0.2.60, 10.1.2.3:80\n[2001:db8::1]:1\nfor=192.0.2.43;proto=https, for="[2001:db8::17]";by=_x'
    return Target(one, tuple((text + told).encode() for text in seeds))


def mapping(_folder: Path) -> Target:
    """Bodies of any system, through maps in each of the languages."""
    written: tuple[tuple[str, dict[str, Any]], ...] = (
        (
            "application/json",
            {"each": "items", "type": "a.{kind}", "subject": "{bin}", "id": "{no}", "data": "{@}"},
        ),
        ("application/xml", {"body": "xml", "each": "//item", "type": "a", "subject": "{@bin}", "id": "{no}"}),
        ("application/x-www-form-urlencoded", {"body": "form", "type": "a.{kind}", "subject": "{bin}"}),
    )
    maps = [(media, EventMap(Map.model_validate(one), "Asia/Shanghai")) for media, one in written]

    def one(raw: bytes) -> None:
        media, made = maps[raw[0] % len(maps)] if raw else maps[0]
        try:
            found = made.events(made.read(raw[1:], media), "wms", float(NOW), "")
        except Invalid:
            return
        assert all(event is None or isinstance(event, Invalid) or event.event.type.startswith("a") for event in found)

    seeds = (
        b'\x00{"items":[{"kind":"low","bin":"A-7","no":"1"},{"kind":"x"}]}',
        b'\x01<all><item bin="A-7"><no>1</no></item><item bin="A-8"/></all>',
        b"\x02kind=low&bin=A-7&bin=A-8&%E5%8F%B7=1",
    )
    return Target(one, seeds)


TARGETS: dict[str, Callable[[Path], Target]] = {
    one.__name__: one for one in (xml, strict, sealed, callbacks, signatures, headers, mapping)
}


def _called(source: CallbackSource, inbound: Inbound) -> None:
    try:
        called = source.called(inbound)
    except Invalid:
        return
    assert all(event.id and event.subject for event in called.events)


def _context(folder: Path) -> Context:
    return Context("chat", folder, ManualClock(NOW), None)  # type: ignore[arg-type]  # nothing is called through it


def _vendors(folder: Path) -> dict[str, CallbackSource]:
    for name, value in {"token": "tok", "key": KEYS[0], "lark": LARK_KEY}.items():
        (folder / name).write_text(value, encoding="utf-8")
    token, key, lark = (f"file:{folder / name}" for name in ("token", "key", "lark"))
    keys = {"token": token, "aes_key": key, "receive_id": "ww1"}
    kinds: tuple[tuple[Any, dict[str, str]], ...] = (
        (WecomCallback, keys),
        (DingtalkCallback, keys),
        (FeishuCallback, {"token": token, "encrypt_key": lark}),
        (WechatOa, keys),
    )
    return {kind.__name__: kind(kind.Config.model_validate(options), _context(folder)) for kind, options in kinds}


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    assert len(found) == len(pairs), "a key twice"
    return found


def _depths(value: Any, level: int = 0) -> Iterator[int]:
    yield level
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for one in inner:
        yield from _depths(one, level + 1)
