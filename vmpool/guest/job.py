"""One job: started once, its output spooled, its end kept; it knows nothing of connections.

running ──main process ends──▶ ended      what it left in the background lives on
   └─────machine lost its memory─▶ lost
"""

import json
import os
import signal
import time
from collections.abc import Callable
from typing import Any

from vmpool.guest.cgroup import Cgroup, ProcessGroup
from vmpool.guest.loop import Loop
from vmpool.guest.pipes import Input, Output
from vmpool.guest.settings import Settings
from vmpool.guest.spawn import Cannot, account, environment, spawn
from vmpool.guest.spool import Spool

STOP_LOOK_SECONDS = 0.02


class Question:
    """What a job asks a person; `answered` is called once with the text."""

    def __init__(
        self, question_id: str, text: str, choices: list[str], answered: Callable[[str], None]
    ) -> None:
        self.question_id = question_id
        self.text = text
        self.choices = choices
        self.answered = answered

    def words(self) -> dict[str, Any]:
        """As it goes to the host."""
        return {"question": self.question_id, "text": self.text, "choices": self.choices}


class Job:
    """A command of a turn, from its start until it is forgotten."""

    def __init__(
        self,
        job_id: str,
        directory: str,
        members: Cgroup | ProcessGroup,
        settings: Settings,
        *,
        awake: Callable[[], float],
    ) -> None:
        """`awake` tells the time that it is measured in: that of a sleeping machine is no part."""
        self.job_id = job_id
        self.directory = directory
        self.members = members
        self.settings = settings
        self.state = "running"
        self.pid: int | None = None
        self.exit_status: int | None = None
        self.signal: int | None = None
        self.failure: str | None = None
        self.stopped = False
        self.out_of_memory = False
        self.merged = False
        self.started_at = time.time()
        self.ended_at: float | None = None
        self.seconds = 0.0
        self._awake = awake
        self._began = awake()
        bound = settings.spool_bytes_max
        self.spools = {
            name: Spool(os.path.join(directory, name), bound) for name in ("stdout", "stderr")
        }
        self._outputs: list[Output] = []
        self.input: Input | None = None
        self.questions: dict[str, Question] = {}
        self.answers: dict[str, str] = {}
        self._questions_asked = 0
        self.listeners: list[Callable[[], None]] = []

    def start(self, loop: Loop, order: dict[str, Any]) -> None:
        """Run the order; a command that can't be run ends the job like a shell would say it.

        :raises OSError: no room for the spool
        """
        limits = order.get("limits") or {}
        for spool in self.spools.values():
            spool.bytes_max = int(limits.get("spool_bytes_max") or spool.bytes_max)
            spool.create()
        self.merged = bool(order.get("merge_stderr"))
        try:
            self._spawn(loop, order, limits)
        except (Cannot, OSError) as error:
            self._fail(error)
        # After the answer: whoever waits for the first byte doesn't wait for the disk.
        loop.later(0, self.save)

    def _spawn(self, loop: Loop, order: dict[str, Any], limits: dict[str, Any]) -> None:
        user = account(str(order.get("user") or self.settings.agent_user))
        self.members.create(
            pids_max=int(limits.get("pids_max") or self.settings.job_pids_max),
            memory_bytes_max=limits.get("memory_bytes_max"),
        )
        theirs: list[int] = []
        ours: list[int] = []
        try:
            stdin, feed = (
                os.pipe() if order.get("input") else (os.open(os.devnull, os.O_RDONLY), -1)
            )
            theirs.append(stdin)
            ours += [feed] if feed >= 0 else []
            for _ in range(1 if self.merged else 2):
                reader, writer = os.pipe()
                ours.append(reader)
                theirs.append(writer)
            env = environment(user, {**(order.get("env") or {}), "ONA_JOB": self.job_id})
            self.pid = spawn(
                self._argv(order, user.pw_name),
                env=env,
                cwd=order.get("cwd") or user.pw_dir,
                user=user,
                stdin=stdin,
                stdout=theirs[1],
                stderr=theirs[-1],
                within=self.members.entered(),
            )
        except BaseException:
            for fd in ours:
                os.close(fd)
            raise
        finally:
            for fd in theirs:
                os.close(fd)
        self._serve(loop, feed, ours[1:] if feed >= 0 else ours)

    def _argv(self, order: dict[str, Any], user: str) -> list[str]:
        argv: list[str] = order["argv"]
        if user == self.settings.agent_user and os.path.exists(self.settings.container_file):
            return [self.settings.inside, *argv]
        return argv

    def _serve(self, loop: Loop, feed: int, readers: list[int]) -> None:
        assert self.pid is not None
        loop.child(self.pid, self._on_exit)
        self.input = Input(loop, feed, self.settings.input_bytes_max)
        for name, fd in zip(("stdout", "stderr"), readers, strict=False):
            self._outputs.append(Output(loop, fd, self.spools[name], self._changed))
        if self.merged:
            self.spools["stderr"].close()

    def _fail(self, error: Cannot | OSError) -> None:
        self.failure = str(error)
        self.exit_status = error.status if isinstance(error, Cannot) else 126
        for spool in self.spools.values():
            spool.close()
        self.members.remove()
        self._end()

    def _on_exit(self, status: int) -> None:
        for output in self._outputs:
            output.drain()
        if os.WIFSIGNALED(status):
            self.signal = os.WTERMSIG(status)
        else:
            self.exit_status = os.WEXITSTATUS(status)
        if self.input is not None:
            self.input.abandon()
        self.out_of_memory = self.members.out_of_memory()
        self.members.remove()
        self._end()
        self.save()
        self._changed()

    def _end(self) -> None:
        self.state = "ended"
        self.ended_at = time.time()
        self.seconds = self._awake() - self._began

    def _changed(self) -> None:
        if self.state != "running" and self._outputs and not any(o.open for o in self._outputs):
            self._outputs = []
            self.save()
        self.tell()

    def tell(self) -> None:
        """Wake everybody who is attached."""
        for listener in list(self.listeners):
            listener()

    @property
    def kept_bytes(self) -> int:
        """What its output takes of the disk."""
        return sum(spool.length for spool in self.spools.values())

    def processes(self) -> list[int]:
        """Who of it is alive: the command, or what it left behind."""
        return self.members.pids(self.pid)

    def stop(self, loop: Loop, grace_seconds: float, done: Callable[[], None]) -> None:
        """End all of its processes: TERM, and KILL after the grace. `done` when none is left."""
        if self.state == "running":
            self.stopped = True
        self.members.signal(self.pid, signal.SIGTERM)
        due = self._awake() + grace_seconds

        def look() -> None:
            if self.state != "running" and not self.processes():
                self.members.remove()
                self.save()
                done()
                return
            if self._awake() >= due:
                self.members.signal(self.pid, signal.SIGKILL)
            loop.later(STOP_LOOK_SECONDS, look)

        look()

    def ask(self, text: str, choices: list[str], answered: Callable[[str], None]) -> Question:
        """Put a question; it stays open until it is answered or withdrawn.

        :raises ValueError: too many are open
        """
        if len(self.questions) >= self.settings.questions_open_max:
            raise ValueError("too many open questions of this job")
        self._questions_asked += 1
        question = Question(f"{self.job_id}.{self._questions_asked}", text, choices, answered)
        self.questions[question.question_id] = question
        self.tell()
        return question

    def withdraw(self, question: Question) -> None:
        """Whoever asked is gone; idempotent."""
        if self.questions.pop(question.question_id, None) is not None:
            self.tell()

    def answer(self, question_id: str, text: str) -> bool:
        """Answer once; a second answer changes nothing. False: no such open question."""
        question = self.questions.pop(question_id, None)
        if question is None:
            return question_id in self.answers
        self.answers[question_id] = text
        question.answered(text)
        self.tell()
        return True

    def status(self) -> dict[str, Any]:
        """All there is to know about it, as the host reads it."""
        running = self.state == "running"
        return {
            "job": self.job_id,
            "state": self.state,
            "exit_status": self.exit_status,
            "signal": self.signal,
            "failure": self.failure,
            "stopped": self.stopped,
            "out_of_memory": self.out_of_memory,
            "started_at": self.started_at,
            "ended_at": self.ended_at,
            "seconds": self._awake() - self._began if running else self.seconds,
            "stdout_bytes": self.spools["stdout"].length,
            "stdout_dropped": self.spools["stdout"].dropped,
            "stderr_bytes": self.spools["stderr"].length,
            "stderr_dropped": self.spools["stderr"].dropped,
            "input_offset": self.input.offset if self.input else 0,
            "input_open": self.input.open if self.input else False,
            "processes": len(self.processes()),
            "questions": [question.words() for question in self.questions.values()],
        }

    def save(self) -> None:
        """Keep it for a later life of the machine; a full disk costs only that."""
        path = os.path.join(self.directory, "job.json")
        try:
            with open(path + ".new", "w", encoding="utf-8") as file:
                json.dump(self.status(), file)
            os.replace(path + ".new", path)
        except OSError:
            pass

    def recover(self, kept: dict[str, Any]) -> None:
        """Take over what an earlier life of the machine wrote down."""
        self.state = "ended" if kept["state"] == "ended" else "lost"
        for name in ("exit_status", "signal", "failure", "stopped", "out_of_memory"):
            setattr(self, name, kept[name])
        self.started_at = kept["started_at"]
        self.ended_at = kept["ended_at"]
        self.seconds = kept["seconds"]
        for name, spool in self.spools.items():
            spool.recover(int(kept[f"{name}_dropped"]))
