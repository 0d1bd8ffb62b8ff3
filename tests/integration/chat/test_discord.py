"""Talking to ona in Discord: the real discord.py against a server that speaks its protocol.

Everything is real but Discord itself and the machine, which is a guest program on this host.
"""

import asyncio
from collections.abc import AsyncIterator

import pytest

from adapters.chat.discord import listening, missed
from bot.errors import TryAgain
from tests.fakes.discord import Message
from tests.fakes.discord.world import Overwrite, Permission
from tests.integration.chat.discord_rig import Office, open_office
from tests.support.shift import Shift, until


@pytest.fixture
async def office(town) -> AsyncIterator[Office]:
    async with open_office(town) as office:
        yield office


async def texts(town) -> list[str]:
    return [text for (text,) in await town.rows("SELECT text FROM delivery ORDER BY event, id")]


async def test_a_mention_is_answered_in_a_thread_of_its_own(office, places):
    async with office.serving(), Shift(office.town, places, "w"):
        await office.ready()
        asked = office.asks("!echo hello from the machine")
        answer = await office.answered(asked, "hello from the machine", "Done")
    assert answer.channel is asked.thread
    assert office.ours(office.general) == []


async def test_a_follow_up_in_the_thread_needs_no_mention_until_somebody_else_writes(
    office, places
):
    async with office.serving(), Shift(office.town, places, "w"):
        await office.ready()
        asked = office.asks("!echo one")
        await office.answered(asked, "one")
        office.ann.says(asked.thread, "!echo two")
        await office.answered(asked, "two")
        office.bo.says(asked.thread, "nice")
        office.ann.says(asked.thread, "!echo three")
        office.ann.says(asked.thread, f"<@{office.app.id}> !echo four")
        await office.answered(asked, "four")
    assert await texts(office.town) == ["echo one", "echo two", "echo four"]


async def test_what_mentions_others_in_its_words_or_by_answering_them_is_not_for_us(office):
    team = office.fake.role(office.guild, "team", office.bo, mentionable=True)
    robot = office.fake.person("robot", office.guild, bot=True)
    thread = robot.opens_thread(office.general, "talk", says="is it red?")
    (question,) = office.ann.sees(thread)
    async with office.serving():
        await office.ready()
        office.ann.says(thread, f"<@{office.app.id}> !echo one")
        await until(office.town, "SELECT 1 FROM delivery", bool)
        office.ann.says(thread, "it is", reply_to=question)
        office.ann.says(thread, f"<@&{team.id}> look")
        office.ann.says(thread, "!echo two")
        await until(office.town, "SELECT 1 FROM delivery", lambda rows: len(rows) == 2)
    assert await texts(office.town) == ["echo one", "echo two"]


async def test_an_edit_of_what_runs_is_run_again_in_its_thread_from_a_direct_message(
    office, places
):
    words = "!echo " + "x" * 200
    async with office.serving(), Shift(office.town, places, "w"):
        await office.ready()
        asked = office.asks("!echo one")
        await office.answered(asked, "one", "Done")
        office.ann.edits(asked, f"<@{office.app.id}> {words}")
        offer = await office.posted(office.ann.direct(office.app), "started already")
        office.ann.clicks(offer, "Run again with the edit")
        await office.answered(asked, "x" * 200, "Done")


async def test_a_command_says_whether_the_bot_follows_whom_it_answered(office, places):
    async with office.serving(), Shift(office.town, places, "w"):
        await office.ready()
        told = office.ann.slash(office.app, "ona-channel", office.general, mention_only=True)
        await office.fake.until(lambda: told.original and "each time" in told.original.text)
        asked = office.asks("!echo one")
        await office.answered(asked, "one", "Done")
        office.ann.says(asked.thread, "!echo two")
        office.ann.says(asked.thread, f"<@{office.app.id}> !echo after it")
        await until(office.town, "SELECT 1 FROM delivery", lambda rows: len(rows) == 2)
        assert await texts(office.town) == ["echo one", "echo after it"]
        told = office.ann.slash(office.app, "ona-channel", office.general, mention_only=False)
        await office.fake.until(lambda: told.original and "without" in told.original.text)
    assert not await office.town.value("SELECT mention_only FROM channel")


