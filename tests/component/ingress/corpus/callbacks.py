"""Callbacks of WeCom: signatures that are bad, missing, old or for somebody else; and XML that is none or a bomb."""

from __future__ import annotations

import random
from base64 import b64decode, b64encode
from collections.abc import Iterator
from functools import partial
from urllib.parse import quote

from andon.ingress.bodies.sealed import Seal
from tests.component.ingress import wecom
from tests.component.ingress.corpus.case import NOW, Case, request
from tests.component.ingress.wecom import ERP, KEYS, MES, PATH, RANDOM

text, message = partial(wecom.text, at=NOW), partial(wecom.message, at=NOW)
CLICK = "<MsgType>event</MsgType><Event>click</Event><EventKey>{key}</EventKey>"
_ENTITIES = (
    '<!DOCTYPE x [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;"><!ENTITY c "&b;&b;&b;">]><xml><Encrypt>&c;</Encrypt></xml>',
    '<!DOCTYPE x [<!ENTITY a "' + "x" * 5_000 + '">]><xml><Encrypt>' + "&a;" * 500 + "</Encrypt></xml>",
    '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><xml><Encrypt>&a;</Encrypt></xml>',
    '<!DOCTYPE x [<!ENTITY a SYSTEM "http://169.254.169.254/">]><xml><Encrypt>&a;</Encrypt></xml>',
    '<!DOCTYPE x [<!ENTITY % a SYSTEM "http://example.com/x.dtd"> %a;]><xml><Encrypt>x</Encrypt></xml>',
    '<!DOCTYPE x [<!ENTITY a PUBLIC "x" "file:///etc/passwd">]><xml><Encrypt>&a;</Encrypt></xml>',
    '<!DOCTYPE x [<!ENTITY a "&a;">]><xml><Encrypt>&a;</Encrypt></xml>',
    '<!DOCTYPE x SYSTEM "http://example.com/x.dtd"><xml><Encrypt>x</Encrypt></xml>',
    '<!DOCTYPE x PUBLIC "-//W3C" "http://example.com/x.dtd"><xml><Encrypt>x</Encrypt></xml>',
    "<!DOCTYPE x><xml><Encrypt>x</Encrypt></xml>",
    "<!DOCTYPE x []><xml><Encrypt>x</Encrypt></xml>",
    "<!DOCTYPE xml [<!ELEMENT xml ANY>]><xml><Encrypt>x</Encrypt></xml>",
    '<!DOCTYPE xml [<!ATTLIST xml a CDATA "x">]><xml><Encrypt>x</Encrypt></xml>',
    '<!DOCTYPE xml [<!NOTATION a SYSTEM "x">]><xml><Encrypt>x</Encrypt></xml>',
)
_NO_XML = (
    *(
        "",
        " ",
        "x",
        "null",
        "{}",
        '{"Encrypt":"x"}',
        "<",
        "<xml",
        "<xml>",
        "</xml>",
        "<xml></xmll>",
        "<xml><a></xml></a>",
    ),
    *(
        "<xml/><xml/>",
        "<xml/>x",
        "x<xml/>",
        "<xml a/>",
        "<xml a=b/>",
        "<xml a='1' a='2'/>",
        "<xml>&nbsp;</xml>",
        "<xml>&</xml>",
    ),
    *(
        "<xml>&#0;</xml>",
        "<xml>&#xFFFE;</xml>",
        "<xml>&#x1;</xml>",
        "<xml>\x00</xml>",
        "<xml>\x01</xml>",
        "<xml>]]></xml>",
    ),
    *(
        "<xml><![CDATA[x</xml>",
        "<xml><!-- x</xml>",
        "<xml><!-- -- --></xml>",
        "<xml><?x</xml>",
        "<1xml/>",
        "<xml:a:b/>",
        "<a:xml/>",
    ),
    *(
        ' <?xml version="1.0"?><xml/>',
        '<?xml version="9.0"?><xml/>',
        '<?xml version="1.0" encoding="none"?><xml/>',
        "<xml <a/>",
    ),
    *(
        "%3Cxml%3E",
        "<xml>&x;</xml>",
        "<xml></xml",
        "<xml><Encrypt>x",
        "<html><body></xml>",
        "<xml xmlns:a=''><a:b/></xml>",
    ),
)
_NO_FIELDS = (
    "<xml/>",
    "<xml></xml>",
    "<xml>text</xml>",
    '<xml Encrypt="x"/>',
    "<xml><![CDATA[x]]></xml>",
    "<a><!-- x --></a>",
)
_UNSIGNED = (
    "<xml><a/></xml>",
    "<xml><Encrypt/></xml>",
    "<xml><Encrypt>x</Encrypt></xml>",
    "<xml><encrypt>x</encrypt></xml>",
)


