"""What the pages and the API work with; made by the composition root."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from prometheus_client import CollectorRegistry
from starlette.requests import Request
from starlette.responses import Response

from adapters.chat.port import ChatPort, Deadline
from bot.automate.runs.beginning import Beginning
from bot.automate.triggers.hook_secrets import HookSecrets
from bot.config import Settings
from bot.conversation.message import Accepted, IncomingMessage
from bot.govern.audit import Audited
from bot.govern.connecting import Connecting
from bot.govern.rights import Rights
from bot.govern.secrets import Secrets
from bot.store.database import Database, Listener
from bot.web.repository import read_repository
from bot.work.relays import Relays
from vmpool.network.policy import Policy

Hook = Callable[[Request], Awaitable[Response]]
"""Hears a delivery of a surface, and answers it."""
Check = Callable[[], Awaitable[None]]
"""Returns when what it looks at works; raises anything else."""
CheckRepository = Callable[[str], Awaitable[None]]
"""Reads the repository at an address. :raises bot.errors.OnaError: with what is wrong."""


Discovery = Callable[[str, Deadline], Awaitable[Mapping[str, Any]]]
"""`openid-configuration` or `keys`. :raises adapters.vault.errors.VaultError:"""


def unheard(_event: Audited) -> None:
    """Where nobody writes an audit."""


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
    ports: Mapping[str, ChatPort] = field(default_factory=dict)
    """Surfaces where somebody can be reminded, by name."""
    beginning: Beginning | None = None
    """Begins runs of automations; None: none are begun from here."""
    relays: Relays | None = None
    """The way into machines; None: nobody enters them from here."""
    secrets: Secrets | None = None
    """Of projects; None: there is no Vault."""
    discovery: Discovery | None = None
    """Reads what is published about identity tokens; None: there is no Vault."""
    check_repository: CheckRepository = read_repository
    """Asked before a project is added; may take seconds."""
    policy: Policy = field(default_factory=Policy)
    """The installation's own lines; they count for every project."""
    audited: Callable[[Audited], None] = unheard
    """Takes what is audited by its number, such as refusals; does not block."""
    hooks: Mapping[str, Hook] = field(default_factory=dict)
    """By the name of the surface: what hears its deliveries."""
    hook_secrets: HookSecrets = field(default_factory=HookSecrets)
    """Of the webhooks of automations."""
    ready: Mapping[str, Check] = field(default_factory=dict)
    """What `/ready` looks at besides the database, by name."""
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the process is about to end: live streams close, so that it can."""
