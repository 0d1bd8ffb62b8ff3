"""The driver of this host's machines: processes of one hypervisor that outlive ours.

A machine is a directory below the root (see `home`), and while it runs one process in a session
of its own. Nothing else is kept: a new driver on the same root sees the same machines. What a
crash of ours leaves in each moment of a hibernation is listed in `vmpool.rest`. What is particular
to a hypervisor is behind `vmpool.drivers.hypervisor`.
"""

import asyncio
import logging
import shutil
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from weakref import WeakValueDictionary

from vmpool.driver import Found, MachineSpec, Sight, TemplateSight
from vmpool.drivers import process
from vmpool.drivers.cgroup import Cgroups
from vmpool.drivers.home import Home, Launch, machine_names
from vmpool.drivers.host import MIB, NO_ROOM, demand_image, demand_room, resident_mib
from vmpool.drivers.hypervisor import Control, Hypervisor
from vmpool.drivers.isolation import Isolation
from vmpool.drivers.launcher import Launcher
from vmpool.drivers.loading import go_on_from_rest, load_rest
from vmpool.drivers.looking import look_at, strays
from vmpool.drivers.running import Running
from vmpool.drivers.saving import save_rest
from vmpool.drivers.settler import Settler
from vmpool.drivers.templates import Templates
from vmpool.errors import HostFull, MachineError, MachineLost, RestRefused, is_of_host
from vmpool.network.way_out import WayOut
from vmpool.rest import RestState

_log = logging.getLogger(__name__)

MEND_SECONDS_MAX = 10.0
RESUME_MIB = 8
"""What a resume writes at most: logs, and what a snapshot says beside the memory."""


@dataclass(frozen=True, kw_only=True)
class DriverLimits:
    """Bounds of one driver."""

    save_seconds_max: float = 300.0
    load_seconds_max: float = 300.0
    disk_reserve_mib: int = 256
    """Room that a hibernation must leave on the disk."""
    log_bytes_max: int = 1 * MIB
    """Console and hypervisor log of one machine, each; looked at every `look_seconds`."""
    ahead_max: int = 4
    """Processes that wait for a machine, where the hypervisor can have such: a few MiB each."""
    look_seconds: float = 5.0
    """How long a guest that rebooted may run on before its machine is ended as lost, too."""


