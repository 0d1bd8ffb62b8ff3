"""Starts the processes of machines, and some ahead of the machine that they will be for.

    <root>/ahead.<token>/   a process that was started ahead: cell, logs, record

A hypervisor whose processes are all alike until they are told of a machine has some waiting, each
in its seat, so that a resume waits for no program to load. A machine that needs one gets its cell
and logs moved into its directory: descriptors and Landlock follow what is moved.
"""

import asyncio
import contextlib
import os
import secrets
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

import structlog

from vmpool.driver import MachineSpec
from vmpool.drivers import landlock, process
from vmpool.drivers.cgroup import Cgroups, entering
from vmpool.drivers.home import CELL, OWN, SAVING, Home, Launch, machine_names, mark_of
from vmpool.drivers.host import NO_ROOM
from vmpool.drivers.hypervisor import Hypervisor
from vmpool.drivers.isolation import Isolation, Seat, tap_of
from vmpool.errors import HostFull, HostUnfit, MachineError
from vmpool.network.slots import namespace
from vmpool.network.way_out import WayOut
from vmpool.rest import Stamp

log = structlog.get_logger(__name__)

AHEAD = "ahead."
"""No machine is called so: an id has no dot."""
TOKEN_BYTES = 8
CALM_SECONDS = 3.0
"""Without a machine that comes, until one process is started ahead, or one slot made."""
RESTLESS_SECONDS_MAX = 15.0
"""So long may machines that come keep these waiting."""
CALM_POLL_SECONDS = 0.1
SERVE_AGAIN_SECONDS_MIN, SERVE_AGAIN_SECONDS_MAX = 0.5, 30.0
"""Until a way out that could not be opened is tried again, each time twice as long."""
PATIENCE_SECONDS = 5.0
"""So long may a process's cgroup and seat outlive it."""


@dataclass(frozen=True, kw_only=True)
class _Ahead:
    """A process that waits for a machine."""

    home: Home
    launch: Launch
    image: Path
    """The directory that it can reach images in."""
    build: str
    """The hypervisor's when it was started."""

    def fits(self, spec: MachineSpec, stamp: Stamp) -> bool:
        """Whether it lives, and a machine may have it."""
        alive = self.launch.process is not None and process.is_alive(self.launch.process)
        return alive and (self.image, self.build) == (spec.image.disk.parent, stamp.build)


