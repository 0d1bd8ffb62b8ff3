"""The fake chat surface as a process: says its address, ends with its standard input.

Its last line says how often it was asked.
"""

import asyncio
import sys

from tests.fakes.chat import ChatServer


async def main() -> None:
    async with ChatServer() as server:
        print(server.url, flush=True)
        await asyncio.to_thread(sys.stdin.read)
        print(len(server.requests), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
