"""What a person may do with a project: what they may do with its repository on its forge.

    known for less than FRESH_SECONDS ─▶ decided from the row
    not known ─▶ NotAsked ─▶ the caller leaves its transaction, `learn`s, and begins again

A forge that can't be asked closes the door, for RETRY_SECONDS; then it is asked again. So does one
that the settings name and that is not there, because something is missing, and an address on its
host that is no repository's there. A project whose repository is on none of their hosts is open to
everybody of the installation, and operators, who hold the forges' credentials anyway, may
everything.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

import structlog
from sqlalchemy import text

from adapters.chat.port import ChatError, Deadline
from adapters.forge.hosts import host_name
from adapters.forge.port import ForgePort, Permission
from bot.errors import NotPermitted, NotSaid
from bot.govern.access import Act, Standing, may
from bot.store.database import Database
from bot.store.transaction import Transaction
from bot.words.catalogue import gettext as _

log = structlog.get_logger(__name__)

FRESH_SECONDS = 300.0
"""For which the answer of a forge counts."""
RETRY_SECONDS = 10.0
"""For which a forge that did not answer is not asked again about the same."""
ASK_SECONDS_MAX = 2.0
"""A surface waits for us to acknowledge: Slack and Discord for 3 s."""
ASKED_AT_ONCE_MAX = 8

Result = TypeVar("Result")
Row = TypeVar("Row", bound=Mapping[str, Any])
Key = TypeVar("Key")

_URLS = text(
    """
    SELECT id, repository_url FROM project WHERE id = ANY(:projects)
     UNION SELECT project_id, url FROM project_repository
            WHERE project_id = ANY(:projects) AND removed_at IS NULL
    """
)
"""All repositories of projects: who may not do something with one of them may not with any."""
_ALL_URLS = text("SELECT DISTINCT repository_url FROM project WHERE removed_at IS NULL LIMIT 200")
_KNOWN = text(
    """
    SELECT repository, level FROM permission
     WHERE person_id = :person AND repository = ANY(:repositories)
       AND asked_at > now() - make_interval(secs => CASE WHEN level IS NULL
                                                         THEN :retry ELSE :fresh END)
    """
)
_ACCOUNTS = text(
    "SELECT surface, external_id FROM identity WHERE person_id = :person AND surface = ANY(:forges)"
)
_PUT = text(
    """
    INSERT INTO permission (person_id, repository, level, asked_at)
    VALUES (:person, :repository, :level, now())
    ON CONFLICT (person_id, repository) DO UPDATE SET level = excluded.level, asked_at = now()
    """
)
_FORGET = text("DELETE FROM permission WHERE person_id = :person")


@dataclass(frozen=True, kw_only=True)
class Place:
    """A repository on one of our forges."""

    surface: str
    host: str
    name: str

    @property
    def key(self) -> str:
        """What it is called in rows."""
        return f"{self.surface}:{self.host}/{self.name}".lower()

    @property
    def accounts(self) -> str:
        """The surface of identities that are accounts there."""
        return f"{self.surface}:{self.host}"


class NotAsked(Exception):
    """It can't be decided from what is known: `Rights.learn` these, and begin again."""

    def __init__(self, person_id: UUID, places: Collection[Place]) -> None:
        super().__init__(f"{len(places)} permissions are not known")
        self.person_id = person_id
        self.places = places


