"""What runs post: one progress post that is edited, then a report; silent unless it matters.

    begins ─▶ `open_reports` ─▶ `progress`, again and again ─▶ `finish`

All are rows of the outbox, told apart by run and attempt: what is computed twice is posted once.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import text

from bot.automate.runs import actionable, run_rows, steering
from bot.automate.runs.run_rows import Comes
from bot.conversation import run_places, run_words
from bot.conversation.run_places import Channel, Resolved
from bot.conversation.run_words import View
from bot.conversation.saying import post
from bot.store.transaction import Transaction
from bot.words.catalogue import SOURCE, nearest, speaking
from bot.words.catalogue import gettext as _

PROGRESS_SECONDS = 10.0
"""Between two wordings of a progress post, at least."""
PROGRESS = "progress"
REPORT = "report"
_DUE = text(
    """
    UPDATE run SET told_at = clock_timestamp()
     WHERE id = :run AND settled_at IS NULL
       AND (told_at IS NULL OR told_at <= clock_timestamp() - make_interval(secs => :seconds))
    RETURNING id
    """
)
_THREADS = text("SELECT id, surface, place, language FROM thread WHERE id = ANY(:threads)")
_STANDS = text("SELECT EXISTS (SELECT FROM reply WHERE thread_id = :thread AND key = :key)")
_ATTEMPTS = text("SELECT coalesce(sum(attempt), 0) FROM run_target WHERE run_id = :run")
_ACCOUNT = text(
    """
    SELECT external_id FROM identity
     WHERE person_id = :person AND split_part(surface, ':', 1) = :surface
     ORDER BY split_part(surface, ':', 2) = split_part(:place, '/', 1) DESC, external_id LIMIT 1
    """
)


class RunPosts:
    """Posts for runs; each method is part of the caller's transaction."""

    def __init__(self, *, pages: str = "", language: str = SOURCE) -> None:
        """`pages` is where people reach our pages; without it no button leads there.

        :param language: the locale of channels
        """
        self._pages = pages.rstrip("/")
        self._language = language

    async def open_reports(self, tx: Transaction, run_id: UUID, places: Resolved) -> None:
        """Let a run report in these channels, in the name of its session; idempotent.

        To be called again when it has another session: replies to what is posted go there.
        """
        run = await run_rows.find_by_id(tx, run_id)
        if await run_places.stands(tx, run, places):
            return
        reports = [{"place": said, "why": why} for said, why in places.lost.items()]
        for channel in places.channels if run["session_id"] else ():
            thread_id = await run_places.root(tx, run["session_id"], channel, self._language)
            reports.append({"place": channel.said, "thread": str(thread_id)})
        await run_places.keep(tx, run, reports)

    async def progress(self, tx: Transaction, run_id: UUID) -> bool:
        """Say how far a run is, unless it was said just now; whether it was looked at."""
        due = {"run": run_id, "seconds": PROGRESS_SECONDS}
        if (await tx.execute(_DUE, due)).first() is None:
            return False
        run = await run_rows.find_by_id(tx, run_id)
        comes = await run_rows.comes_to(tx, run)
        if _threads_of(run) and actionable.shows_progress(comes.tally) and _speaks(run, comes):
            await self._progress(tx, run, comes)
        return True

    async def finish(self, tx: Transaction, run_id: UUID) -> bool:
        """Say what came of a run that is over; whether anything was said."""
        run = await run_rows.find_by_id(tx, run_id)
        if not _threads_of(run):
            return False
        comes = await run_rows.comes_to(tx, run)
        speaks = _speaks(run, comes)
        if actionable.shows_progress(comes.tally):
            await self._progress(tx, run, comes, stands=not speaks)
        if speaks:
            await self._report(tx, run, comes)
        return speaks

    async def say(
        self, tx: Transaction, run_id: UUID, key: str, words: str, channels: Sequence[Channel] = ()
    ) -> None:
        """Post the words of a step, once for each `key`, in channels or where the run reports.

        :param words: Markdown
        """
        run = await run_rows.find_by_id(tx, run_id)
        threads = _threads_of(run)
        if channels and run["session_id"]:
            session_id = run["session_id"]
            threads = [
                await run_places.root(tx, session_id, one, self._language) for one in channels
            ]
        for thread_id in threads:
            await post(tx, thread_id, _key(run_id, key), words, is_marked=True)

    async def _progress(
        self, tx: Transaction, run: Mapping[str, Any], comes: Comes, *, stands: bool = False
    ) -> None:
        """:param stands: only where it is known already"""
        key = _key(run["id"], PROGRESS)
        view = await view_of(tx, run, comes)
        for thread in await self._threads(tx, run):
            if stands and not await tx.scalar(_STANDS, {"thread": thread.id, "key": key}):
                continue
            with speaking(nearest(thread.language, self._language)):
                buttons = run_words.buttons(run["short"], comes.tally, self._pages)
                words = run_words.progress(view)
                await post(tx, thread.id, key, words, buttons=buttons, is_marked=True)

    async def _report(self, tx: Transaction, run: Mapping[str, Any], comes: Comes) -> None:
        """A post of its own, because an edit notifies nobody."""
        attempts = await tx.scalar(_ATTEMPTS, {"run": run["id"]})
        key = _key(run["id"], REPORT, attempts)
        view = await view_of(tx, run, comes)
        needs = actionable.needs_somebody(comes.tally, comes.found)
        for thread in await self._threads(tx, run):
            notify = await _account(tx, run, thread) if needs else ""
            with speaking(nearest(thread.language, self._language)):
                await post(
                    tx,
                    thread.id,
                    key,
                    run_words.report(view),
                    buttons=run_words.buttons(run["short"], comes.tally, self._pages),
                    notify=notify,
                    is_marked=True,
                )

    async def _threads(self, tx: Transaction, run: Mapping[str, Any]) -> Sequence[Any]:
        return (await tx.execute(_THREADS, {"threads": _threads_of(run)})).all()


