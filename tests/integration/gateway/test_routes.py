"""Routes: what is added and what is taken away on the way to an upstream."""

import asyncio
import ssl
from collections.abc import Mapping
from pathlib import Path

import h11
import pytest

from tests.support.gateway import (
    LOOPBACK,
    Heard,
    allow,
    certificates,
    get,
    rig,
    serving,
    talk,
    tunnel_head,
)
from vmpool.network.gateway import Identity, NoTurn, UpstreamRoute
from vmpool.network.policy import Policy

SECRET = "s3cret-of-the-registry"


async def injected(_who: Identity, _route: str, _request: h11.Request) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {SECRET}"}


async def no_turn(_who: Identity, _route: str, _request: h11.Request) -> Mapping[str, str]:
    raise NoTurn("No turn is running in this session.")


def registry(base: str, add=injected, **more: object) -> UpstreamRoute:  # type: ignore[no-untyped-def]
    return UpstreamRoute(prefix="/registry/", base=base, injected=add, **more)


async def test_the_grant_is_added_outside_and_the_clients_own_is_not_taken_along(
    tmp_path: Path,
) -> None:
    made, heard = certificates(tmp_path, "registry.test"), Heard()
    async with rig(tls=made.client) as at, serving(heard.server(), made.server) as port:
        at.zone.hosts["registry.test"] = [LOOPBACK]
        at.routes = (registry(f"https://registry.test:{port}/v1/"),)
        answer = await get(
            at.web,
            "/registry/a/b?c=d",
            "gateway.ona",
            "Authorization: Bearer the-attackers",
            "Cookie: session=1",
            "X-Api-Key: theirs",
            "Api-Key: theirs",
            "Private-Token: theirs",
            "Job-Token: theirs",
            "Proxy-Authorization: Basic theirs",
            "X-Kept: yes",
        )
        by_proxy = await get(at.proxy, "http://gateway.ona/registry/x", "gateway.ona")
    assert answer.startswith("HTTP/1.1 200 ")
    assert by_proxy.startswith("HTTP/1.1 200 ")
    head = heard.heads[0].lower()
    assert head.startswith("get /v1/a/b?c=d http/1.1\r\n")
    assert f"host: registry.test:{port}\r\n" in head
    assert head.count("authorization:") == 1
    assert f"authorization: bearer {SECRET}" in head
    assert "x-kept: yes" in head
    assert not any(word in head for word in ("attackers", "cookie", "theirs"))
    assert SECRET not in answer
    assert not any(SECRET in str(event) for event in at.events)


@pytest.mark.parametrize(
    ("asked", "passed"),
    [
        ("x?a=1&private_token=theirs&b=%26;c", "x?a=1&b=%26&c"),
        ("x?private%5ftoken=theirs", "x?"),
        ("x?a;access_token=theirs", "x?a"),
        ("x?+job_token=theirs&a", "x?a"),
        ("x?a=private_token;b", "x?a=private_token;b"),
    ],
)
async def test_what_shows_who_asks_stays_behind_in_the_address_too(asked: str, passed: str) -> None:
    heard = Heard()
    async with rig() as at, serving(heard.server()) as port:
        at.zone.hosts[LOOPBACK] = [LOOPBACK]
        at.routes = (registry(f"http://{LOOPBACK}:{port}"),)
        await get(at.web, f"/registry/{asked}", "gateway.ona")
    assert heard.heads[0].startswith(f"GET /{passed} HTTP/1.1\r\n")


async def test_between_turns_there_is_nothing_to_add() -> None:
    heard = Heard()
    async with rig() as at, serving(heard.server()) as port:
        at.routes = (registry(f"http://{LOOPBACK}:{port}", no_turn),)
        answer = await get(at.web, "/registry/x", "gateway.ona")
    assert answer.startswith("HTTP/1.1 409 No turn is running in this session.")
    asked, refused = [(event.way, event.allowed, event.reason) for event in at.events]
    assert asked == ("route", True, "/registry/ is a route.")
    assert refused == ("route", False, "/registry/: No turn is running in this session.")
    assert heard.heads == []


async def test_a_host_with_a_route_has_no_other_way() -> None:
    async with rig() as at:
        at.policy = Policy(rules=allow("registry.test", "*.registry.test"))
        at.routes = (registry("https://registry.test", hosts=("registry.test", "*.registry.test")),)
        tunnel = await tunnel_head(at.proxy, "REGISTRY.test:443")
        below = await tunnel_head(at.proxy, "eu.registry.test:443")
        plain = await get(at.proxy, "http://registry.test/", "registry.test")
    for answer in (tunnel, below, plain):
        assert answer.startswith("HTTP/1.1 403 ")
        assert "http://gateway.ona/registry/ and no other way" in answer
    assert at.zone.asked == []


