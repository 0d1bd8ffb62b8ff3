"""One reply in our hands: post it, edit it or look for it, and store what became of it.

Every failure of a surface ends here, as a row that says when and how to go on; see `outbox` for the
picture.
"""

import asyncio
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace

import structlog

from adapters.chat.port import (
    ChatPort,
    Content,
    Gone,
    HasTitles,
    Method,
    Phase,
    Reacts,
    Rejected,
    ShowsDocuments,
    ShowsPhases,
    ShowsPictures,
    Sign,
    Throttled,
    Unavailable,
    Uncertain,
)
from bot.conversation.attempt import MEANT, REASONS, Action, backoff_seconds, next_action
from bot.conversation.drafts import PHASE, diff_of, message_of, picture_of
from bot.conversation.fences import compose
from bot.conversation.outgoing import Outgoing, Taken, method_of
from bot.conversation.replies import manner_of
from bot.words.catalogue import N_, speaking

log = structlog.get_logger(__name__)

ERROR_LENGTH_MAX = 300
PAST: Mapping[Method, str] = {
    "post": "posted",
    "edit": "edited",
    "react": "reacted",
    "title": "titled",
    "phase": "shown",
}
"""What is counted when it was done."""


@dataclass(frozen=True, kw_only=True)
class _Called:
    """How a call ended; when it was not answered, that is stored already."""

    answered: bool
    ref: str | None = None


