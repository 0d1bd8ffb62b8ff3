"""A session's workplace in its machine: the machine, the repository in it, the jobs.

What a turn needs is made ready here in the order in which it can fail: the repository on the host,
the machine, the repository in the machine, from the checkpoint when the machine is new and the
session is not.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from time import monotonic
from uuid import UUID

import structlog
from sqlalchemy import text

from bot.errors import OnaError, Unfit
from bot.govern import beside
from bot.metrics import MACHINE_READY_SECONDS
from bot.store.database import Database
from bot.words import machines as machine_words
from bot.words.catalogue import Message
from bot.words.catalogue import gettext as _
from bot.work import beside_words
from bot.work.checkpoint import Checkpoints
from bot.work.furnishing import Forward, Furnishing, InMachine
from bot.work.jobs import ChannelJobs
from bot.work.lease import Lease, OpenTurn
from bot.work.making_ready import MakingReady
from bot.work.materials import Materials
from bot.work.moving_back import BranchBack
from bot.work.queue import Event, LeaseLost, hold
from bot.work.repository import Repositories
from bot.work.sizes import Sizes
from bot.work.taking_over import TakingOver
from bot.work.undoing import Undoing
from bot.work.workplace import (
    WORK,
    BesideAt,
    NoCapacity,
    Tell,
    Workplace,
    WorkplaceLost,
    repository_directory,
)
from vmpool.channel import Channel
from vmpool.driver import Image
from vmpool.errors import HostFull, HostUnfit, MachineError, MachineLost, NoRoom, StaleToken
from vmpool.opening import Opened
from vmpool.pool import Pool
from vmpool.registry import Order

log = structlog.get_logger(__name__)

_PROJECT = text(
    """
    SELECT project.name, project.repository_url, project.size, session.size AS asked,
           session.priority > 0 AS yields,
           (SELECT host_id FROM machine WHERE machine.session_id = session.id
               AND machine.state NOT IN ('lost', 'removing', 'gone')) AS machine_host
      FROM session JOIN project ON project.id = session.project_id WHERE session.id = :session
    """
)
_PIN = text(
    """
    UPDATE session SET host_id = :host WHERE id = :session
    """
)


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
        self._checkpoints = checkpoints
        self._host_id = host_id
        self._image = image
        self._sizes = sizes
        self._work = work
        self._environment = environment or {}
        back = BranchBack(database, self._environment)
        self._undoing = Undoing(database, checkpoints, move_back=back)
        self._taking_over = TakingOver(database, checkpoints)
        self._channels: dict[UUID, Channel] = {}
        self._furnishing = Furnishing(
            database, repositories, checkpoints, host_id=host_id, forward=forward
        )

    @asynccontextmanager
    async def enter(
        self, lease: Lease, turn: OpenTurn | None, tell: Tell
    ) -> AsyncIterator[Workplace]:
        """See `bot.work.workplace.Workplaces`."""
        began = monotonic()
        lost: Message | None = None
        try:
            project = await self._project(lease)
            lost = await self._take_over(lease, project.machine_host)
            making = MakingReady(
                self._database, lease, project.order, host_id=self._host_id, tell=tell
            )
            async with self._open(lease, project, turn, making) as opened:
                first = making.first
                way = opened.tier.value if opened.tier else "resumed" if first else "running"
                MACHINE_READY_SECONDS.labels(way=way).observe(monotonic() - began)
                await self._pin(lease)
                if turn is not None:
                    project = await self._furnishing.as_begun(project, opened)
                notices = await self._furnishing.furnish(lease, project, opened, making.step, tell)
                if making.first is not None:
                    seconds = round(monotonic() - began, 2)
                    ready = {"step": "ready", "seconds": seconds, "first": making.first}
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
                        beside=project.beside,
                        notices=tuple(notices),
                    )
                finally:
                    self._channels.pop(lease.session_id, None)
        except StaleToken as error:
            raise LeaseLost(str(error)) from error
        except MachineError as error:
            raise _for_a_reader(error, turn, lost) from error

    @asynccontextmanager
    async def _open(
        self, lease: Lease, project: InMachine, turn: OpenTurn | None, making: MakingReady
    ) -> AsyncIterator[Opened]:
        """The session's machine. :raises NoCapacity: and what `Pool.open` raises besides"""
        async with AsyncExitStack() as stack:
            try:
                async with making.following():
                    opening = self._pool.open(
                        lease.session_id,
                        project.order,
                        token=lease.key.token,
                        only=turn.machine_id if turn is not None else None,
                        step=making.step,
                    )
                    opened = await stack.enter_async_context(opening)
            except NoRoom as error:
                # Who has a machine has to wait for its room alone.
                template = await making.template() if project.machine_host is None else None
                raise NoCapacity(str(error), template=template) from error
            yield opened

    async def checkpoint(self, lease: Lease, turn: OpenTurn, place: Workplace) -> list[Event]:
        """See `bot.work.workplace.Workplaces`."""
        channel = self._channels.get(lease.session_id)
        if channel is None:
            return []
        places: list[tuple[str, UUID | None, str]] = [("", None, place.directory)]
        places += [(one.name, one.id, one.directory) for one in place.beside]
        told = []
        for name, repository_id, directory in places:
            said = await self._save(lease, turn, channel, directory, repository_id)
            told += [beside_words.of(name, one) if name else one for one in said]
        return [Event(kind="notice", body={"text": one}) for one in told]

    async def _save(
        self,
        lease: Lease,
        turn: OpenTurn,
        channel: Channel,
        directory: str,
        repository_id: UUID | None,
    ) -> Sequence[str]:
        """Store a checkpoint of one repository; what the thread should know of it."""
        try:
            saved = await self._checkpoints.save(
                lease, turn, channel, directory=directory, repository_id=repository_id
            )
        except (MachineError, ConnectionError, OSError) as error:
            log.warning("checkpoint_failed", error=str(error))
            told = _(
                "This turn's files could not be saved outside the machine ({error}); "
                "they are still in it, and the last checkpoint is kept.",
                error=str(error),
            )
            return [told]
        return saved.notices

    async def undo(self, lease: Lease, turn: OpenTurn, place: Workplace) -> list[Event]:
        """See `bot.work.workplace.Workplaces`."""
        channel = self._channels.get(lease.session_id)
        if channel is None:
            raise ConnectionError(lease.short)
        if place.machine_id is not None:
            # Half-way through, its repository is not what the session's last turn left.
            self._furnishing.forget(place.machine_id)
        try:
            return await self._undoing.undo(
                lease, turn, channel, directory=place.directory, beside=place.beside
            )
        except MachineLost as error:
            raise ConnectionError(str(error)) from error

    async def _project(self, lease: Lease) -> InMachine:
        async with self._database.begin() as tx:
            row = (await tx.execute(_PROJECT, {"session": lease.session_id})).one()
            others = await beside.of_project(tx, lease.project_id)
        name, size = self._sizes.chosen(row.asked, row.size)
        spec = size.spec(await self._image())
        return InMachine(
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
            beside=tuple(
                BesideAt(**vars(one), directory=repository_directory(one.name, self._work))
                for one in others
            ),
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


def _for_a_reader(error: MachineError, turn: OpenTurn | None, lost: Message | None) -> Exception:
    """What a turn does about a machine's error; `lost`: why its machine was let go of just now."""
    if isinstance(error, MachineLost) and turn is not None:
        return WorkplaceLost(lost or machine_words.told(str(error)))
    if isinstance(error, HostFull | HostUnfit):
        return Unfit(
            _("this host can't run the machine: {error}", error=str(error)),
            do=_("see `ona doctor`"),
        )
    log.warning("machine_not_ready", error=str(error))
    why = machine_words.told(str(error)).rstrip(".")
    return OnaError(_("the machine did not come up: {error}", error=why))
