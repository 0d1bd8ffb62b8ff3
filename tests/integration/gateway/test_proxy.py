"""The forward proxy: what goes through, and what is answered to the rest."""

import asyncio
import ssl
from pathlib import Path

import pytest

from tests.support.gateway import (
    LOOPBACK,
    Heard,
    Rig,
    allow,
    certificates,
    connect,
    get,
    rig,
    serving,
    talk,
    tunnel_head,
)
from vmpool.network.policy import Policy


def reach(at: Rig, host: str, port: int) -> None:
    """Allow a host at a port of this machine's loopback."""
    at.zone.hosts[host] = [LOOPBACK]
    lines = allow(f"{host}:{port}", f"{LOOPBACK}:{port}")
    at.policy = Policy(rules=(*at.policy.rules, *lines), services=at.policy.services)


async def test_an_allowed_host_is_reached_by_plain_http() -> None:
    heard = Heard()
    async with rig() as at, serving(heard.server()) as port:
        reach(at, "pkg.test", port)
        answer = await get(
            at.proxy,
            f"http://PKG.test:{port}/a?b=c",
            "other.test",
            "Proxy-Authorization: Basic eDp5",
            "Connection: X-Drop",
            "X-Drop: 1",
            "X-Keep: 2",
        )
    assert answer.startswith("HTTP/1.1 200 OK\r\n")
    assert answer.endswith("\r\n\r\nhello")
    head = heard.heads[0].lower()
    assert head.startswith("get /a?b=c http/1.1\r\n")
    assert f"host: pkg.test:{port}\r\n" in head
    assert "x-keep: 2" in head
    assert not any(word in head for word in ("proxy-", "x-drop", "other.test", "connection"))
    allowed = [(event.way, event.host, event.port) for event in at.events if event.allowed]
    assert allowed == [("http", "pkg.test", port)]


@pytest.mark.parametrize("framing", ["content-length: 3000000", "transfer-encoding: chunked"])
async def test_bodies_go_through_whole_in_both_directions(framing: str) -> None:
    sent = bytes(range(256)) * 11718 + b"x" * 192
    chunk = len(sent) // 2
    body = sent
    if "chunked" in framing:
        halves = (sent[:chunk], sent[chunk:])
        body = b"".join(b"%x\r\n%b\r\n" % (len(half), half) for half in halves) + b"0\r\n\r\n"
    reply = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(sent), sent)
    heard = Heard()
    async with rig() as at, serving(heard.server(reply)) as port:
        reach(at, "pkg.test", port)
        head = f"PUT http://pkg.test:{port}/x HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{framing}"
        answer = await talk(at.proxy, head.encode() + b"\r\n\r\n" + body)
    assert heard.bodies == [sent]
    assert answer.endswith(b"\r\n\r\n" + sent)


async def test_one_connection_carries_many_requests() -> None:
    heard = Heard()
    async with rig() as at, serving(heard.server()) as port:
        reach(at, "pkg.test", port)
        ask = f"GET http://pkg.test:{port}/ HTTP/1.1\r\nHost: pkg.test\r\n"
        no = "GET http://no.test/ HTTP/1.1\r\nHost: no.test\r\n"
        said = f"{ask}\r\n{no}\r\n{ask}\r\n{ask}Connection: close\r\n\r\n"
        answer = (await talk(at.proxy, said.encode())).decode()
    assert answer.count("HTTP/1.1 200 ") == 3
    assert answer.count("HTTP/1.1 403 ") == 1
    assert len(heard.heads) == 3


async def test_a_refusal_says_why_in_its_first_line_and_in_its_body() -> None:
    async with rig() as at:
        head, reader, writer = await connect(at.proxy, "no.test:443")
        body = (await reader.read(4096)).decode()
        writer.close()
        page = await get(at.proxy, "http://gateway.ona/denied", "gateway.ona")
    reason = (
        "no.test:443 is not allowed: no line of the policy names it; a line `allow no.test` in "
        "the project's policy would allow it."
    )
    assert head.startswith(f"HTTP/1.1 403 {reason}\r\n")
    assert body == f"{reason}\n"
    assert page.startswith("HTTP/1.1 200 OK\r\n")
    assert f"connect: {reason}" in page
    assert [(event.way, event.allowed) for event in at.events] == [("connect", False)]
    assert at.events[0].who == at.who


async def test_tls_goes_through_a_tunnel_untouched(tmp_path: Path) -> None:
    made = certificates(tmp_path, "pkg.test")
    heard = Heard()
    async with rig() as at, serving(heard.server(), made.server) as port:
        reach(at, "pkg.test", port)
        head, reader, writer = await connect(at.proxy, f"Pkg.test:{port}")
        assert head.startswith("HTTP/1.1 200 ")
        await writer.start_tls(made.client, server_hostname="pkg.test")
        writer.write(b"GET / HTTP/1.1\r\nHost: pkg.test\r\n\r\n")
        assert await reader.readexactly(15) == b"HTTP/1.1 200 OK"
        writer.close()
    assert at.events[-1].address == LOOPBACK


