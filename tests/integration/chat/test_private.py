"""`private:` runs in a session of its own that nobody else sees."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from adapters.chat.incoming import Quoted
from adapters.chat.port import Rejected, Unavailable
from bot.conversation.hearing import Chats
from bot.conversation.hints import NOT_PRIVATE, PRIVATE
from bot.store.ids import new_id
from bot.work.checkpoint_rows import SQL
from tests.integration.chat import discord_rig, slack_rig
from tests.integration.chat.conftest import SPOT, SURFACE, Room, WhisperingChat
from tests.support.shift import Shift

SESSIONS = """
    SELECT session.short, thread.place, session.private_to IS NOT NULL AS private,
           parent.short AS parent
      FROM session JOIN thread ON thread.session_id = session.id
      LEFT JOIN session AS parent ON parent.id = session.parent_id ORDER BY session.created_at
"""


class ConfidingChat(WhisperingChat):
    """A surface with direct messages, which some people don't take."""

    def __init__(self):
        super().__init__()
        self.posts = {}
        self.closed: Exception | None = None

    async def confide(self, place, person, deadline):
        return f"T/D-{person}/"

    async def post(self, place, content, mark, deadline):
        if self.closed is not None:
            raise self.closed
        self.posts[mark] = (place, content.text)
        return mark

    async def find(self, place, mark, deadline):
        return mark if mark in self.posts else None


@pytest.fixture
async def room(town):
    port = ConfidingChat()
    yield Room(chats=Chats(town.database, town.inbox, {SURFACE: port}, mention="ona"), port=port)
    await port.close()


async def checkpoint(town, short, *, blob=None):
    """As a turn of the session leaves it."""
    turn = await town.value(
        "INSERT INTO turn (id, session_id, prompt_id, state)"
        " SELECT :turn, session.id, prompt.id, 'succeeded'"
        "   FROM session JOIN prompt ON prompt.session_id = session.id"
        "  WHERE short = :short LIMIT 1"
        " ON CONFLICT (prompt_id) DO UPDATE SET state = excluded.state RETURNING id",
        turn=new_id(),
        short=short,
    )
    await town.rows(
        "INSERT INTO checkpoint (id, session_id, turn_id, base, head, tree, size, inline, blob)"
        " SELECT :id, id, :turn, 'b', 'h', 't', 3, :inline, :blob FROM session"
        "  WHERE short = :short RETURNING id",
        id=new_id(),
        turn=turn,
        short=short,
        inline=None if blob else b"abc",
        blob=blob,
    )


async def test_it_begins_where_the_thread_stands_and_is_answered_directly(town, room):
    await room.say("!one")
    ((shared, *_),) = await town.rows(SESSIONS)
    await checkpoint(town, shared)
    message = await room.say("private: !two")
    await room.chats.hear(message)
    _, (short, place, private, parent) = await town.rows(SESSIONS)
    assert (private, parent) == (True, shared)
    assert place.startswith("T/D-ann/~")
    assert list(room.port.posts.values()) == [("T/D-ann/", room.port.escape(PRIVATE, code=False))]
    own = "SELECT base, head, tree FROM checkpoint JOIN session ON session.id = session_id"
    assert await town.rows(f"{own} WHERE short = :short", short=short) == [("b", "h", "t")]
    assert await town.value("SELECT count(*) FROM turn_event WHERE body ->> 'text' = 'two'") == 1
    seen = await town.rows(
        "SELECT body FROM turn_event JOIN session ON session.id = session_id WHERE short = :short",
        short=shared,
    )
    assert "two" not in json.dumps(seen)


async def test_in_a_thread_without_a_session_it_begins_anew(town, room):
    await room.say("private: !two")
    ((_, _, private, parent),) = await town.rows(SESSIONS)
    assert (private, parent) == (True, None)
    await room.say("!one")
    assert await town.value("SELECT count(*) FROM session WHERE private_to IS NULL") == 1