async def test_a_message_that_waits_bears_eyes_and_a_failed_one_a_cross(office, places):
    places.door.clear()
    async with office.serving(), Shift(office.town, places, "w"):
        await office.ready()
        asked = office.asks("!exit 3")
        await office.fake.until(lambda: list(asked.reactions) == ["👀"])
        places.door.set()
        failed = await office.answered(asked, "Failed")
        await office.fake.until(lambda: list(asked.reactions) == ["❌"])
        assert office.ann.notified[-1] is failed
        office.bo.clicks(failed, "Retry")
        await office.fake.until(lambda: len(office.ours(asked.thread)) == 2)


async def test_a_running_turn_is_stopped_by_word_button_and_reaction(office, places):
    async with office.serving(), Shift(office.town, places, "w"):
        await office.ready()
        for stop in ("word", "button", "reaction"):
            asked = office.asks("!echo begun; sleep 60")
            live = await office.answered(asked, "begun")
            if stop == "word":
                office.ann.says(asked.thread, "stop")
            elif stop == "button":
                office.bo.clicks(live, "Stop")
            else:
                office.bo.reacts(live, "❌")
            await office.answered(asked, "Stopped")


async def test_an_edit_and_a_deletion_change_what_waits(office, places):
    places.door.clear()
    async with office.serving(), Shift(office.town, places, "w"):
        await office.ready()
        first = office.asks("!echo first")
        office.ann.opens_thread(first, "talk")
        second = office.bo.says(first.thread, f"<@{office.app.id}> !echo second")
        third = office.bo.says(first.thread, f"<@{office.app.id}> !echo third")
        await until(office.town, "SELECT 1 FROM delivery", lambda rows: len(rows) == 3)
        office.bo.edits(second, f"<@{office.app.id}> !echo changed")
        office.bo.deletes(third)
        cancelled = "SELECT 1 FROM prompt WHERE state = 'cancelled'"
        await until(office.town, cancelled, bool)
        places.door.set()
        await office.answered(first, "changed", "Done")
    said = " ".join(one.text for one in office.ours(first.thread))
    assert "second" not in said
    assert "third" not in said


QUEUED = "SELECT text FROM delivery WHERE prompt_id IS NOT NULL ORDER BY event"


async def asked_twice(office) -> list[Message]:
    """Two messages whose prompts wait, said to a process that has ended."""
    async with office.serving():
        await office.ready()
        asked = [office.asks(f"!echo {words}") for words in ("one", "two")]
        await until(office.town, "SELECT 1 FROM delivery", lambda rows: len(rows) == 2)
    office.fake.gateway.sessions.clear()
    return asked


async def test_what_was_said_to_a_process_before_can_be_edited_and_deleted(office):
    one, two = await asked_twice(office)
    async with office.serving():
        await office.ready()
        office.ann.edits(one, f"<@{office.app.id}> !echo changed")
        office.ann.deletes(two)
        await until(office.town, QUEUED, lambda rows: rows == [("echo changed",)])


async def test_what_is_purged_together_waits_no_more(office):
    one, two = await asked_twice(office)
    async with office.serving():
        await office.ready()
        office.ann.purges(one, two)
        await until(office.town, QUEUED, lambda rows: not rows)


async def test_what_was_edited_and_deleted_while_nobody_listened_changes_what_waits(office):
    one, two = await asked_twice(office)
    await office.town.rows("UPDATE delivery SET received_at = now() - interval '1 min' RETURNING 1")
    office.ann.edits(one, f"<@{office.app.id}> !echo changed")
    office.ann.deletes(two)
    async with office.serving():
        await until(office.town, QUEUED, lambda rows: rows == [("echo changed",)])


