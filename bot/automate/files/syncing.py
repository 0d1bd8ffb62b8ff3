"""What the files of a repository change about the automations that are known; pure.

Nothing that a file says counts by itself but how it describes itself: the rest is proposed, until
somebody approves it. A file with mistakes changes nothing, and does not remove what it said before.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from bot.automate.definition import digest, kept
from bot.automate.files.file_words import told
from bot.automate.files.parsing import File, LeftAlone, Ours, Wrong, distinct
from bot.automate.files.yaml_tree import Fault
from bot.words.catalogue import Message
from bot.words.catalogue import gettext as _
from bot.words.catalogue import kept as kept_message


@dataclass(frozen=True, kw_only=True)
class Known:
    """An automation of the project that is there."""

    id: UUID
    name: str
    path: str
    """Empty: it was made here."""
    definition: dict[str, Any]
    digest: str
    proposed_digest: str


@dataclass(frozen=True, kw_only=True)
class Said:
    """What a file says of an automation."""

    name: str
    path: str
    definition: dict[str, Any]
    """What counts from now on; {}: nothing does."""
    proposed: dict[str, Any]
    """What is to be approved; {}: nothing is."""
    proposed_digest: str = ""
    id: UUID | None = None
    """None: it is new."""
    news: str = ""
    """`proposed` for the first time as it is now; empty: nothing that anybody has to look at."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be written."""

    said: Sequence[Said] = ()
    removed: Sequence[Known] = ()
    files: Sequence[dict[str, Any]] = field(default_factory=list)
    """{path, kind, name, said} of each file, as `automation_folder` keeps it."""


def plan(known: Iterable[Known], found: Iterable[File]) -> Plan:
    """What the files of the folder, which were all read, come to."""
    by_name = {one.name: one for one in known}
    files = [_not_taken(file, by_name) for file in distinct(found)]
    ours = [file for file in files if isinstance(file, Ours)]
    names = {file.definition.name for file in ours}
    broken = {file.path for file in files if isinstance(file, Wrong)}
    return Plan(
        said=[_said(file, by_name.get(file.definition.name)) for file in ours],
        removed=[
            one
            for one in by_name.values()
            if one.path and one.name not in names and one.path not in broken
        ],
        files=[_shown(file) for file in files],
    )


def _not_taken(file: File, by_name: dict[str, Known]) -> File:
    """The file; wrong if its name is one that somebody gave to an automation here."""
    if not isinstance(file, Ours):
        return file
    there = by_name.get(file.definition.name)
    if there is None or there.path:
        return file
    expected = _("a name of its own: an automation that was made here has this one")
    fault = Fault(spot=file.spot, at=("name",), said=file.definition.name, expected=expected)
    return Wrong(path=file.path, faults=(fault,))


def _said(file: Ours, there: Known | None) -> Said:
    definition, now = kept(file.definition), digest(file.definition)
    if there is not None and there.digest == now:
        counts, proposed, proposed_digest = definition, dict[str, Any](), ""
    else:
        counts = {} if there is None else there.definition
        proposed, proposed_digest = definition, now
    is_new = bool(proposed_digest) and (there is None or there.proposed_digest != proposed_digest)
    return Said(
        name=file.definition.name,
        path=file.path,
        definition=counts,
        proposed=proposed,
        proposed_digest=proposed_digest,
        id=None if there is None else there.id,
        news="proposed" if is_new else "",
    )


def _shown(file: File) -> dict[str, Any]:
    said: list[Message] = []
    kind, name = "automation", ""
    match file:
        case Ours():
            name = file.definition.name
        case Wrong():
            kind, said = "wrong", [told(file.path, fault) for fault in file.faults]
        case LeftAlone():
            kind, said = "other", [file.why]
    return {
        "path": file.path,
        "kind": kind,
        "name": name,
        "said": [kept_message(one) for one in said],
    }
