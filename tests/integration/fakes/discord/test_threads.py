"""The fake Discord as discord.py sees it: threads and channels."""

import discord
import pytest

from tests.fakes.discord import Permission


async def code_of(doing) -> tuple[int, int]:
    """The status and code with which it is refused."""
    with pytest.raises(discord.HTTPException) as refused:
        await doing
    return refused.value.status, refused.value.code


async def test_a_thread_from_a_message_has_its_id_and_is_opened_once(town):
    client = await town.client()
    town.ann.says(town.general, "fix it")
    (message,) = await town.heard(client, "message")
    thread = await message.create_thread(name="fix it")
    assert thread.id == message.id
    assert await code_of(message.create_thread(name="again")) == (400, 160004)
    await thread.send("working")
    there = town.fake.channels[thread.id]
    assert town.ann.texts(there)[-1] == "working"
    town.ann.says(there, "and this")
    await town.heard(client, "message", 4)
    assert client.texts()[-1] == "and this"
    assert {member.id for member in await thread.fetch_members()} == {client.user.id, town.ann.id}
    assert thread in await client.guilds[0].active_threads()


async def test_an_archived_thread_opens_by_a_post_and_refuses_the_rest(town):
    client = await town.client()
    opened = town.ann.opens_thread(town.ann.says(town.general, "x"), "x")
    (thread,) = await town.heard(client, "thread_create")
    ours = await thread.send("ours")
    town.ann.archives(opened)
    assert await code_of(ours.edit(content="late")) == (400, 50083)
    assert await code_of(ours.add_reaction("✅")) == (400, 50083)
    archived = [each.id async for each in thread.parent.archived_threads()]
    assert archived == [thread.id]
    await thread.send("again")
    assert not opened.archived
    town.ann.archives(opened, locked=True)
    assert await code_of(thread.send("no")) == (403, 160005)
    town.ann.deletes_channel(opened)
    await town.heard(client, "raw_thread_delete")
    assert await code_of(thread.send("no")) == (404, 10003)


async def test_our_own_thread_is_archived_renamed_and_opened_again(town):
    client = await town.client()
    channel = client.get_channel(town.general.id)
    kind = discord.ChannelType.public_thread
    thread = await channel.create_thread(name="mine", type=kind)
    await thread.edit(name="still mine", archived=True)
    assert town.fake.channels[thread.id].archived
    await thread.edit(archived=False)
    assert town.fake.channels[thread.id].name == "still mine"
    assert await code_of(thread.edit(locked=True)) == (403, 50013)


async def test_private_channels_and_threads_are_seen_by_their_members_only(town):
    client = await town.client()
    secret = town.fake.channel(town.guild, "secret", town.ann, private=True)
    town.ann.says(secret, "hidden")
    inner = town.ann.opens_thread(town.general, "inner", private=True, says="hidden too")
    town.ann.says(town.general, "open")
    await town.heard(client, "message")
    assert client.texts() == ["open"]
    assert await code_of(client.fetch_channel(secret.id)) == (403, 50001)
    assert town.bo.sees(secret) == []
    town.ann.adds_to(inner, town.app)
    joined = (await town.heard(client, "thread_join"))[0]
    await joined.send("here")
    town.ann.hides(town.general)
    await town.heard(client, "guild_channel_delete")


async def test_what_the_bot_may_not_do_is_refused(town):
    client = await town.client()
    town.guild.roles[-1].permissions = 0
    town.guild.everyone.permissions = int(Permission.VIEW_CHANNEL)
    channel = client.get_channel(town.general.id)
    assert await code_of(channel.send("x")) == (403, 50013)
    assert await code_of(channel.fetch_message(1)) == (403, 50013)
    assert await code_of(client.fetch_channel(1)) == (404, 10003)
    dm = await client.create_dm(discord.Object(town.bo.id))
    await dm.send("hello")
    assert town.bo.notified[0].text == "hello"
    town.bo.user.refuses_dms = True
    assert await code_of(dm.send("again")) == (403, 50007)
    assert await code_of(dm.fetch_message(1)) == (404, 10008)


async def test_too_much_is_refused_and_says_where(town):
    client = await town.client()
    channel = client.get_channel(town.general.id)
    assert await code_of(channel.send("x" * 2_001)) == (400, 50035)
    assert await code_of(channel.send("  ")) == (400, 50006)
    assert await code_of(channel.send("x", nonce="n" * 26)) == (400, 50035)
    assert await code_of(channel.send(embed=discord.Embed(description="x" * 6_001))) == (400, 50035)
    assert len((await channel.send("é" * 2_000)).content) == 2_000


async def test_being_kicked_is_told(town):
    client = await town.client()
    town.ann.kicks(town.app, town.guild)
    await town.heard(client, "guild_remove")
    assert await code_of(client.fetch_channel(town.general.id)) == (403, 50001)
    town.fake.install(town.app, town.guild)
    await town.heard(client, "guild_join")


async def test_posts_of_a_forum_are_threads(town):
    client = await town.client()
    forum = town.fake.forum(town.guild, "help")
    (channel,) = await town.heard(client, "guild_channel_create")
    assert await code_of(client.http.get_message(forum.id, 1)) == (404, 10008)
    opened = town.ann.opens_thread(forum, "how?", says="like this?")
    (thread,) = await town.heard(client, "thread_create")
    assert (thread.id, thread.parent) == (opened.id, channel)
    mine = await channel.create_thread(name="news", content="it works")
    assert town.bo.texts(town.fake.channels[mine.thread.id]) == ["it works"]


async def test_a_deleted_channel_takes_its_threads_along(town):
    client = await town.client()
    opened = town.ann.opens_thread(town.general, "side")
    town.ann.deletes_channel(town.general)
    await town.heard(client, "guild_channel_delete")
    assert await code_of(client.fetch_channel(opened.id)) == (404, 10003)
