"""Requests of machines to us: the protocol at `mcp`, a picture's bytes at `pictures`.

Nothing is answered between turns, not even which tools there are.
"""

from http import HTTPStatus

from bot.errors import NotFound, TellPerson
from bot.work.tools import protocol
from bot.work.tools.calls import Calls
from bot.work.tools.protocol import Asked, Error
from bot.work.tools.updates import Pictures
from vmpool.network.gateway.http import BadRequest
from vmpool.network.gateway.tools_route import Request, Response

MESSAGE_BYTES_MAX = 256 * 1024
"""Of what is no picture."""
JSON = "application/json"
MCP, PICTURES = "mcp", "pictures"
"""Paths below the route's prefix."""


class Serving:
    """Answers the requests of all machines of a host."""

    def __init__(self, calls: Calls, pictures: Pictures) -> None:
        """Nothing is kept between requests."""
        self._calls = calls
        self._pictures = pictures

    async def serve(self, request: Request) -> Response:
        """See `vmpool.network.gateway.tools_route.Serve`."""
        await self._calls.turn_of(request.who)
        if request.path == MCP:
            return await self._message(request)
        if request.path == PICTURES:
            return await self._picture(request)
        raise BadRequest("There is /tools/mcp and /tools/pictures.", HTTPStatus.NOT_FOUND)

    async def _message(self, request: Request) -> Response:
        if request.kind != JSON:
            # A page in a browser could send anything else without asking us before.
            raise BadRequest(f"Send {JSON}.", HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        if len(request.body) > MESSAGE_BYTES_MAX:
            why = f"More than {MESSAGE_BYTES_MAX} bytes are not taken."
            raise BadRequest(why, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        asked = protocol.read(request.body, request.version)
        match asked:
            case Error():
                return Response(status=HTTPStatus.BAD_REQUEST, body=protocol.answer(None, asked))
            case Asked():
                result = await self._result(request, asked)
                return Response(status=HTTPStatus.OK, body=protocol.answer(asked, result))
        return Response(status=HTTPStatus.ACCEPTED)

    async def _result(self, request: Request, asked: Asked) -> protocol.Json | Error:
        match asked.method:
            case "initialize":
                return protocol.initialized(asked.params)
            case "ping":
                return {}
            case "tools/list":
                return protocol.listed([one.listed for one in self._calls.tools.values()])
            case "tools/call":
                return await self._call(request, asked)
        return Error(code=protocol.NO_METHOD, message="there is no such method")

    async def _call(self, request: Request, asked: Asked) -> protocol.Json | Error:
        name, given = asked.params.get("name"), asked.params.get("arguments") or {}
        if not isinstance(name, str) or not isinstance(given, dict):
            return Error(code=protocol.INVALID_PARAMS, message="name or arguments are missing")
        try:
            said, is_error = await self._calls.call(request.who, name, given)
        except NotFound as error:
            return Error(code=protocol.INVALID_PARAMS, message=str(error))
        return protocol.called(said, is_error=is_error)

    async def _picture(self, request: Request) -> Response:
        turn = await self._calls.turn_of(request.who)
        try:
            name = await self._pictures.keep(turn, request.body)
        except TellPerson as error:
            raise BadRequest(f"{error}.", HTTPStatus.UNPROCESSABLE_ENTITY) from error
        return Response(status=HTTPStatus.OK, body=f"{name}\n".encode(), kind="text/plain")