async def test_direct_messages_are_one_session_until_new(office, places):
    direct = office.ann.direct(office.app)
    async with office.serving(), Shift(office.town, places, "w"):
        await office.ready()
        for words in ("!echo one", "!echo two", "new: !echo three"):
            office.ann.says(direct, words)
            await office.posted(direct, words.rpartition(" ")[2], "Done")
    assert await office.town.value("SELECT count(*) FROM session") == 2


async def test_a_command_opens_a_thread_with_what_was_asked_on_top(office, places):
    async with office.serving(), Shift(office.town, places, "w"):
        await office.ready()
        office.ann.slash(office.app, "ona", office.general, text="!echo from a command")
        top = await office.posted(office.general, "from a command")
        await office.answered(top, "from a command", "Done")


async def test_a_message_is_sent_to_us_by_its_menu(office, places):
    async with office.serving(), Shift(office.town, places, "w"):
        await office.ready()
        message = office.bo.says(office.general, "!echo from a menu")
        office.ann.uses(office.app, "Send to ona", message)
        await office.answered(message, "from a menu", "Done")


async def test_what_became_of_a_message_sent_by_its_menu_is_said_in_ones_own_language(office):
    office.ann.user.locale = "de"
    async with office.serving():
        await office.ready()
        for asked, words in (("!true", "Gesendet."), ("size=huge !true", "keine Größe huge")):
            message = office.bo.says(office.general, asked)
            used = office.ann.uses(office.app, "Send to ona", message)
            await office.fake.until(
                lambda used=used, words=words: used.original and words in used.original.text
            )
    told = [one.text for one in office.ours(office.ann.direct(office.app))]
    assert not [words for words in told if "huge" in words]


async def test_a_reaction_sends_a_message_once_where_one_is_set(office):
    office.start_reaction = "🤖"
    robot = office.fake.person("robot", office.guild, bot=True)
    async with office.serving():
        await office.ready()
        message = office.bo.says(office.general, "!echo from a reaction")
        robot.reacts(message, "🤖")
        office.ann.reacts(message, "👍")
        office.ann.reacts(message, "🤖")
        await until(office.town, "SELECT 1 FROM prompt", bool)
        office.ann.unreacts(message, "🤖")
        office.ann.reacts(message, "🤖")
        office.ann.uses(office.app, "Send to ona", message)
        office.bo.reacts(message, "🤖")
        await until(office.town, "SELECT 1 FROM prompt", lambda rows: len(rows) == 2)
    assert await texts(office.town) == ["echo from a reaction"] * 2


async def test_what_is_sent_by_a_menu_has_its_files_its_thread_and_the_names_in_it(office, places):
    show = '!cat "$ONA_CONTEXT" "${ONA_CONTEXT%/*}"/*.txt'
    async with office.serving(), Shift(office.town, places, "w"):
        await office.ready()
        thread = office.bo.opens_thread(office.general, "red", says="it is the clock")
        files = {"log.txt": b"line one\n"}
        words = f"<@{office.app.id}> {show} # {office.ann.mention}"
        message = office.bo.says(thread, words, files=files)
        await until(office.town, "SELECT 1 FROM prompt", bool)
        office.ann.uses(office.app, "Send to ona", message)
        await until(office.town, "SELECT 1 FROM prompt", lambda rows: len(rows) == 2)
        office.ann.uses(office.app, "Send to ona", message)
        await office.fake.until(lambda: len(office.ours(thread)) >= 2)
    sent = (
        "SELECT delivery.text, quoted -> 0 ->> 'text', attachment.data FROM delivery"
        " JOIN attachment ON attachment.delivery_id = delivery.id"
        " WHERE delivery.message_key LIKE '%/sent/%'"
    )
    assert await office.town.rows(sent) == [
        (f"{show[1:]} # @Ann", "it is the clock", b"line one\n")
    ]


