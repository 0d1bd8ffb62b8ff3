"""A session's workplace in its machine: the machine, the repository in it, the jobs.

What a turn needs is made ready here in the order in which it can fail: the repository on the host,
the machine, the repository in the machine, from the checkpoint when the machine is new and the
session is not.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from uuid import UUID

import structlog
from sqlalchemy import text

from bot.errors import OnaError, Unfit
from bot.metrics import MACHINE_READY_SECONDS
from bot.store.database import Database
from bot.words.catalogue import Message
from bot.words.catalogue import gettext as _
from bot.words.guesses import forwarded
from bot.work import machine_past, machine_words
from bot.work.checkpoint import Checkpoints, Restored
from bot.work.guessed import set_up_of
from bot.work.jobs import ChannelJobs
from bot.work.lease import Lease, OpenTurn
from bot.work.materials import Materials
from bot.work.moving_back import BranchBack
from bot.work.queue import Event, LeaseLost, hold
from bot.work.refresh import refresh
from bot.work.repository import READY_MARK, Base, Cloned, Repositories, clone_into
from bot.work.sizes import Sizes
from bot.work.taking_over import TakingOver
from bot.work.undoing import Undoing
from bot.work.usual import usual_seconds
from bot.work.workplace import (
    WORK,
    NoCapacity,
    Tell,
    Workplace,
    WorkplaceLost,
    repository_directory,
)
from vmpool.channel import Channel
from vmpool.driver import Image
from vmpool.errors import HostFull, HostUnfit, MachineError, MachineLost, NoRoom, StaleToken
from vmpool.machine import Tier
from vmpool.opening import Opened
from vmpool.pool import Pool
from vmpool.registry import Order

log = structlog.get_logger(__name__)

FURNISHED_MAX = 10_000
"""Machines that are remembered to hold their repository; past it all are looked at once more."""

Forward = Callable[[UUID, Sequence[int]], Awaitable[Sequence[tuple[int, str]]]]
"""Makes previews of a session's ports; ports and addresses, as far as there are any."""

_PROJECT = text(
    """
    SELECT project.name, project.repository_url, project.size, session.size AS asked,
           session.priority > 0 AS yields,
           (SELECT host_id FROM machine WHERE machine.session_id = session.id
               AND machine.state NOT IN ('lost', 'removing', 'gone')) AS machine_host
      FROM session JOIN project ON project.id = session.project_id WHERE session.id = :session
    """
)
_TEMPLATE = text("SELECT commit FROM template WHERE id = :template")
_PIN = text(
    """
    UPDATE session SET host_id = :host WHERE id = :session
    """
)


@dataclass(frozen=True, kw_only=True)
class _Project:
    id: UUID
    url: str
    order: Order
    directory: str
    """Of its repository in the machine."""
    machine_host: UUID | None
    """Of the machine that the session has."""


