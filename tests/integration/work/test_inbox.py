"""Invariant 1, the first half: a message becomes at most one prompt. And what is refused."""

import asyncio

import pytest

from bot.conversation.inbox import KEY_LENGTH_MAX, Inbox
from bot.conversation.message import IncomingMessage
from bot.errors import NotFound, TryAgain
from bot.store.database import Database


async def prompts(town):
    return await town.value("SELECT count(*) FROM prompt")


async def texts(town):
    return await town.rows(
        "SELECT prompt.position, string_agg(text, E'\\n' ORDER BY event) FROM prompt"
        " JOIN delivery ON delivery.prompt_id = prompt.id GROUP BY prompt.position ORDER BY 1"
    )


async def test_answered_once_a_message_delivered_twice_is_one_prompt(town):
    first = await town.say("!one", key="k")
    again = await town.say("!one", key="k")
    assert again.duplicate
    assert not first.duplicate
    assert (again.prompt_id, again.session, again.text) == (
        first.prompt_id,
        first.session,
        first.text,
    )
    assert await prompts(town) == 1


async def test_answered_once_twenty_deliveries_at_the_same_time_are_one_prompt(town):
    answers = await asyncio.gather(*(town.say("!one", key="k") for _ in range(20)))
    assert len({answer.prompt_id for answer in answers}) == 1
    assert [answer.duplicate for answer in answers].count(False) == 1
    assert await prompts(town) == 1


async def test_answered_once_the_same_message_under_another_delivery_id_is_known(town):
    message = IncomingMessage(
        surface="terminal",
        delivery_key="attempt-1",
        message_key="message",
        place="t",
        person_id=town.people["Ann"],
        text="!one",
    )
    await town.inbox.accept(message)
    again = IncomingMessage(**{**vars(message), "delivery_key": "attempt-2"})
    assert (await town.inbox.accept(again)).duplicate
    assert await prompts(town) == 1


async def test_answered_once_the_same_delivery_of_an_altered_message_is_known(town):
    message = IncomingMessage(
        surface="terminal",
        delivery_key="delivery",
        message_key="message-1",
        place="t",
        person_id=town.people["Ann"],
        text="!one",
    )
    await town.inbox.accept(message)
    again = IncomingMessage(**{**vars(message), "message_key": "message-2", "text": "!two"})
    assert (await town.inbox.accept(again)).duplicate
    assert await prompts(town) == 1


async def test_first_messages_of_a_thread_at_the_same_time_are_of_one_session(town):
    said = [town.say(f"!n{number}", place="new") for number in range(8)]
    answers = await asyncio.gather(*said)
    assert len({answer.session for answer in answers}) == 1
    assert await town.value("SELECT count(*) FROM session") == 1


async def test_long_keys_that_begin_alike_are_different_messages(town):
    await town.say("!one", key="k" * KEY_LENGTH_MAX + "1")
    await town.say("!two", key="k" * KEY_LENGTH_MAX + "2")
    assert await prompts(town) == 2
    assert (await town.say("!two", key="k" * KEY_LENGTH_MAX + "2")).duplicate


async def test_a_thread_keeps_its_session_and_new_opens_another(town):
    first = await town.say("!one")
    second = await town.say("!two")
    third = await town.say("new: !three")
    elsewhere = await town.say("!four", place="other")
    assert first.session == second.session
    assert len({first.session, third.session, elsewhere.session}) == 3


async def test_a_person_s_words_join_their_prompt_that_still_waits(town):
    first = await town.say("do this")
    second = await town.say("and that")
    assert second.verdict == "joined"
    assert second.prompt_id == first.prompt_id
    other = await town.say("me too", by="Bo")
    assert other.prompt_id != first.prompt_id
    third = await town.say("also", by="Ann")
    assert third.prompt_id == first.prompt_id
    texts = await town.rows(
        "SELECT text FROM delivery WHERE prompt_id = :p ORDER BY event", p=first.prompt_id
    )
    assert [row[0] for row in texts] == ["do this", "and that", "also"]


