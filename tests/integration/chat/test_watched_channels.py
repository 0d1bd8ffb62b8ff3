"""A watched channel of Slack and of Discord, from what people say there to the run that begins."""

from contextlib import asynccontextmanager

import pytest
from sqlalchemy import text

from bot.conversation.automation_channels import AutomationChannels
from bot.surfaces import open_surfaces
from tests.integration.automate.happenings import taking, trigger
from tests.integration.automate.rig import automation
from tests.integration.chat import discord_rig, slack_rig
from tests.support.shift import until

STEPS = [{"prompt": "look at it"}]
TEXTS = "SELECT facts ->> 'text' FROM trigger_event ORDER BY created_at"


async def watching(town, channel: str) -> None:
    said = {"message": {"channel": channel, "contains": ["down"]}}
    automation_id = await automation(town, steps=STEPS)
    await trigger(town, automation_id, "message", options=said, match=channel)


@asynccontextmanager
async def on_slack(town):
    async with slack_rig.open_office(town) as office, office.serving():
        yield office, f"slack:{office.general.id}"


@asynccontextmanager
async def on_discord(town):
    async with discord_rig.open_office(town) as office, office.serving():
        await office.ready()
        yield office, f"discord:{office.guild.id}/{office.general.id}"


@pytest.mark.parametrize("opened", [on_slack, on_discord])
async def test_what_people_say_there_begins_a_run_and_nothing_is_answered(town, opened) -> None:
    async with opened(town) as (office, channel):
        await watching(town, channel)
        office.ann.says(office.general, "all is well")
        alert = office.ann.says(office.general, "prod is down")
        if opened is on_slack:
            office.bo.says(office.general, "it is down for me too", thread=alert)
        await until(town, TEXTS, bool)
        # Whatever comes after it in the channel was heard after it.
        office.asks("!echo hi")
        await until(town, "SELECT id FROM prompt", bool)
        assert await town.rows(TEXTS) == [("prod is down",)]
        assert await town.value("SELECT count(*) FROM prompt") == 1
    await taking(town).once()
    ((why,),) = await town.rows("SELECT trigger FROM run")
    assert (why["kind"], why["surface"]) == ("message", channel.partition(":")[0])


async def test_a_name_on_slack_means_the_channel_in_which_its_approver_is(town) -> None:
    async with slack_rig.open_office(town) as office:
        office.slack.channel(office.team, "secret", office.bo, office.bot.user)
        await watching(town, "slack:#general")
        other = await automation(town, name="other", steps=STEPS)
        options = {"message": {"channel": "slack:#secret"}}
        await trigger(town, other, "message", options=options, match="slack:#secret")
        await town.database.run(
            text(
                "INSERT INTO identity (id, person_id, surface, external_id, name)"
                " VALUES (gen_random_uuid(), :ann, :surface, :account, 'Ann')"
            ),
            {
                "ann": town.people["Ann"],
                "surface": f"slack:{office.team.id}",
                "account": office.ann.id,
            },
        )
        async with open_surfaces(office.settings, town.database, owner="w") as surfaces:
            assert await AutomationChannels(town.database, surfaces.ports).look() == 1
    matches = await town.rows("SELECT match FROM automation_trigger ORDER BY match")
    assert matches == [("slack:#secret",), (f"slack:{office.team.id}/{office.general.id}",)]
    assert await town.value("SELECT count(*) FROM automation_notice") == 1
