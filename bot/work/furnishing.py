"""Putting a session's repositories into its machine: cloned, or as its last checkpoint has them.

Each lies in a directory of its own, whose mark says that it may be worked in; what is half done is
done anew by who comes next.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from uuid import UUID

from sqlalchemy import text

from bot.errors import OnaError
from bot.store.database import Database
from bot.words.catalogue import gettext as _
from bot.words.guesses import forwarded
from bot.work import beside_words, machine_past, machine_words
from bot.work.branches import own_branch
from bot.work.checkpoint import Checkpoints, Restored
from bot.work.guessed import set_up_of
from bot.work.lease import Lease
from bot.work.queue import Event
from bot.work.refresh import refresh
from bot.work.repository import READY_MARK, Base, Cloned, Repositories, clone_into
from bot.work.workplace import BesideAt, Tell
from vmpool.machine import Tier
from vmpool.opening import Opened
from vmpool.registry import Order

FURNISHED_MAX = 10_000
"""Directories that are remembered to hold their repository; past it all are looked at once more."""

Forward = Callable[[UUID, Sequence[int]], Awaitable[Sequence[tuple[int, str]]]]
"""Makes previews of a session's ports; ports and addresses, as far as there are any."""
Step = Callable[[str], Awaitable[None]]

_TEMPLATE = text("SELECT commit FROM template WHERE id = :template")


@dataclass(frozen=True, kw_only=True)
class InMachine:
    """A session's project, as its machines have it."""

    id: UUID
    url: str
    order: Order
    directory: str
    """Of its repository in the machine."""
    machine_host: UUID | None = None
    """Of the machine that the session has."""
    beside: tuple[BesideAt, ...] = ()


