"""What is done about a run, one transaction each: targets are started, stepped on, ended.

An action locks its target and does nothing if that is not where it was seen, so that nothing is
begun twice. One that raises is counted at its target, which fails with why at last.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import structlog

from bot.automate.backing_off import back_off
from bot.automate.definition import (
    Definition,
    PostStep,
    PromptStep,
    PullRequestStep,
    ReportStep,
    ShellStep,
    step_kind,
)
from bot.automate.runs.actionable import is_nothing
from bot.automate.runs.stepping import (
    TRIES_MAX,
    UNREADABLE,
    Action,
    Finish,
    Follow,
    Settle,
    Start,
    why_failed,
)
from bot.errors import NothingToDo, TellPerson
from bot.govern.access import Standing
from bot.govern.people import standing_of
from bot.govern.rights import Rights
from bot.store.database import Database
from bot.store.statements import load
from bot.store.transaction import Transaction
from bot.work import control
from bot.work.control import Actor

log = structlog.get_logger(__name__)

SQL = load(Path(__file__).parent / "sql" / "running.sql")
REPORT_CHARACTERS_MAX = 4_000


@dataclass(frozen=True, kw_only=True)
class Asking:
    """A step that needs a turn."""

    step: PromptStep | ShellStep | PullRequestStep
    place: int
    """Of the step, from 0."""
    definition: Definition

    @property
    def is_first(self) -> bool:
        """No agent was asked and no command ran before it."""
        before = self.definition.steps[: self.place]
        return not any(isinstance(one, PromptStep | ShellStep) for one in before)


@dataclass(frozen=True, kw_only=True)
class Opened:
    """The session of a target."""

    session_id: UUID
    project_id: UUID


class Ways(Protocol):
    """How a run gets into sessions and to people; each is part of the caller's transaction."""

    async def began(self, tx: Transaction, run_id: UUID) -> None:
        """Open the run's own conversation, if it is to have one, once."""
        ...

    async def report_in(self, run: Any, definition: Definition) -> None:
        """Find the places in which a run reports, outside of a transaction; again and again."""
        ...

    async def prepare(self, target: Any, who: Standing) -> None:
        """What has to be done outside of a transaction before a target is opened.

        :raises TellPerson: nothing can be done for it
        """
        ...

    async def open(
        self, tx: Transaction, target: Any, who: Standing, definition: Definition
    ) -> Opened:
        """Open a session for a target.

        :raises TellPerson: they may not, or there is no such project
        :raises NotAsked: a forge has to be asked first
        """
        ...

    async def ask(self, tx: Transaction, target: Any, who: Standing, asking: Asking) -> UUID:
        """Queue what a step asks for in the target's session; the id of the prompt."""
        ...

    async def post(
        self, tx: Transaction, target: Any, key: str, step: PostStep, words: str
    ) -> None:
        """Post the words of a step, once for each `key` of the run."""
        ...

    async def progress(self, tx: Transaction, run_id: UUID) -> None:
        """Show how far a run is, if that has changed."""
        ...

    async def ended(self, tx: Transaction, run_id: UUID) -> None:
        """Report a run that is settled, and do what its end asks for."""
        ...

    async def ended_in_part(self, tx: Transaction, run_id: UUID) -> None:
        """The same as far as it comes off, and tell that the rest does not."""
        ...


@dataclass(frozen=True, kw_only=True)
class _Way:
    """How far a target is."""

    step: int = 0
    """The next."""
    results: Sequence[dict[str, Any]] = ()
    report: str = ""

    @property
    def said(self) -> str:
        """What the last step said."""
        return str(self.results[-1]["text"]) if self.results else ""

    def over(self, kind: str, text: str) -> "_Way":
        """The same when the step is over."""
        done = {"step": self.step, "kind": kind, "outcome": "succeeded", "text": text}
        return replace(self, step=self.step + 1, results=[*self.results, done])


