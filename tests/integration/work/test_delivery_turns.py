"""Turns that deliver, on the real queue and in a real guest program without a machine around it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import text

from adapters.agent.shell import ShellAgent
from bot.work import questions
from bot.work.delivery import Delivery
from bot.work.delivery_means import DeliveryMeans
from bot.work.delivery_words import KEEP, PUSH
from bot.work.repository import Repositories, clone_into
from tests.fakes import git_tree
from tests.fakes.git_server import head_of
from tests.fakes.guest import HostedGuest
from tests.fakes.guest_workplaces import GuestWorkplaces
from tests.integration.conftest import DEMO, Town
from tests.integration.work.delivery_rig import bare, point
from tests.support.shift import Shift, until
from vmpool.ssh import Authority

ENDED = "SELECT state, outcome ->> 'summary' FROM turn ORDER BY started_at"
_OVERDUE = text("UPDATE question SET expires_at = now() - interval '1 second'")
TOLD = """
    SELECT kind, body ->> 'text' FROM turn_event
     WHERE kind IN ('delivered', 'undelivered', 'question', 'turn.ended') ORDER BY number
"""


class Scripted(ShellAgent):
    """Takes a prompt's text as a script, and counts as an agent that reads."""

    reads = True


@dataclass
class Desk:
    town: Town
    places: GuestWorkplaces
    delivery: Delivery
    directory: Path
    origin: Path

    def shift(self, name: str, **more) -> Shift:
        return Shift(
            self.town,
            self.places,
            name,
            delivery=self.delivery,
            agents={"shell": Scripted()},
            **more,
        )

    async def at(self) -> str:
        """The commit of the session's branch on the code host."""
        return head_of(self.origin, await self.town.value("SELECT branch FROM session"))

    async def kinds(self) -> list[str]:
        return [kind for kind, _ in await self.town.rows(TOLD)]


@pytest.fixture
async def desk(town: Town, guest: HostedGuest, tmp_path: Path) -> AsyncIterator[Desk]:
    origin = bare(tmp_path / "demo.git")
    await point(town, str(origin))
    repositories = Repositories(tmp_path / "mirrors")
    await repositories.update(DEMO, str(origin))
    channel = await guest.open(await Authority.load(tmp_path / "ca"))
    directory = tmp_path / "work" / "demo"
    directory.parent.mkdir()
    await clone_into(
        channel,
        repositories,
        DEMO,
        await repositories.base(DEMO, None),
        branch="ona/s-here",
        directory=str(directory),
        origin_url=str(origin),
    )
    means = DeliveryMeans(
        database=town.database, repositories=repositories, directory=tmp_path / "deliveries"
    )
    places = GuestWorkplaces(channel, str(directory))
    yield Desk(town, places, Delivery(means), directory, origin)
    await channel.close()


async def ended(desk: Desk, count: int = 1) -> list[str]:
    rows = await until(
        desk.town,
        ENDED,
        lambda rows: len(rows) == count and all(state != "running" for state, _ in rows),
    )
    return [state for state, _ in rows]


async def test_a_turn_delivers_before_its_outcome_is_stored(desk: Desk) -> None:
    await desk.town.say("echo 1 > new; echo 2 > two; git add two; git commit -qm Mine\nexit")
    async with desk.shift("w"):
        assert await ended(desk) == ["succeeded"]
    assert await desk.kinds() == ["delivered", "turn.ended"]
    said = git_tree.git(desk.origin, "log", "--format=%an|%cn|%s", f"main..{await desk.at()}")
    ours, agents = said.decode().splitlines()
    assert ours.startswith("Ann|ona|echo 1 > new; echo 2 > two;")
    assert agents == "Ann|ona|Mine"


