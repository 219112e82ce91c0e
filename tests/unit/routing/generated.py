"""Route trees, label sets and texts of matchers, made by a seeded generator. Nothing of Andon is imported.

`own` adds what only Andon has (comparisons, `urgent`); without it a tree is one that Alertmanager takes.
"""

from __future__ import annotations

from random import Random
from typing import Any

NAMES = ("type", "line", "severity", "班组", "two words", "a.b")
VALUES = ("", "a", "b", "ab", "甲", 'a "b"', "a\\b", "a\nb", "<a>")
PATTERNS = ("a|b", "a.*", ".*", "", "b+", "(a|b)b?", "甲|乙", "a|", "[^a]*", "(?i)A|B", "(?s)a.b", "a.b")
RECEIVERS = ("r0", "r1", "r2", "r3")
INTERVALS = ("day", "night", "tuesday")
LETTERS = {"\n": "\\n", '"': '\\"', "\\": "\\\\", "甲": "\\u7532", "乙": "\\xe4\\xb9\\x99", "a": "\\x61", "b": "\\142"}
COMPARISONS = (
    *("data.code > 1", "data.code<=2", "data.code == 2", "data.code != 2", 'data.code == "2"', "data.code != x"),
    *("data.code exists", "data.code < data.limit", "data.limit > data.code", "data.code == labels.line"),
    *("data.code != data.limit", "facts.m.age >= 1.5", "facts.m.age =~ [12].*", "facts.m.age !~ 1", "facts.m exists"),
)
CODES: tuple[object, ...] = (0, 1, 2, 3, 2.0, 2.5, "2", "x", "a", True, None, [1], {})
PIECES = (
    *("{", "}", ",", ",", "=", "=", "!=", "=~", "!~", "!", "~", "==", '"', "\\", "'", "`", "<", ">", " ", "\t", "\n"),
    *("\u3000", "\x1f", "\x85", "\ufeff", "\0", "a", "b", "班", "甲", "a.b", '"a"', '""', '"甲"', '"a b"', "a|b", ".*"),
    *("(", ")", "[", "]", "*", r'"\n"', r'"\x61"', r'"\xe7"', r'"\u7532"', r'"\ud800"', r'"\142"', r'"\8"', r'"\'"'),
    *(r'"\""', r'"\\"', r'"\d"', '"\n"', '"{"', '"},"', r'"\U0001F600"', r'"\U00110000"', "😀", "-", "0", "exists"),
)
ATOMS = (
    *("a", "b", "ab", "甲", ".", "[ab]", "[^a]", "[a-c]", "[[:alpha:]]", r"\d", r"\w", r"\s", r"\.", r"\pL", r"\x61"),
    *("^", "$", r"\b", r"\A", r"\z", r"\Qa.b\E", "(?i)", "(?s)", "(?-s)", "(?m)", "(?U)", r"\p{Han}", r"[\d甲]", "\\n"),
)
BROKEN = ("(", ")", "[", "]", "*", "{", "{1001}", "\\", r"\1", r"\Z", "(?=a)", "(?P<n", "[b-a]", "a**", r"\pX", "?")


def some_value(random: Random) -> str:
    return random.choice(VALUES[:4] if random.random() < 0.8 else VALUES)


def quoted(random: Random, text: str) -> str:
    """In quotes, with escapes where they must be and here and there where they may be."""
    must = '\n"\\'
    return '"' + "".join(LETTERS.get(c, c) if c in must or random.random() < 0.1 else c for c in text) + '"'


def written(random: Random, text: str) -> str:
    """With quotes or, where that is allowed, without."""
    plain = text and not set(text) & set(" \n{}!=~,\\\"'`<>")
    return text if plain and random.random() < 0.5 else quoted(random, text)


def some_matcher(random: Random) -> str:
    sign = random.choice(("=", "=", "=", "!=", "=~", "!~"))
    name = random.choice(NAMES[:3] if random.random() < 0.8 else NAMES)
    value = random.choice(PATTERNS) if "~" in sign else some_value(random)
    left, right = random.choice((("", ""), ("", ""), (" ", " "), ("", "\t"), ("\u3000", "")))
    return f"{left}{written(random, name)}{left}{sign}{right}{written(random, value)}{right}"


