"""`ona setup` on a terminal, answered by a person."""

import asyncio
import os
import pty
import sys
from pathlib import Path

from tests.integration.web.site import BAD_REPOSITORY
from tests.support import offline


async def test_setup_tests_each_step_can_be_skipped_and_follows_a_first_prompt(site, tmp_path):
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", "setup"),
        cwd=tmp_path,
        env={
            **os.environ,
            "ONA_URL": site.url,
            "ONA_TOKEN": site.token,
            "ONA_DATA_DIR": str(tmp_path / "data"),
            "PYTHONPATH": offline.path(Path(__file__).parents[3]),
        },
        stdin=theirs,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    os.close(theirs)
    os.write(ours, f"{BAD_REPOSITORY}\n\n/srv/web\n\n\ny\n".encode())
    async with asyncio.timeout(100):
        while not await site.rows("SELECT id FROM prompt"):
            await asyncio.sleep(0.05)
    work = await site.begin()
    await work.output("first commit\n")
    await work.end()
    out, _ = await asyncio.wait_for(process.communicate(), 100)
    os.close(ours)
    said = out.decode()
    assert process.returncode == 0, said
    assert "/srv/empty is no repository; give another address" in said
    assert "Read and added as web." in said
    assert "/sign-in?link=" in said
    assert "first commit" in said


async def test_setup_without_a_terminal_says_what_to_type(site, tmp_path):
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", "setup"),
        cwd=tmp_path,
        env={
            **os.environ,
            "ONA_URL": site.url,
            "ONA_TOKEN": site.token,
            "ONA_DATA_DIR": str(tmp_path / "data"),
            "PYTHONPATH": offline.path(Path(__file__).parents[3]),
        },
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await asyncio.wait_for(process.communicate(), 100)
    assert process.returncode == 0
    assert b"ona projects add NAME URL" in out
    assert b"ona ask '!git log --oneline -3'" in out
