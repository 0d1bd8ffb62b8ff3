"""That a proposal waits for approval is told where the automation reports, once for its content."""

import json

import pytest
from sqlalchemy import text

from bot.automate.files.reading import Reading
from bot.conversation import automation_notices
from bot.conversation.message import IncomingMessage
from bot.conversation.outbox import Outbox
from bot.store.ids import new_id
from bot.work.mirror import MirrorLimits
from bot.work.repository import Repositories
from tests.fakes import git_tree
from tests.fakes.chat import ChatServer, FakeChat
from tests.integration.conftest import DEMO

PATH = b".ona/automations/nightly.yaml"
HEAD = b"schema: ona/automation/v1\nname: nightly\n"
FILE = HEAD + b"triggers: [push: {}]\nsteps: [{prompt: look}, {report: {}}]\nruns_as: robot\n"
POSTS = (
    "SELECT thread.surface, split_part(thread.place, '~', 1), reply.body, reply.buttons"
    " FROM reply JOIN thread ON thread.id = reply.thread_id ORDER BY reply.created_at"
)


class Folder:
    """The automations of the town's project, and what is told of them."""

    def __init__(self, town, directory, origin) -> None:
        self.town = town
        self._origin = origin
        limits = MirrorLimits(seconds_max=60)
        self._reading = Reading(town.database, Repositories(directory, limits))

    async def says(self, said: bytes) -> None:
        """Push another content of its file, and have it read."""
        git_tree.write(self._origin, {PATH: said})
        git_tree.git(self._origin, "add", "-A")
        git_tree.git(self._origin, "commit", "-q", "--allow-empty", "-m", "said")
        await self.town.database.run(text("UPDATE automation_folder SET look_at = now()"))
        await self._reading.once()

    async def told(self) -> list[tuple]:
        """What was posted after two looks."""
        for _look in range(2):
            async with self.town.database.begin() as tx:
                await automation_notices.tell(tx, pages="https://ona.test/")
        return await self.town.rows(POSTS)


@pytest.fixture
async def folder(town, tmp_path):
    """Ann is an operator, and the project is that of a channel."""
    origin = tmp_path / "origin"
    git_tree.make(origin, {b"README": b"hello\n"})
    await town.rows("UPDATE project SET repository_url = :url RETURNING id", url=str(origin))
    await town.rows(
        "INSERT INTO identity (id, person_id, surface, external_id, name)"
        " VALUES (:id, :ann, 'local', '0', 'ann') RETURNING id",
        id=new_id(),
        ann=town.people["Ann"],
    )
    await town.rows(
        "INSERT INTO channel (id, surface, address, project_id)"
        " VALUES (:id, 'slack', 'T1/C1', :project) RETURNING id",
        id=new_id(),
        project=DEMO,
    )
    return Folder(town, tmp_path / "mirrors", origin)


async def test_a_new_file_is_told_in_the_project_s_channel_with_who_may_approve(folder, town):
    await folder.says(FILE)
    ((surface, place, body, buttons),) = await folder.told()
    short = await town.value("SELECT short FROM automation")
    assert (surface, place) == ("slack", "T1/C1/")
    for said in ("nightly", "a push to the default branch", "prompt, report", "robot", "operator"):
        assert said in body
    assert f"ona automations approve {short}" in body
    assert [one["url"] for one in buttons] == [f"https://ona.test/automations#{short}"]
    await folder.says(FILE)
    assert len(await folder.told()) == 1


async def test_each_content_is_told_once_and_all_in_one_session(folder, town):
    await folder.says(FILE)
    await folder.told()
    await folder.says(FILE.replace(b"look", b"see"))
    await folder.told()
    await folder.says(FILE)
    assert len(await folder.told()) == 2
    assert await town.value("SELECT count(*) FROM session") == 1


async def test_what_is_said_below_goes_on_in_a_session_of_the_project(folder, town):
    await folder.says(FILE)
    await folder.told()
    async with ChatServer() as server:
        chat = FakeChat(server.url)
        await Outbox(town.database, {"slack": chat}, sender="s", slots=1).once()
        await chat.close()
    posted = await town.value("SELECT posted_ref FROM reply")
    await town.inbox.accept(below(town, posted, "what does it do?"))
    asked = "SELECT session.project_id, session.title FROM prompt JOIN session ON session.id"
    assert await town.rows(f"{asked} = prompt.session_id") == [(DEMO, "nightly")]


def below(town, posted, words):
    return IncomingMessage(
        surface="slack",
        delivery_key="d",
        message_key="m",
        place=f"T1/C1/{posted}",
        channel="T1/C1",
        person_id=town.people["Bo"],
        text=words,
    )


async def test_a_change_is_told_where_the_last_run_reported(folder, town):
    await folder.says(FILE)
    await folder.told()
    await town.say("!true")
    thread = await town.value("SELECT id FROM thread WHERE surface = 'terminal'")
    await town.rows(
        "UPDATE automation SET definition = proposed, digest = proposed_digest, proposed = '{}',"
        " proposed_digest = '', state = 'active' RETURNING id"
    )
    await town.rows(
        "INSERT INTO run (id, short, automation_id, project_id, name, key, runs_as_id, reports)"
        " SELECT :id, 'run-1', id, project_id, name, 'k', :ann, CAST(:reports AS jsonb)"
        " FROM automation RETURNING id",
        id=new_id(),
        ann=town.people["Ann"],
        reports=json.dumps([{"thread": str(thread), "place": "terminal"}]),
    )
    await folder.says(FILE.replace(b"look", b"see").replace(b"runs_as: robot\n", b""))
    _, (surface, _, body, _) = await folder.told()
    assert surface == "terminal"
    assert "steps[1] is changed; runs_as is gone" in body
    assert "goes on as it is" in body


async def test_what_was_approved_before_it_could_be_told_is_told_to_nobody(folder, town):
    await folder.says(FILE)
    await town.rows("UPDATE automation SET proposed_digest = '' RETURNING id")
    assert await folder.told() == []


async def test_without_a_channel_or_an_operator_it_stays_on_the_page(folder, town):
    await town.rows("DELETE FROM identity RETURNING id")
    await folder.says(FILE)
    assert await folder.told() == []
    assert await town.value("SELECT count(*) FROM session") == 0
    assert await town.value("SELECT told_at IS NOT NULL FROM automation_notice")
