"""The way to a guest's job server, which a test may shut: whoever comes is hung up on then."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from tests.fakes.guest import HostedGuest
from vmpool.channel import Channel, open_machine
from vmpool.ssh import Authority


class JobDoor:
    """Stands before one job server. Made by `job_door`."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._opened = True
        self._through: set[asyncio.StreamWriter] = set()

    def shut(self) -> None:
        """Hang up on everybody, and on whoever comes."""
        self._opened = False
        for writer in self._through:
            writer.close()

    def open(self) -> None:
        """Let everybody through."""
        self._opened = True

    async def come(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Somebody wants to speak to the job server."""
        inside_reader, inside_writer = await asyncio.open_unix_connection(self._server)
        if not self._opened:
            writer.close()
            inside_writer.close()
            return
        self._through |= {writer, inside_writer}
        try:
            await asyncio.gather(_carry(reader, inside_writer), _carry(inside_reader, writer))
        finally:
            self._through -= {writer, inside_writer}


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


@asynccontextmanager
async def job_door(guest: HostedGuest) -> AsyncIterator[tuple[JobDoor, str]]:
    """A door before a guest's job server, and the path of it."""
    door, path = JobDoor(guest.inside.job_server), guest.directory / "run" / "door.sock"
    server = await asyncio.start_unix_server(door.come, str(path))
    try:
        yield door, str(path)
    finally:
        server.close()
        door.shut()


async def through(guest: HostedGuest, path: str, keys: Path) -> Channel:
    """A channel into the guest whose jobs are reached by the door."""
    return await open_machine(
        guest.connect,
        machine_id="m-test",
        token=1,
        generation=1,
        authority=await Authority.load(keys),
        deadline_seconds=30,
        inside=replace(guest.inside, job_server=path),
    )
