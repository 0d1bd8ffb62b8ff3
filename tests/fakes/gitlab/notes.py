"""Making, changing and awarding notes, whoever does it and by which way."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from tests.fakes.gitlab.eyes import mentioned
from tests.fakes.gitlab.quick_actions import extracted
from tests.fakes.gitlab.world import REPORTER, Award, Note, Noteable

if TYPE_CHECKING:
    from tests.fakes.gitlab.people import Person
    from tests.fakes.gitlab.server import FakeGitLab

TOUCH_INTERVAL = timedelta(minutes=1)
"""A merge request or issue that changed less than this ago is not marked as changed by a note."""
BODY_LENGTH_MAX = 1_000_000


class Invalid(Exception):
    """Such a note can't be made: 400."""


class NoDiscussion(Exception):
    """There is no such discussion for this person: 404."""


class Notes:
    def __init__(self, gitlab: FakeGitLab) -> None:
        self._gitlab = gitlab

    def make(
        self,
        noteable: Noteable,
        author: Person,
        body: str,
        *,
        internal: bool = False,
        discussion: str = "",
        begins: bool = False,
        at: tuple[str, int] | None = None,
    ) -> Note | list[tuple[str, str]]:
        """Make a note; the quick actions alone when there is nothing else in it.

        :param discussion: it answers in this one
        :param begins: it begins one that may be answered in
        :param at: path and line that it is at
        """
        if len(body) > BODY_LENGTH_MAX:
            raise Invalid("Note is too long (maximum is 1000000 characters)")
        may_mark = self._gitlab.knows_internal and noteable.project.level(author) >= REPORTER
        first = self._first(noteable, discussion, author) if discussion else None
        left, actions = extracted(body)
        self._run(noteable, actions)
        if not left:
            return actions
        if first is not None and first.type is None:
            first.type = "DiscussionNote"
        number, now = self._gitlab.new_id(), self._gitlab.clock.now()
        note = Note(
            id=number,
            noteable=noteable,
            author=author,
            body=left,
            created_at=now,
            updated_at=now,
            discussion=discussion or hashlib.sha1(str(number).encode()).hexdigest(),
            type=_type(discussion, begins=begins, at=at),
            at=at,
            # Who may not make internal notes makes one for everybody.
            internal=first.internal if first is not None else internal and may_mark,
        )
        noteable.notes.append(note)
        if now - noteable.updated_at > TOUCH_INTERVAL:
            noteable.updated_at = now
        self._tell(note, mentioned(left))
        self._gitlab.hooks.note(note, "create")
        self._gitlab.changed()
        return note

    def reword(self, note: Note, editor: Person, body: str) -> None:
        """Edit it; webhooks name its author as who did."""
        before, now = note.body, self._gitlab.clock.now()
        left, actions = extracted(body)
        self._run(note.noteable, actions)
        if not left:
            self.remove(note)
            return
        if left == before:
            return
        note.body, note.updated_at, note.updated_by = left, now, editor
        if now - note.noteable.updated_at > TOUCH_INTERVAL:
            note.noteable.updated_at = now
        known = mentioned(before)
        self._tell(note, [name for name in mentioned(left) if name not in known])
        self._gitlab.hooks.note(note, "update")
        self._gitlab.changed()

    def remove(self, note: Note) -> None:
        """Delete it; no webhook tells of that."""
        note.noteable.notes.remove(note)
        self._gitlab.changed()

    def award(self, note: Note, user: Person, name: str) -> Award | None:
        """Award an emoji; None: they did so before. The note counts as changed."""
        if name in note.awarded(user):
            return None
        now = self._gitlab.clock.now()
        award = Award(id=self._gitlab.new_id(), name=name, user=user, created_at=now)
        note.awards.append(award)
        note.updated_at = now
        self._gitlab.hooks.emoji(note, award, "award")
        self._gitlab.changed()
        return award

    def revoke(self, note: Note, award: Award) -> None:
        note.awards.remove(award)
        note.updated_at = self._gitlab.clock.now()
        self._gitlab.hooks.emoji(note, award, "revoke")
        self._gitlab.changed()

    def system(self, noteable: Noteable, author: Person, body: str) -> Note:
        """A line that nobody wrote; webhooks don't tell of it."""
        number, now = self._gitlab.new_id(), self._gitlab.clock.now()
        note = Note(
            id=number,
            noteable=noteable,
            author=author,
            body=body,
            created_at=now,
            updated_at=now,
            discussion=hashlib.sha1(str(number).encode()).hexdigest(),
            system=True,
        )
        noteable.notes.append(note)
        noteable.updated_at = now
        return note

    def _first(self, noteable: Noteable, discussion: str, author: Person) -> Note:
        found = [one for one in noteable.notes if one.discussion == discussion]
        is_hidden = found and found[0].internal and noteable.project.level(author) < REPORTER
        if not found or is_hidden or found[0].system:
            raise NoDiscussion
        return found[0]

    def _run(self, noteable: Noteable, actions: list[tuple[str, str]]) -> None:
        noteable.actions += actions
        for name, _ in actions:
            if name in {"close", "reopen"}:
                noteable.state = {"close": "closed", "reopen": "opened"}[name]

    def _tell(self, note: Note, names: list[str]) -> None:
        project = note.noteable.project
        for person in self._gitlab.people:
            may_read = project.can_read(person) and (
                not note.internal or project.level(person) >= REPORTER
            )
            if may_read and person is not note.author and {person.username, "all"} & set(names):
                person.told.append(note)


def _type(
    discussion: str, *, begins: bool, at: tuple[str, int] | None
) -> Literal["DiscussionNote", "DiffNote"] | None:
    if at is not None:
        return "DiffNote"
    return "DiscussionNote" if discussion or begins else None
