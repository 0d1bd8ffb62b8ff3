"""One live Cloud Hypervisor process. See `vmpool.drivers.hypervisor.Control`."""

import asyncio
import errno
import json
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from vmpool.driver import MachineSpec
from vmpool.drivers.cloud_hypervisor import config, events, snapshot, vsock
from vmpool.drivers.cloud_hypervisor.api import Api, ApiError
from vmpool.drivers.home import SAVING, Home, remove_tree
from vmpool.drivers.hypervisor import MoveFailed

API_SOCKET = "api.sock"
EVENTS = "events"
SNAPSHOT_SECONDS_MAX = 300.0


def build_name(build: str) -> str:
    """Spell a build as rests are stamped with it."""
    return f"cloud-hypervisor {build}"


class CloudHypervisorControl:
    """Made by `connect`. There is no connection to lose: each request makes its own."""

    closed = False

    def __init__(self, home: Home, api: Api, version: str, *, network: bool) -> None:
        self.version = version
        self._network = network
        self._home = home
        self._api = api

    @classmethod
    async def connect(cls, home: Home, *, network: bool, seconds_max: float) -> Self:
        """Ask the process of a machine who it is. See `Hypervisor.connect`."""
        api = Api(lambda: home.connect(API_SOCKET))
        found = await api.ping(seconds_max=seconds_max)
        return cls(home, api, build_name(found.build), network=network)

    async def has_machine(self) -> bool:
        """Whether it was booted or restored."""
        return await self._api.state() not in (None, "Created")

    async def boot(self, spec: MachineSpec) -> None:
        """Start the machine from its image."""
        snapshot.make_memory(self._home, spec.memory_mib)
        await self._api.create(config.config(spec, network=self._network))
        await self._api.boot()

    async def pause(self) -> bool:
        """Stop the virtual CPUs; stopped already is success. Whether they ran."""
        return await self._unless(self._api.pause, "Paused")

    async def unpause(self) -> None:
        """Let the virtual CPUs go on; running already is success."""
        await self._unless(self._api.resume, "Running")

    async def save(self, into: Path, *, seconds_max: float) -> Sequence[str]:
        """Write a snapshot and complete it. See `Control.save`."""
        try:
            await asyncio.to_thread(snapshot.prepare, self._home)
            await self._api.snapshot(snapshot.url(SAVING), seconds_max=seconds_max)
            return await asyncio.to_thread(snapshot.keep, self._home, into, self._spec())
        except json.JSONDecodeError as error:
            # A full disk cuts its files short, and it says that all is well.
            raise MoveFailed(f"{os.strerror(errno.ENOSPC)}, its files were cut short") from error
        except (ApiError, OSError, ValueError, KeyError) as error:
            raise MoveFailed(str(error)) from error

    async def cancel(self) -> None:
        """Wait until a snapshot that may be under way is done: it can't be broken off."""
        await self._api.state(seconds_max=SNAPSHOT_SECONDS_MAX)
        await asyncio.to_thread(snapshot.end, self._home)

    async def load(self, rest: Path, *, seconds_max: float) -> None:
        """Make a paused machine of a rest. See `Control.load`."""
        try:
            spec = self._spec()
            found = snapshot.read_json(rest / config.CONFIG)
            if why := config.verify(found, spec, network=self._network):
                raise MoveFailed(why)
            machine = config.config(spec, network=self._network)
            name = await asyncio.to_thread(snapshot.lay_out, rest, self._home, machine)
            await self._api.restore(snapshot.url(name), seconds_max=seconds_max)
        except (ApiError, OSError, ValueError, KeyError) as error:
            raise MoveFailed(str(error)) from error
        await asyncio.to_thread(remove_tree, self._home.cell / name)

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

    def _spec(self) -> MachineSpec:
        """:raises ValueError: it can't be read"""
        spec = self._home.read_spec()
        if spec is None:
            raise ValueError("the machine was half created or half removed")
        return spec

    async def _unless(self, act: Any, state: str) -> bool:
        """Do it, unless the machine is in that state already; whether it was done."""
        try:
            await act()
        except ApiError:
            if await self._api.state() != state:
                raise
            return False
        return True
