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


class TestServer:
    """A running PostgreSQL; not to be used by several threads at once."""

    __test__ = False

    def __init__(self, maintenance_url: str) -> None:
        self._maintenance_url = maintenance_url
        self._connection: psycopg.Connection[Any] | None = None

    def execute(self, statement: str) -> list[Any]:
        """Run it; the rows of a query."""
        if self._connection is None or self._connection.closed:
            conninfo = _conninfo(self._maintenance_url)
            self._connection = psycopg.connect(conninfo, autocommit=True)
        cursor = self._connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def url_of(self, database: str) -> str:
        return self._maintenance_url.replace("@/postgres?", f"@/{database}?", 1)

    def create(self, *, template: str | None = None) -> str:
        """A new database's name."""
        name = new_name()
        copied = f" TEMPLATE {template} STRATEGY FILE_COPY" if template else ""
        self.execute(f"CREATE DATABASE {name}{copied}")
        return name

    def drop(self, name: str) -> None:
        self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    @contextmanager
    def database(self) -> Iterator[str]:
        """A new, empty database; yields its name."""
        name = self.create()
        try:
            yield name
        finally:
            self.drop(name)

    @contextmanager
    def migrated(self) -> Iterator[str]:
        """A new database with our tables; yields its name."""
        with self.database() as name:
            upgrade(self.url_of(name))
            yield name


def new_name() -> str:
    """A name that no database had before."""
    return f"t{uuid.uuid4().hex[:12]}"


def _conninfo(url: str) -> str:
    return url.replace("postgresql+psycopg://", "postgresql://", 1)


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
        running = TestServer(postgres.maintenance_url())
        yield running
        running.close()
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
