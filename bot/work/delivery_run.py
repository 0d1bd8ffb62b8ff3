"""One delivery, step by step; see `bot.work.delivery`."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Literal
from urllib.parse import urlsplit
from uuid import UUID

import structlog

from bot.errors import TryAgain
from bot.govern.policy_text import Delivery
from bot.words.catalogue import gettext as _
from bot.work import beside_words, committing, delivering, delivery_words, signature
from bot.work.branches import own_branch
from bot.work.delivery_means import DeliveryMeans
from bot.work.delivery_pulls import Requests
from bot.work.delivery_rows import About, Delivered, Left, Opened
from bot.work.guest import Machine
from bot.work.lease import Lease, OpenTurn
from bot.work.queue import Event
from bot.work.remote import Remote, let_in, remote
from bot.work.scratch import HEAD, TARGET, THERE, Heads, Moved, Scratch, scratch
from bot.work.workplace import BesideAt
from vmpool.guest.worktree.git import EMPTY_TREE
from vmpool.network.forge.pushing import ZERO

log = structlog.get_logger(__name__)

LOOKS_MAX = 3
"""So often it is looked where the branch is, when somebody moves it meanwhile."""

Ask = Callable[[str, str, Sequence[str]], Awaitable[str | None]]
"""Puts a question (its key, its text, its choices) to people; None: nobody answered."""


class _KeptBack(Exception):
    """It stays in the session; the event says why."""

    def __init__(self, event: Event) -> None:
        super().__init__(event.kind)
        self.event = event


@dataclass(kw_only=True)
class DeliveryRun:
    """The delivery of one turn."""

    means: DeliveryMeans
    lease: Lease
    turn: OpenTurn
    about: About
    policy: Delivery
    by: signature.Author
    ask: Ask
    show: Callable[[], Awaitable[None]]
    """Shows people the session's previews; no error is one of the delivery's."""
    mirror_id: UUID
    """Of the repository's mirror on this host."""
    beside: BesideAt | None = None
    """The repository, if it is not the project's own."""
    linked: bool = False
    """The session has other repositories besides this one."""
    result: Literal["delivered", "nothing", "kept"] = "nothing"
    """What became of it, once it has run."""
    _told: list[Event] = field(default_factory=list)

    async def run(self, machine: Machine, directory: str) -> Sequence[Event]:
        """Do it; what is to be told besides what was delivered.

        :raises OnaError: why it can't be
        """
        domain = self.means.email_domain
        message = signature.message(
            self.about.told(self.turn.text),
            title=self.about.title,
            agent=self.lease.agent,
            short=self.lease.short,
            email_domain=domain,
        )
        names = signature.environment(self.by, email_domain=domain)
        made = await committing.commit(machine, directory, message, names)
        if made.within:
            self._told.append(_within(made))
        left = await self._left()
        if not made.ahead or left.told == made.head:
            await self._requests(None, None).reworded(await self.branch())
            return self._told
        await self.show()
        async with AsyncExitStack() as stack:
            here = await self._taken_out(stack, machine, directory, made)
            try:
                await self._hand_over(here)
            except _KeptBack as kept:
                self._told.append(kept.event)
                self.result = "kept"
        return self._told

    async def keep(self, machine: Machine, directory: str) -> Sequence[Event]:
        """Deliver nothing; what is to be told of it, if there is anything. :raises OnaError:"""
        found = await committing.look(machine, directory)
        left = await self._left()
        if not found.dirty and (not found.ahead or left.told == found.head):
            return []
        return [_event(delivery_words.only_read())]

    # -- what it is about -------------------------------------------------------------------

    @property
    def _repository(self) -> str:
        """As rows of branches call it, whoever pushed there: this or a machine."""
        found = self.means.forge_of(self.about.url)
        if found is None:
            return remote(self.about.url).address
        forge, name = found
        return f"{forge.surface}:{urlsplit(forge.git_base).netloc}/{name}"

    def _named(self, said: str) -> str:
        """With the repository, where the session has several."""
        return beside_words.of(self.beside.name, said) if self.beside else said

    async def branch(self) -> str:
        """The session's branch there."""
        if self.beside is None:
            return self.lease.branch
        session_id, short = self.lease.session_id, self.lease.short
        refs = await self.means.rows.refs(session_id, self._repository)
        return delivering.newest(own_branch(short), refs)

    async def _left(self) -> Left:
        session_id, branch = self.lease.session_id, await self.branch()
        return await self.means.rows.left(session_id, self._repository, branch)

    # -- out of the machine -----------------------------------------------------------------

    async def _taken_out(
        self,
        stack: AsyncExitStack,
        machine: Machine,
        directory: str,
        made: committing.Committed,
    ) -> Scratch:
        """The commits, in a repository on this host from which they can be pushed."""
        repositories, mirror_id = self.means.repositories, self.mirror_id
        base = made.base
        if base and not await repositories.has(mirror_id, base):
            await repositories.update(mirror_id, self.about.url)
            base = base if await repositories.has(mirror_id, base) else ""
        here = await stack.enter_async_context(
            scratch(
                self.means.directory,
                repositories.mirror(mirror_id),
                await self._source(stack),
                seconds_max=self.means.seconds_max,
            )
        )
        bundle = here.directory.with_name("commits.bundle")
        bytes_max = self.means.bytes_max
        await committing.bundle(machine, directory, base, bundle, bytes_max=bytes_max)
        await here.take(bundle)
        return here

    async def _source(self, stack: AsyncExitStack) -> Remote:
        """The repository, with credentials that may push to it."""
        source, found = remote(self.about.url), self.means.forge_of(self.about.url)
        if found is None or source.username is not None:
            return await let_in(source, self.means.logins)
        forge, name = found
        login = await stack.enter_async_context(forge.login(name))
        if login is None:
            return source
        address = f"{forge.git_base.rstrip('/')}/{name}.git"
        return replace(source, address=address, username=login[0], password=login[1])

    # -- to the code host -------------------------------------------------------------------

    async def _hand_over(self, here: Scratch) -> None:
        """Push and open, as often as somebody moves the branch meanwhile."""
        head = await here.head()
        for _look in range(LOOKS_MAX):
            heads = await here.look()
            base = self.about.base or heads.default
            if base not in heads.commits:
                base = heads.default
            since = await self._since(here, heads, base, head)
            if since == head:
                return
            await self._let_pass(here, since, heads, base, head)
            try:
                branch = await self._push(here, heads, head)
            except Moved:
                continue
            opened = await self._requests(here, base).of(branch, head)
            await self._tell(here, branch, base, head, opened)
            return
        raise TryAgain(
            _("somebody moves the branch {branch} again and again", branch=await self.branch()),
            kept=_("the commits are in the session and in its checkpoint"),
            do=_("the next turn tries again"),
        )

    async def _since(self, here: Scratch, heads: Heads, base: str | None, head: str) -> str:
        """From where on it is new: where we left the branch, else where it left its base."""
        branch = await self.branch()
        there = heads.at(branch)
        wanted = {base: TARGET} if base is not None else {}
        if there != ZERO:
            wanted[branch] = THERE
        if wanted:
            await here.fetch(wanted)
        if there == head:
            return await self._fork(here, base)
        left = await self._left()
        if there != ZERO and there == left.commit and await here.leads_to(there, head):
            return there
        return await self._fork(here, base)

    async def _fork(self, here: Scratch, base: str | None) -> str:
        """The commit of the base that it began from."""
        found = await here.fork_point(TARGET, HEAD) if base is not None else None
        return found or EMPTY_TREE

    async def _let_pass(
        self, here: Scratch, since: str, heads: Heads, base: str | None, head: str
    ) -> None:
        """Ask about what the policy doesn't let pass by itself. :raises _KeptBack:"""
        there = heads.at(await self.branch())
        known = [TARGET] if base is not None else []
        known += [THERE] if there not in {ZERO, head} else []
        fork = await self._fork(here, base)
        change = await here.change(since, head, fork=fork, known=known)
        if there == head:
            self._remark(change)
            return
        if change.in_lfs:
            raise _KeptBack(_event(delivery_words.in_lfs(change.in_lfs)))
        found = delivering.concerns(change, self.policy)
        if not found:
            return
        question = self._named(delivery_words.question(found, change, self.policy))
        key = f"delivery:{head[:16]}:{'+'.join(one.kind for one in found)}"
        if not await self._lets(key, question):
            raise _KeptBack(_event(delivery_words.kept_back()))

    def _remark(self, change: delivering.Change) -> None:
        """What is on the branch already, as the agent pushed it, can only be told."""
        found = delivering.concerns(change, self.policy)
        if found:
            said = delivery_words.pushed_already(found, change, self.policy)
            self._told.append(Event(kind="notice", body={"text": said}))

    async def _lets(self, key: str, question: str) -> bool:
        answer = await self.ask(key, question, delivery_words.CHOICES)
        return (answer or "").strip().casefold() in {"1", delivery_words.PUSH.casefold()}

    async def _push(self, here: Scratch, heads: Heads, head: str) -> str:
        """Bring the commits to a branch; which it is. :raises Moved: look again"""
        branch = await self.branch()
        there = heads.at(branch)
        contains = there != ZERO and await here.leads_to(THERE, HEAD)
        left = await self._left()
        step = delivering.landing(head=head, there=there, seen=left.commit, contains_there=contains)
        if step == "moved":
            beside = delivering.aside(branch, heads.commits)
            question = self._named(delivery_words.moved(branch, beside))
            if not await self._lets(f"delivery-moved:{there[:16]}:{head[:16]}", question):
                raise _KeptBack(_event(delivery_words.kept_back()))
            branch, there = beside, ZERO
        if step != "there":
            self.lease.must_last()
            await here.push(branch, expected=there)
        has_checks = self.means.forge_of(self.about.url) is not None
        await self.means.rows.pushed(
            self.lease,
            self._repository,
            branch,
            head,
            has_checks=has_checks,
            is_own=self.beside is None,
        )
        log.info("branch_pushed", branch=branch, commit=head[:12])
        return branch

    async def _tell(
        self, here: Scratch, branch: str, base: str | None, head: str, opened: Opened
    ) -> None:
        fork = await self._fork(here, base)
        change = delivering.Change(files=await here.files(fork, head))
        left = (await self._left()).told
        is_told = left is not None and await here.leads_to(left, head)
        diff = await here.diff(left if left and is_told else fork, head, fork=fork)
        conflicts = await here.conflicts(TARGET, HEAD) if base is not None else []
        found = self.means.forge_of(self.about.url)
        body = {
            "repository": found[1] if found else self._repository,
            "beside": self.beside.name if self.beside else "",
            "branch": branch,
            "base": base,
            "commit": head,
            "files": len(change.files),
            "insertions": change.insertions,
            "deletions": change.deletions,
            "conflicts": list(conflicts)[: delivering.SHOWN_MAX],
            "submodules": list(await here.submodules(fork, head))[: delivering.SHOWN_MAX],
            **opened.told,
        }
        done = Delivered(
            repository=self._repository,
            branch=branch,
            commit=head,
            opened=opened,
            event=Event(kind="delivered", body=body),
            surface=found[0].surface if found else "",
            of=found[1] if found else "",
            asker_id=self.about.person_id,
            diff=diff,
            diff_name=f"{self.lease.short}-{head[:8]}.diff",
        )
        await self.means.rows.delivered(self.lease, self.turn, done)
        self.result = "delivered"

    def _requests(self, here: Scratch | None, base: str | None) -> Requests:
        return Requests(
            means=self.means,
            lease=self.lease,
            turn=self.turn,
            about=self.about,
            policy=self.policy,
            here=here,
            base=base,
            linked=self.linked,
        )


def _within(made: committing.Committed) -> Event:
    return Event(kind="notice", body={"text": delivery_words.within(made.within)})


def _event(said: str) -> Event:
    return Event(kind="undelivered", body={"text": said})
