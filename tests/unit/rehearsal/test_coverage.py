"""Coverage of rules: numbers counted by hand, and the walk of the branches against the explanation of the router."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import pytest

from andon.config.settings import Settings
from andon.routing.coverage import Branch, Watched
from andon.routing.explain import explain
from andon.routing.router import Router
from andon.testing.builders import event
from tests.unit.rehearsal.plant import Try, tried

__all__ = ["tried"]

HEAD = """\
version: 1
calendar: {time_intervals: {night: [{times: ["20:00-08:00"]}]}}
channels: {r: {kind: wecom_robot, keys: [env:X]}}
receivers: {a: {channel: r}, b: {channel: r, merge: {over: 1/m}}}
"""


def written(*given: str) -> str:
    events = ", ".join(f"{{type: t, labels: {{{labels}}}}}" for labels in given)
    expect = f"{{outcomes: [{{outcome: delivered, count: {len(given)}}}]}}"
    return f"tests: [{{name: a, at: 2026-09-30 12:00, given: [{events}], expect: {expect}}}]"


# Routes, events, and by hand: what was reached, of how many, and what was not.
COUNTED = [
    # The root alone: one branch, taken.
    ("{receiver: a}", ["x: y"], 1, 1, []),
    # Root taken, route taken, matcher true and false: four.
    ("{receiver: a, routes: [{matchers: [x=y]}]}", ["x: y"], 2, 4, ["route 0 taken", "x=y false"]),
    ("{receiver: a, routes: [{matchers: [x=y]}]}", ["x: y", "x: z"], 4, 4, []),
    # The second matcher is asked only when the first holds.
    (
        "{receiver: a, routes: [{matchers: [x=y, z=y]}]}",
        ["z: y"],
        2,
        6,
        ["route 0.0 taken", "x=y true", "z=y true", "z=y false"],
    ),
    # Two matchers in one text are two.
    (
        "{receiver: a, routes: [{matchers: ['{x=y, z=y}']}]}",
        ["x: y"],
        3,
        6,
        ["route 0.0 taken", "x=y false", "z=y true"],
    ),
    # Behind a route that took the event no other is asked; `continue` goes on.
    (
        "{receiver: a, routes: [{matchers: [x=y]}, {matchers: [x=z]}]}",
        ["x: y"],
        2,
        7,
        ["route 0 taken", "x=y false", "route 0.1 taken", "x=z true", "x=z false"],
    ),
    (
        "{receiver: a, routes: [{matchers: [x=y], continue: true}, {matchers: [x=z]}]}",
        ["x: y"],
        3,
        7,
        ["route 0 taken", "x=y false", "route 0.1 taken", "x=z true"],
    ),
    # Above a route that takes everything the root can never be taken: it is no branch. Inside and outside are two.
    (
        "{receiver: a, routes: [{mute_time_intervals: [night]}]}",
        ["x: y"],
        2,
        3,
        ["night inside"],
    ),
    # A merge rule, and what groups are for, where they are written.
    (
        "{receiver: b, group_by: [x], repeat_interval: 1h}",
        ["x: y"],
        1,
        4,
        ["group_by of route 0 grouped", "repeat_interval of route 0 left out", "merge of b merged"],
    ),
]


@pytest.mark.parametrize(("route", "given", "reached", "of", "left"), COUNTED)
def test_counted_by_hand(route: str, given: list[str], reached: int, of: int, left: list[str], tried: Try) -> None:
    plant = HEAD if "b," in route else HEAD.replace(", merge: {over: 1/m}", "")
    code, out, _ = tried(written(*given), "--json", plant=f"{plant}route: {route}\n")
    told = json.loads(out[0])
    assert code == 0
    assert told["coverage"]["reached"] == reached
    assert told["coverage"]["of"] == of
    assert [f"{one['rule']} {one['does']}" for one in told["coverage"]["left"]] == left
    assert told["coverage"]["percent"] == round(100 * reached / of, 2)


OTHERS = """\
version: 1
limits: {storm: {over: 2/m}}
channels:
  r: {kind: wecom_robot, keys: [env:X]}
  app: {kind: wecom_app, corp_id: env:CORP, agent_id: 1, secret: env:SECRET}
receivers:
  a: {channel: r}
  b: {channel: app, to: ["fact:machine.leader"], if_nobody: c}
  c: {channel: app, to: ["fact:machine.boss"], if_nobody: a}
  d: {channel: app, to: [li], fallback: [{receiver: b}]}
