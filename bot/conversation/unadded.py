"""A repository that a message means and that has no project yet."""

from collections.abc import Sequence

from sqlalchemy import text

from adapters.forge.port import Permission
from bot.conversation import commands, threads
from bot.conversation.choosing import Row, is_named
from bot.conversation.message import IncomingMessage
from bot.errors import Refused
from bot.govern import repositories
from bot.govern.access import Standing
from bot.govern.repositories import address
from bot.govern.rights import Rights
from bot.store.transaction import Transaction
from bot.words.catalogue import gettext as _

_PROJECTS = text("SELECT id, repository_url FROM project WHERE removed_at IS NULL")


async def unadded(
    tx: Transaction,
    rights: Rights,
    who: Standing,
    message: IncomingMessage,
    prompt: commands.Prompt,
) -> str | None:
    """The address of the repository that is meant, where they may make a project of it.

    A link means one unless a project is said, linked to or set for the channel: people link to
    what they only talk about, too.

    :raises Refused: they named one that has no project, and may not make one
    :raises NotAsked: the forge has to be asked first
    """
    if prompt.options.get("project") or message.project or not message.channel:
        return None
    known = [dict(row) for row in (await tx.execute(_PROJECTS)).mappings()]
    wanted = prompt.options.get("repo")
    if wanted is not None:
        return await _named(tx, rights, who, wanted, known)
    if await threads.channel_project(tx, message.surface, message.channel) is not None:
        return None
    found = repositories.linked(rights.forges, prompt.text)
    have = {address(row["repository_url"]) for row in known}
    if any(address(url) in have for url in found):
        return None
    for url in found:
        level = await rights.level_at(tx, who, url)
        if level is not None and level >= Permission.WRITE:
            return url
    return None


async def _named(
    tx: Transaction, rights: Rights, who: Standing, wanted: str, known: Sequence[Row]
) -> str | None:
    fitting = [row for row in known if is_named(row["repository_url"], wanted)]
    # One that they may not see is told from none by no word.
    if await rights.seen(tx, who, fitting):
        return None
    found = repositories.named(rights.forges, wanted)
    for url in found:
        level = await rights.level_at(tx, who, url)
        if who.operator or (level is not None and level >= Permission.WRITE):
            return url
    if not found:
        return None
    # Whoever is not connected is told how, before they are told whom to ask.
    for url in found:
        await rights.check_connected(tx, who, url)
    raise Refused(
        _("{repository} has no project here", repository=wanted),
        kept=_("nothing was run"),
        do=_("ask somebody who may write to it to say the same here, or who runs ona to add it"),
    )