class Acting:
    """Does what `bot.automate.runs.stepping` decides."""

    def __init__(self, database: Database, ways: Ways, rights: Rights) -> None:
        self._database = database
        self._ways = ways
        self._rights = rights

    async def apply(self, run: Any, definition: Definition, action: Action) -> UUID | None:
        """Do it; the session that was opened for it, if one was."""
        match action:
            case Start():
                return await self._start(run, definition, action)
            case Follow():
                await self._follow(definition, action)
            case Finish():
                await self._finish(action)
            case Settle():
                async with self._database.begin() as tx:
                    if (await tx.execute(SQL["settle"], {"run": run.id})).first():
                        await self._ways.ended(tx, run.id)
        return None

    async def put_off(self, action: Start | Follow | Finish, error: Exception) -> bool:
        """Have it tried again that raised, later each time; whether the target fails instead.

        What only a person can mend is not tried again.
        """
        async with self._database.begin() as tx:
            row = await _seen(tx, action)
            if row is None:
                return False
            if row.tries + 1 < TRIES_MAX and not isinstance(error, TellPerson):
                of = {"run": row.run, "target": row.place, "error": repr(error)}
                log.warning("target_put_off", **of, exc_info=row.tries == 0)
                again = {"target": row.id, "seconds": back_off(row.tries + 1)}
                await tx.execute(SQL["put_off"], again)
                return False
            why = why_failed(error)
            log.info("target_failed", run=row.run, target=row.place, why=why)
            ended = {"target": row.id, "state": "failed", "why": why}
            await tx.execute(SQL["ended"], ended)
        return True

    async def _start(self, run: Any, definition: Definition, action: Start) -> UUID | None:
        async with self._database.begin() as tx:
            who = await standing_of(tx, run.runs_as_id)
            row = await _seen(tx, action)
        if row is None:
            return None
        await self._ways.prepare(row, who)
        return await self._rights.settled(lambda: self._open(definition, action, who))

    async def _open(self, definition: Definition, action: Start, who: Standing) -> UUID | None:
        async with self._database.begin() as tx:
            row = await _seen(tx, action)
            if row is None or row.running >= definition.limits.parallel:
                return None
            opened = await self._ways.open(tx, row, who, definition)
            session, project = opened.session_id, opened.project_id
            started = {"target": row.id, "session": session, "project": project}
            await tx.execute(SQL["started"], started)
            if row.total == 1:
                await tx.execute(SQL["of_run"], {"run": row.run_id, "session": session})
            row = await _target(tx, action.id, "running")
            await self._go_on(tx, row, who, definition, _Way())
        return session

    async def _follow(self, definition: Definition, action: Follow) -> None:
        async with self._database.begin() as tx:
            row = await _seen(tx, action)
            if row is None:
                return
            who = await standing_of(tx, row.runs_as_id)
            asked = {"prompt": row.prompt_id, "most": REPORT_CHARACTERS_MAX}
            said = (await tx.execute(SQL["said"], asked)).one_or_none()
            way = _Way(step=row.step, results=row.results, report=row.report)
            kind = step_kind(definition.steps[row.step])
            await self._go_on(tx, row, who, definition, way.over(kind, said.text if said else ""))

    async def _go_on(
        self, tx: Transaction, row: Any, who: Standing, definition: Definition, way: _Way
    ) -> None:
        """Do what needs no turn at once, then queue the next step that does, or end."""
        prompt_id = None
        while way.step < len(definition.steps):
            todo = definition.steps[way.step]
            if isinstance(todo, PromptStep | ShellStep | PullRequestStep):
                asking = Asking(step=todo, place=way.step, definition=definition)
                prompt_id = await self._ways.ask(tx, row, who, asking)
                break
            said = way.said
            if isinstance(todo, ReportStep):
                way = replace(way, report=_titled(todo.report.title, said))
            else:
                key = f"{row.place}:{row.attempt}:{way.step}"
                await self._ways.post(tx, row, key, todo, todo.post.text or said)
            way = way.over(step_kind(todo), said)
        stepped = {
            "target": row.id,
            "step": way.step,
            "prompt": prompt_id,
            "report": way.report if prompt_id or way.report else way.said,
            "results": json.dumps(way.results),
        }
        await tx.execute(SQL["stepped"], stepped)
        if prompt_id is None:
            await tx.execute(SQL["ended"], {"target": row.id, "state": "done", "why": ""})

    async def _finish(self, action: Finish) -> None:
        async with self._database.begin() as tx:
            row = await _seen(tx, action)
            if row is None:
                return
            if action.halts and row.session_id is not None:
                who = await standing_of(tx, row.runs_as_id)
                with suppress(NothingToDo):
                    actor = Actor(id=who.person_id, name=who.name)
                    await control.stop(tx, row.session_id, actor, clear=True)
            ended = {"target": action.id, "state": action.state, "why": action.why}
            await tx.execute(SQL["ended"], ended)


def _titled(title: str, said: str) -> str:
    """Under the title that the step gives it; nothing to report stays nothing."""
    return f"{title}\n\n{said}" if title and not is_nothing(said) else said


async def _seen(tx: Transaction, action: Start | Follow | Finish) -> Any:
    """The target of an action, locked; None: it is not any more where it was seen."""
    match action:
        case Start():
            return await _target(tx, action.id, "waiting")
        case Follow():
            row = await _target(tx, action.id, "running")
            return row if row is not None and row.step == action.step else None
        case Finish():
            running = await _target(tx, action.id, "running")
            row = running or await _target(tx, action.id, "waiting")
            return row if row is not None and _still_ends(row, action) else None


def _still_ends(row: Any, action: Finish) -> bool:
    """Whether a target is to end so; not when the run was stopped then, and it runs again since."""
    is_of_run = row.state == "waiting" or (action.halts and action.state == "stopped")
    return not is_of_run or bool(row.stop_why) or action.why == UNREADABLE


async def _target(tx: Transaction, target_id: UUID, state: str) -> Any:
    return (await tx.execute(SQL["target"], {"target": target_id, "state": state})).one_or_none()
