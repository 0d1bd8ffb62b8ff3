"""A web application as people develop them, for previews to show: a page, a WebSocket, uploads."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
PAGE = """<!doctype html><title>previewed</title><h1>Hello from the machine</h1>
<p id="said">nothing yet</p><p id="cookie"></p>
<script>
  document.getElementById("cookie").textContent = document.cookie;
  const socket = new WebSocket(`ws://${location.host}/socket`);
  socket.onopen = () => socket.send("ping");
  socket.onmessage = (event) => { document.getElementById("said").textContent = event.data; };
</script>
"""


@dataclass(kw_only=True)
class App:
    """What listens, and what it was asked."""

    port: int
    heads: list[dict[str, str]] = field(default_factory=list)


@asynccontextmanager
async def previewed_app() -> AsyncIterator[App]:
    """Listens on a port of this host's loopback while inside."""
    app, asked = web.Application(client_max_size=64 * 1024 * 1024), App(port=0)

    @web.middleware
    async def note(request: web.Request, handler: Handler) -> web.StreamResponse:
        asked.heads.append({name.lower(): value for name, value in request.headers.items()})
        return await handler(request)

    app.middlewares.append(note)
    app.router.add_get("/", _page)
    app.router.add_get("/socket", _socket)
    app.router.add_get("/moved", _moved(asked))
    app.router.add_get("/events", _events)
    app.router.add_post("/upload", _upload)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    asked.port = runner.addresses[0][1]
    try:
        yield asked
    finally:
        await runner.cleanup()


async def _page(_: web.Request) -> web.Response:
    answer = web.Response(text=PAGE, content_type="text/html")
    answer.headers.add("Set-Cookie", "theirs=1; Path=/; Domain=preview.localhost")
    answer.headers.add("Set-Cookie", "ona_preview=forged; Path=/")
    answer.headers["Strict-Transport-Security"] = "max-age=9; includeSubDomains"
    answer.headers["Clear-Site-Data"] = '"cookies"'
    return answer


async def _socket(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            await socket.send_str(f"heard {message.data}")
    return socket


def _moved(asked: App) -> Handler:
    async def moved(_: web.Request) -> web.StreamResponse:
        return web.Response(
            status=302, headers={"Location": f"http://localhost:{asked.port}/?a=1#b"}
        )

    return moved


async def _events(request: web.Request) -> web.StreamResponse:
    """Says one thing, and then nothing until whoever listens is gone."""
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await answer.prepare(request)
    await answer.write(b"data: first\n\n")
    while request.transport is not None and not request.transport.is_closing():
        await asyncio.sleep(0.05)
    return answer


async def _upload(request: web.Request) -> web.Response:
    count = 0
    async for chunk in request.content.iter_any():
        count += len(chunk)
    return web.json_response({"bytes": count})