@pytest.mark.parametrize(("answer", "state"), [(PUSH, "delivered"), (KEEP, "undelivered")])
async def test_people_are_asked_meanwhile_the_session_waits_and_nothing_runs_twice(
    desk: Desk, answer: str, state: str
) -> None:
    ci = "mkdir -p .github/workflows; echo x >> .github/workflows/ci.yml; echo ran >> ran"
    await desk.town.say(f"{ci}\nexit")
    waits = "SELECT state FROM session"
    async with desk.shift("first"):
        await until(desk.town, waits, lambda rows: rows == [("waiting",)])
    assert await desk.at() == ""
    ((_, asked),) = [row for row in await desk.town.rows(TOLD) if row[0] == "question"]
    assert "protected paths: .github/workflows/ci.yml" in asked
    await desk.town.say(answer)
    async with desk.shift("second"):
        assert await ended(desk) == ["succeeded"]
    assert await desk.kinds() == ["question", state, "turn.ended"]
    assert bool(await desk.at()) is (answer == PUSH)
    assert (desk.directory / "ran").read_text() == "ran\n"


async def test_a_question_that_nobody_answers_keeps_it_back(desk: Desk) -> None:
    await desk.town.say("echo x > .gitlab-ci.yml\nexit")
    async with desk.shift("w"):
        await until(desk.town, "SELECT state FROM session", lambda rows: rows == [("waiting",)])
    async with desk.town.database.begin() as tx:
        await tx.execute(_OVERDUE)
        assert await questions.expire(tx) == 1
    async with desk.shift("w"):
        assert await ended(desk) == ["succeeded"]
    assert await desk.kinds() == ["question", "undelivered", "turn.ended"]
    assert await desk.at() == ""


@pytest.mark.parametrize(
    ("words", "state"), [("!echo 1 > new; exit", "succeeded"), ("echo 1 > new; exit 3", "failed")]
)
async def test_a_command_and_a_turn_that_failed_deliver_nothing(
    desk: Desk, words: str, state: str
) -> None:
    await desk.town.say(words)
    async with desk.shift("w"):
        assert await ended(desk) == [state]
    assert await desk.kinds() == ["turn.ended"]
    assert await desk.at() == ""
    assert (desk.directory / "new").exists()


async def test_what_a_command_committed_goes_with_the_next_turn_of_the_agent(desk: Desk) -> None:
    await desk.town.say("!echo 1 > new; git add new; git commit -qm By-hand; exit")
    async with desk.shift("w"):
        await ended(desk)
        assert await desk.at() == ""
        await desk.town.say("true\nexit")
        await ended(desk, 2)
    said = git_tree.git(desk.origin, "log", "--format=%an %s", f"main..{await desk.at()}")
    assert said == b"Ann By-hand\n"


async def test_two_sessions_on_one_repository_have_branches_of_their_own(
    desk: Desk,
) -> None:
    await desk.town.say("echo 1 > one\nexit", place="t1")
    async with desk.shift("w", turns_max=1):
        await ended(desk)
        await desk.town.say("echo 2 > two\nexit", place="t2")
        await ended(desk, 2)
    branches = [branch for (branch,) in await desk.town.rows("SELECT branch FROM session")]
    assert len(branches) == 2
    assert all(head_of(desk.origin, branch) for branch in branches)


async def test_a_turn_that_may_only_read_delivers_nothing_and_says_so(desk: Desk) -> None:
    await desk.town.say("echo 1 > new\nexit", read_only=True)
    async with desk.shift("w"):
        assert await ended(desk) == ["succeeded"]
        assert await desk.at() == ""
        assert await desk.kinds() == ["undelivered", "turn.ended"]
        assert "may only read" in (await desk.town.rows(TOLD))[0][1]
        # What a person asks for afterwards is theirs, with what lies there.
        await desk.town.say("echo 2 > two\nexit")
        assert await ended(desk, 2) == ["succeeded"] * 2
    assert await desk.kinds() == ["undelivered", "turn.ended", "delivered", "turn.ended"]


async def test_a_turn_that_only_read_has_nothing_to_say_about_deliveries(desk: Desk) -> None:
    await desk.town.say("echo 2 > two\nexit")
    async with desk.shift("w"):
        assert await ended(desk) == ["succeeded"]
        await desk.town.say("cat two\nexit", read_only=True)
        assert await ended(desk, 2) == ["succeeded"] * 2
    assert await desk.kinds() == ["delivered", "turn.ended", "turn.ended"]