class Furnishing:
    """Fills machines of one host."""

    def __init__(
        self,
        database: Database,
        repositories: Repositories,
        checkpoints: Checkpoints,
        *,
        host_id: UUID,
        forward: Forward | None,
    ) -> None:
        """See `bot.work.machines.MachineWorkplaces`."""
        self._database = database
        self._repositories = repositories
        self._checkpoints = checkpoints
        self._host_id = host_id
        self._forward = forward
        self._furnished: set[tuple[UUID, str]] = set()
        """Machines and directories in them that are known to hold their repository, so that a
        follow-up need not look."""

    def forget(self, machine_id: UUID) -> None:
        """Look at a machine again when it is furnished next."""
        self._furnished = {one for one in self._furnished if one[0] != machine_id}

    async def as_begun(self, project: InMachine, opened: Opened) -> InMachine:
        """The project as a turn has it that runs in the machine: without what was added since."""
        there = [one for one in project.beside if await _is_ready(opened, one.directory)]
        return replace(project, beside=tuple(there))

    async def furnish(
        self, lease: Lease, project: InMachine, opened: Opened, step: Step, tell: Tell
    ) -> list[str]:
        """Put the repositories into a machine that does not hold them yet; what to tell people.

        :param tell: is told what there is to tell of those before one that can't be put there:
            they are there from then on, and nobody would be told later
        :raises OnaError: one can't be; which, if it is beside the project's own
        """
        notices: list[str] = []
        try:
            notices += await self._once(
                opened, project.directory, partial(self._fill, lease, project, opened, step)
            )
            for one in project.beside:
                filling = partial(self._fill_beside, lease, one, opened, step)
                notices += await self._once(opened, one.directory, filling)
        except Exception:
            for notice in notices:
                await tell(Event(kind="notice", body={"text": notice}))
            raise
        if opened.tier is Tier.BOOT:
            notices += await self._why_booted(project)
        elif opened.tier is not None:
            notices += await self._why_older(opened)
        return notices

    async def _once(
        self, opened: Opened, directory: str, fill: Callable[[], Awaitable[list[str]]]
    ) -> list[str]:
        """Fill a directory of a machine unless it is ready; what to tell people."""
        if (opened.machine_id, directory) in self._furnished:
            return []
        notices: list[str] = []
        if not await _is_ready(opened, directory):
            notices = await fill()
            await opened.channel.run(["touch", _mark(directory)], timeout_seconds=30)
        if len(self._furnished) >= FURNISHED_MAX:
            self._furnished.clear()
        self._furnished.add((opened.machine_id, directory))
        return notices

    async def _fill(
        self,
        lease: Lease,
        project: InMachine,
        opened: Opened,
        step: Step,
    ) -> list[str]:
        newest = await self._checkpoints.newest(lease.session_id)
        lost = await self._lost(lease, opened, restoring=newest is not None)
        fresh = opened.template_id is not None and newest is None
        if not fresh:
            await step("cloning" if newest is None else "restoring")
        if newest is None or not await self._repositories.has(project.id, newest.base):
            await self._repositories.update(project.id, project.url)
        if newest is not None:
            base = Base(commit=newest.base, branch=lease.base_branch or "")
        else:
            base = await self._repositories.base(project.id, lease.base_branch)
        if fresh and await self._refresh(lease, project, opened, base):
            return [*_refilled(lost, None, None), *await self._set_up(lease, opened)]
        cloned = await clone_into(
            opened.channel,
            self._repositories,
            project.id,
            base,
            branch=lease.branch,
            directory=project.directory,
            origin_url=project.url,
        )
        restored = None
        if newest is not None:
            restored = await self._checkpoints.restore(
                newest, opened.channel, directory=project.directory
            )
        told = _refilled(lost, cloned, restored, fresh=opened.fresh)
        return [*told, *([] if newest else await self._set_up(lease, opened))]

    async def _fill_beside(
        self, lease: Lease, one: BesideAt, opened: Opened, step: Step
    ) -> list[str]:
        try:
            told = await self._put_beside(lease, one, opened, step)
        except OnaError as error:
            raise beside_words.not_there(one.name, error) from error
        return [beside_words.of(one.name, said) for said in told]

    async def _put_beside(
        self, lease: Lease, one: BesideAt, opened: Opened, step: Step
    ) -> list[str]:
        newest = await self._checkpoints.newest(lease.session_id, one.id)
        await step("cloning" if newest is None else "restoring")
        if newest is None or not await self._repositories.has(one.id, newest.base):
            await self._repositories.update(one.id, one.url)
        if newest is None:
            base = await self._repositories.base(one.id, one.base_branch)
        else:
            base = Base(commit=newest.base, branch=one.base_branch or "")
        cloned = await clone_into(
            opened.channel,
            self._repositories,
            one.id,
            base,
            branch=own_branch(lease.short),
            directory=one.directory,
            origin_url=one.url,
        )
        told = _refilled(None, cloned, None)
        if newest is not None:
            restored = await self._checkpoints.restore(
                newest, opened.channel, directory=one.directory
            )
            told = [restored.text, *told]
        return told

    async def _lost(self, lease: Lease, opened: Opened, *, restoring: bool) -> str | None:
        """Why this is not the machine of the session's last turn; None: it is, or is the first."""
        if opened.lost is not None or not opened.fresh:
            return opened.lost
        async with self._database.begin() as tx:
            why = await machine_past.end_of_last(tx, lease.session_id, opened.machine_id)
            # A private session begins from another one's checkpoint: it had no machine to lose.
            had = await machine_past.had_one(tx, lease.session_id, opened.machine_id)
        return why or (machine_words.UNKNOWN if restoring and had else None)

    async def _why_booted(self, project: InMachine) -> list[str]:
        """What to tell people when there would have been a machine, had its template not failed."""
        async with self._database.begin() as tx:
            why = await machine_past.why_template_failed(
                tx, self._host_id, project.id, project.order.size
            )
        return [] if why is None else [machine_words.booted(why)]

    async def _why_older(self, opened: Opened) -> list[str]:
        """What to tell people when the machine's template should have been replaced by now."""
        if opened.template_id is None:
            return []
        async with self._database.begin() as tx:
            why = await machine_past.why_newer_failed(tx, opened.template_id)
        return [] if why is None else [machine_words.of_older_template(why)]

    async def _set_up(self, lease: Lease, opened: Opened) -> list[str]:
        """What to tell a new session's people of how its machine was set up, and its ports."""
        async with self._database.begin() as tx:
            found = await set_up_of(tx, opened.template_id, lease.session_id)
        if self._forward is None or not found.ports:
            return [*found.notices]
        seen = await self._forward(lease.session_id, found.ports)
        return [*found.notices, *([forwarded(seen)] if seen else [])]

    async def _refresh(self, lease: Lease, project: InMachine, opened: Opened, base: Base) -> bool:
        """Whether what came with the machine's template was brought up to date."""
        async with self._database.begin() as tx:
            since = (
                await tx.execute(_TEMPLATE, {"template": opened.template_id})
            ).scalar_one_or_none()
        return bool(since) and await refresh(
            opened.channel,
            self._repositories,
            project.id,
            base,
            since=since,
            branch=lease.branch,
            directory=project.directory,
        )


async def _is_ready(opened: Opened, directory: str) -> bool:
    argv = ["test", "-e", _mark(directory)]
    return (await opened.channel.run(argv, timeout_seconds=30)).exit_status == 0


def _mark(directory: str) -> str:
    return f"{directory}/.git/{READY_MARK}"


def _refilled(
    lost: str | None, cloned: Cloned | None, restored: Restored | None, *, fresh: bool = True
) -> list[str]:
    """What people must know about a repository that was put into a machine anew."""
    told = []
    if lost is not None:
        told.append(machine_words.replaced(lost, restored.text if restored else None))
    elif restored is not None:
        words = machine_words.begun_elsewhere if fresh else machine_words.not_whole
        told.append(words(restored.text))
    if cloned is not None and cloned.aside is not None:
        aside = _(
            "Files that were in the repository's place are now in {place}.", place=cloned.aside
        )
        told.append(aside)
    return told