def some_matchers(random: Random, *, own: bool) -> list[str]:
    """The entries of `matchers`; now and then several in one text."""
    found = [some_matcher(random) for _ in range(random.choice((0, 1, 1, 2, 2)))]
    if own and random.random() < 0.3:
        found.append(random.choice(COMPARISONS))
    if len(found) > 1 and random.random() < 0.2:
        text = ",".join(found) + random.choice(("", ",", ", "))
        return [f"{{{text}}}" if random.random() < 0.5 else text]
    return found


def some_route(random: Random, depth: int, *, own: bool) -> dict[str, Any]:
    node: dict[str, Any] = {"matchers": some_matchers(random, own=own)}
    if random.random() < 0.7:
        node["receiver"] = random.choice(RECEIVERS)
    if random.random() < 0.4:
        node["continue"] = True
    if own and random.random() < 0.3:
        node["urgent"] = random.random() < 0.5
    if random.random() < 0.3:
        node["group_by"] = random.choice((["line"], ["line", "severity"], ["..."], []))
    for key in ("group_wait", "group_interval", "repeat_interval"):
        if random.random() < 0.15:
            node[key] = random.choice(("5s", "1m", "3h"))
    for key in ("mute_time_intervals", "active_time_intervals"):
        if random.random() < 0.2:
            node[key] = random.sample(INTERVALS, random.randrange(1, 3))
    if depth:
        node["routes"] = [some_route(random, depth - 1, own=own) for _ in range(random.randrange(5))]
    return node


def some_tree(random: Random, *, own: bool, depth: int = 2, width: int = 5) -> dict[str, Any]:
    """The `route` of a configuration. The root says all that Alertmanager has other defaults for."""
    root: dict[str, Any] = {"receiver": "r0"}
    if not own or random.random() < 0.5:
        root |= {"group_by": ["line"], "group_wait": "10s", "group_interval": "2m", "repeat_interval": "1h"}
    wide = random.randrange(1, width + 1)
    return root | {"routes": [some_route(random, depth, own=own) for _ in range(wide)]}


def some_labels(random: Random) -> dict[str, str]:
    """A label set; never `subject` or `source`, which every event of ours has."""
    return {name: some_value(random) for name in NAMES if random.random() < 0.7}


def some_values(random: Random) -> tuple[dict[str, Any], dict[str, Any]]:
    """`data` and `facts`."""
    data = {name: random.choice(CODES) for name in ("code", "limit") if random.random() < 0.8}
    return data, {"m": {"age": random.choice(CODES)}} if random.random() < 0.8 else {}


def some_text(random: Random) -> str:
    """A text that may be matchers: good ones, good ones with a piece gone wrong, and pieces as they come."""
    if random.random() < 0.3:
        return "".join(random.choice(PIECES) for _ in range(random.randrange(1, 9)))
    text = random.choice(("{%s}", "%s", "%s")) % ",".join(some_matcher(random) for _ in range(random.randrange(1, 3)))
    for _ in range(random.choice((0, 1, 1, 2))):
        at = random.randrange(len(text) + 1)
        text = text[:at] + random.choice(("", *PIECES)) + text[at + random.randrange(2) :]
    return text


def some_pattern(random: Random, depth: int = 2) -> str:
    """A regular expression, now and then a broken one."""
    parts: list[str] = []
    for _ in range(random.randrange(1, 4)):
        group = depth and random.random() < 0.4
        part = f"({random.choice(('', '?:', '?P<n>', '?i:'))}{some_pattern(random, depth - 1)})" if group else ""
        part = part or random.choice(BROKEN if random.random() < 0.02 else ATOMS)
        parts.append(part + random.choice(("", "", "", "*", "+", "?", "{2}", "{1,}", "{,2}", "*?", "{0,1}")))
    return "".join(parts) + (f"|{some_pattern(random, depth - 1)}" if depth and random.random() < 0.3 else "")
