"""Previews asked for from a machine: by a turn with `ona-preview`, for a project."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

import structlog
from sqlalchemy import text

from bot.config import Settings
from bot.errors import Refused
from bot.govern.audit import Audited, Source, record
from bot.govern.spenders import Spender
from bot.store.database import Database
from bot.work import previews
from bot.work.preview_names import preview_address

log = structlog.get_logger(__name__)

FORWARDED_MAX = 8
"""Of one session; more can be asked for one by one."""
_CREATOR = text("SELECT creator_id, project_id FROM session WHERE id = :session")


async def make_preview(settings: Settings, database: Database, turn: Spender, port: int) -> str:
    """The address of a port; the one that the session has already, if it has one.

    It is made for the person whose turn it is, and seen by whoever may enter the machine.

    :raises Refused: there is no such port, there are too many, or previews have no host name here
    """
    asked = Audited(
        kind="preview.made",
        by=Source(person_id=turn.person_id, who="agent", surface="gateway"),
        session_id=turn.session_id,
        project_id=turn.project_id,
        body={"turn": turn.turn_id},
    )
    return await _preview(settings, database, port, asked)


async def forward(
    settings: Settings, database: Database, session_id: UUID, ports: Sequence[int]
) -> list[tuple[int, str]]:
    """The addresses of ports that a new session shall show, the first few of them.

    They are made for the session's creator. Where previews can't be had there are none: nobody
    asked for them in so many words.
    """
    async with database.begin() as tx:
        creator, project = (await tx.execute(_CREATOR, {"session": session_id})).one()
    asked = Audited(
        kind="preview.made",
        by=Source(person_id=creator, who="project", surface="machine"),
        session_id=session_id,
        project_id=project,
        body={},
    )
    found = []
    for port in ports[:FORWARDED_MAX]:
        try:
            address = await _preview(settings, database, port, asked)
        except Refused as error:
            log.info("port_not_forwarded", port=port, why=str(error))
        else:
            found.append((port, address))
    return found


async def _preview(settings: Settings, database: Database, port: int, asked: Audited) -> str:
    """The address of a port of a session, for whoever `asked` names."""
    by, session_id = asked.by.person_id, asked.session_id
    assert by is not None
    assert session_id is not None
    here = f"http://127.0.0.1:{settings.port}"
    preview_address(settings, "", here)
    seconds = settings.web.preview_hours * 3600
    async with database.begin() as tx:
        known = await previews.of_session(tx, session_id)
        made = next((one for one in known if one["port"] == port), None)
        if made is None:
            made = await previews.create(tx, session_id, port=port, by=by, seconds=seconds)
            body = {"preview": made["id"], "port": port, **asked.body}
            await record(tx, replace(asked, body=body))
    return preview_address(settings, made["token"], here)
