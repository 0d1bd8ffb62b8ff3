"""What people do in a chat to have what they may not: nothing is given away or taken for ours."""

from contextlib import AsyncExitStack

import pytest

from tests.integration.scenarios.conftest import TALKS, installed
from tests.integration.scenarios.talks import counted, shown, until
from tests.support.shift import Shift

CHATS = ("slack", "discord")
PROMPTS = "SELECT count(*) FROM prompt"
RUNNING = "SELECT count(*) FROM turn WHERE state = 'running'"
VAULT = """
    INSERT INTO project (id, name, repository_url, agent)
    VALUES (gen_random_uuid(), 'vault', :url, 'shell') RETURNING id
"""


@pytest.mark.parametrize("talk", CHATS, indirect=True)
async def test_a_copy_of_our_post_asks_nothing_and_stops_nothing(town, places, talk):
    async with Shift(town, places, "w"):
        thread = await talk.begins("!echo begun; sleep 100")
        await talk.copies(thread)
        await talk.says(thread, "!echo beta")
        await counted(town, PROMPTS, 2)
        assert await town.value(RUNNING) == 1
        await talk.stop(thread, "word")
        await shown(talk, thread, "Stopped")
    asked = "SELECT text FROM delivery WHERE prompt_id IS NOT NULL ORDER BY text"
    assert await town.rows(asked) == [("echo begun; sleep 100",), ("echo beta",)]


async def told(talk, words: str, by: str = "ann") -> str:
    """Wait until they alone were told something with these words."""

    def found() -> list[str]:
        return [one for one in talk.hinted(by) if words in one]

    await until(found, words)
    return found()[0]


@pytest.mark.parametrize("chat", CHATS)
async def test_who_may_not_see_a_private_repository_learns_nothing_of_it_in_a_channel(
    town, places, chat, github_emulator
):
    async with AsyncExitStack() as stack:
        talk = await stack.enter_async_context(TALKS[chat](town, None))
        forge = await stack.enter_async_context(TALKS["github"](town, github_emulator))
        hidden = await forge.hidden_repository()
        await stack.enter_async_context(installed(town, forge, talk))
        await town.rows(VAULT, url=hidden)
        await stack.enter_async_context(Shift(town, places, "w"))
        refusals = []
        for name in ("vault", "nothing"):
            await talk.begins(f"project={name} !cat key")
            refusal = await told(talk, f"There is no project {name};")
            refusals.append(refusal.replace(name, "it"))
        assert refusals[0] == refusals[1], "no word tells one from the other"
        assert "demo" in refusals[0]
        refusals.clear()
        for url in (hidden, hidden.replace("vault", "nothing")):
            name = url.rpartition("://")[2].partition("/")[2].removesuffix(".git")
            await talk.begins(f"repo={name} !cat key")
            refusals.append((await told(talk, name)).replace(name, "it"))
        assert refusals[0] == refusals[1], "no word tells one from the other"
        assert await town.value(PROMPTS) == 0
        thread = await talk.begins(f"!echo {hidden} | tr a-z A-Z")
        await shown(talk, thread, "VAULT", "Done")
        of = "SELECT project.name FROM session JOIN project ON project.id = session.project_id"
        assert await town.rows(of) == [("demo",)], "as if it were no project's"
        await town.rows("DELETE FROM identity WHERE surface LIKE 'github:%' RETURNING id")
        await town.rows("DELETE FROM permission RETURNING person_id")
        for name in ("vault", "nothing"):
            await talk.begins(f"project={name} !cat key", by="bo")
        await until(lambda: len([one for one in talk.hinted("bo") if "which account" in one]) == 2)
        assert len(set(talk.hinted("bo"))) == 1, "whoever may be anybody is told no more"
        assert await town.value(PROMPTS) == 1
