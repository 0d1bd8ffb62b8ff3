"""One session that Slack, Discord and a conversation on a forge share, as one installation."""

import asyncio

import pytest

from tests.integration.scenarios.conftest import TALKS, installed
from tests.integration.scenarios.talks import counted, shown, until
from tests.support.shift import Shift

TAKEN = """
    SELECT delivery.text, person.name, thread.surface
      FROM prompt JOIN delivery ON delivery.prompt_id = prompt.id
      JOIN person ON person.id = prompt.author_id JOIN thread ON thread.id = prompt.thread_id
     ORDER BY prompt.position
"""
RAN = "SELECT body ->> 'text' FROM turn_event WHERE kind = 'turn.started' ORDER BY number"
ROUNDS = 2


@pytest.mark.parametrize("forge", ["github", "gitlab"])
async def test_prompts_from_everywhere_run_in_commit_order_and_are_seen_by_all(
    town, places, forge, github_emulator
):
    async with (
        TALKS["slack"](town, None) as slack,
        TALKS["discord"](town, None) as discord,
        TALKS[forge](town, github_emulator) as code,
        installed(town, slack, discord, code),
        Shift(town, places, "w"),
    ):
        in_code = await code.begins("!echo w-0")
        await shown(code, in_code, "w-0", "Done")
        short = await town.value("SELECT short FROM session")
        in_slack = await slack.begins(f"join {short}")
        await shown(slack, in_slack, "talks to session")
        in_discord = await discord.begins(f"join {short}", by="bo")
        await shown(discord, in_discord, "talks to session")
        threads = ((slack, in_slack), (discord, in_discord), (code, in_code))

        places.door.clear()
        asking = [
            talk.says(thread, f"!echo w-{talk.name}-{by}-{turn}", by=by)
            for turn in range(ROUNDS)
            for by in ("ann", "bo")
            for talk, thread in threads
        ]
        await asyncio.gather(*asking)
        count = 1 + len(asking)
        await counted(town, "SELECT count(*) FROM prompt", count)
        places.door.set()
        await counted(town, "SELECT count(*) FROM turn WHERE state = 'succeeded'", count)
        for talk, thread in threads:
            for turn in range(ROUNDS):
                for by in ("ann", "bo"):
                    await shown(talk, thread, f"w-{talk.name}-{by}-{turn}", "Done")
        await shown(slack, in_slack, "asked for something in")
        await shown(discord, in_discord, "asked for something in")

        # What stands beside a conversation on a forge is what was asked last.
        await slack.says(in_slack, "!echo w-slack-ann-last")
        await counted(town, "SELECT count(*) FROM turn WHERE state = 'succeeded'", count + 1)

        async def told() -> bool:
            return any("asked for something in" in one for one in await code.beside(in_code))

        await until(told, "what is asked elsewhere beside the conversation on the forge")

        taken = await town.rows(TAKEN)
        assert [text for (text,) in await town.rows(RAN)] == [text for text, _, _ in taken]
        for text, name, surface in taken[1:]:
            assert text.startswith(f"echo w-{surface}-{name.lower()}-")
        assert await town.value("SELECT count(*) FROM session") == 1
        for talk, thread in threads:
            said = " ".join(talk.posts(thread))
            others = {other.name for other, _ in threads} - {talk.name}
            assert not [one for one in others if f"w-{one}" in said], "no prompt of another thread"
