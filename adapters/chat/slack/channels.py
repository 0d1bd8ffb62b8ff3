"""Which channels somebody is in, by their names."""

from typing import Any

from slack_sdk.web.async_client import AsyncWebClient

from adapters.chat.port import Deadline
from adapters.chat.slack.calls import call

PAGE = 200
PAGES_MAX = 10
"""Of the channels of one person; in more nobody is found by name."""


async def channel_of(
    client: AsyncWebClient, person: str, name: str, deadline: Deadline
) -> str | None:
    """Id of the channel of that name or id that the person is in. :raises ChatError:"""
    cursor = ""
    for _page in range(PAGES_MAX):
        page = await call(deadline, lambda: _channels(client, person, cursor))  # noqa: B023
        for channel in page["channels"]:
            known = {str(channel.get("name", "")).casefold(), channel["id"].casefold()}
            if name.casefold() in known:
                return str(channel["id"])
        cursor = (page.get("response_metadata") or {}).get("next_cursor") or ""
        if not cursor:
            break
    return None


async def _channels(client: AsyncWebClient, person: str, cursor: str) -> Any:
    return await client.users_conversations(
        user=person,
        types="public_channel,private_channel,mpim",
        exclude_archived=True,
        limit=PAGE,
        cursor=cursor or None,
    )
