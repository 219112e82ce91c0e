"""TLS: whom the wire believes, what it shows, and files that change or are no certificates."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Self

import pytest

from andon.config.settings import Listen
from andon.core.failure import Failure
from andon.core.ports import Reply, Way
from andon.core.reason import Reason
from andon.ingress.configured import tls_of
from andon.kafka.wire import _tls as broker_tls
from andon.runtime.failures import classify
from andon.testing.vendor import FakeVendor, answers
from andon.web.tls import Tls, _of_the_system
from andon.web.wire import HttpWire
from tests.rig.serving import served
from tests.rig.tls import Authority
from tests.unit.web.rig import BODY, OK, assert_not_sent, failing, post, scenario


def status_of(context: ssl.SSLContext, way: Way, name: str = "localhost") -> tuple[int | Failure, list[object]]:
    """The status or the failure of a request over TLS, and the client's certificates as the server saw them."""
    shown: list[object] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        shown.append(writer.get_extra_info("peercert"))
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")

    async def play(wire: HttpWire) -> int | Failure:
        async with served(serve, context) as port:
            request = post(wire, f"https://{name}:{port}")
            try:
                return (await request).status
            except Failure as failure:
                return failure

    return scenario(play, way=way), shown


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def test_an_authority_of_ones_own_is_believed(authority: Authority) -> None:
    assert status_of(authority.server("localhost"), Way(ca=str(authority.ca)))[0] == 200
    assert status_of(authority.server("127.0.0.1"), Way(ca=str(authority.ca)), "127.0.0.1")[0] == 200


def test_nobody_else_is(authority: Authority, tmp_path: Path) -> None:
    other = Authority(tmp_path, "another authority")
    for way in (Way(), Way(ca=str(other.ca))):
        failure, shown = status_of(authority.server("localhost"), way)
        assert isinstance(failure, Failure)
        assert_not_sent(failure)
        assert "certificate is not trusted" in failure.detail
        assert shown == []


def test_another_hosts_certificate_is_refused(authority: Authority) -> None:
    failure, _ = status_of(authority.server("elsewhere.test"), Way(ca=str(authority.ca)))
    assert isinstance(failure, Failure)
    assert_not_sent(failure)


def test_a_certificate_of_ones_own_is_shown_to_who_asks(authority: Authority) -> None:
    server = authority.server("localhost")
    server.load_verify_locations(authority.ca)
    server.verify_mode = ssl.CERT_REQUIRED
    cert, key = authority.issue("andon")
    status, shown = status_of(server, Way(ca=str(authority.ca), cert=str(cert), key=str(key)))
    assert status == 200
    assert "andon" in str(shown)
    together = cert.with_name("together.pem")
    together.write_bytes(cert.read_bytes() + key.read_bytes())
    assert status_of(server, Way(ca=str(authority.ca), cert=str(together)))[0] == 200
    assert isinstance(status_of(server, Way(ca=str(authority.ca)))[0], Failure)


def test_a_changed_authority_holds_for_the_next_connection(authority: Authority, tmp_path: Path) -> None:
    other = Authority(tmp_path, "another authority")
    mine = tmp_path / "mine.pem"
    mine.write_bytes(other.ca.read_bytes())

    async def play(wire: HttpWire) -> int:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        async with served(serve, authority.server("localhost")) as port:
            base = f"https://localhost:{port}"
            assert_not_sent(await failing(post(wire, base)))
            mine.write_bytes(authority.ca.read_bytes())
            return (await post(wire, base)).status

    assert scenario(play, way=Way(ca=str(mine))) == 200


