"""A project that names no set-up: a template made with guesses, and who is told of them."""

from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import text

from bot.store.blobs import DirectoryBlobs
from bot.store.ids import new_id
from bot.work.checkpoint import Checkpoints
from bot.work.container import Containers
from bot.work.guessed import SetUp, set_up_of
from bot.work.lease import Lease
from bot.work.machines import MachineWorkplaces
from bot.work.repository import Repositories
from bot.work.templates import ProjectTemplates, TemplateLimits
from bot.work.workplace import Workplace
from tests.fakes import git_tree
from tests.integration.conftest import Town
from tests.integration.pool.conftest import SPEC, Yard, Yards
from tests.integration.pool.desks import LIMITS, SIZES
from vmpool.machine import Template, TemplateState

FILES: git_tree.Files = {
    b"Makefile": b"setup:\n\tmkdir .venv/more && echo set up\n",
    b"requirements.txt": b"./not-there\n",
    b".devcontainer/a/devcontainer.json": b"""{
        "image": "debian", // which
        "postAttachCommand": "true", "customizations": {},
    }""",
}
COMPOSED = b".devcontainer.json"
_PROJECT = text(
    "UPDATE project SET repository_url = :url, setup = CAST(:setup AS jsonb),"
    " start = CAST(:start AS jsonb), ports = CAST(:ports AS jsonb)"
)


class Host:
    """What one host does for templates and sessions, over machines that share its disk."""

    def __init__(self, town: Town, yard: Yard, directory: Path) -> None:
        async def image():
            return SPEC.image

        self.town, self.yard, self.directory = town, yard, directory
        (directory / "work").mkdir()
        self.repository = directory / "work" / "demo"
        repositories = Repositories(directory / "mirrors")
        self.templates = ProjectTemplates(
            town.database,
            yard.keeper,
            repositories,
            image=image,
            sizes=SIZES,
            limits=TemplateLimits(keep_seconds=3600, rebuild_seconds=0, setup_seconds_max=600),
            work=str(directory / "work"),
            containers=Containers(seconds_max=60),
        )
        self._workplaces = MachineWorkplaces(
            town.database,
            yard.pool,
            repositories,
            Checkpoints(town.database, DirectoryBlobs(directory / "blobs"), **LIMITS),
            host_id=town.host_id,
            image=image,
            sizes=SIZES,
            work=str(directory / "work"),
            forward=self._forward,
        )

    async def _forward(self, session_id: UUID, ports: Sequence[int]) -> Sequence[tuple[int, str]]:
        return [(port, f"http://{port}.example/") for port in ports]

    async def name(self, setup: str = "[]", start: str = "[]", ports: str = "[]") -> None:
        """What the project names."""
        named = {"setup": setup, "start": start, "ports": ports}
        async with self.town.database.begin() as tx:
            await tx.execute(_PROJECT, {"url": str(self.directory / "origin"), **named})

    async def build(self, setup: str = "[]", start: str = "[]", ports: str = "[]") -> Template:
        await self.name(setup, start, ports)
        await self.templates.build_due()
        return (await self.yard.rows.templates())[0]

    async def a_new_session(self, place: str) -> tuple[Lease, Workplace]:
        """What a session that was begun now got, once its turn is over."""
        await self.yard.keeper.tend()
        await self.town.say("!work", place=place)
        lease = await self.town.queue("w").claim()
        assert lease is not None

        async def tell(_event: object) -> None:
            pass

        async with self._workplaces.enter(lease, None, tell) as entered:
            return lease, entered

    async def notices_of_a_new_session(self, place: str) -> tuple[str, ...]:
        _, entered = await self.a_new_session(place)
        return entered.notices


@pytest.fixture
def host(town: Town, yards: Yards, tmp_path: Path) -> Host:
    git_tree.make(tmp_path / "origin", FILES)
    return Host(town, yards.make(running_max=12, memory_mib_max=100_000), tmp_path)


