"""The commands that run processes: up, serve, work, migrate."""

import asyncio
import os
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import typer

from bot.config import Settings, load
from bot.errors import WrongSettings
from bot.logs import configure


def up() -> None:
    """Run everything on this machine: database, service, machines. Ctrl-C stops all of it."""
    from bot.up import up as run

    settings = _settings()
    asyncio.run(run(settings, Path.cwd(), typer.echo))


def serve() -> None:
    """Run pages, API and replies; needs ONA_DATABASE__URL. Any number of processes may."""
    from bot.app import serve as run

    settings = _settings()
    _run(run(settings, _url(settings)))


def work() -> None:
    """Run turns and the machines of this host; needs ONA_DATABASE__URL. One process a host."""
    from bot.host import NICENESS
    from bot.host import work as run

    settings = _settings()
    os.nice(NICENESS)
    _run(run(settings, _url(settings)))


def migrate() -> None:
    """Bring the database at ONA_DATABASE__URL to this version's tables."""
    from bot.store.migrate import upgrade

    upgrade(_url(_settings()))
    typer.echo("The tables are up to date.")


def _settings() -> Settings:
    settings = load()
    configure(settings.log)
    return settings


def _url(settings: Settings) -> str:
    if settings.database.url is None:
        raise WrongSettings(
            "ONA_DATABASE__URL is not set",
            do="set it to a PostgreSQL 15+, or run `ona up`, which brings its own",
        )
    return settings.database.url.get_secret_value()


def _run(process: Coroutine[Any, Any, None]) -> None:
    asyncio.run(process)
