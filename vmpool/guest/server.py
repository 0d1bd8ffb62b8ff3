"""The job server: what the host may ask over guest.sock.

Each request is one header `{"seq": n, "op": ...}` (with a payload for `input`); each answer
repeats the `seq`. `attach` goes on with frames until the job has ended. A connection belongs to
the lease token that was the highest when it was made, and dies when a higher one is heard of;
`token` raises it for the connection it comes on, and sets the clock if it says what time it is.
"""

import os
import socket
from collections.abc import Callable
from typing import Any

from vmpool.guest.attach import Attachment, offsets_of
from vmpool.guest.job import Job
from vmpool.guest.jobs import Jobs, Refused
from vmpool.guest.loop import READ, Loop
from vmpool.guest.settings import Settings
from vmpool.guest.stream import Stream, accept, listen
from vmpool.guest.thaw import renew_certificate, set_clock

GRACE_SECONDS_MAX = 3600.0


class Server:
    """Accepts connections of the host on guest.sock."""

    def __init__(self, loop: Loop, settings: Settings, jobs: Jobs, group: int | None) -> None:
        self._loop = loop
        self._settings = settings
        self._jobs = jobs
        self.token = 0
        self._clients: set[Client] = set()
        path = settings.run_path("guest.sock")
        self._socket = listen(path, mode=0o660 if group is not None else 0o600, group=group)
        loop.watch(self._socket.fileno(), READ, lambda _mask: self._accept())

    def hang_up(self) -> None:
        """End every connection: their lease is over, or the machine rests."""
        for client in list(self._clients):
            client.stream.close()

    def raise_token(self, token: int, client: "Client") -> None:
        """Go on with a higher token on this connection; the others end.

        :raises Refused: a higher one was seen
        """
        if token < self.token:
            raise Refused("stale_token", f"token {self.token} was seen already")
        if token > self.token:
            self.token = token
            for other in list(self._clients):
                if other is not client:
                    other.stream.close()

    def closed(self, client: "Client") -> None:
        """A connection has ended."""
        self._clients.discard(client)

    def _accept(self) -> None:
        sock = accept(self._socket)
        if sock is None:
            return
        if len(self._clients) >= self._settings.connections_max:
            sock.close()
            return
        self._clients.add(Client(self._loop, self._settings, self._jobs, sock, self))


class Client:
    """One connection of the host."""

    def __init__(
        self,
        loop: Loop,
        settings: Settings,
        jobs: Jobs,
        sock: socket.socket,
        server: Server,
    ) -> None:
        self._loop = loop
        self._settings = settings
        self._jobs = jobs
        self._server = server
        self._attachment: Attachment | None = None
        self.stream = Stream(loop, sock, settings, self._on_frame, self._on_close)
        self._ops: dict[str, Callable[[dict[str, Any], bytes], None]] = {
            "start": self._start,
            "attach": self._attach,
            "input": self._input,
            "close_input": self._close_input,
            "stop": self._stop,
            "status": self._status,
            "list": self._list,
            "forget": self._forget,
            "answer": self._answer,
            "token": self._token,
            "certificate": self._certificate,
        }

    def _on_close(self) -> None:
        self._server.closed(self)
        if self._attachment is not None:
            self._attachment.close()

    def _on_frame(self, request: dict[str, Any], payload: bytes) -> None:
        try:
            op = self._ops.get(str(request.get("op")))
            if op is None:
                raise Refused("unknown_op", f"no operation {request.get('op')!s:.40}")
            op(request, payload)
        except Refused as refusal:
            self._reply(request, error=refusal.code, why=str(refusal))
        except (ValueError, TypeError, KeyError) as error:
            self._reply(request, error="malformed", why=str(error))

    def _reply(self, request: dict[str, Any], **words: Any) -> None:
        self.stream.send({"seq": request.get("seq"), **words})

    def _start(self, request: dict[str, Any], _payload: bytes) -> None:
        """With `follow`, a job that is really started now is attached to at once."""
        new = not self._jobs.knows(request.get("job"))
        job = self._jobs.start(request)
        follow = new and bool(request.get("follow"))
        self._reply(request, status=job.status(), following=follow)
        if follow:
            self._follow(job, offsets_of({}))

    def _attach(self, request: dict[str, Any], _payload: bytes) -> None:
        job = self._jobs.find(request.get("job"))
        offsets = offsets_of(request)
        self._reply(request, status=job.status())
        self._follow(job, offsets)

    def _follow(self, job: Job, offsets: dict[str, int]) -> None:
        if self._attachment is not None and not self._attachment.over:
            raise Refused("malformed", "one attachment per connection at a time")
        try:
            self._attachment = Attachment(job, self.stream, offsets)
        except OSError as error:
            why = f"the output is unreadable: {os.strerror(error.errno or 0)}"
            raise Refused("unreadable", why) from error

    def _input(self, request: dict[str, Any], payload: bytes) -> None:
        if self.stream.closed:
            return
        job = self._jobs.find(request.get("job"))
        feed = job.input
        if feed is None:
            self._reply(request, offset=0, open=False)
        elif feed.full and payload:
            feed.when_room(lambda: self._on_frame(request, payload))
        else:
            offset = feed.accept(int(request.get("offset", 0)), payload)
            self._reply(request, offset=offset, open=feed.open)

    def _close_input(self, request: dict[str, Any], _payload: bytes) -> None:
        job = self._jobs.find(request.get("job"))
        if job.input is not None:
            job.input.close()
        self._reply(request, status=job.status())

    def _stop(self, request: dict[str, Any], _payload: bytes) -> None:
        job = self._jobs.find(request.get("job"))
        grace = min(max(0.0, float(request.get("grace_seconds", 0.0))), GRACE_SECONDS_MAX)
        job.stop(self._loop, grace, lambda: self._reply(request, status=job.status()))

    def _status(self, request: dict[str, Any], _payload: bytes) -> None:
        self._reply(request, status=self._jobs.find(request.get("job")).status())

    def _list(self, request: dict[str, Any], _payload: bytes) -> None:
        self._reply(request, jobs=[job.status() for job in self._jobs.all()])

    def _forget(self, request: dict[str, Any], _payload: bytes) -> None:
        self._jobs.forget(request.get("job"))
        self._reply(request)

    def _answer(self, request: dict[str, Any], _payload: bytes) -> None:
        job = self._jobs.find(request.get("job"))
        if not job.answer(str(request.get("question")), str(request.get("text", ""))):
            raise Refused("unknown_question", "the question is not open any more")
        self._reply(request)

    def _token(self, request: dict[str, Any], _payload: bytes) -> None:
        self._server.raise_token(int(request["token"]), self)
        if "time" in request:
            set_clock(float(request["time"]), self._settings)
        self._reply(request)

    def _certificate(self, request: dict[str, Any], _payload: bytes) -> None:
        renew_certificate(str(request["certificate"]), self._settings)
        self._reply(request)