def cases() -> Iterator[Case]:
    yield from _signatures()
    yield from _times()
    yield from _sealed_wrongly()
    yield from _greetings()
    yield from _outer()
    yield from _inner()
    yield from _replays()


def enclosed(sealed: str) -> bytes:
    return f"<xml><ToUserName>ww</ToUserName><Encrypt><![CDATA[{sealed}]]></Encrypt><AgentID>1</AgentID></xml>".encode()


def query(seal: Seal, sealed: str, at: str = str(NOW), /, **instead: str | None) -> str:
    """The parameters of a callback, signed; `instead` stands in their place, None leaves one out."""
    given = {"msg_signature": seal.signature(at, "n", sealed), "timestamp": at, "nonce": "n"} | instead
    return "?" + "&".join(f"{name}={quote(value, safe='')}" for name, value in given.items() if value is not None)


def called(plain: bytes, seal: Seal = MES, *, timestamp: str = str(NOW), random: bytes = RANDOM) -> bytes:
    """A good request with this message, sealed and signed."""
    sealed = seal.close(plain, random)
    return request(PATH + query(seal, sealed, timestamp), enclosed(sealed))


def _refused(group: str, name: str, sent: bytes, field: str | None = None) -> Case:
    return Case(group, name, sent, 401, "unauthorised", field)


def _signatures() -> Iterator[Case]:
    messages = {
        "text": text("hi"),
        "click": message(CLICK.format(key="k")),
        "in Chinese": text("停机 & 换模".replace("&", "&amp;")),
    }
    for kind, plain in messages.items():
        sealed = MES.close(plain, RANDOM)
        body, right = enclosed(sealed), MES.signature(str(NOW), "n", sealed)
        for left in ("msg_signature", "timestamp", "nonce"):
            for value in (None, ""):
                yield _refused(
                    "signature missing",
                    f"{kind} {left} {value!r}",
                    request(PATH + query(MES, sealed, **{left: value}), body),
                )
        yield _refused("signature missing", f"{kind} all", request(PATH, body))
        wrong = [
            right[:n] + "0123456789abcdef0"["0123456789abcdef".index(right[n]) + 1] + right[n + 1 :] for n in range(40)
        ]
        wrong += [
            right[:20],
            right[1:],
            right + "0",
            right + right,
            right[::-1],
            right.upper(),
            "0" * 40,
            "x",
            "*",
            "%00",
        ]
        wrong += [
            f" {right}",
            f"{right} ",
            f"sha1={right}",
            "\ud83d".encode("utf-8", "replace").decode(),
            "号" * 40,
            "' OR 1=1 --",
        ]
        for number, signature in enumerate(wrong):
            sent = request(PATH + query(MES, sealed, msg_signature=signature), body)
            yield _refused("signature bad", f"{kind} {number}", sent, "msg_signature")
        for name, value in (
            ("timestamp", str(NOW + 1)),
            ("timestamp", f"{NOW}0"),
            ("nonce", "m"),
            ("nonce", "n0"),
            ("nonce", "N"),
        ):
            sent = request(PATH + query(MES, sealed, **{name: value}), body)
            yield _refused("signature bad", f"{kind} of another {name} {value}", sent, "msg_signature")
        for at in range(0, len(sealed), 8):
            other = sealed[:at] + ("A" if sealed[at] != "A" else "B") + sealed[at + 1 :]
            sent = request(PATH + query(MES, sealed), enclosed(other))
            yield _refused("signature bad", f"{kind} of other content at {at}", sent, "msg_signature")
        for token in ("", "token", "token00", "Token0", "token2"):
            stranger = Seal(token, KEYS[0], "ww0")
            yield _refused("signature bad", f"{kind} by {token!r}", called(plain, stranger), "msg_signature")