async def test_an_alert_is_sent_by_its_menu_with_what_it_shows(office):
    robot = office.fake.person("robot", office.guild, bot=True)
    alert = robot.says(office.general, "")
    alert.embeds = [{"type": "rich", "title": "!echo build 7", "description": "is red"}]
    async with office.serving():
        await office.ready()
        office.ann.uses(office.app, "Send to ona", alert)
        await until(office.town, "SELECT 1 FROM prompt", bool)
    assert await texts(office.town) == ["echo build 7\nis red"]


async def test_what_was_said_while_nobody_listened_is_heard_once_afterwards(office, places):
    async with office.serving(), Shift(office.town, places, "w"):
        await office.ready()
        before = office.asks("!echo before")
        await office.answered(before, "before", "Done")
    missed = office.asks("!echo missed")
    office.ann.says(before.thread, "!echo missed too")
    async with office.serving(), Shift(office.town, places, "w"):
        await office.answered(missed, "missed", "Done")
        await office.answered(before, "missed too", "Done")
    assert sorted(await texts(office.town)) == ["echo before", "echo missed", "echo missed too"]


async def test_what_was_missed_is_heard_however_much_was_said_before(office, monkeypatch):
    monkeypatch.setattr(missed, "CATCH_UP_MESSAGES", 3)
    for number in range(5):
        office.bo.says(office.general, f"talk {number}")
    office.asks("!echo missed")
    office.bo.says(office.general, "more talk")
    async with office.serving():
        await office.ready()
        await until(office.town, "SELECT 1 FROM delivery", bool)
    assert await texts(office.town) == ["echo missed"]


async def test_direct_messages_that_were_missed_are_heard_once_afterwards(office):
    direct = office.ann.direct(office.app)
    async with office.serving():
        await office.ready()
        office.ann.says(direct, "!echo before")
        await until(office.town, "SELECT 1 FROM delivery", bool)
    office.ann.says(direct, "!echo missed")
    async with office.serving():
        await office.ready()
        await until(office.town, "SELECT 1 FROM delivery", lambda rows: len(rows) == 2)
    assert await texts(office.town) == ["echo before", "echo missed"]


async def test_what_is_pressed_or_commanded_while_it_can_not_be_heard_is_heard_later(
    office, monkeypatch
):
    monkeypatch.setattr(listening, "PAUSES_SECONDS", (0.0, 0.0))
    heard, troubles, stop = [], [TryAgain("the database is away"), OSError()], asyncio.Event()

    async def hear(said):
        if troubles:
            raise troubles.pop()
        heard.append(said.text)

    running = asyncio.create_task(listening.DiscordListener(office.app.token).run(hear, stop))
    await office.ready()
    office.ann.slash(office.app, "ona", office.general, text="!echo one")
    await office.fake.until(lambda: heard)
    stop.set()
    await running
    assert heard == ["!echo one"]


async def test_what_people_told_each_other_before_is_not_for_us_when_it_is_read_back(office):
    thread = office.bo.opens_thread(office.general, "talk", says="is it red?")
    office.ann.says(thread, "!echo stray")
    async with office.serving():
        await office.ready()
        office.ann.says(thread, f"<@{office.app.id}> !echo one")
        await until(office.town, "SELECT 1 FROM delivery", bool)
    office.ann.says(thread, f"<@{office.app.id}> !echo missed")
    async with office.serving():
        await until(office.town, "SELECT 1 FROM delivery", lambda rows: len(rows) == 2)
        office.ann.says(thread, "!echo two")
        await until(office.town, "SELECT 1 FROM delivery", lambda rows: len(rows) == 3)
    assert await texts(office.town) == ["echo one", "echo missed", "echo two"]


async def test_one_of_two_processes_listens_and_the_other_takes_over(office, places):
    async with office.serving() as first, office.serving(), Shift(office.town, places, "w"):
        await office.ready()
        assert len(office.fake.gateway.sessions) == 1
        await office.answered(office.asks("!echo one"), "one", "Done")
        first.set()
        await office.answered(office.asks("!echo two"), "two", "Done")
    assert sorted(await texts(office.town)) == ["echo one", "echo two"]


