"""What pages and API read of templates and pools; each function is one query."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import text

from bot.config import Settings
from bot.errors import NotFound
from bot.govern.access import Act
from bot.store.transaction import Transaction
from bot.web.services import Services
from bot.web.visitor import Visitor, require_project
from bot.words import templates as words
from bot.words.guesses import as_rows
from bot.words.pools import standing, tier

Row = Mapping[str, Any]
TEMPLATES_MAX = 200
STANDING = ("hot", "hot_target", "cold", "cold_target", "making", "why", "held", "outdated")
"""What the sentence about a pool is made of."""
DAY_SECONDS = 86400.0

_TEMPLATE = """
    SELECT template.id, 't-' || right(CAST(template.id AS text), 8) AS short,
           project.name AS project, project.id AS project_id,
           template.size, template.state, template.commit, template.note,
           host.name AS host, template.fingerprint, template.created_at, template.changed_at,
           (SELECT coalesce(sum(CAST(step ->> 'seconds' AS double precision)), 0)
              FROM jsonb_array_elements(template.steps) AS step) AS build_seconds,
           template.steps, template.failures,
           template.step_number, template.step_count,
           NOT EXISTS (SELECT FROM template AS newer
                        WHERE newer.host_id = template.host_id AND newer.size = template.size
                          AND newer.project_id = template.project_id AND newer.state <> 'gone'
                          AND newer.created_at > template.created_at) AS is_newest
      FROM template
      JOIN host ON host.id = template.host_id
      LEFT JOIN project ON project.id = template.project_id
"""
_TEMPLATES = text(
    f"""
    {_TEMPLATE} WHERE :everything OR template.state <> 'gone'
     ORDER BY template.created_at DESC LIMIT {TEMPLATES_MAX}
    """
)
_ONE_TEMPLATE = text(
    f"""
    {_TEMPLATE}
     WHERE CAST(template.id AS text) = :said OR 't-' || right(CAST(template.id AS text), 8) = :said
        OR project.name = :said
     ORDER BY template.created_at DESC LIMIT 1
    """
)
_WAITS = text(
    """
    SELECT project.name AS project, project.id AS project_id, wait.size, host.name AS host,
           wait.why, wait.failures, wait.not_before, wait.ahead
      FROM template_wait AS wait
      JOIN host ON host.id = wait.host_id
      JOIN project ON project.id = wait.project_id AND project.removed_at IS NULL
     WHERE NOT EXISTS (
           SELECT FROM template
            WHERE template.state = 'building' AND template.host_id = wait.host_id
              AND template.project_id = wait.project_id AND template.size = wait.size)
     ORDER BY wait.not_before NULLS FIRST, wait.ahead, project.name, wait.size
    """
)
_UNBEGUN = text(
    """
    SELECT project.name AS project, project.id AS project_id,
           coalesce(project.size, :size) AS size,
           greatest(project.created_at, (SELECT max(session.active_at) FROM session
                                          WHERE session.project_id = project.id))
               > now() - make_interval(secs => :keep_seconds) AS used
      FROM project
     WHERE project.removed_at IS NULL
       AND NOT EXISTS (SELECT FROM template
                        WHERE template.project_id = project.id AND template.state <> 'gone')
       AND NOT EXISTS (SELECT FROM template_wait WHERE template_wait.project_id = project.id)
     ORDER BY project.name
    """
)
_POOLS = text(
    """
    SELECT project.name AS project, project.id AS project_id, pool.size, host.name AS host,
           pool.hot_target, pool.cold_target, pool.why, pool.held, pool.refill_seconds,
           pool.changed_at,
           waiting.hot, waiting.cold, waiting.making,
           given.handouts, given.hits, given.cold_handouts, given.boots,
           built.newest AS template,
           coalesce(built.states[1] = 'failed' AND 'ready' = ANY (built.states), false)
               AS outdated,
           CASE WHEN given.handouts > 0
                THEN given.hits / CAST(given.handouts AS double precision) END AS hit_ratio,
           given.seconds_hot, given.seconds_cold, given.seconds_boot
      FROM pool
      JOIN host ON host.id = pool.host_id
      LEFT JOIN project ON project.id = pool.project_id
     CROSS JOIN LATERAL (
           SELECT count(*) FILTER (WHERE machine.state = 'paused') AS hot,
                  count(*) FILTER (WHERE machine.state = 'resting') AS cold,
                  count(*) FILTER (WHERE machine.state IN ('creating', 'starting', 'running'))
                      AS making
             FROM machine JOIN template ON template.id = machine.template_id
            WHERE machine.session_id IS NULL AND machine.host_id = pool.host_id
              AND template.project_id = pool.project_id AND template.size = pool.size
     ) AS waiting
     CROSS JOIN LATERAL (
           SELECT array_agg(template.state ORDER BY template.created_at DESC) AS states,
                  (array_agg(template.id ORDER BY template.created_at DESC))[1] AS newest
             FROM template
            WHERE template.host_id = pool.host_id AND template.project_id = pool.project_id
              AND template.size = pool.size AND template.state NOT IN ('building', 'gone')
     ) AS built
     CROSS JOIN LATERAL (
           SELECT count(*) AS handouts,
                  count(*) FILTER (WHERE tier = 'hot') AS hits,
                  count(*) FILTER (WHERE tier = 'cold') AS cold_handouts,
                  count(*) FILTER (WHERE tier = 'boot') AS boots,
                  percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds)
                      FILTER (WHERE tier = 'hot') AS seconds_hot,
                  percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds)
                      FILTER (WHERE tier = 'cold') AS seconds_cold,
                  percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds)
                      FILTER (WHERE tier = 'boot') AS seconds_boot
             FROM handout
            WHERE handout.host_id = pool.host_id AND handout.project_id = pool.project_id
              AND handout.size = pool.size AND handout.at > now() - interval '7 days'
     ) AS given
     ORDER BY project.name, pool.size, host.name
    """
)
_WAITING = text(
    """
    SELECT 'm-' || right(CAST(machine.id AS text), 8) AS short, project.name AS project,
           project.id AS project_id, machine.size, host.name AS host, machine.state,
           machine.changed_at AS since, machine.note AS why,
           CAST(machine.facts ->> 'private_mib' AS integer) AS private_mib
      FROM machine
      JOIN template ON template.id = machine.template_id
      JOIN host ON host.id = machine.host_id
      LEFT JOIN project ON project.id = template.project_id
     WHERE machine.session_id IS NULL
       AND machine.state IN ('paused', 'resting', 'creating', 'starting', 'running')
     ORDER BY project.name, machine.size, host.name,
              machine.state = 'paused' DESC, machine.state = 'resting' DESC, machine.changed_at
    """
)


async def templates(
    tx: Transaction, settings: Settings, *, everything: bool = False
) -> tuple[Sequence[Row], Sequence[Row]]:
    """Templates, those that machines are made of first, and those that are not begun yet.

    With `everything` also those that are gone, and each of the failures that say the same.
    """
    rows = (await tx.execute(_TEMPLATES, {"everything": everything})).mappings()
    found = [_told(row) for row in rows]
    shown, left = words.listed(found, await _waits(tx), folding=not everything)
    return shown, [*left, *await _unbegun(tx, settings)]


async def template(tx: Transaction, said: str) -> Row:
    """A template by its id, its short id, or its project's newest. :raises NotFound:."""
    row = (await tx.execute(_ONE_TEMPLATE, {"said": said})).mappings().one_or_none()
    if row is None:
        raise NotFound(
            f"there is no template {said[:80]}", do="`ona templates` lists those there are"
        )
    return {**_told(row), "again": words.again(row, await _waits(tx))}


