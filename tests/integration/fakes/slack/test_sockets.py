"""The fake Slack's Socket Mode and HTTP mode, with the real slack_bolt on the other side."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler

from tests.fakes.slack import Mishap
from tests.fakes.slack.sockets import CONNECTIONS_MAX
from tests.integration.fakes.slack.town import Town, refused


async def test_a_mention_in_a_channel_is_told_twice(town: Town) -> None:
    async with town.listening():
        said = town.ann.says(town.general, f"{town.bot.mention} fix it")
        [mention] = await town.hears("app_mention")
        [message] = await town.hears("message")
        assert mention["ts"] == message["ts"] == said.ts
        assert mention["client_msg_id"] == message["client_msg_id"]
        assert (message["channel_type"], message["team"]) == ("channel", town.team.id)
        assert len({delivery.payload["event_id"] for delivery in town.slack.out.all}) == 2
        await town.slack.until(lambda: all(each.acked for each in town.slack.out.all))


async def test_a_lost_event_comes_again_on_the_other_connection(town: Town) -> None:
    town.slack.mishap("message", Mishap(disconnect="after"))
    town.slack.out.times.retry_seconds = (0, 0, 0)
    async with town.listening(connections=2):
        town.ann.says(town.general, "hello")
        await town.slack.until(lambda: town.slack.out.all and town.slack.out.all[0].acked)
        assert town.slack.out.all[0].attempts == ["timeout", "acked"]
        again = [
            envelope
            for connection in town.slack.out.sockets.open
            for envelope in connection.envelopes
        ]
        assert (again[0]["retry_attempt"], again[0]["retry_reason"]) == (1, "timeout")


async def test_what_nobody_was_there_for_comes_with_the_retry(town: Town) -> None:
    town.slack.out.times.retry_seconds = (60,)
    town.ann.says(town.general, "hello")
    [delivery] = town.slack.out.all
    await town.slack.until(lambda: delivery.attempts == ["timeout"])
    async with town.listening():
        town.slack.out.retry_now()
        assert [event["text"] for event in await town.hears("message")] == ["hello"]


async def test_an_event_that_is_never_acknowledged_is_given_up(town: Town) -> None:
    town.slack.out.times.retry_seconds = (0, 0, 0)
    town.ann.says(town.general, "hello")
    await town.slack.until(lambda: town.slack.out.lost)
    assert town.slack.out.lost[0].attempts == ["timeout"] * 4


async def test_events_come_late_twice_and_in_another_order(town: Town) -> None:
    late = asyncio.Event()
    mishaps = Mishap(delayed=late), Mishap(after_next=True), Mishap(), Mishap(duplicate=True)
    town.slack.mishap("message", *mishaps)
    async with town.listening():
        for text in ("one", "two", "three", "four"):
            town.ann.says(town.general, text)
        await town.hears("message", 4)
        late.set()
        await town.hears("message", 5)
        [connection] = town.slack.out.sockets.open
        sent = [each["payload"]["event"]["text"] for each in connection.envelopes]
        assert sent == ["three", "two", "four", "four", "one"]


async def test_a_deaf_acknowledgement_makes_a_retry(town: Town) -> None:
    town.slack.out.times.retry_seconds = (0,)
    town.slack.mishap("message", Mishap(deaf=True))
    async with town.listening():
        town.ann.says(town.general, "hello")
        await town.hears("message", 2)
        await town.slack.until(lambda: town.slack.out.all[0].attempts == ["timeout", "acked"])


@pytest.mark.parametrize("reason", ["refresh_requested", "warning", "drop"])
async def test_the_client_comes_back(town: Town, reason: str) -> None:
    async with town.listening():
        if reason == "drop":
            town.slack.out.sockets.drop_all()
        else:
            await town.slack.out.sockets.refresh(reason)
        await town.slack.until(lambda: town.slack.out.sockets.opened == 2)
        await town.slack.until(lambda: len(town.slack.out.sockets.open) == 1)
        town.ann.says(town.general, "hello")
        await town.hears("message")


async def test_pings_are_answered(town: Town) -> None:
    async with town.listening():
        await town.slack.out.sockets.ping()
        await town.slack.until(lambda: town.slack.out.sockets.open[0].pongs)


async def test_ten_connections_share_the_events_and_an_eleventh_is_sent_away(town: Town) -> None:
    async with town.listening(connections=CONNECTIONS_MAX):
        for number in range(CONNECTIONS_MAX):
            town.ann.says(town.general, str(number))
        await town.hears("message", CONNECTIONS_MAX)
        sent = [len(one.envelopes) for one in town.slack.out.sockets.open]
        assert sent == [1] * CONNECTIONS_MAX
        app = town.app()
        app.logger.setLevel(logging.CRITICAL)
        eleventh = AsyncSocketModeHandler(app, town.slack.app.token)
        await eleventh.connect_async()
        await town.slack.until(lambda: town.slack.out.sockets.opened > CONNECTIONS_MAX)
        await eleventh.close_async()
        assert len(town.slack.out.sockets.open) == CONNECTIONS_MAX


async def test_a_connection_wants_the_token_of_the_app(town: Town) -> None:
    open_one = town.client.apps_connections_open
    assert await refused(open_one(app_token=town.bot.token)) == "not_allowed_token_type"
    assert await refused(open_one(app_token="xapp-1-nothing")) == "invalid_auth"
    assert (await open_one(app_token=town.slack.app.token))["url"].startswith("ws://127.0.0.1:")


@asynccontextmanager
async def at_an_address(town: Town, statuses: list[int], seen: list[Any]) -> AsyncIterator[None]:
    """The app over HTTP; the first requests get these statuses, all of them are noted."""
    inner = town.app().web_app("/slack/events", port=0).router

    async def answer(request: web.Request) -> web.StreamResponse:
        seen.append(request.headers.get("X-Slack-Retry-Reason"))
        if statuses:
            return web.Response(status=statuses.pop())
        return await (await inner.resolve(request)).handler(request)

    outer = web.Application()
    outer.router.add_post("/slack/events", answer)
    async with served(outer) as url:
        town.slack.app.request_url = f"{url}/slack/events"
        yield


@asynccontextmanager
async def served(application: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_events_come_signed_over_http_and_again_after_an_error(town: Town) -> None:
    town.slack.out.times.retry_seconds = (0,)
    seen: list[Any] = []
    async with at_an_address(town, [500], seen):
        town.ann.says(town.general, "hello")
        assert (await town.hears("message"))[0]["text"] == "hello"
        await town.slack.until(lambda: town.slack.out.all[0].acked)
        assert seen == [None, "http_error"]
        assert await town.slack.out.http.verify_url()


async def test_a_forged_event_is_refused(town: Town) -> None:
    town.slack.out.times.retry_seconds = ()
    async with at_an_address(town, [], []):
        town.slack.app.signing_secret = "another"
        town.ann.says(town.general, "forged")
        await town.slack.until(lambda: town.slack.out.lost)
        assert town.slack.out.lost[0].attempts == ["http_error"]
        assert town.heard == []


async def test_a_slow_app_is_asked_again_and_a_command_comes_as_a_form(town: Town) -> None:
    town.slack.out.times.retry_seconds = (0,)
    app, never = town.app(), asyncio.Event()

    @app.command("/ona")
    async def ona(ack: Any, command: dict[str, Any]) -> None:
        await ack(f"you said {command['text']}")

    async def slow(_: web.Request) -> web.StreamResponse:
        await never.wait()
        return web.Response()

    server = app.web_app("/slack/events", port=0)
    server.router.add_post("/slow", slow)
    async with served(server) as url:
        town.slack.app.request_url = f"{url}/slack/events"
        given = town.ann.commands(town.general, "/ona", "a & b")
        assert (await given.answer())["text"] == "you said a & b"
        town.slack.app.request_url = f"{url}/slow"
        town.slack.out.times.ack_seconds = 0.1
        town.ann.says(town.general, "hello")
        await town.slack.until(lambda: town.slack.out.lost)
        assert town.slack.out.lost[0].attempts == ["http_timeout"] * 2
