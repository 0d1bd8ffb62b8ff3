"""A web server, a relay and a pool on one database: what a visit to a machine goes through."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.govern.visit_grants import Verifier, read_key
from bot.store.database import Database
from bot.work.relay import Relay, RelayLimits
from tests.integration.web.site import Site
from vmpool.pool import Pool
from vmpool.registry import Registry
from vmpool.ssh import AGENT, Authority

LIMITS = RelayLimits(connections_max=50, session_connections_max=20, idle_seconds=100)
SECONDS = 100


@dataclass(frozen=True, kw_only=True)
class Ran:
    """A command that ended."""

    status: int
    out: str
    err: str


@asynccontextmanager
async def relay_running(
    site: Site,
    directory: Path,
    *,
    pool: Pool,
    registry: Registry,
    authority: Authority,
    limits: RelayLimits = LIMITS,
    user: str = AGENT,
    **more: Any,
) -> AsyncIterator[Relay]:
    """The relay of the site's host, as its `ona work` would have it, known in the database."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "host-id").write_text(f"{site.host_id}\n")
    key = await read_key(site.database)
    relay = Relay(pool.visits, registry, authority, Verifier(key), limits, user=user)
    socket = directory / "relay.sock"
    async with relay.listen(socket, **more) as port:
        await say_relay(site.database, site, socket, f"127.0.0.1:{port}" if port else "")
        yield relay


async def say_relay(
    database: Database, site: Site, socket: Path, address: str = "", fingerprint: str = ""
) -> None:
    """What the database says of it."""
    await site.rows("DELETE FROM relay")
    await site.rows(
        "INSERT INTO relay (host_id, socket, address, fingerprint) VALUES (:h, :s, :a, :f)",
        h=site.host_id,
        s=str(socket),
        a=address,
        f=fingerprint,
    )


async def ona(site: Site, *arguments: str, token: str = "", home: Path | None = None) -> Ran:
    """`ona …` on somebody's laptop, as a process."""
    environment = {**os.environ, "ONA_URL": site.url, "ONA_TOKEN": token or site.token}
    if home is not None:
        environment["HOME"] = str(home)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bot",
        *arguments,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(SECONDS):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return Ran(status=process.returncode, out=out.decode(), err=err.decode())
