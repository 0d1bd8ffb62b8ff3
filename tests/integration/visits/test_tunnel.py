"""The WebSocket of `ona sessions ssh`: who opens it, and for how long they may have it open."""

import asyncio

import aiohttp
import pytest

from bot.govern import credentials, halting, people
from bot.web import entering
from tests.integration.visits.conftest import Street
from tests.integration.visits.test_relay import echo
from tests.support.visits import SECONDS, ona


def address(street: Street, short: str, **more: str) -> str:
    query = "&".join(f"{name}={value}" for name, value in more.items())
    return f"{street.site.url}/api/v1/sessions/{short}/tunnel?{query}"


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


async def refused(session: aiohttp.ClientSession, url: str, headers: dict[str, str]) -> int:
    with pytest.raises(aiohttp.WSServerHandshakeError) as error:
        await session.ws_connect(url, headers=headers)
    return error.value.status


async def test_only_a_token_opens_one_and_only_by_our_name(street: Street) -> None:
    await street.relay()
    _, short = await street.session()
    url, token = address(street, short), street.site.token
    async with street.site.database.begin() as tx:
        secret = await credentials.issue(tx, "browser", street.site.ann, seconds=600)
    async with aiohttp.ClientSession() as session:
        assert await refused(session, url, {"cookie": f"ona_8484={secret}"}) == 401
        assert await refused(session, url, bearer("wrong")) == 401
        assert await refused(session, url, {**bearer(token), "host": "evil.example"}) == 403
        assert await refused(session, address(street, "s-none"), bearer(token)) == 404
        assert await refused(session, f"{street.site.url}/", bearer(token)) == 404
        for port in ("x", "65536", "-1", "9" * 5000, "²"):
            assert await refused(session, address(street, short, port=port), bearer(token)) == 422


async def test_what_is_wrong_in_the_machine_is_said_on_it(street: Street) -> None:
    await street.relay()
    _, short = await street.session()
    url = address(street, short, port="1")
    async with (
        aiohttp.ClientSession(headers=bearer(street.site.token)) as session,
        session.ws_connect(url) as socket,
    ):
        said = await socket.receive_json(timeout=SECONDS)
        assert "Nothing listens on port 1" in said["error"]
        assert (await socket.receive(timeout=SECONDS)).type is aiohttp.WSMsgType.CLOSE
    ran = await ona(street.site, "sessions", "tunnel", short, "--port", "1")
    assert ran.status == 2
    assert "Nothing listens on port 1" in ran.err


async def test_who_may_not_any_more_is_sent_away_and_told_why(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entering, "RECHECK_SECONDS", 0.2)
    await street.relay()
    _, short = await street.session()
    token = await street.site.token_of(street.site.bo)
    async with echo() as port, aiohttp.ClientSession(headers=bearer(token)) as session:
        url = address(street, short, port=str(port))
        async with session.ws_connect(url) as socket:
            assert await socket.receive_json(timeout=SECONDS) == {"open": True}
            await socket.send_bytes(b"still here")
            assert await socket.receive_bytes(timeout=SECONDS) == b"still here"
            async with street.site.database.begin() as tx:
                bo = await people.standing_of(tx, street.site.bo)
                ann = await people.standing_of(tx, street.site.ann)
                await halting.halt(tx, ann, project="demo", person=None, why="an audit")
            said = await socket.receive_json(timeout=SECONDS)
            assert "project demo is halted by Ann: an audit" in said["error"]
            assert (await socket.receive(timeout=SECONDS)).type is aiohttp.WSMsgType.CLOSE
        assert bo.operator is False
        assert await refused(session, url, {}) == 422
    async with (
        echo() as port,
        aiohttp.ClientSession(headers=bearer(street.site.token)) as session,
        session.ws_connect(address(street, short, port=str(port))) as socket,
    ):
        assert await socket.receive_json(timeout=SECONDS) == {"open": True}, "an operator may look"


async def test_much_passes_unchanged(street: Street) -> None:
    await street.relay()
    _, short = await street.session()
    sent = bytes(range(256)) * 16_384
    async with (
        echo() as port,
        aiohttp.ClientSession(headers=bearer(street.site.token)) as session,
        session.ws_connect(address(street, short, port=str(port)), max_msg_size=0) as socket,
    ):
        assert await socket.receive_json(timeout=SECONDS) == {"open": True}

        async def send() -> None:
            for place in range(0, len(sent), 100_000):
                await socket.send_bytes(sent[place : place + 100_000])

        sending, heard = asyncio.create_task(send()), b""
        while len(heard) < len(sent):
            heard += await socket.receive_bytes(timeout=SECONDS)
        await sending
        assert heard == sent
