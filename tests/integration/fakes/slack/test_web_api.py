"""The fake Slack's Web API, called by the real slack_sdk."""

from __future__ import annotations

import asyncio
import math
import time

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from tests.fakes.slack import Bad
from tests.fakes.slack.limits import POST_BURST, TIERS
from tests.integration.fakes.slack.town import Town, refused

MARK = {"event_type": "mark", "event_payload": {"id": "r1"}}


async def test_a_post_is_edited_found_by_its_mark_and_deleted(town: Town) -> None:
    root = town.ann.says(town.general, "hello")
    where = {"channel": town.general.id}
    posted = await town.client.chat_postMessage(
        **where, text="one", thread_ts=root.ts, metadata=MARK
    )
    ts = posted["ts"]
    await town.client.chat_update(**where, ts=ts, text="two")
    thread = await town.client.conversations_replies(**where, ts=root.ts, include_all_metadata=True)
    assert [each["text"] for each in thread["messages"]] == ["hello", "two"]
    assert thread["messages"][1]["metadata"] == MARK
    assert thread["messages"][0]["reply_count"] == 1
    bare = await town.client.conversations_replies(**where, ts=ts)
    assert bare["messages"][1]["metadata"] == {"event_type": "mark"}
    link = await town.client.chat_getPermalink(**where, message_ts=ts)
    assert link["permalink"].endswith(f"?thread_ts={root.ts}&cid={town.general.id}")
    await town.client.chat_delete(**where, ts=ts)
    assert town.ann.reads(town.general, root) == ["hello"]


async def test_threads_and_channels_are_read_in_pages(town: Town) -> None:
    root = town.ann.says(town.general, "0")
    for number in range(1, 5):
        town.ann.says(town.general, str(number), thread=root, broadcast=number == 4)
    texts: list[str] = []
    async for page in await town.client.conversations_replies(
        channel=town.general.id, ts=root.ts, limit=2
    ):
        texts += [each["text"] for each in page["messages"]]
    assert texts == ["0", "1", "2", "3", "4"]
    late = await town.client.conversations_replies(
        channel=town.general.id, ts=root.ts, oldest=town.general.messages[3].ts
    )
    assert [each["text"] for each in late["messages"]] == ["0", "4"]
    history = await town.client.conversations_history(channel=town.general.id)
    assert [each["text"] for each in history["messages"]] == ["4", "0"]


async def test_errors_are_slacks_own(town: Town) -> None:
    client, here = town.client, town.general.id
    said = town.ann.says(town.general, "hello")
    elsewhere = town.slack.channel(town.team, "elsewhere", town.ann)
    secret = town.slack.channel(town.team, "secret", town.ann, private=True)
    old = town.slack.channel(town.team, "old", town.ann, town.bot.user)
    town.ann.archives(old)

    async def post(channel: str, **more: object) -> str:
        return await refused(client.chat_postMessage(channel=channel, **more))

    assert await post(elsewhere.id, text="x") == "not_in_channel"
    assert await post(secret.id, text="x") == "channel_not_found"
    assert await post(old.id, text="x") == "is_archived"
    empty = client.api_call("chat.postMessage", data={"channel": here})
    assert await refused(empty) == "no_text"
    assert await post(here, text="x", blocks=[{"type": "section"}]) == "invalid_blocks"
    assert await post(here, text="x", metadata={"event_type": "m"}) == "invalid_metadata_format"
    edit = client.chat_update
    assert await refused(edit(channel=here, ts=said.ts, text="x")) == "cant_update_message"
    assert await refused(edit(channel=here, ts="1.000001", text="x")) == "message_not_found"
    mine = (await client.chat_postMessage(channel=here, text="x" * 50_000))["ts"]
    assert len(town.general.messages[-1].text) == 40_000
    assert await refused(edit(channel=here, ts=mine, text="x" * 4_001)) == "msg_too_long"
    town.team.edit_window_seconds = 0
    assert await refused(edit(channel=here, ts=mine, text="x")) == "edit_window_closed"
    replies = client.conversations_replies(channel=here, ts="1.000001")
    assert await refused(replies) == "thread_not_found"
    assert await refused(client.users_info(user="U0")) == "user_not_found"


