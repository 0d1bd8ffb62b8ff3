"""A Slack app that does nothing: `python -m tests.bench.bare_slack BOT_TOKEN APP_TOKEN API`."""

import asyncio
import re
import sys

from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient


async def main(bot_token: str, app_token: str, api: str) -> None:
    client = AsyncWebClient(token=bot_token, base_url=api)
    app = AsyncApp(client=client, signing_secret="none", process_before_response=True)

    @app.event(re.compile(".*"))
    async def nothing() -> None:
        """Acknowledge it."""

    handler = AsyncSocketModeHandler(app, app_token, web_client=client)
    await handler.start_async()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
