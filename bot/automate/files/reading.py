"""Reads the folders of automations from the mirrors of a host, and writes what they say.

    on a clock, or a fetch moved the default branch ─▶ fetch ─▶ the folder at its tip ─▶ rows

Only what the default branch of a repository says is read, whatever branch a project works on.
"""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import structlog

from bot.automate.files import folders
from bot.automate.files.folders import Taken
from bot.automate.files.parsing import ENDINGS, FILES_MAX, FOLDER, File, read
from bot.automate.files.yaml_tree import BYTES_MAX
from bot.errors import OnaError, Refused
from bot.store.database import Database
from bot.words.catalogue import Message, of_error
from bot.words.catalogue import gettext as _
from bot.work.folder import Found, TooMany, files_in
from bot.work.git import GitFailed
from bot.work.repository import Repositories

log = structlog.get_logger(__name__)

LOOK_SECONDS = 15.0
"""Between two looks for folders that are due, such as a new project's."""


class Reading:
    """Reads what is due; any host may."""

    def __init__(self, database: Database, repositories: Repositories) -> None:
        """Hears from `repositories` what was fetched."""
        self._database = database
        self._repositories = repositories
        self._fetched: set[UUID] = set()
        self.wake = asyncio.Event()
        repositories.on_fetched = self._hear

    def _hear(self, project_id: UUID) -> None:
        self._fetched.add(project_id)
        self.wake.set()

    async def once(self) -> int:
        """Read every folder that is due; how many there were."""
        while self._fetched:
            await self._compare(self._fetched.pop())
        count = 0
        here = await asyncio.to_thread(self._repositories.mirrored)
        while True:
            async with self._database.begin() as tx:
                taken = await folders.take(tx, here)
            if taken is None:
                return count
            await self._read(taken)
            count += 1

    async def _compare(self, project_id: UUID) -> None:
        """Have a folder read soon if its branch is elsewhere than when it was read."""
        try:
            base = await self._repositories.base(project_id, None)
        except (OnaError, OSError):
            # The reading itself says what is wrong, when its time has come.
            return
        async with self._database.begin() as tx:
            await folders.look_soon(tx, project_id, base.commit)

    async def _read(self, taken: Taken) -> None:
        try:
            commit, found = await self._files(taken)
        except (OnaError, GitFailed, OSError) as error:
            log.info("automations_not_read", project=taken.project, error=str(error)[:300])
            async with self._database.begin() as tx:
                await folders.unchanged(tx, taken, _problem(error))
            return
        async with self._database.begin() as tx:
            plan = await folders.sync(tx, taken, commit, found)
        if plan is not None and (plan.removed or any(one.news for one in plan.said)):
            log.info("automations_read", project=taken.project, commit=commit[:12])

    async def _files(self, taken: Taken) -> tuple[str, Sequence[File]]:
        """The commit of the default branch, and what its files say."""
        await self._repositories.update(taken.project_id, taken.url)
        base = await self._repositories.base(taken.project_id, None)
        mirror = self._repositories.mirror(taken.project_id)
        try:
            found = await files_in(
                mirror,
                base.commit,
                FOLDER,
                endings=ENDINGS,
                files_max=FILES_MAX,
                bytes_max=BYTES_MAX,
            )
        except TooMany:
            raise Refused(
                _(
                    "{folder} has more than {most} files, or they are too large together",
                    folder=FOLDER,
                    most=FILES_MAX,
                )
            ) from None
        return base.commit, await asyncio.to_thread(_parsed, found)


def _problem(error: Exception) -> Message:
    happened = error.happened if isinstance(error, OnaError) else of_error(error)
    return happened if isinstance(happened, Message) else Message(happened)


def _parsed(found: Sequence[Found]) -> list[File]:
    return [read(one.path, one.data) for one in found]
