"""What Discord told while nobody listened, or another process did, is not lost."""

from collections.abc import AsyncIterator

import pytest

from adapters.chat.discord.missed import CATCH_UP_MESSAGES
from tests.integration.chat.discord_rig import Office, open_office
from tests.support.shift import until

TEXTS = "SELECT text FROM delivery WHERE prompt_id IS NOT NULL ORDER BY text"


@pytest.fixture
async def office(town) -> AsyncIterator[Office]:
    async with open_office(town) as office:
        yield office


def is_(*texts: str):
    return lambda rows: [text for (text,) in rows] == list(texts)


async def test_the_newest_messages_of_a_busy_channel_are_the_ones_that_are_read_back(office):
    async with office.serving():
        await office.ready()
    office.asks("!echo missed")
    for number in range(CATCH_UP_MESSAGES - 2):
        office.bo.says(office.general, f"talk {number}")
    office.asks("!echo missed too")
    for number in range(CATCH_UP_MESSAGES - 2):
        office.bo.says(office.general, f"more talk {number}")
    office.asks("!echo at last")
    async with office.serving():
        await until(office.town, TEXTS, is_("echo at last", "echo missed too"))


async def test_a_direct_message_that_was_missed_is_heard_once_afterwards(office):
    direct = office.ann.direct(office.app)
    async with office.serving():
        await office.ready()
        office.ann.says(direct, "!echo before")
        await until(office.town, TEXTS, is_("echo before"))
    office.ann.says(direct, "!echo missed")
    for _ in range(2):
        async with office.serving():
            await office.ready()
            await until(office.town, TEXTS, is_("echo before", "echo missed"))


async def test_an_edit_and_a_deletion_of_what_another_process_heard_change_what_waits(
    office,
):
    async with office.serving():
        await office.ready()
        first = office.asks("!echo first")
        office.ann.opens_thread(first, "talk")
        second = office.bo.says(first.thread, f"<@{office.app.id}> !echo second")
        third = office.bo.says(first.thread, f"<@{office.app.id}> !echo third")
        await until(office.town, TEXTS, is_("echo first", "echo second", "echo third"))
    async with office.serving():
        office.asks("!echo x")
        await until(office.town, TEXTS, is_("echo first", "echo second", "echo third", "echo x"))
        office.bo.edits(second, f"<@{office.app.id}> !echo changed")
        office.bo.deletes(third)
        await until(office.town, TEXTS, is_("echo changed", "echo first", "echo x"))
    assert await office.town.rows("SELECT state FROM prompt WHERE state <> 'queued'") == [
        ("cancelled",)
    ]


async def test_an_edit_that_was_missed_changes_what_waits_too(office):
    async with office.serving():
        await office.ready()
        asked = office.asks("!echo first")
        await until(office.town, TEXTS, is_("echo first"))
    office.ann.edits(asked, f"<@{office.app.id}> !echo changed")
    async with office.serving():
        await until(office.town, TEXTS, is_("echo changed"))