class Rights:
    """Decides by what forges say; keeps what they said."""

    def __init__(
        self, database: Database, forges: Mapping[str, ForgePort], hosts: Collection[str] = ()
    ) -> None:
        """`forges` by surface; without any and `hosts`, everybody here may everything.

        :param hosts: names of hosts on which nobody may anything unless one of the forges says so
        """
        self._database = database
        self._forges = forges
        self._hosts = frozenset(hosts)
        self._asking = asyncio.Semaphore(ASKED_AT_ONCE_MAX)

    @property
    def guard(self) -> bool:
        """Whether there is anything to decide: without a forge there is not."""
        return bool(self._forges or self._hosts)

    @property
    def forges(self) -> Mapping[str, ForgePort]:
        """The forges, by surface."""
        return self._forges

    async def settled(self, act: Callable[[], Awaitable[Result]]) -> Result:
        """What `act`, which may be begun again, returns once it knows enough."""
        while True:
            try:
                return await act()
            except NotAsked as unknown:
                await self.learn(unknown)

    async def check(
        self, tx: Transaction, who: Standing, project_id: UUID, need: Permission
    ) -> None:
        """Whether they may do that with a project.

        :raises NotPermitted: they may not, or nobody can tell
        :raises NotAsked: the forge has to be asked first
        """
        _judge((await self.levels(tx, who, [project_id]))[project_id], need)

    async def check_at(self, tx: Transaction, who: Standing, url: str, need: Permission) -> None:
        """Whether they may do that with the repository at `url`; raises as `check` does."""
        if not who.operator:
            (level,) = (await self._levels(tx, who.person_id, {"": url})).values()
            _judge(level, need)

    async def level_at(self, tx: Transaction, who: Standing, url: str) -> int | None:
        """What their own account may do with the repository at `url`, whoever they are here.

        None: it is on none of our forges, or its forge could not be asked.

        :raises NotAsked: the forge has to be asked first
        """
        (level,) = (await self._levels(tx, who.person_id, {"": url})).values()
        return None if level is EVERYTHING else level.level

    async def check_connected(self, tx: Transaction, who: Standing, url: str) -> None:
        """Whether we know their account on the forge of `url`, which answers; raises as `check`."""
        (level,) = (await self._levels(tx, who.person_id, {"": url})).values()
        if level.level is None or not level.connected:
            _judge(level, Permission.READ)

    async def seen(self, tx: Transaction, who: Standing, projects: Collection[Row]) -> list[Row]:
        """Those of these projects that they may read. :raises NotAsked:"""
        levels = await self.levels(tx, who, [row["id"] for row in projects])
        return [row for row in projects if levels[row["id"]].reads]

    async def check_known(self, tx: Transaction, who: Standing, projects: Collection[Row]) -> None:
        """Whether we know their accounts on the forges of these projects.

        :raises NotPermitted: they are told how to connect one
        :raises NotAsked: the forge has to be asked first
        """
        levels = await self.levels(tx, who, [row["id"] for row in projects])
        for level in levels.values():
            if not level.connected:
                _judge(level, Permission.READ)

    async def holds_budget(self, tx: Transaction, who: Standing, project_id: UUID) -> bool:
        """Whether they decide about a project's money: who administers its repository on its forge.

        Where no forge can be asked, operators alone do, though everybody may work there.

        :raises NotAsked: the forge has to be asked first
        """
        return await self._administers(tx, who, project_id, Act.BUDGET)

    async def approves(self, tx: Transaction, who: Standing, project_id: UUID) -> bool:
        """Whether they say which automations of a project count: as those who hold its budget.

        :raises NotAsked: the forge has to be asked first
        """
        return await self._administers(tx, who, project_id, Act.AUTOMATIONS)

    async def decides_reach(self, tx: Transaction, who: Standing, project_id: UUID) -> bool:
        """Whether they let a session reach what no policy names: as those who hold its budget.

        :raises NotAsked: the forge has to be asked first
        """
        return await self._administers(tx, who, project_id, Act.POLICY)

    async def _administers(
        self, tx: Transaction, who: Standing, project_id: UUID, instead: Act
    ) -> bool:
        """:param instead: what is enough without asking"""
        if may(who, instead):
            return True
        rows = (await tx.execute(_URLS, {"projects": [project_id]})).all()
        levels = [await self.level_at(tx, who, row.repository_url) for row in rows]
        return bool(levels) and all(one is not None and one >= Permission.ADMIN for one in levels)

    async def levels(
        self, tx: Transaction, who: Standing, projects: Collection[UUID]
    ) -> Mapping[UUID, "Level"]:
        """What they may do with each of the projects: as much as with each of its repositories.

        :raises NotAsked:
        """
        if who.operator or not self.guard:
            return dict.fromkeys(projects, EVERYTHING)
        rows = await tx.execute(_URLS, {"projects": list(projects)})
        urls = {(row.id, row.repository_url): row.repository_url for row in rows}
        levels = await self._levels(tx, who.person_id, urls)
        found: dict[UUID, list[Level]] = {project: [EVERYTHING] for project in projects}
        for (project, _url), level in levels.items():
            found[project].append(level)
        return {project: min(those, key=_rank) for project, those in found.items()}

    async def _levels(
        self, tx: Transaction, person_id: UUID, urls: Mapping[Key, str]
    ) -> Mapping[Key, "Level"]:
        """What a person may do with the repository at each address. :raises NotAsked:"""
        found = {key: self._place(url) for key, url in urls.items()}
        places = [one for one in found.values() if isinstance(one, Place)]
        known = await self._known(tx, person_id, places)
        return {
            key: known[place.key] if isinstance(place, Place) else place or EVERYTHING
            for key, place in found.items()
        }

    async def visible(
        self, who: Standing, rows: Iterable[Row], *, key: str = "project_id"
    ) -> list[Row]:
        """The rows about projects that they may read; those about none are for operators only.

        Rows with a `private_to` are for that person only, whoever else runs the installation; for
        what `narrow` ones take, see `to_see`.
        """
        rows = [row for row in rows if row.get("private_to") in {None, who.person_id}]
        if who.operator or not self.guard:
            return rows
        projects = {row[key] for row in rows if row[key] is not None}

        async def look() -> Mapping[UUID, Level]:
            async with self._database.begin() as tx:
                return await self.levels(tx, who, projects)

        levels = await self.settled(look)
        return [
            row
            for row in rows
            if row[key] is not None and levels[row[key]].allows(to_see(narrow=row.get("narrow")))
        ]

    def unguarded(self, rows: Iterable[Row]) -> list[Row]:
        """The projects, with their `repository_url`, that everybody here may do anything with."""
        return [row for row in rows if self._place(row["repository_url"]) is None]

    async def require(self, who: Standing, project_id: UUID, need: Permission) -> None:
        """Like `check`, in a transaction of its own. :raises NotPermitted:"""

        async def look() -> None:
            async with self._database.begin() as tx:
                await self.check(tx, who, project_id, need)

        await self.settled(look)

    async def require_at(self, who: Standing, url: str, need: Permission) -> None:
        """Like `check_at`, in a transaction of its own. :raises NotPermitted:"""

        async def look() -> None:
            async with self._database.begin() as tx:
                await self.check_at(tx, who, url, need)

        await self.settled(look)

    async def admits(self, surface: str, account: str) -> bool:
        """Whether an account that is nobody's here may read a repository of our projects."""
        async with self._database.begin() as tx:
            rows = (await tx.execute(_ALL_URLS)).all()
        places = {self._place(row.repository_url) for row in rows}
        silent: set[str] = set()
        asked = [
            self._ask(place, account, silent)
            for place in places
            if isinstance(place, Place) and place.surface == surface
        ]
        levels = await asyncio.gather(*asked)
        return any(level is not None and level >= Permission.READ for level in levels)

    async def learn(self, unknown: NotAsked) -> None:
        """Ask the forges, and keep what they say; a forge that does not answer is noted too."""
        surfaces = list({place.accounts for place in unknown.places})
        wanted = {"person": unknown.person_id, "forges": surfaces}
        async with self._database.begin() as tx:
            found = (await tx.execute(_ACCOUNTS, wanted)).all()
        accounts = {row.surface: row.external_id for row in found}
        silent: set[str] = set()
        asked = [self._ask(place, accounts.get(place.accounts), silent) for place in unknown.places]
        levels = await asyncio.gather(*asked)
        async with self._database.begin() as tx:
            for place, level in sorted(
                zip(unknown.places, levels, strict=True), key=lambda one: one[0].key
            ):
                values = {"person": unknown.person_id, "repository": place.key, "level": level}
                await tx.execute(_PUT, values)

    async def _ask(self, place: Place, account: str | None, silent: set[str]) -> int | None:
        """The level; None: the forge did not answer, as `silent` says of it from then on."""
        if account is None:
            return int(Permission.NONE)
        forge = self._forges[place.surface]
        async with self._asking:
            if place.accounts in silent:
                return None
            try:
                async with asyncio.timeout(ASK_SECONDS_MAX):
                    deadline = Deadline.after(ASK_SECONDS_MAX)
                    return int(await forge.permission(place.name, account, deadline))
            except (ChatError, TimeoutError) as error:
                log.warning("permission_not_asked", repository=place.key, why=str(error))
                silent.add(place.accounts)
                return None

    async def _known(
        self, tx: Transaction, person_id: UUID, places: Collection[Place]
    ) -> Mapping[str, "Level"]:
        wanted = {
            "person": person_id,
            "repositories": [place.key for place in places],
            "fresh": FRESH_SECONDS,
            "retry": RETRY_SECONDS,
        }
        levels = {row.repository: row.level for row in await tx.execute(_KNOWN, wanted)}
        missing = {place.key: place for place in places if place.key not in levels}
        if missing:
            raise NotAsked(person_id, list(missing.values()))
        forges = list({place.accounts for place in places})
        rows = await tx.execute(_ACCOUNTS, {"person": person_id, "forges": forges})
        connected = {row.surface for row in rows}
        return {
            place.key: Level(
                level=levels[place.key],
                forge=place.host,
                connected=place.accounts in connected,
            )
            for place in places
        }

    def _place(self, url: str) -> "Place | Level | None":
        """Where to ask; a level: nobody can be asked; None: nobody has to be."""
        for surface, forge in self._forges.items():
            name = forge.repository(url)
            if name is not None:
                return Place(surface=surface, host=forge.host, name=name)
        host = host_name(url)
        return Level(level=None, forge=host, asked=False) if host in self._hosts else None


