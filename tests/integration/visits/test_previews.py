"""Previews: who sees what listens in a machine, and what neither side sees of the other."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import aiohttp
import httpx2
import pytest

from bot.govern import credentials
from bot.web import entering, preview_pass, previewing
from tests.integration.visits.conftest import Street
from tests.support.previewed_app import App, previewed_app
from tests.support.visits import SECONDS, ona
from vmpool.machine import MachineState

VISIT = {"accept": "text/html", "sec-fetch-mode": "navigate", "sec-fetch-site": "none"}


@pytest.fixture
async def app() -> AsyncIterator[App]:
    async with previewed_app() as running:
        yield running


@asynccontextmanager
async def browser(street: Street, person: UUID | None = None) -> AsyncIterator[httpx2.AsyncClient]:
    """Signed in to our own origin; names of previews lead to the same server."""
    async with street.site.database.begin() as tx:
        secret = await credentials.issue(tx, "browser", person or street.site.ann, seconds=600)
    async with httpx2.AsyncClient(base_url=street.site.url, timeout=SECONDS) as client:
        client.headers["cookie"] = f"ona_8484={secret}"
        yield client


async def made(street: Street, short: str, port: int) -> str:
    """The host name of a new preview, with the server's port."""
    async with street.site.client() as client:
        answer = await client.post(f"/api/v1/sessions/{short}/previews", json={"port": port})
    assert answer.status_code == 201, answer.text
    return urlsplit(answer.json()["url"]).netloc


async def come_in(client: httpx2.AsyncClient, host: str, path: str = "/") -> str:
    """Go through sign-in as a browser does; the cookie of the preview's own origin."""
    asked = await client.get(path, headers={"host": host, "cookie": "", **VISIT})
    assert asked.status_code == 303, asked.text
    door = urlsplit(asked.headers["location"])
    assert door.netloc == urlsplit(str(client.base_url)).netloc
    passed = await client.get(f"{door.path}?{door.query}")
    assert passed.status_code == 303, passed.text
    there = urlsplit(passed.headers["location"])
    assert there.netloc == host
    entered = await client.get(
        f"{there.path}?{there.query}", headers={"host": host, "cookie": "", **VISIT}
    )
    assert entered.status_code == 303, entered.text
    assert entered.headers["location"] == path
    return entered.headers["set-cookie"].split(";")[0]


async def test_a_person_sees_the_page_and_the_program_sees_nothing_of_ours(
    street: Street, app: App
) -> None:
    await street.relay()
    _, short = await street.session()
    host = await made(street, short, app.port)
    async with browser(street) as client:
        cookie = await come_in(client, host, "/?q=1")
        answer = await client.get(
            "/", headers={"host": host, "cookie": f"a=1; {cookie}; ona_8484=x; b=2", **VISIT}
        )
    assert answer.status_code == 200
    assert "Hello from the machine" in answer.text
    (head,) = app.heads
    assert head["cookie"] == "a=1; b=2"
    assert head["host"] == f"localhost:{app.port}"
    assert head["x-forwarded-host"] == host
    assert answer.headers.get_list("set-cookie") == ["theirs=1; Path=/"]
    for name in ("strict-transport-security", "clear-site-data", "content-security-policy"):
        assert name not in answer.headers
    kinds = [
        row[0]
        for row in await street.site.rows(
            "SELECT kind FROM audit_event WHERE kind LIKE 'preview.%' ORDER BY number"
        )
    ]
    assert kinds == ["preview.made", "preview.visited"]


async def test_a_visit_wakes_the_machine_and_the_page_says_so(street: Street, app: App) -> None:
    await street.relay()
    session_id, short = await street.session(resting=True)
    host = await made(street, short, app.port)
    async with browser(street) as client:
        cookie = await come_in(client, host)
        headers = {"host": host, "cookie": cookie, **VISIT}
        first = await client.get("/", headers=headers)
        assert first.status_code == 503
        assert "wakes" in first.text
        assert 'http-equiv="refresh"' in first.text
        async with asyncio.timeout(SECONDS):
            while (answer := await client.get("/", headers=headers)).status_code == 503:
                await asyncio.sleep(0.05)
    assert "Hello from the machine" in answer.text
    assert await street.state(session_id) is MachineState.RUNNING


