"""A worker process without machines: its jobs run under a guest program on this host.

Run as `python work_process.py URL JOB_SOCKET HOST_ID OWNER LEASE_SECONDS`. It is killed and frozen
by tests; everything it does goes through the real queue, turn, recorder and shell harness.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from uuid import UUID

from adapters.agent.port import JobChunk, JobEnded
from adapters.agent.shell import ShellAgent
from bot.store.database import CONTROL, READY, Database, Listener
from bot.supervisor import Signals
from bot.work.lease import Lease, OpenTurn
from bot.work.queue import Event
from bot.work.turn_means import Means, TurnLimits
from bot.work.turns import Turns
from bot.work.work_queue import WorkQueue
from bot.work.worker import Worker, WorkerLimits
from bot.work.workplace import Tell, Workplace
from vmpool.errors import MachineError
from vmpool.jobs import JobConnection, JobExit, JobOutput, JobSpec, order_of, status_of


@contextmanager
def as_connection_error():
    try:
        yield
    except (MachineError, OSError) as error:
        raise ConnectionError(str(error)) from error


class SocketJobs:
    """The jobs of a guest program whose job server is a socket of this host."""

    def __init__(self, path: str) -> None:
        self._path = path

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[JobConnection]:
        with as_connection_error():
            reader, writer = await asyncio.open_unix_connection(self._path)
            try:
                yield JobConnection(reader, writer)  # type: ignore[arg-type]
            finally:
                writer.close()

    async def start(
        self,
        job_id: str,
        argv: Sequence[str],
        *,
        directory: str,
        environment: Mapping[str, str],
        merge_stderr: bool,
    ) -> None:
        spec = JobSpec(
            id=job_id,
            argv=tuple(argv),
            cwd=directory,
            env={**environment, "HOME": "/"},
            user="root",
            merge_stderr=merge_stderr,
        )
        async with self._connection() as connection:
            await connection.request("start", **order_of(spec))

    async def attach(
        self, job_id: str, *, stdout_offset: int, stderr_offset: int
    ) -> AsyncIterator[JobChunk | JobEnded]:
        offsets = {"stdout_offset": stdout_offset, "stderr_offset": stderr_offset}
        async with self._connection() as connection:
            async for item in connection.attach(job_id, offsets):
                match item:
                    case JobOutput():
                        yield JobChunk(stream=item.stream, offset=item.offset, data=item.data)
                    case JobExit(status=status):
                        yield JobEnded(
                            exit_status=status.exit_status,
                            signal=status.signal,
                            seconds=status.seconds,
                            dropped=status.stdout_dropped,
                        )

    async def send(self, job_id: str, *, offset: int, data: bytes) -> None:
        raise AssertionError("the shell harness sends no input")

    async def answer(self, job_id: str, *, key: str, text: str) -> None:
        async with self._connection() as connection:
            await connection.request("answer", job=job_id, question=key, text=text)

    async def stop(self, job_id: str, *, grace_seconds: float) -> None:
        async with self._connection() as connection:
            await connection.request("stop", job=job_id, grace_seconds=grace_seconds)

    async def alive(self) -> list[str]:
        async with self._connection() as connection:
            jobs = (await connection.request("list"))["jobs"]
        return [status.id for status in map(status_of, jobs) if status.processes]

    def spool_path(self, job_id: str) -> str:
        return f"/jobs/{job_id}/stdout"


class NoMaterials:
    async def put(self, turn: str, name: str, data: bytes) -> str:
        raise AssertionError("nothing is quoted here")


class SocketWorkplaces:
    """One workplace for every session."""

    def __init__(self, path: str) -> None:
        self._jobs = SocketJobs(path)

    @asynccontextmanager
    async def enter(
        self, lease: Lease, turn: OpenTurn | None, tell: Tell
    ) -> AsyncIterator[Workplace]:
        yield Workplace(jobs=self._jobs, directory="/", materials=NoMaterials())

    async def checkpoint(self, lease: Lease, turn: OpenTurn, place: Workplace) -> list[Event]:
        return []


async def main(url: str, path: str, host_id: str, owner: str, lease_seconds: str) -> None:
    signals = Signals()
    signals.install()
    database, listener = Database(url, connections_max=5), Listener(url, READY, CONTROL)
    listening = asyncio.create_task(listener.run())
    queue = WorkQueue(
        database, owner=owner, host_id=UUID(host_id), lease_seconds=float(lease_seconds)
    )
    limits = TurnLimits(seconds_max=60, output_bytes_max=1 << 20, question_seconds_max=60)
    turns = Turns(
        Means(
            queue=queue,
            workplaces=SocketWorkplaces(path),
            agents={"shell": ShellAgent()},
            limits=limits,
        )
    )
    worker = Worker(
        queue,
        turns,
        listener,
        WorkerLimits(turns_max=4, poll_seconds=1, finish_seconds=1),
    )
    print(f"begun {owner}", flush=True)
    await worker.run(signals.stop, signals.now)
    listening.cancel()
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