@dataclass(frozen=True, kw_only=True)
class Level:
    """What somebody may do with a project."""

    level: int | None
    """A `Permission`; None: its forge could not be asked."""
    forge: str = ""
    connected: bool = True
    """We know their account there."""
    asked: bool = True
    """There is something that asks the forge; else it never says, until an operator does."""

    @property
    def reads(self) -> bool:
        """Whether they may see it."""
        return self.allows(Permission.READ)

    def allows(self, need: Permission) -> bool:
        """Whether they may do that with it."""
        return self.level is not None and self.level >= need


def to_see(*, narrow: bool | None, need: Permission = Permission.READ) -> Permission:
    """What it takes to see a session, and to do there what takes `need` elsewhere; pure.

    :param narrow: something was said in it where fewer people read than the repository, such as in
        an internal note: whoever writes to the repository reads there too, on every forge
    """
    return max(need, Permission.WRITE) if narrow else need


def _rank(level: Level) -> tuple[bool, int]:
    """How much it lets somebody do, beginning with nothing."""
    return level.asked, -1 if level.level is None else level.level


def _judge(found: "Level", need: Permission) -> None:
    if not found.asked:
        raise NotPermitted(
            _(
                "{forge} can't be asked here what you may do with this repository",
                forge=found.forge,
            ),
            kept=_("nothing was done"),
            do=_("ask an operator to look: `ona doctor` says what is missing"),
        )
    if found.level is None:
        raise NotSaid(
            _("just now {forge} does not say what you may do there", forge=found.forge),
            kept=_("nothing was done"),
            do=_("try again in a minute"),
        )
    if found.level >= need:
        return
    if not found.connected:
        raise NotPermitted(
            _("I don't know which account on {forge} is yours", forge=found.forge),
            kept=_("nothing was done"),
            do=_("say `connect` to me in a direct message, then ask again"),
        )
    if need >= Permission.WRITE:
        lacks = _(
            "on {forge} you may not write to the repository of this project", forge=found.forge
        )
    else:
        lacks = _("on {forge} you may not read the repository of this project", forge=found.forge)
    raise NotPermitted(
        lacks,
        kept=_("nothing was done"),
        do=_("ask somebody who may"),
    )


EVERYTHING = Level(level=int(Permission.ADMIN))


async def forget(tx: Transaction, person_id: UUID) -> None:
    """Ask the forges anew about somebody: their accounts are others now."""
    await tx.execute(_FORGET, {"person": person_id})
