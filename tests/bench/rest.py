"""Hibernate and resume of a 512 MiB machine, against the same commands done by hand.

By hand means: the bare control socket and the bare files, with nothing of the driver but its
command line. Both are measured in turns on the same host, on one machine each.
"""

import asyncio
import fcntl
import json
import os
import shutil
import signal
import socket
import statistics
import sys
import tempfile
import time
import uuid
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tests.bench.figures import Figure, spread
from tests.fakes.caches import cache_dir
from tests.fakes.tiny_guest import ask, tiny_spec
from tests.support.isolated import isolated
from vmpool.driver import MachineSpec
from vmpool.drivers.home import Home
from vmpool.drivers.local import LocalDriver
from vmpool.drivers.qemu import Qemu
from vmpool.drivers.qemu.argv import argv

MEMORY_MIB = 512
FILL_MIB = 60
RATIO_MAX = 1.2
TURNS = 20
CALM_SECONDS = 0.3


class ByHand:
    """One machine run by bare commands."""

    def __init__(self, where: Path, spec: MachineSpec) -> None:
        self.where = where
        self.spec = spec
        self.home = Home(where.parent, where.name)
        self.pid = 0
        self.home.make()
        size = f"{spec.disk_gib}G"
        command = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw"]
        command += ["-b", str(spec.image.disk), str(self.home.disk), size]
        assert os.spawnvp(os.P_WAIT, command[0], command) == 0

    def start(self, *, loading: bool = False) -> None:
        self.home.make_cell()
        self.home.fill_cell()
        listeners = []
        for name in ("qmp", "channel"):
            (self.where / name).unlink(missing_ok=True)
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(str(self.where / name))
            listener.listen(1)
            listeners.append(listener)
        words = argv(
            self.spec,
            binary="qemu-system-x86_64",
            name="by-hand",
            accelerator="tcg",
            network=False,
            sandbox=True,
            cloned=False,
            incoming=loading,
        )
        console = os.open(self.home.console, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        places = [self.home.cell, self.spec.image.disk.parent]
        opened = [os.open(path, os.O_PATH) for path in places]
        qmp, channel = (each.fileno() for each in listeners)
        fds = [qmp, *opened, channel, console]
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 64) for fd in fds]
        moved = [(os.POSIX_SPAWN_DUP2, fd, 3 + place) for place, fd in enumerate(high)]
        self.pid = os.posix_spawnp(words[0], words, os.environ, file_actions=moved)
        for fd in (*high, *opened, console):
            os.close(fd)
        for listener in listeners:
            listener.close()
        self.qmp = socket.socket(socket.AF_UNIX)
        self.qmp.connect(str(self.where / "qmp"))
        self.lines = self.qmp.makefile("rb")
        self.lines.readline()
        self.execute("qmp_capabilities")

    def execute(self, command: str, arguments: dict[str, Any] | None = None, fd: int = -1) -> Any:
        line = json.dumps({"execute": command, "arguments": arguments or {}}).encode()
        socket.send_fds(self.qmp, [line], [fd] if fd >= 0 else [])
        while True:
            message = json.loads(self.lines.readline())
            if "return" in message:
                return message["return"]
            assert "error" not in message, message

    def hibernate(self, *, fsync: bool) -> None:
        self.execute("stop")
        self.execute("migrate-set-parameters", {"max-bandwidth": 1 << 40})
        partial = self.where / "partial"
        partial.mkdir()
        fd = os.open(partial / "memory", os.O_WRONLY | os.O_CREAT)
        self.execute("getfd", {"fdname": "memory"}, fd)
        self.execute("migrate", {"uri": "fd:memory"})
        while self.execute("query-migrate").get("status") != "completed":
            time.sleep(0.001)
        if fsync:
            os.fsync(fd)
            self._fsync(self.home.disk)
            self._fsync(partial)
        os.close(fd)
        partial.rename(self.where / "rest")
        if fsync:
            self._fsync(self.where)
        self.end()

    def resume(self) -> None:
        self.start(loading=True)
        fd = os.open(self.where / "rest" / "memory", os.O_RDONLY)
        self.execute("getfd", {"fdname": "memory"}, fd)
        os.close(fd)
        self.execute("migrate-incoming", {"uri": "fd:memory"})
        while self.execute("query-migrate").get("status") != "completed":
            time.sleep(0.001)
        self.execute("cont")
        shutil.rmtree(self.where / "rest")

    def channel(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(self.where / "channel"))
        sock.setblocking(False)
        return sock

    def end(self) -> None:
        if self.pid == 0:
            return
        self.lines.close()
        self.qmp.close()
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)

    def _fsync(self, path: Path) -> None:
        fd = os.open(path, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)


