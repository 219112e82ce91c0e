"""Computed receivers: people named by what they are, each told once, and never nobody without a word."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.core.delivery import Delivery, Remark
from andon.core.event import Event
from andon.core.outcome import Skipped
from andon.core.paths import PathError
from andon.core.people import Directory, Person
from andon.core.reason import Reason
from andon.core.tables import Tables
from andon.routing import Router, check, explain
from andon.routing.once import Account, told_once
from andon.routing.recipients import Whom
from andon.routing.who import compile_who
from tests.unit.routing.events import event, receivers, settings

PEOPLE = (
    Person("00101", ("一厂/生产部/L3",), ("班长",), ("甲",), ("00201",), {"smtp": "a@x.cn"}),
    Person("00102", ("一厂/生产部/L3",), ("操作工",), ("甲", "乙"), ("00101",), {"smtp": ""}),
    Person("00103", ("一厂/生产部/L4",), ("班长", "安全员"), ("乙",), ("00201",), {"smtp": "c@x.cn"}),
    Person("00201", ("一厂/生产部", "一厂/设备科"), ("设备经理",), (), ("00301",), {"smtp": "d@x.cn"}),
    Person("00301", ("一厂",), ("厂长",), (), ()),
)
DIRECTORY = Directory(PEOPLE)
FAULT = event(
    labels={"line": "L3"},
    facts={"machine": {"leader": "00101", "crew": ["00102", "00103", "all"], "none": None}},
)


@pytest.mark.parametrize(
    ("entry", "ids"),
    [
        ("role:班长", ["00101", "00103"]),
        ("role:安全员", ["00103"]),
        ("role: 班长", ["00101", "00103"]),
        ("role:nobody", []),
        ("department:生产部", ["00101", "00102", "00103", "00201"]),  # with what is below it
        ("department:L3", ["00101", "00102"]),
        ("department:一厂/生产部/L3", ["00101", "00102"]),
        ("department:生产部/L4", ["00103"]),
        ("department:厂", []),
        ("shift:乙", ["00102", "00103"]),
        ("role:班长 & department:L3", ["00101"]),
        ("department:生产部 & role:班长 & shift:乙", ["00103"]),
        ("role:班长 & department:{labels.line}", ["00101"]),  # the shift leader of this line
        ("department:{labels.nowhere}", []),
        ("fact:machine.leader", ["00101"]),
        ("fact:machine.crew", ["00102", "00103"]),  # nobody but the file says everybody
        ("fact:machine.crew & role:班长", ["00103"]),
        ("fact:machine.none", []),
        ("manager-of:fact:machine.leader", ["00201"]),
        ("manager-of:manager-of:fact:machine.leader", ["00301"]),
        ("manager-of:manager-of:manager-of:fact:machine.leader", []),
        ("manager-of:role:班长", ["00201"]),  # once, although two report there
        ("manager-of:00102", ["00101"]),
        ("manager-of:99999", []),
    ],
)
def test_who_is_meant(entry: str, ids: list[str]) -> None:
    assert list(compile_who(entry, DIRECTORY)(FAULT)) == ids


@pytest.mark.parametrize(
    "entry",
    ["role:", "role:班长 & L3", "fact:", "fact:a..b", "manager-of:", "role:{x", "role:a & rota:b"],
)
def test_what_names_nobody_is_a_mistake(entry: str) -> None:
    with pytest.raises(PathError):
        compile_who(entry, DIRECTORY)
    given = settings({"receiver": "it"}, receivers=receivers(it={"to": ["wang", entry]}))
    assert [place for place, _ in check(given)] == [("receivers", "it", "to", 1)]


@pytest.mark.parametrize(
    "name",
    ["all", "@all", "@@all", "@@@all", " @all ", "@ all", "ALL", "@All", "所有人", "@@所有人", "party:1", "Party:1"],
)
def test_a_fact_never_means_everybody_however_it_is_written(name: str) -> None:
    given = event(facts={"machine": {"leader": name, "crew": ["wang", name, "party:12", "allen"]}})
    assert list(compile_who("fact:machine.leader", DIRECTORY)(given)) == []
    assert list(compile_who("fact:machine.crew", DIRECTORY)(given)) == ["wang", "party:12", "allen"]


SETS = st.sets(st.sampled_from("abc"))


@given(st.lists(st.tuples(SETS, SETS, SETS), max_size=6), st.sampled_from("abc"), st.sampled_from("abc"))
def test_both_means_both(rows: list[tuple[set[str], set[str], set[str]]], role: str, department: str) -> None:
    people = [
        Person(str(number), tuple(sorted(departments)), tuple(sorted(roles)), (), tuple(sorted(managers)))
        for number, (departments, roles, managers) in enumerate(rows)
    ]
    found = compile_who(f"role:{role} & department:{department}", Directory(people))(FAULT)
    assert list(found) == [
        str(n) for n, (departments, roles, _) in enumerate(rows) if role in roles and department in departments
    ]


def test_who_is_the_same_for_every_event_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    router, result = routed({"all": {"to": ["role:班长", "manager-of:role:班长", "wang"]}}, [{"receiver": "all"}])
    assert told(result) == {"all": ("00101", "00103", "00201", "wang")}
    monkeypatch.setattr(Directory, "having", lambda *_: pytest.fail("looked up for an event"))
    assert told(router.route(FAULT)) == told(result)


MANAGER = {"to": ["role:设备经理"]}


def routed(given_receivers: dict[str, Any], routes: list[dict[str, Any]], of: Event = FAULT, **more: Any) -> Any:
    given = settings(
        {"receiver": "it", "routes": routes},
        receivers=receivers("it", **given_receivers),
        channels={"c": {"kind": "smtp" if more.get("mail") else "wecom_app"}},
    )
    account = Account("corp app", lambda name: not name.startswith("chat:"))
    shared = {name: account for name in given_receivers if not name.startswith("other")}
    router = Router(given, 1, dict.fromkeys(given.receivers, "d"), Tables(people=PEOPLE), accounts=shared)
    return router, router.route(of)


def told(result: Any) -> dict[str, tuple[str, ...]]:
    deliveries: tuple[Delivery, ...] = result.outputs
    return {delivery.receiver: delivery.recipients for delivery in deliveries}


def test_people_have_the_address_of_the_channel() -> None:
    here = {"leaders": {"to": ["department:L3", "role:班长", "boss@x.cn"]}}
    _, result = routed(here, [{"receiver": "leaders"}], mail=True)
    assert told(result) == {"leaders": ("a@x.cn", "c@x.cn", "boss@x.cn")}
    assert result.outputs[0].remarks == (Remark(Reason.NO_ADDRESS, "leaders: 00102"),)


def test_too_many_are_capped_with_a_remark() -> None:
    router, result = routed({"all": {"to": ["department:一厂"], "at_most": 2}}, [{"receiver": "all"}])
    remark = Remark(Reason.TOO_MANY, "all: 5 people, of whom the first 2 hear of it")
    assert told(result) == {"all": ("00101", "00102")}
    assert result.outputs[0].remarks == (remark,)
    assert explain(router, FAULT).told[0].remarks == (remark,)


def test_nobody_is_somebody_else() -> None:
    here = {
        "leader": {"to": ["fact:machine.none"], "if_nobody": "deputy"},
        "deputy": {"to": ["role:nobody"], "if_nobody": "manager"},
        "manager": MANAGER,
    }
    router, result = routed(here, [{"receiver": "leader"}])
    assert told(result) == {"manager": ("00201",)}
    assert [remark.by for remark in result.outputs[0].remarks] == ["leader", "deputy"]
    assert {remark.reason for remark in result.outputs[0].remarks} == {Reason.NO_RECIPIENTS}
    assert explain(router, FAULT).receivers == ("manager",)


def test_one_receiver_for_many_that_have_nobody() -> None:
    here = {
        "a": {"to": ["role:x"], "if_nobody": "manager"},
        "b": {"to": ["role:y"], "if_nobody": "manager"},
        "manager": MANAGER,
    }
    _, result = routed(here, [{"receiver": "a", "continue": True}, {"receiver": "b"}])
    assert [delivery.receiver for delivery in result.outputs] == ["manager"]


def test_nobody_at_last_is_said_of_the_first() -> None:
    here = {"leader": {"to": ["role:x"], "if_nobody": "b"}, "b": {"to": ["role:y"]}}
    _, result = routed(here, [{"receiver": "leader"}])
    assert result.ended == Skipped(Reason.NO_RECIPIENTS, "leader")


def test_a_fallback_has_somebody_too() -> None:
    here = {
        "oncall": {"to": ["wang"], "fallback": [{"receiver": "leader"}]},
        "leader": {"to": ["role:x"], "if_nobody": "manager"},
        "manager": MANAGER,
    }
    _, result = routed(here, [{"receiver": "oncall"}])
    (fallback,) = result.outputs[0].fallback
    assert (fallback.receiver, fallback.recipients) == ("manager", ("00201",))


def test_a_person_hears_once_by_the_first_route() -> None:
    here = {
        "leaders": {"to": ["role:班长"]},
        "crew": {"to": ["fact:machine.crew", "00101"]},
        "shift": {"to": ["shift:甲"]},
    }
    names = ("leaders", "crew", "shift")
    router, result = routed(here, [{"receiver": name, "continue": True} for name in names])
    assert told(result) == {"leaders": ("00101", "00103"), "crew": ("00102",)}
    visits = {visit.receiver: visit for visit in explain(router, FAULT).visits}
    assert {one.receiver: one.names for one in visits["crew"].elsewhere} == {"leaders": ("00103", "00101")}
    assert {one.receiver: one.names for one in visits["shift"].elsewhere} == {"leaders": ("00101",), "crew": ("00102",)}
    assert visits["leaders"].elsewhere == ()


def test_what_is_urgent_is_told_by_the_urgent_route() -> None:
    here = {"a": {"to": ["role:班长"]}, "b": {"to": ["00101"]}}
    _, result = routed(here, [{"receiver": "a", "continue": True}, {"receiver": "b", "urgent": True}])
    assert told(result) == {"a": ("00103",), "b": ("00101",)}


def test_other_accounts_and_chats_are_others() -> None:
    here = {"a": {"to": ["wang", "chat:1"]}, "b": {"to": ["wang", "chat:1"]}, "other": {"to": ["wang"]}}
    _, result = routed(here, [{"receiver": name, "continue": True} for name in here])
    assert told(result) == {"a": ("wang", "chat:1"), "b": ("chat:1",), "other": ("wang",)}


class Speaker:
    def __init__(self, name: str, account: Account | None) -> None:
        self.name, self.account = name, account


NAMES = st.lists(st.sampled_from(["a", "b", "c", "d"]), unique=True).map(tuple)


@given(st.lists(st.tuples(NAMES, st.sampled_from([None, "app", "mail"]), st.booleans()), max_size=5))
def test_everybody_hears_and_nobody_twice(rows: list[tuple[tuple[str, ...], str | None, bool]]) -> None:
    speaking = [
        (Speaker(str(number), Account(account, lambda _name: True) if account else None), Whom(names))
        for number, (names, account, _) in enumerate(rows)
        if names
    ]
    left = told_once(speaking, {str(number) for number, (_, _, urgent) in enumerate(rows) if urgent})
    for account in ("app", "mail"):
        mine = [target.name for target, _ in speaking if target.account and target.account.name == account]
        heard = [name for target in mine if target in left for name in left[target].names]
        assert sorted(heard) == sorted(
            {name for target, whom in speaking if target.name in mine for name in whom.names}
        )
    for target, whom in speaking:
        if target.account is None:
            assert left[target.name] == whom


def test_mistakes_of_if_nobody() -> None:
    given = settings(
        {"receiver": "a"},
        receivers=receivers(
            a={"to": ["role:x"], "if_nobody": "b"},
            b={"to": ["role:y"], "if_nobody": "a"},
            c={"to": ["wang"], "if_nobody": "a"},
        ),
    )
    found = check(given)
    assert ("receivers", "a", "if_nobody") in dict(found)
    assert "leads back to `a`" in dict(found)["receivers", "a", "if_nobody"]
    assert next(text for place, text in found if place[1] == "c").startswith("it has always somebody")
    with pytest.raises(ValueError, match="leads back"):
        Router(given, 1, dict.fromkeys("abc", "d"))


def test_conditions_on_identity_are_matchers_on_facts() -> None:
    given = settings(
        {
            "receiver": "it",
            "routes": [
                {"matchers": ['facts.reporter.department == "采购部"'], "receiver": "buyers"},
                {"matchers": ["facts.reporter.role in [班长, 设备经理]"], "receiver": "leaders"},
            ],
        },
        receivers=receivers("it", "buyers", "leaders"),
    )
    router = Router(given, 1, dict.fromkeys(given.receivers, "d"))

    def heard(**reporter: Any) -> str:
        return router.route(event(facts={"reporter": reporter})).outputs[0].receiver

    assert heard(department="采购部", role="班长") == "buyers"
    assert heard(department="生产部", role=["操作工", "班长"]) == "leaders"  # a list, as `many: true` answers
    assert heard(missing="not_found") == "it"
