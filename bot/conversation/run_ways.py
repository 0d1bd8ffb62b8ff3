"""How runs get into sessions and to people: what `bot.automate.acting` acts by."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import text

from bot.automate.acting import Asking, Opened
from bot.automate.definition import Definition, PostStep
from bot.conversation import adding, run_sessions
from bot.conversation.adding import CheckRepository
from bot.govern.access import Act, Standing, require
from bot.govern.agents import Agents
from bot.govern.people import standing_of
from bot.govern.rights import Rights
from bot.store.database import Database
from bot.store.transaction import Transaction

Ending = Callable[[Transaction, UUID], Awaitable[None]]
"""Something that the end of a run asks for, once."""
_GIVE = text("UPDATE run_target SET project_id = :project WHERE id = :target AND state = 'waiting'")


class RunWays:
    """See `bot.automate.acting.Ways`."""

    def __init__(
        self,
        database: Database,
        rights: Rights,
        agents: Agents,
        *,
        check_repository: CheckRepository,
        endings: Sequence[Ending] = (),
    ) -> None:
        """`endings` are part of the transaction that settles a run, in that order."""
        self._database = database
        self._rights = rights
        self._agents = agents
        self._check_repository = check_repository
        self._endings = endings

    async def began(self, tx: Transaction, run_id: UUID) -> None:
        """Open the conversation of a run with several targets, once."""
        await run_sessions.open_own(tx, run_id, self._agents)

    async def prepare(self, target: Any, who: Standing) -> None:
        """Give the target's repository a project, where it is to have one."""
        if target.project_id is not None or not target.url:
            return
        require(who, Act.PROJECTS)
        await self._check_repository(target.url)

        async def add() -> None:
            async with self._database.begin() as tx:
                standing = await standing_of(tx, who.person_id)
                await self._rights.check_at(tx, standing, target.url, adding.NEED)
                project_id = await adding.project_at(tx, standing, target.url)
                await tx.execute(_GIVE, {"target": target.id, "project": project_id})

        await self._rights.settled(add)

    async def open(
        self, tx: Transaction, target: Any, who: Standing, definition: Definition
    ) -> Opened:
        """Open a session for a target."""
        return await run_sessions.open_for(
            tx, target, who, definition, rights=self._rights, agents=self._agents
        )

    async def ask(self, tx: Transaction, target: Any, who: Standing, asking: Asking) -> UUID:
        """Queue what a step asks for."""
        return await run_sessions.ask(tx, target, who, asking)

    async def post(self, tx: Transaction, target: Any, step: PostStep, words: str) -> None:
        """Post the words of a step."""

    async def progress(self, tx: Transaction, run_id: UUID) -> None:
        """Show how far a run is."""

    async def ended(self, tx: Transaction, run_id: UUID) -> None:
        """Do what the end of a run asks for."""
        for ending in self._endings:
            await ending(tx, run_id)