async def test_the_name_by_which_people_address_the_bot_is_a_setting(town):
    town.inbox = Inbox(town.database, prompt_bytes_max=100_000, mention="robo")
    await town.say("@robo !one")
    await town.say("@ona !two")
    said = await town.rows("SELECT text FROM delivery ORDER BY event")
    assert [row[0] for row in said] == ["one", "@ona !two"]


async def test_what_comes_after_a_command_stays_after_it(town):
    await town.say("busy", by="Bo")
    for words in ("first", "!make", "second"):
        await town.say(words)
    assert [row[1] for row in await texts(town)] == ["busy", "first", "make", "second"]


async def test_words_that_have_no_room_in_a_prompt_begin_another(town):
    for letter in "abc":
        await town.say(letter * 50_000)
    assert [len(row[1]) for row in await texts(town)] == [100_001, 50_000]


async def test_command_lines_never_join(town):
    await town.say("!one")
    assert (await town.say("!two")).verdict == "prompt"
    assert await prompts(town) == 2


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("   ", "empty"),
        ("x" * 200_000, "200,000 bytes and at most 100,000"),
        ("agent=nobody do it", "no agent nobody"),
        ("project=nothing do it", "no project nothing"),
        ("queue", "no session in this thread"),
    ],
)
async def test_what_cannot_be_accepted_says_why_and_queues_nothing(town, words, named):
    answer = await town.say(words)
    assert answer.verdict == "refused"
    assert named in answer.text
    assert await prompts(town) == 0
    assert await town.value("SELECT count(*) FROM session") == 0


async def test_an_unknown_session_is_refused_by_name(town):
    answer = await town.say("!one", session="s-zzzzz")
    assert answer.verdict == "refused"
    assert "s-zzzzz" in answer.text


async def test_a_refusal_can_be_raised_again_as_the_error_that_it_was(town):
    for _ in range(2):
        answer = await town.say("project=nothing do it", key="k")
        assert answer.refusal is not None
        error = answer.refusal.error()
        assert type(error) is NotFound
        assert (error.happened, error.do) == ("there is no project nothing", "known are: demo")


async def test_a_nul_in_a_message_is_replaced_and_not_an_error(town):
    await town.say("!printf 'a\x00b'")
    assert await town.value("SELECT text FROM delivery") == "printf 'a\ufffdb'"


async def test_a_database_that_is_away_is_said_and_nothing_is_accepted(town, database_url):
    gone = Database(database_url.replace("host=", "host=/nowhere"), connections_max=1)
    town.inbox._database = gone
    with pytest.raises(TryAgain, match="try again"):
        await town.say("!one")
    await gone.close()


async def test_a_size_asked_for_later_is_the_session_s_from_then_on(town):
    first = await town.say("!one")
    size = "SELECT size FROM session WHERE id = :id"
    assert await town.value(size, id=first.session_id) is None
    again = await town.say("size=medium !two")
    assert again.session_id == first.session_id
    assert await town.value(size, id=first.session_id) == "medium"


async def test_a_size_that_there_is_not_is_refused_whether_the_session_is_new_or_not(town):
    for words in ("size=vast !one", "size=vast !two"):
        refused = await town.say(words)
        assert "There is no size vast" in refused.text
        assert "small, medium" in refused.text
        if words.endswith("one"):
            await town.say("!one")
    assert await prompts(town) == 1
    assert await town.value("SELECT size FROM session") is None


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ("project=nope ls", "project="),
        ("repo=acme/nope ls", "repo="),
        ("branch=nope ls", "branch"),
        ("model=nope ls", "model"),
        ("agent=nope ls", "There is no agent nope"),
    ],
)
async def test_an_option_that_does_not_fit_the_session_is_refused_and_not_ignored(
    town, words, kept
):
    first = await town.say("!one")
    refused = await town.say(words)
    assert refused.verdict == "refused"
    assert kept in refused.text
    if "agent" not in words:
        assert f"Session {first.session} was opened with" in refused.text
        assert f"`new: {words.removesuffix(' ls')} …` opens another session" in refused.text
    assert await prompts(town) == 1


async def test_an_option_that_says_what_the_session_has_anyway_is_taken(town):
    first = await town.say("!one")
    name = await town.value("SELECT name FROM project")
    again = await town.say(f"project={name} agent=shell !two")
    assert again.session_id == first.session_id
    assert again.verdict == "prompt"
