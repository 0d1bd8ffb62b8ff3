"""Sets a Vault up for us: mounts, roles, keys, and two policies. May be run again.

For the one that `ona up` starts, and for tests. Whoever operates a Vault does the same with the
tools they have; docs/vault.md lists it.
"""

from dataclasses import dataclass

import hvac
from hvac.exceptions import InvalidRequest

TURN_POLICY = "ona-turn"
OWN_POLICY = "ona"
TURN_SECONDS_MAX = 86_400


@dataclass(frozen=True, kw_only=True)
class Names:
    """What things are called in Vault."""

    kv: str = "secret"
    database: str = "database"
    ssh: str = "ssh"
    """Of projects' SSH roles."""
    transit: str = "transit"
    user_ca: str = "ona-ssh-user"
    host_ca: str = "ona-ssh-host"
    """Of the machines' own certificates."""
    ssh_role: str = "machine"
    """In both of them."""
    token_role: str = "ona-turn"
    oidc_key: str = "ona"
    sealing_key: str = "ona-grants"
    """In transit: seals what only revocation needs."""


def turn_policy(names: Names) -> str:
    """What every turn may: what is its project's, by Vault's own templates."""
    project = "{{identity.entity.metadata.project}}"
    session = "{{identity.entity.metadata.session}}"
    return "\n".join(
        _rule(path, *capabilities)
        for path, *capabilities in (
            (f"{names.kv}/data/projects/{project}/*", "read"),
            (f"{names.database}/creds/{project}-*", "read"),
            (f"{names.ssh}/sign/{project}-*", "create", "update"),
            (f"identity/oidc/token/ona-{project}-*", "read"),
            # For engines with secrets of one session.
            (f"{names.kv}/data/sessions/{session}/*", "read"),
        )
    )


def own_policy(names: Names) -> str:
    """What we ourselves may."""
    return "\n".join(
        _rule(path, *capabilities)
        for path, *capabilities in (
            (f"auth/token/create/{names.token_role}", "create", "update"),
            # What people set by `ona secrets`: written and named, and never read.
            (f"{names.kv}/data/projects/*", "create", "update"),
            (f"{names.kv}/metadata/projects/*", "create", "update", "read", "list", "delete"),
            ("auth/token/renew-accessor", "create", "update"),
            ("auth/token/revoke-accessor", "create", "update"),
            ("auth/token/lookup-self", "read"),
            ("auth/token/renew-self", "update"),
            ("auth/token/revoke-self", "update"),
            ("sys/auth", "read"),
            ("sys/leases/renew", "create", "update"),
            ("sys/leases/revoke", "create", "update"),
            ("identity/entity/name/ona-*", "create", "read", "update", "delete"),
            ("identity/entity-alias", "create", "update"),
            ("identity/oidc/role/ona-*", "create", "update"),
            (f"{names.transit}/sign/ona-*", "create", "update"),
            (f"{names.transit}/encrypt/{names.sealing_key}", "create", "update"),
            (f"{names.transit}/decrypt/{names.sealing_key}", "create", "update"),
            (f"{names.user_ca}/sign/{names.ssh_role}", "create", "update"),
            (f"{names.host_ca}/sign/{names.ssh_role}", "create", "update"),
            (f"{names.user_ca}/config/ca", "read"),
            (f"{names.host_ca}/config/ca", "read"),
        )
    )


def prepare(
    client: hvac.Client,
    names: Names,
    *,
    issuer: str = "",
    turn_seconds_max: int = TURN_SECONDS_MAX,
) -> None:
    """Make what is missing, with a token that may.

    :param issuer: the address under which others reach the discovery of identity tokens, without
        a path; none: Vault's own
    :param turn_seconds_max: no turn's token lives longer, however often it is renewed
    """
    _engines(client, names)
    for mount, kind in ((names.user_ca, "user"), (names.host_ca, "host")):
        _authority(client, mount, names.ssh_role, kind)
    transit = client.secrets.transit
    transit.create_key(names.sealing_key, mount_point=names.transit)
    identity = client.secrets.identity
    if issuer:
        identity.configure_tokens_backend(issuer=issuer)
    identity.create_named_key(
        names.oidc_key, rotation_period="24h", verification_ttl="24h", allowed_client_ids=["*"]
    )
    client.sys.create_or_update_policy(TURN_POLICY, turn_policy(names))
    client.sys.create_or_update_policy(OWN_POLICY, own_policy(names))
    role = {
        "allowed_policies": [TURN_POLICY],
        "allowed_policies_glob": ["ona-project-*"],
        "orphan": False,
        "renewable": True,
        # Of a role's tokens this is the only maximum that a renewal keeps to.
        "token_explicit_max_ttl": turn_seconds_max,
        "allowed_entity_aliases": ["ona-*"],
    }
    client.write_data(f"auth/token/roles/{names.token_role}", data=role)


def _engines(client: hvac.Client, names: Names) -> None:
    wanted = {
        names.kv: ("kv", {"version": "2"}),
        names.database: ("database", None),
        names.ssh: ("ssh", None),
        names.transit: ("transit", None),
        names.user_ca: ("ssh", None),
        names.host_ca: ("ssh", None),
    }
    mounted = client.sys.list_mounted_secrets_engines()["data"]
    for path, (kind, options) in wanted.items():
        if f"{path}/" not in mounted:
            client.sys.enable_secrets_engine(kind, path=path, options=options)


def _authority(client: hvac.Client, mount: str, role: str, kind: str) -> None:
    """A certificate authority of SSH with one role, for users' or for machines' certificates."""
    try:
        client.write_data(
            f"{mount}/config/ca", data={"generate_signing_key": True, "key_type": "ed25519"}
        )
    except InvalidRequest as error:
        if "already" not in str(error):
            raise
    user = kind == "user"
    made = {
        "key_type": "ca",
        "allow_user_certificates": user,
        "allow_host_certificates": not user,
        "allowed_users": "*" if user else "",
        "allowed_domains": "" if user else "machine.ona",
        "allow_subdomains": not user,
        "allowed_extensions": "permit-pty,permit-port-forwarding",
        "max_ttl": "30m",
        "not_before_duration": "60s",
        "allow_user_key_ids": True,
        "algorithm_signer": "default",
    }
    client.write_data(f"{mount}/roles/{role}", data=made)


def _rule(path: str, *capabilities: str) -> str:
    listed = ", ".join(f'"{one}"' for one in capabilities)
    return f'path "{path}" {{ capabilities = [{listed}] }}'