async def test_what_listens_not_yet_is_waited_for_by_the_page(street: Street) -> None:
    await street.relay()
    _, short = await street.session()
    async with previewed_app() as gone:
        port = gone.port
    host = await made(street, short, port)
    async with browser(street) as client:
        cookie = await come_in(client, host)
        answer = await client.get("/", headers={"host": host, "cookie": cookie, **VISIT})
    assert answer.status_code == 404
    assert f"Nothing listens on port {port}" in answer.text
    assert 'http-equiv="refresh"' in answer.text


async def test_redirects_streams_and_uploads_pass(street: Street, app: App) -> None:
    await street.relay()
    _, short = await street.session()
    host = await made(street, short, app.port)
    async with browser(street) as client:
        headers = {"host": host, "cookie": await come_in(client, host)}
        moved = await client.get("/moved", headers=headers)
        assert moved.headers["location"] == "/?a=1#b"
        async with client.stream("GET", "/events", headers=headers) as stream:
            async for line in stream.aiter_lines():
                assert line == "data: first"
                break
        size = 9 * 1024 * 1024
        uploaded = await client.post("/upload", headers=headers, content=bytes(size))
        assert uploaded.json() == {"bytes": size}

        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(10):
                yield bytes(1000)

        chunked = await client.post("/upload", headers=headers, content=pieces())
        assert chunked.json() == {"bytes": 10_000}


async def test_a_websocket_passes_and_ends_when_the_preview_is_revoked(
    street: Street, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entering, "RECHECK_SECONDS", 0.2)
    monkeypatch.setattr(previewing, "RECHECK_SECONDS", 0.2)
    await street.relay()
    _, short = await street.session()
    host = await made(street, short, app.port)
    async with browser(street) as client, aiohttp.ClientSession() as session:
        cookie = await come_in(client, host)
        url = f"{street.site.url}/socket"
        headers = {"host": host, "cookie": cookie, "origin": f"http://{host}"}
        async with session.ws_connect(url, headers=headers) as socket:
            await socket.send_str("ping")
            assert await socket.receive_str(timeout=SECONDS) == "heard ping"
            assert app.heads[-1]["origin"] == f"http://localhost:{app.port}"
            ((preview,),) = await street.site.rows("SELECT id FROM preview")
            ran = await ona(street.site, "sessions", "previews", short, "--revoke", str(preview))
            assert ran.status == 0, ran.err
            over = await socket.receive(timeout=SECONDS)
            assert over.type in {aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSE}
        for other in ("http://evil.example", f"http://{'0' * 32}.preview.localhost"):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await session.ws_connect(url, headers={**headers, "origin": other})
            assert refused.value.status == 403
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(url, headers={"host": host})
        assert refused.value.status == 401


async def test_who_may_not_see_it_sees_nothing(street: Street, app: App) -> None:
    await street.relay()
    session_id, short = await street.session()
    host = await made(street, short, app.port)
    token = host.partition(".")[0]
    async with street.site.client() as client:
        client.headers.pop("authorization")
        unknown = await client.get(f"/previews/{token}?to=/")
        assert (unknown.status_code, unknown.headers["location"]) == (303, "/sign-in")
        asked = await client.get("/", headers={"host": host, "accept": "*/*"})
        assert asked.status_code == 401
    async with browser(street) as client:
        cookie = await come_in(client, host)
        await street.site.rows(
            "UPDATE session SET private_to = :bo WHERE id = :id",
            bo=street.site.bo,
            id=session_id,
        )
        known = street.site.services
        assert known is not None
        refused = await client.get(f"/previews/{token}")
        assert refused.status_code == 404
        answer = await client.get("/", headers={"host": host, "cookie": cookie, **VISIT})
        assert answer.status_code == 404
        async with browser(street, street.site.bo) as bo:
            theirs = await come_in(bo, host)
            seen = await bo.get("/", headers={"host": host, "cookie": theirs, **VISIT})
            assert seen.status_code == 200


