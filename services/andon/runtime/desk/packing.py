"""Bodies of items that wait long, made small in memory: a hundred thousand groups may be open at one time.

The store has every body as it came; packed ones are known by their first byte, which no JSON begins with.
"""

from __future__ import annotations

import zlib

_MARK = b"\x01"
_SIZE = 4
_HEAD = len(_MARK) + _SIZE
# A window of 4 KiB and little working memory: most bodies are shorter, and a new compressor is most of the cost.
_WINDOW = -12
_MEMORY = 5
# What is in nearly all of them; what is nearer to the end costs less to name.
_LIKE = (
    b'"facts":{},"traceparent":"00-","remarks":[{"reason":"","by":""}],"fallback":[{"receiver":"","domain":"",'
    b'"recipients":["]}],"urgent":true,"episode":"","storm":{"key":"","count":,"period":.0},"data":{"code":"","message":"'
    b'"}},"labels":{"state":"clear","severity":"critical","state":"raise","severity":"minor","major","line":"","code":"E-'
    b'"},"facts":{"machine":{"origin":[{"topic":"andon.events","partition":0,"offset":,"at":17},{"topic":"andon.enriched",'
    b'"partition":1,"offset":,"at":17}]},"receiver":"","domain":"wecom_robot:wecom_app:","recipients":["],"route":"0.",'
    b'"config_version":1,"group":"","episode":"","batch":"0.","pace":{"wait":10.0,"interval":300.0,"repeat":7200.0}}'
    b'{"id":"","event":{"id":"","source":"","type":"","subject":"","time":"2026-","data":{"'
)


def packed(body: bytes) -> bytes:
    """The body, which is JSON, packed where that makes it smaller."""
    packer = zlib.compressobj(1, zlib.DEFLATED, _WINDOW, _MEMORY, zdict=_LIKE)
    small = _MARK + len(body).to_bytes(_SIZE) + packer.compress(body) + packer.flush()
    return small if len(small) < len(body) else body


def opened(body: bytes) -> bytes:
    """The body as it came."""
    return zlib.decompressobj(_WINDOW, zdict=_LIKE).decompress(body[_HEAD:]) if body[:1] == _MARK else body


def size_of(body: bytes) -> int:
    """The bytes of the body as it came."""
    return int.from_bytes(body[len(_MARK) : _HEAD]) if body[:1] == _MARK else len(body)
