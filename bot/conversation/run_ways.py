"""How runs get into sessions and to people: what `bot.automate.runs.acting` acts by."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import text

from adapters.chat.port import ChatError, Deadline
from adapters.forge.port import Searches
from bot.automate.definition import Definition, PostStep
from bot.automate.runs import run_rows
from bot.automate.runs.acting import Asking, Opened
from bot.automate.triggers import failing
from bot.conversation import adding, run_sessions
from bot.conversation.adding import CheckRepository
from bot.conversation.run_places import Resolved, RunPlaces
from bot.conversation.run_posting import RunPosts
from bot.errors import Refused
from bot.govern.access import Act, Standing, require
from bot.govern.agents import Agents
from bot.govern.people import standing_of
from bot.govern.rights import Rights
from bot.store.database import Database, is_away
from bot.store.transaction import Transaction
from bot.words.catalogue import N_
from bot.words.catalogue import gettext as _

log = structlog.get_logger(__name__)

Ending = Callable[[Transaction, UUID], Awaitable[None]]
"""Something that the end of a run asks for, once."""
RESOLVED_MAX = 1_000
"""Runs whose places are known by heart."""
DESCRIBE_SECONDS = 15.0
UNFIT = {
    "missing": N_("the repository is not there, or we may not see it"),
    "archived": N_("the repository is archived"),
    "no_rights": N_("nobody lets us write to the repository"),
    "empty": N_("the repository is empty"),
}
_URL = text("SELECT repository_url FROM project WHERE id = :project")
_GIVE = text("UPDATE run_target SET project_id = :project WHERE id = :target AND state = 'waiting'")


class RunWays:
    """See `bot.automate.runs.acting.Ways`."""

    def __init__(
        self,
        database: Database,
        rights: Rights,
        agents: Agents,
        *,
        check_repository: CheckRepository,
        posts: RunPosts,
        places: RunPlaces,
        searches: Mapping[str, Searches] | None = None,
        endings: Sequence[Ending] = (),
    ) -> None:
        """`searches` are the code hosts that say whether something can be done in a repository.

        :param endings: part of the transaction that settles a run, in that order
        """
        self._database = database
        self._rights = rights
        self._agents = agents
        self._check_repository = check_repository
        self._posts = posts
        self._places = places
        self._searches = searches or {}
        self._endings = endings
        self._resolved: dict[UUID, Resolved] = {}
        """The places that the definition of an open run names."""

    async def began(self, tx: Transaction, run_id: UUID) -> None:
        """Open the conversation of a run with several targets, once."""
        await run_sessions.open_own(tx, run_id, self._agents)

    async def report_in(self, run: Any, definition: Definition) -> None:
        """Find the places of its reports and posts, and let it report there."""
        said = [*definition.report_to, *_posted_to(definition)]
        if not said:
            return
        resolved = self._resolved.get(run.id)
        if resolved is None:
            resolved = await self._places.resolve(said, await self._places.people_of(run.id))
            if len(self._resolved) >= RESOLVED_MAX:
                self._resolved.clear()
            self._resolved[run.id] = resolved
        async with self._database.begin() as tx:
            await self._posts.open_reports(tx, run.id, _reports(resolved, definition))

    async def prepare(self, target: Any, who: Standing) -> None:
        """See that something can be done; give the repository a project, where it is to have one.

        :raises TellPerson: nothing can be done there
        """
        await self._check(target)
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

    async def post(
        self, tx: Transaction, target: Any, key: str, step: PostStep, words: str
    ) -> None:
        """Post the words of a step, where it says or where the run reports."""
        resolved = self._resolved.get(target.run_id) or Resolved()
        channels = _among(resolved, [step.post.to]).channels if step.post.to else ()
        if channels or not step.post.to:
            await self._posts.say(tx, target.run_id, key, words, channels)

    async def progress(self, tx: Transaction, run_id: UUID) -> None:
        """Show how far a run is."""
        await self._posts.progress(tx, run_id)

    async def ended(self, tx: Transaction, run_id: UUID) -> None:
        """Report it, and do what its end asks for."""
        for ending in (self._report, *self._endings):
            await ending(tx, run_id)
        self._resolved.pop(run_id, None)

    async def ended_in_part(self, tx: Transaction, run_id: UUID) -> None:
        """The same as far as it comes off, and tell that the rest does not."""
        for ending in (self._report, *self._endings, failing.not_ended):
            try:
                async with tx.begin_nested():
                    await ending(tx, run_id)
            except Exception as error:
                if is_away(error):
                    raise
                log.error("run_end_left_out", run=str(run_id), error=repr(error))
        self._resolved.pop(run_id, None)

    async def _report(self, tx: Transaction, run_id: UUID) -> None:
        resolved = self._resolved.get(run_id)
        if resolved is not None and resolved.channels:
            await self._report_anyway(tx, run_id, resolved)
        await self._posts.finish(tx, run_id)

    async def _report_anyway(self, tx: Transaction, run_id: UUID, resolved: Resolved) -> None:
        """Let a run report whose only target failed before it had a session."""
        run = await run_rows.find_by_id(tx, run_id)
        if run["session_id"] is not None:
            return
        await run_sessions.open_own(tx, run_id, self._agents, targets_min=1)
        reports = _reports(resolved, run_rows.definition_of(run))
        await self._posts.open_reports(tx, run_id, reports)

    async def _check(self, target: Any) -> None:
        """Whether the repository is such that something can be done. :raises Refused: it is not"""
        url = target.url or await self._url(target.project_id)
        for surface, host in self._searches.items():
            name = self._rights.forges[surface].repository(url)
            if name is None:
                continue
            try:
                described = await host.describe(name, Deadline.after(DESCRIBE_SECONDS))
            except ChatError as error:
                # Whoever fetches from it will see.
                log.info("repository_not_described", repository=name, why=str(error))
                continue
            if described.why:
                raise Refused(_(UNFIT[described.why]), do=_("look at it on its code host"))

    async def _url(self, project_id: UUID | None) -> str:
        async with self._database.begin() as tx:
            return str(await tx.scalar(_URL, {"project": project_id}) or "")


def _posted_to(definition: Definition) -> list[str]:
    posts = [step.post.to for step in definition.steps if isinstance(step, PostStep)]
    return [to for to in posts if to]


def _reports(resolved: Resolved, definition: Definition) -> Resolved:
    """Where it reports, and every place that is lost: to which a step can't post is said too."""
    channels = _among(resolved, definition.report_to).channels
    return Resolved(channels=channels, lost=resolved.lost)


def _among(resolved: Resolved, said: Collection[str]) -> Resolved:
    return Resolved(channels=tuple(one for one in resolved.channels if one.said in said))
