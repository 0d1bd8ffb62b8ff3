"""The folders of automations in repositories: when each is read, and what it said last.

A host takes a folder that is due, fetches its repository, reads it and writes what it says in one
transaction. Who fetched earlier writes nothing over what was fetched later.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text

from bot.automate import notices, trigger_rows, trigger_words
from bot.automate.definition import restored
from bot.automate.differences import differences
from bot.automate.files.parsing import File
from bot.automate.files.syncing import Known, Plan, Said, plan
from bot.errors import Bug
from bot.govern.audit import HERE, Audited, record
from bot.store import shorts
from bot.store.ids import new_id
from bot.store.transaction import Transaction
from bot.words.catalogue import Message, again
from bot.words.catalogue import kept as kept_message

READ_SECONDS = 300.0
"""Between two looks at a repository, if nothing fetched it meanwhile."""
GRACE_SECONDS = 120.0
"""For which it is left to a host that has a mirror of it already."""
TAKEN_SECONDS = 960.0
"""For which a folder is its reader's; longer than a fetch may take."""
_BEGIN = text(
    """
    INSERT INTO automation_folder (id, project_id)
    SELECT gen_random_uuid(), project.id FROM project
     WHERE project.removed_at IS NULL
       AND NOT EXISTS (SELECT 1 FROM automation_folder AS one WHERE one.project_id = project.id)
    ON CONFLICT (project_id) DO NOTHING
    """
)
_TAKE = text(
    """
    UPDATE automation_folder AS folder
       SET look_at = clock_timestamp() + make_interval(secs => :seconds)
      FROM project
     WHERE project.id = folder.project_id AND folder.id = (
           SELECT one.id FROM automation_folder AS one JOIN project ON project.id = one.project_id
            WHERE project.removed_at IS NULL AND one.look_at <= clock_timestamp()
                  - CASE WHEN one.commit = '' OR one.project_id = ANY(:here) THEN interval '0'
                         ELSE make_interval(secs => :grace) END
            ORDER BY one.look_at LIMIT 1 FOR UPDATE OF one SKIP LOCKED)
    RETURNING folder.project_id, project.name, project.repository_url, folder.commit,
              clock_timestamp() AS as_of
    """
)
_LOOK_SOON = text(
    """
    UPDATE automation_folder SET look_at = least(look_at, clock_timestamp())
     WHERE project_id = :project AND commit <> :commit
    """
)
_KEPT = text(
    """
    SELECT folder.project_id, project.repository_url
      FROM automation_folder AS folder JOIN project ON project.id = folder.project_id
     WHERE project.removed_at IS NULL
       AND EXISTS (SELECT FROM automation WHERE automation.project_id = folder.project_id
                      AND automation.path <> '' AND automation.state <> 'removed')
    """
)
_LOCK = text(
    """
    SELECT commit, as_of FROM automation_folder WHERE project_id = :project FOR UPDATE
    """
)
_KNOWN = text(
    """
    SELECT id, name, path, definition, digest, proposed_digest FROM automation
     WHERE project_id = :project AND state <> 'removed' FOR UPDATE
    """
)
_READ = text(
    """
    UPDATE automation_folder
       SET commit = :commit, files = CAST(:files AS jsonb), problem = '{}', as_of = :as_of,
           read_at = clock_timestamp(),
           look_at = clock_timestamp() + make_interval(secs => :seconds)
     WHERE project_id = :project
    """
)
_SAME = text(
    """
    UPDATE automation_folder
       SET problem = CAST(:problem AS jsonb),
           look_at = clock_timestamp() + make_interval(secs => :seconds)
     WHERE project_id = :project
    """
)
_SET = text(
    """
    UPDATE automation
       SET path = :path, commit = :commit, definition = CAST(:definition AS jsonb),
           proposed = CAST(:proposed AS jsonb), proposed_digest = :proposed_digest,
           changed_at = CASE WHEN :news THEN now() ELSE changed_at END
     WHERE id = :id RETURNING short
    """
)
_ADD = text(
    """
    INSERT INTO automation (id, short, project_id, name, path, commit, definition, proposed,
                            proposed_digest)
    VALUES (:id, :short, :project, :name, :path, :commit, CAST(:definition AS jsonb),
            CAST(:proposed AS jsonb), :proposed_digest)
    """
)
_REMOVE = text(
    """
    UPDATE automation
       SET state = 'removed', proposed = '{}', proposed_digest = '', changed_at = now()
     WHERE id = :id
    """
)
_LIST = text(
    """
    SELECT folder.project_id, project.name AS project, folder.commit, folder.files,
           folder.problem, folder.read_at
      FROM automation_folder AS folder JOIN project ON project.id = folder.project_id
     WHERE project.removed_at IS NULL
     ORDER BY project.name
    """
)


