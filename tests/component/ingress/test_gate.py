"""Who may come in: addresses, proxies, certificates, rates, and what is told of whoever may not."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest
from aiohttp import web

from andon.config.plugs import SourcePlug
from andon.config.settings import Listen
from andon.ingress.configured import tls_of
from andon.ingress.entry.accepting import accepting
from andon.ingress.entry.gate import _names
from tests.component.ingress.stand import Stand, standing
from tests.component.ingress.wecom import PATH, call, source, text
from tests.rig.tls import Authority

EVENT = {"type": "machine.fault", "subject": "m7", "data": {}}
OUTSIDE = "203.0.113.9"
Case = Callable[[Stand], Coroutine[Any, Any, None]]


def run(folder: Path, case: Case, **more: Any) -> None:
    async def inside() -> None:
        async with standing(folder, **more) as stand:
            await case(stand)

    asyncio.run(inside())


def plug(**keys: Any) -> SourcePlug:
    return SourcePlug.model_validate({"kind": "http", **keys})


def listen(**keys: Any) -> Listen:
    return Listen.model_validate(keys)


def problem(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].rpartition(":")[2]


@pytest.mark.parametrize(
    ("allow", "status"),
    [(["127.0.0.0/8"], 202), (["127.0.*.*"], 202), (["::ffff:127.0.0.1"], 202), (["10.0.0.0/8", "::1"], 403)],
)
def test_the_door_opens_for_allowed_addresses_only(tmp_path: Path, allow: list[str], status: int) -> None:
    async def case(stand: Stand) -> None:
        assert (await stand.post(EVENT)).status_code == status
        for path in ("/docs", "/nowhere", "/callbacks/x"):
            assert ((await stand.client.get(path)).status_code == 403) is (status == 403)
        assert len(stand.log.events) == (status == 202)

    run(tmp_path, case, listen=listen(allow=allow))


def test_the_address_is_asked_before_anything_else(tmp_path: Path) -> None:
    """Then the size by its own word, then the token, then the client's own address, then its media type."""

    async def case(stand: Stand) -> None:
        stranger = {"x_forwarded_for": OUTSIDE, "authorization": "Bearer wrong", "content_type": "text/plain"}
        client = stranger | {"authorization": "Bearer alpha"}
        huge, small = b"x" * 2_000, b"x"
        assert problem(await stand.post(huge, x_forwarded_for="198.51.100.1", content_type="x/y")) == (403, "forbidden")
        assert problem(await stand.post(huge, **stranger)) == (413, "too_large")
        assert problem(await stand.post(small, **stranger)) == (401, "unauthorised")
        assert problem(await stand.post(small, **client)) == (403, "forbidden")
        assert problem(await stand.post(small, **client | {"x_forwarded_for": "203.0.113.7"})) == (415, "media_type")
        assert not stand.log.asked

    run(
        tmp_path,
        case,
        body=1_000,
        listen=listen(allow=["203.0.113.*"], trusted_proxies=["127.0.0.1"]),
        plugs={"mes": plug(allow=["203.0.113.7"])},
    )


@pytest.mark.parametrize("header", ["x_forwarded_for", "forwarded"])
def test_a_client_behind_a_proxy_is_known_by_its_own_address(tmp_path: Path, header: str) -> None:
    form = "{}" if header == "x_forwarded_for" else "for={}"

    async def case(stand: Stand) -> None:
        good, bad = form.format("10.3.4.5"), form.format(OUTSIDE)
        assert (await stand.post(EVENT, **{header: good})).status_code == 202
        assert (await stand.post(EVENT, **{header: bad})).status_code == 403
        forged = f"{good}, {bad}"
        assert (await stand.post(EVENT, **{header: forged})).status_code == 403
        assert (await stand.post(EVENT)).status_code == 403, "the proxy itself is nobody's client"
        other = {"forwarded": "for=10.3.4.5", "x_forwarded_for": OUTSIDE}
        assert (await stand.post(EVENT, **other)).status_code == 403
        assert (await stand.post(EVENT, authorization="Bearer beta", **{header: bad})).status_code == 202

    run(tmp_path, case, listen=listen(trusted_proxies=["127.0.0.1"]), plugs={"mes": plug(allow=["10.3.*.*"])})


