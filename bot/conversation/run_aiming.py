"""Words in a fleet's thread: `#12 …` goes to that target's session, what else is said to its own.

The answer stands in the same thread: the target's session has a place there too, which only its
end tells apart. The agent of the fleet's own session is told how the run stands.
"""

from dataclasses import replace
from typing import Any

from sqlalchemy import text

from adapters.chat.incoming import Quoted
from bot.automate.runs import run_rows
from bot.conversation import commands, run_words, threads
from bot.conversation.message import KEY_LENGTH_MAX, IncomingMessage
from bot.conversation.threads import Found
from bot.errors import NotFound, NothingToDo
from bot.store.transaction import Transaction
from bot.words.catalogue import SOURCE, speaking
from bot.words.catalogue import gettext as _

_TARGET = text(
    """
    SELECT run.short AS run, target.place, session.short AS session
      FROM run LEFT JOIN run_target AS target
                      ON target.run_id = run.id AND target.place = :place
      LEFT JOIN session ON session.id = target.session_id AND session.state <> 'deleting'
     WHERE run.session_id = :session
       AND (SELECT count(*) FROM run_target WHERE run_id = run.id) > 1
     ORDER BY run.created_at DESC LIMIT 1
    """
)

_RUN = text(
    """
    SELECT run.id FROM run
     WHERE run.session_id = :session
       AND (SELECT count(*) FROM run_target WHERE run_id = run.id) > 1
     ORDER BY run.created_at DESC LIMIT 1
    """
)
TOLD_TARGETS_MAX = 100
"""Of whom an agent is told; the others are counted."""


async def aim(tx: Transaction, message: IncomingMessage, asked: commands.Parsed) -> IncomingMessage:
    """The message as it is for the target that its words name; the same if they name none.

    :raises NotFound: the fleet has no such target
    :raises NothingToDo: the target has no session yet
    """
    said = commands.aimed(asked.text) if isinstance(asked, commands.Prompt) else None
    if said is None or message.session is not None:
        return message
    place, words = said
    found = await threads.find(tx, message)
    if found is None:
        return message
    wanted = {"session": found.session_id, "place": place}
    row = (await tx.execute(_TARGET, wanted)).one_or_none()
    if row is None:
        return message
    session = _session_of(row, place)
    return replace(message, text=words, session=session, place=_place(message, row))


async def briefed(tx: Transaction, message: IncomingMessage, found: Found) -> IncomingMessage:
    """The message with how the run stands beside it, where a fleet's own session hears it."""
    run_id = await tx.scalar(_RUN, {"session": found.session_id})
    if run_id is None:
        return message
    run = await run_rows.find_by_id(tx, run_id)
    tally = await run_rows.tally_of(tx, run)
    targets = await run_rows.targets(tx, run, limit=TOLD_TARGETS_MAX)
    with speaking(SOURCE):
        words = run_words.for_agent(run, tally, targets)
    told = Quoted(key=f"run/{run['short']}", author="ona", at=run["now"], text=words)
    return replace(message, quoted=(*message.quoted, told))


def _session_of(row: Any, place: int) -> str:
    if row.place is None:
        raise NotFound(
            _("the run {run} has no target {place}", run=row.run, place=place),
            kept=_("nothing was queued"),
            do=_("`runs show {run}` says how it stands", run=row.run),
        )
    if row.session is None:
        raise NothingToDo(
            _("target {place} of {run} has not begun yet", place=place, run=row.run),
            kept=_("nothing was queued"),
            do=_("say it again when it runs"),
        )
    return str(row.session)


def _place(message: IncomingMessage, row: Any) -> str:
    """The same place to the surface, and another one to us."""
    return f"{message.place}~{row.run}-{row.place}"[:KEY_LENGTH_MAX]
