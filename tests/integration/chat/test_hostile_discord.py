"""What people, bots and agents write in Discord to do harm: nobody is pinged, nothing is lost."""

import itertools
from base64 import b64encode
from collections.abc import AsyncIterator

import pytest

from adapters.chat.discord.commands import PROMPT_LENGTH_MAX, shown_prompt
from tests.fakes.discord import Person
from tests.fakes.discord.markdown import shown
from tests.integration.chat.discord_rig import Office, open_office
from tests.support.shift import Shift, until

LOUD = (
    "@everyone @here",
    "<@&{everyone}> <@{bo}> <@!{bo}>",
    "```\n@everyone\n```\n<@{bo}>",
    "[sign in](https://evil.example) **bold** ||hidden|| # head\n> quote",
    "\x1b]0;x\x07\u202e\x00@everyone",
)


@pytest.fixture
async def office(town) -> AsyncIterator[Office]:
    async with open_office(town) as office:
        yield office


def filled(office: Office, words: str) -> str:
    return words.replace("{bo}", str(office.bo.id)).replace("{everyone}", str(office.guild.id))


def alarmed(office: Office) -> list[str]:
    """Whom our posts notified."""
    ours = office.app.user
    return [one.person.name for one in office.fake.notifications if one.message.author is ours]


@pytest.mark.parametrize("loud", LOUD)
async def test_what_an_agent_writes_pings_nobody_and_means_nothing(office, places, loud):
    packed = b64encode(filled(office, loud).encode()).decode()
    async with office.serving(), Shift(office.town, places, "w"):
        await office.ready()
        asked = office.asks(f"!echo {packed} | base64 -d; echo; echo the end")
        answer = await office.answered(asked, "the end", "Done")
    assert set(alarmed(office)) <= {office.ann.user.name}
    read = shown(answer.text)
    assert len(read.blocks) == 1
    assert "the end" in read.blocks[0]


@pytest.mark.parametrize("loud", LOUD)
async def test_what_somebody_asks_pings_nobody_where_it_is_shown_again(office, places, loud):
    places.door.clear()
    async with office.serving(), Shift(office.town, places, "w"):
        await office.ready()
        office.ann.slash(office.app, "ona", office.general, text=f"!echo {filled(office, loud)}")
        top = await office.posted(office.general, "echo")
        await until(office.town, "SELECT 1 FROM prompt", bool)
        await office.fake.until(lambda: "👀" in top.reactions)
        places.door.set()
        sent = "SELECT 1 FROM reply WHERE kind = 'answer' AND state = 'sent'"
        await until(office.town, sent, bool)
    assert set(alarmed(office)) <= {office.ann.user.name}
    assert shown(top.text).text.startswith("Ann: !echo")


@pytest.mark.parametrize("text", ["_" * 5_000, "\\" * 5_000, "@everyone " * 500, "x" * 1_000_000])
def test_what_was_asked_fits_into_a_message_whatever_it_is(text):
    words = shown_prompt("a*n_n", text)
    assert len(words) <= PROMPT_LENGTH_MAX
    assert words.endswith("…")
    assert shown(words).text.startswith("a*n_n: ")


async def test_a_command_that_is_too_long_to_be_shown_is_heard_whole(office):
    words = "!echo " + "_" * 3_000
    async with office.serving():
        await office.ready()
        office.ann.slash(office.app, "ona", office.general, text=words)
        await until(office.town, "SELECT 1 FROM prompt", bool)
    assert await office.town.value("SELECT text FROM delivery") == words[1:]


async def test_a_command_of_a_megabyte_is_refused_and_the_next_is_heard(office):
    async with office.serving():
        await office.ready()
        office.ann.slash(office.app, "ona", office.general, text="x" * 1_000_000)
        office.asks("!echo one")
        await until(office.town, "SELECT 1 FROM delivery", lambda rows: len(rows) == 2)
        direct = office.ann.direct(office.app)
        await office.posted(direct, "1,000,000 bytes")
    assert await office.town.value("SELECT count(*) FROM prompt") == 1


@pytest.mark.parametrize("words", ["\u200b\u200b", "\x00", "@everyone", "x" * 1_900])
async def test_a_thread_is_begun_whatever_its_message_says(office, places, words):
    async with office.serving(), Shift(office.town, places, "w"):
        await office.ready()
        asked = office.ann.says(office.general, f"<@{office.app.id}> {words}")
        sent = "SELECT 1 FROM reply WHERE kind = 'answer' AND state = 'sent'"
        await until(office.town, sent, bool)
    assert asked.thread.name.strip()
    assert set(alarmed(office)) <= {office.ann.user.name}


async def test_a_name_can_not_be_more_than_a_name(office):
    eve = office.fake.person("e\x00v\x1b[31me\u202e\r\nroot", office.guild)
    async with office.serving():
        await office.ready()
        asked = office.asks("!echo one", by=eve)
        await until(office.town, "SELECT 1 FROM prompt", bool)
        if asked.thread is None:
            # Perhaps what we say of the prompt has opened it already.
            office.ann.opens_thread(asked, "talk")
        office.ann.says(asked.thread, f"<@{office.app.id}> status")
        status = await office.answered(asked, "Session s")
    assert len(status.text.split("\n")) == 3
    assert not any(character < " " for character in status.text.replace("\n", ""))


def answering(office: Office, robot: Person, *, webhook: bool) -> None:
    """Let another bot answer whatever we post, by asking us."""
    post, rounds = office.fake.messages.post, itertools.count()

    def posted(channel, author, draft):  # type: ignore[no-untyped-def]
        made = post(channel, author, draft)
        if author is office.app.user and next(rounds) < 100:
            robot.says(channel, f"<@{office.app.id}> !echo again", webhook=webhook)
        return made

    office.fake.messages.post = posted  # type: ignore[method-assign]


@pytest.mark.parametrize("webhook", [False, True])
async def test_two_bots_that_answer_each_other_stop_by_themselves(office, places, webhook):
    robot = office.fake.person("robot", office.guild, bot=True)
    answering(office, robot, webhook=webhook)
    async with office.serving(), Shift(office.town, places, "w"):
        await office.ready()
        first = office.asks("!echo one")
        answer = await office.answered(first, "one", "Done")
        robot.reacts(answer, "❌")
        await office.answered(office.asks("!echo two"), "two", "Done")
    assert await office.town.value("SELECT count(*) FROM prompt") == 2
