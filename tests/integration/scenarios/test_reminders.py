"""A reminder from its words to its post, the same on every surface."""

import re

import pytest

from tests.integration.scenarios.chats import DiscordTalk, SlackTalk
from tests.integration.scenarios.forges import GitHubTalk, GitLabTalk
from tests.integration.scenarios.talks import shown, told, until

TALKS = {one.name: one for one in (SlackTalk, DiscordTalk, GitHubTalk, GitLabTalk)}
everywhere = pytest.mark.parametrize("talk", TALKS, indirect=True)
forges = pytest.mark.parametrize("talk", ["github", "gitlab"], indirect=True)


async def proposed(talk, thread) -> str:
    """The short name of what was understood."""
    await shown(talk, thread, "I understood")
    said = " ".join(talk.posts(thread))
    found = re.search(r"reminders yes (r-\w+)", said)
    assert found is not None, said
    return found[1]


async def due_now(town) -> None:
    """It is due now instead of when it is."""
    await town.rows(
        "UPDATE schedule SET due_at = now(), fire_at = now() WHERE state = 'active' RETURNING id"
    )


@everywhere
async def test_a_reminder_is_set_listed_posted_and_put_off_by_words_alone(town, talk):
    thread = await talk.begins("remind me every day at 9 to drink water")
    short = await proposed(talk, thread)
    await talk.says(thread, f"reminders yes {short}")
    await shown(talk, thread, f"Saved as {short}")
    await talk.says(thread, "reminders")
    await told(talk, thread, short, "active", "drink water")
    await due_now(town)
    await shown(talk, thread, "A reminder of", "drink water")
    await talk.says(thread, f"reminders snooze {short} in 10 minutes")
    await shown(talk, thread, "I say it again at")
    await talk.says(thread, f"reminders stop {short}")
    await shown(talk, thread, f"The reminder {short} is gone")
    assert await town.value("SELECT count(*) FROM reminder") == 0


@forges
async def test_on_a_forge_who_asked_is_notified(town, talk):
    thread = await talk.begins("remind me every day at 9 to drink water")
    short = await proposed(talk, thread)
    await talk.says(thread, f"reminders yes {short}")
    await shown(talk, thread, f"Saved as {short}")
    await due_now(town)
    await shown(talk, thread, "A reminder of", "drink water")
    assert "ann" in talk.pinged(thread)


@forges
async def test_on_a_forge_a_time_that_can_t_be_read_is_asked_back_in_words(town, talk):
    thread = await talk.begins("remind me tomorrow at 3 to drink water")
    await until(lambda: any("03:00 or 15:00" in one for one in talk.posts(thread)))
    assert await town.value("SELECT count(*) FROM reminder") == 0


@forges
async def test_on_a_forge_words_of_another_language_are_asked_back_and_no_prompt(town, talk):
    thread = await talk.begins("remind me mañana a las 9 beber agua")
    await shown(talk, thread, "no time in “mañana a las 9 beber agua”")
    await shown(talk, thread, "`remind me 2026-12-24 09:00 …`")
    assert await town.rows("SELECT id FROM prompt UNION ALL SELECT id FROM reminder") == []


@forges
async def test_who_may_not_read_the_repository_any_more_reminds_nobody(town, talk):
    thread = await talk.begins("remind here every day at 9 what is open?")
    short = await proposed(talk, thread)
    await talk.says(thread, f"reminders yes {short}")
    await shown(talk, thread, f"Saved as {short}")
    # As if the forge had just said so: it is not asked again within minutes.
    await town.rows("UPDATE permission SET level = 0, asked_at = now() RETURNING level")
    await due_now(town)
    await shown(talk, thread, "is paused", "what is open?")
    assert await town.rows("SELECT state, why FROM schedule") == [("paused", "member")]