def _times() -> Iterator[Case]:
    """Signed by the vendor, and not of now."""
    plain = text("hi", "old")
    for seal in (MES, ERP):
        for away in (601, 602, 3_600, 86_400, 86_400 * 365, NOW):
            for at in (NOW - away, NOW + away):
                yield _refused(
                    "old", f"{seal is MES} {at - NOW:+} s", called(plain, seal, timestamp=str(at)), "timestamp"
                )
        for stamp in (
            "x",
            "-1",
            f"+{NOW}",
            f"{NOW}.0",
            f" {NOW}",
            f"{NOW}\n",
            f"0x{NOW:x}",
            f"{NOW}0",
            "9" * 400,
            "1e9",
            "NaN",
            "²",
        ):
            yield _refused("old", f"{seal is MES} {stamp!r:.20}", called(plain, seal, timestamp=stamp), "timestamp")
    for number, away in enumerate((-600, -599, 0, 599, 600)):
        sent = called(text("hi", f"fresh-{number}"), timestamp=str(NOW + away))
        yield Case("just not old", f"{away} s", sent, 200, kept=(b'"MsgId":"fresh-%d"' % number,))


def _sealed_wrongly() -> Iterator[Case]:
    """The signature is right and what is inside is not: who knows the token alone gets no further."""
    plain = text("hi", "wrong")
    strangers = {
        "another key": Seal("token0", KEYS[1], "ww0"),
        "another corp": Seal("token0", KEYS[0], "ww9"),
        "no corp": Seal("token0", KEYS[0], ""),
        "a longer corp": Seal("token0", KEYS[0], "ww00"),
        "a corp in capitals": Seal("token0", KEYS[0], "WW0"),
        "the corp of the other application": Seal("token0", KEYS[0], "ww1"),
        "token of one and key of the other": Seal("token1", KEYS[0], "ww1"),
    }
    for name, seal in strangers.items():
        for turn in range(4):
            yield _refused("sealed wrongly", f"{name} {turn}", called(plain, seal, random=bytes([turn] * 16)))
    whole = b64decode(MES.close(plain, RANDOM))
    cut = {f"cut to {n}": whole[:n] for n in (0, 1, 15, 16, 17, 31, 32, len(whole) - 1, len(whole) - 16)}
    rng = random.Random(7)
    cut |= {f"noise of {n}": rng.randbytes(n) for n in (16, 32, 48, 64, 160, 1_024)}
    last = {
        f"changed in the last block {bit}": whole[:-17] + bytes([whole[-17] ^ 1 << bit]) + whole[-16:]
        for bit in range(8)
    }
    for name, raw in (cut | last).items():
        if raw:
            yield _signed(name, b64encode(raw).decode())
    good = b64encode(whole).decode()
    for name, sealed in (
        ("no base64", "*" * 64),
        ("a blank", good[:9] + " " + good[9:]),
        ("URL letters", "-_" * 32),
        ("no padding", good.rstrip("=") + "A"),
    ):
        yield _signed(name, sealed)


def _signed(name: str, sealed: str) -> Case:
    return _refused("sealed wrongly", name, request(PATH + query(MES, sealed), enclosed(sealed)))


def _greetings() -> Iterator[Case]:
    sealed = MES.close(b"1616140317555161061", RANDOM)
    right = query(MES, sealed) + "&echostr=" + quote(sealed, safe="")
    for seal in (MES, ERP):
        for left in ("msg_signature", "timestamp", "nonce"):
            for value in (None, ""):
                where = query(seal, sealed, **{left: value}) + "&echostr=" + quote(sealed, safe="")
                yield _refused("greeting", f"{left} {value!r} {seal is MES}", request(PATH + where, method="GET"))
    for name, where in {
        "without echostr": query(MES, sealed),
        "with an empty echostr": query(MES, "") + "&echostr=",
        "without anything": "",
    }.items():
        yield _refused("greeting", name, request(PATH + where, method="GET"))
    for at in range(0, len(sealed), 4):
        other = sealed[:at] + ("A" if sealed[at] != "A" else "B") + sealed[at + 1 :]
        where = query(MES, sealed) + "&echostr=" + quote(other, safe="")
        yield _refused("greeting", f"changed at {at}", request(PATH + where, method="GET"), "msg_signature")
    for at in (NOW - 601, NOW + 601):
        where = query(MES, sealed, str(at)) + "&echostr=" + quote(sealed, safe="")
        yield _refused("greeting", f"of {at}", request(PATH + where, method="GET"), "timestamp")
    yield Case("greeting that is right", "", request(PATH + right, method="GET"), 200)


