"""Who people and channels of a workspace are, asked of Slack and remembered for a few minutes."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from slack_sdk.web.async_client import AsyncWebClient

from adapters.chat.incoming import Author, Standing
from adapters.chat.port import Deadline, Gone, Rejected
from adapters.chat.slack.calls import call
from adapters.chat.slack.markup import mentions, plain

KEPT_SECONDS = 300.0
KEPT_MAX = 2_000
ASK_SECONDS = 2.5
"""Slack waits three seconds for our acknowledgement."""

NAMES_MAX = 20
"""Mentioned people of one message whose names are looked up."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Ourselves:
    """The bot in its workspace."""

    team: str
    user: str
    name: str


class Directory:
    """Looks people and channels up; what Slack does not tell counts as foreign."""

    def __init__(self, client: AsyncWebClient, ourselves: Ourselves) -> None:
        """`client` as made by `calls.client`."""
        self._client = client
        self._ourselves = ourselves
        self._people: _Kept[Author] = _Kept()
        self._shared: _Kept[bool] = _Kept()

    async def author(self, user: str) -> Author:
        """Who `user` is. :raises ChatError: Slack can't be asked now"""
        return await self._people.get(user, lambda: self._ask_person(user))

    async def is_shared(self, channel: str) -> bool:
        """Whether people of other organisations read the channel, or that can't be known."""
        return await self._shared.get(channel, lambda: self._ask_shared(channel))

    async def plain(self, text: str) -> str:
        """What a message says as people read it. :raises ChatError: Slack can't be asked now"""
        us = self._ourselves
        names = {us.user: us.name}
        for user in dict.fromkeys(mentions(text)):
            if user not in names and len(names) <= NAMES_MAX:
                names[user] = (await self.author(user)).name
        return plain(text, lambda user: names.get(user, user))

    async def _ask_person(self, user: str) -> Author:
        team = self._ourselves.team
        try:
            answer = await call(
                Deadline.after(ASK_SECONDS),
                lambda: self._client.users_info(user=user, include_locale=True),
            )
        except (Rejected, Gone):
            return Author(account=team, id=user, name=user, standing="stranger")
        profile = answer["user"]
        return Author(
            account=team,
            id=user,
            name=_name(profile) or user,
            standing=standing(profile, team),
            zone=profile.get("tz"),
            locale=profile.get("locale"),
        )

    async def _ask_shared(self, channel: str) -> bool:
        try:
            answer = await call(
                Deadline.after(ASK_SECONDS),
                lambda: self._client.conversations_info(channel=channel),
            )
        except (Rejected, Gone):
            return True
        found = answer["channel"]
        return any(found.get(flag) for flag in ("is_ext_shared", "is_pending_ext_shared"))


def standing(profile: dict[str, Any], team: str) -> Standing:
    """How a workspace knows the person with this profile; pure."""
    if profile.get("is_bot") or profile.get("id") == "USLACKBOT":
        return "bot"
    if profile.get("is_stranger") or profile.get("deleted"):
        return "stranger"
    if profile.get("team_id") not in (None, team):
        return "stranger"
    if profile.get("is_restricted") or profile.get("is_ultra_restricted"):
        return "guest"
    return "member"


def _name(profile: dict[str, Any]) -> str:
    inner = profile.get("profile") or {}
    names = (inner.get("display_name"), profile.get("real_name"), profile.get("name"))
    return next((str(name) for name in names if name), "")


class _Kept(Generic[T]):
    """Answers that are used again for a while; the oldest go first."""

    def __init__(self) -> None:
        self._answers: dict[str, tuple[float, T]] = {}

    async def get(self, key: str, ask: Callable[[], Awaitable[T]]) -> T:
        known = self._answers.get(key)
        if known is not None and time.monotonic() - known[0] < KEPT_SECONDS:
            return known[1]
        answer = await ask()
        self._answers.pop(key, None)
        while len(self._answers) >= KEPT_MAX:
            del self._answers[next(iter(self._answers))]
        self._answers[key] = (time.monotonic(), answer)
        return answer
