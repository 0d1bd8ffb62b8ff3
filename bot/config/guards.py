"""Vault, and what machines may reach."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from bot.config.section import AnyPath, EgressLines, HttpAddress, Section, ServiceLines


class VaultSettings(Section):
    """Vault or OpenBao; without an address `ona up` brings an OpenBao of its own along."""

    address: HttpAddress | None = Field(
        default=None,
        description="where it is, such as `https://vault.example.org:8200`; `VAULT_ADDR` sets it"
        " too; none: `ona up` starts an OpenBao of its own",
    )
    ca_file: AnyPath | None = Field(
        default=None, description="file with the certificates that are trusted for it alone"
    )
    token_file: AnyPath | None = Field(
        default=None, description="file with our token there, which somebody keeps fresh"
    )
    embedded: bool = Field(
        default=True, description="whether `ona up` starts one where no address is set"
    )
    namespace: str = Field(default="", description="its namespace; none: the root")
    auth: Literal["token", "approle", "kubernetes", "jwt"] = Field(
        default="token", description="how ona logs in"
    )
    auth_mount: str = Field(
        default="", description="where that login is mounted; none: under its own name"
    )
    role: str = Field(
        default="", description="the role id of an AppRole, or the name of another login's role"
    )
    secret_file: AnyPath | None = Field(
        default=None,
        description="file with the secret id of an AppRole, or with the token of another login;"
        " Kubernetes has a usual one",
    )
    kv_mount: str = Field(default="secret", description="mount of the values, KV version 2")
    database_mount: str = Field(default="database", description="mount of the database users")
    ssh_mount: str = Field(default="ssh", description="mount of projects' SSH certificates")
    transit_mount: str = Field(default="transit", description="mount of the keys that only sign")
    user_ca_mount: str = Field(
        default="ona-ssh-user", description="mount of the authority for logins into machines"
    )
    host_ca_mount: str = Field(
        default="ona-ssh-host", description="mount of the authority that machines show"
    )
    signs_machines: bool = Field(
        default=True, description="whether these two sign; else keys of this host do"
    )
    token_role: str = Field(default="ona-turn", description="token role of turns")
    oidc_key: str = Field(default="ona", description="key that signs identity tokens")
    github_key: str = Field(
        default="", description="name of the GitHub App's key in transit; none: no GitHub grants"
    )
    environment: str = Field(
        default="", description="what this installation is called in identity tokens"
    )

    @model_validator(mode="after")
    def _complete_login(self) -> Self:
        if self.auth != "token" and not self.role:
            raise ValueError(f"vault.role is not set, which a login by {self.auth} needs")
        if self.auth == "jwt" and self.secret_file is None:
            raise ValueError("vault.secret_file is not set, which a login by jwt needs")
        return self


class PolicySettings(Section):
    """What machines of every project may reach, and for how long the audit is kept."""

    allow: EgressLines = Field(
        default=(), description="hosts that every project's machines may reach; docs/policy.md"
    )
    deny: EgressLines = Field(
        default=(), description="hosts that none may reach, whatever a project's policy says"
    )
    services: ServiceLines = Field(
        default=(), description="`HOST:PORT` that they may reach by any protocol over TCP"
    )
    ask: bool = Field(
        default=True,
        description="whether people are asked about hosts that no line says anything of",
    )
    registries: EgressLines | None = Field(
        default=None,
        description="package registries that they may reach; none: those that the package"
        " managers of the host are configured for, `ona policy registries` shows them",
    )
    audit_days: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        default=400, description="days for which the audit is kept; 0: for ever"
    )