class Bench:
    """The two machines, of which one runs and the other stands still."""

    def __init__(self, ours: LocalDriver, hand: ByHand) -> None:
        self.ours = ours
        self.hand = hand
        self.machine_id = str(uuid.uuid4())
        self.figures: dict[str, list[float]] = defaultdict(list)

    async def start(self) -> None:
        await self.ours.create(self.machine_id, self.hand.spec)
        await self.ours.boot(self.machine_id)
        with await self.ours.open_channel(self.machine_id) as sock:
            await ask(sock, "fill", str(FILL_MIB))
        await self.ours.pause(self.machine_id)
        self.hand.start()
        with self.hand.channel() as sock:
            await ask(sock, "fill", str(FILL_MIB))
        self.hand.execute("stop")

    async def turn_of_ours(self, *, durable: bool) -> None:
        await self.ours.unpause(self.machine_id)
        await self._calm_ours()
        if durable:
            await self._timed("hibernate until durable", self._until_durable())
        else:
            await self._timed("hibernate", self.ours.hibernate(self.machine_id))
        await self.ours.settled(self.machine_id)
        await self._timed("resume", self.ours.resume(self.machine_id))
        await self._calm_ours()
        await self.ours.pause(self.machine_id)

    async def turn_by_hand(self, *, fsync: bool) -> None:
        self.hand.execute("cont")
        await self._calm_hand()
        name = "by hand, fsynced" if fsync else "by hand"
        await self._timed(name, _done(lambda: self.hand.hibernate(fsync=fsync)))
        await self._timed("resume by hand", _done(self.hand.resume))
        await self._calm_hand()
        self.hand.execute("stop")

    async def _until_durable(self) -> None:
        await self.ours.hibernate(self.machine_id)
        marker = self.ours.root / self.machine_id / "rest" / "durable"
        while not os.path.exists(marker):
            await asyncio.sleep(0.001)

    async def _calm_ours(self) -> None:
        with await self.ours.open_channel(self.machine_id) as sock:
            await _calm(sock)
        await self.ours.settled(self.machine_id)

    async def _calm_hand(self) -> None:
        with self.hand.channel() as sock:
            await _calm(sock)

    async def _timed(self, name: str, work: Awaitable[object]) -> None:
        started = time.perf_counter()
        await work
        self.figures[name].append(time.perf_counter() - started)


async def measure(n: int = TURNS) -> list[Figure]:
    """Measure both in turns, after one turn that warms caches."""
    spec = await asyncio.to_thread(tiny_spec, cache_dir(), memory_mib=MEMORY_MIB, vcpus=2)
    with tempfile.TemporaryDirectory(prefix="ona-bench-") as work:
        root, qemu = Path(work) / "machines", Qemu(accelerator="tcg")
        ours = LocalDriver(root, qemu, isolation=isolated(root, qemu))
        bench = Bench(ours, ByHand(Path(work) / "hand", spec))
        try:
            await bench.start()
            for turn in range(-1, 2 * n):
                await bench.turn_of_ours(durable=turn % 2 == 1)
                await bench.turn_by_hand(fsync=turn % 2 == 1)
                if turn == -1:
                    bench.figures.clear()
        finally:
            await ours.destroy(bench.machine_id)
            await ours.close()
            bench.hand.end()
    return _figures(bench.figures)


def _figures(found: dict[str, list[float]]) -> list[Figure]:
    fsynced, bare = found["by hand, fsynced"], found["by hand"]
    return [
        _figure(
            "hibernate until durable",
            found["hibernate until durable"],
            fsynced,
            "the same commands, fsync and rename",
        ),
        replace(
            _figure("hibernate, not yet durable", found["hibernate"], bare, "without fsync"),
            target="",
            note="The turn does not wait for the disk; both keep nothing over a power cut.",
        ),
        _figure("resume", found["resume"], found["resume by hand"], "the same commands"),
    ]


async def _calm(sock: socket.socket) -> None:
    """A machine that was just resumed is busy with itself for a moment."""
    await ask(sock, "echo", "here")
    await asyncio.sleep(CALM_SECONDS)
    await ask(sock, "echo", "there")


async def _done(work: Callable[[], None]) -> None:
    work()


def _figure(name: str, ours: list[float], theirs: list[float], yardstick: str) -> Figure:
    ratio = statistics.median(ours) / statistics.median(theirs)
    return Figure(
        name=f"{name}, {MEMORY_MIB} MiB guest",
        unit="s",
        **spread(ours),
        yardstick=yardstick,
        yardstick_p50=round(statistics.median(theirs), 4),
        ratio=round(ratio, 3),
        target=f"at most {RATIO_MAX} times",
        passed=ratio <= RATIO_MAX,
    )


if __name__ == "__main__":
    for figure in asyncio.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else TURNS)):
        print(json.dumps(asdict(figure), ensure_ascii=False))
