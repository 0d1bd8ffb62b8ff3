"""Visits: people's own ways into a session's machine."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request

from bot.govern.audit import Audited, record
from bot.govern.projects import get_project
from bot.govern.visit_grants import VisitGrant
from bot.web import reading, visiting
from bot.web.entering import Admitted, admit, relays_of
from bot.web.services import Services
from bot.web.shapes import Told
from bot.web.visitor import Provided, Reader
from bot.work import previews
from bot.work.preview_names import preview_address
from bot.work.workplace import repository_directory

HOURS_MAX = 24.0 * 30
"""Of a preview's life, whatever is asked for."""
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
    body = {"machine": opened.facts["machine"], "seconds": opened.facts["seconds"]}
    async with services.database.begin() as tx:
        await record(tx, _did(admitted, "ssh.certified", short, body))
        session = await reading.session(tx, short)
        project = await get_project(tx, session["project"])
    return {**opened.facts, "directory": repository_directory(project["name"])}


@router.get("/previews", response_model=visiting.Previews)
async def list_previews(
    short: str, request: Request, _reader: Reader, services: Provided
) -> object:
    """The open previews of a session, the oldest first."""
    async with services.database.begin() as tx:
        session_id = await reading.session_id(tx, short)
        found = await previews.of_session(tx, session_id)
    return {"previews": [_shown(services, request, one) for one in found]}


@router.post("/previews", status_code=201, response_model=visiting.Preview)
async def create_preview(
    short: str, wanted: visiting.NewPreview, request: Request, services: Provided
) -> object:
    """Give a port of the session's machine an address, for who may write to the project."""
    admitted = await admit(request, services, short)
    # Whether there can be an address is known before anything is kept.
    preview_address(services.settings, "", str(request.base_url))
    hours = wanted.hours or services.settings.web.preview_hours
    async with services.database.begin() as tx:
        made = await previews.create(
            tx,
            admitted.session_id,
            port=wanted.port,
            by=admitted.visitor.id,
            seconds=min(hours, HOURS_MAX) * 3600,
        )
        body = {"preview": made["id"], "port": wanted.port}
        await record(tx, _did(admitted, "preview.made", short, body))
    return _shown(services, request, {**made, "creator": admitted.visitor.standing.name})


@router.delete("/previews/{preview}", response_model=Told)
async def revoke_preview(short: str, preview: UUID, request: Request, services: Provided) -> Told:
    """End a preview: its address shows nothing from now on."""
    admitted = await admit(request, services, short)
    async with services.database.begin() as tx:
        port = await previews.revoke(tx, admitted.session_id, preview)
        await record(
            tx, _did(admitted, "preview.revoked", short, {"preview": preview, "port": port})
        )
    return Told(text=f"The preview of port {port} is over.")


def _did(admitted: Admitted, kind: str, short: str, body: Mapping[str, Any]) -> Audited:
    return admitted.visitor.did(
        kind,
        short,
        session_id=admitted.session_id,
        project_id=admitted.project_id,
        body=body,
    )


def _shown(services: Services, request: Request, row: Mapping[str, Any]) -> dict[str, Any]:
    url = preview_address(services.settings, row["token"], str(request.base_url))
    return {**row, "url": url}
