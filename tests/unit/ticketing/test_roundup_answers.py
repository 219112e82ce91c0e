"""What Roundup's answers mean, and what is sent: the body decides, and the password shows nowhere."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping

import msgspec
import pytest
from pydantic import ValidationError

from andon.core.failure import Failure, Rejected, Retryable
from andon.core.ports import Reply
from andon.core.reason import Reason
from andon.testing.builders import context
from andon.testing.clock import ManualClock
from andon.ticketing.systems.roundup import Roundup, mark
from andon.web.nowire import NoWire

PASSWORD = "s3cret-Pa55"
OPTIONS = {"url": "https://tracker.example/t", "user": "andon", "password": "env:ANDON_TEST_ROUNDUP"}
EMPTY = b'{"data": {"collection": []}}'


class Canned(NoWire):
    """Answers every request alike, and takes `takes` seconds for it."""

    def __init__(self, reply: Reply, clock: ManualClock, takes: float = 0.0) -> None:
        self.reply = reply
        self.clock = clock
        self.takes = takes
        self.requests: list[tuple[str, str, bytes, Mapping[str, str], float]] = []

    async def request(
        self,
        method: str,
        url: str,
        /,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        deadline: float = 15.0,
    ) -> Reply:
        self.requests.append((method, url, body, headers or {}, deadline))
        self.clock.advance(self.takes)
        return self.reply


@pytest.fixture(autouse=True)
def _password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANDON_TEST_ROUNDUP", PASSWORD)


def system(
    status: int, body: bytes, headers: Mapping[str, str] | None = None, takes: float = 0.0
) -> tuple[Roundup, Canned]:
    clock = ManualClock()
    wire = Canned(Reply(status, body, headers or {}), clock, takes)
    return Roundup(Roundup.Config.model_validate(OPTIONS), context(wire, clock=clock)), wire


def failure(status: int, body: bytes, headers: Mapping[str, str] | None = None) -> Failure:
    with pytest.raises(Failure) as failed:
        asyncio.run(system(status, body, headers)[0].find("k#1"))
    assert PASSWORD not in str(failed.value)
    return failed.value


def error(status: int, text: str) -> bytes:
    return msgspec.json.encode({"error": {"status": status, "msg": text}})


@pytest.mark.parametrize(
    ("status", "body", "kind", "reason"),
    [
        (401, b"Invalid Login - Invalid login", Rejected, Reason.CREDENTIALS),
        (403, error(403, "Permission to view issue denied"), Rejected, Reason.CREDENTIALS),
        (404, b"<html>not found</html>", Rejected, Reason.GONE),
        (400, error(400, "Property severity not found in class issue"), Rejected, Reason.REJECTED),
        (409, error(409, "no such status"), Rejected, Reason.REJECTED),
        (409, error(409, "Requested item is retired"), Rejected, Reason.GONE),
        (412, error(412, "If-Match is missing or does not match"), Retryable, Reason.CHANGED),
        (429, error(429, "Api rate limits exceeded"), Retryable, Reason.THROTTLED),
        (503, b"", Retryable, Reason.THROTTLED),
        (500, b"<html>", Retryable, Reason.SERVER_ERROR),
        (500, b"[" * 9_000, Retryable, Reason.SERVER_ERROR),
        (502, b"<html>bad gateway</html>", Retryable, Reason.SERVER_ERROR),
        (400, error(400, "Mon Nov 23: An error occurred. Please check the server log"), Retryable, Reason.SERVER_ERROR),
        (400, b"<html>An error has occurred</html>", Retryable, Reason.SERVER_ERROR),
        (200, error(403, "Permission denied"), Rejected, Reason.CREDENTIALS),
        (200, b"<html>a login page</html>", Retryable, Reason.BAD_REPLY),
        (200, b"", Retryable, Reason.BAD_REPLY),
        (200, b"[]", Retryable, Reason.BAD_REPLY),
        (200, b'{"data": null}', Retryable, Reason.BAD_REPLY),
        (200, b'{"data": {}}', Retryable, Reason.BAD_REPLY),
        (200, b'{"data": {"collection": "\xff"}}', Retryable, Reason.BAD_REPLY),
        (302, b"", Rejected, Reason.REJECTED),
        (200, b'{"error": "bad"}', Retryable, Reason.BAD_REPLY),
        (200, b'{"error": {"code": 17}}', Retryable, Reason.BAD_REPLY),
        (200, b'{"error": {"status": "abc"}}', Retryable, Reason.BAD_REPLY),
        (200, b'{"error": {"status": null}}', Retryable, Reason.BAD_REPLY),
        (200, b'{"error": {"status": 0}}', Retryable, Reason.BAD_REPLY),
        (200, b'{"error": "bad", "data": {"collection": []}}', Retryable, Reason.BAD_REPLY),
        (404, b'{"error": {"status": "abc"}}', Rejected, Reason.GONE),
        (502, b'{"error": {"status": null}}', Retryable, Reason.SERVER_ERROR),
        (503, b'{"error": {"status": 0}}', Retryable, Reason.THROTTLED),
        (200, b'{"data": {"collection": null}}', Retryable, Reason.BAD_REPLY),
        (200, b'{"data": {"collection": {"1": {"id": "1"}}}}', Retryable, Reason.BAD_REPLY),
        (200, b'{"data": {"collection": ["1"]}}', Retryable, Reason.BAD_REPLY),
        (200, b'{"data": {"collection": [{"title": "[k#1]"}]}}', Retryable, Reason.BAD_REPLY),
        (200, b'{"data": {"collection": [{"title": "[k#1]", "id": "x"}]}}', Retryable, Reason.BAD_REPLY),
        (
            200,
            b'{"data": {"collection": [{"title": "[k#1]", "id": "%s"}]}}' % (b"9" * 5000),
            Retryable,
            Reason.BAD_REPLY,
        ),
        (200, b'{"data": {"collection": [{"title": "[k#1]", "id": "\xd9\xa3"}]}}', Retryable, Reason.BAD_REPLY),
        (200, b'{"data": {"collection": [{"title": "[k#1]", "id": "1", "status": {}}]}}', Retryable, Reason.BAD_REPLY),
    ],
)
def test_the_answer_decides(status: int, body: bytes, kind: type[Failure], reason: Reason) -> None:
    failed = failure(status, body)
    assert isinstance(failed, kind)
    assert failed.reason is reason


@pytest.mark.parametrize(
    "data",
    [
        {"attributes": None, "@etag": "e"},
        {"attributes": {}, "@etag": None},
        {"attributes": {"messages": ["1", "2"]}, "@etag": "e"},
        {"attributes": {"messages": {"id": "1"}}, "@etag": "e"},
        {"attributes": {"messages": 7}, "@etag": "e"},
    ],
)
def test_a_ticket_without_what_it_is_made_of_is_read_again(data: dict[str, object]) -> None:
    with pytest.raises(Retryable) as failed:
        asyncio.run(system(200, msgspec.json.encode({"data": data}))[0].move("1", "closed", "over"))
    assert failed.value.reason is Reason.BAD_REPLY


def test_changes_without_their_time_are_read_again() -> None:
    with pytest.raises(Retryable) as failed:
        asyncio.run(system(200, b'{"data": {"collection": [{"id": "1"}]}}')[0].changes(0.0))
    assert failed.value.reason is Reason.BAD_REPLY


def test_a_throttled_answer_says_how_long_to_wait() -> None:
    throttled = failure(429, b"", {"retry-after": "42"})
    assert isinstance(throttled, Retryable)
    assert throttled.after == 42
    assert getattr(failure(503, b"", {"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}), "after", 0) is None


def test_what_the_tracker_said_is_told_but_not_at_length() -> None:
    said = str(failure(400, error(400, "x" * 5_000)))
    assert "xxx" in said
    assert len(said) < 400


def test_a_request_proves_where_it_comes_from() -> None:
    roundup, wire = system(200, EMPTY)
    assert asyncio.run(roundup.find("线/M-07 a#1")) is None
    ((method, url, body, headers, deadline),) = wire.requests
    assert (method, body, deadline) == ("GET", b"", 15.0)
    assert url.startswith("https://tracker.example/t/rest/data/issue?")
    assert "title=%5B%E7%BA%BF%2FM-07+a%231%5D" in url
    assert headers["Origin"] == "https://tracker.example"
    assert headers["Referer"] == "https://tracker.example/t/"
    assert headers["X-Requested-With"]
    assert base64.b64decode(headers["Authorization"].removeprefix("Basic ")) == f"andon:{PASSWORD}".encode()


def test_the_requests_of_one_call_share_its_deadline() -> None:
    issue = {"id": "1", "attributes": {"status": {"name": "unread"}, "messages": []}, "@etag": "e", "collection": []}
    roundup, wire = system(200, msgspec.json.encode({"data": issue}), takes=6.0)
    with pytest.raises(Retryable) as failed:
        asyncio.run(roundup.move("1", "closed", "over"))
    assert failed.value.reason is Reason.TIMEOUT
    assert [deadline for *_, deadline in wire.requests] == [15.0, 9.0, 3.0]


def test_a_missing_password_is_named_by_its_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANDON_TEST_ROUNDUP")
    failed = failure(200, EMPTY)
    assert failed.reason is Reason.CREDENTIALS
    assert "ANDON_TEST_ROUNDUP" in str(failed)


@pytest.mark.parametrize("number", ["", "1/../../user/1", "1?x", "@poe", "²", "٣"])
def test_only_a_number_is_a_ticket(number: str) -> None:
    roundup, wire = system(200, EMPTY)
    with pytest.raises(Rejected) as refused:
        asyncio.run(roundup.comment(number, "text"))
    assert refused.value.reason is Reason.GONE
    assert wire.requests == []


@pytest.mark.parametrize(
    "change",
    [
        {"url": "tracker.example/t"},
        {"url": "https://user:pw@tracker.example/t"},
        {"url": "ftp://tracker.example/t"},
        {"url": "https://tracker.example/t?x=1"},
        {"password": "in the open"},
        {"deadline": "20s"},
        {"states": {"shut": "x"}},
        {"nonsense": 1},
    ],
)
def test_a_mistake_in_the_configuration_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Roundup.Config.model_validate(OPTIONS | change)


def test_the_configuration_shows_no_secret() -> None:
    config = Roundup.Config.model_validate(OPTIONS)
    assert config.url == "https://tracker.example/t/"
    assert PASSWORD not in repr(config)
    assert config.limit_domain() == "roundup:tracker.example"
    assert (config.limits(), config.lines()) == ((), 1)


def test_marks_of_different_keys_differ() -> None:
    keys = ["a", "a]", "a%5D", "a%255D", "a\n", "[a]", "a] b", "a#1"]
    assert len({mark(key) for key in keys}) == len(keys)
    assert all(mark(key).find("]") == len(mark(key)) - 1 for key in keys)