async def test_another_machine_has_none_of_the_routes() -> None:
    async with rig() as at:
        at.routes = (registry(f"http://{LOOPBACK}:9"),)
        mine = await get(at.web, "/registry/x", "gateway.ona")
        at.gateway.identify(Identity(machine=at.who.machine))
        theirs = await get(at.web, "/registry/x", "gateway.ona")
    assert mine.startswith("HTTP/1.1 502 ")
    assert theirs.startswith("HTTP/1.1 404 The gateway has no '/registry/x'. Its routes: none.")


async def test_an_upstream_is_known_by_its_certificate(tmp_path: Path) -> None:
    made, heard = certificates(tmp_path, "registry.test"), Heard()
    async with (
        rig(tls=ssl.create_default_context()) as at,
        serving(heard.server(), made.server) as port,
    ):
        at.zone.hosts["registry.test"] = [LOOPBACK]
        at.routes = (registry(f"https://registry.test:{port}"),)
        answer = await get(at.web, "/registry/x", "gateway.ona")
    assert answer.startswith("HTTP/1.1 502 registry.test did not answer")
    assert heard.heads == []


async def test_an_answer_is_passed_on_as_it_comes() -> None:
    go_on = asyncio.Event()

    async def stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: 1\n\n")
        await writer.drain()
        await go_on.wait()
        writer.write(b"data: 2\n\n")
        await writer.drain()

    async with rig() as at, serving(stream) as port:
        at.routes = (registry(f"http://{LOOPBACK}:{port}"),)
        reader, writer = await asyncio.open_connection(LOOPBACK, at.web)
        writer.write(b"GET /registry/s HTTP/1.1\r\nHost: gateway.ona\r\n\r\n")
        async with asyncio.timeout(5):
            await reader.readuntil(b"data: 1\n\n")
            go_on.set()
            await reader.readuntil(b"data: 2\n\n")
        writer.close()


async def test_a_request_is_passed_on_as_it_comes() -> None:
    first = asyncio.Event()

    async def collect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"one")
        first.set()
        await reader.readuntil(b"two")
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await writer.drain()

    async with rig() as at, serving(collect) as port:
        at.routes = (registry(f"http://{LOOPBACK}:{port}"),)
        reader, writer = await asyncio.open_connection(LOOPBACK, at.web)
        head = (
            b"POST /registry/s HTTP/1.1\r\nHost: gateway.ona\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        writer.write(head + b"3\r\none\r\n")
        async with asyncio.timeout(5):
            await first.wait()
            writer.write(b"3\r\ntwo\r\n0\r\n\r\n")
            assert await reader.readuntil(b"\r\n") == b"HTTP/1.1 204 No Content\r\n"
        writer.close()


async def test_the_longest_prefix_counts_and_pages_are_the_gateways() -> None:
    heard = Heard()
    async with rig() as at, serving(heard.server()) as port:
        short = UpstreamRoute(prefix="/a/", base=f"http://{LOOPBACK}:9", injected=injected)
        long = UpstreamRoute(prefix="/a/b/", base=f"http://{LOOPBACK}:{port}", injected=injected)
        at.routes = (short, long)
        assert (await get(at.web, "/a/b/c", "gateway.ona")).startswith("HTTP/1.1 200 ")
        assert (await get(at.web, "/a/c", "172.16.0.1")).startswith("HTTP/1.1 502 ")
        assert (await get(at.web, "/b", "gateway.ona")).startswith("HTTP/1.1 404 ")
        cut = await talk(at.web, b"GET /a/b/ HTTP/1.1\r\nHost: gateway.ona:81\r\n\r\n", read=12)
    assert cut == b"HTTP/1.1 404"
    assert heard.heads[0].startswith("GET /c ")


@pytest.mark.parametrize("rest", ["../secret", "a/../../secret", "%2e%2e/secret", "a/%2E./x"])
async def test_no_path_leads_out_of_a_route(rest: str) -> None:
    heard = Heard()
    async with rig() as at, serving(heard.server()) as port:
        at.routes = (registry(f"http://{LOOPBACK}:{port}/v1"),)
        answer = await get(at.web, f"/registry/{rest}", "gateway.ona")
    assert answer.startswith("HTTP/1.1 403 A path that leads upwards is refused.")
    assert heard.heads == []
