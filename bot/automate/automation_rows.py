"""The rows of automations, as `bot.automate.automations` finds and adds them."""

import json
from typing import Any
from uuid import UUID

from sqlalchemy import text

from bot.automate.definition import Definition, digest, kept
from bot.errors import NotFound, Refused
from bot.store import shorts
from bot.store.ids import new_id
from bot.store.transaction import Transaction
from bot.words.catalogue import gettext as _

PER_PROJECT_MAX = 500
LISTED_MAX = 1_000
_ROW = """
    SELECT automation.id, automation.short, automation.project_id, automation.name,
           automation.path, automation.commit, automation.definition, automation.digest,
           automation.proposed, automation.proposed_digest, automation.state, automation.why,
           automation.failures, automation.approved_at, automation.created_at,
           automation.changed_at, automation.runs_as_id, project.name AS project,
           coalesce(runner.id, approver.id, creator.id) IN
               (SELECT id FROM person WHERE deactivated_at IS NOT NULL) AS owner_left,
           approver.name AS approved_by, runner.name AS runs_as, creator.name AS creator,
           (SELECT min(schedule.due_at) FROM automation_trigger
              JOIN schedule ON schedule.id = automation_trigger.schedule_id
             WHERE automation_trigger.automation_id = automation.id
               AND schedule.state = 'active') AS next_at
      FROM automation JOIN project ON project.id = automation.project_id
      LEFT JOIN person AS approver ON approver.id = automation.approved_by
      LEFT JOIN person AS runner ON runner.id = automation.runs_as_id
      LEFT JOIN person AS creator ON creator.id = automation.creator_id
     WHERE automation.state <> 'removed' AND project.removed_at IS NULL
"""
_FIND = text(
    f"""
    {_ROW}
       AND (automation.short = :said
            OR (automation.name = :name AND (:project = '' OR project.name = :project)))
     ORDER BY automation.short = :said DESC, project.name LIMIT 5 FOR UPDATE OF automation
    """
)
_LIST = text(
    f"""
    {_ROW}
       AND (CAST(:project AS text) IS NULL OR project.name = :project)
     ORDER BY project.name, automation.name LIMIT :limit
    """
)
_COUNT = text("SELECT count(*) FROM automation WHERE project_id = :project AND state <> 'removed'")
_ADD = text(
    """
    INSERT INTO automation (id, short, project_id, name, definition, digest, state, creator_id,
                            approved_by, approved_at, runs_as_id)
    VALUES (:id, :short, :project, :name, CAST(:definition AS jsonb), :digest, 'active', :by, :by,
            now(), :runs_as)
    """
)
_TAKEN = text(
    """
    SELECT 1 FROM automation
     WHERE project_id = :project AND name = :name AND state <> 'removed' AND id <> :id
    """
)


async def find(tx: Transaction, said: str) -> Any:
    """The row of an automation by its short name, its name, or PROJECT/NAME; locked.

    :raises NotFound: there is none
    :raises Refused: several projects have one of that name
    """
    project, slash, name = said.rpartition("/")
    asked = {"said": said, "name": name if slash else said, "project": project}
    rows = (await tx.execute(_FIND, asked)).all()
    if rows and (rows[0].short == said or len(rows) == 1):
        return rows[0]
    if not rows:
        raise NotFound(
            _("there is no automation {automation}", automation=said[:100]),
            do=_("`automations` lists those there are"),
        )
    raise Refused(
        _("several projects have an automation {automation}", automation=said[:100]),
        do=_("say which: {names}", names=", ".join(f"{row.project}/{row.name}" for row in rows)),
    )


async def listed(tx: Transaction, project: str | None = None) -> list[dict[str, Any]]:
    """All of them, or a project's, by project and name."""
    rows = await tx.execute(_LIST, {"project": project, "limit": LISTED_MAX})
    return [dict(row) for row in rows.mappings()]


async def add(
    tx: Transaction, project_id: UUID, definition: Definition, *, by: UUID, runs_as: UUID
) -> tuple[UUID, str]:
    """Keep one that counts at once; its id and its short name.

    :raises Refused: its name is taken, or the project has too many
    """
    if int(await tx.scalar(_COUNT, {"project": project_id})) >= PER_PROJECT_MAX:
        raise Refused(
            _("the project has {most} automations, and no more fit", most=PER_PROJECT_MAX),
            kept=_("nothing was saved"),
        )
    automation_id = new_id()
    await check_name(tx, project_id, automation_id, definition.name)
    values = {
        "id": automation_id,
        "project": project_id,
        "name": definition.name,
        "definition": json.dumps(kept(definition)),
        "digest": digest(definition),
        "by": by,
        "runs_as": runs_as,
    }
    short = await shorts.add(tx, _ADD, values, "a")
    if short is None:
        raise Refused(_("no short name was free for the automation"), do=_("try again"))
    return automation_id, short


async def check_name(tx: Transaction, project_id: UUID, automation_id: UUID, name: str) -> None:
    """:raises Refused: another automation of the project is called so"""
    asked = {"project": project_id, "id": automation_id, "name": name}
    if (await tx.execute(_TAKEN, asked)).first() is not None:
        raise Refused(
            _("the project has an automation {name} already", name=name),
            kept=_("nothing was saved"),
            do=_("give it another name"),
        )