class LocalDriver:
    """`vmpool.driver.Driver` on one hypervisor. Must be made and used on one event loop."""

    def __init__(
        self,
        root: Path,
        hypervisor: Hypervisor,
        limits: DriverLimits | None = None,
        *,
        cgroups: Cgroups | None = None,
        isolation: Isolation | None = None,
        way_out: WayOut | None = None,
    ) -> None:
        """Without `cgroups`, machines may take what they can get; without `isolation`, as we.

        :param way_out: who serves their network slots; None: nobody, and they reach nothing
        """
        self.root = root.absolute()
        self.name = hypervisor.name
        self.hypervisor = hypervisor
        self._limits = limits or DriverLimits()
        self._launcher = Launcher(
            self.root,
            hypervisor,
            cgroups=cgroups or Cgroups(None),
            isolation=isolation or Isolation(),
            ahead_max=self._limits.ahead_max,
            way_out=way_out,
        )
        self._running: dict[str, Running] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._settler = Settler()
        self._templates = Templates(self.root, hypervisor)
        self._janitor: asyncio.Task[None] | None = None

    @property
    def accelerator(self) -> str:
        """What runs the guest's instructions."""
        return self.hypervisor.accelerator

    async def create(self, machine_id: str, spec: MachineSpec) -> None:
        """Lay down directory and disk. See `Driver.create`."""
        home = self._home(machine_id)
        known = home.read_spec()
        if known == spec:
            return
        if known is not None:
            raise MachineError(f"machine {machine_id} exists with another size or image")
        demand_image(spec)
        with self._laying_down(home):
            home.make()
            await self.hypervisor.make_disk(home.disk, spec)
            home.write_spec(spec)

    async def boot(self, machine_id: str) -> None:
        """Start the hypervisor. See `Driver.boot`; a machine that rests is not booted."""
        home, spec = self._known(machine_id)
        if self._process_of(home) is not None:
            return
        if home.rest.state is RestState.COMPLETE:
            raise MachineError(f"machine {machine_id} rests; resume or destroy it")
        async with self._first(machine_id):
            home.rest.abandon()
            home.rest.drop_used()
            home.rest.sweep()
            # Sooner or later its memory lies on the disk.
            self._demand_room(spec.memory_mib)
            async with (
                self._launched(home, spec, loading=False) as running,
                running.speaking() as control,
            ):
                await control.boot(spec)

    async def open_channel(self, machine_id: str) -> socket.socket:
        """Connect the byte stream. See `Driver.open_channel`."""
        with self._launcher.first():
            async with self._speaking(machine_id) as (_, control):
                return await control.open_channel()

    async def pause(self, machine_id: str) -> None:
        """Stop the virtual CPUs. See `Driver.pause`."""
        async with self._speaking(machine_id) as (_, control):
            await control.pause()

    async def unpause(self, machine_id: str) -> None:
        """Let the virtual CPUs go on. See `Driver.unpause`."""
        # Whoever has it go on waits for its first answer.
        with self._launcher.first():
            async with self._speaking(machine_id) as (_, control):
                await control.unpause()

    async def hibernate(self, machine_id: str) -> None:
        """Write memory beside the disk and end the process. See `Driver.hibernate`."""
        home, spec = self._known(machine_id)
        async with self._first(machine_id):
            if home.rest.state is not RestState.COMPLETE:
                # What still works on the rest of before must not touch the new one.
                await self._settler.wait(machine_id)
                async with self._speaking(machine_id) as (running, control):
                    held_mib = resident_mib(running.process.pid)
                    self._demand_room(self.hypervisor.save_mib(home, spec, held_mib))
                    limit = self._limits.save_seconds_max
                    await save_rest(running, control, spec, seconds_max=limit)
            await self._end_hibernated(home)

    async def resume(self, machine_id: str) -> None:
        """Start from the rest. See `Driver.resume`."""
        try:
            home, spec = self._known(machine_id)
        except MachineLost as error:
            raise RestRefused(str(error)) from error
        rest = home.rest
        if rest.state is not RestState.COMPLETE and self._process_of(home) is not None:
            async with self._speaking(machine_id):
                return
        async with self._first(machine_id):
            await self._end_process(home, "its resume was begun anew")
            if why := rest.refusal(await self.hypervisor.stamp(spec)):
                raise RestRefused(why)
            demand_image(spec)
            demand_room(self.root, mib=RESUME_MIB, reserve_mib=0)
            self._settler.stop(machine_id)
            await self._load(home, spec)

    async def destroy(self, machine_id: str) -> None:
        """End the process, remove every file. See `Driver.destroy`."""
        home = self._home(machine_id)
        self._settler.stop(machine_id)
        # Without waiting for its turn: whoever is at the machine then finds it lost.
        await self._end_process(home, "it was destroyed")
        async with self._lock(machine_id):
            await self._end_process(home, "it was destroyed")  # one that was being started
            await self._end_strays(machine_id)
            await self._settler.wait(machine_id)
            self._running.pop(machine_id, None)
            if home.exists:
                await asyncio.to_thread(home.remove)

    async def freeze(self, machine_id: str, template_id: str) -> None:
        """Make a template of a machine. See `Driver.freeze`."""
        if self._templates.home(template_id).exists:
            return
        await self.hibernate(machine_id)
        async with self._lock(machine_id):
            await self._settler.wait(machine_id)
            self._running.pop(machine_id, None)
            await asyncio.to_thread(self._templates.take, self._home(machine_id), template_id)

    async def clone(self, template_id: str, machine_id: str) -> None:
        """Lay down a machine that rests as a template. See `Driver.clone`."""
        home = self._home(machine_id)
        async with self._lock(machine_id):
            if home.read_spec() is not None:
                return
            with self._laying_down(home):
                await self._templates.clone(template_id, home)
        self._settler.begin_unhurried(home)

    async def drop(self, template_id: str) -> None:
        """Remove a template. See `Driver.drop`."""
        await asyncio.to_thread(self._templates.drop, template_id)

    async def templates(self) -> Sequence[TemplateSight]:
        """Look at every template. See `Driver.templates`."""
        return await self._templates.find()

    async def bound_to(self, spec: MachineSpec) -> str:
        """What a rest made here can only be resumed by. See `Driver.bound_to`."""
        stamp = await self.hypervisor.stamp(spec)
        return f"{self.name} {stamp.build} {stamp.fingerprint}"

    def free_disk_mib(self) -> int:
        """Room on the disk. See `Driver.free_disk_mib`."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        return shutil.disk_usage(self.root).free // MIB

    async def find(self) -> Sequence[Sight]:
        """Look at everything below the root. See `Driver.find`.

        What an earlier process of ours left half done is finished: rests are made durable, used
        ones removed, processes that only wait to be ended are ended, machines that only wait to
        go on go on.
        """
        names = machine_names(self.root)
        sights = []
        for name in names:
            await asyncio.sleep(0)  # looking is file work that never waits; others want to run too
            sight = await self._look_safely(name)
            if sight.pid is not None and await self._mended(name):
                sight = await self._look_safely(name)
            self._settle(self._home(name), sight)
            sights.append(sight)
        await self._launcher.sweep()
        return sights + strays(self._launcher)

    def _settle(self, home: Home, sight: Sight) -> None:
        if home.rest.unswept:
            self._settler.sweep(home)
        if sight.found is Found.RESTING and sight.pid is None:
            self._settler.begin(home)

    async def look(self, machine_id: str) -> Sight:
        """Look at one machine. See `Driver.look`."""
        home = self._home(machine_id)
        if home.exists:
            return await look_at(home, self.hypervisor)
        found = [stray for stray in strays(self._launcher) if stray.machine_id == machine_id]
        return found[0] if found else Sight(machine_id=machine_id, found=Found.ABSENT)

    async def wait_ended(self, machine_id: str) -> str:
        """Wait for the process's end. See `Driver.wait_ended`; ended already returns at once."""
        home = self._home(machine_id)
        running = self._process_of(home) or self._running.get(machine_id)
        if running is None:
            return "it has no process"
        return await asyncio.shield(running.ended)

    async def scrub(self, machine_id: str) -> str | None:
        """Read a resting machine's memory again; says what is wrong, and marks it broken.

        A resume meanwhile ends it early.
        """
        return await self._settler.scrub(self._home(machine_id))

    async def scrub_next(self) -> str | None:
        """Scrub the rest that was looked at longest ago; for a clock. Says what is wrong."""
        homes = [*map(self._home, machine_names(self.root)), *self._templates.homes()]
        known = [(age, home) for home in homes if (age := home.rest.scrubbed_at) is not None]
        if not known:
            return None
        _, oldest = min(known, key=lambda one: one[0])
        return await self._settler.scrub(oldest)

    async def settled(self, machine_id: str) -> None:
        """Wait until the background work on a rest, making it durable, is done or has failed."""
        await self._settler.wait(machine_id)

    async def close(self) -> None:
        """Let go of every machine; they run on. See `Driver.close`."""
        if self._janitor is not None:
            self._janitor.cancel()
            await asyncio.wait([self._janitor])
        await self._settler.close()
        for running in self._running.values():
            await running.let_go()
        self._running.clear()
        await self._launcher.close()

    # -- processes

    def _process_of(self, home: Home) -> Running | None:
        known = self._running.get(home.machine_id)
        if known is not None and known.alive:
            return known
        found = home.find_process()
        launch = home.read_launch()
        if found is None or launch is None:
            return None
        if launch.process is None:
            launch = replace(launch, process=found)
            with suppress(OSError):  # on a full disk it is looked for again the next time
                home.write_launch(launch)
        return self._hold(home, launch, adopted=True)

    def _hold(self, home: Home, launch: Launch, *, adopted: bool) -> Running:
        running = Running(
            home, launch, connect=self._connect, lost=self.hypervisor.lost, adopted=adopted
        )
        self._running[home.machine_id] = running
        if self._janitor is None or self._janitor.done():
            self._janitor = asyncio.get_running_loop().create_task(self._look_after())
        return running

    @asynccontextmanager
    async def _speaking(self, machine_id: str) -> AsyncIterator[tuple[Running, Control]]:
        home = self._home(machine_id)
        running = self._process_of(home)
        if running is None or home.rest.state is RestState.COMPLETE:
            known = self._running.get(machine_id)
            why = await asyncio.shield(known.ended) if known and not known.alive else "none runs"
            raise MachineLost(f"machine {machine_id} has no process: {why}")
        await running.demand_kept()
        async with running.speaking() as control:
            yield running, control

    @asynccontextmanager
    async def _launched(
        self, home: Home, spec: MachineSpec, *, loading: bool
    ) -> AsyncIterator[Running]:
        """Start a process; it is ended again when the body fails."""
        demand_image(spec)
        launch = await self._launcher.start(home, spec, loading=loading)
        running = self._hold(home, launch, adopted=False)
        try:
            yield running
        except BaseException:
            await self._end_process(home, "its start failed")
            raise

    async def _connect(self, home: Home) -> Control:
        return await self.hypervisor.connect(home, seconds_max=self._limits.load_seconds_max)

    async def _mended(self, machine_id: str) -> bool:
        """Finish what an earlier process of ours began with this machine, if that is needed."""
        home = self._home(machine_id)
        lock = self._lock(machine_id)
        state = home.rest.state
        # A complete rest beside a process that nobody is about to end: a hibernation was cut short.
        known = self._running.get(machine_id)
        trusted = known is not None and not known.doubtful
        ours = trusted and state is not RestState.COMPLETE
        if ours or lock.locked() or state is RestState.NONE:
            return False
        try:
            async with lock, asyncio.timeout(MEND_SECONDS_MAX):
                if home.rest.state is RestState.COMPLETE:
                    await self._end_process(home, "it had been hibernated")
                elif running := self._process_of(home):
                    await running.control()
        except Exception as error:  # one machine's process keeps no other from being looked at
            _log.warning("machine %s could not be mended: %s", machine_id, error)
        return True

    def _lock(self, machine_id: str) -> asyncio.Lock:
        return self._locks.setdefault(machine_id, asyncio.Lock())

    @asynccontextmanager
    async def _first(self, machine_id: str) -> AsyncIterator[None]:
        """Its turn, and that before whatever is only made ahead."""
        with self._launcher.first():
            async with self._lock(machine_id):
                yield

    async def _end_hibernated(self, home: Home) -> None:
        """End a process whose machine rests, while that is brought to the disk."""
        ended: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._settler.begin(home, ended=ended)
        try:
            await self._end_process(home, "it was hibernated", ended=ended)
        finally:
            if not ended.done():
                ended.set_result(False)

    async def _end_process(
        self, home: Home, farewell: str, *, ended: asyncio.Future[bool] | None = None
    ) -> None:
        """End it if it lives, and give back what it had.

        :param ended: set as soon as it has; its rest then goes before what is given back
        """
        running = self._process_of(home)
        if running is not None:
            await running.kill(farewell)
        if ended is not None:
            ended.set_result(True)
        if (launch := home.read_launch()) is not None:
            durable = partial(self._settler.until_durable, home.machine_id)
            self._launcher.give_back(launch, after=durable if ended is not None else None)
            home.write_launch(None)
        await asyncio.to_thread(home.drop_cell)

    async def _end_strays(self, token: str) -> None:
        """End processes whose machine is not known any more; they are called by their launch."""
        for name, stray in list(self._launcher.strays()):
            if name == token:
                await process.kill(stray)

    # -- memory

    async def _load(self, home: Home, spec: MachineSpec) -> None:
        async with self._launched(home, spec, loading=True) as running:
            await load_rest(running, self._settler, seconds_max=self._limits.load_seconds_max)
        try:
            await go_on_from_rest(running)
        except asyncio.CancelledError:
            # Its memory is in the process alone, which stays.
            raise
        except BaseException:
            await self._end_process(home, "its start failed")
            raise
        home.rest.drop_used()
        self._settler.sweep(home)

    # -- the rest

    @contextmanager
    def _laying_down(self, home: Home) -> Iterator[None]:
        """Nothing is left of a machine that could not be laid down whole."""
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._demand_room(0)
            yield
        except BaseException as error:
            home.remove()
            if isinstance(error, OSError) and error.errno in NO_ROOM:
                raise HostFull("no room for a machine's disk") from error
            raise

    def _demand_room(self, mib: int) -> None:
        """:raises HostFull: not so much is left beside what running machines may still take."""
        growing = [each.home for each in self._running.values() if each.alive]
        promised = sum(self.hypervisor.growth_mib(home) for home in growing)
        demand_room(self.root, mib=mib + promised, reserve_mib=self._limits.disk_reserve_mib)

    def _home(self, machine_id: str) -> Home:
        return Home(self.root, machine_id)

    def _known(self, machine_id: str) -> tuple[Home, MachineSpec]:
        home = self._home(machine_id)
        try:
            spec = home.read_spec()
        except ValueError as error:
            raise MachineLost(f"machine {machine_id} can't be read: {error}") from error
        if spec is None:
            raise MachineLost(f"there is no machine {machine_id}")
        return home, spec

    async def _look_safely(self, machine_id: str) -> Sight:
        try:
            return await self.look(machine_id)
        except Exception as error:  # one machine's files keep no other from being looked at
            _log.warning("machine %s can't be looked at: %s", machine_id, error)
            found = Found.UNSEEN if is_of_host(error) else Found.STOPPED
            return Sight(machine_id=machine_id, found=found, broken=str(error))

    async def _look_after(self) -> None:
        while True:
            await asyncio.sleep(self._limits.look_seconds)
            for running in [each for each in self._running.values() if each.alive]:
                try:
                    await self._look_at(running)
                except Exception as error:  # whatever one says, the others are looked at
                    _log.warning("machine %s: %s", running.home.machine_id, error)

    async def _look_at(self, running: Running) -> None:
        home = running.home
        await running.end_if_lost()
        home.bound_logs(self._limits.log_bytes_max, self.hypervisor.belongings(home))
