"""The guest: what `tests.fakes.tiny_guest` answers, over hybrid vsock, its CPUs stopped or not."""

import asyncio
import os
import uuid
from collections.abc import Callable, Coroutine
from contextlib import suppress

from tests.fakes.cloud_hypervisor.memory import Disk, Memory
from tests.fakes.cloud_hypervisor.words import GUEST_PORT

FIRST_PORT = 1 << 30
"""Of the host, in every process; one more with each attempt, also with one that failed."""
BOOT_SECONDS = 0.05
TICK_SECONDS = 0.1
LINE_BYTES_MAX = 64 * 1024


class Guest:
    """One booted or restored system. Its variables are in its memory and nowhere else."""

    def __init__(self, memory: Memory, disk: Disk | None, end: Callable[[str], None]) -> None:
        """`end` is told `reboot`, `panic` or `off`."""
        self._memory = memory
        self._disk = disk
        self._end = end
        self._running = asyncio.Event()
        self._up = asyncio.Event()
        self._listening = True
        self._local_port = FIRST_PORT
        self._connected: set[int] = set()
        self._left: set[int] = set()
        """Ports of connections that its memory still holds: who was there when it was saved."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._living: list[asyncio.Task[None]] = []
        self._ops: dict[tuple[str, int], Callable[..., str]] = {
            ("echo", 1): lambda text: text,
            ("count", 0): lambda: self._field("count"),
            ("boot", 0): lambda: self._field("boot"),
            ("write", 2): self._write,
            ("read", 1): self._read,
            ("fill", 1): self._fill,
            ("sum", 0): self._sum,
            ("noise", 1): lambda mib: "x" * (int(mib) << 20),
            ("random", 1): lambda count: os.urandom(int(count)).hex(),
            ("panic", 0): lambda: self._ends("panic"),
            ("reboot", 0): lambda: self._ends("reboot"),
            ("off", 0): lambda: self._ends("off"),
        }

    # -- life -------------------------------------------------------------------------------

    def boot(self) -> None:
        """Begin anew, whatever ran before."""
        for task in self._living:
            task.cancel()
        self._up.clear()
        self._memory.put({"boot": str(uuid.uuid4()), "count": 1})
        self._living = [self._do(self._come_up()), self._do(self._tick())]

    def restore(self, connections: list[int]) -> None:
        """Go on where the memory says; `connections` as they were then."""
        self._left = set(connections)
        self._up.set()
        self._living = [self._do(self._tick())]

    async def _come_up(self) -> None:
        await self._running.wait()
        await asyncio.sleep(BOOT_SECONDS)
        print("tiny guest is up", flush=True)
        self._up.set()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            await self._running.wait()
            record = self._memory.get()
            self._memory.put({**record, "count": record.get("count", 0) + 1})

    def run(self) -> None:
        """Let the CPUs go on."""
        self._memory.touch()
        self._running.set()

    def connections(self) -> list[int]:
        """Who is connected, by the port of the host: a snapshot holds them."""
        return sorted(self._connected)

    def pause(self) -> None:
        """Stop them."""
        self._running.clear()

    def close(self) -> None:
        """End it: whoever is connected sees that."""
        for task in self._tasks:
            task.cancel()
        for writer in self._writers:
            writer.close()

    def _do(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # -- the channel ------------------------------------------------------------------------

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Somebody connected to the unix socket."""
        self._writers.add(writer)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                if await self._accepted(reader, writer):
                    await self._serve(reader, writer)
        finally:
            self._tasks.discard(task)
            self._writers.discard(writer)
            writer.close()

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        line = await reader.readline()
        port = self._local_port
        self._local_port += 1
        # Before its driver is up, and while it is paused, the guest says nothing at all; who came
        # before it was up is then closed without a word.
        is_early = not self._up.is_set()
        await self._up.wait()
        await self._running.wait()
        if is_early:
            return False
        if port in self._left:
            # Its process counts from the start, and the guest takes it for who was there before.
            self._left.remove(port)
            return False
        if line != f"CONNECT {GUEST_PORT}\n".encode() or not self._listening or reader.at_eof():
            return False
        self._listening = False
        writer.write(f"OK {port}\n".encode())
        self._connected.add(port)
        return True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                await self._running.wait()
                op, nonce, *words = line.decode().rstrip("\n").split(" ")
                writer.write(f"{nonce} {self._answer(op, words)}\n".encode())
                await writer.drain()
        finally:
            self._listening = True
            self._connected.clear()

    def _answer(self, op: str, words: list[str]) -> str:
        act = self._ops.get((op, len(words)))
        return "what" if act is None else act(*words)

    def _field(self, name: str) -> str:
        return str(self._memory.get()[name])

    def _write(self, name: str, text: str) -> str:
        assert self._disk is not None
        self._disk.write({**self._disk.files(), name: text})
        return "ok"

    def _read(self, name: str) -> str:
        assert self._disk is not None
        return self._disk.files().get(name, "")

    def _fill(self, mib: str) -> str:
        self._memory.fill(int(mib))
        self._memory.put({**self._memory.get(), "filled": int(mib)})
        return "ok"

    def _sum(self) -> str:
        return f"{self._memory.sum(int(self._memory.get().get('filled', 0)))}  -"

    def _ends(self, how: str) -> str:
        self._end(how)
        return ""
