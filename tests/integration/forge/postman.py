"""Who carries a forge's webhooks to us, and is not to be relied on."""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from io import BytesIO

import aiohttp
from aiohttp import web

from tests.support.serving import served

FATES = ("once", "once", "once", "twice", "late", "overtaken", "lost")
LATE_SECONDS_MAX = 1.5


class Postman:
    """Carries deliveries once, twice, late, after the next one, or never."""

    def __init__(
        self, chance: random.Random, session: aiohttp.ClientSession, fates: Sequence[str]
    ) -> None:
        self.url = ""
        """Of our hook."""
        self.statuses: list[int] = []
        """What we answered."""
        self.carried: list[tuple[Mapping[str, str], bytes]] = []
        """What the forge has handed over."""
        self._chance = chance
        self._fates = fates
        self._session = session
        self._held: list[tuple[Mapping[str, str], bytes]] = []
        self._under_way: set[asyncio.Task[None]] = set()

    async def carry(self, headers: Mapping[str, str], body: bytes) -> None:
        """Take a delivery; what becomes of it the forge never hears."""
        self.carried.append((headers, body))
        fate = self._chance.choice(self._fates)
        if fate == "overtaken":
            self._held.append((headers, body))
            return
        if fate != "lost":
            late = self._chance.uniform(0, LATE_SECONDS_MAX) if fate == "late" else 0
            self._post(headers, body, late)
        if fate == "twice":
            self._post(headers, body, self._chance.uniform(0, LATE_SECONDS_MAX))
        for held in self._held:
            self._post(*held, 0)
        self._held.clear()

    async def post(self, headers: Mapping[str, str], body: bytes) -> tuple[int, str]:
        """Post to our hook what perhaps no forge has sent; what is answered."""
        async with self._session.post(self.url, data=BytesIO(body), headers=headers) as answer:
            return answer.status, await answer.text()

    async def close(self) -> None:
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    def _post(self, headers: Mapping[str, str], body: bytes, late_seconds: float) -> None:
        task = asyncio.create_task(self._carry(headers, body, late_seconds))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _carry(self, headers: Mapping[str, str], body: bytes, late_seconds: float) -> None:
        await asyncio.sleep(late_seconds)
        with suppress(aiohttp.ClientError):
            status, _ = await self.post(headers, body)
            self.statuses.append(status)


@asynccontextmanager
async def postman(chance: random.Random, fates: Sequence[str] = FATES) -> AsyncIterator[Postman]:
    async with aiohttp.ClientSession() as session:
        made = Postman(chance, session, fates)
        try:
            yield made
        finally:
            await made.close()


@asynccontextmanager
async def letter_box(carries: Postman) -> AsyncIterator[str]:
    """The address of a hook whose deliveries are the postman's."""

    async def take(request: web.Request) -> web.Response:
        kept = ("content-length", "host", "accept-encoding")
        headers = {k: v for k, v in request.headers.items() if k.lower() not in kept}
        await carries.carry(headers, await request.read())
        return web.Response(status=204)

    application = web.Application(client_max_size=64 * 1024 * 1024)
    application.router.add_post("/", take)
    async with served(application) as url:
        yield f"{url}/"
