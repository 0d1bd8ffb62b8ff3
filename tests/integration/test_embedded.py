"""The embedded PostgreSQL: its starts, its ends, and what it leaves alone."""

import asyncio
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from bot.errors import Unfit
from bot.store.embedded import EmbeddedPostgres
from tests.support.postgres import CARELESS, DEBIAN_15, wanted_version
from tests.support.postgres import embedded as embedded_of_this_run

CHILD = """
import asyncio, sys
from pathlib import Path
from bot.store.embedded import EmbeddedPostgres
programs = Path(sys.argv[3]) if sys.argv[3] else None
postgres = EmbeddedPostgres(Path(sys.argv[1]), version=sys.argv[2], programs=programs)
asyncio.run(postgres.start())
print("started", flush=True)
sys.stdin.read()
"""


def embedded(directory: Path, **options: str) -> EmbeddedPostgres:
    return embedded_of_this_run(directory, options={**CARELESS, **options})


@pytest.fixture
async def place(tmp_path):
    """A directory for a server; whatever runs there at the end is stopped."""
    directory = tmp_path / "pg"
    yield directory
    await EmbeddedPostgres(directory).stop()


@pytest.fixture(scope="module")
def kept_database(tmp_path_factory) -> Path:
    """The `data` of a server that was stopped."""
    directory = tmp_path_factory.mktemp("kept") / "pg"

    async def make() -> None:
        postgres = embedded(directory)
        await postgres.start()
        await postgres.stop()

    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, make()).result()
    return directory / "data"


@pytest.fixture
def used(place, kept_database) -> Path:
    """As `place`, with a database in it: making one is most of a first start."""
    return with_database(place, kept_database)


def with_database(directory: Path, kept: Path) -> Path:
    directory.mkdir(mode=0o700, parents=True)
    subprocess.run(["cp", "-a", kept, directory / "data"], check=True)
    return directory


async def query(url: str, statement: str):
    conninfo = url.replace("postgresql+psycopg://", "postgresql://", 1)
    async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as connection:
        cursor = await connection.execute(statement.encode())
        return await cursor.fetchall() if cursor.description else None


def server_pid(directory: Path) -> int:
    """What the pid file says; 0 while there is none."""
    try:
        return int((directory / "data" / "postmaster.pid").read_text().splitlines()[0])
    except (FileNotFoundError, IndexError):
        return 0


def servers_on(directory: Path) -> list[int]:
    """Every process whose command line has `-D <directory>/data`."""
    wanted = os.fsencode(directory / "data")
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().split(b"\0")
        except OSError:
            continue
        if wanted in words and words[0].endswith(b"/postgres"):
            found.append(int(entry.parent.name))
    return found


def capabilities(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (effective,) = (line.split()[1] for line in lines if line.startswith("CapEff"))
    return int(effective, 16)


async def test_the_first_start_makes_our_database_and_the_next_keeps_what_is_in_it(place):
    postgres = embedded(place)
    url = await postgres.start()
    assert url == postgres.url
    assert await query(url, "SELECT current_database()") == [("ona",)]
    ((version,),) = await query(url, "SHOW server_version")
    assert version.split(".")[0] == wanted_version()
    await query(url, "CREATE TABLE kept AS SELECT 7 AS seven")
    await postgres.stop()
    assert servers_on(place) == []
    again = embedded(place)
    assert await query(await again.start(), "SELECT seven FROM kept") == [(7,)]
    await again.stop()


async def test_the_same_object_starts_again_after_a_stop_and_a_second_stop_does_nothing(used):
    postgres = embedded(used)
    await postgres.start()
    await postgres.stop()
    await postgres.stop()
    assert await query(await postgres.start(), "SELECT 1") == [(1,)]


async def test_a_killed_server_is_recovered_by_the_next_start(used):
    postgres = embedded(used, fsync="on", synchronous_commit="on", full_page_writes="on")
    url = await postgres.start()
    await query(url, "CREATE TABLE kept AS SELECT 7 AS seven")
    os.kill(server_pid(used), signal.SIGKILL)
    again = embedded(used)
    assert await query(await again.start(), "SELECT seven FROM kept") == [(7,)]
    assert len(servers_on(used)) == 1
    await again.stop()
    await postgres.stop()


async def test_a_server_that_is_kept_comes_back_under_the_same_url(used):
    postgres = embedded(used)
    url = await postgres.start()
    before = server_pid(used)
    async with postgres.kept(), asyncio.timeout(100):
        os.kill(before, signal.SIGKILL)
        while server_pid(used) == before or postgres.find() is None:
            await asyncio.sleep(0.05)
    assert postgres.url == url
    assert await query(url, "SELECT 1") == [(1,)]


async def test_the_server_of_a_killed_process_is_adopted_and_can_be_stopped(used):
    programs = str(DEBIAN_15) if wanted_version() == "15" else ""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(used), wanted_version(), programs],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with child:
        assert child.stdout.readline() == b"started\n"
        before = server_pid(used)
        child.kill()
    postgres = embedded(used)
    assert await query(await postgres.start(), "SELECT 1") == [(1,)]
    assert servers_on(used) == [before]
    await postgres.stop()
    assert servers_on(used) == []


