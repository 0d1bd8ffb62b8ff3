"""`make bench`: every measurement one after the other, then the page and the JSON.

`python -m tests.bench queue` or `rest` measures one part and prints it, and writes nothing.
"""

import asyncio
import itertools
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path

from bot.store.embedded import EmbeddedPostgres
from bot.store.migrate import upgrade
from tests.bench import queue, rest
from tests.bench.figures import Figure, write
from tests.support.postgres import TestServer


@asynccontextmanager
async def _databases() -> AsyncIterator[Callable[[], str]]:
    """Makes fresh databases on a server with the product's settings: fsync costs what it costs."""
    with tempfile.TemporaryDirectory(prefix="ona-bench-postgres-") as directory:
        postgres = EmbeddedPostgres(Path(directory))
        await postgres.start()
        server = TestServer(maintenance_url=postgres.maintenance_url())
        server.execute("CREATE DATABASE template")
        await asyncio.to_thread(upgrade, server.url_of("template"))
        numbers = itertools.count()

        def make() -> str:
            name = f"bench{next(numbers)}"
            server.execute(f"CREATE DATABASE {name} TEMPLATE template")
            return server.url_of(name)

        try:
            yield make
        finally:
            await postgres.stop()


async def _queue() -> list[Figure]:
    async with _databases() as make_url:
        return [
            await queue.throughput(make_url),
            *await queue.accept(make_url),
            await queue.claim(make_url),
        ]


PARTS: dict[str, Callable[[], Awaitable[list[Figure]]]] = {"queue": _queue, "rest": rest.measure}


async def main(names: Sequence[str]) -> int:
    """Measure the parts; 0 done, 2 there is no such part. A missed target is no failure."""
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        print(f"no part {', '.join(unknown)}; there are: {', '.join(PARTS)}", file=sys.stderr)
        return 2
    figures: list[Figure] = []
    for name in names or PARTS:
        print(f"measuring: {name} …", flush=True)
        found = await PARTS[name]()
        for figure in found:
            print(json.dumps(asdict(figure), ensure_ascii=False), flush=True)
        figures += found
    if not names:
        write(figures)
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
