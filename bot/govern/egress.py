"""What machines reached and were refused, and which grants were used for it, in the audit.

Once a minute for each destination, and for each grant.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import text

from bot.govern.audit import Audited, Source
from bot.govern.repeats import WINDOW_SECONDS, Repeats
from bot.govern.turn_grants import Behind
from bot.store.database import Database
from bot.store.transaction import Transaction

GATEWAY = Source(who="gateway", surface="gateway")
_WHOSE = text(
    """
    SELECT turn.session_id, turn.id AS turn, person.id AS person_id, person.name
      FROM turn JOIN prompt ON prompt.id = turn.prompt_id
      JOIN person ON person.id = prompt.author_id
     WHERE turn.state = 'running' AND turn.session_id = ANY(:sessions)
    """
)


class Whose(Protocol):
    """Whose machine it is."""

    @property
    def machine(self) -> UUID: ...  # noqa: D102

    @property
    def session(self) -> UUID | None: ...  # noqa: D102

    @property
    def project(self) -> UUID | None: ...  # noqa: D102


class Passed(Protocol):
    """One decision of the gateway; see `vmpool.network.gateway.Event`."""

    @property
    def who(self) -> Whose: ...  # noqa: D102

    @property
    def way(self) -> str: ...  # noqa: D102

    @property
    def host(self) -> str: ...  # noqa: D102

    @property
    def port(self) -> int: ...  # noqa: D102

    @property
    def allowed(self) -> bool: ...  # noqa: D102

    @property
    def reason(self) -> str: ...  # noqa: D102

    @property
    def rule(self) -> str | None: ...  # noqa: D102

    @property
    def address(self) -> str | None: ...  # noqa: D102


class EgressAudit(Repeats):
    """Takes the decisions of a host's gateway; give `take` to it as its audit, and run this.

    `used` is for its routes.
    """

    def __init__(self, database: Database, *, window_seconds: float = WINDOW_SECONDS) -> None:
        """`run` has to be running for anything to be written."""
        super().__init__(database, window_seconds=window_seconds, complete=_by_turn)

    def take(self, passed: Passed) -> None:
        """Note a decision; equal ones of a machine are counted. Does not block."""
        who = passed.who
        place = f"[{passed.host}]" if ":" in passed.host else passed.host
        event = Audited(
            kind="egress",
            by=GATEWAY,
            place=f"{place}:{passed.port}",
            session_id=who.session,
            project_id=who.project,
            outcome="allowed" if passed.allowed else "denied",
            body={
                "machine": who.machine,
                "way": passed.way,
                "reason": passed.reason,
                "rule": passed.rule,
                "address": passed.address,
            },
        )
        key = (who.machine, who.session, passed.way, event.place, event.outcome, passed.reason)
        self.note(event, key=key)

    def used(self, who: Whose, route: str, grant: Behind) -> None:
        """Note that a grant is added to a request; those of a minute are counted. Doesn't block."""
        event = Audited(
            kind="grant.used",
            by=GATEWAY,
            place=grant.name,
            session_id=who.session,
            project_id=who.project,
            body={
                "machine": who.machine,
                "grant": grant.id,
                "kind": grant.kind,
                "name": grant.name,
                "route": route,
            },
        )
        self.note(event, key=(who.machine, route, grant.id))


async def _by_turn(tx: Transaction, events: Sequence[Audited]) -> Sequence[Audited]:
    """Name the person whose turn is running: it is for them that the machine works."""
    sessions = list({one.session_id for one in events if one.session_id is not None})
    if not sessions:
        return events
    rows = (await tx.execute(_WHOSE, {"sessions": sessions})).all()
    running = {row.session_id: row for row in rows}
    return [_of(event, running.get(event.session_id)) for event in events]


def _of(event: Audited, turn: Any) -> Audited:
    if turn is None:
        return event
    by = Source(person_id=turn.person_id, who=turn.name, surface="gateway")
    return replace(event, by=by, body={**event.body, "turn": turn.turn})