class MachineWorkplaces:
    """Workplaces in this host's machines."""

    def __init__(
        self,
        database: Database,
        pool: Pool,
        repositories: Repositories,
        checkpoints: Checkpoints,
        *,
        host_id: UUID,
        image: Callable[[], Awaitable[Image]],
        sizes: Sizes,
        work: str = WORK,
        environment: Mapping[str, str] | None = None,
        forward: Forward | None = None,
    ) -> None:
        """`image` returns the guest image, building it if need be; `work` holds repositories.

        :param environment: of every job in these machines
        :param forward: None: ports that a devcontainer.json forwards are nobody's to see
        """
        self._database = database
        self._pool = pool
        self._repositories = repositories
        self._checkpoints = checkpoints
        self._host_id = host_id
        self._image = image
        self._sizes = sizes
        self._work = work
        self._environment = environment or {}
        self._forward = forward
        back = BranchBack(database, self._environment)
        self._undoing = Undoing(database, checkpoints, move_back=back)
        self._taking_over = TakingOver(database, checkpoints)
        self._channels: dict[UUID, Channel] = {}
        self._furnished: set[UUID] = set()
        """Machines known to hold their repository, so that a follow-up need not look."""

    @asynccontextmanager
    async def enter(
        self, lease: Lease, turn: OpenTurn | None, tell: Tell
    ) -> AsyncIterator[Workplace]:
        """See `bot.work.workplace.Workplaces`."""
        began = monotonic()
        steps: list[str] = []

        async def step(name: str) -> None:
            steps.append(name)
            body: dict[str, object] = {"step": name}
            if len(steps) == 1:
                usual = await usual_seconds(self._database, lease.project_id, name)
                body |= {} if usual is None else {"usual_seconds": usual}
            await tell(Event(kind="step", body=body))

        lost: Message | None = None
        try:
            project = await self._project(lease)
            lost = await self._take_over(lease, project.machine_host)
            async with self._pool.open(
                lease.session_id,
                project.order,
                token=lease.key.token,
                only=turn.machine_id if turn is not None else None,
                step=step,
            ) as opened:
                way = opened.tier.value if opened.tier else "resumed" if steps else "running"
                MACHINE_READY_SECONDS.labels(way=way).observe(monotonic() - began)
                await self._pin(lease)
                notices = await self._furnish(lease, project, opened, step)
                if opened.tier is Tier.BOOT:
                    notices += await self._why_booted(project)
                elif opened.tier is not None:
                    notices += await self._why_older(opened)
                if steps:
                    seconds = round(monotonic() - began, 2)
                    ready = {"step": "ready", "seconds": seconds, "first": steps[0]}
                    await tell(Event(kind="step", body=ready))
                self._channels[lease.session_id] = opened.channel
                try:
                    yield Workplace(
                        jobs=ChannelJobs(opened.channel),
                        materials=Materials(opened.channel),
                        directory=project.directory,
                        environment=self._environment,
                        machine_id=opened.machine_id,
                        machine=opened.channel,
                        notices=tuple(notices),
                    )
                finally:
                    self._channels.pop(lease.session_id, None)
        except NoRoom as error:
            raise NoCapacity(str(error)) from error
        except StaleToken as error:
            raise LeaseLost(str(error)) from error
        except MachineError as error:
            raise _for_a_reader(error, turn, lost) from error

    async def checkpoint(self, lease: Lease, turn: OpenTurn, place: Workplace) -> list[Event]:
        """See `bot.work.workplace.Workplaces`."""
        channel = self._channels.get(lease.session_id)
        if channel is None:
            return []
        try:
            saved = await self._checkpoints.save(lease, turn, channel, directory=place.directory)
        except (MachineError, ConnectionError, OSError) as error:
            log.warning("checkpoint_failed", error=str(error))
            told = _(
                "This turn's files could not be saved outside the machine ({error}); "
                "they are still in it, and the last checkpoint is kept.",
                error=str(error),
            )
            return [Event(kind="notice", body={"text": told})]
        return [Event(kind="notice", body={"text": told}) for told in saved.notices]

    async def undo(self, lease: Lease, turn: OpenTurn, place: Workplace) -> list[Event]:
        """See `bot.work.workplace.Workplaces`."""
        channel = self._channels.get(lease.session_id)
        if channel is None:
            raise ConnectionError(lease.short)
        if place.machine_id is not None:
            # Half-way through, its repository is not what the session's last turn left.
            self._furnished.discard(place.machine_id)
        try:
            return await self._undoing.undo(lease, turn, channel, directory=place.directory)
        except MachineLost as error:
            raise ConnectionError(str(error)) from error

    async def _project(self, lease: Lease) -> _Project:
        async with self._database.begin() as tx:
            row = (await tx.execute(_PROJECT, {"session": lease.session_id})).one()
        name, size = self._sizes.chosen(row.asked, row.size)
        spec = size.spec(await self._image())
        return _Project(
            id=lease.project_id,
            url=row.repository_url,
            order=Order(
                project_id=lease.project_id,
                size=name,
                spec=spec,
                insist=row.asked == name,
                yields=row.yields,
            ),
            directory=repository_directory(row.name, self._work),
            machine_host=row.machine_host,
        )

    async def _take_over(self, lease: Lease, machine_host: UUID | None) -> Message | None:
        """Why the session's machine on another host was let go of; None: it is not elsewhere.

        :raises HostBack, HostAwaited, LeaseLost: as `TakingOver.take_over`
        """
        # A machine may be there before the session is pinned to its host.
        host_id = machine_host or lease.host_id
        if host_id is None or host_id == self._host_id:
            return None
        return await self._taking_over.take_over(lease, host_id)

    async def _pin(self, lease: Lease) -> None:
        """From now on only this host's workers may claim the session."""
        if lease.host_id == self._host_id:
            return
        async with self._database.begin() as tx:
            await hold(tx, lease.key)
            await tx.execute(_PIN, {"host": self._host_id, "session": lease.session_id})
        lease.host_id = self._host_id

    async def _furnish(
        self,
        lease: Lease,
        project: _Project,
        opened: Opened,
        step: Callable[[str], Awaitable[None]],
    ) -> list[str]:
        """Put the repository into a machine that does not hold it yet; what to tell people."""
        if opened.machine_id in self._furnished:
            return []
        channel = opened.channel
        mark = f"{project.directory}/.git/{READY_MARK}"
        found = await channel.run(["test", "-e", mark], timeout_seconds=30)
        if found.exit_status != 0:
            notices = await self._fill(lease, project, opened, step)
            await channel.run(["touch", mark], timeout_seconds=30)
        else:
            notices = []
        if len(self._furnished) >= FURNISHED_MAX:
            self._furnished.clear()
        self._furnished.add(opened.machine_id)
        return notices

    async def _fill(
        self,
        lease: Lease,
        project: _Project,
        opened: Opened,
        step: Callable[[str], Awaitable[None]],
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
        return _refilled(lost, cloned, restored, fresh=opened.fresh)

    async def _lost(self, lease: Lease, opened: Opened, *, restoring: bool) -> str | None:
        """Why this is not the machine of the session's last turn; None: it is, or is the first."""
        if opened.lost is not None or not opened.fresh:
            return opened.lost
        async with self._database.begin() as tx:
            why = await machine_past.end_of_last(tx, lease.session_id, opened.machine_id)
            # A private session begins from another one's checkpoint: it had no machine to lose.
            had = await machine_past.had_one(tx, lease.session_id, opened.machine_id)
        return why or (machine_words.UNKNOWN if restoring and had else None)

    async def _why_booted(self, project: _Project) -> list[str]:
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
        """What to tell people of how the machine's template was set up."""
        assert opened.template_id is not None
        async with self._database.begin() as tx:
            found = await set_up_of(tx, opened.template_id, lease.session_id)
        if self._forward is None or not found.ports:
            return [*found.notices]
        seen = await self._forward(lease.session_id, found.ports)
        return [*found.notices, *([forwarded(seen)] if seen else [])]

    async def _refresh(self, lease: Lease, project: _Project, opened: Opened, base: Base) -> bool:
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


def _for_a_reader(error: MachineError, turn: OpenTurn | None, lost: Message | None) -> Exception:
    """What a turn does about a machine's error; `lost`: why its machine was let go of just now."""
    if isinstance(error, MachineLost) and turn is not None:
        return WorkplaceLost(lost or str(error))
    if isinstance(error, HostFull | HostUnfit):
        return Unfit(
            _("this host can't run the machine: {error}", error=str(error)),
            do=_("see `ona doctor`"),
        )
    return OnaError(
        _("the machine did not come up: {error}", error=str(error)), do=_("`retry` tries again")
    )
