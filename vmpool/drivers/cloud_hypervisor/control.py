"""One live Cloud Hypervisor process. See `vmpool.drivers.hypervisor.Control`."""

import json
import os
import shutil
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from vmpool.driver import MachineSpec
from vmpool.drivers.cloud_hypervisor import config, events, vsock
from vmpool.drivers.cloud_hypervisor.api import Api, ApiError
from vmpool.drivers.home import Home
from vmpool.drivers.hypervisor import MoveFailed
from vmpool.rest import MEMORY

API_SOCKET = "api.sock"
EVENTS = "events"
MEMORY_RANGES = "memory-ranges"
"""What a snapshot calls its memory."""
SNAPSHOT_SECONDS_MAX = 300.0
JSON_BYTES_MAX = 16 * 1024 * 1024


def build_name(build: str) -> str:
    """Spell a build as rests are stamped with it."""
    return f"cloud-hypervisor {build}"


class CloudHypervisorControl:
    """Made by `connect`. There is no connection to lose: each request makes its own."""

    closed = False

    def __init__(self, home: Home, api: Api, version: str) -> None:
        self.version = version
        self._home = home
        self._api = api

    @classmethod
    async def connect(cls, home: Home, *, seconds_max: float) -> Self:
        """Ask the process of a machine who it is. See `Hypervisor.connect`."""
        api = Api(lambda: home.connect(API_SOCKET))
        found = await api.ping(seconds_max=seconds_max)
        return cls(home, api, build_name(found.build))

    async def has_machine(self) -> bool:
        """Whether it was booted or restored."""
        return await self._api.state() not in (None, "Created")

    async def boot(self, spec: MachineSpec) -> None:
        """Start the machine from its image."""
        await self._api.create(config.config(spec, self._home))
        await self._api.boot()

    async def is_running(self) -> bool:
        """Whether the virtual CPUs run."""
        return await self._api.state() == "Running"

    async def pause(self) -> None:
        """Stop the virtual CPUs; stopped already is success."""
        await self._unless(self._api.pause, "Paused")

    async def unpause(self) -> None:
        """Let the virtual CPUs go on; running already is success."""
        await self._unless(self._api.resume, "Running")

    async def save(self, into: Path, *, seconds_max: float) -> Sequence[str]:
        """Write a snapshot and make it fit for a resume. See `Control.save`."""
        try:
            await self._api.snapshot(into, seconds_max=seconds_max)
            _make_resumable(into, _memory(self._home))
        except (ApiError, ValueError, KeyError) as error:
            raise MoveFailed(str(error)) from error
        return config.CONFIG, config.STATE

    async def cancel(self) -> None:
        """Wait until a snapshot that may be under way is done: it can't be broken off."""
        await self._api.state(seconds_max=SNAPSHOT_SECONDS_MAX)

    async def load(self, rest: Path, *, seconds_max: float) -> None:
        """Make a paused machine of a rest. See `Control.load`."""
        spec = self._home.read_spec()
        why = spec and config.verify(read_json(rest / config.CONFIG), spec, self._home)
        if why:
            raise MoveFailed(why)
        try:
            await self._api.restore(rest, seconds_max=seconds_max)
        except ApiError as error:
            raise MoveFailed(str(error)) from error

    async def open_channel(self) -> socket.socket:
        """Connect the byte stream. See `Control.open_channel`."""
        return await vsock.open_channel(self._home)

    def farewell(self) -> str | None:
        """What the guest did that ended its machine."""
        return events.farewell(events.read(self._home.path / EVENTS))

    async def drained(self, *, seconds_max: float) -> None:
        """Nothing to do: events lie in a file."""

    async def close(self) -> None:
        """Nothing to do: no connection is kept."""

    async def _unless(self, act: Any, state: str) -> None:
        try:
            await act()
        except ApiError:
            if await self._api.state() != state:
                raise


def _make_resumable(partial: Path, memory: Path) -> None:
    new_config, state = config.resumable(
        read_json(partial / config.CONFIG), read_json(partial / config.STATE), memory=memory
    )
    ranges = partial / MEMORY_RANGES
    if ranges.stat().st_size != new_config["memory"]["zones"][0]["size"]:
        raise ValueError("the snapshot's memory is shorter than the machine's")
    (partial / config.CONFIG).write_text(json.dumps(new_config))
    (partial / config.STATE).write_text(json.dumps(state))
    os.rename(ranges, partial / MEMORY)


def write_clone(template: Path, partial: Path, home: Home) -> Sequence[str]:
    """Write what a clone's resume needs beside its memory; returns the names of the files.

    :param template: the template's complete rest
    :param partial: the clone's partial rest
    """
    found = config.moved(read_json(template / config.CONFIG), home=home, memory=_memory(home))
    (partial / config.CONFIG).write_text(json.dumps(found))
    shutil.copyfile(template / config.STATE, partial / config.STATE)
    return config.CONFIG, config.STATE


def _memory(home: Home) -> Path:
    return home.rest.complete / MEMORY


def read_json(path: Path) -> dict[str, Any]:
    """Read an object of a snapshot, bounded. :raises ValueError: it is none, or too long"""
    if path.stat().st_size > JSON_BYTES_MAX:
        raise ValueError(f"{path.name} is longer than JSON_BYTES_MAX")
    found = json.loads(path.read_text())
    if not isinstance(found, dict):
        raise ValueError(f"{path.name} is not an object")
    return found
