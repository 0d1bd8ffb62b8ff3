"""Tokens with which we act as people on forges: sealed by Vault, in rows; refreshed when they end.

    connected ─▶ kept, sealed ─▶ asked for by a delivery ─▶ opened ─▶ used, dropped
                                        └─ it ends soon: one process refreshes it

Without Vault none is kept: a key beside the rows that it seals protects nothing.
"""

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import structlog
from pydantic import SecretStr
from sqlalchemy import text

from adapters.chat.port import ChatError, Deadline, Rejected
from adapters.forge.accounts import Accounts, UserToken
from adapters.vault.errors import VaultError
from adapters.vault.sealing import Sealing
from bot.store.database import Database
from bot.store.ids import new_id

log = structlog.get_logger(__name__)

SPARE_SECONDS = 600
"""A token that ends sooner is refreshed."""
REFRESH_SECONDS = 30
"""For which nobody else refreshes it: a refresh token works once."""
ASK_SECONDS = 10.0

_ADD = text(
    """
    INSERT INTO person_token (id, person_id, surface, sealed, ends_at)
    VALUES (:id, :person, :surface, :sealed, now() + make_interval(secs => :seconds))
    """
)
_DROP_OLDER = text(
    "DELETE FROM person_token WHERE person_id = :person AND surface = :surface AND id <> :id"
)
_NEWEST = text(
    """
    SELECT person_token.id, person_token.sealed,
           coalesce(ends_at < now() + make_interval(secs => :spare), false) AS ends
      FROM person_token JOIN person ON person.id = person_token.person_id
     WHERE person_id = :person AND surface = :surface AND person.deactivated_at IS NULL
     ORDER BY kept_at DESC LIMIT 1
    """
)
_BEGIN = text(
    """
    UPDATE person_token SET refreshing_until = now() + make_interval(secs => :seconds)
     WHERE id = :id AND sealed = :sealed
       AND (refreshing_until IS NULL OR refreshing_until < now())
    RETURNING id
    """
)
_REFRESHED = text(
    """
    UPDATE person_token
       SET sealed = :sealed, ends_at = now() + make_interval(secs => :seconds),
           refreshing_until = NULL
     WHERE id = :id RETURNING id
    """
)
_DROP = text("DELETE FROM person_token WHERE id = :id RETURNING id")


class PersonTokens:
    """Keeps them, and gives them out."""

    def __init__(
        self, database: Database, sealing: Sealing, accounts: Mapping[str, Accounts]
    ) -> None:
        """`accounts` by surface: where they are refreshed."""
        self._database = database
        self._sealing = sealing
        self._accounts = accounts

    def keeps(self, surface: str) -> bool:
        """Whether people can let us act for them on a forge."""
        return surface in self._accounts

    async def keep(self, person_id: UUID, surface: str, token: UserToken) -> bool:
        """Keep a token that its owner let us have; whether it is kept."""
        try:
            sealed = await self._seal(token)
        except VaultError as error:
            log.warning("token_not_kept", surface=surface, why=str(error))
            return False
        row = {"id": new_id(), "person": person_id, "surface": self._known(surface)}
        async with self._database.begin() as tx:
            await tx.execute(_ADD, {**row, "sealed": sealed, "seconds": token.seconds})
            await tx.execute(_DROP_OLDER, row)
        return True

    async def of(self, person_id: UUID, surface: str) -> SecretStr | None:
        """A token that acts as a person now; None: there is none, or it can't be had now."""
        asked = {"person": person_id, "surface": self._known(surface), "spare": SPARE_SECONDS}
        row = (await self._database.run(_NEWEST, asked)).one_or_none()
        if row is None:
            return None
        try:
            opened = json.loads(await self._sealing.open(row.sealed, Deadline.after(ASK_SECONDS)))
            if row.ends:
                return await self._refreshed(row, surface, opened.get("refresh"))
        except VaultError as error:
            log.warning("token_not_opened", surface=surface, why=str(error))
            return None
        return SecretStr(opened["access"])

    async def _refreshed(self, row: Any, surface: str, refresh: str | None) -> SecretStr | None:
        """Another token in place of one that ends. :raises VaultError:"""
        if refresh is None:
            await self._run(_DROP, {"id": row.id})
            return None
        # As it was read: somebody may have refreshed it since, and then this one works no more.
        claim = {"id": row.id, "sealed": row.sealed, "seconds": REFRESH_SECONDS}
        if await self._run(_BEGIN, claim) is None:
            return None
        deadline = Deadline.after(ASK_SECONDS)
        try:
            token = await self._accounts[surface].refresh(SecretStr(refresh), deadline)
        except Rejected as error:
            log.info("token_taken_back", surface=surface, why=str(error))
            await self._run(_DROP, {"id": row.id})
            return None
        except ChatError as error:
            log.info("token_not_refreshed", surface=surface, why=str(error))
            return None
        sealed = await self._seal(token)
        await self._run(_REFRESHED, {"id": row.id, "sealed": sealed, "seconds": token.seconds})
        return token.access

    async def _seal(self, token: UserToken) -> str:
        values = {"access": token.access.get_secret_value()}
        if token.refresh is not None:
            values["refresh"] = token.refresh.get_secret_value()
        return await self._sealing.seal(json.dumps(values), Deadline.after(ASK_SECONDS))

    def _known(self, surface: str) -> str:
        return f"{surface}:{self._accounts[surface].host}"

    async def _run(self, statement: Any, values: Mapping[str, Any]) -> Any:
        async with self._database.begin() as tx:
            return (await tx.execute(statement, values)).one_or_none()
