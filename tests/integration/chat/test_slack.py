"""Talking to ona in Slack: the real SDKs against a server that speaks Slack's protocol.

Everything is real but Slack itself and the machine, which is a guest program on this host.
"""

import asyncio
from collections.abc import AsyncIterator

import pytest

from bot.surfaces import Gate, open_surfaces
from tests.fakes.slack import Bad, Mishap
from tests.integration.chat.slack_rig import Office, open_office
from tests.support.shift import Shift, until


@pytest.fixture
async def office(town) -> AsyncIterator[Office]:
    async with open_office(town) as office:
        yield office


async def texts(town) -> list[str]:
    return [text for (text,) in await town.rows("SELECT text FROM delivery ORDER BY event, id")]


async def test_a_mention_is_answered_in_its_thread(office, places):
    async with office.serving(), Shift(office.town, places, "w"):
        asked = office.asks("!echo hello from the machine")
        answer = await office.answered(asked, "hello from the machine", "Done")
    assert answer.thread_ts == asked.ts
    assert [one for one in office.general.messages if one.thread_ts is None] == [asked]


async def test_a_follow_up_needs_no_mention_until_somebody_else_writes(office, places):
    async with office.serving(), Shift(office.town, places, "w"):
        asked = office.asks("!echo one")
        await office.answered(asked, "one")
        office.ann.says(office.general, "!echo two", thread=asked)
        await office.answered(asked, "two")
        office.bo.says(office.general, "nice", thread=asked)
        office.ann.says(office.general, "!echo three", thread=asked)
        office.ann.says(office.general, f"{office.bot.user.mention} !echo four", thread=asked)
        await office.answered(asked, "four")
        await office.heard()
    assert await texts(office.town) == ["echo one", "echo two", "echo four"]


async def test_a_message_that_waits_bears_eyes_until_its_turn_begins(office, places):
    places.door.clear()
    async with office.serving(), Shift(office.town, places, "w"):
        asked = office.asks("!echo one")
        await office.slack.until(lambda: "eyes" in asked.reactions)
        places.door.set()
        await office.answered(asked, "one", "Done")
        await office.slack.until(lambda: not asked.reactions)


async def test_a_failed_turn_leaves_a_cross_tells_its_asker_and_can_be_tried_again(office, places):
    async with office.serving(), Shift(office.town, places, "w"):
        asked = office.asks("!sleep 0.1; exit 3")
        failed = await office.answered(asked, "Failed", "exit status 3")
        await office.slack.until(lambda: list(asked.reactions) == ["x"])
        assert office.ann.notifications[-1].message is failed
        office.bo.clicks(failed, "Retry")
        await office.slack.until(lambda: len(office.ours(asked)) == 2)


async def test_a_running_turn_is_stopped_by_word_button_and_reaction(office, places):
    async with office.serving(), Shift(office.town, places, "w"):
        for stop in ("word", "button", "reaction"):
            asked = office.asks("!echo begun; sleep 60")
            live = await office.answered(asked, "begun")
            if stop == "word":
                office.ann.says(office.general, "stop", thread=asked)
            elif stop == "button":
                office.bo.clicks(live, "Stop")
            else:
                office.bo.reacts(live, "x")
            await office.answered(asked, "Stopped")


async def test_an_edit_and_a_deletion_change_what_waits(office, places):
    places.door.clear()
    async with office.serving(), Shift(office.town, places, "w"):
        asked = office.asks("!echo first")
        second = office.bo.says(
            office.general, f"{office.bot.user.mention} !echo second", thread=asked
        )
        third = office.bo.says(
            office.general, f"{office.bot.user.mention} !echo third", thread=asked
        )
        await office.heard()
        office.bo.edits(second, f"{office.bot.user.mention} !echo changed")
        office.bo.deletes(third)
        await office.heard()
        edited = await office.town.rows("SELECT edited_at FROM delivery ORDER BY received_at")
        assert [at is not None for (at,) in edited] == [False, True, False]
        places.door.set()
        await office.answered(asked, "changed", "Done")
    said = " ".join(one.text for one in office.ours(asked))
    assert "second" not in said
    assert "third" not in said


