"""Runs of automations from a conversation, and their reports in channels."""

import re

import pytest

from tests.integration.automate.rig import automation, project
from tests.integration.scenarios.chats import DiscordTalk, SlackTalk
from tests.integration.scenarios.forges import GitHubTalk, GitLabTalk
from tests.integration.scenarios.talks import shown, told, until
from tests.support.shift import Shift

TALKS = {one.name: one for one in (SlackTalk, DiscordTalk, GitHubTalk, GitLabTalk)}
everywhere = pytest.mark.parametrize("talk", TALKS, indirect=True)
chats = pytest.mark.parametrize("talk", ["slack", "discord"], indirect=True)
STEPS = [{"run": "echo all green"}, {"report": {}}]
REPORTS = "SELECT report FROM run_target ORDER BY place"


async def begun(talk, thread) -> str:
    """The short name of the run that has begun."""
    await shown(talk, thread, "has begun")
    found = re.search(r"The run (run-\w+) has begun", " ".join(talk.posts(thread)))
    assert found is not None
    return found[1]


@everywhere
async def test_a_run_is_begun_shown_and_listed_by_words_alone(town, places, talk):
    await automation(town, steps=STEPS)
    async with Shift(town, places, "w"):
        thread = await talk.begins("automations")
        if talk.name in {"slack", "discord"}:
            # What is said before there is a session is told to its author alone.
            thread = await talk.begins("!echo hello")
            await shown(talk, thread, "hello")
        await talk.says(thread, "automations run nightly")
        short = await begun(talk, thread)
        await until(lambda: _settled(town))
        await talk.says(thread, f"runs show {short}")
        await shown(talk, thread, short, "succeeded", "all green")
        await talk.says(thread, "runs")
        await told(talk, thread, f"{short}  succeeded  nightly")
    assert await town.rows(REPORTS) == [("all green\n",)]
    assert await town.value("SELECT count(*) FROM run") == 1


async def _settled(town) -> bool:
    return bool(await town.rows("SELECT 1 FROM run WHERE settled_at IS NOT NULL"))


def in_channel(talk) -> list:
    """Posts of ours that stand in the channel itself and are about the run."""
    office = talk.office
    if isinstance(talk, DiscordTalk):
        posts = office.ours(office.general)
    else:
        posts = [one for one in office.general.public() if one.author is office.bot.user]
        posts = [one for one in posts if not one.is_reply]
    return [one for one in posts if "run-" in one.text]


@chats
async def test_a_fleet_reports_in_the_channel_and_its_targets_are_answered_there(
    town, places, talk
):
    async with Shift(town, places, "w"):
        thread = await talk.begins("!echo hello")
        await shown(talk, thread, "hello")
        await project(town, "other")
        await automation(
            town,
            steps=[{"run": "echo all green"}],
            context={"projects": ["demo", "other"]},
            report="always",
            report_to=[f"{talk.name}:#general"],
        )
        await talk.says(thread, "automations run nightly")
        await until(lambda: len(in_channel(talk)) == 2)
        progress, report = in_channel(talk)
        await until(lambda: "2 done" in progress.text, progress.text)
        assert "succeeded" in report.text
        await talk.says(report, "#2 !echo more of it")
        await shown(talk, report, "more of it")
    worked = "SELECT session_id FROM run_target WHERE place = 2"
    asked = "SELECT prompt.session_id FROM prompt JOIN delivery ON delivery.prompt_id = prompt.id"
    (of_target,) = await town.rows(worked)
    assert await town.rows(f"{asked} WHERE delivery.text = 'echo more of it'") == [of_target]
