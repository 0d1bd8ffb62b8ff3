"""What people, bots and agents write in Slack to do harm: nobody is pinged, nothing is lost."""

from base64 import b64encode
from collections.abc import AsyncIterator

import pytest

from adapters.chat.slack.directory import NAMES_MAX
from adapters.chat.slack.port import TEXT_LENGTH_MAX, fitting
from tests.fakes.slack.eyes import Seen
from tests.fakes.slack.mrkdwn import typed
from tests.fakes.slack.people import Person
from tests.integration.chat.slack_rig import Office, open_office
from tests.support.shift import Shift, until

LOUD = (
    "<!channel> <!here> <!everyone> @channel @here",
    "<!subteam^S0000001> <#C0000001|general>",
    "&lt;!channel&gt; &amp;lt;!channel&amp;gt;",
    "```\n<!channel>\n```\n<!here>",
    "<https://evil.example|sign in> *bold* _thin_ ~gone~ `code` :boom:",
    "\x1b]0;x\x07\u202e\x00<!channel>",
)


@pytest.fixture
async def office(town) -> AsyncIterator[Office]:
    async with open_office(town) as office:
        yield office


def alarms(office: Office) -> list[tuple[str, str]]:
    """Whom our posts notified otherwise than by their thread, and why."""
    return [
        (person.name, one.why)
        for person in office.slack.people()
        for one in person.notifications
        if one.message.author is office.bot.user and one.why not in ("thread", "dm")
    ]


def seen(office: Office, thread: object) -> list[Seen]:
    """Our posts as Bo sees them."""
    posts = office.bo.sees(office.general, thread)  # type: ignore[arg-type]
    return [one for one in posts if one.message.author is office.bot.user]


def preformatted(answer: Seen) -> list[str]:
    """What stands in the blocks of a post."""
    elements = [one for block in answer.message.blocks or [] for one in block.get("elements", [])]
    blocks = [one for one in elements if one["type"] == "rich_text_preformatted"]
    return ["".join(piece["text"] for piece in one["elements"]) for one in blocks]


@pytest.mark.parametrize("loud", LOUD)
async def test_what_an_agent_writes_pings_nobody_and_means_nothing(office, places, loud):
    words = f"{loud}\n{office.bo.mention}"
    packed = b64encode(words.encode()).decode()
    async with office.serving(), Shift(office.town, places, "w"):
        asked = office.asks(f"!echo {packed} | base64 -d; echo; echo the end")
        await office.answered(asked, "the end", "Done")
    assert alarms(office) == []
    (answer,) = (one for one in seen(office, asked) if "the end" in one.text)
    shown = answer.shown
    assert (shown.users, shown.special, shown.links, shown.emoji) == ((), (), (), ())
    (block,) = preformatted(answer)
    assert office.bo.mention in block
    assert block.endswith("the end")


@pytest.mark.parametrize("loud", LOUD)
async def test_what_somebody_asks_pings_nobody_where_it_is_shown_again(office, loud):
    async with office.serving():
        asked = office.asks("!echo one")
        office.ann.commands(office.general, "/ona", f"!echo {loud} {office.bo.mention}")
        office.ann.says(
            office.general, f"{office.bot.user.mention} !echo {typed(loud)}", thread=asked
        )
        office.asks("status", thread=asked)
        await office.answered(asked, "Session s-")
        await office.slack.until(
            lambda: any(one.text.startswith("ann: !echo") for one in office.general.messages)
        )
        office.ann.opens_home()
        await office.slack.until(lambda: office.ann.home is not None)
    assert alarms(office) == []