class Posting:
    """Acts on the taken replies of one surface."""

    def __init__(self, rows: Outgoing, port: ChatPort, *, live_seconds: float) -> None:
        """`live_seconds` is the pause between two wordings of a live message."""
        self._rows = rows
        self._port = port
        self._manner = manner_of(port)
        self._edit_seconds = max(live_seconds, port.limits.edit_seconds)

    async def handle(self, taken: Taken) -> None:
        """Act on a taken reply and store what became of it."""
        try:
            if taken.action is Action.LOOK_UP:
                await self._look_up(taken)
            elif taken.action in {Action.POST, Action.EDIT}:
                await self._speak(taken)
            else:
                await self._give_up(taken, taken.action)
        except Exception:
            # It stays `sending`: after its time it is looked up, by anybody.
            log.exception("reply_left_unfinished", reply=taken.mark)

    async def _look_up(self, taken: Taken) -> None:
        """Find out what became of the attempt before; post only if there is certainly nothing."""
        called = await self._call(taken, "find")
        if not called.answered:
            return
        if called.ref is not None:
            await self._found(taken, called.ref)
            return
        certain = replace(taken.progress, unfinished=False)
        action = next_action(certain, self._rows.after_uncertain(taken.kind))
        if action is not Action.POST:
            await self._give_up(taken, action)
            return
        wait = await self._rows.spend(taken, action)
        if wait > 0 or taken.deadline.left_seconds < self._rows.times.send_seconds / 4:
            await self._unsent(taken, N_("not found"), seconds=wait, counts=False)
            return
        await self._speak(replace(taken, action=action))

    async def _found(self, taken: Taken, ref: str) -> None:
        if taken.wording == 1:
            # It never had another wording, so this is the one that stands there.
            await self._sent(taken, ref, result="found")
        else:
            await self._rows.store("store_found", taken, "found", ref=ref)

    async def _speak(self, taken: Taken) -> None:
        method = method_of(taken.kind, taken.action) or "post"
        called = await self._call(taken, method)
        if called.answered:
            await self._sent(taken, called.ref or taken.mark, result=PAST[method])

    async def _call(self, taken: Taken, method: Method) -> _Called:
        """Make one call under the deadline; any failure of it is stored here."""
        try:
            async with asyncio.timeout(max(0.0, taken.deadline.left_seconds)):
                return _Called(answered=True, ref=await self._ask(taken, method))
        except Throttled as error:
            await self._throttled(taken, method, error)
        except (Gone, Rejected) as error:
            await self._fail(taken, _said(error), result=type(error).__name__.lower())
        except TimeoutError:
            await self._back_off(taken, Uncertain(N_("no answer in time")))
        except Exception as error:
            if not isinstance(error, Unavailable | Uncertain):
                log.exception("reply_failed", reply=taken.mark)
            await self._back_off(taken, error)
        return _Called(answered=False)

    async def _ask(self, taken: Taken, method: Method) -> str | None:
        if method == "find":
            return await self._port.find(taken.place, taken.mark, taken.deadline)
        if method == "react":
            return await self._react(taken)
        if method == "title":
            return await self._retitle(taken)
        if method == "phase":
            return await self._show_phase(taken)
        picture_id = picture_of(taken.key) if method == "post" else None
        shown = None
        if picture_id is not None and isinstance(self._port, ShowsPictures):
            shown = await self._rows.picture(picture_id)
        diff_id = diff_of(taken.key) if method == "post" else None
        document = None
        if diff_id is not None and isinstance(self._port, ShowsDocuments):
            document = await self._rows.diff(diff_id)
        with speaking(taken.language):
            text = compose(taken.body, self._manner)
        content = Content(
            text=text,
            buttons=taken.buttons,
            notify=taken.notify,
            live=taken.live,
            language=taken.language,
            title=taken.title,
            picture=shown,
            document=document,
        )
        if method == "post":
            return await self._port.post(taken.place, content, taken.mark, taken.deadline)
        await self._port.edit(taken.place, taken.ref or "", content, taken.deadline)
        return taken.ref

    async def _react(self, taken: Taken) -> str:
        if not isinstance(self._port, Reacts):
            raise Rejected(N_("this surface knows no reactions"))
        ref = message_of(taken.key)
        progress = taken.progress
        if not (taken.body or progress.posted or progress.unfinished or progress.attempts > 1):
            # Nobody has ever set one: there is nothing to take away.
            return ref
        sign = Sign(taken.body) if taken.body else None
        await self._port.react(taken.place, ref, sign, taken.deadline)
        return ref

    async def _retitle(self, taken: Taken) -> str:
        if not isinstance(self._port, HasTitles):
            raise Rejected(N_("the threads of this surface have no names"))
        if taken.body:
            await self._port.retitle(taken.place, taken.body, taken.deadline)
        return taken.mark

    async def _show_phase(self, taken: Taken) -> str:
        if not isinstance(self._port, ShowsPhases):
            raise Rejected(N_("this surface shows no phases"))
        phase = Phase(taken.body)
        await self._port.show_phase(taken.place, phase, taken.title, taken.deadline)
        return taken.mark

    async def _back_off(self, taken: Taken, error: Exception) -> None:
        """Come back later; to a reply that may have been posted, only after its time."""
        nothing_done = isinstance(error, Unavailable)
        known = math.inf if nothing_done else self._port.limits.again_seconds
        chance = random.random()
        seconds = backoff_seconds(taken.progress.attempts, chance=chance, known_seconds=known)
        if nothing_done and taken.action is not Action.LOOK_UP:
            await self._unsent(taken, "unavailable", seconds=seconds, error=_said(error))
            return
        await self._rows.store(
            "store_uncertain",
            taken,
            "unavailable" if nothing_done else "uncertain",
            error=_said(error),
            seconds=seconds,
        )

    async def _throttled(self, taken: Taken, method: Method, error: Throttled) -> None:
        """Honour the surface's word, for this reply and for all that share its budget."""
        seconds = max(0.0, error.retry_seconds) * (1 + random.random() / 10)
        await self._rows.drain_bucket(taken.place, method, seconds=seconds)
        if method == "find" or taken.action is Action.LOOK_UP:
            await self._rows.store(
                "store_uncertain", taken, "throttled", error=_said(error), seconds=seconds
            )
        else:
            await self._unsent(
                taken, "throttled", seconds=seconds, counts=False, error=_said(error)
            )

    async def _sent(self, taken: Taken, ref: str, *, result: str) -> None:
        await self._rows.store(
            "store_sent",
            taken,
            result,
            wording=taken.wording,
            ref=ref,
            pause_seconds=self._edit_seconds,
            old_seconds=self._port.limits.old_seconds,
            old_pause_seconds=max(self._edit_seconds, self._port.limits.old_edit_seconds),
            again_seconds=self._again_seconds(taken),
        )

    def _again_seconds(self, taken: Taken) -> float | None:
        """After which it has to be said once more; None: it stays."""
        working = taken.kind == PHASE and taken.body == Phase.WORKING.value
        seconds = self._port.limits.working_seconds
        return seconds if working and seconds < math.inf else None

    async def _unsent(
        self,
        taken: Taken,
        result: str,
        *,
        seconds: float,
        counts: bool = True,
        error: str | None = None,
    ) -> None:
        await self._rows.store(
            "store_unsent", taken, result, seconds=seconds, counts=counts, error=error
        )

    async def _give_up(self, taken: Taken, action: Action) -> None:
        tell = action not in MEANT
        await self._fail(taken, REASONS[action], result=action.value, tell=tell)

    async def _fail(self, taken: Taken, why: str, *, result: str, tell: bool = True) -> None:
        log.info("reply_not_sent", reply=taken.mark, why=why)
        await self._rows.store("store_failed", taken, result, error=why, tell=tell)


def _said(error: Exception) -> str:
    return (str(error) or type(error).__name__)[:ERROR_LENGTH_MAX].replace("\x00", "\ufffd")
