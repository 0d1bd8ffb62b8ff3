"""One live hypervisor process as its driver holds it: control connection, watch on its end."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from vmpool.drivers import process
from vmpool.drivers.home import Home, Launch
from vmpool.drivers.hypervisor import Control, ControlClosed, ControlRefused
from vmpool.errors import MachineError, MachineHung, MachineLost
from vmpool.rest import RestState

ENDING_SECONDS_MAX = 2.0
STOPPED_SECONDS_MAX = 10.0
"""So long may a process stand still, stopped from outside, while something is asked of it."""
STOPPED_POLL_SECONDS = 0.5

SILENT = "the machine's hypervisor does not answer"
STOPPED = "its process is stopped"

Connect = Callable[[Home], Awaitable[Control]]
Lost = Callable[[Home], str | None]


class Running:
    """A process that was started or found. `control` connects late and mends what a crash left."""

    def __init__(
        self, home: Home, launch: Launch, *, connect: Connect, lost: Lost, adopted: bool
    ) -> None:
        """`adopted`: an earlier process of ours started it, so it must have a machine already.

        :param lost: `Hypervisor.lost`
        """
        self.home = home
        self.launch = launch
        assert launch.process is not None
        self.process = launch.process
        self.farewell: str | None = None
        """Why it is about to end, when that is our doing."""
        self.ended = asyncio.get_running_loop().create_task(self._watch())
        self._connect = connect
        self._lost = lost
        self._adopted = adopted
        self.doubtful = False
        """What was done last was not finished, and is mended by who speaks to it next."""
        self._control: Control | None = None
        self._connecting = asyncio.Lock()

    @property
    def alive(self) -> bool:
        """Whether the process still runs, asked of the kernel."""
        return process.is_alive(self.process)

    async def control(self) -> Control:
        """Connect to the control socket, once, and anew when it is doubtful.

        A save or a resume that was begun and never finished, by an earlier process of ours or by
        this one, is mended on the way: the machine runs on.

        :raises MachineLost: the process is gone
        :raises MachineHung: it is there and does not answer
        """
        async with self._connecting:
            if self._control is None or self._control.closed or self.doubtful:
                try:
                    await self._disconnect()
                    self._control = await self._connected()
                    self.doubtful = False
                except (OSError, ControlClosed, ControlRefused) as error:
                    raise await self._unreachable(error) from error
            return self._control

    @asynccontextmanager
    async def speaking(self) -> AsyncIterator[Control]:
        """Speak to the hypervisor and say in our words what goes wrong meanwhile.

        :raises MachineLost: the process ended
        :raises MachineHung: it does not answer
        :raises MachineError: it refuses
        """
        async with self._unless_stopped():
            control = await self.control()
            try:
                yield control
            except ControlClosed as error:
                raise await self._unreachable(error) from error
            except ControlRefused as error:
                raise MachineError(str(error)) from error

    def demand_going(self) -> None:
        """Wait for nothing of a process that somebody stopped. :raises ControlClosed: it is"""
        if process.is_stopped(self.process):
            raise ControlClosed(STOPPED)

    async def kill(self, farewell: str) -> None:
        """End the process and wait until it is gone; its waiters are told `farewell`."""
        self.farewell = self.farewell or farewell
        await process.kill(self.process)
        await asyncio.wait([self.ended])

    async def end_if_lost(self) -> str | None:
        """End the process if its guest began anew, and say why; None: the machine is as it was."""
        why = self._lost(self.home)
        if why is not None:
            why = self.panic() or why
            await self.kill(why)
        return why

    async def demand_kept(self) -> None:
        """Take no machine for another one that began in its place. :raises MachineLost: it is"""
        if why := await self.end_if_lost():
            raise MachineLost(f"machine {self.home.machine_id} is lost: {why}")

    def panic(self) -> str | None:
        """What the guest's kernel said when it panicked; None: it did not."""
        if panic := self.home.panic():
            return f"the guest's kernel panicked: {panic.partition('Kernel panic')[2].strip(' -')}"
        return None

    async def let_go(self) -> None:
        """Stop watching and disconnect; the process runs on."""
        self.ended.cancel()
        await asyncio.wait([self.ended])
        await self._disconnect()

    async def _disconnect(self) -> None:
        if self._control is not None:
            await self._control.close()

    async def _connected(self) -> Control:
        control = await self._connect(self.home)
        try:
            if self._adopted and not await control.has_machine():
                self.farewell = "its start was never finished"
                await process.kill(self.process)
                raise ControlClosed(self.farewell)
            await self._mend(control)
        except BaseException:
            await control.close()
            raise
        return control

    async def _mend(self, control: Control) -> None:
        rest = self.home.rest
        if rest.state is RestState.PARTIAL:
            await control.cancel()
            await control.unpause()
            rest.abandon()
        elif rest.state is RestState.USED:
            await control.unpause()
            rest.drop_used()

    @asynccontextmanager
    async def _unless_stopped(self) -> AsyncIterator[None]:
        """Give up what is asked of a process that somebody stopped. :raises MachineHung:"""
        try:
            async with asyncio.timeout(None) as limit:
                watching = asyncio.create_task(self._end_when_stopped(limit))
                try:
                    yield
                finally:
                    watching.cancel()
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise MachineHung(f"{SILENT}: {STOPPED}") from error

    async def _end_when_stopped(self, limit: asyncio.Timeout) -> None:
        """A look now and then, as the kernel tells nobody but a parent."""
        still = 0.0
        while still < STOPPED_SECONDS_MAX:
            await asyncio.sleep(STOPPED_POLL_SECONDS)
            still = still + STOPPED_POLL_SECONDS if process.is_stopped(self.process) else 0.0
        limit.reschedule(asyncio.get_running_loop().time())

    async def _unreachable(self, error: Exception) -> MachineError:
        # A process that closes its socket is about to end; wait for its last words.
        await asyncio.wait([self.ended], timeout=ENDING_SECONDS_MAX)
        if self.ended.done():
            return MachineLost(self.ended.result())
        return MachineHung(f"{SILENT}: {error}")

    async def _watch(self) -> str:
        status = await process.ended(self.process)
        if self._control is not None:
            await self._control.drained(seconds_max=ENDING_SECONDS_MAX)
        try:
            return self._why(status)
        except OSError:
            return process.describe_status(status)
        finally:
            await self._disconnect()

    def _why(self, status: int | None) -> str:
        if self.farewell is not None:
            return self.farewell
        if panic := self.panic():
            return panic
        if self._control is not None and (why := self._control.farewell()):
            return why
        words = self.home.last_words()
        text = process.describe_status(status)
        return f"{text}: {words}" if words else text
