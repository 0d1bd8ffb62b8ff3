"""The branches that a session may push to, and what it last saw on them.

A session has the branch `ona/<its short id>` and those that begin with that and a dash or a slash.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import text

from adapters.forge.port import BRANCHES
from bot.store.database import Database
from bot.work import followed
from vmpool.network.forge.pushing import ZERO

PREFIX = f"refs/heads/{BRANCHES}"
_KNOWN = text(
    """
    SELECT session.short, project.base_branch, session.private_to IS NOT NULL AS is_private,
           coalesce(jsonb_object_agg(branch.ref, branch.commit)
                    FILTER (WHERE branch.ref IS NOT NULL), '{}') AS commits
      FROM session JOIN project ON project.id = session.project_id
      LEFT JOIN branch ON branch.session_id = session.id AND branch.repository = :repository
     WHERE session.id = :session
     GROUP BY session.short, project.base_branch, session.private_to
    """
)
_SAW = text(
    """
    INSERT INTO branch (session_id, repository, ref, commit)
    SELECT :session, :repository, ref, commit
      FROM jsonb_to_recordset(CAST(:refs AS jsonb)) AS said (ref text, commit text)
    ON CONFLICT (session_id, repository, ref)
    DO UPDATE SET commit = excluded.commit, seen_at = now()
    """
)


@dataclass(frozen=True, kw_only=True)
class OwnBranches:
    """See `vmpool.network.forge.pushing.Branches`."""

    short: str
    base: str | None
    commits: Mapping[str, str] = field(default_factory=dict)
    """By ref."""
    protects: Collection[str] = ("refs/heads/main", "refs/heads/master")
    is_private: bool = False
    """What the session makes is nobody else's."""

    def seen(self, ref: str) -> str | None:
        """The commit that the session last saw there; None: it is not its own."""
        return self.commits.get(ref, ZERO) if is_of(self.short, ref) else None

    def protected(self, ref: str) -> bool:
        """Whether nobody but people may move it."""
        return ref in self.protects or (self.base is not None and ref == f"refs/heads/{self.base}")


def own_branch(short: str) -> str:
    """The branch that a session begins with in each of its repositories."""
    return f"{BRANCHES}{short}"


def is_of(short: str, ref: str) -> bool:
    """Whether a branch is one of a session's."""
    own = f"{PREFIX}{short}"
    return ref == own or ref.startswith((f"{own}-", f"{own}/"))


class BranchRows:
    """Keeps what sessions saw."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, session_id: UUID, repository: str) -> OwnBranches:
        """The branches of a session on a repository."""
        asked = {"session": session_id, "repository": repository.lower()}
        row = (await self._database.run(_KNOWN, asked)).one()
        return OwnBranches(
            short=row.short,
            base=row.base_branch,
            commits=row.commits,
            is_private=row.is_private,
        )

    async def moved(self, session_id: UUID, repository: str, refs: Mapping[str, str]) -> None:
        """A session's running turn has moved these branches of its own: their checks count."""
        await self.saw(session_id, repository, refs)
        async with self._database.begin() as tx:
            for ref, commit in refs.items():
                await followed.follow(tx, session_id, repository, ref, commit)

    async def saw(self, session_id: UUID, repository: str, refs: Mapping[str, str]) -> None:
        """A session has seen, or made, these commits on branches of its own."""
        said = json.dumps([{"ref": ref, "commit": commit} for ref, commit in refs.items()])
        async with self._database.begin() as tx:
            await tx.execute(
                _SAW, {"session": session_id, "repository": repository.lower(), "refs": said}
            )
