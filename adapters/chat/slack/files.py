"""Fetches files that stand beside messages of Slack."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from adapters.chat.calling import under
from adapters.chat.files import FETCH_SECONDS, FileNotFetched, Ref, fetch, not_in_time
from adapters.chat.incoming import Attached
from adapters.chat.port import ChatError, Deadline

HOSTS = ".slack.com"


class Files:
    """The files of one workspace."""

    def __init__(self, session: aiohttp.ClientSession, token: str, *, api: str) -> None:
        """`session` as made by `calls.open_session`; `api` is where the Web API is."""
        self._session = session
        self._token = token
        self._api = urlsplit(api)

    def beside(self, key: str, message: Mapping[str, Any]) -> list[Ref]:
        """The files of one message."""
        return [
            Ref(
                key=key,
                name=str(one.get("name") or one.get("title") or "file"),
                size=int(one.get("size") or 0),
                fetch=partial(self._fetch, one),
            )
            for one in message.get("files") or ()
            if one.get("mode") != "tombstone"
        ]

    async def read(self, refs: Sequence[Ref]) -> tuple[Attached, ...]:
        """What is in them, as far as it fits and comes in time."""
        if not refs:
            return ()
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                return await fetch(refs)
        except TimeoutError:
            return not_in_time(refs)

    async def _fetch(self, file: Mapping[str, Any], bytes_max: int) -> bytes:
        url = str(file.get("url_private_download") or file.get("url_private") or "")
        if not self._is_slacks(url):
            raise FileNotFetched("it is not kept by Slack")
        headers = {"Authorization": f"Bearer {self._token}"}
        try:
            async with (
                under(Deadline.after(FETCH_SECONDS), "Slack"),
                self._session.get(url, headers=headers, allow_redirects=False) as answer,
            ):
                # Whoever may not read it is shown a page to sign in.
                page = answer.content_type == "text/html"
                if answer.status != 200 or (page and file.get("mimetype") != "text/html"):
                    raise FileNotFetched("Slack did not give it")
                return await _bounded(answer.content, bytes_max)
        except ChatError as error:
            raise FileNotFetched(str(error)) from error

    def _is_slacks(self, url: str) -> bool:
        """Whether our token may be shown there."""
        there = urlsplit(url)
        if there.netloc == self._api.netloc:
            return there.scheme == self._api.scheme
        return there.scheme == "https" and f".{there.hostname or ''}".endswith(HOSTS)


async def _bounded(content: aiohttp.StreamReader, bytes_max: int) -> bytes:
    """All of it, or one byte more than `bytes_max`."""
    data = b""
    while len(data) <= bytes_max and (piece := await content.read(bytes_max + 1 - len(data))):
        data += piece
    return data
