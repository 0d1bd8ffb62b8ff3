"""Our application: what its settings page says, and where it is installed."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.fakes.slack.people import Person
    from tests.fakes.slack.world import Workspace

DEFAULT_SCOPES = frozenset(
    (
        "app_mentions:read",
        "assistant:write",
        "channels:history",
        "channels:join",
        "channels:read",
        "chat:write",
        "commands",
        "files:read",
        "files:write",
        "groups:history",
        "groups:read",
        "im:history",
        "im:read",
        "im:write",
        "mpim:history",
        "mpim:read",
        "mpim:write",
        "reactions:read",
        "reactions:write",
        "team:read",
        "users:read",
    )
)
DEFAULT_SUBSCRIPTIONS = frozenset(
    (
        "agent_session_stopped",
        "agent_session_title_changed",
        "app_home_opened",
        "app_mention",
        "app_uninstalled",
        "channel_archive",
        "channel_left",
        "channel_unarchive",
        "file_shared",
        "group_archive",
        "group_left",
        "member_joined_channel",
        "member_left_channel",
        "message.channels",
        "message.groups",
        "message.im",
        "message.mpim",
        "reaction_added",
        "reaction_removed",
        "tokens_revoked",
    )
)


@dataclass
class Stamps:
    """The ids and timestamps of one Slack; a timestamp is never given twice."""

    _last: int = 0
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def ts(self) -> str:
        self._last = max(int(time.time() * 1e6), self._last + 1)
        return f"{self._last // 1_000_000}.{self._last % 1_000_000:06d}"

    def new(self, prefix: str) -> str:
        return f"{prefix}0{next(self._numbers):07d}"


@dataclass(kw_only=True, eq=False)
class App:
    """Our application as its settings page has it."""

    id: str
    name: str = "ona"
    signing_secret: str = "8f742231b10e8888abcd99yyyzzz85a5"
    verification_token: str = "one-long-verification-token"
    app_tokens: dict[str, frozenset[str]] = field(default_factory=dict)
    """Each `xapp-` token with its scopes."""
    subscriptions: set[str] = field(default_factory=lambda: set(DEFAULT_SUBSCRIPTIONS))
    is_agent: bool = True
    request_url: str | None = None
    """Where events go over HTTP; None: Socket Mode."""

    @property
    def token(self) -> str:
        return next(iter(self.app_tokens))


@dataclass(kw_only=True, eq=False)
class Install:
    """The app in one workspace."""

    app: App
    team: Workspace
    user: Person
    bot_id: str
    token: str
    scopes: set[str]
    revoked: bool = False

    @property
    def mention(self) -> str:
        return self.user.mention

    def profile(self) -> dict[str, Any]:
        return {
            "id": self.bot_id,
            "deleted": self.revoked,
            "name": self.app.name,
            "updated": 1,
            "app_id": self.app.id,
            "user_id": self.user.id,
            "icons": {"image_36": "https://a.example/36.png"},
            "team_id": self.team.id,
        }
