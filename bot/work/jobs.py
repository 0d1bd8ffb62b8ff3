"""A harness's view of the jobs in one machine, over the machine's channel."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import assert_never

from adapters.agent.port import JobAsked, JobChunk, JobEnded, JobRefused
from bot.words.catalogue import gettext as _
from vmpool import errors
from vmpool.channel import Channel
from vmpool.errors import MachineError
from vmpool.jobs import (
    SPOOL_DIRECTORY,
    JobEvent,
    JobExit,
    JobLimits,
    JobOutput,
    JobQuestion,
    JobSpec,
    JobState,
    JobStatus,
)

SPOOL_BYTES_MAX = 256 * 1024 * 1024
"""Of each stream of a job; what a command writes beyond is counted and dropped."""


@contextmanager
def _errors() -> Iterator[None]:
    """A harness knows two errors: the machine says no, or the way into it is lost."""
    try:
        yield
    except errors.JobRefused as error:
        raise JobRefused(str(error)) from error
    except (MachineError, OSError) as error:
        raise ConnectionError(str(error)) from error


def _as_port(item: JobEvent) -> JobChunk | JobAsked | JobEnded:
    match item:
        case JobOutput(stream=stream, offset=offset, data=data):
            return JobChunk(stream=stream, offset=offset, data=data)
        case JobQuestion(question_id=key, text=text, choices=choices):
            return JobAsked(key=key, text=text, choices=tuple(choices))
        case JobExit(status=status):
            return JobEnded(
                exit_status=status.exit_status,
                signal=status.signal,
                failure=_failure(status),
                seconds=status.seconds,
                dropped=status.stdout_dropped + status.stderr_dropped,
                background=status.processes,
            )
        case _:
            assert_never(item)


def _failure(status: JobStatus) -> str | None:
    if status.state is JobState.LOST:
        return _("the machine lost its memory while it ran")
    if status.out_of_memory:
        return _("the machine had no memory left for it")
    return status.failure


class ChannelJobs:
    """The jobs of one machine, as a harness needs them, over its channel."""

    def __init__(self, channel: Channel) -> None:
        """Use `channel` until it is lost."""
        self._channel = channel

    async def start(
        self,
        job_id: str,
        argv: Sequence[str],
        *,
        directory: str,
        environment: Mapping[str, str],
        merge_stderr: bool,
        feeds: bool = False,
    ) -> int:
        """See `adapters.agent.port.Jobs`."""
        with _errors():
            status = await self._channel.start_job(
                JobSpec(
                    id=job_id,
                    argv=tuple(argv),
                    cwd=directory,
                    env=dict(environment),
                    merge_stderr=merge_stderr,
                    input=feeds,
                    limits=JobLimits(spool_bytes_max=SPOOL_BYTES_MAX),
                )
            )
            return status.input_offset

    async def attach(
        self, job_id: str, *, stdout_offset: int, stderr_offset: int
    ) -> AsyncIterator[JobChunk | JobAsked | JobEnded]:
        """See `adapters.agent.port.Jobs`."""
        with _errors():
            async for item in self._channel.attach(
                job_id, stdout_offset=stdout_offset, stderr_offset=stderr_offset
            ):
                yield _as_port(item)

    async def send(self, job_id: str, *, offset: int, data: bytes) -> None:
        """See `adapters.agent.port.Jobs`."""
        with _errors():
            await self._channel.send_input(job_id, offset, data)

    async def end_input(self, job_id: str) -> None:
        """See `adapters.agent.port.Jobs`."""
        with _errors():
            await self._channel.close_input(job_id)

    async def answer(self, job_id: str, *, key: str, text: str) -> None:
        """See `adapters.agent.port.Jobs`."""
        with _errors():
            await self._channel.answer(job_id, key, text)

    async def stop(self, job_id: str, *, grace_seconds: float) -> None:
        """See `adapters.agent.port.Jobs`."""
        with _errors():
            await self._channel.stop_job(job_id, grace_seconds)

    async def alive(self) -> Sequence[str]:
        """See `bot.work.workplace.MachineJobs`."""
        with _errors():
            return [job.id for job in await self._channel.jobs() if job.processes]

    def spool_path(self, job_id: str) -> str:
        """See `adapters.agent.port.Jobs`."""
        return f"{SPOOL_DIRECTORY}/{job_id}/stdout"