@pytest.mark.parametrize("option", ["project=other", "repo=acme/other"])
async def test_in_a_project_that_its_author_names_it_begins_anew(town, room, option):
    await town.rows(
        "INSERT INTO project (id, name, repository_url, agent)"
        " VALUES (:id, 'other', 'https://forge.test/acme/other', 'shell') RETURNING id",
        id=new_id(),
    )
    await room.say("project=demo !one")
    ((shared, *_),) = await town.rows(SESSIONS)
    await checkpoint(town, shared)
    await room.say(f"private: {option} !two")
    _, (short, _, private, parent) = await town.rows(SESSIONS)
    assert (private, parent) == (True, None)
    project = "SELECT project.name FROM session JOIN project ON project.id = project_id"
    assert await town.value(f"{project} WHERE short = :s", s=short) == "other"
    await room.say("private: project=demo !three")
    assert (await town.rows(SESSIONS))[2][3] == shared
    await room.say("private: project=nope !four")
    assert len(await town.rows(SESSIONS)) == 3
    assert "no project nope" in str(room.whispers) + str(await town.rows("SELECT body FROM reply"))


@pytest.mark.parametrize("error", [Rejected("closed"), Unavailable("away")])
async def test_where_nobody_can_be_written_to_nothing_is_run(town, room, error):
    room.port.closed = error
    await room.say("private: !two")
    assert room.whispers == [("ann", NOT_PRIVATE, ())]
    assert await town.value("SELECT count(*) FROM prompt") == 0


async def test_on_a_forge_it_is_refused(town, room):
    await room.say("private: !two", spot=replace(SPOT, repository="https://forge.test/a/b"))
    assert await town.value("SELECT count(*) FROM prompt") == 0


async def test_nobody_else_finds_joins_or_is_told_of_it(town, room):
    await room.say("private: !two")
    ((short, *_),) = await town.rows(SESSIONS)
    await room.say("!one", by="bo", spot=replace(SPOT, place="T/C/2"))
    await room.say(f"join {short}", by="bo", spot=replace(SPOT, place="T/C/2"))
    await room.say("sessions", by="bo", spot=replace(SPOT, place="T/C/2"))
    told = await town.rows("SELECT body FROM reply")
    assert short not in json.dumps(told)
    assert "no session" in room.whispers[0][1]
    await room.say("sessions", spot=replace(SPOT, place="T/C/2"))
    assert await town.rows("SELECT body FROM reply") == told, "others read along"
    assert room.whispers[-1][0] == "ann"
    assert short in room.whispers[-1][1]


async def test_an_edit_changes_it_where_it_waits(town, room):
    message = await room.say("private: !two")
    await room.edit(message, "private: !three")
    assert await town.rows("SELECT text FROM delivery") == [("three",)]
    assert room.whispers == []


async def test_what_was_said_before_it_is_still_read_by_the_next_prompt_of_the_thread(town, room):
    one = await room.say("!one")
    heard = [Quoted(key=one.key, author="Ann", at=datetime.now(UTC), text="one")]
    heard.append(Quoted(key="T/C/x", author="Bo", at=datetime.now(UTC), text="use 3.11"))
    private = await room.say("private: !two", quoted=tuple(heard))
    heard.append(Quoted(key=private.key, author="Ann", at=datetime.now(UTC), text="private: !two"))
    await room.say("!three", quoted=tuple(heard))
    kept = await town.value("SELECT quoted FROM delivery WHERE text = 'three'")
    assert [one["text"] for one in kept] == ["use 3.11"]


async def test_its_author_can_not_bring_it_to_where_others_read(town, room):
    await room.say("private: !two")
    ((short, *_),) = await town.rows(SESSIONS)
    await room.say(f"join {short}", spot=replace(SPOT, place="T/C/2"))
    on_forge = replace(SPOT, place="acme/shop#1", repository="https://forge.test/acme/shop")
    await room.say(f"join {short}", spot=on_forge)
    assert [place for _, place, *_ in await town.rows(SESSIONS)] == [
        await town.value("SELECT place FROM thread WHERE place LIKE 'T/D-ann%'")
    ]
    assert await town.value("SELECT count(*) FROM reply WHERE body LIKE '%two%'") == 0
    assert "private" in room.whispers[-1][1]
    direct = replace(SPOT, channel="T/D-ann", place="T/D-ann/", direct=True)
    await room.say(f"join {short}", spot=direct)
    await room.say("!three", spot=direct)
    prompts = "SELECT session.short FROM prompt JOIN session ON session.id = prompt.session_id"
    assert await town.rows(prompts) == [(short,), (short,)]


