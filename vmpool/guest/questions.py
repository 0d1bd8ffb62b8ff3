"""job.sock: any process of a job may ask a person; the kernel says whose process it is."""

import socket
from typing import Any

from vmpool.guest.job import Job, Question
from vmpool.guest.jobs import Jobs
from vmpool.guest.loop import READ, Loop
from vmpool.guest.settings import Settings
from vmpool.guest.stream import Stream, accept, listen


class Questions:
    """Accepts whoever asks on job.sock."""

    def __init__(self, loop: Loop, settings: Settings, jobs: Jobs) -> None:
        self._loop = loop
        self._settings = settings
        self._jobs = jobs
        self._askers: set[Asker] = set()
        self._socket = listen(settings.run_path("job.sock"), mode=0o666)
        loop.watch(self._socket.fileno(), READ, lambda _mask: self._accept())

    def _accept(self) -> None:
        sock = accept(self._socket)
        if sock is None:
            return
        if len(self._askers) >= self._settings.connections_max:
            sock.close()
            return
        self._askers.add(Asker(self._loop, self._settings, self._jobs, sock, self._askers))


class Asker:
    """One process that waits for one answer; when it goes, the question is withdrawn."""

    def __init__(
        self,
        loop: Loop,
        settings: Settings,
        jobs: Jobs,
        sock: socket.socket,
        askers: "set[Asker]",
    ) -> None:
        self._settings = settings
        self._jobs = jobs
        self._askers = askers
        self._job: Job | None = None
        self._question: Question | None = None
        self._stream = Stream(loop, sock, settings, self._on_frame, self._on_close)

    def _on_close(self) -> None:
        self._askers.discard(self)
        if self._job is not None and self._question is not None:
            self._job.withdraw(self._question)

    def _on_frame(self, request: dict[str, Any], _payload: bytes) -> None:
        try:
            text, choices = self._read(request)
            job = self._jobs.of_process(self._stream.peer_pid)
            if job is None or job.state == "lost":
                raise ValueError("only a job can ask, and this process belongs to none")
            self._question = job.ask(text, choices, self._answered)
            self._job = job
        except ValueError as error:
            self._stream.send({"error": str(error)})

    def _answered(self, text: str) -> None:
        self._question = None
        self._stream.send({"answer": text})

    def _read(self, request: dict[str, Any]) -> tuple[str, list[str]]:
        if self._question is not None:
            raise ValueError("one question per connection")
        text = request.get("text")
        choices = request.get("choices") or []
        if not isinstance(text, str) or not text.strip():
            raise ValueError("the question is empty")
        if not isinstance(choices, list) or not all(isinstance(word, str) for word in choices):
            raise ValueError("choices must be words")
        if len(choices) > self._settings.question_choices_max:
            raise ValueError(f"more than {self._settings.question_choices_max} choices")
        if len("".join([text, *choices]).encode()) > self._settings.question_bytes_max:
            raise ValueError(f"longer than {self._settings.question_bytes_max} bytes")
        return text, choices
