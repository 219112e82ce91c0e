"""Questions to the real Alertmanager, and what Andon and the naive implementation answer otherwise.

`python -m tests.unit.routing.alertmanager > tests/unit/routing/alertmanager.jsonl` asks it anew (built if need be, in
minutes) and records the answers, by which every run of the tests goes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import re2

from andon.core.matchers import MatcherError, all_hold, compile_matchers
from tests.rig import oracle
from tests.unit.routing import naive, sides
from tests.unit.routing.generated import (
    INTERVALS,
    RECEIVERS,
    quoted,
    some_labels,
    some_pattern,
    some_text,
    some_tree,
)
from tests.unit.routing.naive import Taken

RECORD = Path(__file__).with_name("alertmanager.jsonl")
SEED = 20_261_127
PATTERN_LABEL = "p"  # its patterns are beyond Python's engine
TEXTS = (
    *("", " ", "{}", "{ }", "{", "}", ",", "{,}", "a", "a=", "=a", "a=b", "{a=b", "a=b}", "{a=b}", "{{a=b}}", "a=b,"),
    *("{a=b,}", "a=b,,", "a=b,}", "{a=b,c!=d , e=~f,g!~h ,}", "{a=b} ", "{a=b}x", "{a=b},c=d", "a=b c=d", "a=b,c"),
    *('""=a', 'a=""', '"a"="b"', '"a"b', 'a="b"c', 'a=b"c"', 'a="b', 'a=b"', "a='b'", "a=`b`", "a='b", "a=b\\"),
    *(r'a="\a\b\f\n\r\t\v\\\""', r'a="\'"', r'a="\d"', r'a="\x61\142\u4e2d\U0001f600"', r'a="\x6"', r'a="\1"'),
    *(r'a="\377"', r'a="\400"', r'a="\xe4\xb8\xad"', r'a="\xe4"', r'a="\ud800"', r'a="\U00110000"', r'a="\N{DASH}"'),
    *('a="\n"', 'a="\t"', 'a="\r"', 'a="\0"', "a\n=\nb", "a\x85=\u3000b", "\ufeffa=b", "a\x1fb=c", "a\u200b=b"),
    *("a==b", "a=!b", "a!b", "a!=b", "a! =b", "a = ~b", "a=~b", "a=~=b", "a!~~b", "a=~!b", "a!!=b", "a===b"),
    *("a=<b>", "a=b<c", "a<b=c", "a>=1", '"a<b"=c', '"data.x"=y', '"facts.x"!=""', "a.b=c", "a:b=c", "a-b=c", "1=2"),
    *(
        "班组=甲",
        '"班组"="甲"',
        "😀=😀",
        "é=e\u0301",
        "a=~(b|c)",
        "a=~(",
        "a=~[b",
        "a=~b{2}",
        'a=~"b{2}"',
        'a=~"a\\\\.b"',
    ),
    *('a=~""', "a!~.*", 'a=~"^b$"', 'a=~"(?i)B"', 'a=~"b)|(b"', "a=[b]", "a=(b)", "a=b;c", "a=b|c", "a=#b", "a=$b"),
)
PROBES = ("", "a", "b", "ab", "A", "甲", "a.b", "aa", "1a", " ", "\n", "a\nb", "b甲")
Question = dict[str, Any]


def questions(seed: int, *, texts: int, patterns: int, trees: int) -> list[Question]:
    """Generated ones; each tree is held against four label sets."""
    random = Random(seed)
    probes = [{PATTERN_LABEL: value} for value in PROBES]
    return [
        *(oracle.matchers(some_text(random), *_labels(random)) for _ in range(texts)),
        *(
            oracle.matchers(f"{PATTERN_LABEL}=~{quoted(random, some_pattern(random))}", *probes)
            for _ in range(patterns)
        ),
        *(oracle.tree(config(some_tree(random, own=False)), *_labels(random)) for _ in range(trees)),
    ]


def chosen() -> list[Question]:
    """The texts whose answer was thought about."""
    sets = [{}, *({"a": value} for value in ("b", "", "bb", "a.b")), {"a": "b", "c": "c", "e": "f"}]
    return [oracle.matchers(text, *sets) for text in TEXTS]


def _labels(random: Random) -> list[dict[str, str]]:
    return [some_labels(random) for _ in range(4)]


def config(route: dict[str, Any]) -> dict[str, Any]:
    """Alertmanager's file around a route."""
    always = [{"times": [{"start_time": "00:00", "end_time": "24:00"}]}]
    return {
        "route": route,
        "receivers": [{"name": name} for name in RECEIVERS],
        "time_intervals": [{"name": name, "time_intervals": always} for name in INTERVALS],
    }


