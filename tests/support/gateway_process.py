"""A gateway in a process of its own, among the addresses that a machine must not reach.

Every address of the world answers on some ports with where it was and what it heard, and notes it.
Told what to do by lines of JSON.
"""

import asyncio
import json
import re
import socket
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from tests.support.gateway import MemoryNames, Zone, allow, deny
from vmpool.network.gateway import Access, Event, Gateway, Identity
from vmpool.network.namespace import inside
from vmpool.network.policy import Policy
from vmpool.network.slots import NAMESPACES

PORTS = (22, 25, 53, 80, 443, 5432, 8080)
HAS_BODY = re.compile(rb"(content-length: [1-9]\d*|chunked)\r\n(.+\r\n)*\r\n\Z", re.IGNORECASE)
"""The head of a request that has one, and nothing of it yet."""


class Process:
    def __init__(self) -> None:
        self.zone = Zone()
        self.names = MemoryNames()
        self.policies: dict[UUID, Policy] = {}
        self.gateway = self._gateway()

    def _gateway(self) -> Gateway:
        return Gateway(access=self._access, audit=self._audit, names=self.names, resolve=self.zone)

    async def _access(self, who: Identity) -> Access:
        return Access(self.policies[who.machine])

    def _audit(self, event: Event) -> None:
        print(event.way, event.reason, file=sys.stderr)

    async def do(self, words: dict[str, Any]) -> object:
        machine = UUID(int=words.get("machine", 0))
        match words["do"]:
            case "ready":
                return "ready"
            case "attach":
                self.zone.hosts |= words["zone"]
                self.zone.one_by_one |= set(words["one_by_one"])
                self.policies[machine] = Policy(
                    rules=(
                        *deny(*words["denied"]),
                        *allow(*words["rules"], *words["addresses"]),
                    ),
                    services=allow(*words["services"]),
                )
                await self.gateway.attach(Path(words["where"]), Identity(machine=machine))
                return "attached"
            case "detach":
                await self.gateway.detach(machine)
                return "detached"
            case "restart":
                await self.gateway.close()
                self.gateway = self._gateway()
                return "restarted"
            case "asked":
                return self.zone.asked
        return None


def web(said: str, at: str) -> str:
    """Where it was and which host was asked for; or `/moved?…`, to where it says."""
    _, moved, where = said.partition("\r\n")[0].partition("/moved?")
    if moved:
        to = where.partition(" ")[0]
        return f"HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n"
    host = next((line for line in said.split("\r\n") if line.lower().startswith("host")), "")
    body = f"{at} {host[:1].upper()}{host[1:]}"
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}"


def answering(heard: Path) -> Callable[..., Any]:
    def note(**words: str) -> None:
        with heard.open("a") as file:
            file.write(json.dumps(words) + "\n")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address, port = writer.get_extra_info("sockname")[:2]
        at = f"{address}:{port}"
        note(at=at)
        got = await reader.read(65536)
        if HAS_BODY.search(got):
            got += await reader.read(65536)
        said = got.decode(errors="replace")
        note(at=at, said=said)
        body = web(said, at) if port == 80 else f"{at} {said}"
        writer.write(body.encode())
        await writer.drain()
        writer.close()

    return answer


def _listen(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return socket.create_server((address, port), family=family)


async def main() -> None:
    given = json.loads(sys.argv[1])
    process = Process()
    answer, world = answering(Path(given["heard"])), NAMESPACES / given["outside"]
    for port in PORTS:
        await asyncio.start_server(answer, given["own"], port)
        for address in given["world"]:
            sock = inside(world, partial(_listen, address, port))
            await asyncio.start_server(answer, sock=sock)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(await process.do(json.loads(line))), flush=True)
    await process.gateway.close()


asyncio.run(main())
