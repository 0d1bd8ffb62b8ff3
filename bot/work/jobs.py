"""A harness's view of the jobs in one machine, over the machine's channel."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager

from adapters.agent.port import JobAsked, JobChunk, JobEnded
from vmpool.channel import Channel
from vmpool.errors import MachineError
from vmpool.jobs import JobExit, JobOutput, JobQuestion, JobSpec


@contextmanager
def _as_connection_error() -> Iterator[None]:
    """A harness knows one error: the way into the machine is lost."""
    try:
        yield
    except (MachineError, OSError) as error:
        raise ConnectionError(str(error)) from error


def _as_port(item: JobOutput | JobQuestion | JobExit) -> JobChunk | JobAsked | JobEnded:
    match item:
        case JobOutput():
            return JobChunk(stream=item.stream, offset=item.offset, data=item.data)
        case JobQuestion():
            return JobAsked(key=item.id, text=item.text, choices=item.choices)
        case JobExit():
            return JobEnded(
                exit_status=item.exit_status,
                signal=item.signal,
                seconds=item.seconds,
                dropped=item.dropped,
                background=item.background,
            )


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
    ) -> None:
        """See `adapters.agent.port.Jobs`."""
        with _as_connection_error():
            await self._channel.start_job(
                JobSpec(
                    id=job_id,
                    argv=tuple(argv),
                    cwd=directory,
                    env=dict(environment),
                    merge_stderr=merge_stderr,
                )
            )

    async def attach(
        self, job_id: str, *, stdout_offset: int, stderr_offset: int
    ) -> AsyncIterator[JobChunk | JobAsked | JobEnded]:
        """See `adapters.agent.port.Jobs`."""
        with _as_connection_error():
            async for item in self._channel.attach(
                job_id, stdout_offset=stdout_offset, stderr_offset=stderr_offset
            ):
                yield _as_port(item)

    async def send(self, job_id: str, *, offset: int, data: bytes) -> None:
        """See `adapters.agent.port.Jobs`."""
        with _as_connection_error():
            await self._channel.send_input(job_id, offset, data)

    async def answer(self, job_id: str, *, key: str, text: str) -> None:
        """See `adapters.agent.port.Jobs`."""
        with _as_connection_error():
            await self._channel.answer(job_id, key, text)

    async def stop(self, job_id: str, *, grace_seconds: float) -> None:
        """See `adapters.agent.port.Jobs`."""
        with _as_connection_error():
            await self._channel.stop_job(job_id, grace_seconds)

    def spool_path(self, job_id: str) -> str:
        """See `adapters.agent.port.Jobs`."""
        return f"/var/lib/ona/jobs/{job_id}/stdout"