connectors: {machine: {kind: sql, url: "sqlite:///x", view: v, key: id}}
enrich: [{connector: machine}]
route: {receiver: b, routes: [{matchers: [x=d], receiver: d}]}
"""


def test_the_rules_beside_the_routes_are_counted(tried: Try) -> None:
    def left(given: str, more: str = "") -> list[str]:
        tests = f"tests: [{{name: a, at: 2026-09-30 12:00, given: [{given}]{more}, expect: {{waiting: 0}}}}]"
        code, out, _ = tried(tests, "--json", plant=OTHERS)
        assert code == 0
        of = json.loads(out[0])["coverage"]["left"]
        return [f"{one['rule']} {one['does']}" for one in of if one["place"][0] != "route"]

    stands_in = ["if_nobody of b told instead", "if_nobody of c told instead"]
    others = ["fallback of d to b told instead", *stands_in, "limits.storm merged"]
    assert left("{type: t, facts: {machine: {leader: wang}}}") == others
    assert left("{type: t, facts: {machine: {boss: zhao}}}") == [one for one in others if one != stands_in[0]]
    assert left("{type: t}") == [one for one in others if one not in stands_in]
    assert left("{type: t, times: 9}") == others[:1]
    gone = ", answers: [{receiver: d, reason: gone}]"
    assert left("{type: t, labels: {x: d}, facts: {machine: {leader: wang}}}", gone) == others[1:]
    assert left("{type: t, labels: {x: d}}", gone) == others[1:]


def test_what_is_left_is_said_by_its_place(tried: Try) -> None:
    route = "route:\n  receiver: a\n  routes:\n    - matchers: [x=y]\n      active_time_intervals: [night]\n"
    plant = HEAD.replace(", merge: {over: 1/m}", "") + route
    code, out, _ = tried(written("x: z"), plant=plant)
    assert code == 0
    assert out[:-1] == [
        "andon.yaml:8:7: route 0.0: never taken",
        "andon.yaml:8:18: x=y: never true",
        "andon.yaml:9:31: night: never inside nor outside",
    ]
    assert out[-1].startswith("OK 1 test, coverage 33.3 % (2 of 6), ")


def test_too_little_is_a_failure(tried: Try) -> None:
    plant = HEAD.replace(", merge: {over: 1/m}", "") + "route: {receiver: a, routes: [{matchers: [x=y]}]}\n"
    code, out, _ = tried(written("x: y"), "--min-coverage", "50.1", plant=plant)
    assert code == 1
    assert out[-1] == "FAILED coverage is 50.0 %, and 50.1 % are asked for"
    assert tried(written("x: y"), "--min-coverage", "50%", plant=plant).code == 0
    assert json.loads(tried(written("x: y"), "--min-coverage", "51", "--json", plant=plant).out[0])["ok"] is False


TREE: dict[str, Any] = {
    "receiver": "a",
    "routes": [
        {
            "matchers": ["x=1"],
            "continue": True,
            "routes": [{"matchers": ["y=1", "z=1"]}, {"matchers": ["z=2"], "mute_time_intervals": ["night"]}],
        },
        {"matchers": ["y=2"], "routes": [{"matchers": ["z=1"], "continue": True}, {"matchers": ["x=2"]}]},
        {"matchers": ["z=2", "y=1"], "active_time_intervals": ["night"]},
    ],
}


def test_the_branches_are_those_of_the_walk_the_router_explains() -> None:
    """Of every event in a small world: the matchers up to the first that does not hold, the routes, their times."""
    settings = Settings.model_validate(
        {
            "version": 1,
            "calendar": {"time_intervals": {"night": [{"times": ["20:00-08:00"]}]}},
            "channels": {"r": {"kind": "x"}},
            "receivers": {"a": {"channel": "r"}},
            "route": TREE,
        }
    )
    router = Router(settings, 1, {"a": "d"})
    tree = Watched(router.root, settings.route, ("route",))
    for x, y, z in product("012", repeat=3):
        one, reached = event(labels={"x": x, "y": y, "z": z}), set[Branch]()
        tree.walk(one, reached)
        expected: set[tuple[str, str]] = set()
        for visit in explain(router, one).visits:
            for seen in visit.matchers:
                expected.add((seen.matcher, str(seen.held).lower()))
                if not seen.held:
                    break
            if visit.taken:
                expected.add((f"route {visit.path}", "taken"))
            expected |= {(asked.interval, "inside" if asked.held else "outside") for asked in visit.intervals}
        assert {(branch.rule, branch.does) for branch in reached} == expected
