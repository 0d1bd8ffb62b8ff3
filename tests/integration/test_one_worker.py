"""Two `ona work` on one host directory, as real processes: the second leaves everything alone."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bot.errors import Refused
from bot.host import NICENESS
from bot.store.ids import new_id
from tests.integration.conftest import Town
from tests.support.shift import until

ROOT = Path(__file__).parents[2]
WAIT_SECONDS_MAX = 280
UP = "SELECT host_id FROM relay"
"""The last that a host writes at its start."""
TABLES = ("host", "relay", "machine", "template", "session", "prompt", "turn", "turn_event")


@asynccontextmanager
async def working(town: Town, data: Path) -> AsyncIterator[Process]:
    """`ona work` on a data directory, of a host that lacks a hypervisor."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ONA_")}
    variables = {
        "ONA_DATA_DIR": str(data),
        "ONA_DATABASE__URL": town.database.url,
        "ONA_MACHINE__HYPERVISOR": "qemu",
        "ONA_MACHINE__ACCELERATOR": "tcg",
        "ONA_MACHINE__QEMU": str(data / "no-qemu"),
        "ONA_MACHINE__ISOLATED": "false",
        "ONA_POOL__ENABLED": "false",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.fakes.ona_work"),
        cwd=ROOT,
        env={**kept, **variables},
        stdout=PIPE,
        stderr=STDOUT,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def seen(town: Town, data: Path) -> tuple[dict[Path, object], dict[str, list[tuple]]]:
    """Every file of a data directory, and every row that a host writes or works on."""
    files = {
        path: (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else None)
        for path in data.rglob("*")
    }
    rows = {name: await town.rows(f"SELECT * FROM {name} ORDER BY 1, 2") for name in TABLES}
    return files, rows


async def test_the_second_of_two_workers_on_a_host_directory_touches_nothing(
    town: Town, tmp_path: Path
) -> None:
    data = tmp_path / "ona"
    left = data / "host" / "machines" / str(new_id())
    async with asyncio.timeout(WAIT_SECONDS_MAX), working(town, data) as first:
        await until(town, UP, bool)
        niceness = os.getpriority(os.PRIO_PROCESS, first.pid)
        assert niceness == min(19, os.getpriority(os.PRIO_PROCESS, 0) + NICENESS), "it gives way"
        # From here on whatever changes is the other one's doing.
        first.send_signal(signal.SIGSTOP)
        # What a start would take up: a prompt that waits, and files that no row owns.
        await town.say("!true")
        left.mkdir(parents=True)
        before = await seen(town, data)
        async with working(town, data) as second:
            said, _ = await second.communicate()
        assert second.returncode == Refused.exit_code
        assert said.decode().strip().splitlines()[-1] == (
            f"ona: `ona work` already runs on {data / 'host'} (process {first.pid})."
            " Stop it first, or choose another ONA_DATA_DIR."
        )
        assert await seen(town, data) == before

        first.kill()
        await first.wait()
        async with working(town, data) as third:
            await until(town, "SELECT state FROM turn", lambda rows: rows == [("failed",)])
            assert (data / "host" / "work.lock").read_text() == f"{third.pid}\n"
            assert not left.exists()
    assert await town.value("SELECT outcome ->> 'summary' FROM turn")
