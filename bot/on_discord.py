"""Opens Discord: what posts there, and what hears it in one process of the installation."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial

from sqlalchemy import text

from adapters.chat.discord.listening import DiscordListener
from adapters.chat.discord.port import DIRECT, SURFACE, DiscordChat, Place
from adapters.chat.incoming import Author
from bot.govern.people import find_identity, standing_of
from bot.govern.projects import list_projects
from bot.govern.rights import Rights
from bot.leading import LeadingListener
from bot.store.database import Database
from bot.surfaces import Surfaces

_DIRECTS = text(
    """
    SELECT split_part(thread.place, '~', 1) AS place
      FROM thread JOIN session ON session.id = thread.session_id
     WHERE thread.surface = :surface AND starts_with(thread.place, :direct)
     GROUP BY 1 ORDER BY max(session.active_at) DESC LIMIT :most
    """
)


def open_discord(stack: AsyncExitStack, surfaces: Surfaces, token: str) -> None:
    """The bot with this token."""
    port = DiscordChat(token)
    stack.push_async_callback(port.close)
    surfaces.ports[SURFACE] = port
    tell = surfaces.standings.tell_of(SURFACE)
    projects = partial(projects_of, surfaces.database, surfaces.rights)
    directs = partial(directs_of, surfaces.database)
    listener = DiscordListener(token, projects=projects, directs=directs, tell=tell)
    surfaces.listeners[SURFACE] = LeadingListener(
        surfaces.database,
        listener.run,
        name=SURFACE,
        owner=surfaces.owner,
        tell=tell,
    ).run


async def projects_of(database: Database, rights: Rights, author: Author) -> Sequence[str]:
    """The names of the projects that somebody on Discord may see."""
    async with database.begin() as tx:
        person_id = await find_identity(tx, f"{SURFACE}:{author.account}", author.id)
        who = None if person_id is None else await standing_of(tx, person_id)
        projects = await list_projects(tx)
    if who is None:
        seen = rights.unguarded(projects)
    else:
        seen = await rights.visible(who, projects, key="id")
    return [str(one["name"]) for one in seen]


async def directs_of(database: Database, most: int) -> Sequence[int]:
    """The channels in which people talked to us alone, those of the newest sessions first."""
    asked = {"surface": SURFACE, "direct": f"{DIRECT}/", "most": most}
    rows = (await database.run(_DIRECTS, asked)).all()
    return [Place.read(row.place).channel for row in rows]