async def test_which_of_several_projects_is_chosen_by_a_button(office, places):
    await office.town.rows(
        "INSERT INTO project (id, name, repository_url, agent)"
        " VALUES (gen_random_uuid(), 'web', '/srv/web', 'shell') RETURNING id"
    )
    async with office.serving(), Shift(office.town, places, "w"):
        await office.ready()
        asked = office.asks("!echo one")
        question = await office.answered(asked, "Which project")
        office.bo.clicks(question, "demo")
        await office.answered(asked, "one", "Done")
        await office.fake.until(lambda: question.text == "Project demo.")


async def test_a_bot_is_never_answered(office):
    robot = office.fake.person("robot", office.guild, bot=True)
    async with office.serving():
        await office.ready()
        office.asks("!env", by=robot)
        office.asks("!echo one")
        await until(office.town, "SELECT 1 FROM delivery", bool)
    assert await texts(office.town) == ["echo one"]


async def test_a_wrong_token_leaves_the_surface_off_and_everything_else_works(office, places):
    async with office.serving(token="wrong"), Shift(office.town, places, "w"):
        await office.town.say("!echo two")
        done = "SELECT state FROM turn"
        await until(office.town, done, lambda rows: rows == [("succeeded",)])


async def another_project(town) -> None:
    await town.rows(
        "INSERT INTO project (id, name, repository_url, agent)"
        " VALUES (gen_random_uuid(), 'web', '/srv/web', 'shell') RETURNING id"
    )


async def test_a_command_offers_the_projects_and_takes_the_one_that_was_picked(office, places):
    await another_project(office.town)
    async with office.serving(), Shift(office.town, places, "w"):
        await office.ready()
        offered = {}
        for typed in ("", "EB", "xyz"):
            asked = office.ann.types(office.app, "ona", office.general, "project", typed)
            await office.fake.until(lambda asked=asked: asked.choices is not None)
            offered[typed] = [choice["value"] for choice in asked.choices]
        assert offered == {"": ["demo", "web"], "EB": ["web"], "xyz": []}
        office.ann.slash(office.app, "ona", office.general, text="!echo picked", project="web")
        top = await office.posted(office.general, "picked")
        await office.answered(top, "picked", "Done")
    named = "SELECT project.name FROM session JOIN project ON project.id = session.project_id"
    assert await office.town.rows(named) == [("web",)]


async def test_a_channel_that_everybody_can_read_is_told_so_once(office, places):
    async with office.serving(), Shift(office.town, places, "w"):
        await office.ready()
        for words in ("one", "two"):
            asked = office.asks(f"!echo {words}")
            await office.answered(asked, words, "Done")
            if words == "one":
                await office.answered(asked, "Everybody on this server", "demo")
    said = "SELECT count(*) FROM reply WHERE body LIKE 'Everybody on this server%'"
    assert await office.town.value(said) == 1


async def test_a_channel_of_fewer_people_and_direct_messages_are_not_told_so(office, places):
    closed = office.fake.channel(office.guild, "closed")
    everyone = office.guild.everyone
    closed.overwrites[everyone.id] = Overwrite(deny=int(Permission.VIEW_CHANNEL))
    for who in (office.ann.user, office.app.user):
        closed.overwrites[who.id] = Overwrite(allow=int(Permission.VIEW_CHANNEL))
    direct = office.ann.direct(office.app)
    async with office.serving(), Shift(office.town, places, "w"):
        await office.ready()
        asked = office.ann.says(closed, f"<@{office.app.id}> !echo one")
        await office.answered(asked, "one", "Done")
        office.ann.says(direct, "!echo two")
        await office.posted(direct, "two", "Done")
    assert await office.town.value("SELECT count(*) FROM reply WHERE key = 'public'") == 0
