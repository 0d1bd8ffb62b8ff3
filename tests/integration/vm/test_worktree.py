"""Repository and checkpoint in a real machine: over its channel, as its agent."""

import os
from pathlib import Path
from uuid import UUID

import pytest

from bot.work.guest import ask
from bot.work.repository import Repositories, clone_into
from bot.work.undoing import MARKS
from tests.fakes import git_tree
from tests.fakes.kept_tree import Kept, save_in
from tests.integration.vm.conftest import Vm
from vmpool.channel import Channel

pytestmark = [
    pytest.mark.vm,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(600),  # the first test of all may have to build the image
]
PROJECT = UUID(int=1)
FIRST, SECOND = "/work/first", "/work/second"
WORK = r"""
cd /work/first
git config user.email a@b; git config user.name A
echo 1 > feature; git add feature; git commit -q -m Work
echo changed > README; printf x > "$(printf 'n\n\377')"; rm src/a; ln -s nowhere src/link
mkdir -p ~/.talk; echo '{}' > ~/.talk/1.jsonl
"""
LATER = """
cd /work/first
echo 2 > feature; git add -A; git commit -q -m Later
echo new > new; git branch aside; printf data > data
"""
SHOWN = "cd {} && cat .git/HEAD && git rev-parse HEAD && git status --porcelain=v2 -z -uall"


async def shown(channel: Channel, directory: str) -> bytes:
    script = SHOWN.format(directory)
    done = await channel.run(["sh", "-c", script], timeout_seconds=60)
    assert done.exit_status == 0, done
    return done.stdout


async def test_a_clone_is_worked_in_kept_and_put_back(vm: Vm, tmp_path: Path) -> None:
    channel = await vm.channel()
    origin = tmp_path / "origin"
    git_tree.make(origin, {b"README": b"hello\n", b"src/a": b"a", b"data": os.urandom(1_000_000)})
    repositories = Repositories(tmp_path / "mirrors")
    await repositories.update(PROJECT, str(origin))
    base = await repositories.base(PROJECT, None)
    for directory in (FIRST, SECOND):
        await clone_into(
            channel,
            repositories,
            PROJECT,
            base,
            branch="ona/s-1",
            directory=directory,
            origin_url="https://ada:token@forge.example/shop.git",
        )
    done = await channel.run(["sh", "-c", WORK], timeout_seconds=60)
    assert done.exit_status == 0, done
    kept: Kept = await save_in(channel, FIRST, files=[".talk/*"])
    assert kept.answer["result"] == "tree", kept.answer
    assert kept.answer["left_out"] == []
    request = {"directory": SECOND, "size": len(kept.payload)}
    answer = await ask(channel, "restore", request, timeout_seconds=60, payload=kept.chunks())
    assert (answer["result"], answer["changed"], answer["files"]) == ("restored", 4, 1), answer
    assert await shown(channel, SECOND) == await shown(channel, FIRST)
    same = await save_in(channel, SECOND, files=[".talk/*"], tree=kept.answer["tree"])
    assert same.answer == {"result": "same"}
    before = await shown(channel, FIRST)
    done = await channel.run(["sh", "-c", LATER], timeout_seconds=60)
    assert done.exit_status == 0, done
    assert await shown(channel, FIRST) != before
    back = {"base": "", "branch": "refs/heads/ona/s-1", "key": "k", "file_bytes_max": 1000}
    undo = {**back, "directory": FIRST, "size": len(kept.payload), "marks": list(MARKS)}
    answer = await ask(channel, "undo", undo, timeout_seconds=60, payload=kept.chunks())
    assert (answer["result"], answer["count"]) == ("undone", 3), answer
    assert await shown(channel, FIRST) == before
