"""One session that a Slack thread, a Discord thread and a terminal share."""

import asyncio

from tests.integration.chat import discord_rig, slack_rig
from tests.support.shift import Shift

COMMITS = """
    SELECT delivery.text, prompt.state FROM prompt JOIN delivery ON delivery.prompt_id = prompt.id
     ORDER BY prompt.position
"""


async def test_threads_of_several_surfaces_share_a_session_and_each_is_answered_where_it_asked(
    town, places
):
    async with (
        slack_rig.open_office(town) as slack,
        discord_rig.open_office(town) as discord,
        slack.serving(),
        discord.serving(),
        Shift(town, places, "w"),
    ):
        await discord.ready()
        in_slack = slack.asks("!echo one")
        await slack.answered(in_slack, "one", "Done")
        short = await town.value("SELECT short FROM session")
        in_discord = discord.asks(f"join {short}")
        await discord.answered(in_discord, "talks to session")

        discord.ann.says(in_discord.thread, f"<@{discord.app.id}> !echo two")
        await discord.answered(in_discord, "two", "Done")
        line = await slack.answered(in_slack, "asked for something in Discord", "Done")
        slack.ann.says(slack.general, "!echo three", thread=in_slack)
        await slack.answered(in_slack, "three", "Done")
        await discord.answered(in_discord, "asked for something in Slack", "Done")
        discord.ann.says(in_discord.thread, "!sleep 1; echo four")
        await discord.answered(in_discord, "four", "Done")
        await slack.slack.until(lambda: len(line.texts) >= 2)

        session_of = "SELECT id FROM session"
        assert len(await town.rows(session_of)) == 1
        heard = " ".join(one.text for one in slack.ours(in_slack))
        assert "echo two" not in heard
        assert "two\n" not in heard
        elsewhere = [one for one in slack.ours(in_slack) if "asked for something" in one.text]
        assert len(elsewhere) == 1, "one line, edited in place"


async def test_a_failure_elsewhere_is_told_in_every_thread(town, places):
    async with (
        slack_rig.open_office(town) as slack,
        discord_rig.open_office(town) as discord,
        slack.serving(),
        discord.serving(),
        Shift(town, places, "w"),
    ):
        await discord.ready()
        in_slack = slack.asks("!echo one")
        await slack.answered(in_slack, "one", "Done")
        short = await town.value("SELECT short FROM session")
        in_discord = discord.asks(f"join {short}")
        await discord.answered(in_discord, "talks to session")
        slack.ann.says(slack.general, "!exit 3", thread=in_slack)
        await discord.answered(in_discord, "asked for something in Slack", "Failed")


async def test_prompts_from_everywhere_run_in_the_order_in_which_they_were_taken(town, places):
    places.door.clear()
    async with (
        slack_rig.open_office(town) as slack,
        discord_rig.open_office(town) as discord,
        slack.serving(),
        discord.serving(),
        Shift(town, places, "w"),
    ):
        await discord.ready()
        in_slack = slack.asks("!echo 0")
        async with asyncio.timeout(100):
            while not await town.rows("SELECT short FROM session"):
                await asyncio.sleep(0.02)
        short = await town.value("SELECT short FROM session")
        in_discord = discord.asks(f"join {short}")
        await discord.answered(in_discord, "talks to session")
        mention = slack.bot.user.mention
        for number in range(1, 7):
            if number % 3 == 0:
                await town.say(f"!echo {number}", session=short, place="terminal")
            elif number % 3 == 1:
                slack.bo.says(slack.general, f"{mention} !echo {number}", thread=in_slack)
            else:
                discord.bo.says(in_discord.thread, f"<@{discord.app.id}> !echo {number}")
        async with asyncio.timeout(100):
            while await town.value("SELECT count(*) FROM prompt") < 7:
                await asyncio.sleep(0.02)
        taken = [text for text, _ in await town.rows(COMMITS)]
        places.door.set()
        async with asyncio.timeout(100):
            while {state for _, state in await town.rows(COMMITS)} != {"done"}:
                await asyncio.sleep(0.05)
        ran = await town.rows(
            "SELECT body ->> 'text' FROM turn_event WHERE kind = 'turn.started' ORDER BY number"
        )
    assert [text for (text,) in ran] == taken
    assert sorted(taken) == [f"echo {number}" for number in range(7)]


async def test_a_session_that_is_not_there_can_not_be_joined(town, places):
    async with slack_rig.open_office(town) as slack, slack.serving():
        slack.asks("join s-zzzzz")
        await slack.slack.until(
            lambda: [one for one in slack.general.messages if one.only_for is slack.ann]
        )
        hints = [one.text for one in slack.general.messages if one.only_for is slack.ann]
    assert len(hints) == 1
    assert "no session s-zzzzz" in hints[0]