def _outer() -> Iterator[Case]:
    """What anybody may send."""
    for number, raw in enumerate((*_NO_XML, *_ENTITIES, *_NO_FIELDS)):
        yield Case("XML", f"{number} {raw!r:.60}", request(PATH, raw.encode()), 400, "malformed")
    for levels in (16, 17, 100, 5_000):
        raw = "<a>" * levels + "x" + "</a>" * levels
        yield Case("XML", f"{levels} levels", request(PATH, f"<xml>{raw}</xml>".encode()), 400, "malformed")
    for encoding in ("utf-32", "gbk", "utf-16-be", "utf-7"):
        body = "号<xml><Encrypt>号</Encrypt></xml>".encode(encoding)
        yield Case("XML", f"in {encoding}", request(PATH, body), 400, "malformed")
    for body in (b"<xml>\xff</xml>", b"<xml>\xc0\xaf</xml>", b"<xml>\xed\xa0\x80</xml>"):
        yield Case("XML", f"{body!r}", request(PATH, body), 400, "malformed")
    sealed = MES.close(text("hi"), RANDOM)
    for raw in (
        *_UNSIGNED,
        f"<xml><Encrypt>{sealed}</Encrypt><Encrypt>{sealed}</Encrypt></xml>",
        f"<xml><Encrypt><a>{sealed}</a></Encrypt></xml>",
    ):
        yield _refused("XML", f"{raw:.40}", request(PATH + query(MES, sealed), raw.encode()))


def _inner() -> Iterator[Case]:
    """What the vendor itself has signed and is wrong all the same: no bomb goes off, and no event comes of it."""
    for number, raw in enumerate((*_NO_XML, *_ENTITIES, *_NO_FIELDS)):
        yield Case("XML that is signed", f"{number} {raw!r:.60}", called(raw.encode()), 400, "malformed")
    for levels in (16, 17, 100, 5_000):
        raw = "<a>" * levels + "x" + "</a>" * levels
        yield Case("XML that is signed", f"{levels} levels", called(f"<xml>{raw}</xml>".encode()), 400, "malformed")
    created = f"<CreateTime>{NOW}</CreateTime>"
    wrong = [created, "<MsgType>text</MsgType>", f"<MsgType/>{created}", f"<MsgType><a>x</a></MsgType>{created}"]
    wrong += [
        f"<MsgType>text</MsgType><CreateTime>{at}</CreateTime>"
        for at in ("", "x", "-1", ".5", "٣", "99999999999999999", " 1", "1e3")
    ]
    wrong += [f"<MsgType>a</MsgType><MsgType>b</MsgType>{created}"]
    for raw in wrong:
        yield Case("no event", f"{raw}", called(f"<xml>{raw}</xml>".encode()), 400, "invalid")
    for field, raw in (("id", "<MsgId>{}</MsgId>"), ("subject", "<FromUserName>{}</FromUserName>")):
        for value in ("x" * 513, "a&#10;b", "a&#13;b", "a&#9;b", "号" * 171):
            inner = f"<xml><MsgType>text</MsgType>{created}{raw.format(value)}</xml>"
            yield Case("no event", f"{field} {value:.20}", called(inner.encode()), 400, "invalid", field)


def _replays() -> Iterator[Case]:
    """What came before is answered as it was, and is no second event, however it is sealed this time."""
    for number in range(12):
        plain = (
            text(f"again {number}", f"again-{number}") if number % 2 else message(CLICK.format(key=f"again-{number}"))
        )
        kept = (b'again-%d"' % number,)
        yield Case("replayed", f"{number} first", called(plain), 200, kept=kept)
        yield Case("replayed", f"{number} as it was", called(plain), 200)
        yield Case("replayed", f"{number} sealed anew", called(plain, random=bytes([number] * 16)), 200)
        yield Case("replayed", f"{number} signed anew", called(plain, timestamp=str(NOW + 5)), 200)
