"""Checkpoints: what of a session survives its machine, stored after each turn.

    machine ─▶ save: one script, one bundle ─▶ row, or blob and row ─▶ the oldest ones go
    row ─▶ restore: into a fresh clone at the checkpoint's base ─▶ a sentence for the thread

A checkpoint that can't be made leaves the last one as it is, and says so. A checkpoint that can't
be read gives way to the one before it, and says so.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import structlog

from bot.errors import OnaError, TooLarge
from bot.store.blobs import Blobs, BlobUnreadable, sweep
from bot.store.database import Database, may_pass
from bot.store.ids import new_id
from bot.words.catalogue import gettext as _
from bot.words.catalogue import of_error
from bot.work.checkpoint_rows import CheckpointRows, NewCheckpoint, StoredCheckpoint
from bot.work.checkpoint_words import changed, not_kept, not_saved, restored, unreadable
from bot.work.guest import Machine, ScriptFailed, Spool, ask
from bot.work.lease import Lease, OpenTurn
from bot.work.queue import LeaseLost
from vmpool.errors import MachineError

log = structlog.get_logger(__name__)

OID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
FILES_MAX = 20_000
AWAY_SECONDS = 1.0
SWEEP_SECONDS = 86_400.0
LEFT_OUT_MAX = 50
LEFT_OUT_CHARACTERS = 600

Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class SavedCheckpoint:
    """What became of a turn's checkpoint."""

    id: UUID | None = None
    """None: the last one holds everything already, or none could be made."""
    size: int = 0
    notices: tuple[str, ...] = field(default=())
    """What the thread has to know: what is not kept, or that nothing new is."""


@dataclass(frozen=True, kw_only=True)
class Restored:
    """What a checkpoint brought back."""

    checkpoint: StoredCheckpoint | None
    """None: none could be read."""
    text: str
    """For people: what was kept, what was not."""

    def __str__(self) -> str:
        return self.text


class _NotMade(Exception):
    """No checkpoint was made; the text is the reason as a clause."""


