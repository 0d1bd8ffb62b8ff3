"""Calls of the agent's tools: whose turn it is, how often, and what is recorded of each.

    running turn? ─▶ arguments ─▶ the tool: begin ─▶ what it does ─▶ its event ─▶ commit

Every call is one event of its session, `tool.called`, written in the transaction of what it does;
what is refused leaves one too. The audit lists and seals the events of sessions with its own.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import structlog
from pydantic import ValidationError
from sqlalchemy import text

from bot.errors import NotFound, Refused, TellPerson, TooLarge
from bot.govern.spenders import Spender
from bot.store.database import Database, may_pass
from bot.store.transaction import Transaction
from bot.words.amounts import short
from bot.words.plain import settled
from bot.work.queue import Event, append_events
from bot.work.running import Running
from bot.work.tools.tool import Asker, Call, Tool
from vmpool.network.gateway.ports import Identity, NoTurn

log = structlog.get_logger(__name__)

CALLED = "tool.called"
"""Kind of the event that each call leaves."""
SURFACE = "machine"
"""Where a call comes from, as its event says it."""
CALLS_MAX = 400
"""Of one turn, refused ones too: whoever asks more often is in a loop."""
FACT_LENGTH_MAX = 200
ONLY_READS = (
    "this turn may only read: it opens nothing, starts nothing and sets nothing; say in your answer"
    " what should be done, and whoever reads it can ask for it"
)
AWAY = "The database does not answer: nothing was done, or it is not known. Try again in a minute."

_LOCK = text(
    """
    SELECT person.id AS person_id, person.name, prompt.language, prompt.thread_id, session.short,
           session.branch, session.private_to IS NOT NULL AS private, session.narrow,
           project.name AS project, project.repository_url,
           coalesce((SELECT jsonb_object_agg(beside.name, beside.url)
                       FROM project_repository AS beside
                      WHERE beside.project_id = project.id AND beside.removed_at IS NULL),
                    '{}') AS beside
      FROM session
      JOIN turn ON turn.id = :turn AND turn.session_id = session.id AND turn.state = 'running'
      JOIN prompt ON prompt.id = turn.prompt_id
      JOIN person ON person.id = prompt.author_id
      JOIN project ON project.id = session.project_id
     WHERE session.id = :session AND session.state = 'running'
       FOR NO KEY UPDATE OF session
    """
)
_COUNT = text(
    """
    SELECT count(*) AS calls,
           count(*) FILTER (WHERE body ->> 'tool' = :tool AND body ->> 'outcome' = 'done') AS done
      FROM turn_event WHERE turn_id = :turn AND kind = :kind
    """
)


class TooOften(Refused):
    """This turn has asked as often as it may."""


@dataclass(kw_only=True)
class Entry:
    """A call under way, in its transaction."""

    tx: Transaction
    asker: Asker
    facts: dict[str, Any] = field(default_factory=dict)
    """What its event tells beside who and which tool; short."""
    events: list[Event] = field(default_factory=list)
    """What goes before that event."""


class Desk:
    """What every tool does its work at."""

    def __init__(self, database: Database) -> None:
        """Nothing is kept between calls."""
        self.database = database

    @asynccontextmanager
    async def begin(self, call: Call) -> AsyncIterator[Entry]:
        """The transaction of a call: its session is locked and its turn runs, until it commits.

        :raises NoTurn: the turn has ended
        :raises TooOften:
        """
        async with self.database.begin() as tx:
            asker = await _locked(tx, call.turn)
            await _check_count(tx, call)
            entry = Entry(tx=tx, asker=asker)
            yield entry
            events = [*entry.events, _called(call, asker, "done", entry.facts)]
            await append_events(tx, call.turn.session_id, events, turn_id=call.turn.turn_id)

    async def refused(self, call: Call, why: str) -> None:
        """Record that a call was refused, as far as there is room for that."""
        async with self.database.begin() as tx:
            try:
                asker = await _locked(tx, call.turn)
            except NoTurn:
                return
            if (await _count(tx, call)).calls < CALLS_MAX:
                event = _called(call, asker, "refused", {"why": why})
                await append_events(tx, call.turn.session_id, [event], turn_id=call.turn.turn_id)


class Calls:
    """Takes calls of tools."""

    def __init__(self, desk: Desk, running: Running, tools: Sequence[Tool[Any]]) -> None:
        """`tools` in the order in which agents are told of them."""
        self._desk = desk
        self._running = running
        self.tools = {one.name: one for one in tools}

    async def turn_of(self, who: Identity) -> Spender:
        """The turn that runs in a machine. :raises NoTurn: none :raises Unreachable:"""
        return await self._running.turn_of(who)

    async def call(self, who: Identity, name: str, given: Mapping[str, Any]) -> tuple[str, bool]:
        """What the agent is told, and whether that is an error.

        :raises NoTurn: no turn is running
        :raises Unreachable: the database was away before it was known whose turn it is
        :raises NotFound: there is no such tool
        """
        tool = self.tools.get(name)
        if tool is None:
            raise NotFound(f"there is no tool {name[:80]!r}")
        turn = await self.turn_of(who)
        call = Call(who=who, turn=turn, tool=name, per_turn_max=tool.per_turn_max)
        try:
            return await self._done(call, tool, given), False
        except TellPerson as error:
            log.info("tool_refused", tool=name, why=error.happened)
            return str(error), True
        except Exception as error:
            if not may_pass(error):
                raise
            return AWAY, True

    async def _done(self, call: Call, tool: Tool[Any], given: Mapping[str, Any]) -> str:
        try:
            if tool.reaches_out and call.turn.read_only:
                raise Refused(ONLY_READS)
            return await tool.run(call, tool.takes.model_validate(_storable(given), strict=True))
        except ValidationError as error:
            refusal: TellPerson = Refused(f"the arguments don't fit: {_wrong(error)}")
        except RecursionError:
            refusal = Refused("the arguments are nested too deep")
        except TellPerson as error:
            refusal = error
        await self._desk.refused(call, refusal.happened)
        raise refusal


def _storable(value: Any) -> Any:
    """Without what PostgreSQL has no character for."""
    match value:
        case str():
            return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
        case list():
            return [_storable(one) for one in value]
        case dict():
            return {_storable(name): _storable(one) for name, one in value.items()}
    return value


def _wrong(error: ValidationError) -> str:
    """What is wrong with each field, without what it held."""
    found = [
        f"{'.'.join(str(part) for part in one['loc']) or 'all of it'}: {one['msg']}"
        for one in error.errors(include_input=False, include_url=False)
    ]
    return "; ".join(found)[:1_000]


async def _locked(tx: Transaction, turn: Spender) -> Asker:
    ids = {"session": turn.session_id, "turn": turn.turn_id}
    row = (await tx.execute(_LOCK, ids)).mappings().one_or_none()
    if row is None:
        raise NoTurn("The turn that asked for this has ended.")
    return Asker(**row)


async def _count(tx: Transaction, call: Call) -> Any:
    wanted = {"turn": call.turn.turn_id, "tool": call.tool, "kind": CALLED}
    return (await tx.execute(_COUNT, wanted)).one()


async def _check_count(tx: Transaction, call: Call) -> None:
    known = await _count(tx, call)
    if known.calls >= CALLS_MAX:
        raise TooOften(f"this turn has called tools {CALLS_MAX} times, the most it may")
    if known.done >= call.per_turn_max:
        raise TooOften(
            f"this turn has called {call.tool} {call.per_turn_max} times, the most it may"
        )


def _called(call: Call, asker: Asker, outcome: str, facts: Mapping[str, Any]) -> Event:
    body = {
        "tool": call.tool,
        "outcome": outcome,
        "by": asker.person_id,
        "name": asker.name,
        "surface": SURFACE,
    }
    return Event(kind=CALLED, body={**_bounded(facts), **body})


def _bounded(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        name: short(settled(value), FACT_LENGTH_MAX) if isinstance(value, str) else value
        for name, value in facts.items()
    }


def check_length(what: str, value: str, characters_max: int) -> str:
    """The words as they may be stored. :raises TellPerson: they are empty or too long"""
    clean = settled(value).strip()
    if not clean:
        raise Refused(f"the {what} is empty")
    if len(clean) > characters_max:
        raise TooLarge(
            f"the {what} has {len(clean):,} characters and at most {characters_max:,} fit"
        )
    return clean
