"""What would be dangerous if anybody took it for more than data: it is taken, and stands in the log as it was sent."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

from tests.component.ingress.corpus.case import ALERTS, BATCH, EVENTS, Case, alert, cloud, event, request, text
from tests.component.ingress.corpus.documents import STRUCTURED

HARMLESS = (
    *(
        "{{ 7*7 }}",
        "{{ event.id }}",
        "{% for x in y %}",
        "{# #}",
        "${7*7}",
        "#{7*7}",
        "<%= 7*7 %>",
        "${jndi:ldap://x/a}",
    ),
    *(
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{0.__class__}",
        "%s%n%x",
        "%(token)s",
        "$(id)",
        "`id`",
        "| id",
    ),
    *("; rm -rf /", "&& true", "' OR '1'='1", "'; DROP TABLE requests; --", '" OR ""="', "1 UNION SELECT 1", "\\'; --"),
    *(
        "../../../etc/passwd",
        "..\\..\\windows",
        "/etc/passwd",
        "file:/etc/passwd",
        "env:MES_TOKEN",
        "%2e%2e%2f",
        "....//",
    ),
    *("<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "javascript:alert(1)", "]]>", "<!DOCTYPE x>", "&x;"),
    *(
        "<@all>",
        "@all",
        '<font color="warning">x</font>',
        "[x](http://example.com)",
        "**x**",
        "=1+1",
        "+1+1",
        "@SUM(A1)",
    ),
    *(
        "-",
        "--",
        "*",
        "?",
        "\\",
        "/",
        "'",
        '"',
        "\u202e",
        "\u200b",
        "\ufeff",
        "e\u0301",
        "号",
        "\U0001f6a8",
        "NaN",
        "null",
    ),
    *("true", "0", "-1", "1e309", "9" * 40, "a=b&c=d", "a;b", "a,b", "a:b", "%0d%0aSet-Cookie: x", "${IFS}", "~", "#"),
)
"""Texts without control characters: each may also be a name."""
CONTROLS = ("a\r\nSet-Cookie: x=1", "a\x00b", "\x1b]0;x\x07", "\x08", "a\n\nb", "\x7f", "\u2028", "\x85", "\t")
"""What a value may hold, and a name may not."""


def cases() -> Iterator[Case]:
    numbers = count()
    for danger in (*HARMLESS, *CONTROLS):
        yield _posted(next(numbers), "a value", danger, data={"v": danger})
        yield _posted(next(numbers), "a key", danger, data={danger: 1})
        yield _posted(next(numbers), "a label", danger, labels={"v": danger})
    for danger in HARMLESS:
        for field in ("subject", "type", "source"):
            yield _posted(next(numbers), field, danger, **{field: danger})
        yield _posted(next(numbers), "id", danger, id=f"{danger} {next(numbers)}")
        number = next(numbers)
        one = event(id=f"d-{number}", data={"v": danger})
        yield Case("data", f"of a batch {danger!r}", request(BATCH, text([one])), 200, kept=(text(one)[:-1],))
        labels = {"alertname": danger, "instance": f"a-{number}"}
        sent = request(ALERTS, text([alert(labels=labels)]))
        yield Case("data", f"of an alert {danger!r}", sent, 200, kept=(_of_msgspec(labels)[:-1],))
        sent = request(EVENTS, text(cloud(id=f"c-{number}", data={"v": danger})), content_type=STRUCTURED)
        yield Case("data", f"of a CloudEvent {danger!r}", sent, 202, kept=(_of_msgspec({"v": danger}),))
    for header in (
        "traceparent",
        "tracestate",
        "x_forwarded_for",
        "cookie",
        "referer",
        "user_agent",
        "x_real_ip",
        "forwarded",
    ):
        for danger in (
            "${jndi:ldap://x/a}",
            "' OR '1'='1",
            "00-0-0-00",
            "127.0.0.1, 10.0.0.1",
            "{{ 7*7 }}",
            "\xff",
            "x" * 2_000,
        ):
            number = next(numbers)
            body = event(id=f"h-{number}")
            sent = request(EVENTS, text(body), **{header: danger})
            yield Case("header that says nothing", f"{header}: {danger!r:.40}", sent, 202, kept=(text(body)[:-1],))


def _posted(number: int, where: str, danger: str, **more: Any) -> Case:
    body = event(**({"id": f"d-{number}"} | more))
    return Case("data", f"{where} {danger!r:.40}", request(EVENTS, text(body)), 202, kept=(text(body)[:-1],))


def _of_msgspec(value: dict[str, str]) -> bytes:
    """As it stands in a record that the door has written itself."""
    return text(value)
