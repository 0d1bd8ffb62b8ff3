"""The web server of `ona serve`, which ends when the process is to end."""

import asyncio
import contextlib
from collections.abc import Iterator

import uvicorn
from fastapi import FastAPI

from bot.config import Settings
from bot.web.upgraded import Upgraded

HTTP_STOP_SECONDS = 5


async def serve_http(app: FastAPI, settings: Settings, stop: asyncio.Event) -> None:
    """Answer requests until `stop`; sets it when the server ends."""
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        ws=Upgraded,
        # Any client of this host could say what it wants about itself.
        proxy_headers=False,
        timeout_graceful_shutdown=HTTP_STOP_SECONDS,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    stopping.cancel()
    await serving
    stop.set()


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling: signals are the process's, not the server's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
