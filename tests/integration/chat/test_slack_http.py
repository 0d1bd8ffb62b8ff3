"""Slack over HTTP: what it signed is heard, and nothing else is."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest
from pydantic import SecretStr

from bot.config import Settings
from tests.fakes.slack import Mishap
from tests.integration.chat.serving import serving
from tests.integration.chat.slack_rig import Office, open_office
from tests.support.shift import Shift

HOOK = "/hooks/slack"
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
async def office(town) -> AsyncIterator[Office]:
    async with open_office(town) as office:
        yield office


def over_http(office: Office) -> Settings:
    """The settings without the token that would open a connection."""
    given = office.settings.slack
    secret = SecretStr(office.slack.app.signing_secret)
    slack = given.model_copy(update={"app_token": None, "signing_secret": secret})
    return office.settings.model_copy(update={"slack": slack})


@asynccontextmanager
async def hooked(office: Office) -> AsyncIterator[str]:
    """The address of the hook, once it is heard there."""
    told: list[str] = []

    async def known(url: str) -> None:
        office.slack.app.request_url = f"{url}{HOOK}"
        told.append(f"{url}{HOOK}")
        async with asyncio.timeout(100):
            while not await office.slack.out.http.verify_url():
                await asyncio.sleep(0.05)

    async with serving(office.town, over_http(office), hooked=known):
        yield told[0]


def mention(office: Office) -> bytes:
    """What Slack says when somebody asks, as it would be sent."""
    event = {"type": "app_mention", "user": office.ann.id, "ts": office.slack.stamps.ts()}
    event |= {"channel": office.general.id, "text": f"{office.bot.user.mention} !env"}
    event_id = office.slack.stamps.new("Ev")
    wrapped = {"type": "event_callback", "event_id": event_id, "team_id": office.team.id}
    return json.dumps({**wrapped, "event": event, "is_ext_shared_channel": False}).encode()


async def prompts(office: Office) -> int:
    return int(await office.town.value("SELECT count(*) FROM prompt"))


async def test_answered_once_what_is_said_pressed_and_commanded(office, places):
    async with hooked(office), Shift(office.town, places, "w"):
        office.slack.mishap("message", Mishap(duplicate=True), Mishap(disconnect="after"))
        asked = office.asks("!echo one; sleep 60")
        live = await office.answered(asked, "one")
        office.bo.clicks(live, "Stop")
        await office.answered(asked, "Stopped")
        office.ann.commands(office.general, "/ona", "!echo two")
        await office.slack.until(lambda: "echo two" in office.general.messages[-1].text)
        top = next(one for one in office.general.messages if one.text.endswith("!echo two"))
        await office.answered(top, "two", "Done")
        await office.acknowledged()
    assert await prompts(office) == 2
    assert not office.slack.out.sockets.open


async def test_nothing_is_heard_that_slack_did_not_sign_just_now(office):
    body = mention(office)
    sign = office.slack.out.http.sign
    signed = sign(body)
    stale = sign(body, timestamp=int(time.time()) - 301)
    early = sign(body, timestamp=int(time.time()) + 400)
    moment, signature = signed["X-Slack-Request-Timestamp"], signed["X-Slack-Signature"]
    forged = [
        {},
        {"X-Slack-Signature": signature},
        {"X-Slack-Request-Timestamp": moment},
        signed | {"X-Slack-Signature": "v0=" + "0" * 64},
        signed | {"X-Slack-Signature": "v0=é".encode("latin-1").decode("latin-1")},
        signed | {"X-Slack-Request-Timestamp": "soon"},
        signed | {"X-Slack-Request-Timestamp": str(int(moment) - 1)},
        stale,
        early,
    ]
    async with hooked(office) as url, httpx2.AsyncClient() as client:
        for headers in forged:
            raw = {name: value.encode("latin-1") for name, value in (headers | JSON).items()}
            answer = await client.post(url, content=body, headers=raw)
            assert answer.status_code == 401, headers
        changed = body.replace(b"!env", b"!cat")
        assert (await client.post(url, content=changed, headers=signed | JSON)).status_code == 401
        assert await prompts(office) == 0
        assert (await client.post(url, content=body, headers=signed | JSON)).status_code == 200
        assert await prompts(office) == 1


async def test_a_delivery_that_says_to_be_a_check_is_not_let_in_by_that(office):
    fields = f"ssl_check=1&command=/ona&text=!env&user_id={office.ann.id}"
    fields += f"&channel_id={office.general.id}&team_id={office.team.id}&trigger_id=1"
    async with hooked(office) as url, httpx2.AsyncClient() as client:
        answer = await client.post(url, content=fields.encode(), headers=FORM)
        assert answer.status_code == 401
    assert await prompts(office) == 0


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[]", b"null", b"x=1", b"payload=%7B"])
async def test_a_signed_body_that_says_nothing_is_answered_and_heard_by_nobody(office, body):
    async with hooked(office) as url, httpx2.AsyncClient() as client:
        for kind in (JSON, FORM):
            headers = office.slack.out.http.sign(body) | kind
            answer = await client.post(url, content=body, headers=headers)
            assert 400 <= answer.status_code < 500, answer.text
        office.asks("!true")
        await office.heard()
    assert await prompts(office) == 1


async def test_there_is_no_hook_where_slack_comes_over_a_socket(office):
    told: list[str] = []

    async def known(url: str) -> None:
        told.append(url)

    listening = serving(office.town, office.settings, hooked=known)
    async with listening, httpx2.AsyncClient() as client:
        body = mention(office)
        headers = office.slack.out.http.sign(body) | JSON
        for name in ("slack", "discord", "x"):
            answer = await client.post(f"{told[0]}/hooks/{name}", content=body, headers=headers)
            assert answer.status_code == 404
    assert await prompts(office) == 0