def test_a_header_of_whoever_is_no_proxy_is_not_believed(tmp_path: Path) -> None:
    async def case(stand: Stand) -> None:
        for headers in ({"x_forwarded_for": "10.3.4.5"}, {"forwarded": "for=10.3.4.5"}):
            assert problem(await stand.post(EVENT, **headers)) == (403, "forbidden")

    run(tmp_path, case, listen=listen(trusted_proxies=["192.0.2.1"]), plugs={"mes": plug(allow=["10.3.*.*"])})


def test_a_vendor_is_asked_for_its_address_before_its_body_is_read(tmp_path: Path) -> None:
    async def case(stand: Stand) -> None:
        assert (await call(stand, text("hi"))).status_code == 403
        assert (await stand.client.get(PATH)).status_code == 403
        assert not stand.log.asked

    callbacks = {"app-events": source(tmp_path)}
    run(tmp_path, case, callbacks=callbacks, plugs={"app-events": plug(allow=["101.226.103.*"])})


def test_a_client_over_its_rate_is_told_when_to_come_again(tmp_path: Path) -> None:
    async def case(stand: Stand) -> None:
        answers = [await stand.post(EVENT) for _ in range(4)]
        assert [one.status_code for one in answers] == [202, 202, 202, 429]
        assert problem(answers[-1]) == (429, "over_rate")
        after = int(answers[-1].headers["retry-after"])
        assert after == answers[-1].json()["retry_after"]
        assert 1_190 <= after <= 1_200
        assert len(stand.log.events) == 3
        assert (await stand.post(EVENT, authorization="Bearer beta")).status_code == 202, "each client has its own"

    run(tmp_path, case, plugs={"mes": plug(rate="3/1h"), "erp": plug(rate="3/1h")})


def test_a_change_of_the_configuration_forgives_nothing(tmp_path: Path) -> None:
    async def case(stand: Stand) -> None:
        wrong = {"authorization": "Bearer wrong"}
        assert [(await stand.post(EVENT)).status_code for _ in range(2)] == [202, 429]
        assert [(await stand.post(EVENT, **wrong)).status_code for _ in range(2)] == [401, 429]
        stand.gate.take(listen(strangers="1/1h", allow=["127.0.0.1"]), {"mes": plug(rate="1/1h"), "erp": plug()}, ())
        assert (await stand.post(EVENT)).status_code == 429
        assert (await stand.post(EVENT, **wrong)).status_code == 429
        stand.gate.take(listen(strangers="none"), {"mes": plug(rate="2/1h")}, ())
        assert [(await stand.post(EVENT)).status_code for _ in range(3)] == [202, 202, 429], "another rate"
        assert [(await stand.post(EVENT, **wrong)).status_code for _ in range(3)] == [401] * 3
        stand.gate.take(listen(), {}, ())
        assert (await stand.post(EVENT)).status_code == 202

    run(tmp_path, case, listen=listen(strangers="1/1h"), plugs={"mes": plug(rate="1/1h")})


def test_each_event_of_a_body_counts_and_none_of_it_is_taken_beyond_the_rate(tmp_path: Path) -> None:
    async def case(stand: Stand) -> None:
        assert (await stand.batch([EVENT] * 6)).status_code == 200
        assert problem(await stand.batch([EVENT] * 5)) == (429, "over_rate")
        assert (await stand.batch([EVENT] * 4)).status_code == 200
        assert len(stand.log.events) == 10
        alerts = [{"labels": {"alertname": f"a{number}"}} for number in range(6)]
        for status in (200, 429):
            answer = await stand.post(alerts, path="/api/v2/alerts", authorization="Bearer scrape")
            assert answer.status_code == status
        assert len(stand.log.events) == 16

    run(tmp_path, case, plugs={"mes": plug(rate="10/1h"), "prometheus": plug(rate="10/1h")})


