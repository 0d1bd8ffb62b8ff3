"""What the database knows that a check wants to know; nothing is started for it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

import psycopg
from sqlalchemy import text

from bot.config import Settings
from bot.govern import halting
from bot.govern.halt import Halt
from bot.store import kept, surface_states
from bot.store.database import Database, may_pass
from bot.store.embedded import EmbeddedPostgres
from bot.store.surface_states import SurfaceStatus
from bot.store.transaction import Transaction

Found = TypeVar("Found")

_URLS = text(
    """
    SELECT repository_url FROM project WHERE removed_at IS NULL
     UNION SELECT url FROM project_repository JOIN project ON project.id = project_id
            WHERE project.removed_at IS NULL AND project_repository.removed_at IS NULL
     ORDER BY 1
    """
)

_HOSTS = text(
    """
    SELECT host.name, host.seen_at, host.given_up_at IS NOT NULL AS is_given_up,
           clock_timestamp() AS now,
           (SELECT count(*) FROM machine
             WHERE machine.host_id = host.id AND machine.session_id IS NOT NULL
               AND machine.state NOT IN ('lost', 'removing', 'gone')) AS machines
      FROM host ORDER BY host.name, host.id
    """
)
_FAILED = text(
    """
    SELECT project.name AS project, newest.size, host.name AS host, newest.note, wait.failures,
           wait.not_before AS again_at,
           EXISTS (SELECT FROM template
                    WHERE template.host_id = newest.host_id AND template.size = newest.size
                      AND template.project_id = newest.project_id
                      AND template.state = 'ready') AS has_older
      FROM (SELECT DISTINCT ON (host_id, project_id, size) * FROM template
             WHERE state NOT IN ('building', 'gone')
             ORDER BY host_id, project_id, size, created_at DESC) AS newest
      JOIN host ON host.id = newest.host_id AND host.given_up_at IS NULL
      JOIN project ON project.id = newest.project_id AND project.removed_at IS NULL
      LEFT JOIN template_wait AS wait
        ON wait.host_id = newest.host_id AND wait.project_id = newest.project_id
       AND wait.size = newest.size AND wait.failures > 0
     WHERE newest.state = 'failed'
     ORDER BY project.name, newest.size, host.name
    """
)
_HELD = text(
    """
    SELECT project.name AS project, pool.size, host.name AS host, pool.held
      FROM pool
      JOIN host ON host.id = pool.host_id AND host.given_up_at IS NULL
      JOIN project ON project.id = pool.project_id AND project.removed_at IS NULL
     WHERE pool.held IS NOT NULL
       AND EXISTS (SELECT FROM template
                    WHERE template.host_id = pool.host_id AND template.size = pool.size
                      AND template.project_id = pool.project_id AND template.state = 'ready')
       AND pool.hot_target + pool.cold_target > (
           SELECT count(*) FROM machine JOIN template ON template.id = machine.template_id
            WHERE machine.session_id IS NULL AND machine.host_id = pool.host_id
              AND machine.state IN ('paused', 'resting')
              AND template.project_id = pool.project_id AND template.size = pool.size)
     ORDER BY project.name, pool.size, host.name
    """
)
_LARGE = text(
    """
    SELECT blob FROM (SELECT DISTINCT ON (session_id) blob, created_at FROM checkpoint
                       ORDER BY session_id, created_at DESC, id DESC) AS newest
     WHERE blob IS NOT NULL ORDER BY created_at DESC LIMIT :count
    """
)
LARGE_MAX = 200
"""Large checkpoints that are looked for."""


@dataclass(frozen=True, kw_only=True)
class StoredHost:
    """A host as the database knows it."""

    name: str
    seen_at: datetime
    is_given_up: bool
    now: datetime
    """By the database's clock."""
    machines: int
    """Of sessions, that are not lost."""


@dataclass(frozen=True, kw_only=True)
class FailedTemplate:
    """The newest template of a pool, which failed."""

    project: str
    size: str
    host: str
    note: str | None
    has_older: bool
    """Machines are made of one before it."""
    failures: int | None
    """In a row, if it is tried again."""
    again_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class HeldPool:
    """A pool that lacks machines, has a template, and gets none."""

    project: str
    size: str
    host: str
    held: str
    """Why."""


def database_url(settings: Settings) -> str | None:
    """Of the configured database, or of the embedded one; None: that does not run."""
    if settings.database.url is not None:
        return settings.database.url.get_secret_value()
    return EmbeddedPostgres(settings.database_dir).find()


async def repository_urls(settings: Settings) -> list[str]:
    """Of all projects; none while the database is away or has no tables yet."""

    async def ask(tx: Transaction) -> list[str]:
        return [str(url) for url in (await tx.execute(_URLS)).scalars()]

    return await _asked(settings, ask, [])


async def code_hosts(settings: Settings) -> Mapping[str, str]:
    """Those that the settings of running processes ever named, each to its surface."""
    return await _asked(settings, kept.hosts, {})


async def status(settings: Settings, surface: str) -> SurfaceStatus | None:
    """What running processes say of a surface; None: the database is away."""

    async def ask(tx: Transaction) -> SurfaceStatus | None:
        (found,) = await surface_states.statuses(tx, [surface])
        return found

    return await _asked(settings, ask, None)


async def hosts(settings: Settings) -> list[StoredHost]:
    """Those that ever reported; none while the database is away or has no tables yet."""

    async def ask(tx: Transaction) -> list[StoredHost]:
        return [StoredHost(**row) for row in (await tx.execute(_HOSTS)).mappings()]

    return await _asked(settings, ask, [])


async def failed_templates(settings: Settings) -> list[FailedTemplate]:
    """Of hosts that are waited for; none while the database is away or has no tables yet."""

    async def ask(tx: Transaction) -> list[FailedTemplate]:
        return [FailedTemplate(**row) for row in (await tx.execute(_FAILED)).mappings()]

    return await _asked(settings, ask, [])


async def held_pools(settings: Settings) -> list[HeldPool]:
    """Of hosts that are waited for; none while the database is away or has no tables yet."""

    async def ask(tx: Transaction) -> list[HeldPool]:
        return [HeldPool(**row) for row in (await tx.execute(_HELD)).mappings()]

    return await _asked(settings, ask, [])


async def large_checkpoints(settings: Settings) -> list[str]:
    """Keys of the newest ones that are no rows; none while the database is away."""

    async def ask(tx: Transaction) -> list[str]:
        rows = await tx.execute(_LARGE, {"count": LARGE_MAX})
        return [str(key) for key in rows.scalars()]

    return await _asked(settings, ask, [])


async def halts(settings: Settings) -> list[Halt]:
    """What is halted; nothing while the database is away or has no tables yet."""
    return await _asked(settings, halting.read, [])


async def _asked(
    settings: Settings, ask: Callable[[Transaction], Awaitable[Found]], otherwise: Found
) -> Found:
    """What the database answers; `otherwise` while it is away or has no tables yet."""
    async with _open(settings) as database:
        if database is None:
            return otherwise
        try:
            async with database.begin() as tx:
                return await ask(tx)
        except Exception as error:
            if not may_pass(error) and not isinstance(error, psycopg.errors.UndefinedTable):
                raise
            return otherwise


@asynccontextmanager
async def _open(settings: Settings) -> AsyncIterator[Database | None]:
    """The database, for a moment; None: there is none."""
    url = database_url(settings)
    if url is None:
        yield None
        return
    database = Database(url, connections_max=1)
    try:
        yield database
    finally:
        await database.close()