async def test_who_may_not_is_told_what_is_missing(town: Town) -> None:
    town.bot.scopes.remove("reactions:write")
    said = town.ann.says(town.general, "hello")
    with pytest.raises(SlackApiError) as caught:
        await town.client.reactions_add(channel=town.general.id, timestamp=said.ts, name="eyes")
    assert caught.value.response["needed"] == "reactions:write"
    stranger = AsyncWebClient(token="xoxb-nothing", base_url=town.slack.api_url)
    assert await refused(stranger.auth_test()) == "invalid_auth"
    nobody = AsyncWebClient(base_url=town.slack.api_url)
    assert await refused(nobody.auth_test()) == "not_authed"
    town.slack.uninstall(town.bot)
    assert await refused(town.client.auth_test()) == "account_inactive"


async def test_reactions_come_and_go(town: Town) -> None:
    said = town.ann.says(town.general, "hello")
    where = {"channel": town.general.id, "timestamp": said.ts}
    await town.client.reactions_add(name="eyes", **where)
    assert await refused(town.client.reactions_add(name="eyes", **where)) == "already_reacted"
    got = await town.client.reactions_get(**where)
    assert got["message"]["reactions"] == [
        {"name": "eyes", "users": [town.bot.user.id], "count": 1}
    ]
    assert town.ann.sees(town.general)[0].reactions == (("eyes", 1),)
    await town.client.reactions_remove(name="eyes", **where)
    assert await refused(town.client.reactions_remove(name="eyes", **where)) == "no_reaction"


async def test_limits_are_kept_by_method_channel_and_workspace(town: Town) -> None:
    now = 0.0
    town.slack.limits.clock = lambda: now
    for number in range(POST_BURST):
        await town.client.chat_postMessage(channel=town.general.id, text=str(number))
    with pytest.raises(SlackApiError) as caught:
        await town.client.chat_postMessage(channel=town.general.id, text="too much")
    assert caught.value.response.status_code == 429
    assert caught.value.response["error"] == "ratelimited"
    assert caught.value.response.headers["Retry-After"] == "4"
    quiet = town.slack.channel(town.team, "quiet", town.bot.user)
    await town.client.chat_postMessage(channel=quiet.id, text="another channel")
    now = float(POST_BURST)
    await town.client.chat_postMessage(channel=town.general.id, text="later")
    assert town.slack.limits.refused == {"chat.postMessage": 1}
    for _ in range(TIERS[2]):
        await town.client.users_list()
    assert await refused(town.client.users_list()) == "ratelimited"


async def test_an_app_from_outside_the_marketplace_reads_once_a_minute(town: Town) -> None:
    town.slack.limits.outside = True
    root = town.ann.says(town.general, "0")
    for number in range(20):
        town.ann.says(town.general, str(number), thread=root)
    read = town.client.conversations_replies
    thread = await read(channel=town.general.id, ts=root.ts)
    assert (len(thread["messages"]), thread["has_more"]) == (15, True)
    assert await refused(read(channel=town.general.id, ts=root.ts)) == "ratelimited"
    town.slack.limits.scale = math.inf
    await read(channel=town.general.id, ts=root.ts)


async def test_bad_days_come_once_each(town: Town) -> None:
    where = {"channel": town.general.id, "text": "x"}
    town.slack.behave(
        "chat.postMessage",
        Bad(throttle_seconds=7),
        Bad(status=503),
        Bad(drop=True),
        Bad(refused="fatal_error"),
        Bad(drop_answer=True),
        Bad(wrong=b"<html>"),
    )
    with pytest.raises(SlackApiError) as caught:
        await town.client.chat_postMessage(**where)
    assert caught.value.response.headers["Retry-After"] == "7"
    with pytest.raises(SlackApiError):
        await town.client.chat_postMessage(**where)
    with pytest.raises(aiohttp.ClientError):
        await town.client.chat_postMessage(**where)
    assert await refused(town.client.chat_postMessage(**where)) == "fatal_error"
    assert town.general.messages == []
    with pytest.raises(aiohttp.ClientError):
        await town.client.chat_postMessage(**where)
    with pytest.raises(SlackApiError):
        await town.client.chat_postMessage(**where)
    await town.client.chat_postMessage(**where)
    assert len(town.general.messages) == 3


async def test_the_sdk_as_it_comes_posts_twice_after_a_lost_answer(town: Town) -> None:
    """Its usual retry handler does that: a port must build its client without."""
    usual = AsyncWebClient(token=town.bot.token, base_url=town.slack.api_url)
    town.slack.behave("chat.postMessage", Bad(drop_answer=True))
    await usual.chat_postMessage(channel=town.general.id, text="x")
    assert town.ann.reads(town.general) == ["x", "x"]


