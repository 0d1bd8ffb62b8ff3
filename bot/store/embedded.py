"""The PostgreSQL that `ona up` brings along: the programs of a wheel, started by ourselves.

    <directory>/data      the database; made under another name and renamed when it is complete
    <directory>/log       what the server says
    <directory>/socket    where its socket is, see `postgres_sockets`

    no server ─▶ ready ─▶ stopped (fast, then immediate, then killed)
        │
        ├─ a server of an earlier process runs here: it is adopted, never doubled
        └─ its pid file is left over: PostgreSQL recovers; the file goes if the pid is another's now

The server listens on a Unix socket only and trusts whoever reaches it: the socket is in a directory
of mode 0700, so that is our user and root, who could read the files of the database as well. A
password would have to lie beside them. Directories that are not ours keep the modes they have.

PostgreSQL refuses to run as root. Then it runs in a user namespace, where it is nobody: no user is
made for it, and its files stay ours.
"""

import asyncio
import contextlib
import fcntl
import os
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import structlog

from bot.errors import Unfit
from bot.store.postgres_log import why_it_ended
from bot.store.postgres_process import PID_FILE, end_server, is_server, read_pid_file, reap
from bot.store.postgres_programs import ENVIRONMENT, as_nobody, bundled_programs, run
from bot.store.postgres_sockets import (
    SOCKET_NAME,
    USER,
    choose_socket_dir,
    conninfo_of,
    forget_socket_dir,
    url_of,
)
from bot.store.servers import spawn

log = structlog.get_logger(__name__)

DATABASE = "ona"
START_SECONDS_MAX = 60.0
"""Time for a start, a recovery after a crash included."""
POLL_SECONDS = 0.02
KEEP_SECONDS = 1.0

OPTIONS: Mapping[str, str] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "32MB",
    "max_wal_size": "256MB",
    "log_min_messages": "warning",
    "timezone": "UTC",
    "jit": "off",
}


