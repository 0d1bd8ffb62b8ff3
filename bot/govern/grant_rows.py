"""The rows of grants: written before an issuer is asked, and moved as it answers.

What is not held any more (`grant_records`) is what the sweep ends.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from sqlalchemy import text

from adapters.vault.errors import Misasked
from adapters.vault.tokens import LIVING_SECONDS_MAX
from bot.errors import Refused
from bot.govern.grant_audit import Became, note
from bot.govern.grant_records import (
    BuildHolder,
    Holder,
    NotHeld,
    Planned,
    Recorded,
    Stale,
    Whose,
)
from bot.govern.policy_text import read
from bot.store.database import Database
from bot.store.states import GrantState
from vmpool.silence import BREAK_SECONDS

LATE_SECONDS = 10.0
"""After its end a lease may still be renewed by its holder, when the database was away."""
UNRECORDED_SECONDS = 40.0
"""A grant that is not recorded by then will not be: issuing has a deadline far below."""

_WHOSE = text(
    """
    SELECT session.short, project.name, project.repository_url,
           ARRAY(SELECT url FROM project_repository AS beside
                  WHERE beside.project_id = project.id AND beside.removed_at IS NULL
                  ORDER BY beside.name) AS beside,
           policy.name AS policy_name, policy.source AS policy_source,
           asked.id AS prompt_id, asked.author_id, asked.read_only
      FROM session
      JOIN project ON project.id = session.project_id
      LEFT JOIN LATERAL (
          SELECT id, author_id, read_only FROM prompt
           WHERE prompt.session_id = session.id AND prompt.state IN ('queued', 'running')
           ORDER BY prompt.state = 'running' DESC, prompt.position LIMIT 1
      ) AS asked ON true
      LEFT JOIN LATERAL (
          SELECT name, source FROM policy_version
           WHERE policy_version.project_id = project.id ORDER BY version DESC LIMIT 1
      ) AS policy ON true
     WHERE session.id = :session
       AND session.lease_owner = :owner AND session.lease_token = :token
    """
)
_BUILDS = f"""
    build.state = 'building'
    AND EXISTS (SELECT FROM host WHERE host.id = build.host_id
                   AND host.seen_at > now() - interval '{BREAK_SECONDS} s')
    AND NOT EXISTS (SELECT FROM halt WHERE scope = 'all' OR halt.project_id = build.project_id)