async def test_a_request_waits_as_long_as_a_test_wants(town: Town) -> None:
    go = asyncio.Event()
    town.slack.behave("auth.test", Bad(wait=go))
    asked = asyncio.create_task(town.client.auth_test())
    await town.slack.until(lambda: town.slack.web.requests)
    assert not asked.done()
    go.set()
    assert (await asked)["bot_id"] == town.bot.bot_id


async def test_files_go_up_and_come_down(town: Town) -> None:
    root = town.ann.says(town.general, "hello")
    await town.client.files_upload_v2(
        channel=town.general.id, thread_ts=root.ts, filename="log.txt", content="what happened"
    )
    assert town.ann.sees(town.general, root)[1].files == ("log.txt",)
    sent = town.ann.uploads(town.general, "in.txt", b"look at this", "please")
    file = (await town.client.files_info(file=sent.files[0].id))["file"]
    async with aiohttp.ClientSession() as session:
        headers = {"Authorization": f"Bearer {town.bot.token}"}
        async with session.get(file["url_private"], headers=headers) as answer:
            assert await answer.read() == b"look at this"
        async with session.get(file["url_private"]) as answer:
            assert answer.content_type == "text/html"


async def test_people_of_all_kinds_are_told_apart(town: Town) -> None:
    guest = town.slack.person(town.team, "gil", is_restricted=True)
    other = town.slack.workspace("other", enterprise_id="E1")
    sam, far = town.slack.person(other, "sam"), town.slack.person(other, "far")
    shared = town.slack.channel(
        town.team, "shared", town.ann, sam, town.bot.user, shared_with=(other,)
    )
    user = (await town.client.users_info(user=guest.id))["user"]
    assert (user["is_restricted"], user["is_ultra_restricted"]) == (True, False)
    user = (await town.client.users_info(user=sam.id))["user"]
    assert (user["is_stranger"], user["team_id"]) == (True, other.id)
    assert await refused(town.client.users_info(user=far.id)) == "user_not_found"
    town.general.pending_with.append(other)
    one = (await town.client.conversations_info(channel=shared.id))["channel"]
    two = (await town.client.conversations_info(channel=town.general.id))["channel"]
    assert (one["is_ext_shared"], one["is_pending_ext_shared"]) == (True, False)
    assert (two["is_ext_shared"], two["is_pending_ext_shared"]) == (False, True)
    members = await town.client.conversations_members(channel=shared.id)
    assert members["members"] == [town.ann.id, sam.id, town.bot.user.id]
    assert (await town.client.team_info(team=other.id))["team"]["name"] == "other"
    assert (await town.client.bots_info(bot=town.bot.bot_id))["bot"]["app_id"] == town.slack.app.id


async def test_direct_messages_open_and_channels_are_joined(town: Town) -> None:
    im = (await town.client.conversations_open(users=[town.ann.id]))["channel"]["id"]
    await town.client.chat_postMessage(channel=im, text="psst")
    await town.client.chat_postMessage(channel=town.ann.id, text="again")
    assert town.ann.reads(town.ann.direct(town.bot.user)) == ["psst", "again"]
    assert [note.why for note in town.ann.notifications] == ["dm", "dm"]
    new = town.slack.channel(town.team, "new", town.ann)
    await town.client.conversations_join(channel=new.id)
    mine = await town.client.users_conversations(types="public_channel,im")
    assert {each["id"] for each in mine["channels"]} == {town.general.id, new.id, im}


async def test_agent_sessions_have_a_status(town: Town) -> None:
    root = town.ann.says(town.general, "hello")
    where = {"channel_id": town.general.id, "thread_ts": root.ts}
    set_status = town.client.agents_sessions_setStatus
    answer = await set_status(status="processing", title="a fix", **where)
    assert (answer["status"], answer["title"]) == ("processing", "a fix")
    await town.client.agents_sessions_rename(title="the fix", **where)
    assert await refused(set_status(status="busy", **where)) == "invalid_status"
    nowhere = set_status(status="active", channel_id=town.general.id)
    assert await refused(nowhere) == "thread_ts_required"
    assert town.slack.sessions[town.general.id, root.ts].title == "the fix"


async def test_nothing_is_left_when_it_stops(town: Town) -> None:
    began = time.monotonic()
    town.slack.behave("auth.test", Bad(wait=asyncio.Event()))
    asked = asyncio.create_task(town.client.auth_test())
    await town.slack.until(lambda: town.slack.web.requests)
    await town.slack.__aexit__()
    with pytest.raises(aiohttp.ClientError):
        await asked
    assert time.monotonic() - began < 5