class Checkpoints:
    """The checkpoints of sessions."""

    def __init__(
        self,
        database: Database,
        blobs: Blobs,
        *,
        bytes_max: int,
        inline_bytes_max: int,
        file_bytes_max: int,
        kept_max: int = 3,
        undo_turns_max: int = 5,
        seconds_max: float = 300.0,
        conversations: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """`conversations`: globs below the agent's home, by the name of the agent program.

        :param kept_max: the newest ones, in case one can't be read
        :param undo_turns_max: last turns of which it is kept what was before them
        """
        self._rows = CheckpointRows(database)
        self._blobs = blobs
        self._bytes_max = bytes_max
        self._inline_bytes_max = inline_bytes_max
        self.file_bytes_max = file_bytes_max
        """Of an untracked file that is kept."""
        self._kept_max = kept_max
        self._undo_turns_max = undo_turns_max
        self._seconds_max = seconds_max
        self._conversations = conversations or {}

    async def newest(
        self, session_id: UUID, repository_id: UUID | None = None
    ) -> StoredCheckpoint | None:
        """The checkpoint that a new machine of the session starts from.

        :param repository_id: of a repository beside the project's own
        """
        found = await self._rows.newest(session_id, 1, repository_id)
        return found[0] if found else None

    async def unreadable(self, session_id: UUID) -> datetime | None:
        """Of when a newest checkpoint of the session's repositories is that can't be read here."""
        for newest in await self._rows.newest_of_each(session_id):
            try:
                async with aclosing(await self.open(newest)) as chunks:
                    await anext(chunks, b"")
            except BlobUnreadable as error:
                log.error("checkpoint_unreadable", checkpoint=str(newest.id), error=str(error))
                return newest.created_at
        return None

    async def save(
        self,
        lease: Lease,
        turn: OpenTurn,
        machine: Machine,
        *,
        directory: str,
        repository_id: UUID | None = None,
    ) -> SavedCheckpoint:
        """Store what is in the machine if it differs from the last checkpoint.

        While the database is away it waits, as the turn's outcome does.

        :param repository_id: of a repository beside the project's own, which lies in `directory`
        :raises LeaseLost: somebody else holds the session; nothing was stored
        """
        found = await _patiently(
            lease, lambda: self._rows.newest(lease.session_id, 1, repository_id)
        )
        last = found[0] if found else None
        try:
            with Spool(memory_bytes_max=self._inline_bytes_max, bytes_max=self._bytes_max) as spool:
                # The agent's conversation goes with the project's own repository.
                files = self._conversations.get(lease.agent, ()) if repository_id is None else ()
                answer = await self._ask(machine, directory, last, spool, files)
                if answer is None:
                    assert last is not None
                    same = (lease.key, turn.id, last.id, repository_id)
                    await _patiently(lease, lambda: self._rows.same(*same))
                    return SavedCheckpoint()
                answer["repository_id"] = repository_id
                return await self._store(lease, turn, last, answer, spool)
        except (_NotMade, ScriptFailed, MachineError, OSError) as error:
            log.warning("checkpoint_not_made", why=str(error))
            at = last.created_at if last else None
            return SavedCheckpoint(notices=(not_saved(of_error(error), at),))

    async def restore(
        self, checkpoint: StoredCheckpoint, machine: Machine, *, directory: str
    ) -> Restored:
        """Put a checkpoint into a fresh clone at its base; an older one if it can't be read.

        :raises TooLarge: the machine's disk has no room for it
        :raises OnaError: it failed half-way; clone again before it is repeated
        """
        of = (checkpoint.session_id, self._kept_max + 1, checkpoint.repository_id)
        older = await self._rows.newest(*of)
        alike = [c for c in older if c.base == checkpoint.base and c.id != checkpoint.id]
        broken: list[datetime] = []
        for candidate in (checkpoint, *alike):
            if candidate.created_at > checkpoint.created_at:
                continue
            answer = await self._put_back(candidate, machine, directory)
            if answer is None:
                broken.append(candidate.created_at)
                continue
            since = await self._rows.since(candidate)
            text = restored(answer, candidate.created_at, candidate.left_out, broken, since)
            return Restored(checkpoint=candidate, text=text)
        return Restored(checkpoint=None, text=unreadable(broken))

    async def open(self, checkpoint: StoredCheckpoint) -> AsyncGenerator[bytes, None]:
        """What a checkpoint holds, its first part read already. :raises BlobUnreadable:"""
        if checkpoint.blob is None:
            data = await self._rows.inline(checkpoint.id)
            if data is None:
                raise BlobUnreadable(_("its row is gone"))
            return _after(data, None)
        chunks = self._blobs.get(checkpoint.blob)
        return _after(await anext(chunks, b""), chunks)

    async def sweep(self) -> list[str]:
        """Remove blobs that no checkpoint refers to; returns their keys."""
        return await sweep(self._blobs, self._rows.referred, older_than_seconds=SWEEP_SECONDS)

    # -- inside -----------------------------------------------------------------------------

    async def _ask(
        self,
        machine: Machine,
        directory: str,
        last: StoredCheckpoint | None,
        spool: Spool,
        files: Sequence[str],
    ) -> dict[str, Any] | None:
        """What the machine sends; None when it is what was stored last."""
        request = {
            "directory": directory,
            "base": last.base if last else None,
            "tree": last.tree if last else None,
            "bytes_max": self._bytes_max,
            "file_bytes_max": self.file_bytes_max,
            "files_max": FILES_MAX,
            "files": list(files),
        }
        answer = await ask(machine, "save", request, timeout_seconds=self._seconds_max, spool=spool)
        if answer.get("result") == "same" and last is not None:
            return None
        if answer.get("result") != "tree":
            raise _NotMade(not_kept(answer, self._bytes_max))
        return _checked(answer)

    async def _store(
        self,
        lease: Lease,
        turn: OpenTurn,
        last: StoredCheckpoint | None,
        answer: dict[str, Any],
        spool: Spool,
    ) -> SavedCheckpoint:
        if spool.payload_bytes != answer["size"]:
            raise _NotMade(_("it did not arrive whole"))
        new = NewCheckpoint(id=new_id(), turn_id=turn.id, **answer)
        if new.size <= self._inline_bytes_max:
            new = replace(new, inline=spool.payload())
        else:
            new = replace(new, blob=await self._put(new.id, spool))
        try:
            gone = await _patiently(
                lease,
                lambda: self._rows.store(
                    lease.key, new, kept_max=self._kept_max, undo_turns_max=self._undo_turns_max
                ),
            )
        except BaseException:
            await self._take_back(new)
            raise
        for key in gone:
            await self._delete(key)
        notice = changed(new.left_out, last.left_out if last else [])
        log.info("checkpoint_stored", bytes=new.size, inline=new.blob is None)
        return SavedCheckpoint(id=new.id, size=new.size, notices=(notice,) if notice else ())

    async def _put(self, checkpoint_id: UUID, spool: Spool) -> str:
        try:
            return (await self._blobs.put(checkpoint_id.hex, spool.chunks())).key
        except OSError as error:
            log.error("blob_not_stored", error=str(error))
            raise _NotMade(
                _("this host could not store it ({error})", error=error.strerror)
            ) from error

    async def _take_back(self, new: NewCheckpoint) -> None:
        """Remove the blob of a row that was not stored; in doubt `sweep` does it later."""
        if new.blob is None:
            return
        with suppress(Exception):
            if not await self._rows.exists(new.id):
                await self._delete(new.blob)

    async def _delete(self, key: str) -> None:
        try:
            await self._blobs.delete(key)
        except OSError as error:
            log.warning("blob_left_to_sweep", key=key, error=str(error))

    async def _put_back(
        self, checkpoint: StoredCheckpoint, machine: Machine, directory: str
    ) -> dict[str, Any] | None:
        """The script's answer; None when what is stored can't be read."""
        request = {"directory": directory, "size": checkpoint.size}
        try:
            payload = await self.open(checkpoint)
        except BlobUnreadable as error:
            log.error("checkpoint_unreadable", checkpoint=str(checkpoint.id), error=str(error))
            return None
        async with aclosing(payload) as chunks:
            try:
                answer = await ask(
                    machine, "restore", request, timeout_seconds=self._seconds_max, payload=chunks
                )
            except ScriptFailed as error:
                raise _half_way(str(error)) from error
        if answer.get("result") == "restored":
            return answer
        if answer.get("why") == "bundle":
            detail = str(answer.get("detail"))
            log.error("checkpoint_unreadable", checkpoint=str(checkpoint.id), error=detail)
            return None
        if answer.get("why") == "room":
            raise TooLarge(
                _("the session's checkpoint doesn't fit on the machine's disk"),
                kept=_("the checkpoint"),
                do=_("give the project a larger disk, then `retry`"),
            )
        raise _half_way(str(answer.get("detail")))


async def _after(
    first: bytes, rest: AsyncGenerator[bytes, None] | None
) -> AsyncGenerator[bytes, None]:
    if rest is None:
        yield first
        return
    async with aclosing(rest) as chunks:
        yield first
        async for chunk in chunks:
            yield chunk


async def _patiently(lease: Lease, act: Callable[[], Awaitable[Result]]) -> Result:
    """Do it, again and again while the database is away. :raises LeaseLost:"""
    while True:
        try:
            return await act()
        except Exception as error:
            if not may_pass(error):
                raise
            log.warning("checkpoint_waits_for_database")
        if lease.lost:
            raise LeaseLost("claimed by another worker")
        await asyncio.sleep(AWAY_SECONDS)


def _checked(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer as it goes into a row; a machine may say anything. :raises _NotMade:"""
    try:
        base, head, tree = (str(answer[key]) for key in ("base", "head", "tree"))
        size, left_out = int(answer["size"]), [str(item) for item in answer["left_out"]]
    except (KeyError, TypeError, ValueError):
        raise _NotMade(_("the machine answered something else")) from None
    commits = [oid for oid in (base, head) if oid]
    if not all(OID.fullmatch(oid) for oid in [*commits, tree]):
        raise _NotMade(_("the machine answered something else"))
    lines = [
        "".join(c if c.isprintable() else "\ufffd" for c in item)[:LEFT_OUT_CHARACTERS]
        for item in left_out[:LEFT_OUT_MAX]
    ]
    return {"base": base, "head": head, "tree": tree, "size": size, "left_out": lines}


def _half_way(detail: str) -> OnaError:
    log.error("restore_failed", error=detail)
    return OnaError(
        _(
            "the session's checkpoint could not be put into the machine: {detail}",
            detail=detail[:300],
        ),
        kept=_("the checkpoint"),
        do=_("`retry` starts with a fresh clone"),
    )


__all__ = ["Checkpoints", "Restored", "SavedCheckpoint", "StoredCheckpoint"]
