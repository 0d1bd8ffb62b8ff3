"""Who serves machines their way out, in slots or over channels: the gateway, if there is one."""

import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol
from uuid import UUID

Listen = Callable[[str, int, Callable[[socket.socket], None]], Awaitable[None]]
"""Listens at an address and port inside a machine, and gives each connection to somebody."""


class WayOut(Protocol):
    """Listens in the slots of machines."""

    async def serve(self, machine: UUID, where: Path) -> None:
        """Serve a machine in its slot's namespace; a call for another slot moves it there.

        :raises OSError: there is no such namespace, or somebody listens in it
        """

    async def leave(self, machine: UUID, where: Path) -> None:
        """Serve it there no more; it may be served elsewhere already."""


class WayOverChannel(Protocol):
    """Listens in machines that have no network device."""

    async def serve_over(self, machine: UUID, listen: Listen) -> None:
        """Serve a machine over a new channel, in place of an earlier one.

        :raises MachineLost: it can't be listened there
        """

    async def detach(self, machine: UUID) -> None:
        """Serve it no more; none served is success."""