async def test_guesses_are_tried_and_logged_and_one_that_fails_breaks_nothing(host: Host):
    template = await host.build()
    assert template.state is TemplateState.READY
    boot, repository, container, pip, make, freeze = template.steps
    assert (template.step_number, template.step_count) == (6, 6)
    assert [boot["step"], repository["step"], freeze["step"]] == ["boot", "repository", "freeze"]
    assert container["step"] == "dev container of .devcontainer/a/devcontainer.json"
    assert container["output"] == "the machine's image has no container engine in it"
    assert (container["exit_status"], container["left_out"]) == (1, "postAttachCommand")
    assert pip["step"].endswith(".venv/bin/pip install -r requirements.txt")
    assert (pip["guessed_from"], pip["exit_status"]) == ("requirements.txt", 1)
    assert "not-there" in pip["output"]
    assert (make["step"], make["guessed_from"]) == ("make setup", "Makefile")
    assert make["exit_status"] == 0
    assert "set up\n" in make["output"]
    assert git_tree.line(host.repository, "status", "--porcelain") == "", "nobody's work"
    assert await host.build() == template, "and it is not built again"


async def test_only_the_first_session_is_told_how_its_machine_was_set_up(host: Host):
    template = await host.build()
    container, told = await host.notices_of_a_new_session("one")
    assert container.startswith("The dev container of .devcontainer/a/devcontainer.json could not ")
    assert "it: the machine's image has no container engine in it. " in container
    assert "were guessed: `make setup` (from Makefile). `python3 -m venv" in told
    assert "(from requirements.txt) failed, and the machine is used without it" in told
    first = await host.town.value("SELECT id FROM session")
    async with host.town.database.begin() as tx:
        again = await set_up_of(tx, template.id, first)
        assert again.notices == (container, told), "it may be said once more"
        assert await set_up_of(tx, template.id, new_id()) == SetUp()


@pytest.mark.parametrize("is_built", [True, False])
async def test_a_new_session_gets_the_addresses_of_the_ports_that_its_project_names(
    host: Host, is_built
):
    named = {"setup": '["true"]', "ports": "[3000, 8080]"}
    await (host.build(**named) if is_built else host.name(**named))
    told = (
        "As soon as something listens there: port 3000 at http://3000.example/ and port 8080 at"
        " http://8080.example/."
    )
    assert told in await host.notices_of_a_new_session("one")


async def test_a_project_that_names_ports_gets_a_browser_for_pictures_of_them(host: Host):
    template = await host.build(setup='["true"]', ports="[3000]")
    assert template.state is TemplateState.READY
    steps = [one["step"] for one in template.steps]
    assert steps[2:5] == [
        "dev container of .devcontainer/a/devcontainer.json",
        "install chromium",
        "true",
    ]
    assert template.step_number == template.step_count
    without = await host.build(setup='["true"]')
    assert without != template
    assert "install chromium" not in [one["step"] for one in without.steps]


async def test_what_the_project_names_takes_the_place_of_all_guesses(host: Host):
    guessed = await host.build()
    named = await host.build('["true"]')
    assert named.id != guessed.id
    assert [step["step"] for step in named.steps if "container" not in step] == [
        *("boot", "repository", "true", "freeze"),
    ]
    assert not any("guessed_from" in step for step in named.steps)
    (container,) = await host.notices_of_a_new_session("one")
    assert "could not be made" in container


async def test_what_no_container_can_be_made_of_is_said_and_the_rest_is_done(host: Host):
    compose = b'{"dockerComposeFile": "compose.yml"}'
    git_tree.replace(
        host.directory / "origin", {b"Makefile": FILES[b"Makefile"], COMPOSED: compose}
    )
    git_tree.commit(host.directory / "origin")
    template = await host.build()
    container, make = template.steps[2:4]
    assert container["output"] == "it names Docker Compose files, which ona doesn't run"
    assert (make["step"], make["exit_status"]) == ("make setup", 2), "there is no .venv"
    (said, _) = await host.notices_of_a_new_session("one")
    assert said.endswith("which ona doesn't run. `ona templates show demo` has the log.")
