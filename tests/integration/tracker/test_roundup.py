"""What is Roundup's own: one-time tokens, ETags, accounts, its web page."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from andon.core.failure import Failure, Rejected, Retryable
from andon.core.ports import Reply
from andon.core.reason import Reason
from tests.integration.tracker.rig import PASSWORD, FaultyWire, RoundupRig, rig


def on(tracker: str, body: Callable[[RoundupRig], Awaitable[None]]) -> None:
    async def run() -> None:
        async with rig(tracker) as real:
            await body(real)

    asyncio.run(run())


def test_of_many_uses_of_one_token_one_creates(tracker: str) -> None:
    async def body(real: RoundupRig) -> None:
        _, answer = await real.ask("POST", "issue/@poe", {})
        token = answer["data"]["link"].rpartition("/")[2]
        uses = [real.ask("POST", f"issue/@poe/{token}", {"title": "one token"}) for _ in range(8)]
        statuses = sorted(status for status, _ in await asyncio.gather(*uses))
        assert statuses[0] == 201
        assert set(statuses[1:]) == {400}
        assert len(await real.seen("one token")) == 1

    on(tracker, body)


def test_a_request_that_comes_long_after_its_answer_was_given_up_makes_no_second_ticket(tracker: str) -> None:
    class Delayed(FaultyWire):
        """Keeps the first create back, and sends it when the test says so."""

        kept: Callable[[], Awaitable[Reply]] | None = None

        async def request(self, method: str, url: str, /, **rest: object) -> Reply:
            def send() -> Awaitable[Reply]:
                return self.wire.request(method, url, **rest)  # type: ignore[arg-type]

            if "@poe/" in url and self.kept is None:
                self.kept = send
                raise Retryable(Reason.TIMEOUT, ambiguous=True)
            return await send()

    async def body(real: RoundupRig) -> None:
        wire = Delayed(real.wire)
        system = real.on(wire)
        with pytest.raises(Retryable):
            await system.open("late/1#1", "delayed", "text", "major")
        opened = await system.open("late/1#1", "delayed", "text", "major")
        assert wire.kept
        assert (await wire.kept()).status == 400
        (seen,) = await real.seen("delayed")
        assert seen.id == opened.id

    on(tracker, body)


def test_a_second_ticket_whose_maker_has_looked_already_is_retired_by_whoever_sees_it(tracker: str) -> None:
    """A tracker gives numbers before it shows tickets, so the one with the higher number may be seen first."""

    async def body(real: RoundupRig) -> None:
        async def someone_opens_too(method: str, url: str) -> None:
            if method == "GET" and "%5Bsecond" in url and any(method == "POST" for method, _ in wire.requests):
                statuses.append((await real.ask("POST", "issue", {"title": "[second/1#1] made twice"}))[0])
                wire.before = None

        statuses: list[int] = []
        wire = FaultyWire(real.wire, before=someone_opens_too)
        opened = await real.on(wire).open("second/1#1", "made twice", "text", "major")
        (seen,) = await real.seen("made twice")
        assert (statuses, seen.id) == ([201], opened.id)

    on(tracker, body)


def test_a_second_ticket_whose_maker_ended_before_it_looked_is_retired_by_the_next_call(tracker: str) -> None:
    async def body(real: RoundupRig) -> None:
        opened = await real.system().open("left/1#1", "left behind", "text", "major")
        for _ in range(2):
            assert (await real.ask("POST", "issue", {"title": "[left/1#1] left behind"}))[0] == 201
        assert await real.system().open("left/1#1", "left behind", "text", "major") == opened
        (seen,) = await real.seen("left behind")
        assert seen.id == opened.id
        with pytest.raises(Rejected) as refused:
            await real.system().comment(str(int(opened.id) + 1), "to the one that was retired")
        assert refused.value.reason is Reason.GONE

    on(tracker, body)


def test_a_persons_copy_of_a_ticket_is_not_retired(tracker: str) -> None:
    async def body(real: RoundupRig) -> None:
        opened = await real.system().open("copy/1#1", "copied", "text", "major")
        person = {"username": "liu", "address": "liu@plant.example", "password": PASSWORD, "roles": "Admin"}
        assert (await real.ask("POST", "user", person))[0] == 201
        assert (await real.ask("POST", "issue", {"title": "[copy/1#1] copied"}, user="liu"))[0] == 201
        assert await real.system().open("copy/1#1", "copied", "text", "major") == opened
        assert len(await real.seen("copied")) == 2

    on(tracker, body)


def test_a_token_that_was_spent_on_nothing_is_given_up_not_the_ticket(tracker: str) -> None:
    """The tracker ends between spending the token and creating: Roundup commits them one after the other."""

    async def body(real: RoundupRig) -> None:
        async def spend(method: str, url: str) -> None:
            if "@poe/" in url and not spent:
                spent.append(url)
                await real.ask("POST", url.partition("/data/")[2], {"nosuchfield": "x"})
                raise Retryable(Reason.CONNECTION, ambiguous=True)

        spent: list[str] = []
        system = real.on(FaultyWire(real.wire, before=spend))
        reasons = []
        for _ in range(2):
            with pytest.raises(Retryable) as failed:
                await system.open("spent/1#1", "token spent", "text", "major")
            reasons.append(failed.value.reason)
        assert reasons == [Reason.CONNECTION, Reason.BUSY]
        opened = await system.open("spent/1#1", "token spent", "text", "major")
        (seen,) = await real.seen("token spent")
        assert seen.id == opened.id

    on(tracker, body)


def test_a_change_in_between_is_seen_and_kept(tracker: str) -> None:
    async def body(real: RoundupRig) -> None:
        opened = await real.system().open("etag/1#1", "changed in between", "text", "major")

        async def someone_is_faster(method: str, url: str) -> None:
            if method == "PATCH" and not changes:
                _, answer = await real.ask("GET", f"issue/{opened.id}")
                changes.append(
                    (await real.ask("PATCH", f"issue/{opened.id}", {"priority": "wish"}, answer["data"]["@etag"]))[0]
                )

        changes: list[int] = []
        system = real.on(FaultyWire(real.wire, before=someone_is_faster))
        with pytest.raises(Retryable) as failed:
            await system.move(opened.id, "closed", "over")
        assert (failed.value.reason, failed.value.ambiguous, changes) == (Reason.CHANGED, False, [200])
        assert (await system.move(opened.id, "closed", "over")).closed
        _, answer = await real.ask("GET", f"issue/{opened.id}?@fields=priority,status&@verbose=2")
        assert answer["data"]["attributes"]["priority"]["name"] == "wish"
        (seen,) = await real.seen("changed in between")
        assert seen.comments.count("over") == 1

    on(tracker, body)


def test_a_persons_ticket_that_mentions_the_mark_is_not_ours(tracker: str) -> None:
    async def body(real: RoundupRig) -> None:
        status, _ = await real.ask("POST", "issue", {"title": "see [mention/1#1] of yesterday"})
        assert status == 201
        assert await real.system().find("mention/1#1") is None

    on(tracker, body)


def test_severity_becomes_priority_and_an_unknown_one_nothing(tracker: str) -> None:
    async def body(real: RoundupRig) -> None:
        system = real.system()
        for severity, priority in (("critical", "critical"), ("major", "urgent"), ("minor", "bug"), ("odd", None)):
            opened = await system.open(f"priority/{severity}#1", "priority", "text", severity)
            _, answer = await real.ask("GET", f"issue/{opened.id}?@fields=priority&@verbose=2")
            named = answer["data"]["attributes"]["priority"]
            assert (named and named["name"]) == priority

    on(tracker, body)


def test_a_ticket_deleted_by_a_person_is_not_found(tracker: str) -> None:
    async def body(real: RoundupRig) -> None:
        system = real.system()
        opened = await system.open("retired/1#1", "deleted", "text", "major")
        _, answer = await real.ask("GET", f"issue/{opened.id}")
        body = {"@op": "action", "@action_name": "retire"}
        assert (await real.ask("PATCH", f"issue/{opened.id}", body, answer["data"]["@etag"]))[0] == 200
        assert await system.find("retired/1#1") is None

    on(tracker, body)


def test_more_changes_than_one_page_holds_are_all_listed(tracker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("andon.ticketing.systems.roundup._PAGE", 2)

    async def body(real: RoundupRig) -> None:
        system = real.system()
        before = real.now()
        opened = [await system.open(f"pages/{n}#1", "paged", "text", "major") for n in range(5)]
        listed = await system.changes(before - 2)
        assert [ticket.id for ticket in listed][-5:] == [ticket.id for ticket in opened]
        assert len({ticket.id for ticket in listed}) == len(listed)

    on(tracker, body)


def test_changes_are_listed_whatever_the_zone_of_the_account(tracker: str) -> None:
    async def body(real: RoundupRig) -> None:
        opened = await real.system().open("zone/1#1", "zone", "text", "major")
        for zone in ("-11", "8", "0"):
            _, answer = await real.ask("GET", "user/1")
            status, _ = await real.ask("PATCH", "user/1", {"timezone": zone}, answer["data"]["@etag"])
            assert status == 200
            assert opened in await real.system().changes(real.now() - 60)
            assert not await real.system().changes(real.now() + 60)

    on(tracker, body)


def test_the_link_shows_the_ticket(tracker: str) -> None:
    async def body(real: RoundupRig) -> None:
        opened = await real.system().open("page/1#1", "主轴过热 <b>", "text", "major")
        reply = await real.wire.request("GET", opened.link)
        assert reply.status == 200
        assert "[page/1#1] 主轴过热 &lt;b&gt;" in reply.body.decode()

    on(tracker, body)


@pytest.mark.parametrize("account", [{"password": "env:ANDON_TEST_WRONG"}, {"user": "nobody"}])
def test_a_wrong_account_is_rejected_without_naming_the_password(
    tracker: str, account: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANDON_TEST_WRONG", "not-it-9Z")

    async def body(real: RoundupRig) -> None:
        failures: list[Failure] = []
        system = real.on(real.wire, **account)
        for call in (system.find("wrong/1#1"), system.open("wrong/1#1", "wrong", "text", "major")):
            with pytest.raises(Rejected) as refused:
                await call
            failures.append(refused.value)
        assert {failure.reason for failure in failures} == {Reason.CREDENTIALS}
        assert not any(word in str(failure) for failure in failures for word in ("not-it-9Z", PASSWORD, "Basic"))
        assert not await real.seen("wrong")

    on(tracker, body)


def test_a_tracker_that_does_not_know_us_any_more_asks_for_patience(tracker: str) -> None:
    """Roundup counts failed logins of an account and then answers 429, for a while also to the right password."""

    async def body(real: RoundupRig) -> None:
        system = real.on(real.wire, user="stranger")
        reasons = set()
        for _ in range(8):
            with pytest.raises(Failure) as failed:
                await system.find("stranger/1#1")
            reasons.add(failed.value.reason)
            if isinstance(failed.value, Retryable):
                assert failed.value.after
        assert reasons == {Reason.CREDENTIALS, Reason.THROTTLED}

    on(tracker, body)


def test_what_is_not_a_tracker_is_a_bad_reply_or_gone(tracker: str) -> None:
    async def body(real: RoundupRig) -> None:
        page = real.on(real.wire, url=tracker.replace("/tracker/", "/elsewhere/"))
        with pytest.raises(Rejected) as refused:
            await page.find("x#1")
        assert refused.value.reason is Reason.GONE

    on(tracker, body)
