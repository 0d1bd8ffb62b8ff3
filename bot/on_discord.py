"""Opens Discord: what posts there, and what hears it in one process of the installation."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial

from sqlalchemy import text

from adapters.chat.discord.listening import DiscordListener
from adapters.chat.discord.port import DIRECT, SURFACE, DiscordChat, Place
from adapters.chat.incoming import Author
from bot.config import Settings
from bot.conversation.waiting import waiting_on
from bot.govern.people import find_identity, standing_of
from bot.govern.projects import list_projects
from bot.govern.rights import Rights
from bot.leading import LeadingListener
from bot.store.database import Database
from bot.surfaces import Surfaces, say
from bot.words.catalogue import N_

OF_ADAPTERS = (
    N_("Sent."),
    N_("Ask ona, or say a command such as stop"),
    N_("What to do"),
    N_("What it is about, if that is not clear"),
    N_("Only you see it, and are answered by direct message"),
    N_("How ona listens in this channel"),
    N_("Whether people mention it each time"),
)
"""What the adapter says to people itself; it knows no catalogue."""

_DIRECT = text(
    """
    SELECT thread.place FROM thread JOIN session ON session.id = thread.session_id
     WHERE thread.surface = :surface AND starts_with(thread.place, :direct || '/')
     ORDER BY session.active_at DESC LIMIT :most
    """
)


def open_discord(stack: AsyncExitStack, surfaces: Surfaces, settings: Settings, token: str) -> None:
    """The bot with this token, with what hears it."""
    port = DiscordChat(token)
    stack.push_async_callback(port.close)
    surfaces.ports[SURFACE] = port
    tell = surfaces.standings.tell_of(SURFACE)
    projects = partial(projects_of, surfaces.database, surfaces.rights)
    direct = partial(direct_messages, surfaces.database)
    surfaces.listeners[SURFACE] = LeadingListener(
        surfaces.database,
        DiscordListener(
            token,
            mention=settings.mention,
            projects=projects,
            direct=direct,
            waiting=waiting_on(surfaces.database, SURFACE),
            start_reaction=settings.discord.start_reaction,
            say=partial(say, settings.language),
            tell=tell,
        ).run,
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


async def direct_messages(database: Database, most: int) -> Sequence[int]:
    """The channels of direct messages in which sessions talk, those of the newest first."""
    asked = {"surface": SURFACE, "direct": DIRECT, "most": most}
    rows = (await database.run(_DIRECT, asked)).scalars()
    return list(dict.fromkeys(Place.read(place).channel for place in rows))
