"""What others said in a thread of Slack reaches the agent with a prompt, as quoted material."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from adapters.chat import history as limits
from adapters.chat.slack import history
from tests.fakes.slack import Bad
from tests.integration.chat.slack_rig import Office, open_office
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
    return [[(one["author"], one["text"]) for one in row] for (row,) in rows]


async def test_a_mention_in_a_thread_brings_what_was_said_before_and_the_agent_reads_it(
    office, places
):
    robot = office.slack.person(office.team, "robot", is_bot=True)
    office.general.members.append(robot)
    root = robot.says(office.general, "Build 7 is red &amp; &lt;late&gt;")
    office.bo.says(office.general, f"see {office.ann.mention}: it is the clock", thread=root)
    async with office.serving(), Shift(office.town, places, "w"):
        office.ann.says(office.general, f"{office.bot.user.mention} {SHOW}", thread=root)
        answer = await office.answered(root, "Done")
        assert "robot, 20" in answer.text
        assert "UTC:\n&gt;     Build 7 is red &amp; &lt;late&gt;" in answer.text
    assert await quoted(office) == [
        [("robot", "Build 7 is red & <late>"), ("bo", "see @ann: it is the clock")]
    ]


async def test_what_came_with_one_prompt_does_not_come_again_with_the_next(office, places):
    root = office.bo.says(office.general, "it is red")
    mention = office.bot.user.mention
    async with office.serving(), Shift(office.town, places, "w"):
        office.ann.says(office.general, f"{mention} !echo one", thread=root)
        await office.answered(root, "one", "Done")
        office.bo.says(office.general, "still red", thread=root)
        office.ann.says(office.general, f"{mention} status", thread=root)
        await office.answered(root, "Session s-")
        office.ann.says(office.general, f"{mention} !echo two", thread=root)
        await office.answered(root, "two", "Done")
        office.ann.says(office.general, f"{mention} !echo three", thread=root)
        await office.answered(root, "three", "Done")
    status = ("ann", "@ona status")
    assert await quoted(office) == [[("bo", "it is red")], [("bo", "still red"), status], []]


async def test_a_thread_is_read_once_for_a_mention_that_is_told_twice(office):
    root = office.bo.says(office.general, "it is red")
    async with office.serving():
        office.ann.says(office.general, f"{office.bot.user.mention} !echo one", thread=root)
        await office.acknowledged()
        told = [one.name for one in office.slack.out.all if "echo" in str(one.payload)]
        assert sorted(told) == ["app_mention", "message"]
        assert office.slack.limits.used["conversations.replies"] == 1
    assert await quoted(office) == [[("bo", "it is red")]]


async def test_a_retry_brings_it_again(office, places):
    root = office.bo.says(office.general, "it is red")
    async with office.serving(), Shift(office.town, places, "w"):
        office.ann.says(office.general, f"{office.bot.user.mention} !exit 3", thread=root)
        failed = await office.answered(root, "Failed")
        office.bo.clicks(failed, "Retry")
        await until(office.town, "SELECT 1 FROM turn", lambda rows: len(rows) == 2)
    assert await quoted(office) == [[("bo", "it is red")]] * 2


async def test_a_prompt_whose_project_is_chosen_later_keeps_it(office, places):
    await office.town.rows(
        "INSERT INTO project (id, name, repository_url, agent)"
        " VALUES (gen_random_uuid(), 'web', '/srv/web', 'shell') RETURNING id"
    )
    root = office.bo.says(office.general, "it is red")
    async with office.serving(), Shift(office.town, places, "w"):
        office.ann.says(office.general, f"{office.bot.user.mention} {SHOW}", thread=root)
        question = await office.answered(root, "Which project")
        office.ann.clicks(question, "web")
        await office.answered(root, "it is red", "Done")


async def test_nothing_is_read_where_nothing_can_have_been_said_before(office):
    direct = office.ann.direct(office.bot.user)
    async with office.serving():
        office.asks("!echo one")
        root = office.ann.says(direct, "!echo two")
        office.ann.says(direct, "!echo three", thread=root)
        await office.heard()
    assert not [name for name, _ in office.slack.web.requests if name.endswith(".replies")]


@pytest.mark.parametrize(
    "bad", [Bad(throttle_seconds=1), Bad(status=503), Bad(refused="missing_scope")]
)
async def test_a_message_is_heard_without_it_when_it_can_not_be_read(office, bad):
    async with office.serving():
        root = office.bo.says(office.general, "it is red")
        office.slack.behave("conversations.replies", bad, bad)
        office.ann.says(office.general, f"{office.bot.user.mention} !echo one", thread=root)
        await office.heard()
    assert await quoted(office) == [[]]


async def test_a_message_is_heard_in_time_when_the_thread_is_slow_to_come(office, monkeypatch):
    monkeypatch.setattr(history, "HISTORY_SECONDS", 0.2)
    never = Bad(wait=asyncio.Event())
    async with office.serving():
        root = office.bo.says(office.general, "it is red")
        office.slack.behave("conversations.replies", never, never)
        office.ann.says(office.general, f"{office.bot.user.mention} !echo one", thread=root)
        await office.heard()
        never.wait.set()
    assert await quoted(office) == [[]]


async def test_a_long_thread_is_read_page_by_page_to_its_newest_messages(office, monkeypatch):
    monkeypatch.setattr(history, "PAGE", 20)
    async with office.serving():
        root = office.bo.says(office.general, "it is red")
        for number in range(70):
            office.bo.says(office.general, f"n{number}", thread=root)
        office.ann.says(office.general, f"{office.bot.user.mention} !echo one", thread=root)
        await office.heard()
    ((first, *others),) = await quoted(office)
    assert first == ("bo", "it is red")
    assert others == [("bo", f"n{n}") for n in range(71 - limits.MESSAGES_MAX, 70)]
