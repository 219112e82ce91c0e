"""Keys and values of the wrong kind: each mistake with its place (marked `‹`) and the sentence a person reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.config.plant import changed, marked, read, said

DEEP = "above 1000 it breaks the promised queue depth"

# What is replaced in the plant, by what, and what is said of it.
TABLE: dict[str, tuple[str, str, str]] = {
    # unknown keys
    "top level": ("enrich:", "‹enrch:", "unknown key `enrch`; did you mean `enrich`?"),
    "site": ("zone: Asia/Shanghai", "‹timezone: Asia/Shanghai", "unknown key `timezone`; did you mean `zone`?"),
    "kafka": ("partitions: 6", "‹partition: 6", "unknown key `partition`; did you mean `partitions`?"),
    "limits": ("queue: 600", "‹que: 600", "unknown key `que`; did you mean `queue`?"),
    "merge": ("by: [line, code]}", "‹byy: [line]}", "unknown key `byy`; did you mean `by`?"),
    "receiver": ("template: fault", "‹tempalte: fault", "unknown key `tempalte`; did you mean `template`?"),
    "route": (
        "urgent: true, continue: true",
        "urgent: true, ‹contniue: true",
        "unknown key `contniue`; did you mean `continue`?",
    ),
    "python's name of a key": (
        "continue: true",
        "‹continue_: true",
        "unknown key `continue_`; did you mean `continue`?",
    ),
    "deep route": (
        "mute_time_intervals: [night]}",
        "routes: [{‹mute_time_interval: [night]}]}",
        "unknown key `mute_time_interval`; did you mean `mute_time_intervals`?",
    ),
    "hyphen": (
        "ticket_system: tracker",
        "ticket_system: tracker, ‹Key-: []",
        "unknown key `Key-`; did you mean `key`?",
    ),
    "nothing alike": (
        "templates: {dir: texts}",
        "templates: {dir: texts, ‹qqq: 1}",
        "unknown key `qqq`; possible: `dir`, `link`, `mask`, `missing`, `watermark`",
    ),
    "key that is a number": ("{kind: book}", "{kind: book, ‹7: x}", "unknown key `7`; possible: `folder`"),
    # wrong types
    "text for a map": (
        "{bootstrap: embedded, partitions: 6, retention: 14d}",
        "‹embedded",
        "`kafka` must be a map (`key: value`)",
    ),
    "list for a map": ("{kind: book}", "{kind: book}\n  ‹other: [kind, book]", "`other` must be a map (`key: value`)"),
    "number for text": ("name: 二号厂", "name: ‹12", "`name` must be text; put it in quotes"),
    "text for a number": ("partitions: 6", "partitions: ‹six", "`partitions` must be a whole number"),
    "a number in quotes": ("partitions: 6", 'partitions: ‹"6"', "`partitions` must be a whole number"),
    "true for a number": ("partitions: 6", "partitions: ‹true", "`partitions` must be a whole number"),
    "yes for true": ("continue: true", "continue: ‹yes", "`continue` must be true or false"),
    "a number of many digits": ("partitions: 6", f"partitions: ‹{'9' * 20}", "`partitions` must be a whole number"),
    "number too small": ("partitions: 6", "partitions: ‹0", "`partitions` must be at least 1"),
    "number too large": ("partitions: 6", "partitions: ‹1001", "`partitions` must be at most 1000"),
    "text for true": ("continue: true", "continue: ‹maybe", "`continue` must be true or false"),
    "version": ("version: 1\n", "version: ‹2\n", "`version` must be 1"),
    "choice": (
        "office: {channel: printer}",
        "office: {channel: printer, on_ambiguous: ‹resend}",
        "`on_ambiguous` must be `resend_marked`, `park_unknown` or `resend_keyed`",
    ),
    "neither map nor word": (
        "merge: {over: 10/m, by: [line, code]}",
        "merge: ‹all",
        "`merge` must be a map (`key: value`) or must be `none`",
    ),
    # units
    "duration": (
        "wait: 500ms",
        "wait: ‹5 minutes",
        "`wait`: '5 minutes' is not a duration; write for example 10s, 5m, 2h or 190d",
    ),
    "negative duration": (
        "wait: 500ms",
        "wait: ‹-5",
        "`wait`: -5 is not a duration; write for example 10s, 5m, 2h or 190d",
    ),
    "rate": (
        "over: 10/m",
        "over: ‹10 per minute",
        "`over`: '10 per minute' is not a rate; write for example 10/m, 5/10m or 50/s",
    ),
    "rate of nothing": (
        "over: 10/m",
        "over: ‹10/0m",
        "`over`: '10/0m' is not a rate; write for example 10/m, 5/10m or 50/s",
    ),
    "size": ("body: 512KiB", "body: ‹512 kB", "`body`: '512 kB' is not a size; write for example 512KiB or 1MiB"),
    "zone": (
        "zone: Asia/Shanghai",
        "zone: ‹Asia/Shangai",
        "`zone`: there is no time zone 'Asia/Shangai'; did you mean `Asia/Shanghai`?",
    ),
    # limits
    "window": (
        "window: 800",
        "window: ‹100",
        f"`window`: must be 500 to 1000, not 100: a smaller window wastes transactions, {DEEP}",
    ),
    "queue": (
        "queue: 600",
        "queue: ‹1001",
        f"`queue`: must be 500 to 1000, not 1001: a shorter one merges what would be delivered, {DEEP}",
    ),
    # recipients
    "too many recipients": (
        "office: {channel: printer}",
        f"office: {{channel: printer, ‹to: [{', '.join(f'u{n}' for n in range(1_001))}]}}",
        "`to`: 1001 names; a delivery has at most 1000 recipients: make several receivers",
    ),
    "recipient without a name": (
        "office: {channel: printer}",
        'office: {channel: printer, ‹to: [wang, " li"]}',
        "`to`: entry 2 is not a name: it is empty or has blanks around it",
    ),
    "recipient with a sign that nobody sees": (
        "office: {channel: printer}",
        'office: {channel: printer, ‹to: [wang, "li\\u200b"]}',
        "`to`: entry 2 is not a name: it has signs in it that nobody sees",
    ),
    # missing keys
    "no channel": ("office: {channel: printer}", "‹office: {template: head}", "`channel` is missing"),
    "no rate in merge": ("merge: {over: 10/m, by: [line, code]}", "‹merge: {by: [line]}", "`over` is missing"),
    "receiver at the root": (
        "route:\n  receiver: office",
        "‹route:",
        "`receiver` is missing: the root's receiver hears of all that no other route takes",
    ),
    # plug-ins
    "kind": ("kind: door", "kind: ‹dor", "there is no kind `dor`; did you mean `door`?"),
    "later kind": ("kind: door", "kind: ‹opcua", "kind `opcua` is not in this version"),
    "plug-in's key": (
        "key: machine_no}",
        "key: machine_no, ‹chache: 5m}",
        "unknown key `chache`; did you mean `cache`?",
    ),
    "plug-in's type": (
        "{kind: paper, keys: [env:PRINTER]}",
        "{kind: paper, size: ‹big, keys: [env:PRINTER]}",
        "`size` must be a whole number",
    ),
    "plug-in's duration": (
        "key: machine_no}",
        "key: machine_no, cache: ‹soon}",
        "`cache`: 'soon' is not a duration; write for example 10s, 5m, 2h or 190d",
    ),
    "plug-in's missing key": (
        "  line: {kind: door, token: env:LINE_TOKEN}",
        "  ‹line: {kind: door}",
        "`token` is missing",
    ),
    "later key of plug-ins": (
        "token: env:LINE_TOKEN",
        "token: env:LINE_TOKEN, ‹login: sap",
        "`login` is not in this version",
    ),
    # secrets
    "secret in a list": (
        "keys: [env:PRINTER]",
        "keys: [‹6f1d9a0e-5b60]",
        "`keys[0]`: a secret is written as env:NAME or file:/path, never as its value",
    ),
    "secret": (
        "token: env:LINE_TOKEN",
        "token: ‹hunter2",
        "`token`: a secret is written as env:NAME or file:/path, never as its value",
    ),
    "password in an address": (
        "name: 二号厂",
        "proxy: ‹http://wang:hunter2@10.0.8.3:3128",
        "a secret stands in this address; secrets are written as env:NAME or file:/path, never as a value",
    ),
    "key in an address": (
        "{kind: book}",
        "{kind: book, folder: ‹https://vendor.example/send?key=6f1d9a0e}",
        "a secret stands in this address; secrets are written as env:NAME or file:/path, never as a value",
    ),
}


@pytest.mark.parametrize("case", TABLE)
def test_one_mistake(case: str, tmp_path: Path) -> None:
    old, new, text = TABLE[case]
    file, place = marked(changed(old, new))
    assert said(read(tmp_path, file)) == [f"{place}: {text}"]


@pytest.mark.parametrize("zone", ["Asia", "/etc/passwd", "../zone", ""])
def test_what_is_no_time_zone(zone: str, tmp_path: Path) -> None:
    (mistake,) = said(read(tmp_path, changed("zone: Asia/Shanghai", f'zone: "{zone}"')))
    assert mistake.startswith(f"2:25: `zone`: there is no time zone '{zone}'")


def test_a_plug_in_without_a_kind_and_one_that_is_no_map(tmp_path: Path) -> None:
    text = changed("  tracker: {kind: book}", "  tracker: {folder: /x}\n  other: 5")
    assert said(read(tmp_path, text)) == ["24:3: `kind` is missing", "25:10: `other` must be a map (`key: value`)"]


def test_every_mistake_is_said_at_once_in_file_order(tmp_path: Path) -> None:
    text = changed("window: 800", "windw: 800")
    for old, new in (
        ("channel: printer", "channel: prnter"),
        ("wait: 500ms", "wait: 5 min"),
        ("keys: [env:PRINTER]", "keys: [secret-value]"),
        ("version: 1\n", "version: 1\nversion: 1\n"),
        ("[night]", "[nights]"),
    ):
        assert text.count(old) == 1
        text = text.replace(old, new)
    assert said(read(tmp_path, text)) == [
        "2:1: duplicate key `version`; the first is in line 1",
        "6:10: unknown key `windw`; did you mean `window`?",
        "15:84: `wait`: '5 min' is not a duration; write for example 10s, 5m, 2h or 190d",
        "20:33: `keys[0]`: a secret is written as env:NAME or file:/path, never as its value",
        "23:21: there is no channel `prnter` under `channels`; did you mean `printer`?",
        "32:76: there is no time interval `nights` under `calendar.time_intervals`; did you mean `night`?",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- a\n- b\n", ["1:1: the file must be a map (`key: value`)"]),
        ("hello\n", ["1:1: the file must be a map (`key: value`)"]),
        ("{}\n", ["1:1: `route` is missing", "1:1: `version` is missing"]),
        ("version: 1\nroute: x\n", ["2:8: `route` must be a map (`key: value`)"]),
        (
            "version: 1\nchannels: [a]\nroute: {receiver: []}\n",
            [
                "2:1: `channels` must be a map (`name: …`)",
                "3:9: `receiver` must be text; put it in quotes",
            ],
        ),
    ],
)
def test_files_of_another_shape(text: str, expected: list[str], tmp_path: Path) -> None:
    assert said(read(tmp_path, text)) == expected


def test_what_an_alias_repeats_is_said_once(tmp_path: Path) -> None:
    text = changed("shift: {channel: robot, template: fault", "shift: &it {channel: robot, on_ambigous: x")
    text = text.replace("office: {channel: printer}", "office: *it")
    assert said(read(tmp_path, text)) == ["21:31: unknown key `on_ambigous`; did you mean `on_ambiguous`?"]


def test_no_value_of_a_secret_is_ever_shown(tmp_path: Path) -> None:
    secret = "Pa55-word-of-the-plant"
    text = changed("token: env:LINE_TOKEN", f"token: {secret}").replace("env:PRINTER", f"[{secret}]")
    text = text.replace("env:ROBOT_1", f"http://user:{secret}@10.0.0.1/")
    text = text.replace("{kind: book}", f"{{kind: book, folder: [{secret}]}}")
    text = text.replace("partitions: 6", f"partitions: {secret}").replace("continue: true", f"continue: {secret}")
    text = text.replace("retention: 14d}", f"sasl: {{user: {secret}, password: {secret}, mechanism: {secret}}}}}")
    loaded = read(tmp_path, text)
    assert len(loaded.mistakes) == 11
    assert not [str(mistake) for mistake in loaded.mistakes if secret in str(mistake)]


def test_a_thousand_recipients_are_taken(tmp_path: Path) -> None:
    names = [f"u{number}" for number in range(1_000)]
    office = f"office: {{channel: printer, to: [{', '.join(names)}]}}"
    loaded = read(tmp_path, changed("office: {channel: printer}", office))
    assert loaded.settings.receivers["office"].to == tuple(names)
