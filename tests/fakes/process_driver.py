"""A driver whose machines are processes of this host: they outlive whoever started them.

Each machine is a directory with the real guest program in it, found again by what lies there, as
the machines of a hypervisor are. At rest its processes stand still. It keeps nothing in memory, so
a killed and restarted owner finds everything.
"""

import asyncio
import json
import os
import shutil
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from tests.fakes.guest import PROGRAM, HostedGuest, children_of
from vmpool.channel import Channel, open_machine
from vmpool.driver import Found, MachineSpec, Sight, TemplateSight
from vmpool.drivers.process import Process, ended, is_alive, kill, start
from vmpool.errors import MachineBusy, MachineLost, RestRefused

START_SECONDS = 10.0


class ProcessDriver:
    """`vmpool.driver.Driver` over processes; `root` must be short enough for socket paths."""

    name = "process"
    accelerator = "none"

    def __init__(self, root: Path, *, by: Sequence[str] = ()) -> None:
        """`by`: words of a command that becomes the machine's process, such as `nice`."""
        self.root = root
        self._by = by

    async def create(self, machine_id: str, spec: MachineSpec) -> None:
        (self.root / machine_id).mkdir(exist_ok=True)

    async def boot(self, machine_id: str) -> None:
        home = self.root / machine_id
        if self._process(machine_id) is not None:
            return
        argv = [*self._by, sys.executable, "-I", "-S", str(PROGRAM), str(home)]
        process = start(argv, output=home / "log")
        (home / "process.new").write_text(json.dumps(asdict(process)))
        (home / "process.new").rename(home / "process")
        async with asyncio.timeout(START_SECONDS):
            while not (home / "channel.sock").exists():
                if not is_alive(process):
                    raise MachineLost((home / "log").read_text())
                await asyncio.sleep(0.01)

    async def open_channel(self, machine_id: str) -> socket.socket:
        if self._process(machine_id) is None:
            raise MachineLost(f"machine {machine_id} has no process")
        sock = socket.socket(socket.AF_UNIX)
        sock.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(
                sock, str(self.root / machine_id / "channel.sock")
            )
        except OSError as error:
            sock.close()
            raise MachineBusy(str(error)) from error
        return sock

    async def pause(self, machine_id: str) -> None:
        self._signal(machine_id, signal.SIGSTOP)

    async def unpause(self, machine_id: str) -> None:
        self._signal(machine_id, signal.SIGCONT)

    async def hibernate(self, machine_id: str) -> None:
        self._signal(machine_id, signal.SIGSTOP)
        (self.root / machine_id / "rest").touch()

    async def resume(self, machine_id: str) -> None:
        rest = self.root / machine_id / "rest"
        if self._process(machine_id) is None:
            raise RestRefused("there is no rest")
        rest.unlink(missing_ok=True)
        self._signal(machine_id, signal.SIGCONT)

    async def destroy(self, machine_id: str) -> None:
        process = self._process(machine_id)
        if process is not None:
            for pid in children_of(process.pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            await kill(process)
        await asyncio.to_thread(shutil.rmtree, self.root / machine_id, ignore_errors=True)

    async def freeze(self, machine_id: str, template_id: str) -> None:
        raise NotImplementedError

    async def clone(self, template_id: str, machine_id: str) -> None:
        raise RestRefused("processes have no templates")

    async def drop(self, template_id: str) -> None:
        pass

    async def templates(self) -> Sequence[TemplateSight]:
        return []

    async def bound_to(self, spec: MachineSpec) -> str:
        return self.name

    def free_disk_mib(self) -> int:
        return shutil.disk_usage(self.root).free >> 20

    async def find(self) -> Sequence[Sight]:
        return [await self.look(home.name) for home in self.root.iterdir() if home.is_dir()]

    async def look(self, machine_id: str) -> Sight:
        process = self._process(machine_id)
        if not (self.root / machine_id).is_dir():
            found = Found.ABSENT
        elif process is None:
            found = Found.STOPPED
        elif (self.root / machine_id / "rest").exists():
            found = Found.RESTING
        else:
            found = Found.RUNNING
        return Sight(machine_id=machine_id, found=found, pid=process and process.pid)

    async def scrub_next(self) -> str | None:
        return None

    async def wait_ended(self, machine_id: str) -> str:
        process = self._process(machine_id)
        if process is not None:
            await ended(process)
        return "its process ended"

    async def close(self) -> None:
        pass

    def _process(self, machine_id: str) -> Process | None:
        try:
            process = Process(**json.loads((self.root / machine_id / "process").read_text()))
        except FileNotFoundError:
            return None
        return process if is_alive(process) else None

    def _signal(self, machine_id: str, number: signal.Signals) -> None:
        process = self._process(machine_id)
        if process is None:
            raise MachineLost(f"machine {machine_id} has no process")
        for pid in [process.pid, *children_of(process.pid)]:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    async def enter(self, connect: object, **known: object) -> Channel:
        """`open_machine`, into a guest whose sockets lie in its directory."""
        guest = HostedGuest(self.root / str(known["machine_id"]))
        return await open_machine(connect, **known, inside=guest.inside)  # type: ignore[arg-type]