async def test_nobody_else_prompts_it_where_its_author_brought_it(town, room):
    await room.say("private: !two")
    ((_, place, *_),) = await town.rows(SESSIONS)
    await room.say("!three", by="bo", spot=replace(SPOT, place=place))
    assert await town.value("SELECT count(*) FROM prompt") == 1
    assert await town.value("SELECT count(*) FROM session") == 1


async def test_a_checkpoint_that_two_sessions_began_from_keeps_its_blob(town, room):
    await room.say("!one")
    ((shared, *_),) = await town.rows(SESSIONS)
    await checkpoint(town, shared, blob="shared-blob")
    await room.say("private: !two")
    await checkpoint(town, shared, blob="old-blob")
    session = await town.value("SELECT id FROM session WHERE short = :short", short=shared)
    async with town.database.begin() as tx:
        own = {"session": session, "repository": None, "kept": 0, "turns": 0}
        gone = (await tx.execute(SQL["forget"], own)).scalars().all()
    assert gone == ["old-blob"]


async def test_on_slack_the_answer_comes_by_direct_message(town, places):
    async with slack_rig.open_office(town) as office, office.serving(), Shift(town, places, "w"):
        asked = office.asks("!echo one")
        await office.answered(asked, "one", "Done")
        office.ann.says(
            office.general, f"{office.bot.user.mention} private: !echo t-w-o", thread=asked
        )
        direct = office.ann.direct(office.bot.user)

        def seen():
            return " ".join(one.text for one in direct.messages if one.author is office.bot.user)

        await office.slack.until(lambda: "t-w-o" in seen() and "Done" in seen())
        assert PRIVATE[:20] in seen()
        assert "t-w-o" not in " ".join(one.text for one in office.ours(asked))


async def test_on_discord_the_answer_comes_by_direct_message(town, places):
    async with discord_rig.open_office(town) as office, office.serving(), Shift(town, places, "w"):
        await office.ready()
        asked = office.asks("!echo one")
        await office.answered(asked, "one", "Done")
        office.ann.says(asked.thread, f"<@{office.app.id}> private: !echo t-w-o")
        await office.posted(office.ann.direct(office.app), "t-w-o", "Done")
        assert "t-w-o" not in " ".join(one.text for one in office.ours(asked.thread))


@pytest.mark.parametrize("named", ["", "@ona ", "<@{us}|ona> "])
async def test_on_slack_nobody_else_sees_a_private_command(town, places, named):
    async with slack_rig.open_office(town) as office, office.serving(), Shift(town, places, "w"):
        name = named.format(us=office.bot.user.id)
        office.ann.commands(office.general, "/ona", f"{name}private: !echo t-w-o")
        direct = office.ann.direct(office.bot.user)

        def seen():
            return " ".join(one.text for one in direct.messages if one.author is office.bot.user)

        await office.slack.until(lambda: "t-w-o" in seen() and "Done" in seen())
        assert not office.general.public()


@pytest.mark.parametrize(
    "given",
    [
        {"text": "private: !echo t-w-o"},
        {"text": "!echo t-w-o", "private": True},
        {"text": "@ona private: !echo t-w-o"},
        {"text": "<@{us}> private: !echo t-w-o"},
    ],
)
async def test_on_discord_nobody_else_sees_a_private_command(town, places, given):
    async with discord_rig.open_office(town) as office, office.serving(), Shift(town, places, "w"):
        await office.ready()
        words = given["text"].format(us=office.app.id)
        office.ann.slash(office.app, "ona", office.general, **{**given, "text": words})
        await office.posted(office.ann.direct(office.app), "t-w-o", "Done")
        assert not [one for one in office.bo.sees(office.general) if "t-w-o" in one.text]
        assert office.fake.ephemerals[-1].text == "Sent."


async def test_an_edit_that_is_private_is_run_again_where_its_author_alone_reads(town, room):
    message = await room.say("!one")
    await room.edit(message, "private: !two")
    ((_, _, (says,)),) = room.whispers
    await room.say(says, pressed=True)
    await room.say(says, pressed=True)
    asked = """
        SELECT thread.place, session.private_to IS NOT NULL FROM prompt
          JOIN thread ON thread.id = prompt.thread_id JOIN session ON session.id = prompt.session_id
         ORDER BY prompt.created_at
    """
    (_, shared), (place, private) = await town.rows(asked)
    assert (shared, private) == (False, True)
    assert place.startswith("T/D-ann/")