async def test_starts_at_the_same_time_share_one_server(place):
    urls = await asyncio.gather(*(embedded(place).start() for _ in range(3)))
    assert len(set(urls)) == 1
    assert len(servers_on(place)) == 1


async def test_a_server_whose_socket_was_removed_is_replaced(used):
    postgres = embedded(used)
    await postgres.start()
    before = server_pid(used)
    (used / ".s.PGSQL.5432").unlink()
    assert await query(await postgres.start(), "SELECT 1") == [(1,)]
    assert servers_on(used) == [server_pid(used)]
    assert server_pid(used) != before


async def test_a_pid_file_whose_pid_is_another_programs_by_now_stops_nothing(used):
    postgres = embedded(used)
    await postgres.start()
    left = (used / "data" / "postmaster.pid").read_text().splitlines()
    await postgres.stop()
    left[0] = str(os.getpid())
    (used / "data" / "postmaster.pid").write_text("\n".join(left) + "\n")
    assert await query(await postgres.start(), "SELECT 1") == [(1,)]


async def test_a_database_that_was_being_made_when_we_were_killed_is_made_again(place):
    (place / "data.new" / "base").mkdir(parents=True)
    assert await query(await embedded(place).start(), "SELECT 1") == [(1,)]
    assert not (place / "data.new").exists()


async def test_a_clean_stop_does_not_wait_for_those_who_are_connected(used):
    postgres = embedded(used)
    url = await postgres.start()
    conninfo = url.replace("postgresql+psycopg://", "postgresql://", 1)
    connection = await psycopg.AsyncConnection.connect(conninfo)
    await connection.execute("SELECT 1")
    async with asyncio.timeout(100):
        await postgres.stop()
    await connection.close()
    assert servers_on(used) == []


@pytest.mark.parametrize("mode", [0o755, 0o700, 0o711])
async def test_the_directory_above_keeps_its_mode_and_may_be_private(tmp_path, kept_database, mode):
    above = tmp_path / "above"
    postgres = embedded(with_database(above / "pg", kept_database))
    above.chmod(mode)
    assert await query(await postgres.start(), "SELECT 1") == [(1,)]
    await postgres.stop()
    assert above.stat().st_mode & 0o7777 == mode
    assert (above / "pg").stat().st_mode & 0o7777 == 0o700


async def test_nobody_else_may_reach_it_and_it_listens_on_no_port(used):
    used.chmod(0o755)
    url = await embedded(used).start()
    assert used.stat().st_mode & 0o777 == 0o700
    assert await query(url, "SHOW listen_addresses") == [("",)]


async def test_it_runs_without_privileges_and_outside_our_session(used):
    await embedded(used).start()
    pid = server_pid(used)
    assert capabilities(pid) == 0
    assert os.getsid(pid) == pid
    assert (used / "data").stat().st_uid == os.geteuid()


@pytest.mark.parametrize("name", ["l" * 120, "with, comma", "sp ace $HOME `x` 'q' %41"])
async def test_a_directory_that_is_no_place_for_a_socket_gets_a_private_one(tmp_path, name):
    directory = tmp_path / name
    postgres = embedded(directory)
    assert await query(await postgres.start(), "SELECT 1") == [(1,)]
    sockets = Path((directory / "socket").read_text().strip())
    assert sockets.stat().st_mode & 0o777 == 0o700
    assert len(os.fsencode(sockets)) < 60
    os.kill(server_pid(directory), signal.SIGKILL)
    assert await query(await postgres.start(), "SELECT 1") == [(1,)]
    assert Path((directory / "socket").read_text().strip()) == sockets
    await postgres.stop()
    assert not sockets.exists()


async def test_a_database_of_a_version_that_is_not_there_is_left_alone(place):
    (place / "data").mkdir(parents=True)
    (place / "data" / "PG_VERSION").write_text("14\n")
    with pytest.raises(Unfit, match=r"PostgreSQL 14.*nothing was changed.*ONA_DATABASE__URL"):
        await EmbeddedPostgres(place).start()
    assert [entry.name for entry in (place / "data").iterdir()] == ["PG_VERSION"]


async def test_a_server_that_can_not_start_says_why(used):
    postgres = embedded(used, shared_buffers="nonsense")
    with pytest.raises(Unfit, match=r"shared_buffers.*log"):
        await postgres.start()


async def test_root_without_user_namespaces_is_told_what_to_do(place, tmp_path, monkeypatch):
    refusing = tmp_path / "bin" / "unshare"
    refusing.parent.mkdir()
    refusing.write_text("#!/bin/sh\necho 'unshare failed: Operation not permitted'; exit 1\n")
    refusing.chmod(0o755)
    monkeypatch.setenv("PATH", f"{refusing.parent}:{os.environ['PATH']}")
    if os.geteuid() == 0:
        with pytest.raises(Unfit, match=r"not permitted.*run ona as a normal user"):
            await embedded(place).start()
    else:
        assert await query(await embedded(place).start(), "SELECT 1") == [(1,)]
