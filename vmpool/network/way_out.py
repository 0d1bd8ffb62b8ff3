"""Who serves the network slots of machines; the gateway does, where there is one."""

from pathlib import Path
from typing import Protocol
from uuid import UUID


class WayOut(Protocol):
    """Listens in the slots of machines."""

    async def serve(self, machine: UUID, where: Path) -> None:
        """Serve a machine in its slot's namespace; a call for another slot moves it there.

        :raises OSError: there is no such namespace, or somebody listens in it
        """

    async def leave(self, machine: UUID, where: Path) -> None:
        """Serve it there no more; it may be served elsewhere already."""
