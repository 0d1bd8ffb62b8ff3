"""Running the programs that make an image: what their failures mean, and that none is left."""

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.family import family, is_running
from vmpool.errors import HostFull, HostUnfit
from vmpool.image_recipe.lock import exclusive, try_lock
from vmpool.image_recipe.programs import Failed, run

DEADLINE_SECONDS = 20


@pytest.fixture
def held() -> Iterator[int]:
    descriptor = os.open(os.devnull, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def sh(script: str) -> list[str]:
    return ["sh", "-c", script]


async def test_output_is_returned_and_lines_are_told_as_they_come(held: int) -> None:
    lines: list[str] = []
    words = await run(
        sh("printf 'one\\ntwo\\n' >&2; cat"), held=held, stdin=b"three\n", on_line=lines.append
    )
    assert words == "one\ntwo\nthree\n"
    assert lines == ["one", "two", "three"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("tar: ./usr: Cannot write: No space left on device", HostFull),
        ("mke2fs: Could not allocate block in ext2 filesystem", HostFull),
        ("cp: error writing: Disk quota exceeded", HostFull),
        ("W: Failed to fetch http://x/InRelease  Could not resolve 'x'", HostUnfit),
        ("E: Could not connect to 10.0.0.1:80 - connect (111: Connection refused)", HostUnfit),
        ("E: Unable to locate package ripgrep", Failed),
    ],
)
async def test_a_failure_is_told_by_who_can_mend_it(
    held: int, words: str, expected: type[Exception]
) -> None:
    with pytest.raises(expected) as caught:
        await run([*sh('echo "$0"; exit 3'), words], held=held)
    assert words.split(": ", 1)[-1] in str(caught.value)


async def test_cancelled_it_ends_the_whole_family(held: int, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"sleep 1000 & echo $! $$ > {pids}.new; mv {pids}.new {pids}; wait"
    task = asyncio.ensure_future(run(sh(script), held=held))
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not pids.exists():
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        for pid in pids.read_text().split():
            while is_running(pid):
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("steps", range(12))
async def test_cancelled_at_any_step_of_its_start_it_leaves_none_of_its_family(
    held: int, tmp_path: Path, steps: int
) -> None:
    born = tmp_path / "born"
    mark = {"ONA_TEST_FAMILY": str(tmp_path)}
    task = asyncio.ensure_future(
        run(sh(f"sleep 1000 & touch {born}; wait"), held=held, environment=mark)
    )
    for _ in range(steps):
        await asyncio.sleep(0)
    # Without the loop: it stands still at this step while the family grows.
    until = time.monotonic() + DEADLINE_SECONDS
    while family(mark) and not born.exists() and time.monotonic() < until:
        time.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(DEADLINE_SECONDS):
        while family(mark):
            await asyncio.sleep(0.01)


async def test_one_builds_and_the_other_is_told_to_wait(tmp_path: Path) -> None:
    order: list[str] = []
    inside, may_leave = asyncio.Event(), asyncio.Event()

    async def first() -> None:
        async with exclusive(tmp_path / "lock", on_wait=lambda: order.append("first waits")):
            inside.set()
            await may_leave.wait()
            order.append("first leaves")

    async def second() -> None:
        await inside.wait()
        async with exclusive(tmp_path / "lock", on_wait=may_leave.set):
            order.append("second is in")

    async with asyncio.timeout(DEADLINE_SECONDS), asyncio.TaskGroup() as group:
        group.create_task(first())
        group.create_task(second())
    assert order == ["first leaves", "second is in"]


async def test_what_a_builder_started_holds_the_lock_after_it(tmp_path: Path) -> None:
    async with exclusive(tmp_path / "lock", on_wait=lambda: None) as held:
        child = await asyncio.create_subprocess_exec(
            "cat", stdin=asyncio.subprocess.PIPE, pass_fds=(held,)
        )
    other = os.open(tmp_path / "lock", os.O_RDWR)
    try:
        assert not try_lock(other)
        await child.communicate(b"")
        assert try_lock(other)
    finally:
        os.close(other)
