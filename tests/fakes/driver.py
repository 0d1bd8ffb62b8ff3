"""A host without a hypervisor: the driver contract in memory.

`FakeHost` is what survives a restart of ours: disks, rests and "processes". Any number of
`FakeDriver`s may be made over one host, one after the other. What runs inside a machine is a guest:
an object with memory of its own whose `serve` answers on the guest's end of the channel.

The contract suite runs on this fake as it does on the real driver; what the fake may do that the
real one can't is a bug here. Drivers that misbehave are in `tests.fakes.driver_trouble`.
"""

import asyncio
import copy
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol
from uuid import uuid4

from vmpool.driver import Found, MachineSpec, Sight, TemplateSight
from vmpool.errors import (
    HostFull,
    HostUnfit,
    MachineBusy,
    MachineError,
    MachineHung,
    MachineLost,
    RestRefused,
)

TICK_SECONDS = 0.01


class FakeGuest(Protocol):
    """What runs in a fake machine. Its attributes are the machine's memory."""

    machine: "FakeMachine"

    async def serve(self, sock: socket.socket) -> None:
        """Own the guest's end of the channel until the host lets go; cancelled by pause and end."""
        ...


@dataclass
class FakeMachine:
    """One machine of a fake host."""

    machine_id: str
    spec: MachineSpec
    disk: dict[str, str] = field(default_factory=dict)
    guest: FakeGuest | None = None
    """The memory: there while it runs or rests."""
    running: bool = False
    paused: bool = False
    stopped: bool = False
    """Its process stands still, as somebody stopped it."""
    rest: str | None = None
    """complete or used; None: there is none."""
    durable: bool = False
    broken: str | None = None
    bound_to: str = ""
    """The build that made its rest."""
    pid: int = 0
    channel: tuple[socket.socket, socket.socket] | None = None
    """Guest's end, and the host's end that was handed out."""
    serving: asyncio.Task[None] | None = None
    ended: asyncio.Future[str] | None = None
    boots: int = 0


GuestFactory = Callable[[FakeMachine], FakeGuest]
Cloner = Callable[[FakeGuest, FakeMachine], FakeGuest]