async def view_of(tx: Transaction, run: Mapping[str, Any], comes: Comes) -> View:
    """What is known of a run, as far as something is said of it."""
    answer = ""
    if comes.tally.total == 1:
        (only,) = await run_rows.targets(tx, run, limit=1)
        answer = only["report"] or only["answer"] or ""
    return View(
        short=run["short"],
        name=run["name"],
        tally=comes.tally,
        pull_counts=comes.pulls,
        pulls=await run_rows.pulls(tx, run, limit=run_words.PULLS_SHOWN_MAX),
        undone=await run_rows.undone(tx, run, limit=run_words.UNDONE_SHOWN_MAX),
        asking=await run_rows.asking(tx, run, limit=run_words.ASKING_SHOWN_MAX),
        asking_count=comes.found.questions,
        answer=answer,
        stopped=stopped_why(run),
    )


def stopped_why(run: Mapping[str, Any]) -> str:
    """Why a run was stopped, in words; empty: it was not; pure."""
    if not run["stop_why"]:
        return ""
    words = dict(steering.WHY).get(run["stop_why"], run["stop_why"])
    return _(words, name=run["stopped_by"] or "ona")


def _key(*parts: object) -> str:
    """Of a reply: one for each run and thing that is said."""
    return ":".join(["run", *map(str, parts)])


def _threads_of(run: Mapping[str, Any]) -> list[UUID]:
    return [UUID(one["thread"]) for one in run["reports"] if "thread" in one]


def _speaks(run: Mapping[str, Any], comes: Comes) -> bool:
    report = run_rows.definition_of(run).report
    by_hand = run["started_by_id"] is not None
    return actionable.speaks(report, comes.tally, comes.found, by_hand=by_hand)


async def _account(tx: Transaction, run: Mapping[str, Any], thread: Any) -> str:
    """Who began it, as the surface calls them; empty: nobody who is known there."""
    if run["started_by_id"] is None:
        return ""
    where = {"surface": thread.surface, "place": thread.place}
    return str(await tx.scalar(_ACCOUNT, {"person": run["started_by_id"], **where}) or "")
