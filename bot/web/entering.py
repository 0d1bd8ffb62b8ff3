"""Whether somebody may enter a session's machine now: asked at the door, and again while inside."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from fastapi import Request

from bot.errors import NotAllowed, OnaError, TryAgain
from bot.govern import halting
from bot.govern.access import Act
from bot.govern.halt import halted
from bot.store.database import may_pass
from bot.web import reading
from bot.web.services import Services
from bot.web.visitor import Visitor, require_project, visitor
from bot.work.relays import Relays

RECHECK_SECONDS = 30.0
"""Between two looks whether who is inside may still be."""


@dataclass(frozen=True, kw_only=True)
class Admitted:
    """Somebody who may enter."""

    visitor: Visitor
    session_id: UUID
    project_id: UUID


async def admit(request: Request, services: Services, short: str) -> Admitted:
    """Who sent this, if they may enter that session's machine now.

    :raises NotSignedIn: :raises NotFound: :raises NotPermitted:
    :raises NotAllowed: what it works for is halted
    """
    return await admit_visitor(await visitor(request), services, short)


async def admit_visitor(who: Visitor, services: Services, short: str) -> Admitted:
    """The same of somebody who is known already."""
    who.require(Act.ENTER)
    async with services.database.begin() as tx:
        whose = await reading.whose(tx, short, who.id)
        session_id = await reading.session_id(tx, short)
        halts = await halting.read(tx)
    await require_project(who, services, Act.ENTER, whose.project_id, narrow=whose.narrow)
    halt = halted(halts, project_id=whose.project_id, person_id=who.id)
    if halt is not None and not who.standing.operator:
        raise NotAllowed(
            f"nobody enters this machine now: {halt.told}", do="ask an operator to lift the halt"
        )
    return Admitted(visitor=who, session_id=session_id, project_id=whose.project_id)


def relays_of(services: Services) -> Relays:
    """The way to machines. :raises TryAgain: this process has none"""
    if services.relays is None:
        raise TryAgain("this process has no way into machines", do="ask one of `ona serve`")
    return services.relays


async def while_admitted(
    services: Services,
    carrying: Coroutine[Any, Any, object],
    again: Callable[[], Awaitable[object]],
    refused: Callable[[OnaError], None],
) -> None:
    """Carry until it is over, looking again and again whether they may.

    :param again: :raises OnaError: they may not any more
    :param refused: told so, before what is carried is hung up on
    """
    tasks = [
        asyncio.ensure_future(carrying),
        asyncio.ensure_future(_watch(services, again, refused)),
    ]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _watch(
    services: Services,
    again: Callable[[], Awaitable[object]],
    refused: Callable[[OnaError], None],
) -> None:
    while not services.stopping.is_set():
        with suppress(TimeoutError):
            async with asyncio.timeout(RECHECK_SECONDS):
                await services.stopping.wait()
        try:
            await again()
        except OnaError as error:
            refused(error)
            return
        except Exception as error:
            # While the database is away, what is open goes on, as turns do.
            if not may_pass(error):
                raise
