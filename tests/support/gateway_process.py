"""A gateway in a process of its own, among the addresses that a machine must not reach.

Every address of the world answers on some ports with where it was and what it heard, and notes it.
Told what to do by lines of JSON.
"""

import asyncio
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from tests.support.gateway import MemoryNames, Zone, allow, deny
from vmpool.network.gateway import Access, Event, Gateway, Identity
from vmpool.network.gateway.doors import listen
from vmpool.network.namespace import inside
from vmpool.network.policy import Policy
from vmpool.network.slots import NAMESPACES

PORTS = (22, 25, 53, 80, 443, 5432, 8080)


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


def answering(heard: Path) -> Callable[..., Any]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address, port = writer.get_extra_info("sockname")[:2]
        with heard.open("a") as file:
            file.write(f"{address}:{port}\n")
        said = (await reader.read(65536)).decode(errors="replace")
        if port == 80:
            host = next(
                (line for line in said.split("\r\n") if line.lower().startswith("host")), ""
            )
            body = f"{address}:{port} {host[:1].upper()}{host[1:]}"
            body = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        else:
            body = f"{address}:{port} {said}"
        writer.write(body.encode())
        await writer.drain()
        writer.close()

    return answer


async def main() -> None:
    given = json.loads(sys.argv[1])
    process = Process()
    for address in given["world"]:
        for port in PORTS:
            sock = inside(NAMESPACES / given["outside"], partial(listen, address, port))
            await asyncio.start_server(answering(Path(given["heard"])), sock=sock)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(await process.do(json.loads(line))), flush=True)
    await process.gateway.close()


asyncio.run(main())