"""
"""The host that builds this template goes on with it, and nobody has halted that."""
_WHOSE_BUILD = text(
    f"""
    SELECT 'template-' || left(CAST(build.id AS text), 8) AS short, project.name,
           project.repository_url, ARRAY[]::text[] AS beside,
           policy.name AS policy_name, policy.source AS policy_source,
           NULL AS prompt_id, NULL AS author_id, false AS read_only
      FROM template AS build
      JOIN project ON project.id = build.project_id
      LEFT JOIN LATERAL (
          SELECT name, source FROM policy_version
           WHERE policy_version.project_id = project.id ORDER BY version DESC LIMIT 1
      ) AS policy ON true
     WHERE build.id = :template AND {_BUILDS}
    """
)
_PLAN = text(
    f"""
    INSERT INTO turn_grant (id, session_id, turn_id, template_id, kind, name, mode, purpose,
                            options, owner, lease_token, ends_at)
    SELECT planned.id, CAST(:session AS uuid), CAST(:turn AS uuid), CAST(:template AS uuid),
           planned.kind, planned.name, planned.mode, planned.purpose, planned.options,
           CAST(:owner AS text), CAST(:token AS bigint),
           now() + make_interval(secs => planned.seconds)
      FROM jsonb_to_recordset(CAST(:rows AS jsonb))
           AS planned(id uuid, kind text, name text, mode text, purpose text, options jsonb,
                      seconds float)
     WHERE EXISTS (SELECT FROM session
                    WHERE session.id = CAST(:session AS uuid)
                      AND session.lease_owner = CAST(:owner AS text)
                      AND session.lease_token = CAST(:token AS bigint))
        OR EXISTS (SELECT FROM template AS build
                    WHERE build.id = CAST(:template AS uuid) AND {_BUILDS})
    RETURNING id
    """
)
_RECORD = text(
    """
    UPDATE turn_grant
       SET state = 'issued', trace = said.trace, issued_at = now(),
           ends_at = now() + make_interval(secs => said.seconds)
      FROM jsonb_to_recordset(CAST(:rows AS jsonb))
           AS said(id uuid, trace jsonb, seconds float)
     WHERE turn_grant.id = said.id AND turn_grant.state = 'issuing'
    RETURNING turn_grant.id
    """
)
_RENEW = text(
    "UPDATE turn_grant SET ends_at = now() + make_interval(secs => :seconds) WHERE id = :grant"
)
_OF_TURN = text("UPDATE turn_grant SET turn_id = :turn WHERE id = ANY(:grants)")
_OVER = text(
    """
    UPDATE turn_grant SET state = :state, ended_at = now()
     WHERE id = ANY(:grants) AND state IN ('issuing', 'issued')
    RETURNING id
    """
)
_FORGET = text("DELETE FROM turn_grant WHERE id = ANY(:grants) AND state = 'issuing'")
_NEVER_BEGAN = text(
    """
    DELETE FROM turn_grant
     WHERE turn_id IS NULL AND state IN ('revoked', 'ended')
       AND ended_at < now() - make_interval(days => 1)
    """
)
_STALE = text(
    f"""
    SELECT g.id, g.kind, g.options, g.trace,
           g.ends_at IS NULL OR g.ends_at < now() AS over,
           g.ends_at IS NULL OR g.ends_at < now() - make_interval(secs => :unwritten) AS long_over
      FROM turn_grant g
      LEFT JOIN session ON session.id = g.session_id AND session.state = 'running'
           AND session.lease_owner = g.owner AND session.lease_token = g.lease_token
           AND session.lease_until > now() - make_interval(secs => :late)
      LEFT JOIN template AS build ON build.id = g.template_id AND {_BUILDS}
     WHERE g.state IN ('issuing', 'issued') AND session.id IS NULL AND build.id IS NULL
       AND (g.state = 'issued' OR g.created_at < now() - make_interval(secs => :unrecorded))
       AND g.id <> ALL(:without)
     ORDER BY g.kind <> 'token', g.created_at
     LIMIT :most
    """
)
_ALIVE = text(
    """
    SELECT EXISTS (
        SELECT FROM turn_grant
         WHERE session_id = :session AND mode = 'handed' AND state IN ('issuing', 'issued')
           AND kind = ANY(:kinds) AND (ends_at IS NULL OR ends_at > now()))
    """
)
_TOLD = text(
    """
    SELECT EXISTS (SELECT FROM turn_event WHERE session_id = :session AND kind = 'notice'
                      AND body ->> 'text' = :notice)
    """
)


class GrantRows:
    """Reads and moves them; each method is a transaction of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def whose(self, holder: Holder | BuildHolder) -> Whose:
        """What the turn under a lease is about, or a build.

        :raises NotHeld:
        :raises Misasked: the project's policy can't be read
        """
        builds = isinstance(holder, BuildHolder)
        asked = await self._database.run(_WHOSE_BUILD if builds else _WHOSE, holder.parameters)
        row = asked.one_or_none()
        if row is None:
            raise NotHeld
        return Whose(
            short=row.short,
            project=row.name,
            repository=row.repository_url,
            beside=row.beside,
            grants=_declared(row.policy_source, row.policy_name),
            prompt_id=row.prompt_id,
            person_id=row.author_id,
            read_only=bool(row.read_only),
            builds=builds,
        )

    async def plan(
        self, holder: Holder | BuildHolder, planned: Sequence[Planned], turn_id: UUID | None
    ) -> None:
        """Write them down before they are issued. :raises NotHeld: nothing was written"""
        rows = [
            {
                "id": str(one.id),
                "kind": one.kind,
                "name": one.wanted.name if one.wanted else one.kind,
                "mode": one.wanted.mode.value if one.wanted else "injected",
                "purpose": one.wanted.purpose if one.wanted else "",
                "options": dict(one.wanted.options) if one.wanted else {},
                "seconds": one.seconds,
            }
            for one in planned
        ]
        wanted = {**holder.parameters, "turn": turn_id, "rows": json.dumps(rows)}
        if not (await self._database.run(_PLAN, wanted)).all():
            raise NotHeld

    async def record(self, issued: Sequence[Recorded]) -> None:
        """Write down what ends them; also when the lease is lost by now."""
        rows = [
            {"id": str(one.id), "trace": dict(one.trace), "seconds": one.seconds} for one in issued
        ]
        async with self._database.begin() as tx:
            found = list((await tx.execute(_RECORD, {"rows": json.dumps(rows)})).scalars())
            await note(tx, "grant.issued", found)

    async def renewed(self, grant_id: UUID, seconds: float, *, audited: bool) -> None:
        """It lives so long from now.

        :param audited: it goes into the audit; `renewed_again` tells of those that don't
        """
        lives = {"grant": grant_id, "seconds": seconds}
        if not audited:
            await self._database.run(_RENEW, lives)
            return
        async with self._database.begin() as tx:
            await tx.execute(_RENEW, lives)
            await note(tx, "grant.renewed", [grant_id])

    async def renewed_again(self, times: Mapping[UUID, int]) -> None:
        """Audit how often each was renewed besides."""
        if times:
            async with self._database.begin() as tx:
                await note(tx, "grant.renewed", list(times), repeats=times)

    async def of_turn(self, turn_id: UUID, grants: Collection[UUID]) -> None:
        """The turn has begun for which they were issued."""
        await self._database.run(_OF_TURN, {"turn": turn_id, "grants": list(grants)})

    async def over(self, state: GrantState, grants: Collection[UUID]) -> None:
        """They are revoked, or ended by themselves."""
        if grants:
            became: Became = "grant.revoked" if state is GrantState.REVOKED else "grant.ended"
            async with self._database.begin() as tx:
                wanted = {"state": state.value, "grants": list(grants)}
                await note(tx, became, list((await tx.execute(_OVER, wanted)).scalars()))

    async def forget(self, grants: Collection[UUID]) -> None:
        """Nothing was issued for them."""
        if grants:
            await self._database.run(_FORGET, {"grants": list(grants)})

    async def remove_old(self) -> None:
        """Remove what was revoked long ago of turns that never began."""
        await self._database.run(_NEVER_BEGAN)

    async def stale(self, most: int, *, without: Collection[UUID] = ()) -> Sequence[Stale]:
        """Those that nobody holds, tokens first."""
        asked = {
            "late": LATE_SECONDS,
            "unrecorded": UNRECORDED_SECONDS,
            "unwritten": LIVING_SECONDS_MAX,
            "most": most,
            "without": list(without),
        }
        return [Stale(**row) for row in (await self._database.run(_STALE, asked)).mappings()]

    async def is_told(self, session_id: UUID, notice: str) -> bool:
        """Whether a session was told that before."""
        asked = {"session": session_id, "notice": notice}
        return bool((await self._database.run(_TOLD, asked)).scalar_one())

    async def handed_alive(self, session_id: UUID, kinds: Collection[str]) -> bool:
        """Whether something of these kinds that works may still be in the session's machine."""
        asked = {"session": session_id, "kinds": list(kinds)}
        return bool((await self._database.run(_ALIVE, asked)).scalar_one())


def _declared(source: str | None, name: str) -> Sequence[Mapping[str, object]]:
    """The grants of a policy; None: the project has none."""
    if source is None:
        return ()
    try:
        document = read(source, name).document
    except Refused as error:
        raise Misasked(str(error)) from error
    return [grant.entry(called) for called, grant in document.grants.items()]
