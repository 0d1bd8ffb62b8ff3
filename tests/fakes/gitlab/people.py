"""The people of a GitLab, and what they do on its pages."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.fakes.gitlab.eyes import shown
from tests.fakes.gitlab.world import REPORTER, Award, Note, Noteable, Project

if TYPE_CHECKING:
    from tests.fakes.gitlab.server import FakeGitLab


@dataclass(eq=False, kw_only=True)
class Person:
    """Somebody, or the user of an access token."""

    gitlab: FakeGitLab = field(repr=False)
    id: int
    username: str
    name: str
    is_bot: bool = False
    state: str = "active"
    token: str = ""
    scopes: tuple[str, ...] = ("api",)
    """Of the token."""
    token_ends: str | None = None
    """The day, as in 2026-12-31."""
    told: list[Note] = field(default_factory=list)
    """Notes that mention them."""

    def says(
        self,
        where: Noteable | Note,
        body: str,
        *,
        internal: bool = False,
        begins: bool = False,
        at: tuple[str, int] | None = None,
    ) -> Note:
        """Write a note on a merge request or issue, or an answer to a note."""
        made = self.tries(where, body, internal=internal, begins=begins, at=at)
        assert isinstance(made, Note)
        return made

    def tries(
        self,
        where: Noteable | Note,
        body: str,
        *,
        internal: bool = False,
        begins: bool = False,
        at: tuple[str, int] | None = None,
    ) -> Note | list[tuple[str, str]]:
        """The same where perhaps nothing is left but what quick actions did."""
        noteable = where if isinstance(where, Noteable) else where.noteable
        discussion = "" if isinstance(where, Noteable) else where.discussion
        return self.gitlab.notes.make(
            noteable, self, body, internal=internal, discussion=discussion, begins=begins, at=at
        )

    def edits(self, note: Note, body: str) -> None:
        self.gitlab.notes.reword(note, self, body)

    def deletes(self, note: Note) -> None:
        self.gitlab.notes.remove(note)

    def awards(self, note: Note, name: str) -> Award:
        made = self.gitlab.notes.award(note, self, name)
        assert made is not None
        return made

    def reads(self, noteable: Noteable) -> list[str]:
        """What people wrote, as this one sees it."""
        may_read = noteable.project.level(self) >= REPORTER
        return [
            shown(one.body)
            for one in noteable.notes
            if not one.system and (may_read or not one.internal)
        ]

    def opens(
        self, project: Project, *, branch: str = "work", source: Project | None = None
    ) -> Noteable:
        """Open a merge request; `source` is the fork that it comes from."""
        return self.gitlab.open(project, "merge_requests", self, branch=branch, source=source)

    def reports(self, project: Project, *, confidential: bool = False) -> Noteable:
        """Open an issue."""
        return self.gitlab.open(project, "issues", self, confidential=confidential)

    def pushes(self, request: Noteable) -> str:
        """Push a commit to the branch of a merge request; its hash."""
        request.heads.append(self.gitlab.new_sha())
        self.gitlab.notes.system(request, self, "added 1 commit")
        return request.sha
