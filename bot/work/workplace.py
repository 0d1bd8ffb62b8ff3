"""Where a turn works: the port between a turn and the machine of its session.

`Workplaces` of this module's users is `bot.work.machines.MachineWorkplaces`; tests of the queue
bring one without machines.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from adapters.agent.port import Jobs
from bot.work.guest import Machine
from bot.work.lease import Lease, OpenTurn
from bot.work.materials import Materials
from bot.work.queue import Event

WORK = "/work"
"""Where repositories lie in a machine."""

Tell = Callable[[Event], Awaitable[None]]
"""Says which step runs; the events belong to the session, not to a turn."""


def repository_directory(project: str, work: str = WORK) -> str:
    """Of a project's repository in its machines."""
    # A removed project whose name was given to another one keeps its own after a `~`.
    return f"{work}/{project.partition('~')[0]}"


@dataclass(frozen=True, kw_only=True)
class BesideAt:
    """A repository beside the project's own, in a machine."""

    id: UUID
    """Of its row, and of its mirror on the host."""
    name: str
    url: str
    base_branch: str | None
    """None: the repository's own default branch."""
    directory: str


class MachineJobs(Jobs, Protocol):
    """The jobs of one machine, as a turn needs them."""

    async def alive(self) -> Sequence[str]:
        """The ids of those of which something runs, oldest first."""
        ...


class NoCapacity(Exception):
    """Every machine of this host is in use; the prompt waits and is tried again."""

    def __init__(self, why: str, *, template: Mapping[str, object] | None = None) -> None:
        """:param template: how far the one is that is built meanwhile, as the thread is told."""
        super().__init__(why)
        self.template = template


class Awaited(NoCapacity):
    """What the turn needs can't be had or known now; the prompt waits, the thread is told why."""


class HostAwaited(NoCapacity):
    """Only a host that is silent has what the session goes on from; the thread was told."""


class HostBack(Exception):
    """The session's machine is on another host, whose own workers go on with it."""


class WorkplaceLost(Exception):
    """The machine in which the turn ran is gone; the text says why."""


@dataclass(frozen=True, kw_only=True)
class Workplace:
    """An open way into the session's machine, ready for a job."""

    jobs: MachineJobs
    directory: str
    materials: Materials
    """Where files go that the turn shall find."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Of every job there: what the machine's way out is found by."""
    beside: tuple[BesideAt, ...] = ()
    machine_id: UUID | None = None
    machine: Machine | None = None
    """For short commands besides the job; None: there is no machine."""
    notices: tuple[str, ...] = field(default=())
    """What the thread must be told before the turn: what was restored, what was not."""


class Workplaces(Protocol):
    """Opens the workplace of a session for the holder of its lease."""

    def enter(
        self, lease: Lease, turn: OpenTurn | None, tell: Tell
    ) -> AbstractAsyncContextManager[Workplace]:
        """Make the session's machine ready and hold it open; leaving lets the machine idle.

        :param turn: left open by an earlier holder: only the machine it began in will do
        :raises NoCapacity: try again later
        :raises HostBack: hand the session back: another host has its machine
        :raises WorkplaceLost: `turn` began in a machine that is gone
        :raises OnaError: what a person or the operator has to mend, such as no repository
        """
        ...

    async def checkpoint(self, lease: Lease, turn: OpenTurn, place: Workplace) -> list[Event]:
        """Store what survives the machine; returns what the thread should know, if anything."""
        ...

    async def undo(self, lease: Lease, turn: OpenTurn, place: Workplace) -> list[Event]:
        """Take the session's last turn back; more that the thread should know, if anything.

        It may be repeated as long as `turn` is open, in another machine too.

        :raises TellPerson: there is none, or it can't be; nothing was changed
        :raises OnaError: the machine could not do it
        :raises ConnectionError: the way into the machine is lost
        """
        ...
