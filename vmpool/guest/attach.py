"""Somebody who follows a job: output from where they name, questions, at last the exit."""

import os
from typing import Any

from vmpool.guest.job import Job
from vmpool.guest.stream import Stream

CHUNK_BYTES = 64 * 1024


class Attachment:
    """Sends what the spool holds from the offsets on, as fast as the stream takes it.

    It ends after the exit frame, or when the stream closes; the job doesn't notice either.
    """

    def __init__(self, job: Job, stream: Stream, offsets: dict[str, int]) -> None:
        self._job = job
        self._stream = stream
        self._offsets = offsets
        self._ends: dict[str, int] | None = None
        self._asked: set[str] = set()
        self.over = False
        self._files: dict[str, int] = {}
        for name in offsets:
            self._files[name] = os.open(job.spools[name].path, os.O_RDONLY)
        job.listeners.append(self.pump)
        stream.on_drained = self.pump
        self.pump()

    def close(self) -> None:
        """Stop following; idempotent."""
        self.over = True
        if self.pump in self._job.listeners:
            self._job.listeners.remove(self.pump)
        for fd in self._files.values():
            os.close(fd)
        self._files = {}

    def pump(self) -> None:
        """Send what there is and fits."""
        if self.over:
            return
        if self._ends is None and self._job.state != "running":
            self._ends = {name: self._job.spools[name].length for name in self._offsets}
        self._questions()
        while not self._stream.congested and not self._stream.closed:
            if not any([self._send(name) for name in self._offsets]):
                break
        if self._ends is not None and not self._stream.closed and self._complete(self._ends):
            self._stream.send({"frame": "exit", "status": self._job.status()})
            self.close()

    def _complete(self, ends: dict[str, int]) -> bool:
        return all(self._offsets[name] >= end for name, end in ends.items())

    def _send(self, name: str) -> bool:
        offset = self._offsets[name]
        end = self._job.spools[name].length if self._ends is None else self._ends[name]
        if offset >= end or self._stream.closed:
            return False
        data = os.pread(self._files[name], min(CHUNK_BYTES, end - offset), offset)
        if not data:
            # The file is shorter than what was written to it: nothing better will come.
            self._offsets[name] = end
            return False
        self._offsets[name] = offset + len(data)
        self._stream.send({"frame": "output", "stream": name, "offset": offset}, data)
        return True

    def _questions(self) -> None:
        for question_id, question in list(self._job.questions.items()):
            if question_id not in self._asked:
                self._asked.add(question_id)
                self._stream.send({"frame": "question", **question.words()})


def offsets_of(request: dict[str, Any]) -> dict[str, int]:
    """Where to begin, per stream. :raises ValueError: negative or no number."""
    offsets = {name: int(request.get(f"{name}_offset", 0)) for name in ("stdout", "stderr")}
    if min(offsets.values()) < 0:
        raise ValueError("an offset is negative")
    return offsets
