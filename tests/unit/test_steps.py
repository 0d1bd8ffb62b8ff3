"""Who looks at a long step hears of it."""

import asyncio

from bot.steps import Steps


async def test_a_long_step_is_heard_of_and_a_short_one_is_a_line():
    said: list[str] = []
    steps = Steps(said.append, remind_seconds=0.1)

    async def long() -> str:
        steps.within("downloading packages")
        await asyncio.sleep(0.35)
        return "abc"

    async def short() -> str:
        return ""

    assert await steps.run("guest image", long(), lambda found: found) == "abc"
    await steps.run("database", short(), lambda _: "")
    await asyncio.sleep(0.2)
    assert said[:2] == ["    downloading packages", "    still at it: downloading packages (0 s)"]
    assert len(said) >= 4
    assert said[-2].startswith("  guest image  abc (0.")
    assert said[-1].startswith("  database     (0.")