def test_only_what_a_vendor_signed_counts_towards_its_rate(tmp_path: Path) -> None:
    async def case(stand: Stand) -> None:
        for _ in range(5):
            assert (await stand.client.post(PATH, content=b"<xml><Encrypt>x</Encrypt></xml>")).status_code == 401
        assert (await call(stand, text("hi", "1"))).status_code == 200
        assert (await call(stand, text("hi", "2"))).status_code == 200
        assert problem(await call(stand, text("hi", "3"))) == (429, "over_rate")
        assert len(stand.log.events) == 2

    run(tmp_path, case, callbacks={"app-events": source(tmp_path)}, plugs={"app-events": plug(rate="2/1h")})


def test_strangers_are_told_to_wait_and_nobody_who_is_known_pays_for_them(tmp_path: Path) -> None:
    async def case(stand: Stand) -> None:
        wrong = {"authorization": "Bearer wrong"}
        answers = [await stand.post(EVENT, **wrong) for _ in range(2)]
        answers += [await stand.client.get("/nowhere"), await stand.client.get("/callbacks/nobody")]
        assert [one.status_code for one in answers] == [401, 401, 404, 429]
        assert 1_000 <= int(answers[-1].headers["retry-after"]) <= 1_200
        assert problem(await stand.client.get("/docs")) == (429, "over_rate")
        assert (await stand.post(EVENT)).status_code == 202, "from the same address"
        assert (await call(stand, text("hi"))).status_code == 200
        assert problem(await stand.post(b"{", content_type="text/plain")) == (415, "media_type")
        other = {"x_forwarded_for": OUTSIDE}
        assert (await stand.post(EVENT, **wrong, **other)).status_code == 401
        # Of IPv6 a subscriber has a whole /64.
        for number in range(4):
            answer = await stand.post(EVENT, **wrong, x_forwarded_for=f"2001:db8::{number:x}")
            assert answer.status_code == (401 if number < 3 else 429)

    limits = listen(strangers="3/1h", trusted_proxies=["127.0.0.1"])
    run(tmp_path, case, callbacks={"app-events": source(tmp_path)}, listen=limits)


def test_who_sends_a_head_slowly_keeps_no_connection(tmp_path: Path) -> None:
    """Each of his connections would cost the door a file for as long as he likes."""

    async def case(stand: Stand) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", stand.port)
        writer.write(b"POST /v1/events HTTP/1.1\r\nHost: andon\r\n")

        async def drip() -> None:
            while True:
                writer.write(b"X: 1\r\n")
                await asyncio.sleep(0.05)

        dripping = asyncio.create_task(drip())
        async with asyncio.timeout(10):
            with suppress(ConnectionResetError):
                assert await reader.read() == b""
        dripping.cancel()
        writer.close()
        assert (await stand.post(EVENT)).status_code == 202

    run(tmp_path, case, idle=1.0)


def test_every_refusal_is_counted_and_told_once_for_all_that_are_alike(tmp_path: Path) -> None:
    async def case(stand: Stand) -> None:
        stand.actions.failing = True
        for _ in range(3):
            await stand.post(EVENT, authorization="Bearer wrong")
        await stand.post(b"{")
        await stand.client.get("/callbacks/nobody")
        await stand.client.get("/secret/../../etc/passwd?token=abc")
        await call(stand, b"no xml")
        await stand.refusals.flush()
        assert not stand.actions.kept
        stand.actions.failing = False
        await stand.post(EVENT, authorization="Bearer wrong")
        await stand.batch([EVENT, {"type": 1}, {"type": 2}])
        await stand.refusals.flush()
        told = {(one.actor, one.on, one.why, one.client) for one in stand.actions.kept}
        assert told == {
            ("127.0.0.1", "/v1/events", "unauthorised, 4 times", None),
            ("mes", "/v1/events", "malformed", "mes"),
            ("127.0.0.1", "/callbacks/{name}", "invalid", None),
            ("127.0.0.1", "/{rest}", "invalid", None),
            ("127.0.0.1", "/callbacks/app-events", "malformed", None),
            ("mes", "/v1/events:batch", "invalid, 2 times", "mes"),
        }
        assert {(one.action, one.done) for one in stand.actions.kept} == {("door.refuse", False)}
        assert stand.counts.no == {"unauthorised": 4, "malformed": 2, "invalid": 4}
        await stand.refusals.flush()
        assert len(stand.actions.kept) == len(told), "told once"

    run(tmp_path, case, callbacks={"app-events": source(tmp_path)})