async def test_another_name_inside_tls_is_refused(tmp_path: Path) -> None:
    made = certificates(tmp_path, "pkg.test", "other.test")
    heard = Heard()
    async with rig() as at, serving(heard.server(), made.server) as port:
        reach(at, "pkg.test", port)
        for name in ("other.test", None):
            _, _, writer = await connect(at.proxy, f"pkg.test:{port}")
            context = made.client
            context.check_hostname = name is not None
            with pytest.raises(ssl.SSLError, match="ACCESS_DENIED"):
                await writer.start_tls(context, server_hostname=name or "")
            writer.close()
    assert heard.heads == []
    assert "TLS asks for the name 'other.test'" in at.denied()[0]
    assert "TLS asks for no name" in at.denied()[1]


async def test_plain_http_in_a_tunnel_is_held_to_the_tunnels_name() -> None:
    heard = Heard()
    async with rig() as at, serving(heard.server()) as port:
        reach(at, "pkg.test", port)
        reach(at, "other.test", port)
        for host in (f"pkg.test:{port}", f"other.test:{port}", "gateway.ona"):
            head, reader, writer = await connect(at.proxy, f"pkg.test:{port}")
            assert head.startswith("HTTP/1.1 200 ")
            writer.write(f"GET /x HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            answer = (await reader.read()).decode()
            status = 200 if host.startswith("pkg") else 421
            assert answer.startswith(f"HTTP/1.1 {status} "), answer
            writer.close()
    assert len(heard.heads) == 1


async def test_a_service_speaks_what_it_likes() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-here\r\n")
        writer.write(await reader.readline())
        await writer.drain()

    async with rig() as at, serving(greet) as port:
        at.zone.hosts["git.test"] = [LOOPBACK]
        at.policy = Policy(rules=allow(f"{LOOPBACK}:{port}"), services=allow(f"git.test:{port}"))
        head, reader, writer = await connect(at.proxy, f"git.test:{port}")
        assert head.startswith("HTTP/1.1 200 ")
        assert await reader.readline() == b"SSH-2.0-here\r\n"
        writer.write(b"mine\n")
        assert await reader.read() == b"mine\n"
        writer.close()


async def test_an_upstream_that_is_not_there_is_said_so() -> None:
    async with rig() as at:
        reach(at, "gone.test", 9)
        at.policy = Policy(rules=(*at.policy.rules, *allow("nowhere.test")))
        gone = await tunnel_head(at.proxy, "gone.test:9")
        nowhere = await tunnel_head(at.proxy, "nowhere.test:443")
        plain = await get(at.proxy, "http://gone.test:9/", "x")
    assert gone.startswith("HTTP/1.1 502 gone.test:9 is allowed, but can't be reached")
    assert nowhere.startswith("HTTP/1.1 502 nowhere.test is allowed, but has no address here.")
    assert plain.startswith("HTTP/1.1 502 gone.test did not answer")


async def test_an_upstream_that_goes_over_to_another_protocol_is_said_so() -> None:
    head = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: other\r\nconnection: upgrade\r\n\r\n"
    async with rig() as at, serving(Heard().server(head)) as port:
        reach(at, "odd.test", port)
        answer = await get(at.proxy, f"http://odd.test:{port}/", "x", "Upgrade: other")
    assert answer.startswith("HTTP/1.1 502 odd.test did not answer")


async def test_the_gateway_answers_head_without_a_body_and_goes_on() -> None:
    heard = Heard()
    async with rig() as at, serving(heard.server()) as port:
        reach(at, "pkg.test", port)
        reader, writer = await asyncio.open_connection(LOOPBACK, at.proxy)
        async with asyncio.timeout(20):
            for place, status in (
                ("no.test", 403),
                ("gateway.ona/denied", 200),
                ("gateway.ona/x", 404),
            ):
                writer.write(f"HEAD http://{place} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                head = await reader.readuntil(b"\r\n\r\n")
                assert head.startswith(f"HTTP/1.1 {status} ".encode())
                assert b"content-length: " in head
            writer.write(f"GET http://pkg.test:{port}/ HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
        writer.close()


async def test_whoever_is_detached_has_nothing_open_and_nobody_listens() -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with rig() as at, serving(hang) as port:
        at.policy = Policy(services=allow(f"{LOOPBACK}:{port}"))
        _, reader, writer = await connect(at.proxy, f"{LOOPBACK}:{port}")
        await at.gateway.detach(at.who.machine)
        await at.gateway.detach(at.who.machine)
        assert await reader.read() == b""
        writer.close()
        with pytest.raises(ConnectionError):
            await asyncio.open_connection(LOOPBACK, at.proxy)
        assert at.gateway.attached() == ()


async def test_a_machine_is_judged_as_who_it_is_now() -> None:
    async with rig() as at:
        reach(at, "gone.test", 9)
        other = at.who
        at.who = type(other)(machine=other.machine, session=None, project=None)
        refused = await tunnel_head(at.proxy, "gone.test:9")
        at.gateway.identify(at.who)
        allowed = await tunnel_head(at.proxy, "gone.test:9")
    assert refused.startswith("HTTP/1.1 403 ")
    assert allowed.startswith("HTTP/1.1 502 ")
