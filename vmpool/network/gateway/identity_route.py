"""The route to a session's own identity: tokens by which it shows who it is, for one audience each.

GET /identity/token?audience=<name>     the token, as text
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import parse_qs

from vmpool.network.gateway.http import BadRequest
from vmpool.network.gateway.ports import Identity
from vmpool.network.gateway.routes import Visit

PREFIX = "/identity/"
AUDIENCE_LENGTH_MAX = 200

Tokens = Callable[[Identity, str], Awaitable[str]]
"""The token of a session for an audience.
:raises NoTurn: no turn is running
:raises Refused: its project has none for it"""


@dataclass(frozen=True, kw_only=True)
class IdentityRoute:
    """See the module."""

    tokens: Tokens
    prefix: str = PREFIX
    hosts: tuple[str, ...] = ()

    async def serve(self, visit: Visit) -> None:
        """See `Route`."""
        path, _, query = visit.rest.partition("?")
        asked = parse_qs(query).get("audience", [])
        if visit.request.method != b"GET" or path != "token" or len(asked) != 1:
            raise BadRequest(f"Ask for {PREFIX}token?audience=NAME.", 404)
        (audience,) = asked
        if len(audience) > AUDIENCE_LENGTH_MAX or not audience.isprintable():
            raise BadRequest("That is the name of no audience.")
        await visit.side.answer(200, await self.tokens(visit.who, audience))
