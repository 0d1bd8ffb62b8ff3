"""The shell harness: a command, or every prompt as a script, run by bash in the machine.

The output is merged, streamed, and bounded: its beginning and its last part are events, the whole
lies in the job's spool. The cursor is {offset, shown}: bytes read and bytes of them shown.
"""

import codecs
from collections.abc import AsyncIterator

from adapters.agent.port import (
    Asked,
    Cursor,
    Emitted,
    Ended,
    JobAsked,
    JobChunk,
    JobEnded,
    Jobs,
    Output,
    OutputCut,
    Run,
    Task,
)

TAIL_BYTES = 16 * 1024
"""Of an output that is too long, how much of its end is shown."""


class ShellAgent:
    """Runs `!command` in any session, and every prompt of a session with `agent=shell`."""

    name = "shell"
    reads = False

    async def start(self, jobs: Jobs, task: Task, cursor: Cursor) -> Run:
        """Start bash with the task's text as its script; attach when it was started before."""
        await jobs.start(
            task.id,
            ["/bin/bash", "-lc", task.text],
            directory=task.directory,
            environment=task.environment,
            merge_stderr=True,
        )
        return ShellRun(jobs, task, cursor)


class ShellRun:
    """One script's run."""

    def __init__(self, jobs: Jobs, task: Task, cursor: Cursor) -> None:
        """Read on at `cursor`."""
        self._jobs = jobs
        self._task = task
        self._offset = int(cursor.get("offset", 0))
        self._shown = int(cursor.get("shown", 0))
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._tail = b""

    async def events(self) -> AsyncIterator[Emitted]:
        """Output as it comes, questions, what was cut, the end."""
        async for item in self._jobs.attach(
            self._task.id, stdout_offset=self._offset, stderr_offset=0
        ):
            match item:
                case JobChunk():
                    text = self._show(item)
                    if text:
                        yield self._emit(Output(stream="stdout", text=text))
                case JobAsked():
                    yield self._emit(
                        Asked(key=item.key, text=item.text, choices=tuple(item.choices))
                    )
                case JobEnded():
                    for event in self._end(item):
                        yield self._emit(event)
                    return

    async def answer(self, key: str, text: str) -> None:
        """Hand the answer to the program that asked."""
        await self._jobs.answer(self._task.id, key=key, text=text)

    async def cancel(self, *, grace_seconds: float) -> None:
        """End the script and everything it started."""
        await self._jobs.stop(self._task.id, grace_seconds=grace_seconds)

    async def close(self) -> None:
        """Let go; the script runs on."""

    def _emit(self, event: Output | OutputCut | Asked | Ended) -> Emitted:
        undecoded = len(self._decoder.getstate()[0])
        return Emitted(
            event=event,
            cursor={
                "offset": self._offset - undecoded,
                "shown": max(0, self._shown - undecoded),
            },
        )

    def _show(self, chunk: JobChunk) -> str:
        data = chunk.data[max(0, self._offset - chunk.offset) :]
        self._offset += len(data)
        room = max(0, self._task.output_bytes_max - self._shown)
        self._shown += min(room, len(data))
        self._tail = (self._tail + data[room:])[-TAIL_BYTES:]
        return self._decoder.decode(data[:room])

    def _end(self, job: JobEnded) -> list[Output | OutputCut | Ended]:
        events: list[Output | OutputCut | Ended] = []
        rest = self._decoder.decode(b"", final=True)
        if rest:
            events.append(Output(stream="stdout", text=rest))
        cut = self._offset - self._shown - len(self._tail) + job.dropped
        if cut > 0:
            where = self._jobs.spool_path(self._task.id)
            events.append(OutputCut(bytes=cut, where=where))
        if self._tail:
            tail = self._tail.decode("utf-8", errors="replace")
            events.append(Output(stream="stdout", text=tail))
            self._tail = b""
        self._shown = self._offset
        events.append(
            Ended(
                succeeded=job.exit_status == 0,
                summary=_summary(job),
                exit_status=job.exit_status,
                signal=job.signal,
                seconds=job.seconds,
                left_running=job.background,
            )
        )
        return events


def _summary(job: JobEnded) -> str:
    if job.failure is not None:
        how = job.failure
    elif job.signal is not None:
        how = f"ended by signal {job.signal}"
    else:
        how = f"exit status {job.exit_status}"
    processes = "process" if job.background == 1 else "processes"
    left = f", {job.background} {processes} left running" if job.background else ""
    return f"{how}, {job.seconds:.1f} s{left}"
