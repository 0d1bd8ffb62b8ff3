"""The folders of automations are read from mirrors: default branch only, bounded, soon."""

import pytest

from bot.automate.files import folders
from bot.automate.files.parsing import FILES_MAX
from bot.automate.files.reading import Reading
from bot.automate.files.yaml_tree import BYTES_MAX
from bot.work.mirror import MirrorLimits
from bot.work.repository import Repositories
from tests.fakes import git_tree

HEAD = b"schema: ona/automation/v1\nname: nightly\nsteps: [{prompt: look}]\n"
FOLDER = b".ona/automations/"
STATES = "SELECT name, state, path FROM automation ORDER BY name"


@pytest.fixture
def origin(tmp_path):
    directory = tmp_path / "origin"
    git_tree.make(directory, {b"README": b"hello\n", FOLDER + b"nightly.yaml": HEAD})
    return directory


@pytest.fixture
async def town(town, origin):
    await town.rows("UPDATE project SET repository_url = :url RETURNING id", url=str(origin))
    return town


@pytest.fixture
def repositories(tmp_path):
    return Repositories(tmp_path / "mirrors", MirrorLimits(seconds_max=60))


@pytest.fixture
def reading(town, repositories):
    return Reading(town.database, repositories)


async def due(town):
    await town.rows("UPDATE automation_folder SET look_at = now() RETURNING id")


async def test_a_new_project_is_read_and_then_left_until_its_time(town, reading):
    assert await reading.once() == 1
    assert await town.rows(STATES) == [("nightly", "proposed", ".ona/automations/nightly.yaml")]
    ((commit, read_at),) = await town.rows("SELECT commit, read_at FROM automation_folder")
    assert len(commit) == 40
    assert read_at is not None
    assert await reading.once() == 0


async def test_only_the_default_branch_is_read(town, reading, origin):
    before = git_tree.line(origin, "branch", "--show-current")
    git_tree.git(origin, "checkout", "-q", "-b", "other")
    git_tree.write(origin, {FOLDER + b"evil.yaml": HEAD.replace(b"nightly", b"evil")})
    git_tree.git(origin, "add", "-A")
    git_tree.git(origin, "commit", "-q", "-m", "evil")
    git_tree.git(origin, "checkout", "-q", before)
    await town.rows("UPDATE project SET base_branch = 'other' RETURNING id")
    await reading.once()
    assert [name for name, *_ in await town.rows(STATES)] == ["nightly"]


async def test_what_lies_elsewhere_or_is_no_file_is_not_read(town, reading, origin):
    git_tree.write(
        origin,
        {
            FOLDER + b"deeper/a.yaml": HEAD.replace(b"nightly", b"deeper"),
            b"b.yaml": HEAD.replace(b"nightly", b"root"),
            FOLDER + b"link.yaml": ("l", b"../../b.yaml"),
            FOLDER + b"notes.txt": HEAD.replace(b"nightly", b"notes"),
            FOLDER + b"c.yml": HEAD.replace(b"nightly", b"c"),
            FOLDER + b"other.yaml": b"on: push\n",
        },
    )
    git_tree.git(origin, "add", "-A")
    git_tree.git(origin, "commit", "-q", "-m", "more")
    await reading.once()
    assert [name for name, *_ in await town.rows(STATES)] == ["c", "nightly"]
    async with town.database.begin() as tx:
        (found,) = await folders.listed(tx)
    assert [file["path"].rpartition("/")[2] for file in found["files"]] == [
        "c.yml",
        "nightly.yaml",
        "other.yaml",
    ]


async def test_a_fetch_that_moved_the_branch_has_it_read_at_once(
    town, reading, repositories, origin
):
    await reading.once()
    project_id = await town.value("SELECT id FROM project")
    await repositories.update(project_id, str(origin))
    assert reading.wake.is_set()
    assert await reading.once() == 0
    git_tree.git(origin, "rm", "-q", "-r", ".ona")
    git_tree.git(origin, "commit", "-q", "-m", "gone")
    await repositories.update(project_id, str(origin))
    assert await reading.once() == 1
    assert await town.rows(STATES) == [("nightly", "removed", ".ona/automations/nightly.yaml")]


async def test_what_can_not_be_read_is_said_and_nothing_is_removed(town, reading, origin):
    await reading.once()
    origin.rename(origin.with_name("elsewhere"))
    await due(town)
    assert await reading.once() == 1
    async with town.database.begin() as tx:
        (found,) = await folders.listed(tx)
    assert found["problem"]
    assert [state for _, state, _ in await town.rows(STATES)] == ["proposed"]
    origin.with_name("elsewhere").rename(origin)
    await due(town)
    await reading.once()
    async with town.database.begin() as tx:
        (found,) = await folders.listed(tx)
    assert not found["problem"]


async def test_a_folder_with_too_many_files_changes_nothing(town, reading, origin):
    await reading.once()
    git_tree.git(origin, "rm", "-q", ".ona/automations/nightly.yaml")
    many = {FOLDER + b"%d.yaml" % number: b"x: 1\n" for number in range(FILES_MAX + 1)}
    git_tree.write(origin, many)
    git_tree.git(origin, "add", "-A")
    git_tree.git(origin, "commit", "-q", "-m", "many")
    await due(town)
    await reading.once()
    assert [state for _, state, _ in await town.rows(STATES)] == ["proposed"]
    async with town.database.begin() as tx:
        (found,) = await folders.listed(tx)
    assert f"more than {FILES_MAX} files" in found["problem"]


async def test_a_file_that_is_too_large_is_wrong_and_removes_nothing(town, reading, origin):
    await reading.once()
    git_tree.write(origin, {FOLDER + b"nightly.yaml": HEAD + b"#" * BYTES_MAX})
    git_tree.git(origin, "add", "-A")
    git_tree.git(origin, "commit", "-q", "-m", "large")
    await due(town)
    await reading.once()
    assert [state for _, state, _ in await town.rows(STATES)] == ["proposed"]
    async with town.database.begin() as tx:
        (found,) = await folders.listed(tx)
    ((said,),) = [file["said"] for file in found["files"]]
    assert f"at most {BYTES_MAX:,} bytes" in said


async def test_a_project_that_was_removed_is_not_read(town, reading):
    await town.rows("UPDATE project SET removed_at = now() RETURNING id")
    assert await reading.once() == 0


async def test_a_host_with_a_mirror_goes_before_others(
    town, reading, repositories, origin, tmp_path
):
    other = Reading(town.database, Repositories(tmp_path / "others"))
    await reading.once()
    await due(town)
    assert await other.once() == 0
    assert await reading.once() == 1
    await town.rows(
        "UPDATE automation_folder SET look_at = now() - make_interval(secs => :s) RETURNING id",
        s=folders.GRACE_SECONDS + 1,
    )
    assert await other.once() == 1
