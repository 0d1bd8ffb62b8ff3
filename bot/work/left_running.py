"""What a turn left running in a machine never works in the turn of somebody else.

The gateway lets out whatever runs in a machine with the rights, and on the money, of the turn that
runs there. So before somebody's turn begins, and before the gateway opens for it, what the turns
of other people left running is ended. What a person's own turns left, a server to be looked at,
runs on in their next ones.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

import structlog
from sqlalchemy import text

from adapters.agent.port import JobRefused
from bot.store.database import Database
from bot.words.catalogue import N_
from bot.words.catalogue import gettext as _
from bot.work.lease import Lease
from bot.work.workplace import Awaited, MachineJobs

log = structlog.get_logger(__name__)

GRACE_SECONDS = 2.0
"""Between asking a process to end and ending it."""
_ENDED = N_(
    "What was left running in the machine by what {names} asked was ended before this turn: "
    "it would have worked with this turn's credentials."
)
_STUCK = N_(
    "This turn waits: what was left running in the machine by what {names} asked could not be "
    "ended ({error}). The prompt is kept and begins by itself when it was."
)
_OF_OTHERS = text(
    """
    SELECT turn.id, person.name
      FROM turn
      JOIN prompt ON prompt.id = turn.prompt_id
      JOIN person ON person.id = prompt.author_id
     WHERE turn.session_id = :session
       AND prompt.author_id <> (SELECT author_id FROM prompt WHERE id = :prompt)
    """
)


async def end_of_others(
    database: Database, lease: Lease, prompt_id: UUID, jobs: MachineJobs
) -> str | None:
    """End it before the turn of this prompt begins; what the thread is told, if anything.

    :raises Awaited: something could not be ended; the turn must not begin
    """
    values = {"session": lease.session_id, "prompt": prompt_id}
    theirs = {str(row.id): row.name for row in await database.run(_OF_OTHERS, values)}
    if not theirs:
        return None
    found: Sequence[str] = ()
    try:
        found = alive_of(await jobs.alive(), theirs)
        await asyncio.gather(*(jobs.stop(one, grace_seconds=GRACE_SECONDS) for one in found))
    except (ConnectionError, JobRefused) as error:
        told = names_of(found or theirs, theirs)
        raise Awaited(_(_STUCK, names=told, error=str(error))) from error
    if not found:
        return None
    log.info("left_running_ended", session=lease.short, turns=found)
    return _(_ENDED, names=names_of(found, theirs))


def alive_of(alive: Collection[str], theirs: Mapping[str, str]) -> Sequence[str]:
    """Which of the jobs that have something running are turns of others; pure."""
    return [job_id for job_id in alive if job_id in theirs]


def names_of(jobs: Collection[str], theirs: Mapping[str, str]) -> str:
    """Who asked for them, each once, in order; pure."""
    return ", ".join(dict.fromkeys(theirs[job_id] for job_id in jobs))