async def _waits(tx: Transaction) -> Sequence[Row]:
    return [dict(row) for row in (await tx.execute(_WAITS)).mappings()]


async def _unbegun(tx: Transaction, settings: Settings) -> Sequence[Row]:
    """Projects of which no host says anything, as templates that wait."""
    pool = settings.pool
    bounds = {"size": settings.machine.size, "keep_seconds": pool.keep_days * DAY_SECONDS}
    rows = (await tx.execute(_UNBEGUN, bounds)).mappings()
    told = {"host": None, "failures": 0, "not_before": None, "ahead": None}
    return [
        {**row, **told, "why": words.unbegun(enabled=pool.enabled, used=row["used"])}
        for row in rows
    ]


def _told(row: Row) -> Row:
    told = {**row, "guessed": as_rows(row["steps"])}
    if row["state"] == "building":
        told["note"] = words.under_way(row["step_number"], row["step_count"], row["note"])
    return told


async def find(visitor: Visitor, services: Services, said: str) -> Row:
    """A template that they may see. :raises NotFound: :raises Refused:"""
    async with services.database.begin() as tx:
        found = await template(tx, said)
    await require_project(visitor, services, Act.SEE, found["project_id"])
    return found


async def pools(tx: Transaction) -> Sequence[Row]:
    """The pools of every host, by project and size."""
    rows = (await tx.execute(_POOLS)).mappings()
    return [{**row, "why": standing(**{name: row[name] for name in STANDING})} for row in rows]


async def waiting(tx: Transaction) -> Sequence[Row]:
    """The machines that wait on every host, by pool, those that are handed out first first."""
    rows = (await tx.execute(_WAITING)).mappings()
    return [{**row, "tier": tier(row["state"])} for row in rows]
