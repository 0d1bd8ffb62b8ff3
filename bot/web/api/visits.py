"""Visits: people's own ways into a session's machine."""

from fastapi import APIRouter, Request

from bot.govern.audit import record
from bot.govern.projects import get_project
from bot.govern.visit_grants import VisitGrant
from bot.web import reading, visiting
from bot.web.entering import admit, relays_of
from bot.web.visitor import Provided
from bot.work.workplace import repository_directory

router = APIRouter(prefix="/sessions/{short}", tags=["sessions"])


@router.post("/ssh", response_model=visiting.SshAccess)
async def certify(
    short: str, wanted: visiting.SshKey, request: Request, services: Provided
) -> object:
    """Let a key log in to the session's machine for some minutes; `tunnel` is the way there."""
    admitted = await admit(request, services, short)
    grant = VisitGrant(
        session_id=admitted.session_id, person_id=admitted.visitor.id, kind="certificate"
    )
    opened = await relays_of(services).open(grant, public_key=wanted.public_key)
    opened.close()
    certified = admitted.visitor.did(
        "ssh.certified",
        short,
        session_id=admitted.session_id,
        project_id=admitted.project_id,
        body={"machine": opened.facts["machine"], "seconds": opened.facts["seconds"]},
    )
    async with services.database.begin() as tx:
        await record(tx, certified)
        session = await reading.session(tx, short)
        project = await get_project(tx, session["project"])
    return {**opened.facts, "directory": repository_directory(project["name"])}
