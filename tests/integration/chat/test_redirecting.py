"""An answer that its thread does not take any more reaches its asker all the same, once."""

import asyncio

import pytest

from adapters.chat.port import Rejected, Unavailable
from adapters.forge.port import Permission
from bot.conversation.redirecting import Redirecting
from bot.govern.rights import Rights
from bot.store.ids import new_id
from tests.fakes.forge import KnowingForge
from tests.integration.chat import discord_rig, slack_rig
from tests.integration.chat.conftest import SURFACE, WhisperingChat
from tests.support.shift import Shift


class ConfidingChat(WhisperingChat):
    """A surface with direct messages, unless there is trouble."""

    trouble: Exception | None = None

    async def confide(self, place, person, deadline):
        if self.trouble is not None:
            raise self.trouble
        return f"T/D-{person}/"


REPLIES = """
    SELECT thread.place, reply.state, reply.body FROM reply JOIN thread ON thread.id = thread_id
     ORDER BY reply.created_at
"""


async def undelivered(town, place="T/C/1"):
    """An answer for Ann that failed for good."""
    await town.say("!one", place=place)
    await town.rows(
        "UPDATE prompt SET asker = 'ann' WHERE asker = '' RETURNING id",
    )
    await town.rows(
        "UPDATE thread SET surface = :s WHERE place = :place RETURNING id", s=SURFACE, place=place
    )
    await town.rows(
        "INSERT INTO turn (id, session_id, prompt_id) SELECT :id, session_id, id FROM prompt"
        " WHERE NOT EXISTS (SELECT 1 FROM turn WHERE prompt_id = prompt.id) RETURNING id",
        id=new_id(),
    )
    await town.rows(
        "INSERT INTO reply (id, thread_id, turn_id, kind, key, body, state, undelivered)"
        " SELECT :id, thread.id, turn.id, 'answer', 'answer:1', 'the answer', 'pending', true"
        " FROM thread JOIN turn ON turn.session_id = thread.session_id WHERE place = :place"
        " RETURNING id",
        id=new_id(),
        place=place,
    )
    for state in ("sending", "failed"):
        await town.rows("UPDATE reply SET state = :s RETURNING id", s=state)


def redirecting_of(town, port, forges=None) -> Redirecting:
    return Redirecting(town.database, {SURFACE: port}, Rights(town.database, forges or {}))


async def test_it_goes_to_the_direct_message_once(town):
    await undelivered(town)
    port = ConfidingChat()
    both = [redirecting_of(town, port) for _ in range(2)]
    await asyncio.gather(*(one.once() for one in both))
    await both[0].once()
    (_, again) = await town.rows(REPLIES)
    assert again[0].startswith("T/D-ann/~s-")
    assert again[1:] == ("pending", "the answer")
    await port.close()


async def test_who_takes_no_messages_is_not_asked_again_and_who_is_away_is(town):
    await undelivered(town)
    port = ConfidingChat()
    redirecting = redirecting_of(town, port)
    port.trouble = Unavailable("away")
    await redirecting.once()
    assert await town.value("SELECT undelivered FROM reply")
    port.trouble = Rejected("closed")
    await redirecting.once()
    assert not await town.value("SELECT undelivered FROM reply")
    assert len(await town.rows(REPLIES)) == 1
    await port.close()


@pytest.mark.parametrize("narrow", [False, True])
async def test_who_may_not_see_the_session_any_more_is_told_nothing(town, narrow):
    await undelivered(town)
    await town.rows("UPDATE session SET narrow = :narrow RETURNING id", narrow=narrow)
    forge, port = KnowingForge(), ConfidingChat()
    url = "https://forge.test/acme/secret.git"
    await town.rows("UPDATE project SET repository_url = :url RETURNING id", url=url)
    redirecting = redirecting_of(town, port, {"forge": forge})
    await town.rows(
        "INSERT INTO identity (id, person_id, surface, external_id, name)"
        " VALUES (:id, :person, 'forge:forge.test', '1', 'Ann') RETURNING id",
        id=new_id(),
        person=town.people["Ann"],
    )
    if narrow:
        forge.levels["acme/secret", "1"] = Permission.READ
    forge.silent = True
    await redirecting.once()
    assert await town.value("SELECT undelivered FROM reply")
    forge.silent = False
    await town.rows("UPDATE permission SET asked_at = now() - interval '1 hour' RETURNING level")
    await redirecting.once()
    assert not await town.value("SELECT undelivered FROM reply")
    assert len(await town.rows(REPLIES)) == 1
    await port.close()
    await forge.close()


