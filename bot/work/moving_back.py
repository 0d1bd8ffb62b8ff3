"""Moving the pushed branch of a session back, when a turn that pushed it is taken back.

It is pushed from the machine, as everything is: the gateway puts the turn's credential in and lets
a branch be moved only from where the session last saw it, and so does the code host. What somebody
else pushed meanwhile stays.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import structlog
from sqlalchemy import text

from bot.govern.repositories import address
from bot.store.database import Database
from bot.words.catalogue import N_
from bot.words.catalogue import gettext as _
from bot.work import undo_words
from bot.work.branches import BranchRows
from bot.work.guest import Machine, last_line
from bot.work.lease import Lease
from bot.work.remote import remote
from vmpool.errors import MachineError

log = structlog.get_logger(__name__)

PUSH_SECONDS_MAX = 120.0
OTHERS = N_("somebody else has pushed to it since")
_PUSHED = text(
    """
    SELECT branch.repository, branch.commit, project.repository_url AS url
      FROM branch JOIN session ON session.id = branch.session_id
      JOIN project ON project.id = session.project_id
     WHERE branch.session_id = :session AND branch.ref = :ref ORDER BY branch.seen_at DESC
    """
)


@dataclass(frozen=True, kw_only=True)
class Moved:
    """What became of HEAD in the machine."""

    was: str
    """The commit it was at; empty: none."""
    now: str
    branch: str = ""
    """That it is on; empty: the session's."""
    url: str = ""
    """Of the repository; empty: the project's own."""


class BranchBack:
    """See `bot.work.undoing.MoveBack`."""

    def __init__(self, database: Database, environment: Mapping[str, str]) -> None:
        """`environment`: by which git finds the gateway."""
        self._database = database
        self._rows = BranchRows(database)
        self._environment = environment

    async def __call__(self, lease: Lease, machine: Machine, directory: str, moved: Moved) -> str:
        """Move it back; what became of it, "" when there is nothing to move."""
        branch = moved.branch or lease.branch
        ref = f"refs/heads/{branch}"
        asked = {"session": lease.session_id, "ref": ref}
        rows = (await self._database.run(_PUSHED, asked)).all()
        row = next((one for one in rows if is_at(one.repository, moved.url or one.url)), None)
        if row is None:
            return ""
        if row.commit == moved.now:
            return undo_words.moved_back(branch, moved.now)
        git = _Git(machine, directory, self._environment)
        try:
            if await git.has(row.commit, moved.now):
                return ""
            if not await git.has(row.commit, moved.was):
                return undo_words.not_moved(branch, _(OTHERS))
            refused = await git.push(ref, row.commit, moved.now)
        except (MachineError, TimeoutError) as error:
            refused = str(error) or _("it took too long")
        if refused:
            log.warning("branch_not_moved_back", why=refused)
            return undo_words.not_moved(branch, refused)
        await self._rows.saw(lease.session_id, row.repository, {ref: moved.now})
        return undo_words.moved_back(branch, moved.now)


def is_at(repository: str, url: str) -> bool:
    """Whether rows of branches call the repository at this address so."""
    if repository == remote(url).address.lower():
        return True
    host, _, path = repository.partition(":")[2].partition("/")
    its_host, _, its_path = address(url).partition("/")
    # SSH has a port of its own, and a GitLab may lie below a path of its host.
    is_there = host.partition(":")[0] == its_host.partition(":")[0] != ""
    return is_there and f"/{its_path}".endswith(f"/{path}")


class _Git:
    """Git in the machine, as its agent."""

    def __init__(self, machine: Machine, directory: str, environment: Mapping[str, str]) -> None:
        self._machine = machine
        self._argv = [
            "env",
            *(f"{name}={value}" for name, value in environment.items()),
            *("GIT_TERMINAL_PROMPT=0", "LC_ALL=C"),
            *("git", "-C", directory),
        ]

    async def has(self, commit: str, tip: str) -> bool:
        """Whether a commit is in the history of another one."""
        if not tip:
            return False
        asked = [*self._argv, "merge-base", "--is-ancestor", commit, tip]
        done = await self._machine.run(asked, timeout_seconds=PUSH_SECONDS_MAX)
        return done.exit_status == 0

    async def push(self, ref: str, seen: str, commit: str) -> str:
        """Move a branch from what was seen there to a commit; why not, else ""."""
        lease = f"--force-with-lease={ref}:{seen}"
        asked = [*self._argv, "push", "-q", "--no-verify", lease, "origin", f"{commit}:{ref}"]
        done = await self._machine.run(asked, timeout_seconds=PUSH_SECONDS_MAX)
        if done.exit_status == 0:
            return ""
        said = done.stderr.decode("utf-8", "replace")
        if "stale info" in said or "fetch first" in said or "somebody else" in said:
            return _(OTHERS)
        return last_line(done.stderr) or f"git push: {done.exit_status}"
