"""The jobs of this machine: each id is started once, whatever happens to who asked."""

import json
import os
import re
import shutil
from typing import Any

from vmpool.guest import cgroup
from vmpool.guest.cgroup import Cgroup, ProcessGroup
from vmpool.guest.job import Job
from vmpool.guest.loop import Loop, report
from vmpool.guest.settings import Settings

JOB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")


class Refused(Exception):
    """A request that can't be granted; `code` is for programs, the text for people."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code = code


class Jobs:
    """Starts, finds and forgets jobs."""

    def __init__(self, loop: Loop, settings: Settings) -> None:
        self.loop = loop
        self.settings = settings
        self._jobs: dict[str, Job] = {}
        self._frozen = False
        os.makedirs(settings.jobs_directory, exist_ok=True)
        self._recover()

    def start(self, order: dict[str, Any]) -> Job:
        """Run a command under an id; the id is known already: nothing runs, that job is answered.

        :raises Refused: malformed, no room, or all jobs stand still
        """
        job_id = str(order.get("job"))
        if job_id in self._jobs:
            return self._jobs[job_id]
        check(order)
        if self._frozen:
            # Starting it we would step into what stands still, and never come out again.
            raise Refused("at_rest", "the machine goes to rest; connect to it anew")
        self.forget_old()
        if len(self._jobs) >= self.settings.jobs_max:
            raise Refused("too_many_jobs", f"this machine keeps {self.settings.jobs_max} jobs")
        job = self._make(job_id)
        try:
            os.makedirs(job.directory, exist_ok=True)
            job.start(self.loop, order)
        except OSError as error:
            shutil.rmtree(job.directory, ignore_errors=True)
            raise Refused("no_room", f"no room for the job's output: {error.strerror}") from error
        self._jobs[job_id] = job
        return job

    def freeze(self) -> None:
        """Let all jobs stand still until `thaw`: what they would draw now, each clone would draw.

        Without cgroups they run on.
        """
        self._frozen = True
        if self.settings.cgroup_root is not None:
            cgroup.freeze(self.settings.cgroup_root)

    def thaw(self) -> None:
        """Let them go on; idempotent."""
        if self.settings.cgroup_root is not None:
            cgroup.thaw(self.settings.cgroup_root)
        self._frozen = False

    def knows(self, job_id: object) -> bool:
        """Whether this id was started before."""
        return str(job_id) in self._jobs

    def find(self, job_id: object) -> Job:
        """The job of this id. :raises Refused: there is none."""
        job = self._jobs.get(str(job_id))
        if job is None:
            raise Refused("unknown_job", f"no job {job_id!s:.100} in this machine")
        return job

    def of_process(self, pid: int) -> Job | None:
        """The job this process belongs to."""
        root = self.settings.cgroup_root
        if root is not None:
            return self._jobs.get(cgroup.job_of(pid, root) or "")
        try:
            session = os.getsid(pid)
        except OSError:
            return None
        return next((job for job in self._jobs.values() if job.pid == session), None)

    def all(self) -> list[Job]:
        """Every job that is kept, oldest first."""
        return list(self._jobs.values())

    def forget(self, job_id: object) -> None:
        """Remove a job that has ended and left nothing running, with its output; idempotent.

        :raises Refused: something of it is alive
        """
        job = self._jobs.get(str(job_id))
        if job is None:
            return
        if job.state == "running" or job.processes() or not job.members.remove():
            raise Refused("job_alive", f"job {job.job_id} still has processes; stop it first")
        shutil.rmtree(job.directory, ignore_errors=True)
        del self._jobs[job.job_id]

    def forget_old(self) -> None:
        """Forget the oldest jobs of which nothing is alive, beyond what is kept of them.

        The newest always stays: its end may not have been read yet.
        """
        ended = [one for one in self._jobs.values() if one.state != "running"]
        ended = [one for one in ended[:-1] if not one.processes()]
        size = sum(job.kept_bytes for job in ended)
        for number, job in enumerate(ended):
            left = len(ended) - number
            if left <= self.settings.ended_jobs_max and size <= self.settings.ended_bytes_max:
                return
            size -= job.kept_bytes
            self.forget(job.job_id)

    def _make(self, job_id: str) -> Job:
        root = self.settings.cgroup_root
        members = Cgroup(os.path.join(root, job_id)) if root is not None else ProcessGroup()
        directory = os.path.join(self.settings.jobs_directory, job_id)
        return Job(job_id, directory, members, self.settings, awake=self.loop.awake)

    def _recover(self) -> None:
        """Jobs of an earlier life of the machine: their output is here, they are not."""
        found: list[tuple[float, Job]] = []
        for name in os.listdir(self.settings.jobs_directory):
            path = os.path.join(self.settings.jobs_directory, name, "job.json")
            try:
                with open(path, encoding="utf-8") as file:
                    kept = json.load(file)
                job = self._make(name)
                job.recover(kept)
            except (OSError, ValueError, KeyError) as error:
                report(f"job {name} is unreadable: {error}")
                continue
            found.append((job.started_at, job))
        self._jobs = {job.job_id: job for _, job in sorted(found, key=lambda pair: pair[0])}


def check(order: dict[str, Any]) -> None:
    """Refuse an order that can't mean anything. :raises Refused: says which part."""
    if not JOB_ID.fullmatch(str(order.get("job"))):
        raise Refused("malformed", "a job id is 1 to 100 of A-Z a-z 0-9 _ -")
    argv = order.get("argv")
    if not isinstance(argv, list) or not argv or not all(_word(word) for word in argv):
        raise Refused("malformed", "argv must be a list of words without NUL, at least one")
    env = order.get("env") or {}
    if not isinstance(env, dict) or not all(_word(n) and _word(v) for n, v in env.items()):
        raise Refused("malformed", "env must map names to values without NUL")
    if any("=" in name or not name for name in env):
        raise Refused("malformed", "a name in env must not be empty or hold '='")


def _word(value: object) -> bool:
    return isinstance(value, str) and "\0" not in value
