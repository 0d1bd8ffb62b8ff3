"""A project's memory: notes by name, which agents and people write and read."""

import re
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import text

from bot.errors import NotFound, Refused, TooLarge
from bot.store.transaction import Transaction
from bot.words.catalogue import gettext as _
from bot.words.catalogue import grouped
from bot.words.plain import settled

NAME = re.compile(r"(?=.{1,80}\Z)[a-z0-9][a-z0-9._-]*(?:/[a-z0-9][a-z0-9._-]*)*")
NOTE_BYTES_MAX = 8 * 1024
"""Of one note, in UTF-8."""
NOTES_MAX = 100
"""Of one project."""

_LIST = text(
    """
    SELECT note.name, note.text, octet_length(note.text) AS size, person.name AS by, note.session,
           note.updated_at
      FROM note LEFT JOIN person ON person.id = note.by_id
     WHERE note.project_id = :project AND (CAST(:name AS text) IS NULL OR note.name = :name)
     ORDER BY note.name
    """
)
_LOCK = text("SELECT id FROM project WHERE id = :project FOR NO KEY UPDATE")
_COUNT = text("SELECT count(*) FROM note WHERE project_id = :project AND name <> :name")
_PUT = text(
    """
    INSERT INTO note (project_id, name, text, by_id, session)
    VALUES (:project, :name, :text, :by, :session)
    ON CONFLICT (project_id, name) DO UPDATE
       SET text = excluded.text, by_id = excluded.by_id, session = excluded.session,
           updated_at = now()
    """
)
_REMOVE = text("DELETE FROM note WHERE project_id = :project AND name = :name RETURNING name")


async def notes(tx: Transaction, project_id: UUID) -> Sequence[Mapping[str, Any]]:
    """The notes by name: {name, text, size, by, session, updated_at}; size in bytes."""
    rows = await tx.execute(_LIST, {"project": project_id, "name": None})
    return [dict(row) for row in rows.mappings()]


async def note(tx: Transaction, project_id: UUID, name: str) -> Mapping[str, Any]:
    """One note. :raises NotFound:"""
    if NAME.fullmatch(name) is None:
        raise _unknown(name)
    asked = {"project": project_id, "name": name}
    row = (await tx.execute(_LIST, asked)).mappings().one_or_none()
    if row is None:
        raise _unknown(name)
    return dict(row)


async def put(
    tx: Transaction, project_id: UUID, name: str, said: str, *, by: UUID, session: str = ""
) -> None:
    """Write a note, over the one of that name.

    :param session: short id of the session whose agent writes
    :raises TellPerson: the name or the text can't be so, or there are too many
    """
    clean = settled(said).strip("\n")
    if NAME.fullmatch(name) is None:
        raise Refused(
            _("“{name}” is no name of a note", name=name[:80]),
            kept=_("nothing was written"),
            do=_("take up to 80 of a-z, 0-9, dots, dashes, underscores and slashes"),
        )
    if not clean.strip():
        raise Refused(
            _("the note is empty"), kept=_("nothing was written"), do=_("remove it instead")
        )
    if len(clean.encode("utf-8", "replace")) > NOTE_BYTES_MAX:
        raise TooLarge(
            _("a note has at most {bytes} bytes", bytes=grouped(NOTE_BYTES_MAX)),
            kept=_("nothing was written"),
            do=_("say it shorter, or in several notes"),
        )
    # Two who write at once would count the same number.
    await tx.execute(_LOCK, {"project": project_id})
    if await tx.scalar(_COUNT, {"project": project_id, "name": name}) >= NOTES_MAX:
        raise Refused(
            _("a project's memory has at most {count} notes", count=NOTES_MAX),
            kept=_("nothing was written"),
            do=_("remove one that is of no use any more, or write over it"),
        )
    values = {"project": project_id, "name": name, "text": clean, "by": by, "session": session}
    await tx.execute(_PUT, values)


async def remove(tx: Transaction, project_id: UUID, name: str) -> None:
    """Remove a note. :raises NotFound:"""
    if NAME.fullmatch(name) is None:
        raise _unknown(name)
    asked = {"project": project_id, "name": name}
    if (await tx.execute(_REMOVE, asked)).first() is None:
        raise _unknown(name)


def _unknown(name: str) -> NotFound:
    return NotFound(
        _("there is no note “{name}”", name=name[:80]), do=_("the list says which there are")
    )
