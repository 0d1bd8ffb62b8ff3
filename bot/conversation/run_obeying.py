"""Doing what a command about runs asks, and saying so."""

from collections.abc import Mapping, Sequence
from typing import Any

from adapters.forge.port import Permission
from bot.automate.runs import run_rows, steering
from bot.conversation import commands, run_posting, run_words
from bot.conversation.reading_along import Readers, Told
from bot.conversation.run_words import View
from bot.errors import NotFound
from bot.govern.access import Act, Standing, require
from bot.govern.rights import Rights
from bot.store.transaction import Transaction
from bot.words.catalogue import gettext as _
from bot.work.control import Actor

LISTED = 20


async def obey(
    tx: Transaction, rights: Rights, who: Standing, readers: Readers, asked: commands.Runs
) -> Told:
    """Do it, as far as they may.

    :raises TellPerson: it can't be done; nothing was
    :raises NotAsked: the forge has to be asked first
    """
    if asked.act == "list":
        return await _listed(tx, rights, who, readers)
    if asked.act == "show":
        return await _shown(tx, rights, who, readers, asked.short)
    surface = readers.message.surface
    run = await run_rows.lock(tx, asked.short)
    by = Actor(id=who.person_id, name=who.name)
    if asked.act == "stop":
        await may_stop(tx, rights, who, run)
        return Told(text=await steering.stop(tx, run, by, "person", surface=surface))
    await may_rerun(tx, rights, who, run)
    which = steering.place_of(asked.which) or "failed"
    return Told(text=await steering.rerun(tx, run, by, which, surface=surface))


async def _listed(tx: Transaction, rights: Rights, who: Standing, readers: Readers) -> Told:
    limit = run_rows.LISTED_MAX if readers.is_read_by_all else LISTED
    rows = await visible(tx, rights, who, limit=limit)
    if readers.is_read_by_all:
        own = await readers.own(tx, {row["project_id"] for row in rows})
        rows = [row for row in rows if row["project_id"] in own]
    return Told(text=run_words.listed(rows[:LISTED]), is_wide=True)


async def _shown(
    tx: Transaction, rights: Rights, who: Standing, readers: Readers, short: str
) -> Told:
    """One run; where it has a thread of its own, all of it stands there anyway."""
    run = await run_rows.find(tx, short)
    await may_read(tx, rights, who, run)
    view = await run_posting.view_of(tx, run, await run_rows.comes_to(tx, run))
    rows = await _named(tx, run, view)
    projects = {row["project_id"] for row in rows if row["project_id"]}
    levels = await rights.levels(tx, who, projects)
    may = {project for project, level in levels.items() if level.reads}
    own = await readers.own(tx, {run["project_id"], *projects})
    readers.check(is_own=run["project_id"] in own)
    if readers.is_read_by_all:
        may &= own
    view = view.without({row["place"] for row in run_rows.told_of(run, rows, may)})
    is_its_thread = readers.found is not None and readers.found.session_id == run["session_id"]
    is_wide = not (is_its_thread or own >= {run["project_id"], *may})
    return Told(text=run_words.shown(view), is_wide=is_wide, is_marked=True)


async def visible(
    tx: Transaction, rights: Rights, who: Standing, *, limit: int
) -> list[dict[str, Any]]:
    """The newest runs, those of projects that they may not read left out."""
    rows = await run_rows.listed(tx, limit=limit)
    levels = await rights.levels(tx, who, {row["project_id"] for row in rows})
    return [row for row in rows if levels[row["project_id"]].reads]


async def may_read(tx: Transaction, rights: Rights, who: Standing, run: Mapping[str, Any]) -> None:
    """:raises NotFound: its project is none that they may read, and nothing of it is told"""
    require(who, Act.SEE)
    if not (await rights.levels(tx, who, [run["project_id"]]))[run["project_id"]].reads:
        raise NotFound(
            _("there is no run {run}", run=run["short"]), do=_("`runs` lists those there are")
        )


async def may_stop(tx: Transaction, rights: Rights, who: Standing, run: Mapping[str, Any]) -> None:
    """Who began it, or may write to its project. :raises NotPermitted: they may not"""
    require(who, Act.STOP)
    if run["started_by_id"] != who.person_id:
        await rights.check(tx, who, run["project_id"], Permission.WRITE)


async def may_rerun(tx: Transaction, rights: Rights, who: Standing, run: Mapping[str, Any]) -> None:
    """Who may write to its project, as for a new run. :raises NotPermitted: they may not"""
    require(who, Act.PROMPT)
    await rights.check(tx, who, run["project_id"], Permission.WRITE)


async def _named(
    tx: Transaction, run: Mapping[str, Any], view: View
) -> Sequence[Mapping[str, Any]]:
    """The targets that a view names."""
    places = {1, *(one.place for one in (*view.pulls, *view.undone, *view.asking))}
    return await run_rows.targets(tx, run, places=places)