class Https:
    """A server over TLS that answers every request with 200; `kept` is what each connection is written to by."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self.kept: list[asyncio.StreamWriter] = []
        self._tls = tls

    async def __aenter__(self) -> Self:
        self._server = served(self._serve, self._tls)
        self.base = f"https://localhost:{await self._server.__aenter__()}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.__aexit__(None, None, None)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.kept.append(writer)
        while True:
            await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(len(BODY))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_connection_over_tls_is_used_again(version: ssl.TLSVersion, authority: Authority) -> None:
    """A server of TLS 1.3 sends what resumes its session unasked: it is no reason to give the connection up."""
    tls = authority.server("localhost")
    tls.minimum_version = tls.maximum_version = version

    async def play(wire: HttpWire) -> int:
        async with Https(tls) as server:
            for _ in range(5):
                await post(wire, server.base)
            return len(server.kept)

    assert scenario(play, way=Way(ca=str(authority.ca))) == 1


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_what_came_since_the_last_answer_ends_a_connection_over_tls(
    version: ssl.TLSVersion, authority: Authority
) -> None:
    tls = authority.server("localhost")
    tls.minimum_version = tls.maximum_version = version

    async def play(wire: HttpWire) -> tuple[int, int]:
        async with Https(tls) as server:
            await post(wire, server.base)
            server.kept[0].write(b"HTTP/1.1 408 X\r\nContent-Length: 0\r\n\r\n")  # the loop gets no turn to read it
            return (await post(wire, server.base)).status, len(server.kept)

    assert scenario(play, way=Way(ca=str(authority.ca))) == (200, 2)


class Hasty(asyncio.Protocol):
    """A server that says something, or hangs up, in the very step in which its handshake ends."""

    def __init__(self, word: bytes) -> None:
        self._word = word

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        if self._word:
            transport.write(self._word)
        else:
            transport.close()


@pytest.mark.parametrize("word", [b"", b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"])
def test_a_connection_that_ends_with_its_handshake_is_not_sent_and_gives_its_place_back(
    word: bytes, authority: Authority
) -> None:
    tls = authority.server("localhost")
    tls.maximum_version = ssl.TLSVersion.TLSv1_2  # here the server is the first whose handshake is over

    async def play(wire: HttpWire) -> list[BaseException]:
        async with (
            await asyncio.get_running_loop().create_server(lambda: Hasty(word), "127.0.0.1", 0, ssl=tls) as server,
            FakeVendor(answers(200, OK)) as vendor,
        ):
            base = f"https://localhost:{server.sockets[0].getsockname()[1]}"
            calls = (post(wire, base, deadline=2) for _ in range(4))
            ends = [end for end in await asyncio.gather(*calls, return_exceptions=True) if not isinstance(end, Reply)]
            assert (await post(wire, vendor.url, deadline=2)).status == 200
            return ends

    ends = scenario(play, way=Way(ca=str(authority.ca)), in_flight=3)
    assert len(ends) == 4
    for end in ends:
        failed = classify(end)
        assert (failed.reason, failed.retry, failed.ambiguous) == (Reason.NOT_SENT, True, False), end
        assert "timeout" not in str(end)


@pytest.mark.parametrize("which", ["ca", "cert"])
@pytest.mark.parametrize("content", [None, "nonsense"])
def test_a_file_that_is_none_is_named_and_nothing_is_sent(
    which: str, content: str | None, authority: Authority, tmp_path: Path
) -> None:
    file = tmp_path / "broken.pem"
    if content:
        file.write_text(content)
    ways = {"ca": Way(ca=str(file)), "cert": Way(ca=str(authority.ca), cert=str(file))}
    failure, shown = status_of(authority.server("localhost"), ways[which])
    assert isinstance(failure, Failure)
    assert_not_sent(failure)
    assert str(file) in failure.detail
    assert shown == []


def test_no_session_key_is_written_down(authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sets SSLKEYLOGFILE for a process would read all that its calls say."""
    log = tmp_path / "keys.log"
    monkeypatch.setenv("SSLKEYLOGFILE", str(log))
    assert status_of(authority.server("localhost"), Way(ca=str(authority.ca)))[0] == 200
    _of_the_system.cache_clear()
    cert, key = authority.issue("localhost")
    listen = Listen(cert=f"file:{cert}", key=f"file:{key}")
    for context in (Tls().context(), tls_of(listen), broker_tls({"ssl.ca.location": str(authority.ca)})):
        assert context is not None
        assert context.keylog_filename is None
    assert [line for line in log.read_text().splitlines() if not line.startswith("#")] == []