class Launcher:
    """Every process below one root. One process of ours uses it, on one event loop."""

    def __init__(
        self,
        root: Path,
        hypervisor: Hypervisor,
        *,
        cgroups: Cgroups,
        isolation: Isolation,
        ahead_max: int,
        way_out: WayOut | None = None,
    ) -> None:
        self._root = root
        self._hypervisor = hypervisor
        self._cgroups = cgroups
        self._isolation = isolation
        self._way_out = way_out
        self._served: dict[str, tuple[UUID, Path]] = {}
        """Machine and slot by token, where the way out is open, or is tried again to be opened."""
        self._trying: set[asyncio.Task[None]] = set()
        self._ahead_max = ahead_max if hypervisor.starts_ahead else 0
        self._ahead: list[_Ahead] = []
        self._under_way: set[str] = set()
        """Tokens of launches that may not be written down yet."""
        self._nothing_under_way = asyncio.Event()
        self._nothing_under_way.set()
        self._coming = 0
        """Machines that are started, reached or laid to rest: nothing else is made then."""
        self._calm_at = 0.0
        self._opened = self._closed = False
        self._opening = asyncio.Lock()
        self._preparing: asyncio.Task[None] | None = None
        self._leaving: dict[str, asyncio.Task[None]] = {}
        """By token of a launch whose process ended; nobody else gives back what it had."""

    async def start(self, home: Home, spec: MachineSpec, *, loading: bool) -> Launch:
        """Start a machine's process, or give it one that waits; it is written down in `home`.

        :param loading: it is to resume from a rest; the console goes on
        :raises HostUnfit: the hypervisor, a right or a slot is missing; nothing is left
        :raises HostFull: no room for a few small files; nothing is left
        """
        if self._closed:
            raise MachineError("the driver was closed")
        await self._open()
        try:
            launch = await self._found_or_begun(home, spec, loading=loading)
        except OSError as error:
            raise _unfit("a machine's process", error) from error
        await self._serve(home.machine_id, launch)
        self._prepare_soon(spec)
        return launch

    async def _found_or_begun(self, home: Home, spec: MachineSpec, *, loading: bool) -> Launch:
        stamp = await self._hypervisor.stamp(spec)
        known = self._taken_ahead(spec, stamp)
        if known is not None:
            return await self._give(known, home, spec, stamp, loading=loading)
        home.clear_logs(console=not loading)
        token = secrets.token_hex(TOKEN_BYTES)
        return await self._begin(token, home, spec, fingerprint=stamp.fingerprint, loading=loading)

    async def _serve(self, machine_id: str, launch: Launch) -> None:
        """Open a machine's way out; if that fails it is tried again, and the machine runs."""
        if self._way_out is None or launch.slot is None:
            return
        machine, where = UUID(machine_id), namespace(launch.slot)
        self._served[launch.token] = machine, where
        try:
            await self._way_out.serve(machine, where)
        except Exception:
            log.exception("no_way_out", machine=machine_id, slot=launch.slot)
            trying = asyncio.create_task(self._serve_again(self._way_out, launch.token))
            self._trying.add(trying)
            trying.add_done_callback(self._trying.discard)

    async def _serve_again(self, way_out: WayOut, token: str) -> None:
        """Until it is open or its process has ended: the database may have been away."""
        pause = SERVE_AGAIN_SECONDS_MIN
        while True:
            await asyncio.sleep(pause)
            if token not in self._served:
                return
            machine, where = self._served[token]
            try:
                await way_out.serve(machine, where)
            except Exception as error:
                log.warning("no_way_out", machine=str(machine), slot=where.name, error=str(error))
                pause = min(2 * pause, SERVE_AGAIN_SECONDS_MAX)
            else:
                return

    @contextlib.contextmanager
    def first(self) -> Iterator[None]:
        """A machine comes or goes to rest: that is before whatever is only made ahead."""
        self._coming += 1
        try:
            yield
        finally:
            self._coming -= 1
            self._calm_at = asyncio.get_running_loop().time() + CALM_SECONDS

    def give_back(
        self, launch: Launch, *, after: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """A process has ended: what it had of the host is given back, in the background, once.

        :param after: waits for what is more urgent, and goes first for `PATIENCE_SECONDS` at most
        """
        token = launch.token
        if token in self._leaving:
            return
        if after is None:
            self._cgroups.leave(token)
        task = asyncio.get_running_loop().create_task(self._leave(token, after))
        self._leaving[token] = task
        task.add_done_callback(lambda _: self._leaving.pop(token))

    async def sweep(self) -> None:
        """Give back what no live process has, of the host and below the root."""
        await self._open()
        tokens = self._tokens()
        self._cgroups.sweep(tokens)
        await self._isolation.sweep(tokens)

    def strays(self) -> Iterator[tuple[str, process.Process]]:
        """Live processes of launches that nobody wrote down, by token."""
        tokens = self._tokens()
        for found, mark in process.marked(f"{self._root}/"):
            token = mark.removeprefix(f"{self._root}/")
            if "/" not in token and token not in tokens:
                yield token, found

    async def close(self) -> None:
        """End what waits; what machines have stays. Nothing is started from here on."""
        self._closed = True
        ending = [*self._trying, *([self._preparing] if self._preparing else [])]
        for task in ending:
            task.cancel()
        if ending:
            await asyncio.wait(ending)
        await self._nothing_under_way.wait()
        while self._ahead:
            await self._discard(self._ahead.pop())
        if self._leaving:
            await asyncio.wait(set(self._leaving.values()))
        await self._isolation.close()
        self._cgroups.close()

    # -- one process ------------------------------------------------------------------------

    async def _begin(
        self, token: str, home: Home, spec: MachineSpec, *, fingerprint: str, loading: bool
    ) -> Launch:
        command = await self._hypervisor.command(home, spec, loading=loading)
        async with self._seated(token) as seat:
            # Without a pid this says: look among all processes, one may have been started.
            launch = Launch(token=token, process=None, fingerprint=fingerprint, slot=seat.slot)
            home.write_launch(launch)
            try:
                home.make_cell(seat.uid, seat.gid)
                found = self._started(command, home, spec, launch=launch, seat=seat)
            except BaseException as error:
                home.write_launch(None)
                home.drop_cell()
                if isinstance(error, OSError):
                    raise _unfit(command[0], error) from error
                raise
            launch = replace(launch, process=found)
            home.write_launch(launch)
            return launch

    @contextlib.asynccontextmanager
    async def _seated(self, token: str) -> AsyncIterator[Seat]:
        """A seat for a launch, given back when the body fails."""
        self._under_way.add(token)
        self._nothing_under_way.clear()
        try:
            seat = await self._isolation.seat(token)
            try:
                if self._hypervisor.network and seat.slot is None:
                    raise HostUnfit("its machines have a network device, and there is no slot")
                yield seat
            except BaseException:
                self._cgroups.leave(token)
                await self._isolation.leave(token)
                raise
        finally:
            self._under_way.discard(token)
            if not self._under_way:
                self._nothing_under_way.set()

    def _started(
        self, command: Sequence[str], home: Home, spec: MachineSpec, *, launch: Launch, seat: Seat
    ) -> process.Process:
        image = spec.image.disk.parent
        with contextlib.ExitStack() as stack:
            fds = list(stack.enter_context(self._hypervisor.inherited(home, image)))
            if self._hypervisor.network and self._hypervisor.inherits_tap:
                tap = tap_of(seat)
                assert tap is not None
                stack.callback(os.close, tap)
                fds.append(tap)
            if home.disk.exists():
                home.fill_cell()
            before: Sequence[str] = ()
            entry = self._cgroups.entry(launch.token, self._hypervisor.bounds(spec))
            if entry is not None:
                stack.callback(os.close, entry)
                before = entering(process.INHERITED_FD_FIRST + len(fds))
                fds.append(entry)
            return self._isolation.start(
                command,
                seat,
                before=before,
                rights={
                    image: landlock.READ,
                    home.cell: landlock.WRITE,
                    home.cell / OWN: landlock.MAKE_SOCKETS,
                    home.cell / SAVING: landlock.MAKE_FILES,
                },
                mark=mark_of(self._root, launch.token),
                output=self._hypervisor.output(home),
                errors=home.log,
                fds=fds,
            )

    async def _leave(self, token: str, after: Callable[[], Awaitable[None]] | None) -> None:
        served = self._served.pop(token, None)
        if served is not None and self._way_out is not None:
            await self._way_out.leave(*served)
        if after is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await after()
            self._cgroups.leave(token)
        with contextlib.suppress(MachineError):
            await self._isolation.leave(token)
            await self._calm()
            if not self._closed:
                await self._isolation.prepare()

    # -- ahead ------------------------------------------------------------------------------

    def _taken_ahead(self, spec: MachineSpec, stamp: Stamp) -> _Ahead | None:
        known = next((each for each in self._ahead if each.fits(spec, stamp)), None)
        if known is not None:
            self._ahead.remove(known)
        return known

    async def _give(
        self, known: _Ahead, home: Home, spec: MachineSpec, stamp: Stamp, *, loading: bool
    ) -> Launch:
        launch = replace(known.launch, fingerprint=stamp.fingerprint)
        try:
            home.write_launch(launch)
            _move(known.home, home, self._hypervisor, keep_console=loading)
            self._cgroups.bound(launch.token, self._hypervisor.bounds(spec))
        except OSError as error:
            await self._discard(known)
            home.write_launch(None)
            raise _unfit("a process that waited", error) from error
        return launch

    def _prepare_soon(self, spec: MachineSpec) -> None:
        if not self._closed and (self._preparing is None or self._preparing.done()):
            self._preparing = asyncio.get_running_loop().create_task(self._prepare(spec))

    async def _prepare(self, spec: MachineSpec) -> None:
        with contextlib.suppress(MachineError, OSError):
            await self._calm()
            stamp = await self._hypervisor.stamp(spec)
            while useless := [each for each in self._ahead if not each.fits(spec, stamp)]:
                self._ahead.remove(useless[0])
                await self._discard(useless[0])
            while len(self._ahead) < self._ahead_max:
                await self._calm()
                self._ahead.append(await self._start_ahead(spec, stamp.build))
            await self._calm()
            await self._isolation.prepare()

    async def _calm(self) -> None:
        """Return when no machine comes, or they have come for long, or all is to end."""
        loop = asyncio.get_running_loop()
        due = loop.time() + RESTLESS_SECONDS_MAX
        while (now := loop.time()) < due and not self._closed:
            if not self._coming and now >= self._calm_at:
                return
            await asyncio.sleep(CALM_POLL_SECONDS)

    async def _start_ahead(self, spec: MachineSpec, build: str) -> _Ahead:
        token = secrets.token_hex(TOKEN_BYTES)
        home = Home(self._root, token, directory=AHEAD + token)
        home.make()
        try:
            home.clear_logs(console=True)
            launch = await self._begin(token, home, spec, fingerprint="", loading=False)
        except BaseException:
            home.remove()
            raise
        return _Ahead(home=home, launch=launch, image=spec.image.disk.parent, build=build)

    async def _discard(self, known: _Ahead) -> None:
        if known.launch.process is not None:
            await process.kill(known.launch.process)
        self._cgroups.leave(known.launch.token)
        await self._isolation.leave(known.launch.token)
        await asyncio.to_thread(known.home.remove)

    # -- what earlier processes of ours left ------------------------------------------------

    async def _open(self) -> None:
        """Take over what was left, once."""
        async with self._opening:
            if self._opened:
                return
            for path in self._root.glob(f"{AHEAD}*"):
                try:
                    await self._end_ahead(path.name)
                except (OSError, ValueError) as error:
                    # A process that does not end is a stray from now on.
                    log.error("process_ahead_not_removed", directory=path.name, error=str(error))
            launches = dict(self._launches())
            slots = {each.token: each.slot for each in launches.values() if each.slot is not None}
            await self._isolation.open(slots)
            self._opened = True
            for name, launch in launches.items():
                await self._serve(name, launch)

    async def _end_ahead(self, directory: str) -> None:
        left = Home(self._root, directory.removeprefix(AHEAD), directory=directory)
        if (found := left.find_process()) is not None:
            await process.kill(found)
        left.remove()

    def _launches(self) -> Iterator[tuple[str, Launch]]:
        """Those of machines whose process lives, or may, by the machine's name."""
        for name in machine_names(self._root):
            launch = Home(self._root, name).read_launch()
            if launch and (launch.process is None or process.is_alive(launch.process)):
                yield name, launch

    def _tokens(self) -> Collection[str]:
        waiting = {each.launch.token for each in self._ahead}
        known = {each.token for _, each in self._launches()} | waiting
        return known | self._under_way | self._leaving.keys()


def _unfit(program: str, error: OSError) -> MachineError:
    if error.errno in NO_ROOM:
        return HostFull(f"no room to start a machine's process: {error.strerror}")
    return HostUnfit(f"{program} can't be run: {error}")


def _move(old: Home, new: Home, hypervisor: Hypervisor, *, keep_console: bool) -> None:
    """Give a process that waited to a machine. Blocking, short."""
    if keep_console and new.console.exists():
        # Opened for appending by the process, which has said nothing yet.
        with new.console.open("rb") as said, old.console.open("ab") as console:
            shutil.copyfileobj(said, console)
    new.drop_cell()
    moved = [old.console, old.log, *hypervisor.belongings(old)]
    for path in moved:
        os.replace(path, new.path / path.name)
    os.rename(old.cell, new.path / CELL)
    new.fill_cell()
    old.remove()
