"""Previews that a turn asks for from inside its machine: `ona-preview`."""

from bot.config import Settings
from bot.govern.audit import Audited, Source, record
from bot.govern.spending import Spender
from bot.store.database import Database
from bot.work import previews
from bot.work.preview_names import preview_address


async def make_preview(settings: Settings, database: Database, turn: Spender, port: int) -> str:
    """The address of a port; the one that the session has already, if it has one.

    It is made for the person whose turn it is, and seen by whoever may enter the machine.

    :raises Refused: there is no such port, there are too many, or previews have no host name here
    """
    here = f"http://127.0.0.1:{settings.port}"
    preview_address(settings, "", here)
    async with database.begin() as tx:
        known = await previews.of_session(tx, turn.session_id)
        made = next((one for one in known if one["port"] == port), None)
        if made is None:
            made = await previews.create(
                tx,
                turn.session_id,
                port=port,
                by=turn.person_id,
                seconds=settings.web.preview_hours * 3600,
            )
            asked = Audited(
                kind="preview.made",
                by=Source(person_id=turn.person_id, who="agent", surface="gateway"),
                session_id=turn.session_id,
                project_id=turn.project_id,
                body={"preview": made["id"], "port": port, "turn": turn.turn_id},
            )
            await record(tx, asked)
    return preview_address(settings, made["token"], here)
