"""Drivers that misbehave, over a fake host: each in one way that hosts and hypervisors have."""

import asyncio
import json
import socket
from collections.abc import Sequence
from typing import Any

from tests.fakes.driver import FakeDriver, FakeHost, FakeMachine, hung_up
from vmpool.driver import MachineSpec, Sight
from vmpool.errors import HostFull, HostUnfit, MachineHung, MachineLost


class SilentGuest:
    """Takes everything and never says a word."""

    machine: FakeMachine

    async def serve(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while await loop.sock_recv(sock, 65536):
            pass


class LyingGuest:
    """Answers every hello with the same words, whatever they are."""

    machine: FakeMachine

    def __init__(self, **words: Any) -> None:
        self._words = words

    async def serve(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while data := await loop.sock_recv(sock, 65536):
            for line in data.splitlines():
                nonce = _nonce(line)
                if nonce is not None:
                    said = json.dumps({**self._words, "nonce": nonce}).encode() + b"\n"
                    await loop.sock_sendall(sock, said)


def _nonce(line: bytes) -> str | None:
    """That of a hello which came in one piece."""
    try:
        return str(json.loads(line)["nonce"])
    except (ValueError, KeyError, TypeError):
        return None


class LineDriver(FakeDriver):
    """Notes for each memory that it saves whether somebody was still connected to its guest.

    A real one saves the connection too, and a later one may be taken for it.
    """

    def __init__(self, host: FakeHost) -> None:
        super().__init__(host)
        self.connected: list[bool] = []

    async def hibernate(self, machine_id: str) -> None:
        channel = self.host.machines[machine_id].channel
        self.connected.append(channel is not None and not hung_up(channel[0]))
        await super().hibernate(machine_id)


class SlowDriver(FakeDriver):
    """Takes its time: every boot, resume and hibernation waits until `go` is set."""

    def __init__(self, host: FakeHost) -> None:
        super().__init__(host)
        self.go = asyncio.Event()
        self.waiting = asyncio.Event()
        """Set as soon as somebody waits."""

    async def boot(self, machine_id: str) -> None:
        await self._take_time()
        await super().boot(machine_id)

    async def resume(self, machine_id: str) -> None:
        await self._take_time()
        await super().resume(machine_id)

    async def hibernate(self, machine_id: str) -> None:
        await self._take_time()
        await super().hibernate(machine_id)

    async def _take_time(self) -> None:
        self.waiting.set()
        await self.go.wait()


class NeverReadyDriver(FakeDriver):
    """Boots machines whose guest never says a word."""

    async def boot(self, machine_id: str) -> None:
        known = self.host.new_guest
        self.host.new_guest = lambda _: SilentGuest()
        try:
            await super().boot(machine_id)
        finally:
            self.host.new_guest = known


class DiesLaterDriver(FakeDriver):
    """The process ends right after the channel was opened for the `after`-th time."""

    def __init__(self, host: FakeHost, *, after: int = 1) -> None:
        super().__init__(host)
        self.opens_left = after

    async def open_channel(self, machine_id: str) -> socket.socket:
        sock = await super().open_channel(machine_id)
        self.opens_left -= 1
        if self.opens_left == 0:
            asyncio.get_running_loop().call_soon(self.host.kill, machine_id)
        return sock


class DiesAtRestDriver(FakeDriver):
    """The process ends while its memory is written."""

    async def hibernate(self, machine_id: str) -> None:
        self.host.kill(machine_id)
        await super().hibernate(machine_id)


class FailsAfterRestDriver(FakeDriver):
    """The rest is complete, and what comes after it goes wrong, once."""

    trouble: Exception | None = None

    async def hibernate(self, machine_id: str) -> None:
        await super().hibernate(machine_id)
        trouble, self.trouble = self.trouble, None
        if trouble is not None:
            raise trouble


class FailsOnStartDriver(FakeDriver):
    """No machine ever starts."""

    async def boot(self, machine_id: str) -> None:
        self._known(machine_id)
        raise MachineLost("its process ended with status 1: could not set up guest memory")


class ForgetfulDriver(FakeDriver):
    """Says that it destroyed a machine and leaves everything, `times` times."""

    def __init__(self, host: FakeHost, *, times: int = 1) -> None:
        super().__init__(host)
        self.times = times

    async def destroy(self, machine_id: str) -> None:
        if self.times > 0:
            self.times -= 1
            return
        await super().destroy(machine_id)


class StuckDriver(FakeDriver):
    """Some machines and templates can't be removed."""

    def __init__(self, host: FakeHost, *, why: OSError | None = None) -> None:
        super().__init__(host)
        self.stuck: set[str] = set()
        self._why = why or OSError("a file of it can't be removed")

    async def destroy(self, machine_id: str) -> None:
        if machine_id in self.stuck:
            raise self._why
        await super().destroy(machine_id)

    async def drop(self, template_id: str) -> None:
        if template_id in self.stuck:
            raise self._why
        await super().drop(template_id)


class FullDiskDriver(FakeDriver):
    """Creates and boots, but never has room for a rest."""

    def __init__(self, host: FakeHost, *, smaller: Sequence[str] = ()) -> None:
        """There is room for the rests of the `smaller` ones."""
        super().__init__(host)
        self.smaller = list(smaller)

    async def hibernate(self, machine_id: str) -> None:
        self.host.full = machine_id not in self.smaller
        try:
            await super().hibernate(machine_id)
        finally:
            self.host.full = False


class OutOfReachDriver(FullDiskDriver):
    """The same, and from then on nobody gets through to a guest while `deaf` is set."""

    deaf = False

    async def hibernate(self, machine_id: str) -> None:
        self.deaf = True
        await super().hibernate(machine_id)

    async def open_channel(self, machine_id: str) -> socket.socket:
        if self.deaf:
            raise ConnectionRefusedError(machine_id)
        return await super().open_channel(machine_id)


class NoRoomToResumeDriver(FakeDriver):
    """Nothing can be started from a rest while the disk is full."""

    async def resume(self, machine_id: str) -> None:
        if self.host.full:
            raise HostFull("0 MiB are free, 8 MiB are needed")
        await super().resume(machine_id)


class UnfitToResumeDriver(FakeDriver):
    """Nothing can be started while the host lacks something."""

    lacking = False

    async def resume(self, machine_id: str) -> None:
        if self.lacking:
            raise HostUnfit("all 1000 network slots are taken")
        await super().resume(machine_id)


class NoRoomToBootDriver(FakeDriver):
    """Nothing boots while the disk is full, though its files are laid down."""

    async def create(self, machine_id: str, spec: MachineSpec) -> None:
        full, self.host.full = self.host.full, False
        try:
            await super().create(machine_id, spec)
        finally:
            self.host.full = full

    async def boot(self, machine_id: str) -> None:
        if self.host.full:
            raise HostFull("its memory would not fit on the disk")
        await super().boot(machine_id)


class DiesAtResumeDriver(FakeDriver):
    """The process ends while it loads its memory, which is used up then, `times` times."""

    def __init__(self, host: FakeHost, *, times: int = 1) -> None:
        super().__init__(host)
        self.times = times

    async def resume(self, machine_id: str) -> None:
        if self.times > 0:
            self.times -= 1
            await super().resume(machine_id)
            self.host.kill(machine_id)
            raise MachineLost("its process was ended by SIGKILL while it loaded its memory")
        await super().resume(machine_id)


class DiesWhileLoadingDriver(FakeDriver):
    """The process ends while it loads its memory, before it is used up, `times` times."""

    def __init__(self, host: FakeHost, *, times: int = 1) -> None:
        super().__init__(host)
        self.times = times

    async def resume(self, machine_id: str) -> None:
        if self.times > 0 and self._known(machine_id).rest == "complete":
            self.times -= 1
            raise MachineLost("its memory was not loaded: its process was ended by SIGKILL")
        await super().resume(machine_id)


class MuteAfterResumeDriver(FakeDriver):
    """Guests never say a word after a resume, `times` times."""

    def __init__(self, host: FakeHost, *, times: int = 1) -> None:
        super().__init__(host)
        self.times = times

    async def resume(self, machine_id: str) -> None:
        await super().resume(machine_id)
        if self.times > 0:
            self.times -= 1
            self.host.machines[machine_id].guest = SilentGuest()


class HungDriver(FakeDriver):
    """The hypervisors of some machines don't do what they are asked, in one of these ways.

    They hang, say after a while that they do, or end in that moment.
    """

    def __init__(self, host: FakeHost) -> None:
        super().__init__(host)
        self.hung: dict[str, str] = {}
        """By machine: `hangs`, `is given up` or `ends`."""

    async def unpause(self, machine_id: str) -> None:
        match self.hung.get(machine_id):
            case "hangs":
                await asyncio.Event().wait()
            case "is given up":
                raise MachineHung("the machine's hypervisor does not answer")
            case "ends":
                self.host.kill(machine_id)
        await super().unpause(machine_id)


class GatedDriver(FakeDriver):
    """The next call of each that is named in `shut` waits until `go` is set."""

    def __init__(self, host: FakeHost) -> None:
        super().__init__(host)
        self.shut: set[str] = set()
        self.reached = asyncio.Event()
        """Set when a call waits."""
        self.go = asyncio.Event()
        self.waits_for: str | None = None
        """The machine that the waiting call is about."""

    async def find(self) -> Sequence[Sight]:
        await self._pass("find", None)
        return await super().find()

    async def destroy(self, machine_id: str) -> None:
        await self._pass("destroy", machine_id)
        await super().destroy(machine_id)

    async def open_channel(self, machine_id: str) -> socket.socket:
        await self._pass("open_channel", machine_id)
        return await super().open_channel(machine_id)

    async def _pass(self, name: str, machine_id: str | None) -> None:
        if name in self.shut:
            self.shut.discard(name)
            self.waits_for = machine_id
            self.reached.set()
            await self.go.wait()
