"""Taking the last turn back: the files and branches in the machine, the branch at the code host.

    decide ─▶ the machine's files ─▶ the pushed branch ─▶ noted, with its checkpoint the newest

Each step may be repeated, and all are until the last one is done: a worker that dies in between
leaves the turn open, and the next one does it whole. The machine says what it changed once for each
turn; a half changed repository is not marked as ready, and is made anew from the last checkpoint.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

import structlog

from bot.errors import OnaError
from bot.store.blobs import BlobUnreadable
from bot.store.database import Database
from bot.words.catalogue import together
from bot.work import beside_words, undo_words
from bot.work.branches import own_branch
from bot.work.checkpoint import Checkpoints
from bot.work.checkpoint_rows import StoredCheckpoint
from bot.work.guest import Machine, ScriptFailed, ask
from bot.work.lease import Lease, OpenTurn
from bot.work.moving_back import Moved
from bot.work.queue import Event
from bot.work.repository import CLONED_MARK, READY_MARK
from bot.work.undo import Back, Unknown, decide
from bot.work.undo_rows import UndoRows
from bot.work.workplace import BesideAt

log = structlog.get_logger(__name__)

UNDONE = "undone"
"""The event: {turn, files, count, by, name, text}."""
MARKS = (CLONED_MARK, READY_MARK)
"""What says that a repository may be worked in; the last one is made again at the end."""

MoveBack = Callable[[Lease, Machine, str, Moved], Awaitable[str]]
"""Moves the session's pushed branch to where HEAD is now in the directory in the machine; a
sentence on what became of it, empty when there is nothing to move. It fails by its sentence only.
"""


async def nowhere(_lease: Lease, _machine: Machine, _directory: str, _moved: Moved) -> str:
    """Where nothing is ever pushed."""
    return ""


class Undoing:
    """Takes turns back for the holder of a session's lease."""

    def __init__(
        self,
        database: Database,
        checkpoints: Checkpoints,
        *,
        move_back: MoveBack = nowhere,
        seconds_max: float = 300.0,
    ) -> None:
        """`seconds_max`: for what is done in the machine."""
        self._rows = UndoRows(database)
        self._checkpoints = checkpoints
        self._move_back = move_back
        self._seconds_max = seconds_max

    async def undo(
        self,
        lease: Lease,
        turn: OpenTurn,
        machine: Machine,
        *,
        directory: str,
        beside: Sequence[BesideAt] = (),
    ) -> list[Event]:
        """Take the last turn back, as what `turn` does; more that the thread should know.

        :param beside: repositories beside the project's own, which lies in `directory`
        :raises TellPerson: there is none, or it can't be; nothing was changed
        :raises OnaError: the machine could not do it
        :raises LeaseLost:
        """
        if await self._rows.is_done(turn):
            return []
        back = decide(await self._rows.past(lease.session_id))
        if back is None:
            raise undo_words.none_left()
        if isinstance(back, Unknown):
            raise undo_words.not_saved(back.turn)
        own = _Repository(directory=directory, branch=lease.branch)
        # All that can be refused is refused before anything is changed.
        ways, notices = [_Way(own, await self._goal(lease, back, None))], list[str]()
        for one in (_beside(lease, at) for at in beside):
            known = decide(await self._rows.past(lease.session_id, one.id))
            if isinstance(known, Back):
                ways.append(_Way(one, await self._goal(lease, known, one.id)))
            else:
                notices.append(undo_words.not_beside(one.name))
        answers = await self._all_in_machine(lease, turn, machine, ways)
        done = [
            await self._after(lease, turn, machine, way, answer)
            for way, answer in zip(ways, answers, strict=True)
        ]
        notices += [notice for one in done for notice in one.notices]
        goals = [way.goal for way in ways if way.goal is not None]
        await self._note(lease=lease, turn=turn, back=back, goals=goals, done=done)
        return [Event(kind="notice", body={"text": notice}) for notice in notices]

    async def _goal(
        self, lease: Lease, back: Back, repository_id: UUID | None
    ) -> StoredCheckpoint | None:
        """What a repository goes back to; None: how the session began. :raises TellPerson:"""
        goal = await self._rows.goal(lease.session_id, back.checkpoint_id, repository_id)
        if goal is None and back.checkpoint_id is not None:
            raise undo_words.not_kept(back.turn)
        return goal

    async def _all_in_machine(
        self, lease: Lease, turn: OpenTurn, machine: Machine, ways: Sequence["_Way"]
    ) -> Sequence[Mapping[str, Any]]:
        """Take all repositories back, or, as far as the next turn can tell, none."""
        answers: list[Mapping[str, Any]] = []
        for one, goal in ways:
            try:
                answers.append(await self._in_machine(lease, turn, machine, one, goal))
            except OnaError as error:
                for before, _goal in ways[: len(answers)]:
                    # Made anew from its last checkpoint, as the one is that could not be.
                    mark = f"{before.directory}/.git/{READY_MARK}"
                    await machine.run(["rm", "-f", "--", mark], timeout_seconds=30)
                raise beside_words.failed(one.name, error) if one.name else error from error
        return answers

    async def _after(
        self,
        lease: Lease,
        turn: OpenTurn,
        machine: Machine,
        way: "_Way",
        answer: Mapping[str, Any],
    ) -> "_Done":
        """Move the branch of a repository back at its code host; store what it is like now."""
        one, goal = way
        moved = Moved(
            was=str(answer.get("was") or ""),
            now=str(answer.get("head") or ""),
            branch=one.branch,
            url=one.url,
        )
        told = await self._move_back(lease, machine, one.directory, moved) if moved.now else ""
        if told and one.name:
            told = beside_words.of(one.name, told)
        notices: Sequence[str] = ()
        if goal is None:
            saved = await self._checkpoints.save(
                lease, turn, machine, directory=one.directory, repository_id=one.id
            )
            notices = saved.notices
        return _Done(name=one.name, answer=answer, told=told, notices=notices)

    async def _in_machine(
        self,
        lease: Lease,
        turn: OpenTurn,
        machine: Machine,
        one: "_Repository",
        goal: StoredCheckpoint | None,
    ) -> dict[str, Any]:
        request = {
            "directory": one.directory,
            "size": goal.size if goal else 0,
            "base": "" if goal else await self._rows.base(lease.session_id, one.id),
            "branch": f"refs/heads/{one.branch}",
            "key": str(turn.id),
            "file_bytes_max": self._checkpoints.file_bytes_max,
            "marks": list(MARKS),
        }
        async with aclosing(await self._payload(goal)) as payload:
            try:
                answer = await ask(
                    machine, "undo", request, timeout_seconds=self._seconds_max, payload=payload
                )
            except (ScriptFailed, TimeoutError) as error:
                raise undo_words.failed({"detail": str(error)}) from error
        if answer.get("result") == "undone":
            return answer
        log.error("undo_failed", why=answer.get("why"), detail=answer.get("detail"))
        if answer.get("why") == "bundle" and goal is not None:
            raise undo_words.unreadable(goal.created_at)
        raise undo_words.failed(answer)

    async def _payload(self, goal: StoredCheckpoint | None) -> AsyncGenerator[bytes, None]:
        if goal is None:
            return _nothing()
        try:
            return await self._checkpoints.open(goal)
        except BlobUnreadable as error:
            log.error("checkpoint_unreadable", checkpoint=str(goal.id), error=str(error))
            raise undo_words.unreadable(goal.created_at) from error

    async def _note(
        self,
        *,
        lease: Lease,
        turn: OpenTurn,
        back: Back,
        goals: Sequence[StoredCheckpoint],
        done: Sequence["_Done"],
    ) -> None:
        asker = await self._rows.asker(turn)
        whole = {
            "paths": [path for one in done for path in one.paths],
            "count": sum(int(one.answer.get("count") or 0) for one in done),
            "stayed": sum(int(one.answer.get("stayed") or 0) for one in done),
        }
        told = together(*(one.told for one in done if one.told))
        body = {
            "turn": back.turn.id,
            "files": whole["paths"],
            "count": whole["count"],
            "by": asker.id,
            "name": asker.name,
            "text": undo_words.undone(back.turn, whole, told),
        }
        await self._rows.apply(lease.key, turn, back, goals, Event(kind=UNDONE, body=body))
        log.info("turn_taken_back", undone=str(back.turn.id), files=body["count"])


@dataclass(frozen=True, kw_only=True)
class _Repository:
    """One of a session's repositories in its machine."""

    directory: str
    branch: str
    id: UUID | None = None
    """None: the project's own."""
    name: str = ""
    url: str = ""


class _Way(NamedTuple):
    """What one of them goes back to."""

    repository: _Repository
    goal: StoredCheckpoint | None
    """None: how it was when it was cloned."""


@dataclass(frozen=True, kw_only=True)
class _Done:
    """One that was taken back."""

    name: str
    answer: Mapping[str, Any]
    told: str
    """What became of its branch at the code host; empty: it was never pushed."""
    notices: Sequence[str]

    @property
    def paths(self) -> Sequence[str]:
        """The files that it changed, those beside the project's own below its name."""
        paths = (str(one) for one in self.answer.get("paths") or ())
        return [f"{self.name}/{path}" if self.name else path for path in paths]


def _beside(lease: Lease, at: BesideAt) -> _Repository:
    branch = own_branch(lease.short)
    return _Repository(id=at.id, name=at.name, url=at.url, directory=at.directory, branch=branch)


async def _nothing() -> AsyncGenerator[bytes, None]:
    empty: tuple[bytes, ...] = ()
    for chunk in empty:
        yield chunk