class EmbeddedPostgres:
    """One server on one directory; `start` and `stop` may be called again and again."""

    def __init__(
        self,
        directory: Path,
        *,
        version: str = "18",
        programs: Path | None = None,
        options: Mapping[str, str] | None = None,
    ) -> None:
        """Keep the server in `directory`; a database that is there keeps the version it has.

        :param version: of a new database, one of those in the wheel
        :param programs: directory of `postgres` and `initdb` to use instead of the wheel's
        :param options: server settings that differ from ours
        """
        self._directory = directory.absolute()
        self._data = self._directory / "data"
        self._version = version
        self._programs = programs
        self._options = {**OPTIONS, **(options or {})}
        self._socket_dir: Path | None = None
        self._child: int | None = None

    @property
    def url(self) -> str:
        """For SQLAlchemy. :raises RuntimeError: before `start`."""
        return url_of(self._sockets(), DATABASE)

    def maintenance_url(self) -> str:
        """The url of the database `postgres`, from which others can be made and dropped."""
        return url_of(self._sockets(), "postgres")

    async def start(self) -> str:
        """Return the url of a server that answers, an already running one included.

        :raises Unfit: it can't run here; the text says why and what to do
        """
        self._make_directory()
        try:
            async with asyncio.timeout(START_SECONDS_MAX), self._starting():
                while (pid := self._running_pid()) is not None:
                    if await self._adopts(pid):
                        return self.url
                    await end_server(pid, self._data)
                await self._start_new()
                return self.url
        except TimeoutError:
            raise Unfit(
                f"PostgreSQL was not ready within {START_SECONDS_MAX:.0f} s",
                kept="it goes on starting",
                do=f"try again; if that fails too, look at {self._directory / 'log'}",
            ) from None

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """While inside, start the server again whenever it has ended by itself."""
        keeping = asyncio.create_task(self._keep())
        try:
            yield
        finally:
            keeping.cancel()
            await asyncio.wait({keeping})

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(KEEP_SECONDS)
            if self._child is not None:
                reap(self._child)
            if self._running_pid() is None:
                log.error("database_ended", directory=str(self._directory))
                # Not half a start: nobody would know of the server that comes of it.
                again = asyncio.create_task(self._start_again())
                try:
                    await asyncio.shield(again)
                finally:
                    await asyncio.wait({again})

    async def _start_again(self) -> None:
        try:
            await self.start()
        except (Unfit, psycopg.Error, OSError) as error:
            log.error("database_away", why=str(error))

    def find(self) -> str | None:
        """The url of the server that runs here; None: none does. Starts nothing."""
        found = read_pid_file(self._data)
        if found is None or not found.ready or not is_server(found.pid, self._data):
            return None
        return url_of(found.socket_dir, DATABASE)

    async def stop(self) -> None:
        """End the server: fast, then immediate, then killed. Nothing runs: nothing to do."""
        pid = self._running_pid()
        if pid is not None:
            await end_server(pid, self._data)
        if self._child is not None:
            reap(self._child)
        self._child = None
        forget_socket_dir(self._directory)

    def _sockets(self) -> Path:
        if self._socket_dir is None:
            raise RuntimeError("the embedded PostgreSQL was not started")
        return self._socket_dir

    def _make_directory(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = self._directory.stat()
        if found.st_uid != os.geteuid():
            raise Unfit(
                f"{self._directory} belongs to another user",
                do="choose another ONA_DATA_DIR, or run as that user",
            )
        if found.st_mode & 0o777 != 0o700:
            self._directory.chmod(0o700)

    @asynccontextmanager
    async def _starting(self) -> AsyncIterator[None]:
        """One start at a time on a directory, whichever process it is of."""
        descriptor = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    await asyncio.sleep(POLL_SECONDS)
            yield
        finally:
            os.close(descriptor)

    async def _adopts(self, pid: int) -> bool:
        """Whether the server of an earlier process answers; it is ours then.

        It may be ending, or its socket may have been removed: no.
        """
        while (found := read_pid_file(self._data)) is None or not found.ready:
            if not is_server(pid, self._data):
                return False
            await asyncio.sleep(POLL_SECONDS)
        self._socket_dir = found.socket_dir
        try:
            await self._make_database()
        except psycopg.OperationalError:
            return False
        return True

    async def _start_new(self) -> None:
        if self._child is not None:
            reap(self._child)
        programs = self._find_programs()
        wrap = await as_nobody(programs) if os.geteuid() == 0 else []
        if not self._data.exists():
            await self._init(programs, wrap)
        self._socket_dir = choose_socket_dir(self._directory)
        self._drop_foreign_locks()
        await self._launch(programs, wrap)
        await self._make_database()

    def _running_pid(self) -> int | None:
        found = read_pid_file(self._data)
        return found.pid if found is not None and is_server(found.pid, self._data) else None

    def _drop_foreign_locks(self) -> None:
        """Remove pid files whose pid is another program's by now: PostgreSQL would not start.

        Backends that outlived their server are still seen: PostgreSQL looks for the shared memory
        of this directory too.
        """
        for lock in (self._data / PID_FILE, self._sockets() / f"{SOCKET_NAME}.lock"):
            with contextlib.suppress(FileNotFoundError, ValueError):
                pid = int(lock.read_text().split("\n", 1)[0])
                if Path(f"/proc/{pid}").exists() and not is_server(pid, self._data):
                    lock.unlink()

    def _find_programs(self) -> Path:
        if self._programs is not None:
            return self._programs
        version = self._version
        with contextlib.suppress(FileNotFoundError):
            version = (self._data / "PG_VERSION").read_text().strip()
        try:
            return bundled_programs(version)
        except LookupError:
            raise Unfit(
                f"the database in {self._directory} is of PostgreSQL {version}, which this "
                "version of ona does not bring",
                kept="nothing was changed",
                do="dump it with the earlier version of ona, or set ONA_DATABASE__URL",
            ) from None

    async def _init(self, programs: Path, wrap: Sequence[str]) -> None:
        new = self._directory / "data.new"
        if new.exists():
            await asyncio.to_thread(shutil.rmtree, new)
        # LC_COLLATE=C.UTF-8 of glibc sorts by code point and never changes with the system.
        options = ["-U", USER, "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8"]
        if self._options.get("fsync") == "off":
            options.append("--no-sync")
        status, said = await run([*wrap, str(programs / "initdb"), *options, "-D", str(new)])
        if status != 0:
            raise Unfit(f"the database could not be made: {said}", do="mend that and start again")
        new.rename(self._data)

    async def _launch(self, programs: Path, wrap: Sequence[str]) -> None:
        """Start the server; again while backends of a killed one are still ending."""
        while not await self._comes_up(self._spawn(programs, wrap)):
            said = why_it_ended((self._directory / "log").read_text(errors="replace"))
            if "still in use" not in said:
                raise Unfit(
                    f"PostgreSQL did not start: {said}",
                    kept="the database is as it was",
                    do=f"look at {self._directory / 'log'}",
                )
            await asyncio.sleep(POLL_SECONDS * 5)

    def _spawn(self, programs: Path, wrap: Sequence[str]) -> int:
        options = {**self._options, "unix_socket_directories": str(self._sockets())}
        argv = [
            *wrap,
            str(programs / "postgres"),
            "-D",
            str(self._data),
            *(part for key, value in options.items() for part in ("-c", f"{key}={value}")),
        ]
        self._child = spawn(argv, ENVIRONMENT, self._directory / "log")
        return self._child

    async def _comes_up(self, child: int) -> bool:
        while not reap(child):
            found = read_pid_file(self._data)
            if found is not None and found.pid == child and found.ready:
                return True
            await asyncio.sleep(POLL_SECONDS)
        return False

    async def _make_database(self) -> None:
        """Connect, and make our database where it is missing."""
        connection = await psycopg.AsyncConnection.connect(
            conninfo_of(self.maintenance_url()), autocommit=True
        )
        async with connection:
            known = await connection.execute(
                "SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]
            )
            if await known.fetchone() is None:
                await connection.execute(f"CREATE DATABASE {DATABASE}")
