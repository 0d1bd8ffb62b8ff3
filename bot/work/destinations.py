"""Destinations that no policy names: a session's people are asked, and what they allow counts.

a program asks for a host ─▶ refused at once ─▶ a row, and a notice in the thread (once)
`allow HOST:PORT`, or its button, by who decides about the policy ─▶ the row says so
the gateway reads the rows of the session with its policy, so within seconds ─▶ it is reached

It is no question of the turn: that goes on. A program that asks for thousands of names makes no
more than OPEN_MAX rows, and asks nobody anything until a person has allowed one of them.
"""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import text

from bot.errors import NothingToDo
from bot.govern.access import Standing
from bot.govern.audit import Audited, Source, record
from bot.govern.egress import GATEWAY
from bot.store.database import Database, is_away
from bot.store.transaction import Transaction
from bot.words.catalogue import gettext as _
from bot.work.queue import Event, append_events, lock_session
from vmpool.network.gateway.ports import Identity

log = structlog.get_logger(__name__)

OPEN_MAX = 10
"""Of a session, at once."""
QUIET_SECONDS = 1.0
"""For so long a session of which nobody can be asked is not looked at again."""
ASKING_SECONDS_MAX = 5.0
"""A program is told no after that, whether people were asked or not."""
SAYS_LENGTH_MAX = 80
"""Of what a button says, on every surface; longer ones are said in words."""
REMEMBERED_MAX = 4096
ASKED = "This session's people are asked whether to allow it: go on without it, or try again later."
FULL = f"Nobody is asked: {OPEN_MAX} other destinations of this session wait for people's answer."

_TURN = text(
    """
    SELECT turn.id, prompt.thread_id, person.id AS person_id, person.name
      FROM session
      JOIN turn ON turn.session_id = session.id AND turn.state = 'running'
      JOIN prompt ON prompt.id = turn.prompt_id
      JOIN person ON person.id = prompt.author_id
     WHERE session.id = :session AND session.state = 'running'
       AND NOT prompt.read_only AND NOT person.is_service
    """
)
_KNOWN = text(
    """
    SELECT count(*) FILTER (WHERE allowed_at IS NULL) AS open,
           coalesce(bool_or(host = :host AND port = :port), false) AS this
      FROM destination WHERE session_id = :session
    """
)
_ADD = text("INSERT INTO destination (session_id, host, port) VALUES (:session, :host, :port)")
_ALLOW = text(
    """
    UPDATE destination SET allowed_by = :by, allowed_at = now()
     WHERE session_id = :session AND host = :host AND port = :port AND allowed_at IS NULL
    RETURNING host
    """
)
_IS_THERE = text(
    "SELECT true FROM destination WHERE session_id = :session AND host = :host AND port = :port"
)

Wanted = Callable[[UUID], Awaitable[bool]]
"""Whether people of a project are asked at all."""


class AskingPeople:
    """The gateway's `asks`; see `vmpool.network.gateway.ports.Asks`."""

    def __init__(
        self, database: Database, wanted: Wanted, *, quiet_seconds: float = QUIET_SECONDS
    ) -> None:
        self._database = database
        self._wanted = wanted
        self._quiet_seconds = quiet_seconds
        self._one = asyncio.Lock()
        """One transaction at a time, so that a flood takes no connection from anybody else."""
        self._asked: set[tuple[UUID, str, int]] = set()
        self._quiet: dict[UUID, tuple[float, str]] = {}

    async def __call__(self, who: Identity, host: str, port: int) -> str:
        """Have the people of a machine's session asked, once; what the machine is told of it."""
        if who.session is None or who.project is None:
            return ""
        try:
            async with asyncio.timeout(ASKING_SECONDS_MAX):
                if not await self._wanted(who.project):
                    return ""
                async with self._one:
                    return await self._ask_once(who.session, who.project, host, port)
        except TimeoutError:
            return ""
        except Exception as error:
            # What is refused is refused all the same.
            if is_away(error):
                log.warning("people_not_asked", session=str(who.session), error=str(error))
            else:
                log.exception("people_not_asked", session=str(who.session))
            return ""

    async def _ask_once(self, session_id: UUID, project_id: UUID, host: str, port: int) -> str:
        key = (session_id, host, port)
        if key in self._asked:
            return ASKED
        until, told = self._quiet.get(session_id, (0.0, ""))
        if monotonic() < until:
            return told
        async with self._database.begin() as tx:
            told = await ask(tx, session_id, project_id, host, port)
        if len(self._asked) + len(self._quiet) >= REMEMBERED_MAX:
            self._asked.clear()
            self._quiet.clear()
        if told == ASKED:
            self._asked.add(key)
        else:
            self._quiet[session_id] = monotonic() + self._quiet_seconds, told
        return told


async def ask(tx: Transaction, session_id: UUID, project_id: UUID, host: str, port: int) -> str:
    """Ask the people of a session, unless they are; ASKED, FULL, or "": nobody can be.

    Nobody is while no turn runs, or one that may only read, or one of nobody's.
    """
    await lock_session(tx, session_id)
    turn = (await tx.execute(_TURN, {"session": session_id})).one_or_none()
    if turn is None:
        return ""
    destination = {"session": session_id, "host": host, "port": port}
    known = (await tx.execute(_KNOWN, destination)).one()
    if known.this:
        return ASKED
    if known.open >= OPEN_MAX:
        return FULL
    where = f"{host}:{port}"
    asked = Audited(
        kind="destination.asked",
        by=Source(person_id=turn.person_id, who=turn.name, surface=GATEWAY.surface),
        place=where,
        session_id=session_id,
        project_id=project_id,
        body={"turn": turn.id},
    )
    await tx.execute(_ADD, destination)
    await append_events(tx, session_id, [_question(turn, where)], turn_id=turn.id)
    await record(tx, asked)
    return ASKED


def _question(turn: Any, where: str) -> Event:
    said = _(
        "A program of this session asks for {where}, which no policy names; it was refused."
        " `allow {where}` lets this session reach it until the session is deleted; who"
        " administers the project's repository or runs ona decides that.",
        where=where,
    )
    says = f"allow {where}"
    body = {"text": said, "asked_in": turn.thread_id}
    if len(says) <= SAYS_LENGTH_MAX:
        body["allows"] = says
    return Event(kind="notice", body=body)


async def allow(
    tx: Transaction,
    who: Standing,
    session_id: UUID,
    project_id: UUID,
    destination: tuple[str, int],
    *,
    surface: str,
) -> str:
    """Let a session reach what its people were asked about; the words for who said so.

    The caller has seen that they decide that.

    :raises NothingToDo: nobody was asked about it
    """
    host, port = destination
    where = f"{host}:{port}"
    await lock_session(tx, session_id)
    key = {"session": session_id, "host": host, "port": port}
    if (await tx.execute(_ALLOW, {**key, "by": who.person_id})).first() is None:
        if await tx.scalar(_IS_THERE, key):
            return _("This session may reach {where} already.", where=where)
        raise NothingToDo(
            _("nothing in this session has asked for {where}", where=where),
            do=_("the project's policy names what all of its sessions may reach"),
        )
    told = _(
        "{name} lets this session reach {where}; it takes a few seconds.",
        name=who.name,
        where=where,
    )
    await append_events(tx, session_id, [Event(kind="notice", body={"text": told})])
    await record(
        tx,
        Audited(
            kind="destination.allowed",
            by=Source.of(who, surface),
            place=where,
            session_id=session_id,
            project_id=project_id,
        ),
    )
    return told
