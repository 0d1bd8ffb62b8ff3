"""One PostgreSQL for a run of the tests, a fresh database for each test that wants one.

ONA_TEST_POSTGRES_VERSION chooses it: 18 or 16 of the wheel, 15 of Debian's package.
"""

import asyncio
import os
import re
import shutil
import tempfile
import threading
import uuid
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from bot.store.embedded import EmbeddedPostgres
from bot.store.migrate import upgrade

PREFIX = "ona-test-postgres-"
OWNED = re.compile(re.escape(PREFIX) + r"(\d+)-(\d+)-")
DEBIAN_15 = Path("/usr/lib/postgresql/15/bin")
IN_MEMORY = Path("/dev/shm")
IN_MEMORY_BYTES_MIN = 1 << 30
CARELESS = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


@dataclass(frozen=True, kw_only=True)
class TestServer:
    """A running PostgreSQL."""

    __test__ = False

    maintenance_url: str

    def execute(self, statement: str) -> None:
        conninfo = self.maintenance_url.replace("postgresql+psycopg://", "postgresql://", 1)
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute(statement.encode())

    def url_of(self, database: str) -> str:
        return self.maintenance_url.replace("@/postgres?", f"@/{database}?", 1)

    @contextmanager
    def database(self, *, template: str | None = None) -> Iterator[str]:
        """A new database; yields its name."""
        name = f"t{uuid.uuid4().hex[:12]}"
        copied = f" TEMPLATE {template} STRATEGY FILE_COPY" if template else ""
        self.execute(f"CREATE DATABASE {name}{copied}")
        try:
            yield name
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    @contextmanager
    def migrated(self) -> Iterator[str]:
        """A new database with our tables; yields its name."""
        with self.database() as name:
            upgrade(self.url_of(name))
            yield name


def wanted_version() -> str:
    return os.environ.get("ONA_TEST_POSTGRES_VERSION", "18")


def embedded(directory: Path, **options: Any) -> EmbeddedPostgres:
    """The server that this run is to be tested on."""
    version = wanted_version()
    if version == "15":
        return EmbeddedPostgres(directory, programs=DEBIAN_15, **options)
    return EmbeddedPostgres(directory, version=version, **options)


@contextmanager
def server() -> Iterator[TestServer]:
    """A server of this run alone; ends and removes what crashed runs left behind."""
    _sweep()
    me = os.getpid()
    directory = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{me}-{_started(me)}-", dir=_places()[0]))
    postgres = embedded(directory, options=CARELESS)
    try:
        _run(postgres.start())
        yield TestServer(maintenance_url=postgres.maintenance_url())
    finally:
        _run(postgres.stop())
        shutil.rmtree(directory)


def _places() -> list[Path]:
    """Where servers of tests may lie, the best first: memory makes a database in a tenth."""
    usual = [Path(tempfile.gettempdir())]
    if not os.access(IN_MEMORY, os.W_OK):
        return usual
    room = os.statvfs(IN_MEMORY)
    roomy = room.f_bavail * room.f_frsize >= IN_MEMORY_BYTES_MIN
    return [IN_MEMORY, *usual] if roomy else [*usual, IN_MEMORY]


def _sweep() -> None:
    for directory in (found for place in _places() for found in place.glob(f"{PREFIX}*")):
        owner = OWNED.match(directory.name)
        if owner is not None and _started(int(owner[1])) != int(owner[2]):
            _run(EmbeddedPostgres(directory).stop())
            shutil.rmtree(directory, ignore_errors=True)


def _started(pid: int) -> int | None:
    """When the process started, in clock ticks since boot; None: there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[19])


def _run(work: Coroutine[Any, Any, Any]) -> None:
    """Run it in a loop of its own thread: the loop of the test is none of its business."""
    failed: list[BaseException] = []

    def main() -> None:
        try:
            asyncio.run(work)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=main)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
