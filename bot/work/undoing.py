"""Taking the last turn back: the files and branches in the machine, the branch at the code host.

    decide ─▶ the machine's files ─▶ the pushed branch ─▶ noted, with its checkpoint the newest

Each step may be repeated, and all are until the last one is done: a worker that dies in between
leaves the turn open, and the next one does it whole. The machine says what it changed once for each
turn; a half changed repository is not marked as ready, and is made anew from the last checkpoint.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any

import structlog

from bot.store.blobs import BlobUnreadable
from bot.store.database import Database
from bot.work import undo_words
from bot.work.checkpoint import Checkpoints
from bot.work.checkpoint_rows import StoredCheckpoint
from bot.work.guest import Machine, ScriptFailed, ask
from bot.work.lease import Lease, OpenTurn
from bot.work.moving_back import Moved
from bot.work.queue import Event
from bot.work.repository import CLONED_MARK, READY_MARK
from bot.work.undo import Back, Unknown, decide
from bot.work.undo_rows import UndoRows

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
        self, lease: Lease, turn: OpenTurn, machine: Machine, *, directory: str
    ) -> list[Event]:
        """Take the last turn back, as what `turn` does; more that the thread should know.

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
        goal = await self._rows.goal(lease.session_id, back.checkpoint_id)
        if goal is None and back.checkpoint_id is not None:
            raise undo_words.not_kept(back.turn)
        answer = await self._in_machine(lease, turn, machine, directory, goal)
        moved = Moved(was=str(answer.get("was") or ""), now=str(answer.get("head") or ""))
        told = await self._move_back(lease, machine, directory, moved) if moved.now else ""
        notices: tuple[str, ...] = ()
        if goal is None:
            saved = await self._checkpoints.save(lease, turn, machine, directory=directory)
            notices = saved.notices
        await self._note(lease=lease, turn=turn, back=back, goal=goal, answer=answer, told=told)
        return [Event(kind="notice", body={"text": notice}) for notice in notices]

    async def _in_machine(
        self,
        lease: Lease,
        turn: OpenTurn,
        machine: Machine,
        directory: str,
        goal: StoredCheckpoint | None,
    ) -> dict[str, Any]:
        request = {
            "directory": directory,
            "size": goal.size if goal else 0,
            "base": "" if goal else await self._rows.base(lease.session_id),
            "branch": f"refs/heads/{lease.branch}",
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
        goal: StoredCheckpoint | None,
        answer: Mapping[str, Any],
        told: str,
    ) -> None:
        asker = await self._rows.asker(turn)
        body = {
            "turn": back.turn.id,
            "files": [str(one) for one in answer.get("paths") or ()],
            "count": int(answer.get("count") or 0),
            "by": asker.id,
            "name": asker.name,
            "text": undo_words.undone(back.turn, answer, told),
        }
        await self._rows.apply(lease.key, turn, back, goal, Event(kind=UNDONE, body=body))
        log.info("turn_taken_back", undone=str(back.turn.id), files=body["count"])


async def _nothing() -> AsyncGenerator[bytes, None]:
    empty: tuple[bytes, ...] = ()
    for chunk in empty:
        yield chunk
