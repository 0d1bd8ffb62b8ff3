"""What the steps of a run change is brought to the code host by its own step, and by no other."""

import asyncio

from tests.fakes import git_tree
from tests.integration.automate.rig import automation, begin, running
from tests.integration.work.test_delivery_turns import Desk, desk
from tests.support.shift import until

__all__ = ["desk"]
SETTLED = "SELECT 1 FROM run WHERE settled_at IS NOT NULL"
TARGETS = "SELECT state, why FROM run_target ORDER BY place"


async def worked(desk: Desk, steps: list) -> None:
    """Run an automation of these steps to its end."""
    automation_id = await automation(desk.town, steps=steps)
    await begin(desk.town, automation_id)
    stop = asyncio.Event()
    loop = asyncio.create_task(running(desk.town).run(stop))
    try:
        async with desk.shift("w"):
            await until(desk.town, SETTLED, bool)
    finally:
        stop.set()
        await loop


async def test_everything_is_delivered_once_by_the_step_that_says_so(desk: Desk) -> None:
    steps = [
        {"prompt": "echo 1 > new\nexit"},
        {"run": "echo 2 > two; exit"},
        {"pull_request": {"title": "Tidy up", "body": "By a run.", "draft": True}},
        {"run": "test -f two; exit"},
    ]
    await worked(desk, steps)
    assert await desk.town.rows(TARGETS) == [("done", "")]
    kinds = await desk.kinds()
    assert kinds.count("delivered") == 1
    # The two turns before it ended without delivering anything.
    assert kinds.index("delivered") == 2
    names = git_tree.git(desk.origin, "diff", "--name-only", f"main..{await desk.at()}")
    assert names.decode().split() == ["new", "two"]
    wished = await desk.town.rows("SELECT title, body, draft, turn_id FROM pull_request_wish")
    assert wished == [("Tidy up", "By a run.", True, None)]


async def test_without_that_step_nothing_leaves_the_machine(desk: Desk) -> None:
    await worked(desk, [{"run": "echo 1 > new; exit"}, {"run": "echo 2 > two; exit"}])
    assert await desk.town.rows(TARGETS) == [("done", "")]
    assert await desk.at() == ""


async def test_what_can_t_be_delivered_fails_the_target_and_says_why(desk: Desk) -> None:
    hook = desk.origin / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho no pushes today >&2\nexit 1\n")
    hook.chmod(0o755)
    await worked(
        desk, [{"run": "echo 1 > new; exit"}, {"pull_request": {}}, {"run": "touch never; exit"}]
    )
    ((state, why),) = await desk.town.rows(TARGETS)
    assert state == "failed"
    assert "no pushes today" in why
    assert not (desk.directory / "never").exists()


async def test_a_repository_that_is_deleted_meanwhile_fails_the_target_and_keeps_its_work(
    desk: Desk,
) -> None:
    deleted = f"echo 1 > new; mv {desk.origin} {desk.origin}.deleted; exit"
    await worked(desk, [{"run": deleted}, {"pull_request": {}}, {"run": "touch never; exit"}])
    ((state, why),) = await desk.town.rows(TARGETS)
    assert state == "failed"
    assert "can't be reached" in why
    assert "in its checkpoint" in why
    assert ".;" not in why
    assert (desk.directory / "new").exists()
    assert not (desk.directory / "never").exists()
