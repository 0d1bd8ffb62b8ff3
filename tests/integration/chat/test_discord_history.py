"""What others said in a thread of Discord reaches the agent with a prompt, as quoted material."""

from collections.abc import AsyncIterator

import pytest

from tests.fakes.discord import Bad
from tests.integration.chat.discord_rig import Office, open_office
from tests.support.shift import Shift, until

SHOW = '!cat "$ONA_CONTEXT"'


@pytest.fixture
async def office(town) -> AsyncIterator[Office]:
    async with open_office(town) as office:
        yield office


async def quoted(office: Office) -> list[list[tuple[str, str]]]:
    """Author and text of what came with each prompt."""
    rows = await office.town.rows(
        "SELECT quoted FROM delivery WHERE prompt_id IS NOT NULL ORDER BY event"
    )
    return [[(one["author"].lower(), one["text"]) for one in row] for (row,) in rows]


async def test_a_mention_in_a_thread_brings_what_was_said_before_and_the_agent_reads_it(
    office, places
):
    robot = office.fake.person("robot", office.guild, bot=True)
    root = robot.says(office.general, "Build 7 is red")
    thread = office.bo.opens_thread(root, "red")
    office.bo.says(thread, f"see {office.ann.mention}: *it* is the clock")
    async with office.serving(), Shift(office.town, places, "w"):
        await office.ready()
        office.ann.says(thread, f"<@{office.app.id}> {SHOW}")
        answer = await office.posted(thread, "Done", "Build 7 is red")
    assert "robot, 20" in answer.text
    assert await quoted(office) == [
        [("robot", "Build 7 is red"), ("bo", "see @Ann: *it* is the clock")]
    ]


async def test_what_came_with_one_prompt_does_not_come_again_with_the_next(office, places):
    async with office.serving(), Shift(office.town, places, "w"):
        await office.ready()
        asked = office.asks("!echo one")
        await office.answered(asked, "one", "Done")
        office.bo.says(asked.thread, "still red")
        office.ann.says(asked.thread, f"<@{office.app.id}> !echo two")
        await office.answered(asked, "two", "Done")
        office.ann.says(asked.thread, f"<@{office.app.id}> !echo three")
        await office.answered(asked, "three", "Done")
    assert await quoted(office) == [[], [("bo", "still red")], []]


async def test_a_reply_brings_the_message_that_it_replies_to(office):
    async with office.serving():
        await office.ready()
        office.bo.says(office.general, "something else")
        red = office.bo.says(office.general, "it is red")
        office.ann.says(office.general, f"<@{office.app.id}> !echo one", reply_to=red)
        await until(office.town, "SELECT 1 FROM delivery", bool)
    assert await quoted(office) == [[("bo", "it is red")]]


async def test_a_message_is_heard_without_it_when_it_can_not_be_read(office):
    async with office.serving():
        await office.ready()
        thread = office.bo.opens_thread(office.bo.says(office.general, "it is red"), "red")
        office.fake.behave("GET /channels/{channel}/messages", Bad(status=403))
        office.ann.says(thread, f"<@{office.app.id}> !echo one")
        await until(office.town, "SELECT 1 FROM delivery", bool)
    assert await quoted(office) == [[]]


async def test_a_file_beside_the_prompt_and_one_in_its_thread_lie_in_the_machine(office, places):
    show = f'{SHOW}; cat "${{ONA_CONTEXT%/*}}"/*.txt'
    async with office.serving(), Shift(office.town, places, "w"):
        await office.ready()
        root = office.bo.says(office.general, "look", files={"log.txt": b"line one\nline two\n"})
        thread = office.bo.opens_thread(root, "look")
        files = {"a.png": b"\x89PNG\r\n\x1a\n\x00", "b.zip": b"PK\x00"}
        office.ann.says(thread, f"<@{office.app.id}> {show}", files=files)
        answer = await office.posted(thread, "Done", "line two")
    for words in ("a.png: image/png", "b.zip: left out, neither", "log.txt: text/plain"):
        assert f"file {words}" in answer.text