class EchoGuest:
    """Speaks the lines of the tiny guest (see `tests.fakes.tiny_guest`)."""

    def __init__(self, machine: FakeMachine) -> None:
        self.machine = machine
        self.boot_id = str(uuid4())
        self.count = 0
        self.half_line = b""

    async def serve(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        ticking = asyncio.create_task(self._tick())
        try:
            while chunk := await loop.sock_recv(sock, 65536):
                *lines, self.half_line = (self.half_line + chunk).split(b"\n")
                for line in lines:
                    op, nonce, *args = line.decode().split(" ")
                    answer = f"{nonce} {self._answer(op, args)}\n"
                    await loop.sock_sendall(sock, answer.encode())
        finally:
            ticking.cancel()

    async def _tick(self) -> None:
        while True:
            self.count += 1
            await asyncio.sleep(TICK_SECONDS)

    def _answer(self, op: str, args: list[str]) -> str:
        match op, args:
            case "echo", [text]:
                return text
            case "count", []:
                return str(self.count)
            case "boot", []:
                return self.boot_id
            case "write", [name, text]:
                self.machine.disk[name] = text
                return "ok"
            case "read", [name]:
                return self.machine.disk.get(name, "")
        return "what"


class FakeHost:
    """Everything of a host that outlives our process, and the switches tests turn."""

    def __init__(
        self, guest: GuestFactory = EchoGuest, clone: Cloner = lambda guest, _: copy.copy(guest)
    ) -> None:
        """`clone` makes a clone's memory of its template's."""
        self.machines: dict[str, FakeMachine] = {}
        self.templates: dict[str, FakeMachine] = {}
        self.full = False
        """No room on the disk."""
        self.build = "fake 1"
        self.lacking = False
        """The hypervisor is away: what it would say of a rest, nobody knows."""
        self.new_guest = guest
        self.clone_guest = clone
        # No kernel counts so far: what is read of a process here is never another's.
        self._pids = iter(range(1 << 23, 1 << 30))

    def start(self, machine: FakeMachine, guest: FakeGuest) -> None:
        """Let a machine run with this memory."""
        machine.guest = guest
        machine.running, machine.paused = True, False
        machine.pid = next(self._pids)
        machine.ended = asyncio.get_running_loop().create_future()

    def end(self, machine: FakeMachine, why: str, *, keep_memory: bool = False) -> None:
        """End a machine's process, as a crash, a kill or a hibernation does."""
        machine.running = machine.paused = machine.stopped = False
        if not keep_memory:
            machine.guest = None
        self.hang_up(machine)
        if machine.ended is not None and not machine.ended.done():
            machine.ended.set_result(why)

    def kill(self, machine_id: str) -> None:
        """End a machine's process from outside."""
        self.end(self.machines[machine_id], "its process was ended by SIGKILL")

    def stop(self, machine_id: str) -> None:
        """Stop a machine's process from outside: neither it nor its guest answers."""
        machine = self.machines[machine_id]
        machine.stopped = True
        self.stop_serving(machine)

    def go_on(self, machine_id: str) -> None:
        """Let a process that was stopped go on."""
        machine = self.machines[machine_id]
        machine.stopped = False
        self.serve(machine)

    def hang_up(self, machine: FakeMachine) -> None:
        """Close the guest's end of the channel."""
        self.stop_serving(machine)
        if machine.channel is not None:
            machine.channel[0].close()
            machine.channel = None

    def serve(self, machine: FakeMachine) -> None:
        """Let the guest answer on the open channel."""
        stands = machine.paused or machine.stopped
        if machine.channel is None or machine.guest is None or stands:
            return
        work = _serve(machine.guest, machine.channel[0])
        machine.serving = asyncio.get_running_loop().create_task(work)

    def stop_serving(self, machine: FakeMachine) -> None:
        """Let the guest stand still."""
        if machine.serving is not None:
            machine.serving.cancel()
            machine.serving = None

    async def close(self) -> None:
        """End every machine; for the end of a test."""
        serving = [machine.serving for machine in self.machines.values() if machine.serving]
        for machine in self.machines.values():
            self.end(machine, "the host went down")
        if serving:
            await asyncio.wait(serving)


class FakeDriver:
    """`vmpool.driver.Driver` over a fake host."""

    name = "fake"
    accelerator = "none"

    def __init__(self, host: FakeHost) -> None:
        self.host = host

    async def create(self, machine_id: str, spec: MachineSpec) -> None:
        known = self.host.machines.get(machine_id)
        if known is not None and known.spec != spec:
            raise MachineError(f"machine {machine_id} exists with another size or image")
        if known is None:
            if self.host.full:
                raise HostFull("no room for a machine's disk")
            self.host.machines[machine_id] = FakeMachine(machine_id, spec)

    async def boot(self, machine_id: str) -> None:
        machine = self._known(machine_id)
        if machine.running:
            return
        if machine.rest == "complete":
            raise MachineError(f"machine {machine_id} rests; resume or destroy it")
        machine.rest = machine.broken = None
        machine.boots += 1
        self.host.start(machine, self.host.new_guest(machine))

    async def open_channel(self, machine_id: str) -> socket.socket:
        machine = self._running(machine_id)
        if machine.channel is not None and not hung_up(machine.channel[0]):
            raise MachineBusy("the machine's channel is taken")
        self.host.hang_up(machine)
        ours, guests = socket.socketpair()
        ours.setblocking(False)
        guests.setblocking(False)
        machine.channel = (guests, ours)
        self.host.serve(machine)
        return ours

    async def pause(self, machine_id: str) -> None:
        machine = self._answering(machine_id)
        machine.paused = True
        self.host.stop_serving(machine)

    async def unpause(self, machine_id: str) -> None:
        machine = self._answering(machine_id)
        if machine.paused:
            machine.paused = False
            self.host.serve(machine)

    async def hibernate(self, machine_id: str) -> None:
        machine = self._known(machine_id)
        if machine.rest == "complete":
            return
        machine = self._running(machine_id)
        if self.host.full:
            raise HostFull("no room for a machine's memory; it runs on")
        machine = self._answering(machine_id)
        machine.rest, machine.durable = "complete", False
        machine.bound_to = self.host.build
        self.host.end(machine, "it was hibernated", keep_memory=True)

    async def resume(self, machine_id: str) -> None:
        machine = self.host.machines.get(machine_id)
        if machine is not None and machine.running:
            return
        if machine is None or machine.rest != "complete" or machine.guest is None:
            raise RestRefused("there is no rest")
        if why := self._refusal(machine):
            raise RestRefused(why)
        machine.rest = None
        self.host.start(machine, machine.guest)

    async def destroy(self, machine_id: str) -> None:
        machine = self.host.machines.pop(machine_id, None)
        if machine is not None:
            self.host.end(machine, "it was destroyed")

    async def freeze(self, machine_id: str, template_id: str) -> None:
        if template_id in self.host.templates:
            return
        await self.hibernate(machine_id)
        self.host.templates[template_id] = self.host.machines.pop(machine_id)

    async def clone(self, template_id: str, machine_id: str) -> None:
        if machine_id in self.host.machines:
            return
        template = self.host.templates.get(template_id)
        if template is None or template.guest is None:
            raise RestRefused("its template can't be used: its files are gone")
        if why := self._refusal(template):
            raise RestRefused(f"its template can't be used: {why}")
        if self.host.full:
            raise HostFull("no room for a machine's disk")
        machine = FakeMachine(machine_id, template.spec, dict(template.disk), rest="complete")
        machine.bound_to = template.bound_to
        machine.guest = self.host.clone_guest(template.guest, machine)
        machine.guest.machine = machine
        self.host.machines[machine_id] = machine

    async def drop(self, template_id: str) -> None:
        self.host.templates.pop(template_id, None)

    async def templates(self) -> Sequence[TemplateSight]:
        return [
            TemplateSight(
                template_id=template_id,
                broken=None if self.host.lacking else self._refusal(template),
            )
            for template_id, template in self.host.templates.items()
        ]

    async def bound_to(self, spec: MachineSpec) -> str:
        if self.host.lacking:
            raise HostUnfit("the hypervisor can't be run; install it")
        # As a real one: a rest of one size can't be resumed as another.
        return f"{self.host.build} {spec.vcpus} {spec.memory_mib} {spec.disk_gib}"

    def free_disk_mib(self) -> int:
        return 0 if self.host.full else 1 << 20

    async def find(self) -> Sequence[Sight]:
        for machine in self.host.machines.values():
            machine.durable = machine.rest == "complete"
        return [await self._look_safely(machine_id) for machine_id in self.host.machines]

    async def _look_safely(self, machine_id: str) -> Sight:
        try:
            return await self.look(machine_id)
        except HostUnfit as error:
            return Sight(machine_id=machine_id, found=Found.UNSEEN, broken=str(error))

    async def look(self, machine_id: str) -> Sight:
        machine = self.host.machines.get(machine_id)
        if machine is None:
            return Sight(machine_id=machine_id, found=Found.ABSENT)
        found = Found.STOPPED
        broken = self._refusal(machine)
        if machine.running:
            found = Found.RUNNING
        elif machine.rest == "complete" and broken is None:
            found = Found.RESTING
        return Sight(
            machine_id=machine_id,
            found=found,
            pid=machine.pid if machine.running else None,
            durable=found is Found.RESTING and machine.durable,
            broken=broken,
        )

    async def scrub_next(self) -> str | None:
        every = [*self.host.machines.values(), *self.host.templates.values()]
        resting = [machine for machine in every if machine.rest == "complete"]
        return next((machine.broken for machine in resting if machine.broken), None)

    async def wait_ended(self, machine_id: str) -> str:
        machine = self.host.machines.get(machine_id)
        if machine is None or machine.ended is None:
            return "it has no process"
        return await asyncio.shield(machine.ended)

    async def close(self) -> None:
        pass

    def _refusal(self, machine: FakeMachine) -> str | None:
        """Why a rest can't be used here, as every real driver finds out before it tries."""
        if machine.rest == "complete" and self.host.lacking:
            raise HostUnfit("the hypervisor can't be run; install it")
        if machine.rest != "complete" or machine.bound_to == self.host.build:
            return machine.broken
        return f"it was made by {machine.bound_to}, and this is {self.host.build}"

    def _known(self, machine_id: str) -> FakeMachine:
        machine = self.host.machines.get(machine_id)
        if machine is None:
            raise MachineLost(f"there is no machine {machine_id}")
        return machine

    def _running(self, machine_id: str) -> FakeMachine:
        machine = self._known(machine_id)
        if not machine.running:
            raise MachineLost(f"machine {machine_id} has no process")
        return machine

    def _answering(self, machine_id: str) -> FakeMachine:
        machine = self._running(machine_id)
        if machine.stopped:
            raise MachineHung("the machine's hypervisor does not answer: its process is stopped")
        return machine


async def _serve(guest: FakeGuest, sock: socket.socket) -> None:
    with suppress(ConnectionError):
        await guest.serve(sock)


def hung_up(sock: socket.socket) -> bool:
    try:
        return sock.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