async def test_a_page_of_another_preview_asks_for_nothing(street: Street, app: App) -> None:
    await street.relay()
    _, short = await street.session()
    host = await made(street, short, app.port)
    async with browser(street) as client:
        headers = {"host": host, "cookie": await come_in(client, host)}
        for more in (
            {"origin": "http://other.preview.localhost"},
            {"origin": "null"},
            {"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors"},
            {"sec-fetch-site": "cross-site", "sec-fetch-mode": "cors"},
        ):
            answer = await client.post("/upload", headers={**headers, **more})
            assert answer.status_code == 403, more
        own = {"origin": f"http://{host}", "sec-fetch-site": "same-origin"}
        assert (await client.post("/upload", headers={**headers, **own})).status_code == 200


async def test_passes_and_cookies_are_good_for_one_preview_and_person(
    street: Street, app: App
) -> None:
    await street.relay()
    _, short = await street.session()
    first, second = [await made(street, short, app.port) for _ in range(2)]
    async with browser(street) as client:
        cookie = await come_in(client, first)
        for said in (cookie, "ona_preview=x", "ona_preview=x.y"):
            answer = await client.get("/", headers={"host": second, "cookie": said, **VISIT})
            assert answer.status_code == 303
            assert urlsplit(answer.headers["location"]).path.startswith("/previews/")
        stolen = cookie.partition("=")[2]
        as_pass = await client.get(
            f"/.ona/enter?pass={stolen}&to=/", headers={"host": first, **VISIT}
        )
        assert as_pass.status_code == 422
        elsewhere = await client.get(f"/previews/{first.partition('.')[0]}?to=//evil.example")
        went = parse_qs(urlsplit(elsewhere.headers["location"]).query)
        assert went["to"] == ["/"]


async def test_previews_are_listed_and_end(street: Street, app: App) -> None:
    await street.relay()
    _, short = await street.session()
    ran = await ona(street.site, "sessions", "preview", short, str(app.port), "--hours", "1")
    assert ran.status == 0, ran.err
    host = urlsplit(ran.out.strip()).netloc
    listed = await ona(street.site, "sessions", "previews", short)
    assert host in listed.out
    assert "Ann" in listed.out
    await street.site.rows("UPDATE preview SET expires_at = now()")
    assert "No preview" in (await ona(street.site, "sessions", "previews", short)).err
    async with browser(street) as client:
        answer = await client.get(f"/previews/{host.partition('.')[0]}")
    assert answer.status_code == 404
    assert "over" in answer.text


async def test_a_session_has_no_more_than_so_many(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.work.previews.OPEN_MAX", 2)
    session_id = await street.yard.session()
    ((short,),) = await street.site.rows("SELECT short FROM session WHERE id = :i", i=session_id)
    await made(street, short, 3000)
    await made(street, short, 3000)
    async with street.site.client() as client:
        answer = await client.post(f"/api/v1/sessions/{short}/previews", json={"port": 3000})
    assert answer.status_code == 422
    assert "2 previews" in answer.json()["error"]


def test_a_pass_lives_for_a_minute() -> None:
    key, who = b"k", UUID(int=5)
    text = preview_pass.made(key, "pass", token="t", person_id=who, now=1000)
    assert preview_pass.person_of(key, "pass", text, token="t", now=1059) == who
    assert preview_pass.person_of(key, "pass", text, token="t", now=1060) is None
    assert preview_pass.person_of(b"other", "pass", text, token="t", now=1059) is None
