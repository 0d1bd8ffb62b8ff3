"""The fake Discord as discord.py sees it: messages, reactions, threads."""

import io

import discord
import pytest

from tests.fakes.discord import shown


async def test_what_people_say_is_heard_and_what_we_say_is_seen_and_echoed(town):
    client = await town.client()
    said = town.ann.says(town.general, f"{client.user.mention} fix it", files={"a.txt": b"log"})
    (heard,) = await town.heard(client, "message")
    assert heard.id == said.id
    assert heard.mentions == [client.user]
    assert await heard.attachments[0].read() == b"log"
    answer = await heard.reply("on it", mention_author=True)
    assert town.ann.sees(town.general)[-1].text == "on it"
    assert [message.text for message in town.ann.notified] == ["on it"]
    await answer.edit(content="done")
    assert town.bo.sees(town.general)[-1].edits == 1
    assert len(town.ann.notified) == 1
    await town.heard(client, "message", 2)
    await answer.delete()
    assert town.bo.texts(town.general) == [shown(said.text).text]
    assert (await town.heard(client, "raw_message_delete"))[0].message_id == answer.id


async def test_edits_deletes_and_reactions_of_people_are_heard(town):
    client = await town.client()
    said = town.ann.says(town.general, "one")
    town.ann.edits(said, "two")
    (edited,) = await town.heard(client, "raw_message_edit")
    assert edited.message.content == "two"
    town.bo.reacts(said, "👀")
    town.bo.unreacts(said, "👀")
    (added,) = await town.heard(client, "raw_reaction_add")
    assert (added.user_id, str(added.emoji)) == (town.bo.id, "👀")
    await town.heard(client, "raw_reaction_remove")
    town.ann.deletes(said)
    await town.heard(client, "raw_message_delete")


async def test_our_own_reactions_come_and_go(town):
    client = await town.client()
    town.ann.says(town.general, "hello")
    (message,) = await town.heard(client, "message")
    await message.add_reaction("✅")
    assert town.ann.sees(town.general)[0].reactions == {"✅": {client.user.id: town.app.user}}
    fetched = await message.fetch()
    assert [user async for user in fetched.reactions[0].users()] == [client.user]
    await message.remove_reaction("✅", client.user)
    assert town.ann.sees(town.general)[0].reactions == {}
    with pytest.raises(discord.NotFound) as refused:
        await message.add_reaction("eyes")
    assert refused.value.code == 10014


async def test_a_nonce_that_is_enforced_makes_a_post_once(town):
    client = await town.client()
    channel = client.get_channel(town.general.id)
    first = await channel.send("once", nonce="turn-1")
    again = await channel.send("once", nonce="turn-1")
    assert first.id == again.id
    assert town.ann.texts(town.general) == ["once"]


async def test_history_is_read_in_pages_from_every_side(town):
    client = await town.client()
    said = [town.ann.says(town.general, str(number)).id for number in range(120)]
    channel = client.get_channel(town.general.id)
    assert [m.id async for m in channel.history(limit=None)] == said[::-1]
    after = channel.history(after=discord.Object(said[9]), limit=5, oldest_first=True)
    assert [m.id async for m in after] == said[10:15]
    around = [m.id async for m in channel.history(around=discord.Object(said[50]), limit=5)]
    assert said[50] in around
    assert len(around) == 5
    before = [m.id async for m in channel.history(before=discord.Object(said[2]))]
    assert before == said[1::-1]


async def test_files_are_sent_kept_and_taken_away(town):
    client = await town.client()
    files = [discord.File(io.BytesIO(b"one"), "a.txt"), discord.File(io.BytesIO(b"2"), "b.log")]
    message = await client.get_channel(town.general.id).send("see", files=files)
    (seen,) = town.ann.sees(town.general)
    assert [(each.name, each.data) for each in seen.attachments] == [
        ("a.txt", b"one"),
        ("b.log", b"2"),
    ]
    new = discord.File(io.BytesIO(b"3"), "c.txt")
    await message.edit(attachments=[message.attachments[1], new])
    assert [each.name for each in seen.attachments] == ["b.log", "c.txt"]
    await message.edit(content="only words", attachments=[])
    assert seen.attachments == []


async def test_bots_webhooks_and_people_are_told_apart(town):
    client = await town.client()
    other = town.fake.person("other", town.guild, bot=True)
    hook = town.fake.person("hook", town.guild)
    other.says(town.general, "beep")
    hook.says(town.general, "deployed", webhook=True)
    town.bo.says(town.general, "hi")
    beep, deployed, hello = await town.heard(client, "message", 3)
    assert beep.author.bot
    assert deployed.webhook_id == hook.id
    assert (hello.author.bot, hello.author.name, hello.webhook_id) == (False, "bo", None)


async def test_a_reply_shows_what_it_answers_even_when_that_is_gone(town):
    client = await town.client()
    said = town.ann.says(town.general, "question")
    reply = town.bo.says(town.general, "answer", reply_to=said)
    assert (await town.heard(client, "message", 2))[1].reference.resolved.content == "question"
    town.ann.deletes(said)
    fetched = await client.get_channel(town.general.id).fetch_message(reply.id)
    assert isinstance(fetched.reference.resolved, discord.DeletedReferencedMessage)
