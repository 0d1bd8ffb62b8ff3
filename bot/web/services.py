"""What the pages and the API work with; made by the composition root."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from prometheus_client import CollectorRegistry

from adapters.chat.incoming import Hear, Heard
from adapters.forge.hooks import Hooks
from bot.config import Settings
from bot.conversation.message import Accepted, IncomingMessage
from bot.govern.connecting import Connecting
from bot.govern.rights import Rights
from bot.store.database import Database, Listener
from bot.web.repository import read_repository

Check = Callable[[], Awaitable[None]]
"""Returns when what it looks at works; raises anything else."""
CheckRepository = Callable[[str], Awaitable[None]]
"""Reads the repository at an address. :raises bot.errors.OnaError: with what is wrong."""


async def _deaf(heard: Heard) -> None:
    """Nobody listens: nothing is lost that could be heard."""
    raise NotImplementedError(type(heard).__name__)


class Inbox(Protocol):
    """The one way in for messages; see `bot.conversation.inbox`."""

    async def accept(self, message: IncomingMessage) -> Accepted:
        """Accept a message; committed when it returns. :raises TryAgain:."""


@dataclass(frozen=True, kw_only=True)
class Services:
    """Everything that a request may need."""

    database: Database
    inbox: Inbox
    listener: Listener
    """Somebody else runs it."""
    settings: Settings
    rights: Rights
    connecting: Connecting
    registry: CollectorRegistry
    hear: Hear = _deaf
    """Takes what hooks tell."""
    hooks: Mapping[str, Hooks] = field(default_factory=dict)
    """By surface."""
    check_repository: CheckRepository = read_repository
    """Asked before a project is added; may take seconds."""
    ready: Mapping[str, Check] = field(default_factory=dict)
    """What `/ready` looks at besides the database, by name."""
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the process is about to end: live streams close, so that it can."""
