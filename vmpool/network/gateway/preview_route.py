"""The route by which a machine asks for an address under which people see a port of it.

POST /preview/<port>     the address, as text
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from vmpool.network.gateway.http import BadRequest
from vmpool.network.gateway.ports import Identity
from vmpool.network.gateway.routes import Visit
from vmpool.network.policy import PORT_MAX

PREFIX = "/preview/"

Make = Callable[[Identity, int], Awaitable[str]]
"""The address for a session's port.
:raises NoTurn: no turn is running
:raises Refused: it may have none"""


@dataclass(frozen=True, kw_only=True)
class PreviewRoute:
    """See the module."""

    make: Make
    prefix: str = PREFIX
    hosts: tuple[str, ...] = ()

    async def serve(self, visit: Visit) -> None:
        """See `Route`."""
        said = visit.rest
        whole = said.isascii() and said.isdigit() and len(said) <= len(str(PORT_MAX))
        if visit.request.method != b"POST" or not whole or not 0 < int(said) <= PORT_MAX:
            raise BadRequest(f"Post to {PREFIX}PORT, a number from 1 to {PORT_MAX}.", 404)
        await visit.side.answer(200, await self.make(visit.who, int(said)))