def test_a_backlog_refuses_events_alerts_and_callbacks_before_any_is_taken(tmp_path: Path) -> None:
    async def case(stand: Stand) -> None:
        stand.waiting = 1_000
        alerts = [{"labels": {"alertname": "Down"}}]
        answers = [
            await stand.post(EVENT),
            await stand.batch([EVENT] * 3),
            await stand.post(alerts, path="/api/v2/alerts", authorization="Bearer scrape"),
            await stand.post({"alerts": alerts}, path="/v1/alertmanager", authorization="Bearer scrape"),
            await call(stand, text("hi")),
        ]
        assert [problem(one) for one in answers] == [(429, "over_capacity")] * 5
        assert all(int(one.headers["retry-after"]) >= 1 for one in answers)
        assert not stand.log.asked
        stand.waiting = 0
        assert (await call(stand, text("hi"))).status_code == 200, "it was not taken before"
        assert len(stand.log.events) == 1

    run(tmp_path, case, callbacks={"app-events": source(tmp_path)})


class Tls:
    """The door's certificate, and those its clients show."""

    def __init__(self, folder: Path) -> None:
        self._authority, self._other = Authority(folder), Authority(folder, "another authority")
        cert, key = self._authority.issue("127.0.0.1")
        self.listen = listen(cert=str(cert), key=str(key), client_ca=str(self._authority.ca))

    def client(self, name: str | None = None, *, forged: bool = False, old: bool = False) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self._authority.ca))
        if name:
            context.load_cert_chain(*(self._other if forged else self._authority).issue(name))
        if old:
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        return context


async def post(stand: Stand, verify: ssl.SSLContext, token: str = "alpha", **headers: str) -> int:
    async with httpx2.AsyncClient(trust_env=False, timeout=20, verify=verify) as client:
        names = {"authorization": f"Bearer {token}"} | headers
        answer = await client.post(f"https://127.0.0.1:{stand.port}/v1/events", json=EVENT, headers=names)
    return answer.status_code


def test_a_certificate_is_wanted_by_the_authority_of_the_start_whatever_a_later_version_names(tmp_path: Path) -> None:
    """TLS asks for one from the start or not at all: whom it does not ask could not show his."""
    tls = Tls(tmp_path)
    without = tls.listen.model_copy(update={"client_ca": None})

    async def named_later(stand: Stand) -> None:
        stand.gate.take(tls.listen, {"mes": plug()}, ())
        assert await post(stand, tls.client("line-7")) == 202

    async def dropped_later(stand: Stand) -> None:
        stand.gate.take(without, {"mes": plug()}, ())
        assert await post(stand, tls.client()) == 403
        assert await post(stand, tls.client("line-7")) == 202

    run(tmp_path, named_later, listen=without, plugs={"mes": plug()}, tls=tls_of(without))
    run(tmp_path, dropped_later, listen=tls.listen, plugs={"mes": plug()}, tls=tls_of(tls.listen))


def test_who_may_not_call_is_hung_up_on_before_tls(tmp_path: Path) -> None:
    tls = Tls(tmp_path)
    hello = {"x-forwarded-for": "10.3.4.5"}

    async def closed(stand: Stand) -> None:
        for _ in range(3):
            reader, writer = await asyncio.open_connection("127.0.0.1", stand.port)
            assert await reader.read() == b"", "we have said nothing yet, and are told nothing"
            writer.close()
        with pytest.raises(httpx2.HTTPError):
            await post(stand, tls.client("line-7"))
        await stand.refusals.flush()
        told = [(one.actor, one.on, one.why) for one in stand.actions.kept]
        assert told == [("127.0.0.1", "connection", "forbidden, 4 times")]
        assert stand.counts.no == {"forbidden": 4}
        stand.gate.take(tls.listen, {}, ())
        assert await post(stand, tls.client("line-7")) == 202, "the configuration has changed"

    async def behind(stand: Stand) -> None:
        assert await post(stand, tls.client("line-7")) == 403, "the proxy is connected, and no client"
        assert await post(stand, tls.client("line-7"), **hello) == 202

    shut = tls.listen.model_copy(update={"allow": ("10.0.0.0/8",)})
    run(tmp_path, closed, listen=shut, tls=tls_of(shut))
    proxied = shut.model_copy(update={"trusted_proxies": ("127.0.0.1",)})
    run(tmp_path, behind, listen=proxied, tls=tls_of(proxied))


