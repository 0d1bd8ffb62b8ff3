"""Follows the checks of the commits that turns pushed, on one forge.

    rows that are due ─▶ the forge: checks ─▶ decide (pure) ─▶ the forge: logs ─▶ one transaction

Nothing is held between two looks: whoever looks next, in another process too, finds all in the
rows. A session that works or waits is left alone: its next push, if there is one, is what counts.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from adapters.chat.incoming import Quoted
from adapters.chat.port import ChatError, Deadline, Gone, Throttled
from adapters.forge.checking import Check, Checks
from bot.conversation import ci, ci_rows
from bot.conversation.ci import Step, Verdict
from bot.conversation.ci_acting import Result, act
from bot.conversation.ci_rows import Failing, Watched
from bot.govern.rights import Rights
from bot.store.database import Database, is_away
from bot.words.failing import CHARACTERS_MAX, LINES_MAX, failing_lines
from bot.work.secret_scan import is_secret
from scheduler.waits import first_of

log = structlog.get_logger(__name__)

EVERY_SECONDS = 5.0
"""Between two looks for rows that are due."""
ASK_SECONDS = 20.0
LOG_SECONDS = 60.0
LOGS_MAX = 3
"""Of the failed checks, so many bring their logs along."""
AWAY_SECONDS = 60.0
"""Until a forge that could not be asked is asked again."""
PAUSE_SECONDS_MAX = 600.0


@dataclass(frozen=True, kw_only=True)
class CiForge:
    """A forge, as this module needs it."""

    surface: str
    host: str
    checks: Checks


class CiWatch:
    """Looks at the commits of one forge; one of these at a time in an installation is enough, more
    do no harm."""

    def __init__(
        self, database: Database, forge: CiForge, rights: Rights, *, rounds_max: int
    ) -> None:
        """`rounds_max`: prompts in a row that failed checks make."""
        self._database = database
        self._forge = forge
        self._rights = rights
        self._rounds_max = rounds_max

    async def run(self, stop: asyncio.Event) -> None:
        """Look until `stop`; what fails is tried again with the next look."""
        while not stop.is_set():
            pause = EVERY_SECONDS
            try:
                await self.look()
            except Throttled as error:
                pause = min(PAUSE_SECONDS_MAX, max(pause, error.retry_seconds))
            except Exception as error:
                if not is_away(error):
                    log.exception("ci_not_followed", surface=self._forge.surface)
                pause = AWAY_SECONDS
            await first_of(stop, seconds_max=pause)

    async def look(self) -> None:
        """Look at what is due, once. :raises Throttled: the rest has to wait"""
        async with self._database.begin() as tx:
            found = await ci_rows.due(tx, f"{self._forge.surface}:{self._forge.host}/")
        for watched in found:
            try:
                await self._look_at(watched)
            except Throttled:
                raise
            except Gone as gone:
                log.info("ci_commit_gone", repository=watched.repository, why=str(gone))
                await self._again(watched, ci.LOOK_SECONDS_MAX, over=self._is_old(watched))
            except ChatError as error:
                log.warning("ci_not_read", repository=watched.repository, why=str(error))
                await self._again(watched, AWAY_SECONDS)

    async def _look_at(self, watched: Watched) -> None:
        forge, soon = self._forge.checks, Deadline.after(ASK_SECONDS)
        checks = await forge.of(watched.name, watched.commit, watched.branch, soon)
        verdict = ci.decide(
            checks,
            age_seconds=watched.age_seconds,
            rounds=watched.rounds,
            rounds_max=self._rounds_max,
        )
        key = ci.key_of(watched.repository, watched.commit, verdict)
        if verdict.step in {Step.GREEN, Step.PROMPT, Step.ASK} and key != watched.told:
            quoted = await self._quoted(watched, verdict)
            failing = await asyncio.to_thread(_failing, quoted)
            result = Result(
                watched=watched, verdict=verdict, key=key, quoted=quoted, failing=failing
            )
            await self._rights.settled(lambda: self._act(result))
        over = verdict.step in {Step.GREEN, Step.GIVE_UP} or self._is_old(watched)
        pause, state = ci.pause_seconds(watched.age_seconds), ci.state_of(checks)
        await self._again(watched, pause, over=over, state=state)

    async def _act(self, result: Result) -> None:
        async with self._database.begin() as tx:
            await act(tx, result, self._rights, rounds_max=self._rounds_max)

    def _is_old(self, watched: Watched) -> bool:
        return watched.age_seconds > ci.AGAIN_SECONDS

    async def _again(
        self, watched: Watched, seconds: float, *, over: bool = False, state: str | None = None
    ) -> None:
        async with self._database.begin() as tx:
            await ci_rows.look_again(tx, watched, seconds=seconds, over=over, state=state)

    async def _quoted(self, watched: Watched, verdict: Verdict) -> list[Quoted]:
        """What the failed checks wrote, as far as it can be read."""
        quoted = []
        for check in verdict.failed[:LOGS_MAX]:
            said = await self._log(watched, check)
            if said:
                moment = datetime.now(UTC)
                quoted.append(Quoted(key=check.id, author=check.name, at=moment, text=said))
        return quoted

    async def _log(self, watched: Watched, check: Check) -> str:
        try:
            soon = Deadline.after(LOG_SECONDS)
            return await self._forge.checks.log(watched.name, check, soon)
        except Throttled:
            raise
        except ChatError as error:
            log.warning("ci_log_not_read", check=check.name, why=str(error))
            return check.summary


def _failing(quoted: Sequence[Quoted]) -> Sequence[Failing]:
    """Of what each wrote the lines that a person needs; all together no more than one post bears.

    Not for the event loop: looking for secrets takes time.
    """
    count = max(1, len(quoted))
    shown = [
        Failing(
            check=one.author,
            text=failing_lines(
                one.text,
                lines_max=LINES_MAX // count,
                characters_max=CHARACTERS_MAX // count,
                is_secret=is_secret,
            ),
        )
        for one in quoted
    ]
    return [one for one in shown if one.text]