async def test_who_asked_in_another_thread_is_asked_there_and_holds_up_nobody(town):
    await undelivered(town, place="T/C/1")
    elsewhere = await town.value(
        "INSERT INTO thread (id, session_id, surface, place)"
        " SELECT :id, session_id, 'other', 'elsewhere' FROM thread RETURNING id",
        id=new_id(),
    )
    await town.rows("UPDATE prompt SET thread_id = :id RETURNING id", id=elsewhere)
    port = ConfidingChat()
    port.trouble = ValueError("'U1' is no number: people are called otherwise there")
    await redirecting_of(town, port).once()
    assert len(await town.rows(REPLIES)) == 1
    await port.close()


async def test_what_a_direct_message_does_not_take_goes_nowhere(town):
    await undelivered(town, place="T/D-ann/~s-1")
    port = ConfidingChat()
    await redirecting_of(town, port).once()
    assert len(await town.rows(REPLIES)) == 1
    await port.close()


def archived(office, asked):
    office.general.archived = True


def left(office, asked):
    """Somebody removes the bot from the channel."""
    office.general.members.remove(office.bot.user)


@pytest.mark.parametrize("trouble", [archived, left])
async def test_an_answer_that_a_channel_of_slack_takes_no_more_comes_directly(
    town, places, trouble
):
    async with slack_rig.open_office(town) as office, office.serving(), Shift(town, places, "w"):
        places.door.clear()
        asked = office.asks("!echo o-n-e")
        await asyncio.wait_for(places.knocked.wait(), 100)
        trouble(office, asked)
        places.door.set()
        direct = office.ann.direct(office.bot.user)

        def seen():
            return " ".join(one.text for one in direct.messages if one.author is office.bot.user)

        await office.slack.until(lambda: "o-n-e" in seen(), 40)
        await asyncio.sleep(0.5)
        assert seen().count("o-n-e") == 1
    assert await town.value("SELECT state FROM session") == "idle", "the session goes on"


def locked(office, asked):
    office.bo.archives(asked.thread, locked=True)


def deleted(office, asked):
    office.bo.deletes_channel(asked.thread)


@pytest.mark.parametrize("trouble", [locked, deleted])
async def test_an_answer_that_a_thread_of_discord_takes_no_more_comes_directly(
    town, places, trouble
):
    async with discord_rig.open_office(town) as office, office.serving(), Shift(town, places, "w"):
        await office.ready()
        asked = office.asks("!echo zero")
        await office.answered(asked, "zero", "Done")
        places.door.clear()
        places.knocked.clear()
        office.ann.says(asked.thread, f"<@{office.app.id}> !echo o-n-e")
        await asyncio.wait_for(places.knocked.wait(), 100)
        trouble(office, asked)
        places.door.set()
        direct = office.ann.direct(office.app)
        await office.posted(direct, "o-n-e", "Done")
        await asyncio.sleep(0.5)
        assert sum("o-n-e" in one.text for one in office.ours(direct)) == 1
    assert await town.value("SELECT state FROM session") == "idle", "the session goes on"


async def test_what_discord_lets_us_say_nowhere_stays_on_the_page(town, places):
    async with discord_rig.open_office(town) as office, office.serving(), Shift(town, places, "w"):
        await office.ready()
        asked = office.asks("!echo zero")
        await office.answered(asked, "zero", "Done")
        places.door.clear()
        places.knocked.clear()
        office.ann.says(asked.thread, f"<@{office.app.id}> !echo o-n-e")
        await asyncio.wait_for(places.knocked.wait(), 100)
        office.ann.kicks(office.app, office.guild)
        places.door.set()
        failed = "SELECT count(*) FROM reply WHERE kind = 'answer' AND state = 'failed'"
        async with asyncio.timeout(100):
            while await town.value(failed) < 2:
                await asyncio.sleep(0.05)
    said = await town.rows("SELECT body ->> 'text' FROM turn_event WHERE kind = 'notice'")
    assert any("is on the session's page" in one for (one,) in said)
    kept = await town.rows("SELECT body FROM reply WHERE state = 'failed' AND kind = 'answer'")
    assert all("o-n-e" in one for (one,) in kept)
    assert await town.value("SELECT state FROM session") == "idle", "the session goes on"