async def test_a_bomb_of_mentions_is_heard_in_time_and_its_names_are_bounded(office):
    crowd = [office.slack.person(office.team, f"p{number}") for number in range(300)]
    bomb = " ".join(one.mention for one in crowd)
    async with office.serving():
        before = len(office.slack.web.requests)
        asked = office.asks(f"!echo {bomb}")
        await office.heard()
        looked_up = [name for name, _ in office.slack.web.requests[before:] if name == "users.info"]
        assert len(looked_up) <= NAMES_MAX + 1
        office.asks("status", thread=asked)
        await office.answered(asked, "Session s-")
        await office.heard()
        assert all(one.attempts == ["acked"] for one in office.slack.out.all)
    assert alarms(office) == []


async def test_a_message_of_a_megabyte_is_refused_in_words_and_the_next_is_heard(office):
    async with office.serving():
        office.asks("x" * 1_000_000)
        office.asks("!echo one")
        await office.heard()
    told = [one.text for one in office.general.messages if one.only_for is office.ann]
    assert len(told) == 1
    assert "1,000,000 bytes" in told[0]
    assert await office.town.rows("SELECT text FROM delivery WHERE prompt_id IS NOT NULL") == [
        ("echo one",)
    ]


async def test_a_command_that_is_too_long_to_be_shown_is_heard_whole(office):
    words = "!echo " + "&<>" * 3_000
    async with office.serving():
        office.ann.commands(office.general, "/ona", typed(words))
        await until(office.town, "SELECT 1 FROM prompt", bool)
        top = office.general.messages[0]
    assert top.text.endswith("…")
    assert len(top.text) <= TEXT_LENGTH_MAX
    assert await office.town.value("SELECT text FROM delivery") == words[1:]
    assert office.ann.failures == []


@pytest.mark.parametrize("length", range(6))
def test_a_text_is_not_cut_within_an_entity(length):
    cut = fitting("x" * (TEXT_LENGTH_MAX - 6 + length) + "&amp;" * 3)
    assert len(cut) <= TEXT_LENGTH_MAX
    assert cut.endswith("…")
    assert "&" not in cut.replace("&amp;", "")


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("a\x00n\x1b[31mn\u202e\r\nroot", "ann root"),
        ("<!channel>", "<!channel>"),
        ("\u200b\u200b", None),
        ("x" * 500, "x" * 80),
    ],
)
async def test_a_name_can_not_be_more_than_a_name(office, name, known):
    person = office.slack.person(office.team, name)
    office.general.members.append(person)
    async with office.serving():
        asked = office.asks("!echo one", by=person)
        office.asks("!echo two", by=person, thread=asked)
        office.asks("status", thread=asked)
        status = await office.answered(asked, "Session s-")
    lines = status.text.split("\n")
    assert len(lines) == 4
    assert alarms(office) == []
    names = "SELECT name FROM identity WHERE external_id = :id"
    assert await office.town.value(names, id=person.id) == (known or person.id)


def answering(office: Office, robot: Person) -> None:
    """Let another bot answer whatever we post, by asking us."""
    post = office.slack.messages.post

    def posted(message):  # type: ignore[no-untyped-def]
        made = post(message)
        if message.author is office.bot.user and len(office.general.messages) < 100:
            robot.says(office.general, f"{office.bot.user.mention} !echo again", thread=made.place)
        return made

    office.slack.messages.post = posted  # type: ignore[method-assign]


async def test_two_bots_that_answer_each_other_stop_by_themselves(office, places):
    robot = office.slack.person(office.team, "robot", is_bot=True, bot_id="B1")
    office.general.members.append(robot)
    answering(office, robot)
    office.start_reaction = "robot_face"
    async with office.serving(), Shift(office.town, places, "w"):
        asked = office.asks("!echo one")
        answer = await office.answered(asked, "one", "Done")
        robot.reacts(asked, "robot_face")
        robot.reacts(answer, "x")
        await office.heard()
        again = office.asks("!echo two")
        await office.answered(again, "two", "Done")
        await office.heard()
    assert await office.town.value("SELECT count(*) FROM prompt") == 2
    said = [one for one in office.general.messages if one.author is robot]
    assert 0 < len(said) < 10
