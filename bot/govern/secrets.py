"""A project's secrets in Vault, for teams that have none of their own ways into it.

They lie where a project's turns may read them, `projects/PROJECT/NAME` of the KV engine, under the
key `value`. We ourselves may write, name and remove them, and never read one: what a value is
leaves Vault for a turn alone. Who set one and when is kept beside it.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from uuid import uuid4

import hvac
import structlog
from pydantic import SecretStr

from adapters.chat.port import Deadline
from adapters.vault.client import Vault
from adapters.vault.errors import Forbidden, Missing, VaultAway, VaultError
from adapters.vault.port import Bearer
from adapters.vault.prepare import TURN_POLICY, Names
from adapters.vault.tokens import Tokens
from bot.errors import NotFound, OnaError, Refused, TooLarge, TryAgain, Unfit
from bot.govern.access import Standing
from bot.govern.policy_text import Document
from bot.govern.secret_uses import Use, uses

log = structlog.get_logger(__name__)

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
VALUE_BYTES_MAX = 64 * 1024
SECRETS_MAX = 200
"""Of one project, that are listed."""
SECONDS_MAX = 10.0
FIELD = "value"

Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class Secret:
    """What is known of one; never its value."""

    name: str
    set_at: datetime
    by: str
    """Who set it last; empty: somebody in Vault itself."""
    versions: int


@dataclass(frozen=True, kw_only=True)
class Tried:
    """Whether a turn of the project could read one."""

    readable: bool
    why: str
    """A clause for people."""
    fields: tuple[str, ...] = ()
    """The keys of what would be read."""


class Secrets:
    """The secrets of projects; `vault` is ours, `tokens` issues those of turns."""

    def __init__(self, vault: Vault, tokens: Tokens, names: Names) -> None:
        """Nothing is sent before it is used."""
        self._vault = vault
        self._tokens = tokens
        self._kv = names.kv

    async def set(self, project: str, name: str, value: SecretStr, by: Standing) -> None:
        """Store a value as the newest version.

        :raises Refused: the name or the value can't be used
        """
        path = _path(project, name)
        plain = value.get_secret_value()
        if not plain:
            raise Refused("the value is empty", kept="nothing was stored", do="give one")
        if len(plain.encode(errors="replace")) > VALUE_BYTES_MAX:
            raise TooLarge(
                f"a secret has at most {VALUE_BYTES_MAX:,} bytes",
                kept="nothing was stored",
                do="put a larger one into Vault by its own tools",
            )
        who = {"by": by.name, "by_id": str(by.person_id)}

        def put(client: hvac.Client) -> None:
            kv = client.secrets.kv.v2
            kv.create_or_update_secret(path, {FIELD: plain}, mount_point=self._kv)
            kv.update_metadata(path, custom_metadata=who, mount_point=self._kv)

        await self._run(put)
        log.info("secret_set", project=project, name=name, by=by.name)

    async def list(self, project: str) -> list[Secret]:
        """The project's secrets by name. :raises OnaError:"""

        def read(client: hvac.Client) -> list[tuple[str, Mapping[str, Any]]]:
            kv = client.secrets.kv.v2
            base = f"projects/{project}"
            keys = kv.list_secrets(base, mount_point=self._kv)["data"]["keys"]
            names = sorted(key for key in keys if not key.endswith("/"))[:SECRETS_MAX]
            return [
                (one, kv.read_secret_metadata(f"{base}/{one}", mount_point=self._kv)["data"])
                for one in names
            ]

        try:
            found = await self._asked(read)
        except Missing:
            return []
        except VaultError as error:
            raise told(error) from error
        return [_known(name, data) for name, data in found]

    async def remove(self, project: str, name: str) -> None:
        """Remove every version of one. :raises NotFound: there is none of that name"""
        path = _path(project, name)

        def remove(client: hvac.Client) -> None:
            kv = client.secrets.kv.v2
            kv.read_secret_metadata(path, mount_point=self._kv)
            kv.delete_metadata_and_all_versions(path, mount_point=self._kv)

        await self._run(remove, missing=f"project {project} has no secret {name}")

    def uses(self, document: Document, project: str, name: str, tried: Tried) -> Sequence[Use]:
        """By which grants of the project's policy one is used."""
        path = _path(project, name)
        return uses(document, path, project=project, mount=self._kv, fields=tried.fields)

    async def test(self, project: str, name: str, by: Standing) -> Tried:
        """Read one with the rights of a turn of the project; the value stays unseen.

        :raises OnaError: Vault is away, or does not let us make a turn's token
        """
        path = _path(project, name)
        bearer = Bearer(
            session_id=uuid4(), session="test", project=project, person=str(by.person_id)
        )
        deadline = Deadline.after(SECONDS_MAX)
        try:
            token = await self._tokens.issue(bearer, (TURN_POLICY,), deadline)
            try:
                return await self._tried(token.token, path)
            finally:
                await self._tokens.revoke(token.accessor, Deadline.after(SECONDS_MAX))
                await self._tokens.forget(bearer.session_id, Deadline.after(SECONDS_MAX))
        except VaultError as error:
            raise told(error) from error

    async def _tried(self, token: SecretStr, path: str) -> Tried:
        def read(client: hvac.Client) -> tuple[str, ...]:
            answer = client.secrets.kv.v2.read_secret_version(
                path, mount_point=self._kv, raise_on_deleted_version=True
            )
            return tuple(sorted(answer["data"]["data"]))

        try:
            fields = await self._vault.run_as(token, read, Deadline.after(SECONDS_MAX))
        except Missing:
            return Tried(readable=False, why="there is no secret of that name")
        except Forbidden:
            return Tried(readable=False, why="Vault's policy does not let a turn read it")
        return Tried(readable=True, why="a turn of this project can read it", fields=fields)

    async def _run(self, what: Callable[[hvac.Client], Result], *, missing: str = "") -> Result:
        try:
            return await self._asked(what)
        except Missing as error:
            if not missing:
                raise told(error) from error
            raise NotFound(missing, do="`ona secrets list PROJECT` shows those there are") from None
        except VaultError as error:
            raise told(error) from error

    async def _asked(self, what: Callable[[hvac.Client], Result]) -> Result:
        return await self._vault.run(what, Deadline.after(SECONDS_MAX))


def told(error: VaultError) -> OnaError:
    """What Vault says, by who acts."""
    if isinstance(error, VaultAway):
        return TryAgain(str(error), kept="nothing was changed", do=error.do)
    return Unfit(str(error), kept="nothing was changed", do=error.do)


def _path(project: str, name: str) -> str:
    if not NAME.fullmatch(name):
        raise Refused(
            f"“{name[:80]}” can't be a secret's name",
            kept="nothing was stored",
            do="use up to 63 letters, digits, dots, dashes, underscores; no dot or dash first",
        )
    return f"projects/{project}/{name}"


def _known(name: str, data: Mapping[str, Any]) -> Secret:
    newest = data["versions"].get(str(data["current_version"]), {})
    return Secret(
        name=name,
        set_at=datetime.fromisoformat(newest.get("created_time") or data["updated_time"]),
        by=str((data.get("custom_metadata") or {}).get("by", "")),
        versions=int(data["current_version"]),
    )
