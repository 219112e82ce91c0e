"""The rule of a fault episode, by examples and by any order of events."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.config.routing import EpisodeRule
from andon.core.event import Event, Position
from andon.core.ports import Ticket
from andon.ticketing.episode import (
    Close,
    Command,
    Comment,
    Episode,
    FaultState,
    Open,
    Reopen,
    TicketState,
    advance,
    applied,
    episode_key,
    fault_state,
    ticket_key,
)
from andon.ticketing.records import record, records, ticket_record

KEY = "line-3/M-07/E-217"
START = datetime(2026, 11, 23, 8, 0, tzinfo=timezone(timedelta(hours=8)))
RULE = EpisodeRule(ticket_system="tracker")


def event(second: float, state: str | None, *, number: str = "", **changes: Any) -> Event:
    labels = {"severity": "major"} | ({"state": state} if state else {})
    fields: dict[str, Any] = {
        "id": number or f"e{second}{state}",
        "source": "mes/demo",
        "type": "mes.fault",
        "subject": "line-3/M-07",
        "time": START + timedelta(seconds=second),
        "data": {"code": "E-217", "message": "主轴过热"},
        "labels": labels,
    }
    return Event(**(fields | changes))


def run(*events: Event, reopen_within: float = 0.0) -> tuple[Episode, list[Command]]:
    episode: Episode | None = None
    commands: list[Command] = []
    for each in events:
        episode, new = advance(episode, each, KEY, reopen_within=reopen_within)
        commands += new
    assert episode is not None
    return episode, commands


def names(commands: list[Command]) -> list[str]:
    return [f"{type(command).__name__}{command.number}" for command in commands]


def test_a_raise_opens_and_a_clear_closes() -> None:
    episode, commands = run(event(0, "raise"), event(9, "clear"))
    assert names(commands) == ["Open1", "Close1"]
    opened = commands[0]
    assert isinstance(opened, Open)
    assert (opened.title, opened.severity, ticket_key(opened)) == ("主轴过热", "major", f"{KEY}#1")
    assert "line-3/M-07" in opened.text
    assert (episode.state, episode.ticket_state) == (FaultState.CLEARED, TicketState.CLOSING)
    assert episode.cleared_at == START + timedelta(seconds=9)


def test_a_repeated_raise_is_commented_on_ever_more_rarely() -> None:
    episode, commands = run(*(event(n, "raise") for n in range(1000)))
    assert names(commands) == ["Open1"] + ["Comment1"] * 9
    assert episode.raises == 1000


def test_a_ticket_that_failed_gets_no_comments_but_still_its_close() -> None:
    episode, (opened,) = advance(None, event(0, "raise"), KEY)
    episode = applied(episode, opened, None, failed=True)
    assert episode.ticket_state is TicketState.FAILED
    episode, commands = advance(episode, event(1, "raise"), KEY)
    assert commands == ()
    episode, (close,) = advance(episode, event(2, "clear"), KEY)
    assert isinstance(close, Close)
    assert applied(episode, close, None, failed=False).ticket_state is not TicketState.CLOSED


def test_a_clear_without_a_raise_does_nothing() -> None:
    episode, commands = run(event(0, "clear"))
    assert commands == []
    assert (episode.number, episode.state) == (0, FaultState.CLEARED)


def test_the_next_raise_begins_a_new_episode_with_a_ticket_of_its_own() -> None:
    first, opened = advance(None, event(0, "raise"), KEY)
    first = applied(first, opened[0], Ticket("7", "unread", "link7"), failed=False)
    second, commands = run_from(first, event(5, "clear"), event(6, "raise"))
    assert names(commands) == ["Close1", "Open2"]
    assert (second.number, second.ticket, second.ticket_link, second.raises) == (2, None, "", 1)


def run_from(episode: Episode, *events: Event) -> tuple[Episode, list[Command]]:
    commands: list[Command] = []
    for each in events:
        episode, new = advance(episode, each, KEY)
        commands += new
    return episode, commands


def test_a_duplicate_changes_nothing() -> None:
    episode, _ = run(event(0, "raise"))
    assert advance(episode, event(0, "raise"), KEY) == (episode, ())
    same_number_elsewhere = event(0, "raise", source="mes/other")
    assert advance(episode, same_number_elsewhere, KEY)[0].raises == 2


def test_what_is_remembered_of_events_is_bounded() -> None:
    episode, _ = run(*(event(n, "raise") for n in range(100)))
    assert len(episode.seen) == 32


def test_a_clear_older_than_the_latest_raise_closes_nothing() -> None:
    episode, commands = run(event(0, "raise"), event(10, "raise"), event(5, "clear"))
    assert names(commands) == ["Open1", "Comment1"]
    assert episode.state is FaultState.RAISED


def test_a_raise_older_than_the_end_is_only_counted() -> None:
    episode, commands = run(event(0, "raise"), event(10, "clear"), event(5, "raise"))
    assert names(commands) == ["Open1", "Close1"]
    assert (episode.state, episode.number, episode.raises) == (FaultState.CLEARED, 1, 2)


def test_a_clear_that_overtook_its_raise_ends_the_episode_as_it_begins() -> None:
    episode, commands = run(event(10, "clear"), event(0, "raise"))
    assert names(commands) == ["Open1", "Close1"]
    assert episode.cleared_at == START + timedelta(seconds=10)


def test_between_equal_times_the_order_of_arrival_decides() -> None:
    episode, commands = run(event(0, "raise"), event(0, "clear"), event(0, "raise", number="again"))
    assert names(commands) == ["Open1", "Close1", "Open2"]
    assert episode.state is FaultState.RAISED


def test_a_source_whose_clock_runs_ahead_hides_no_later_fault() -> None:
    taken = (Position("andon.events", 0, 1, int((START + timedelta(seconds=5)).timestamp() * 1000)),)
    a_year_ahead = event(365 * 86_400, "clear", origin=taken)
    episode, commands = run(event(0, "raise"), a_year_ahead, event(60, "raise"))
    assert names(commands) == ["Open1", "Close1", "Open2"]
    assert episode.state is FaultState.RAISED


def test_within_reopen_within_the_same_ticket_is_opened_again() -> None:
    events = (event(0, "raise"), event(10, "clear"), event(39, "raise"), event(50, "clear"), event(80, "raise"))
    episode, commands = run(*events, reopen_within=30)
    assert names(commands) == ["Open1", "Close1", "Reopen1", "Close1", "Open2"]
    assert isinstance(commands[2], Reopen)
    assert episode.number == 2


@pytest.mark.parametrize(
    ("label", "kind", "expected"),
    [
        ("raise", "x", FaultState.RAISED),
        ("clear", "mes.fault.raised", FaultState.CLEARED),
        (None, "mes.fault.raised", FaultState.RAISED),
        (None, "mes.fault.cleared", FaultState.CLEARED),
        (None, "cleared", FaultState.CLEARED),
        (None, "mes.fault.unraised", None),
        ("other", "mes.fault.raised", None),
    ],
)
def test_the_label_decides_before_the_type(label: str | None, kind: str, expected: FaultState | None) -> None:
    assert fault_state(event(0, label, type=kind)) is expected


def test_an_event_that_neither_raises_nor_clears_is_refused() -> None:
    with pytest.raises(ValueError, match="neither raises nor clears"):
        advance(None, event(0, None), KEY)


def test_the_key_is_made_of_the_rules_fields() -> None:
    assert episode_key(RULE, event(0, "raise")) == KEY
    assert episode_key(RULE, event(0, "raise", data={"code": 217})) == "line-3/M-07/217"
    assert episode_key(RULE, event(0, "raise", data={})) is None
    assert episode_key(RULE, event(0, None)) is None
    label = event(0, "raise", labels={"state": "raise", "code": "L/1"})
    assert episode_key(RULE, label) == "line-3/M-07/L%2F1"


def test_a_text_of_a_megabyte_is_no_key() -> None:
    assert episode_key(RULE, event(0, "raise", data={"code": "x" * 60_000})) is not None
    assert episode_key(RULE, event(0, "raise", data={"code": "/" * 30_000})) is None  # each of them is three letters
    assert episode_key(RULE, event(0, "raise", data={"code": "故" * 30_000})) is None


def test_commands_and_episodes_survive_storage() -> None:
    episode, commands = run(event(0, "raise"), event(1, "raise"), event(2, "clear"))
    for command in commands:
        assert msgspec.json.decode(msgspec.json.encode(command), type=Command) == command
    assert msgspec.json.decode(msgspec.json.encode(episode), type=Episode) == episode


def test_the_ticket_follows_the_commands_in_order() -> None:
    episode, (opened,) = advance(None, event(0, "raise"), KEY)
    cleared, (close,) = advance(episode, event(1, "clear"), KEY)
    cleared = applied(cleared, opened, Ticket("3", "unread", "link"), failed=False)
    assert (cleared.ticket, cleared.ticket_state) == ("3", TicketState.CLOSING)
    closed = applied(cleared, close, Ticket("3", "resolved", "link", closed=True), failed=False)
    assert closed.ticket_state is TicketState.CLOSED
    again, (second,) = advance(closed, event(2, "raise"), KEY)
    assert applied(again, close, Ticket("3", "resolved"), failed=True) == again
    assert applied(again, second, Ticket("4", "unread"), failed=False).ticket_state is TicketState.OPEN


def test_records_name_each_change_once_and_for_ever() -> None:
    raised, commands = run(event(0, "raise"))
    assert [r.state for r in records(None, raised, event(0, "raise"))] == ["raised"]
    again, _ = advance(raised, event(1, "raise"), KEY)
    assert records(raised, again, event(1, "raise")) == ()
    cleared, _ = advance(again, event(2, "clear"), KEY)
    (made,) = records(again, cleared, event(2, "clear"), system="tracker")
    assert (made.state, made.number, made.system) == ("cleared", 1, "tracker")
    assert made.at == START + timedelta(seconds=2)
    assert made == record(cleared, "cleared", event(2, "clear"), system="tracker")
    both = records(None, run(event(9, "clear"), event(0, "raise"))[0], event(0, "raise"))
    assert [r.state for r in both] == ["raised", "cleared"]
    at = datetime(2026, 11, 23, tzinfo=UTC)
    opened = ticket_record(commands[0], Ticket("3", "unread", "link"), at)
    failed = ticket_record(commands[0], None, at, failed=True, detail="no")
    assert opened is not None
    assert failed is not None
    assert (opened.state, opened.ticket, opened.link, failed.state) == ("ticket_opened", "3", "link", "ticket_failed")
    assert len({opened.id, failed.id, made.id}) == 3
    assert ticket_record(Comment(KEY, 1, "x", commands[0].cause), None, at) is None


def test_a_long_message_makes_a_short_title_and_is_whole_in_the_text() -> None:
    words = "过热 \n" * 300
    (opened,) = run(event(0, "raise", data={"code": "E", "message": words, "t": 91.5}, facts={"m": {"line": "3"}}))[1]
    assert isinstance(opened, Open)
    assert len(opened.title) == 200
    assert opened.title.endswith("…")
    assert "\n" not in opened.title
    assert words in opened.text
    assert "t: 91.5" in opened.text
    assert "line: 3" in opened.text


SEQUENCE = st.lists(st.tuples(st.integers(0, 12), st.sampled_from(["raise", "clear"])), max_size=30)


@given(SEQUENCE, st.sampled_from([0.0, 4.0]))
def test_any_sequence_keeps_at_most_one_ticket_open(sequence: list[tuple[int, str]], reopen_within: float) -> None:
    episode: Episode | None = None
    open_tickets: set[int] = set()
    opened: list[int] = []
    for second, state in sequence:  # equal pairs are duplicates of one event
        episode, commands = advance(episode, event(second, state), KEY, reopen_within=reopen_within)
        for command in commands:
            match command:
                case Open():
                    assert not open_tickets
                    assert command.number == len(opened) + 1
                    opened.append(command.number)
                    open_tickets.add(command.number)
                case Reopen():
                    assert not open_tickets
                    assert command.number == opened[-1]
                    open_tickets.add(command.number)
                case Close():
                    open_tickets.remove(command.number)
                case Comment():
                    assert open_tickets == {command.number}
        assert open_tickets == ({episode.number} if episode.state is FaultState.RAISED else set())


@given(
    st.lists(st.sampled_from(["raise", "clear"]), min_size=1, max_size=12).flatmap(
        lambda states: st.tuples(
            st.just(states),
            st.lists(st.sampled_from(range(len(states))), max_size=10),
            st.permutations(range(len(states))),
        )
    )
)
def test_in_whatever_order_they_come_the_newest_event_decides(
    case: tuple[list[str], list[int], list[int]],
) -> None:
    states, repeats, order = case
    episode, commands = run(*(event(n, states[n]) for n in [*order, *repeats]))
    assert episode.state == ("raised" if states[-1] == "raise" else "cleared")
    left_open = sum(isinstance(c, Open) for c in commands) - sum(isinstance(c, Close) for c in commands)
    assert left_open == (states[-1] == "raise")
    assert any(isinstance(c, Open) for c in commands) == ("raise" in states)
