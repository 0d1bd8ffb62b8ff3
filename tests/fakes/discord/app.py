"""An app with its bot user: what is set up in the developer portal."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from tests.fakes.discord.intents import PRIVILEGED, Intent
from tests.fakes.discord.world import User

FLAG_MESSAGE_CONTENT_LIMITED = 1 << 19
FLAG_GUILD_MEMBERS_LIMITED = 1 << 15
SESSION_STARTS_A_DAY = 1000
DAY_SECONDS = 86_400.0


@dataclass(kw_only=True, eq=False)
class App:
    """Its id is its bot user's."""

    user: User
    token: str
    privileged: int = int(PRIVILEGED)
    """The privileged intents that are switched on."""
    commands: dict[int | None, list[dict]] = field(default_factory=dict)
    """By guild; None: everywhere."""
    session_starts_max: int = SESSION_STARTS_A_DAY
    starts: deque[float] = field(default_factory=deque)
    """When it identified, in the last day."""
    identifies_at_once: int = 1
    public: bool = True
    """Whether anybody may let it into a guild."""

    @property
    def id(self) -> int:
        return self.user.id

    @property
    def flags(self) -> int:
        content = FLAG_MESSAGE_CONTENT_LIMITED if self.knows_content else 0
        members = FLAG_GUILD_MEMBERS_LIMITED if self.privileged & Intent.GUILD_MEMBERS else 0
        return content | members

    @property
    def knows_content(self) -> bool:
        return bool(self.privileged & Intent.MESSAGE_CONTENT)

    def starts_left(self, now: float) -> int:
        """Identifies that are left for today."""
        while self.starts and self.starts[0] <= now - DAY_SECONDS:
            self.starts.popleft()
        return max(self.session_starts_max - len(self.starts), 0)

    def body(self, owner: User) -> dict:
        return {
            "id": str(self.id),
            "name": self.user.name,
            "icon": None,
            "description": "",
            "bot_public": self.public,
            "bot_require_code_grant": False,
            "verify_key": "0" * 64,
            "flags": self.flags,
            "owner": {
                "id": str(owner.id),
                "username": owner.name,
                "discriminator": "0",
                "avatar": None,
            },
            "team": None,
        }