def differences(question: Question, answer: dict[str, Any]) -> Iterator[str]:
    """What Andon or the naive implementation says otherwise, but for what docs/routing.md lists."""
    if "config" in question:
        yield from _of_a_tree(json.loads(question["config"])["route"], question["labels"], answer)
    elif not (_is_documented(question["matchers"], answer) and _ours(question) == {}):
        there = {part: answer[part] for part in ("read", "held") if part in answer}
        for who, here in (("andon", _ours(question)), ("naive", _naive(question, answer))):
            if here != there:
                yield f"{who}: {here}, Alertmanager: {answer} of {question}"


def _is_documented(text: str, answer: dict[str, Any]) -> bool:
    """Whether Alertmanager takes what is refused here, and the documentation says so."""
    read = answer.get("read", [])
    return "error" not in answer and (
        not read
        or any(not name or (set(name) & set("<>") and f'"{name}"' not in text) for name, _, _ in read)
        or any("~" in sign and not _is_pattern(value) for _, sign, value in read)
    )


def _is_pattern(text: str) -> bool:
    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(text, options)
    except re2.error:
        return False
    return True


def _ours(question: Question) -> dict[str, Any]:
    """What Andon reads, and whether it holds; nothing if it is refused."""
    try:
        found = compile_matchers((question["matchers"],))
    except MatcherError:
        return {}
    parts = [matcher.label for matcher in found]
    assert all(parts), question
    tests = [matcher.holds for matcher in found]
    return {
        "read": [[part.name, part.sign, *part.values] for part in parts if part],
        "held": [all_hold(tests, sides.labelled(labels)) for labels in question["labels"]],
    }


def _naive(question: Question, answer: dict[str, Any]) -> dict[str, Any]:
    """The same of the naive one; patterns, which Python reads otherwise, are left to Alertmanager."""
    try:
        read = naive.read(question["matchers"])
    except naive.Refused:
        return {}
    if "error" in answer and any("~" in one.sign for one in read):
        return {}
    given = [sides.happened(sides.labelled(labels)) for labels in question["labels"]]
    plain = not any("~" in one.sign for one in read)
    held = [all(naive.holds(one, each) for one in read) for each in given] if plain else answer["held"]
    return {"read": [[one.name, one.sign, one.value] for one in read], "held": held}


def _of_a_tree(route: dict[str, Any], labels: list[dict[str, str]], answer: dict[str, Any]) -> Iterator[str]:
    if "error" in answer:
        yield f"Alertmanager refuses {route}: {answer['error']}"
        return
    router = sides.built(route)
    for one, said in zip(labels, answer["taken"], strict=True):
        given = sides.labelled(one)
        there = [_taken(each, sides.happened(given)) for each in said]
        for who, here in (
            ("andon", sides.taken(router, given)),
            ("naive", naive.taken(route, sides.happened(given), sides.is_on)),
        ):
            if here != there:
                yield f"{who}: {here}, Alertmanager: {there} of {one} in {route}"


def _taken(said: dict[str, Any], given: naive.Happened) -> Taken:
    """A route as Alertmanager's own values say it: group, and silence at the time of the event."""
    silent = any(sides.is_on(name, given.at) for name in said["mute"])
    inactive = said["active"] and not any(sides.is_on(name, given.at) for name in said["active"])
    group = f"{said['path']} {naive.grouped(said['group_by'], given)}"
    wait, interval, repeat = map(float, said["pace"])
    verdict = "inactive" if inactive else "muted" if silent else ""
    return Taken(said["path"], said["receiver"], False, group, (wait, interval, repeat), verdict)


def recorded() -> list[tuple[Question, dict[str, Any]]]:
    """The questions and answers of the record."""
    return [tuple(json.loads(line)) for line in RECORD.read_text(encoding="utf-8").split("\n") if line]


if __name__ == "__main__":
    asked = chosen() + questions(SEED, texts=250, patterns=60, trees=30)
    for question, answer in zip(asked, oracle.ask(asked), strict=True):
        print(json.dumps([question, answer], ensure_ascii=False, separators=(",", ":")))
