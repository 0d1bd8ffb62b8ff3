"""What a tool is, and what it is given."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from bot.errors import NotFound
from bot.govern.spenders import Spender
from vmpool.network.gateway.ports import Identity


class Arguments(BaseModel):
    """What a tool takes; unknown fields are errors."""

    model_config = ConfigDict(extra="forbid")


@dataclass(frozen=True, kw_only=True)
class Call:
    """A call as its tool sees it."""

    who: Identity
    """As the gateway knows the machine."""
    turn: Spender
    """The turn that runs, and whose it is."""
    tool: str
    per_turn_max: int


@dataclass(frozen=True, kw_only=True)
class Asker:
    """For whom the turn runs, as its session's row says while it is locked."""

    person_id: UUID
    name: str
    language: str
    """In which they are answered."""
    short: str
    """Of the session."""
    branch: str
    private: bool
    narrow: bool
    """Fewer people see the session than its project."""
    project: str
    """Its name."""
    repository_url: str
    """Of the project's own repository."""
    beside: Mapping[str, str]
    """Addresses of its others, by name."""
    thread_id: UUID | None
    """Where the turn was asked for."""

    def repository(self, name: str) -> str:
        """The address of one of them; an empty name: the project's own. :raises NotFound:"""
        if not name:
            return self.repository_url
        if name not in self.beside:
            raise NotFound(f"there is no repository {name[:80]!r} beside the project's own")
        return self.beside[name]


Given = TypeVar("Given", bound=Arguments)
Run = Callable[[Call, Given], Awaitable[str]]
"""Does it and tells the agent.

:raises TellPerson: it can't be done; the agent reads why
:raises NoTurn: the turn has ended meanwhile"""


@dataclass(frozen=True, kw_only=True)
class Tool(Generic[Given]):
    """Something that the agent may ask."""

    name: str
    about: str
    """What it does and when to use it; the agent reads it, and so do people in docs/tools.md."""
    takes: type[Given]
    run: Run[Given]
    per_turn_max: int
    """Calls of it in one turn that do something."""
    changes: bool = True
    """False: it reads alone."""
    reaches_out: bool = False
    """It changes more than what this turn's thread is told: no turn does that may only read."""

    @property
    def listed(self) -> Mapping[str, Any]:
        """As the protocol describes it."""
        schema = self.takes.model_json_schema()
        schema.pop("title", None)
        schema.pop("description", None)
        for one in schema.get("properties", {}).values():
            one.pop("title", None)
        return {
            "name": self.name,
            "description": self.about,
            "inputSchema": schema,
            "annotations": {"readOnlyHint": not self.changes, "openWorldHint": False},
        }
