"""Tables of projects, of people with what they are called elsewhere, and of what they may."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Column, ForeignKey, Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from bot.store.columns import json_of, moment, own_id, owned_by


class Project(SQLModel, table=True):
    """What sessions work on: a repository, an agent, a machine size."""

    id: UUID = own_id()
    name: str = Field(unique=True)
    repository_url: str
    """URL or absolute local path that `git fetch` reads."""
    base_branch: str | None = None
    """None: the repository's own default branch."""
    agent: str | None = None
    """None: the installation's default."""
    size: str | None = None
    """Of its machines, a name of the settings; None: the installation's default."""
    setup: list[str] = json_of("[]")
    """Shell commands that ready a machine, in the repository; part of its template."""
    start: list[str] = json_of("[]")
    """Shell commands that run on in every machine: its services."""
    ports: list[int] = json_of("[]")
    """That people of a new session get the addresses of, before those of its devcontainer.json."""
    instructions: str = Field(default="", sa_column_kwargs={"server_default": ""})
    """What its agents are told besides, below the installation's."""
    rebuild_at: datetime | None = moment()
    """Templates that were begun before are built again: somebody asked for it."""
    created_at: datetime = moment(now=True)
    removed_at: datetime | None = moment()


class ProjectRepository(SQLModel, table=True):
    """A repository that a project's sessions have beside its own one."""

    __tablename__ = "project_repository"

    id: UUID = own_id()
    """Also the name of its mirror on hosts."""
    project_id: UUID = owned_by("project.id")
    name: str
    """Of its directory in machines, beside that of the project."""
    url: str
    base_branch: str | None = None
    """None: the repository's own default branch."""
    created_at: datetime = moment(now=True)
    removed_at: datetime | None = moment()

    __table_args__ = (
        Index(
            "uq_project_repository_name",
            "project_id",
            "name",
            unique=True,
            postgresql_where=text("removed_at IS NULL"),
        ),
    )


class Person(SQLModel, table=True):
    """Somebody who prompts, on whatever surfaces."""

    id: UUID = own_id()
    name: str
    locale: str | None = None
    """In which they read us, as a surface or they themselves say (`de-DE`); None: not known."""
    locale_chosen: bool = Field(default=False, sa_column_kwargs={"server_default": "false"})
    """They said it: no surface changes it."""
    zone: str | None = None
    """IANA name of their time zone; None: not known."""
    zone_chosen: bool = Field(default=False, sa_column_kwargs={"server_default": "false"})
    zone_asked_at: datetime | None = moment()
    """Since when they were asked for it, which is done once."""
    agent: str | None = None
    """Which they chose for their new sessions, with its model; None: they chose neither."""
    model: str | None = None
    created_at: datetime = moment(now=True)
    deactivated_at: datetime | None = moment()
    is_service: bool = Field(default=False, sa_column_kwargs={"server_default": "false"})
    """It is nobody: automations work in its name, and it never signs in."""


class Identity(SQLModel, table=True):
    """A person as one surface knows them."""

    id: UUID = own_id()
    person_id: UUID = owned_by("person.id")
    surface: str
    external_id: str
    name: str

    __table_args__ = (UniqueConstraint("surface", "external_id"),)


class Permission(SQLModel, table=True):
    """What a forge last said that a person may do with a repository."""

    person_id: UUID = Field(
        sa_column=Column(ForeignKey("person.id", ondelete="CASCADE"), primary_key=True)
    )
    repository: str = Field(primary_key=True)
    """`surface:host/name`, in lower case."""
    level: int | None = None
    """A number of `adapters.forge.port.Permission`; None: the forge could not be asked."""
    asked_at: datetime = moment(now=True)


class Credential(SQLModel, table=True):
    """A way to sign in: API token, one-time link or browser session; only digests are kept."""

    digest: str = Field(primary_key=True)
    kind: str
    """`token`, `link` or `browser`."""
    person_id: UUID = owned_by("person.id")
    name: str = ""
    created_at: datetime = moment(now=True)
    expires_at: datetime | None = moment()
    used_at: datetime | None = moment()
    revoked_at: datetime | None = moment()


class PersonToken(SQLModel, table=True):
    """What acts as a person on a forge, sealed by Vault."""

    __tablename__ = "person_token"

    id: UUID = own_id()
    person_id: UUID = owned_by("person.id")
    surface: str
    """With its host: `github:github.com`."""
    sealed: str
    """JSON {access, refresh}; only Vault can read it."""
    ends_at: datetime | None = moment()
    """None: when somebody revokes it."""
    refreshing_until: datetime | None = moment()
    """Somebody gets another one until then."""
    kept_at: datetime = moment(now=True)
