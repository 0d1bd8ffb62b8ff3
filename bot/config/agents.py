"""The agents and the providers of their models."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from bot.config.section import AnyPath, HttpAddress, Section, parts_of
from vmpool.image_recipe.layers import AGENTS


class PriceSettings(Section):
    """US dollars per million tokens."""

    input: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    output: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    cache_read: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    cache_write: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None


class ModelSettings(Section):
    """A provider of models, reached by machines at `/model/<name>/` of the gateway."""

    format: Literal["anthropic", "openai"]
    url: HttpAddress
    key: SecretStr | None = None
    prices: Mapping[str, PriceSettings] = {}
    offered: tuple[Annotated[str, Field(pattern=r"^\S{1,100}$")], ...] = ()


PROVIDERS: Mapping[str, Mapping[str, str]] = {
    "anthropic": {"format": "anthropic", "url": "https://api.anthropic.com"},
    "openai": {"format": "openai", "url": "https://api.openai.com"},
}
"""What need not be set of those that are called so."""
MODEL_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")


def with_known_providers(given: Any) -> Any:
    """What is set goes over what is known of providers that are called so."""
    if not isinstance(given, Mapping):
        return given
    for name in given:
        if not MODEL_NAME.fullmatch(name):
            raise ValueError(f"names of small letters, digits and dashes, not {name[:40]!r}")
    return {
        name: {**PROVIDERS.get(name, {}), **model} if isinstance(model, Mapping) else model
        for name, model in given.items()
    }


def _installable(name: str) -> str:
    if name not in AGENTS:
        raise ValueError(f"a list of {', '.join(AGENTS)}, not {name[:40]!r}")
    return name


def _below_home(path: str) -> str:
    if path.startswith("/") or not {"", ".", ".."}.isdisjoint(path.split("/")):
        raise ValueError("a path below the agent's home directory, such as .mine/AGENTS.md")
    return path


BelowHome = Annotated[str, AfterValidator(_below_home)]


class OwnAgentSettings(Section):
    """An agent that is none of ours: a program in the machines that speaks the protocol."""

    argv: Annotated[tuple[str, ...], Field(min_length=1)]
    environment: Mapping[str, str] = {}
    mode: str | None = None
    model_variable: str | None = None
    conversation: tuple[str, ...] = ()
    instructions: BelowHome | None = None
    skills: BelowHome | None = None


AGENT_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
KNOWN_AGENTS = (*AGENTS, "shell")
"""Those that need not be described."""


def _with_own_names(given: Any) -> Any:
    for name in given if isinstance(given, Mapping) else ():
        if not AGENT_NAME.fullmatch(name) or name in KNOWN_AGENTS:
            raise ValueError(
                f"names of small letters, digits and dashes, none of {', '.join(KNOWN_AGENTS)},"
                f" not {name[:40]!r}"
            )
    return given


class AgentsSettings(Section):
    """The coding agents; docs/agents.md."""

    default: str = Field(
        default="",
        description="agent of projects that name none; none: `claude-code` where a provider of"
        " Anthropic's format is set, `codex` where one of OpenAI's is, else `shell`",
    )
    asks: bool = Field(
        default=False,
        description="put what agents want permission for to people; else everything inside the"
        " machine is allowed, and what leaves it is a matter of policy",
    )
    own: Annotated[Mapping[str, OwnAgentSettings], BeforeValidator(_with_own_names)] = Field(
        default={},
        description="agents of your own by name, as tables `[agents.own.NAME]` with `argv` of a"
        " program in the machines that speaks the Agent Client Protocol, `environment`, `mode`,"
        " `model_variable`, `conversation`, `instructions` and `skills`",
    )
    instructions: AnyPath | None = Field(
        default=None,
        description="directory on every host with what all agents are told besides: `AGENTS.md` and"
        " `skills/NAME/SKILL.md`",
    )
    installed: Annotated[
        tuple[Annotated[str, AfterValidator(_installable)], ...] | None, BeforeValidator(parts_of)
    ] = Field(
        default=None,
        description=f"agents that machines hold, of {', '.join(f'`{name}`' for name in AGENTS)};"
        " none set: those that a provider among `models` can serve, `claude-code` by the format"
        " `anthropic` and `codex` by `openai`",
    )


SERVED_BY: Mapping[str, str] = {"anthropic": "claude-code", "openai": "codex"}
"""The agent that a format of models is for, where nobody says more."""
