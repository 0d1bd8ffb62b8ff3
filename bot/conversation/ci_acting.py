"""What is done about the checks of a commit that have come to an end: one transaction.

A session that works or waits is left alone: its next push, if there is one, is what counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from adapters.chat.incoming import Quoted
from adapters.forge.port import Permission
from bot.conversation import ci_rows, ci_words
from bot.conversation.ci import Step, Verdict
from bot.conversation.ci_rows import Failing, Watched
from bot.errors import TellPerson
from bot.govern import halting
from bot.govern.access import Act, require
from bot.govern.agents import SHELL
from bot.govern.halt import halted
from bot.govern.people import standing_of
from bot.govern.rights import Rights
from bot.store.states import SessionState, TurnState
from bot.store.transaction import Transaction
from bot.words.catalogue import gettext as _
from bot.work.failed_checks import named, prompt_of
from bot.work.queue import LockedSession, lock_session

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Result:
    """The checks of a commit, when they have come to an end."""

    watched: Watched
    verdict: Verdict
    key: str
    """What this result is called."""
    quoted: Sequence[Quoted]
    """What the failed checks wrote."""
    failing: Sequence[Failing] = ()
    """Of that, what people are shown who have to decide."""

    @property
    def names(self) -> list[str]:
        """Of the failed checks."""
        return [one.name for one in self.verdict.failed]

    @property
    def shown(self) -> str:
        """Those, as a sentence names them."""
        return named(self.verdict.failed)


async def act(tx: Transaction, result: Result, rights: Rights, *, rounds_max: int) -> None:
    """Tell, prompt or ask, once for a result.

    :raises NotAsked: a forge has to be asked first, outside of any transaction
    """
    watched = result.watched
    session = await lock_session(tx, watched.session_id)
    if session is None:
        return
    if result.verdict.step is Step.GREEN:
        said = ci_words.green(result.verdict.passed, watched.commit, watched.branch)
        await _tell(tx, result, "green", said)
        return
    if session.state is not SessionState.IDLE:
        return
    if result.verdict.step is Step.ASK:
        said = ci_words.for_person(result.shown, watched.commit, rounds=watched.rounds)
        await _tell(tx, result, "red", said)
        return
    why = await _why_not(tx, watched, rights)
    if why:
        await _tell(tx, result, "red", ci_words.not_given(result.shown, watched.commit, why))
        return
    await _prompt(tx, session, result, rounds_max)


async def _tell(tx: Transaction, result: Result, state: str, said: str) -> None:
    if await ci_rows.take(tx, result.watched, result.key, prompts=False) is not None:
        await ci_rows.tell(
            tx, result.watched, state, said, names=result.names, failing=result.failing
        )


async def _prompt(tx: Transaction, session: LockedSession, result: Result, rounds_max: int) -> None:
    watched = result.watched
    rounds = await ci_rows.take(tx, watched, result.key, prompts=True)
    if rounds is None:
        return
    told = ci_words.given_to_agent(
        result.shown, watched.commit, round_=rounds, rounds_max=rounds_max
    )
    await ci_rows.tell(tx, watched, "red", told, names=result.names)
    said = prompt_of(watched.commit, watched.branch, result.verdict.failed)
    await ci_rows.prompt(tx, session, watched, key=result.key, said=said, quoted=result.quoted)
    log.info("ci_prompts", session=str(watched.session_id), commit=watched.commit)


async def _why_not(tx: Transaction, watched: Watched, rights: Rights) -> str:
    """Why the agent is not prompted; empty: it is. :raises NotAsked:"""
    reasons = {
        ci_words.STOPPED: watched.turn_state is TurnState.STOPPED,
        ci_words.BUDGET: watched.turn_state is TurnState.BUDGET,
        ci_words.SHELL: watched.agent == SHELL,
        ci_words.NOWHERE: watched.thread_id is None,
    }
    for reason, holds in reasons.items():
        if holds:
            return _(reason)
    halts = await halting.read(tx)
    halt = halted(halts, project_id=watched.project_id, person_id=watched.author_id)
    if halt is not None:
        return halt.told
    return "" if await _may_prompt(tx, watched, rights) else _(ci_words.NOT_ALLOWED)


async def _may_prompt(tx: Transaction, watched: Watched, rights: Rights) -> bool:
    """Whether who asked for the turn still may. :raises NotAsked:"""
    try:
        who = await standing_of(tx, watched.author_id)
        require(who, Act.PROMPT)
        if rights.guard and not who.operator:
            await rights.check(tx, who, watched.project_id, Permission.WRITE)
    except TellPerson:
        return False
    return True
