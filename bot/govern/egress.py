"""What machines reached and were refused, and which grants were used for it, in the audit.

Once a minute for each destination, and for each grant.
"""

from collections.abc import Sequence
from dataclasses import replace
from time import monotonic
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import text

from bot.govern.audit import Audited, Source
from bot.govern.repeats import WINDOW_SECONDS, Repeats
from bot.govern.turn_grants import Behind
from bot.store.database import Database
from bot.store.transaction import Transaction

DENIED_MAX = 300
"""Different refusals of one machine in a window; more are counted together. So none that asks for
thousands of names takes the room in which is told what it and others reach."""
SHARES_MAX = 4096
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
        self._denied: dict[UUID, tuple[float, int]] = {}
        """By machine: until when is counted, and how many there were."""

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
        if not passed.allowed and not self.is_known(key) and self._has_many(who.machine):
            reason = f"more than {DENIED_MAX} different refusals within a minute"
            event = replace(event, place="others", body={"machine": who.machine, "reason": reason})
            key = (who.machine, who.session, "", event.place, event.outcome, reason)
        self.note(event, key=key)

    def _has_many(self, machine: UUID) -> bool:
        """Whether one more refusal of a machine is too many to be told by itself."""
        now = monotonic()
        until, count = self._denied.get(machine, (0.0, 0))
        if until <= now:
            until, count = now + self.window_seconds, 0
        if len(self._denied) >= SHARES_MAX:
            self._denied.clear()
        self._denied[machine] = until, count + 1
        return count >= DENIED_MAX

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
