"""The templates that the projects of an installation want on this host."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from time import monotonic
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import text

from bot.errors import OnaError
from bot.store.database import Database
from bot.work.container import Containers
from bot.work.detect.guessing import Detected, detected
from bot.work.detect.tools import installs
from bot.work.furnish import Furnishing, Granted
from bot.work.git import GitFailed
from bot.work.repository import Base, Repositories
from bot.work.sizes import Sizes
from bot.work.workplace import WORK, repository_directory
from vmpool.driver import Image
from vmpool.errors import MachineError
from vmpool.registry import Order
from vmpool.warm.building import Furnish
from vmpool.warm.due import Wanted
from vmpool.warm.keeper import Keeper

log = structlog.get_logger(__name__)

GetImage = Callable[[], Awaitable[Image]]
"""Returns the guest image, building it if need be."""

_USED = text(
    """
    SELECT project.id, project.name, project.repository_url, project.base_branch,
           project.setup, project.start, project.ports, project.rebuild_at,
           coalesce(session.size, project.size) AS size,
           max(greatest(session.active_at, project.created_at)) AS active_at
      FROM project LEFT JOIN session ON session.project_id = project.id
       AND session.active_at > now() - make_interval(secs => :keep_seconds)
     WHERE project.removed_at IS NULL
       AND (session.id IS NOT NULL
            OR project.created_at > now() - make_interval(secs => :keep_seconds))
     GROUP BY project.id, coalesce(session.size, project.size)
     ORDER BY active_at DESC NULLS LAST
    """
)


@dataclass(frozen=True, kw_only=True)
class TemplateLimits:
    """What bounds the templates of an installation."""

    keep_seconds: float
    """How long a project that nobody uses keeps its templates."""
    rebuild_seconds: float
    """How often a repository is looked at."""
    setup_seconds_max: float


class ProjectTemplates:
    """Finds out which templates there should be, and has them built."""

    def __init__(
        self,
        database: Database,
        keeper: Keeper,
        repositories: Repositories,
        *,
        image: GetImage,
        sizes: Sizes,
        limits: TemplateLimits,
        work: str = WORK,
        containers: Containers | None = None,
        engine_image: GetImage | None = None,
        granted: Granted | None = None,
    ) -> None:
        """`work` holds the repositories in a machine.

        :param containers: None: what a devcontainer.json asks for is not made
        :param engine_image: that which dev containers are made in; None: the same as others
        """
        self._database = database
        self._keeper = keeper
        self._repositories = repositories
        self._image = image
        self._sizes = sizes
        self._limits = limits
        self._work = work
        self._containers = containers
        self._engine_image = engine_image or image
        self._granted = granted
        self._engine_after = 0.0
        """When it is worth asking for again, on the monotonic clock."""
        self._looked_at: dict[UUID, float] = {}
        self._detected: dict[UUID, tuple[str, Detected]] = {}
        """By project: a commit, and what its files say."""

    async def build_due(self) -> None:
        """Build the one template that is due most, if one is."""
        wanted: list[Wanted] = []
        furnish: dict[tuple[UUID, str], Furnish] = {}
        for project in await self._projects():
            want, furnishing = await self._wanted(project)
            if want.key not in furnish:
                wanted.append(want)
                furnish[want.key] = partial(furnishing, self._repositories)
        await self._keeper.build_due(wanted, furnish)

    async def give_up_unwanted(self) -> None:
        """Let go of the build under way if no project wants it any more."""
        building = self._keeper.building
        if building is not None:
            wanted = [(await self._wanted(project))[0] for project in await self._projects()]
            await self._keeper.give_up_unwanted(building, wanted)

    async def _projects(self) -> Sequence[Mapping[str, Any]]:
        async with self._database.begin() as tx:
            limits = {"keep_seconds": self._limits.keep_seconds}
            return [dict(row) for row in (await tx.execute(_USED, limits)).mappings()]

    async def _wanted(self, project: Mapping[str, Any]) -> tuple[Wanted, Furnishing]:
        name, size = self._sizes.chosen(project["size"])
        base = await self._base(project)
        found = await self._looked(project, base)
        image = await self._image_for(found)
        want = Wanted(
            order=Order(project_id=project["id"], size=name, spec=size.spec(image)),
            ingredients=_ingredients(project, found),
            commit=base.commit,
            begun_after=project["rebuild_at"],
        )
        return want, self._furnishing(project, base, found)

    async def _image_for(self, found: Detected) -> Image:
        """With an engine where there is to be a container; that it can't be had ends up in a log.

        It is tried again as often as repositories are looked at: it may take minutes to fail.
        """
        wanted, now = found.devcontainer, monotonic()
        if wanted is not None and wanted.unusable is None and now >= self._engine_after:
            try:
                return await self._engine_image()
            except (MachineError, OSError) as error:
                log.warning("engine_image_not_made", error=str(error))
                self._engine_after = now + self._limits.rebuild_seconds
        return await self._image()

    async def _base(self, project: Mapping[str, Any]) -> Base:
        """Where the base branch is; an unknown commit when the repository can't be read now."""
        try:
            now = monotonic()
            last = self._looked_at.get(project["id"])
            if last is None or now - last >= self._limits.rebuild_seconds:
                await self._repositories.update(project["id"], project["repository_url"])
                self._looked_at[project["id"]] = now
            return await self._repositories.base(project["id"], project["base_branch"])
        except (OnaError, OSError) as error:
            log.warning("repository_not_read", project=project["name"], error=str(error))
            return Base(commit="", branch=project["base_branch"] or "")

    async def _looked(self, project: Mapping[str, Any], base: Base) -> Detected:
        """What the base's files say; of the set-up nothing if the project names its own.

        While the repository can't be read it is what was known before, or what this host's copy
        says: a template is not made anew because a forge is away.
        """
        commit, found = self._detected.get(project["id"], ("", Detected()))
        if not commit or base.commit not in {"", commit}:
            try:
                base = base if base.commit else await self._last_known(project)
                found = detected(await self._repositories.tree(project["id"], base.commit))
                self._detected[project["id"]] = base.commit, found
            except (OnaError, OSError, GitFailed) as error:
                log.warning("files_not_looked_at", project=project["name"], error=str(error))
        found = found if self._containers is not None else replace(found, devcontainer=None)
        return replace(found, guesses=()) if project["setup"] else found

    async def _last_known(self, project: Mapping[str, Any]) -> Base:
        return await self._repositories.base(project["id"], project["base_branch"])

    def _furnishing(self, project: Mapping[str, Any], base: Base, found: Detected) -> Furnishing:
        return Furnishing(
            project_id=project["id"],
            base=base,
            origin_url=project["repository_url"],
            directory=repository_directory(project["name"], self._work),
            setup=project["setup"],
            start=project["start"],
            setup_seconds_max=self._limits.setup_seconds_max,
            detected=found,
            is_seen=bool(project["ports"]),
            containers=self._containers,
            granted=self._granted,
        )


def _ingredients(project: Mapping[str, Any], found: Detected) -> tuple[str, ...]:
    """What of a project changes its templates; the lengths keep the lists apart."""
    setup: Sequence[str] = project["setup"]
    start: Sequence[str] = project["start"]
    tools = [tool for guess in found.guesses for tool in guess.tools]
    return (
        project["name"],
        project["repository_url"],
        project["base_branch"] or "",
        str(len(setup)),
        *setup,
        str(len(start)),
        *start,
        found.devcontainer.digest if found.devcontainer is not None else "",
        *(guess.command for guess in found.guesses),
        *(install.script for install in installs(tools)),
        "seen" if project["ports"] else "",
    )