@dataclass(frozen=True, kw_only=True)
class Taken:
    """A folder that is to be read now."""

    project_id: UUID
    project: str
    url: str
    commit: str
    """As it was read last; empty: never."""
    as_of: datetime
    """What is fetched from now on is newer than this."""


async def take(tx: Transaction, here: Collection[UUID] = ()) -> Taken | None:
    """The folder that waits longest, if one is due; it is nobody else's for a while.

    :param here: projects of which this host has mirrors
    """
    await tx.execute(_BEGIN)
    values = {"seconds": TAKEN_SECONDS, "grace": GRACE_SECONDS, "here": list(here)}
    row = (await tx.execute(_TAKE, values)).one_or_none()
    if row is None:
        return None
    return Taken(
        project_id=row.project_id,
        project=row.name,
        url=row.repository_url,
        commit=row.commit,
        as_of=row.as_of,
    )


async def look_soon(tx: Transaction, project_id: UUID, commit: str) -> None:
    """Its default branch is at a commit that may not have been read."""
    await tx.execute(_LOOK_SOON, {"project": project_id, "commit": commit})


async def kept(tx: Transaction) -> Mapping[UUID, str]:
    """Projects whose folder holds automations, with the address of their repository."""
    return {row.project_id: row.repository_url for row in await tx.execute(_KEPT)}


async def unchanged(tx: Transaction, taken: Taken, problem: Message | None = None) -> None:
    """Nothing new was found; `problem`: why it could not be read."""
    values = {"project": taken.project_id, "seconds": READ_SECONDS}
    kept = {} if problem is None else kept_message(problem)
    await tx.execute(_SAME, {**values, "problem": json.dumps(kept)})


async def sync(tx: Transaction, taken: Taken, commit: str, found: Sequence[File]) -> Plan | None:
    """Write what the files at a commit say; None: somebody wrote what is newer."""
    row = (await tx.execute(_LOCK, {"project": taken.project_id})).one_or_none()
    if row is None or (row.as_of is not None and row.as_of > taken.as_of):
        return None
    rows = (await tx.execute(_KNOWN, {"project": taken.project_id})).mappings()
    decided = plan([Known(**one) for one in rows], found)
    for gone in decided.removed:
        await _remove(tx, taken, gone)
    for said in decided.said:
        await _write(tx, taken, commit, said)
    values = {"project": taken.project_id, "commit": commit, "as_of": taken.as_of}
    files = json.dumps(list(decided.files))
    await tx.execute(_READ, {**values, "files": files, "seconds": READ_SECONDS})
    return decided


async def listed(tx: Transaction) -> list[dict[str, Any]]:
    """What was found in each folder: project_id, project, commit, files, problem, read_at."""
    found = []
    for row in (await tx.execute(_LIST)).mappings():
        files = [{**one, "said": [again(said) for said in one["said"]]} for one in row["files"]]
        problem = again(row["problem"]) if row["problem"] else ""
        found.append({**row, "files": files, "problem": problem})
    return found


async def _write(tx: Transaction, taken: Taken, commit: str, said: Said) -> None:
    values = {
        "path": said.path,
        "commit": commit,
        "definition": json.dumps(said.definition),
        "proposed": json.dumps(said.proposed),
        "proposed_digest": said.proposed_digest,
    }
    if said.id is None:
        automation_id = new_id()
        more = {"id": automation_id, "project": taken.project_id, "name": said.name}
        short = await _add(tx, {**values, **more})
    else:
        automation_id = said.id
        short = await tx.scalar(_SET, {**values, "id": said.id, "news": bool(said.news)})
    if said.news:
        await record(tx, _event(taken, "automation.proposed", said, commit))
        key = f"{notices.PROPOSED}{said.proposed_digest}"
        await notices.put(tx, automation_id, key, _proposed(short, said))


def _proposed(short: str, said: Said) -> Message:
    """What people hear of what is to be approved."""
    if not said.definition:
        return trigger_words.proposed(short, said.path, restored(said.proposed))
    found = differences(said.definition, said.proposed)
    return trigger_words.changed(short, said.path, said.name, found)


async def _add(tx: Transaction, values: dict[str, Any]) -> str:
    short = await shorts.add(tx, _ADD, values, "a")
    if short is None:
        raise Bug("no short name was free for an automation")
    return short


async def _remove(tx: Transaction, taken: Taken, gone: Known) -> None:
    await tx.execute(_REMOVE, {"id": gone.id})
    await trigger_rows.drop(tx, gone.id)
    await record(tx, _event(taken, "automation.removed", gone, ""))


def _event(taken: Taken, kind: str, about: Said | Known, commit: str) -> Audited:
    body = {"path": about.path, "commit": commit}
    place = f"{taken.project}/{about.name}"
    return Audited(kind=kind, by=HERE, place=place, project_id=taken.project_id, body=body)
