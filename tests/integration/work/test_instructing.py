"""Instructions that are not a repository's, in a real guest program: put, replaced, taken away."""

from pathlib import Path

import pytest

from adapters.agent.acp.harness import AcpAgent
from adapters.agent.acp.profiles import Profile
from bot.conversation.inbox import Inbox
from bot.govern.agents import Agents
from bot.govern.instructions import BEGIN, END, MARK, Installed
from bot.work.instructing import Instructing, ToldAt
from tests.fakes.guest_workplaces import GuestWorkplaces
from tests.integration.conftest import Town
from tests.integration.work.test_agent_turns import ENDED, PROGRAM, done
from tests.support.shift import Shift, until

PLACES = {
    "fake": ToldAt(text=".fake/RULES.md", skills=".fake/skills"),
    "other": ToldAt(text=".other/deep/RULES.md", skills=".other/skills"),
}
SKILL = "---\nname: release\ndescription: How we release\n---\nRun release.sh.\n"
BY_HAND = "Written by hand.\n"


@pytest.fixture
def town(town: Town) -> Town:
    agents = Agents(names=("fake", "other", "shell"), default="shell")
    town.inbox = Inbox(town.database, prompt_bytes_max=100_000, agents=agents)
    return town


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """What the operator gives, with a skill."""
    directory = tmp_path / "given"
    put(directory / "AGENTS.md", "Rules of all.\n")
    put(directory / "skills/release/SKILL.md", SKILL)
    put(directory / "skills/release/scripts/release.sh", "#!/bin/sh\n").chmod(0o755)
    return directory


@pytest.fixture
def home(guest) -> Path:
    """Of the agent, in the guest."""
    return guest.directory / "home"


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def ours(text: str) -> str:
    return f"{BEGIN}\n{text}{END}\n"


class Office:
    """Whose agents are told what lies in a directory."""

    def __init__(self, town: Town, places: GuestWorkplaces, directory: Path | None) -> None:
        self.town, self.places, self.turns = town, places, 0
        self.instructing = Instructing(town.database, Installed(directory), PLACES)
        self.agents = {
            name: AcpAgent(
                Profile(name=name, argv=("python3", str(PROGRAM)), environment={"ACP_HOME": "/tmp"})
            )
            for name in PLACES
        }

    async def turn(self, words: str = "say hi") -> None:
        """Run one."""
        self.turns += 1
        await self.town.say(words)
        doing = {"agents": self.agents, "instructing": self.instructing}
        async with Shift(self.town, self.places, f"w{self.turns}", **doing):
            await until(self.town, ENDED, done(self.turns))

    async def project_says(self, text: str) -> None:
        await self.town.rows("UPDATE project SET instructions = :text RETURNING id", text=text)


async def test_rules_and_skills_lie_where_the_agent_looks_for_them(
    town: Town, places: GuestWorkplaces, directory: Path, home: Path
) -> None:
    office = Office(town, places, directory)
    await office.project_says("Rules of shop.")
    await office.turn("agent=fake say hi")
    assert (home / ".fake/RULES.md").read_text() == ours("Rules of all.\n\nRules of shop.\n")
    skill = home / ".fake/skills/release"
    assert (skill / "SKILL.md").read_text() == SKILL
    assert (skill / "scripts/release.sh").stat().st_mode & 0o777 == 0o755
    assert not (home / ".other").exists()
    ((noted,),) = await town.rows("SELECT instructed FROM session")
    assert noted == Installed(directory).now().with_text("Rules of shop.").digest


async def test_what_changes_is_replaced_and_what_goes_is_removed(
    town: Town, places: GuestWorkplaces, directory: Path, home: Path
) -> None:
    office = Office(town, places, directory)
    await office.turn("agent=fake say hi")
    before = sorted(home.rglob("*"))
    await office.turn()
    assert sorted(home.rglob("*")) == before

    (directory / "AGENTS.md").write_text("Other rules.\n")
    (directory / "skills/release/scripts/release.sh").unlink()
    put(directory / "skills/review/SKILL.md", SKILL)
    await office.turn()
    assert (home / ".fake/RULES.md").read_text() == ours("Other rules.\n")
    assert not (home / ".fake/skills/release/scripts/release.sh").exists()
    assert (home / ".fake/skills/review/SKILL.md").exists()

    (directory / "AGENTS.md").unlink()
    (directory / "skills").rename(directory / "drafts")
    await office.turn()
    assert [one for one in (home / ".fake").rglob("*") if not one.is_dir()] == []


async def test_what_somebody_wrote_there_by_hand_stays(
    town: Town, places: GuestWorkplaces, directory: Path, home: Path
) -> None:
    put(home / ".fake/RULES.md", BY_HAND)
    put(home / ".fake/skills/release/SKILL.md", BY_HAND)
    put(home / ".fake/skills/mine/SKILL.md", BY_HAND)
    office = Office(town, places, directory)
    await office.turn("agent=fake say hi")
    assert (home / ".fake/RULES.md").read_text() == ours("Rules of all.\n") + BY_HAND
    (directory / "AGENTS.md").unlink()
    (directory / "skills").rename(directory / "drafts")
    await office.turn()
    assert (home / ".fake/RULES.md").read_text() == BY_HAND
    for name in ("release", "mine"):
        assert (home / f".fake/skills/{name}/SKILL.md").read_text() == BY_HAND
        assert not (home / f".fake/skills/{name}/{MARK}").exists()


async def test_a_text_whose_end_somebody_cut_off_costs_nothing_that_stands_below(
    town: Town, places: GuestWorkplaces, directory: Path, home: Path
) -> None:
    put(home / ".fake/RULES.md", f"{BEGIN}\n{BY_HAND}")
    await Office(town, places, directory).turn("agent=fake say hi")
    assert BY_HAND in (home / ".fake/RULES.md").read_text()


async def test_another_agent_of_the_session_finds_them_and_the_one_before_leaves_none(
    town: Town, places: GuestWorkplaces, directory: Path, home: Path
) -> None:
    office = Office(town, places, directory)
    await office.turn("agent=fake say hi")
    await town.rows("UPDATE session SET agent = 'other' RETURNING id")
    await office.turn()
    assert (home / ".other/deep/RULES.md").read_text() == ours("Rules of all.\n")
    assert (home / ".other/skills/release/SKILL.md").exists()
    assert not (home / ".fake/RULES.md").exists()
    assert not (home / ".fake/skills/release").exists()


async def test_without_any_nothing_is_run_in_the_machine_for_them(
    town: Town, places: GuestWorkplaces, home: Path
) -> None:
    await Office(town, places, None).turn("agent=fake say hi")
    assert not (home / ".ona").exists()
    assert await town.rows("SELECT instructed FROM session") == [(None,)]


async def test_a_directory_that_is_spoilt_while_it_is_used_breaks_no_turn(
    town: Town, places: GuestWorkplaces, directory: Path, home: Path
) -> None:
    office = Office(town, places, directory)
    (directory / "AGENTS.md").write_text("x" * 100_000)
    await office.turn("agent=fake say hi")
    assert (home / ".fake/RULES.md").read_text() == ours("Rules of all.\n")
