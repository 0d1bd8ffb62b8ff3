"""The agents that we know how to start; any other one is a profile of the settings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Profile:
    """How an agent is started, and what it is told beyond the protocol."""

    name: str
    argv: Sequence[str]
    """Its program in the machine, speaking the protocol on standard input and output."""
    mode: str | None = None
    """Where the agent has this mode it works in it: in the machine it may do everything, and what
    leaves the machine is not the agent's to decide."""
    environment: Mapping[str, str] = field(default_factory=dict)
    model_variable: str | None = None
    """What names the model where the protocol offers no choice of it."""


CLAUDE_CODE = Profile(
    name="claude-code",
    argv=("claude-agent-acp",),
    mode="bypassPermissions",
    environment={
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
    },
    model_variable="ANTHROPIC_MODEL",
)
CODEX = Profile(name="codex", argv=("codex-acp",), mode="agent-full-access")
OPENCODE = Profile(
    name="opencode",
    argv=("opencode", "acp"),
    environment={"OPENCODE_DISABLE_AUTOUPDATE": "1", "OPENCODE_DISABLE_MODELS_FETCH": "1"},
)
KNOWN: Mapping[str, Profile] = {one.name: one for one in (CLAUDE_CODE, CODEX, OPENCODE)}
