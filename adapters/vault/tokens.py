"""The child token of a turn: parent of every lease of it, known by an accessor.

    issue (seconds) ──▶ written down ──▶ extend (minutes) ──renew──▶ … ──revoke──▶ ended

A token that was not written down lives for seconds, so that nobody has to find it. It is a child of
our own: what ends ours ends all of them.
"""

from collections import OrderedDict
from typing import Any
from uuid import UUID

import hvac
from pydantic import SecretStr

from adapters.chat.port import Deadline
from adapters.vault.client import Vault
from adapters.vault.errors import Misasked, Missing, VaultBug
from adapters.vault.port import Bearer, TurnToken

UNWRITTEN_SECONDS = 30.0
"""Life of a token that was not written down yet; issuing has to be done by then."""
LIVING_SECONDS_MAX = 900.0
"""Life of one that nobody renews."""
KNOWN_MAX = 1000
"""Sessions whose entity is remembered."""


def alias_of(session: UUID) -> str:
    """The name by which Vault knows a session."""
    return f"ona-{session}"


class Tokens:
    """Issues, extends and ends the tokens of turns."""

    def __init__(
        self,
        vault: Vault,
        *,
        role: str,
        living_seconds: float = LIVING_SECONDS_MAX,
    ) -> None:
        """`role` is a token role whose aliases may begin with `ona-`; docs/vault.md has it.

        It has the explicit maximum of a token's life: Vault keeps to no other one when a token of
        a role is renewed.
        """
        self._vault = vault
        self._role = role
        self._living_seconds = min(living_seconds, LIVING_SECONDS_MAX)
        self._mount = ""
        self._entities: OrderedDict[UUID, str] = OrderedDict()

    async def issue(
        self, bearer: Bearer, policies: tuple[str, ...], deadline: Deadline
    ) -> TurnToken:
        """A token for one turn, which ends within seconds unless it is extended.

        :raises VaultError:
        """
        entity_id = await self._entity(bearer, deadline)
        answer = await self._vault.run(
            lambda client: client.auth.token.create(
                role_name=self._role,
                policies=list(policies),
                meta=_metadata(bearer),
                no_default_policy=True,
                ttl=f"{int(UNWRITTEN_SECONDS)}s",
                display_name=bearer.session,
                entity_alias=alias_of(bearer.session_id),
            ),
            deadline,
        )
        auth = answer["auth"]
        if auth["entity_id"] != entity_id:
            # Somebody removed the entity; the next one makes it again.
            self._entities.pop(bearer.session_id, None)
        return TurnToken(
            token=SecretStr(auth["client_token"]),
            accessor=auth["accessor"],
            entity_id=auth["entity_id"],
            seconds=float(auth["lease_duration"]),
        )

    async def extend(self, accessor: str, deadline: Deadline) -> float:
        """Let a token live for minutes from now; the seconds it got. :raises VaultError:"""
        answer = await self._vault.run(
            lambda client: client.auth.token.renew_accessor(
                accessor, increment=f"{int(self._living_seconds)}s"
            ),
            deadline,
        )
        return float(answer["auth"]["lease_duration"])

    async def revoke(self, accessor: str, deadline: Deadline) -> None:
        """End a token with all its leases; one that has ended already is fine.

        :raises VaultError: not known; ask again
        """
        try:
            await self._vault.run(
                lambda client: client.auth.token.revoke_accessor(accessor), deadline
            )
        except (Missing, Misasked) as error:
            if "invalid accessor" not in str(error):
                raise

    async def forget(self, session_id: UUID, deadline: Deadline) -> None:
        """Remove the entity of a session that is deleted. :raises VaultError:"""
        self._entities.pop(session_id, None)
        await self._vault.run(
            lambda client: client.secrets.identity.delete_entity_by_name(alias_of(session_id)),
            deadline,
        )

    async def _entity(self, bearer: Bearer, deadline: Deadline) -> str:
        """Id of the session's entity, with what is known of this turn."""
        name, known = alias_of(bearer.session_id), self._entities.get(bearer.session_id)

        def put(client: hvac.Client) -> str:
            identity = client.secrets.identity
            identity.create_or_update_entity_by_name(name, metadata=_metadata(bearer))
            return known or str(identity.read_entity_by_name(name)["data"]["id"])

        entity_id = await self._vault.run(put, deadline)
        if known is None:
            await self._alias(name, entity_id, deadline)
            self._entities[bearer.session_id] = entity_id
            if len(self._entities) > KNOWN_MAX:
                self._entities.popitem(last=False)
        return entity_id

    async def _alias(self, name: str, entity_id: str, deadline: Deadline) -> None:
        if not self._mount:
            methods = await self._vault.run(lambda client: client.sys.list_auth_methods(), deadline)
            self._mount = _accessor(methods)
        await self._vault.run(
            lambda client: client.secrets.identity.create_or_update_entity_alias(
                name=name, canonical_id=entity_id, mount_accessor=self._mount
            ),
            deadline,
        )


def _accessor(methods: Any) -> str:
    try:
        return str((methods.get("data") or methods)["token/"]["accessor"])
    except (KeyError, TypeError, AttributeError):
        raise VaultBug("Vault's list of logins has no token/") from None


def _metadata(bearer: Bearer) -> dict[str, str]:
    """What policies and identity tokens are made of."""
    return {
        "session": bearer.session,
        "project": bearer.project,
        "person": bearer.person,
        "repository": bearer.repository,
        "environment": bearer.environment,
    }
