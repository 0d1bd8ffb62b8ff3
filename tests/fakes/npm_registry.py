"""An npm registry on loopback, with packages that tests make up; npm itself speaks to it."""

import base64
import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

VERSION = "1.0.0"


def packed(files: Mapping[str, str]) -> bytes:
    """A package as npm carries it; scripts can be run."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(text.encode())
            member.mode = 0o755 if text.startswith("#!") else 0o600
            member.uid = member.gid = 4711
            archive.addfile(member, io.BytesIO(text.encode()))
    return gzip.compress(data.getvalue(), mtime=0)


def integrity(data: bytes) -> str:
    return f"sha512-{base64.b64encode(hashlib.sha512(data).digest()).decode()}"


@dataclass(kw_only=True)
class Registry:
    """Packages by name, all of VERSION; what was asked for is in `asked`."""

    url: str = ""
    packages: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def add(self, name: str, files: Mapping[str, str]) -> str:
        """Publish a package, or replace it; its hash."""
        manifest = json.dumps({"name": name, "version": VERSION})
        self.packages[name] = packed({"package.json": manifest, **files})
        return integrity(self.packages[name])

    async def about(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        self.asked.append(name)
        if name not in self.packages:
            return web.json_response({"error": "not found"}, status=404)
        dist = {
            "tarball": f"{self.url}{name}/-/{name}-{VERSION}.tgz",
            "integrity": integrity(self.packages[name]),
        }
        version = {"name": name, "version": VERSION, "dist": dist}
        body: dict[str, Any] = {"name": name, "dist-tags": {"latest": VERSION}}
        return web.json_response({**body, "versions": {VERSION: version}})

    async def tarball(self, request: web.Request) -> web.Response:
        return web.Response(body=self.packages[request.match_info["name"]])


@asynccontextmanager
async def npm_registry() -> AsyncIterator[Registry]:
    """Serves until the block ends."""
    registry = Registry()
    app = web.Application()
    app.router.add_get("/{name}", registry.about)
    app.router.add_get("/{name}/-/{file}", registry.tarball)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        registry.url = f"http://{host}:{port}/"
        yield registry
    finally:
        await runner.cleanup()
