"""One live QEMU process as its driver holds it: control connection and the watch on its end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from vmpool.drivers import process, qemu_memory
from vmpool.drivers.home import QMP_SOCKET, Home, Launch
from vmpool.drivers.process import Process
from vmpool.drivers.qmp import Qmp, QmpClosed, QmpError
from vmpool.errors import MachineError, MachineLost
from vmpool.rest import RestState

GREETING_SECONDS_MAX = 60.0
ENDING_SECONDS_MAX = 2.0


class Running:
    """A process that was started or found. `qmp` connects late and mends what a crash left."""

    def __init__(
        self,
        home: Home,
        launch: Launch,
        found: Process,
        *,
        greeting_seconds_max: float = GREETING_SECONDS_MAX,
    ) -> None:
        self.home = home
        self._greeting_seconds_max = greeting_seconds_max
        self.launch = launch
        self.process = found
        self.farewell: str | None = None
        """Why it is about to end, when that is our doing."""
        self.ended = asyncio.get_running_loop().create_task(self._watch())
        self._qmp: Qmp | None = None
        self._connecting = asyncio.Lock()

    @property
    def alive(self) -> bool:
        """Whether the process still runs, asked of the kernel."""
        return process.is_alive(self.process)

    async def qmp(self) -> Qmp:
        """Connect to the control socket, once.

        A save or a resume that an earlier process of ours began and never finished is mended on
        the way: the machine runs on.

        :raises MachineLost: the process is gone
        :raises MachineError: it is there and does not answer
        """
        async with self._connecting:
            if self._qmp is None or self._qmp.closed:
                try:
                    await self._disconnect()
                    self._qmp = await self._connect()
                except (OSError, QmpClosed, QmpError) as error:
                    raise await self._unreachable(error) from error
            return self._qmp

    @asynccontextmanager
    async def speaking(self) -> AsyncIterator[Qmp]:
        """Speak to QEMU and say in our words what goes wrong meanwhile.

        :raises MachineLost: the process ended
        :raises MachineError: it does not answer, or refuses
        """
        qmp = await self.qmp()
        try:
            yield qmp
        except QmpClosed as error:
            raise await self._unreachable(error) from error
        except QmpError as error:
            raise MachineError(str(error)) from error

    async def kill(self, farewell: str) -> None:
        """End the process and wait until it is gone; its waiters are told `farewell`."""
        self.farewell = self.farewell or farewell
        await process.kill(self.process)
        await asyncio.wait([self.ended])

    async def let_go(self) -> None:
        """Stop watching and disconnect; the process runs on."""
        self.ended.cancel()
        await asyncio.wait([self.ended])
        await self._disconnect()

    async def _disconnect(self) -> None:
        if self._qmp is not None:
            await self._qmp.close()

    async def _connect(self) -> Qmp:
        qmp = await Qmp.greet(self.home.connect(QMP_SOCKET), seconds_max=self._greeting_seconds_max)
        try:
            await self._mend(qmp)
            await qemu_memory.prepare(qmp)
        except BaseException:
            await qmp.close()
            raise
        return qmp

    async def _mend(self, qmp: Qmp) -> None:
        rest = self.home.rest
        if rest.state is RestState.PARTIAL:
            await qemu_memory.cancel(qmp)
            await qmp.execute("cont")
            rest.abandon()
        elif rest.state is RestState.USED:
            await qmp.execute("cont")
            rest.drop_used()

    async def _unreachable(self, error: Exception) -> MachineError:
        # A process that closes its socket is about to end; wait for its last words.
        await asyncio.wait([self.ended], timeout=ENDING_SECONDS_MAX)
        if self.ended.done():
            return MachineLost(self.ended.result())
        return MachineError(f"the machine's hypervisor does not answer: {error}")

    async def _watch(self) -> str:
        status = await process.ended(self.process)
        if self._qmp is not None:
            await self._qmp.drained(seconds_max=ENDING_SECONDS_MAX)
        try:
            return self._why(status)
        except OSError:
            return process.describe_status(status)
        finally:
            await self._disconnect()

    def _why(self, status: int | None) -> str:
        if self.farewell is not None:
            return self.farewell
        if panic := self.home.panic():
            return f"the guest's kernel panicked: {panic.partition('Kernel panic')[2].strip(' -')}"
        for event in reversed(self._qmp.events if self._qmp is not None else ()):
            if event["event"] == "SHUTDOWN" and event.get("data", {}).get("guest"):
                return "the guest shut itself down"
        words = self.home.last_words()
        text = process.describe_status(status)
        return f"{text}: {words}" if words else text