async def test_what_was_asked_and_replied_to_is_taken_back_by_its_deletion(office, places):
    places.door.clear()
    async with office.serving(), Shift(office.town, places, "w"):
        asked = office.asks("!echo first")
        # Where there are replies, Slack tells a deletion as an edit.
        office.bo.says(office.general, "and then?", thread=asked)
        await office.heard()
        office.ann.deletes(asked)
        cancelled = "SELECT state FROM prompt"
        await until(office.town, cancelled, lambda rows: rows == [("cancelled",)])


async def test_what_was_deleted_before_it_came_is_not_asked(office, places):
    late = asyncio.Event()
    async with office.serving(), Shift(office.town, places, "w"):
        for event in ("message", "app_mention"):
            office.slack.mishap(event, Mishap(delayed=late))
        asked = office.asks("!echo first")
        office.ann.deletes(asked)
        noted = "SELECT count(*) FROM delivery"
        await until(office.town, noted, lambda rows: rows == [(1,)])
        late.set()
        await office.heard()
    assert await office.town.rows("SELECT count(*) FROM prompt") == [(0,)]


async def test_a_direct_message_is_one_session_until_new(office, places):
    direct = office.ann.direct(office.bot.user)
    async with office.serving(), Shift(office.town, places, "w"):
        for words in ("!echo one", "!echo two", "new: !echo three"):
            office.ann.says(direct, words)
            wanted = words.rpartition(" ")[2]
            await office.slack.until(
                lambda wanted=wanted: any(
                    wanted in one.text and "Done" in one.text for one in direct.messages
                )
            )
    assert all(one.thread_ts is None for one in direct.messages)
    assert await office.town.value("SELECT count(*) FROM session") == 2


async def test_a_slash_command_opens_a_thread_with_what_was_asked_on_top(office, places):
    async with office.serving(), Shift(office.town, places, "w"):
        office.ann.commands(office.general, "/ona", "!echo from a command")
        await office.slack.until(lambda: office.general.messages)
        top = office.general.messages[0]
        await office.answered(top, "from a command", "Done")
    assert top.text == "ann: !echo from a command"


async def test_a_slash_command_in_a_direct_message_goes_on_in_that(office, places):
    direct = office.ann.direct(office.bot.user)
    async with office.serving(), Shift(office.town, places, "w"):
        office.ann.commands(direct, "/ona", "!echo one")
        done = "SELECT count(*) FROM turn WHERE state = 'succeeded'"
        await until(office.town, done, lambda rows: rows == [(1,)])
        office.ann.says(direct, "!echo two")
        await until(office.town, done, lambda rows: rows == [(2,)])
    assert await office.town.value("SELECT count(*) FROM session") == 1
    assert all(one.thread_ts is None for one in direct.messages)


async def test_which_of_several_projects_is_chosen_by_a_button_once(office, places):
    await office.town.rows(
        "INSERT INTO project (id, name, repository_url, agent)"
        " VALUES (gen_random_uuid(), 'web', '/srv/web', 'shell') RETURNING id"
    )
    async with office.serving(), Shift(office.town, places, "w"):
        asked = office.asks("!echo one")
        question = await office.answered(asked, "Which project")
        office.bo.clicks(question, "demo")
        await office.answered(asked, "one", "Done")
        await office.slack.until(lambda: question.text == "Project demo.")
        office.bo.clicks(question, "Always in this channel")
        await office.slack.until(lambda: "from now on" in question.text)
        await office.answered(office.asks("!echo two"), "two", "Done")
    assert await texts(office.town) == ["", "echo one", "echo two"]


async def test_a_reaction_sends_a_message_once_where_one_is_set_and_never_a_guests(office, places):
    office.start_reaction = "robot_face"
    guest = office.slack.person(office.team, "gil", is_restricted=True)
    office.general.members.append(guest)
    async with office.serving(), Shift(office.town, places, "w"):
        root = office.bo.says(office.general, "look")
        reply = office.bo.says(office.general, "!echo from a reaction", thread=root)
        guest.reacts(reply, "robot_face")
        office.ann.reacts(reply, "thumbsup")
        await office.heard()
        assert await texts(office.town) == []
        office.ann.reacts(reply, "robot_face")
        answer = await office.answered(root, "from a reaction", "Done")
        office.ann.unreacts(reply, "robot_face")
        office.ann.reacts(reply, "robot_face")
        office.ann.reacts(answer, "robot_face")
        office.ann.shortcuts(reply, "ona_send")
        await office.heard()
    assert await texts(office.town) == ["echo from a reaction"]
    asker = "SELECT person.name FROM prompt JOIN person ON person.id = prompt.author_id"
    assert await office.town.rows(asker) == [("ann",)]
    assert not any(one.only_for for one in office.general.messages)


