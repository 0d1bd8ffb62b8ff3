"""Ways to log in to Vault: a token in a file, AppRole, Kubernetes, JWT.

Secrets are read from their files at each login, so that whoever rotates them need not tell us.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hvac
from pydantic import SecretStr

from adapters.vault.errors import Expired, VaultBug

KUBERNETES_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


@dataclass(frozen=True, kw_only=True)
class Own:
    """A token of our own."""

    token: SecretStr
    seconds: float
    """It lives so long from when it was asked for; 0: it does not end."""
    renewable: bool
    ours: bool
    """We logged in for it, so nobody but us needs it any more when we end."""


Login = Callable[[hvac.Client], Own]
"""Logs in with a client that has no token; runs in a thread. :raises VaultError:."""


def by_token_file(path: Path) -> Login:
    """With the token that somebody keeps fresh in a file: an agent of Vault, or `ona up`."""

    def login(client: hvac.Client) -> Own:
        client.token = _read(path, "the token")
        data = client.auth.token.lookup_self()["data"]
        return Own(
            token=SecretStr(client.token),
            seconds=float(data["ttl"]),
            renewable=bool(data.get("renewable")),
            ours=False,
        )

    return login


def by_approle(role_id: str, secret_id_file: Path | None, *, mount: str = "approle") -> Login:
    """As an AppRole; without a file for roles that are bound to an address alone."""

    def login(client: hvac.Client) -> Own:
        secret = _read(secret_id_file, "the secret id") if secret_id_file else None
        return _own(client.auth.approle.login(role_id, secret, mount_point=mount, use_token=False))

    return login


def by_kubernetes(role: str, token_file: Path, *, mount: str = "kubernetes") -> Login:
    """As the service account of the pod that we run in."""

    def login(client: hvac.Client) -> Own:
        jwt = _read(token_file, "the service account's token")
        return _own(client.auth.kubernetes.login(role, jwt, use_token=False, mount_point=mount))

    return login


def by_jwt(role: str, token_file: Path, *, mount: str = "jwt") -> Login:
    """With an identity token that somebody else issues and keeps fresh in a file."""

    def login(client: hvac.Client) -> Own:
        jwt = _read(token_file, "the identity token")
        return _own(client.auth.jwt.jwt_login(role, jwt, use_token=False, path=mount))

    return login


def _read(path: Path, what: str) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise Expired(f"{what} to log in to Vault with can't be read at {path}: {why}") from error


def _own(answer: Any) -> Own:
    try:
        auth = answer["auth"]
        return Own(
            token=SecretStr(auth["client_token"]),
            seconds=float(auth["lease_duration"]),
            renewable=bool(auth["renewable"]),
            ours=True,
        )
    except (KeyError, TypeError) as error:
        raise VaultBug(f"a login to Vault was answered without {error}") from None
