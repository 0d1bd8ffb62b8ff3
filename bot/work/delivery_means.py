"""What deliveries are done with: the code hosts, and what is the same for every turn."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from pydantic import SecretStr

from adapters.forge.port import PullRequests
from bot.store.database import Database
from bot.work.delivery_rows import DeliveryRows
from bot.work.remote import Logins
from bot.work.repository import Repositories

EMAIL_DOMAIN = "users.noreply.ona.invalid"


async def _no_token(_person_id: UUID) -> SecretStr | None:
    return None


@dataclass(frozen=True, kw_only=True)
class DeliveryForge:
    """A code host that has pull requests."""

    surface: str
    host: str
    """The name under which people's accounts on it are known."""
    git_base: str
    """Where its repositories are reached by HTTP."""
    name_of: Callable[[str], str | None]
    """What the repository at an address is called there; None: it is elsewhere."""
    pulls: PullRequests
    login: Callable[[str], AbstractAsyncContextManager[tuple[str, str] | None]]
    """A user and a password that may push to a repository, by its name, while inside."""
    token_of: Callable[[UUID], Awaitable[SecretStr | None]] = _no_token
    """A person's own token, where they connected their account."""
    keeps_tokens: bool = False
    """Whether people can let us act for them."""


@dataclass(frozen=True, kw_only=True)
class DeliveryMeans:
    """What deliveries are done with."""

    database: Database
    repositories: Repositories
    directory: Path
    """For repositories that are thrown away; nothing else is in it."""
    forges: Sequence[DeliveryForge] = ()
    logins: Logins | None = None
    """For remotes that are on none of the forges."""
    pages: str = ""
    """Address of our pages, where people reach them."""
    email_domain: str = EMAIL_DOMAIN
    bytes_max: int = 200_000_000
    """Of the commits of one delivery."""
    seconds_max: float = 300.0
    """Of each call of git."""
    rows: DeliveryRows = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", DeliveryRows(self.database))

    def forge_of(self, url: str) -> tuple[DeliveryForge, str] | None:
        """The forge that a repository is on, and its name there."""
        for forge in self.forges:
            name = forge.name_of(url)
            if name is not None:
                return forge, name
        return None