async def test_no_reaction_sends_a_message_where_none_is_set(office):
    async with office.serving():
        office.ann.reacts(office.bo.says(office.general, "!echo one"), "robot_face")
        await office.heard()
    assert await texts(office.town) == []


async def test_guests_strangers_and_shared_channels_get_one_refusal_and_nothing_else(office):
    guest = office.slack.person(office.team, "gil", is_restricted=True)
    other = office.slack.workspace("globex")
    stranger = office.slack.person(other, "eve")
    shared = office.slack.channel(
        office.team, "shared", office.ann, office.bot.user, stranger, shared_with=(other,)
    )
    office.general.members.append(guest)
    mention = office.bot.user.mention
    async with office.serving():
        for person, channel in ((guest, office.general), (stranger, shared), (office.ann, shared)):
            message = person.says(channel, f"{mention} !env")
            await office.heard()
            # It is told of by two events, and both again where it was slow to take them.
            mine = (one for one in channel.messages if one.author is office.bot.user)
            seen = [one for one in mine if one.place == message.ts]
            assert [one.only_for for one in seen] == [person]
            assert "Only members" in seen[0].text
            assert message.reactions == {}
    assert await texts(office.town) == []


async def test_answered_once_deliveries_that_come_twice_late_and_out_of_order(office, places):
    async with office.serving(), Shift(office.town, places, "w"):
        office.slack.mishap("message", Mishap(duplicate=True))
        office.slack.mishap("app_mention", Mishap(after_next=True), Mishap(deaf=True))
        asked = office.asks("!echo one")
        again = office.asks("!echo two")
        await office.answered(asked, "one", "Done")
        await office.answered(again, "two", "Done")
        office.slack.out.retry_now()
        await office.heard()
    assert sorted(await texts(office.town)) == ["echo one", "echo two"]
    assert len(office.answers(asked)) == len(office.answers(again)) == 1


@pytest.mark.parametrize(
    "bad",
    [
        Bad(throttle_seconds=1),
        Bad(status=503),
        Bad(drop=True),
        Bad(drop_answer=True),
        Bad(answer_status=500),
    ],
)
async def test_answered_once_whatever_happens_to_the_post(office, places, bad):
    async with office.serving(), Shift(office.town, places, "w"):
        office.slack.behave("chat.postMessage", bad)
        asked = office.asks("!echo one")
        await office.sent()
    assert len(office.answers(asked)) == 1


async def test_the_connection_may_break_at_any_time(office, places):
    async with office.serving(), Shift(office.town, places, "w"):
        office.slack.out.sockets.drop_all()
        asked = office.asks("!echo one")
        await office.slack.until(lambda: not office.slack.out.sockets.open)
        await office.slack.until(lambda: office.slack.out.sockets.open)
        office.slack.out.retry_now()
        await office.answered(asked, "one", "Done")
        await office.slack.out.sockets.refresh()
        again = office.asks("!echo two")
        await office.answered(again, "two", "Done")


async def test_two_processes_listen_and_each_message_is_taken_once(office, places):
    async with office.serving(), office.serving(), Shift(office.town, places, "w"):
        asked = [office.asks(f"!echo n{number}") for number in range(6)]
        for number, message in enumerate(asked):
            await office.answered(message, f"n{number}", "Done")
    assert [len(office.answers(message)) for message in asked] == [1] * 6


async def test_a_wrong_token_leaves_the_surface_off_and_everything_else_works(office, places):
    token, office.bot.token = office.bot.token, "xoxb-wrong"
    settings, office.bot.token = office.settings, token
    stop = asyncio.Event()
    opening = open_surfaces(settings, office.town.database, owner="serve")
    async with opening as surfaces, Shift(office.town, places, "w"):
        listening = asyncio.create_task(surfaces.listen(Gate(lambda _: pytest.fail("heard")), stop))
        office.asks("!echo one")
        accepted = await office.town.say("!echo two")
        rows = "SELECT state FROM turn"
        assert accepted.verdict == "prompt"
        await until(office.town, rows, lambda found: found == [("succeeded",)])
        assert not listening.done()
        stop.set()
        await listening