def test_with_an_authority_a_token_alone_is_not_enough(tmp_path: Path) -> None:
    tls = Tls(tmp_path)

    async def case(stand: Stand) -> None:
        assert await post(stand, tls.client("line-7")) == 202
        assert await post(stand, tls.client("line-8")) == 403, "the token of mes goes with line-7"
        assert await post(stand, tls.client()) == 403
        assert await post(stand, tls.client("line-8"), "beta") == 202, "any of the authority"
        assert await post(stand, tls.client(), "beta") == 403
        assert await post(stand, tls.client("line-7"), "wrong") == 401
        for context in (tls.client("line-7", forged=True), tls.client("line-7", old=True)):
            with pytest.raises(httpx2.HTTPError):
                await post(stand, context)
        async with httpx2.AsyncClient(trust_env=False, timeout=20, verify=tls.client()) as client:
            stand.client, client.base_url = client, f"https://127.0.0.1:{stand.port}"
            assert (await call(stand, text("hi"))).status_code == 200, "vendors have no certificate of ours"
        assert len(stand.log.events) == 3

    plugs = {"mes": plug(client_cert="Line-7"), "erp": plug(), "app-events": plug()}
    callbacks = {"app-events": source(tmp_path)}
    run(tmp_path, case, listen=tls.listen, tls=tls_of(tls.listen), plugs=plugs, callbacks=callbacks)


def test_a_source_may_do_without_and_a_vendor_may_have_to_show_one(tmp_path: Path) -> None:
    tls = Tls(tmp_path)

    async def case(stand: Stand) -> None:
        assert await post(stand, tls.client()) == 202
        async with httpx2.AsyncClient(trust_env=False, timeout=20, verify=tls.client()) as client:
            stand.client, client.base_url = client, f"https://127.0.0.1:{stand.port}"
            assert (await call(stand, text("hi"))).status_code == 403

    plugs = {"mes": plug(client_cert="none"), "app-events": plug(client_cert="vendor")}
    callbacks = {"app-events": source(tmp_path)}
    run(tmp_path, case, listen=tls.listen, tls=tls_of(tls.listen), plugs=plugs, callbacks=callbacks)


def test_a_certificate_may_name_a_directory_beside_hosts() -> None:
    certificate = {
        "subject": ((("commonName", "MES-1"),),),
        "subjectAltName": (("DirName", ((("organizationName", "plant"),),)), ("DNS", "Mes.Plant")),
    }
    assert _names(certificate) == {"mes-1", "mes.plant"}


def test_a_name_with_an_address_of_ipv6_is_listened_on_by_a_machine_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """`localhost` in a container: ::1 stands in its hosts file, and no interface has it."""
    kind = (socket.SOCK_STREAM, 6, "")
    elsewhere = (socket.AF_INET6, *kind, ("2001:db8::1", 0, 0, 0))

    async def case(stand: Stand) -> None:
        found: list[Any] = [elsewhere, (socket.AF_INET, *kind, ("127.0.0.1", 0))]

        async def told(*_asked: object, **_how: object) -> list[Any]:
            return found

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", told)
        runner = web.AppRunner(web.Application())
        await runner.setup()
        try:
            await accepting(runner, stand.door, "localhost", 0, None)
            assert [address[0] for address in runner.addresses] == ["127.0.0.1"]
            assert "2001:db8::1" in caplog.text
            for only in (elsewhere, (socket.AF_INET, *kind, ("192.0.2.1", 0))):
                found[:] = [only]
                with pytest.raises(OSError, match="assign"):
                    await accepting(runner, stand.door, "localhost", 0, None)
        finally:
            await runner.cleanup()

    run(tmp_path, case)
