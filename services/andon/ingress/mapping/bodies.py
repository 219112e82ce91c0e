"""What other systems send, read with all the care of the door: JSON, XML, forms."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

from andon.core.failure import Invalid
from andon.core.reason import Reason
from andon.ingress.bodies.strict import value_of
from andon.ingress.bodies.xml import tree_of

MOST_FIELDS = 1_000
_UTF8, _GB = "utf-8-sig", "gb18030"
# GB 18030 is what the older two are part of, and what programs in China that say `gbk` really write.
_CHARSETS = dict.fromkeys(("utf-8", "utf8", "us-ascii"), _UTF8)
_CHARSETS |= dict.fromkeys(("gb18030", "gbk", "gb2312"), _GB)
_DECLARED = re.compile(rb"""\s*<\?xml[^>]{0,100}\sencoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")


def json_of(body: bytes, content_type: str) -> Any:
    """A JSON value. Raises Invalid."""
    charset = _charset(content_type) or _UTF8
    return value_of(_text(body, charset).encode() if charset != _UTF8 else body.removeprefix(b"\xef\xbb\xbf"))


def xml_of(body: bytes, content_type: str) -> Any:
    """The root element. The charset is that of the header, else the one the XML declares. Raises Invalid."""
    # Expat believes what bytes declare of themselves, so what the header names is decoded before; and the charsets of
    # China it does not know.
    charset = _charset(content_type)
    if charset is None and (declared := _DECLARED.match(body)) and _CHARSETS.get(declared[1].decode().lower()) == _GB:
        charset = _GB
    return tree_of(body if charset is None else _text(body, charset))


def form_of(body: bytes, content_type: str) -> dict[str, str | list[str]]:
    """The fields of a form by their names; of one that comes more than once the list. Raises Invalid."""
    charset = _charset(content_type) or _UTF8
    fields: dict[str, str | list[str]] = {}
    try:
        pairs = parse_qsl(
            _text(body, charset).strip(),
            keep_blank_values=True,
            encoding="utf-8" if charset == _UTF8 else charset,
            errors="strict",
            max_num_fields=MOST_FIELDS,
        )
    except UnicodeDecodeError:
        raise _not(charset) from None
    except ValueError:
        raise Invalid(Reason.TOO_LARGE, f"a form has at most {MOST_FIELDS:,} fields") from None
    for name, value in pairs:
        known = fields.get(name)
        if known is None:
            fields[name] = value
        elif isinstance(known, list):
            known.append(value)
        else:
            fields[name] = [known, value]
    return fields


@lru_cache(maxsize=64)
def _charset(content_type: str) -> str | None:
    """The codec of the charset that a content type names, if it does. Raises Invalid."""
    for parameter in content_type.split(";")[1:]:
        name, _, value = parameter.strip().lower().partition("=")
        if name == "charset":
            if (codec := _CHARSETS.get(value.strip("\"' "))) is None:
                raise Invalid(Reason.MEDIA_TYPE, "send it in UTF-8, GBK or GB 18030", "Content-Type")
            return codec
    return None


def _text(body: bytes, charset: str) -> str:
    try:
        return body.decode(charset)
    except UnicodeDecodeError:
        raise _not(charset) from None


def _not(charset: str) -> Invalid:
    name = "UTF-8" if charset == _UTF8 else "GB 18030"
    return Invalid(Reason.MALFORMED, f"the text is not valid {name}")
