"""The agents that we know how to start; any other one is a profile of the settings.

Each is told by variables alone where its models are: at the machine's gateway, which adds the key.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

OURS = "ona"
"""What agents that know several providers call the one at the gateway."""
KEY_VARIABLE = "OPENAI_API_KEY"
"""Set to a placeholder in machines; agents want a key to be there."""


@dataclass(frozen=True, kw_only=True)
class Profile:
    """How an agent is started, and what it is told beyond the protocol."""

    name: str
    argv: Sequence[str]
    """Its program in the machine, speaking the protocol on standard input and output."""
    mode: str | None = None
    """Where the agent has this mode it works in it."""
    environment: Mapping[str, str] = field(default_factory=dict)
    model_variable: str | None = None
    """What names the model where the protocol offers no choice of it."""
    configured: "Callable[[str | None], Mapping[str, str]] | None" = None
    """Further variables, by the model that is asked for."""
    conversation: Sequence[str] = ()
    """Globs below the home directory of the files that it keeps its conversations in."""
    instructions: str | None = None
    """File below the home directory that it reads before every conversation, of any repository."""
    skills: str | None = None
    """Directory below the home directory with skills for any repository."""

    def variables(self, model: str | None) -> Mapping[str, str]:
        """Of its job."""
        named = {self.model_variable: model} if model and self.model_variable else {}
        configured = self.configured(model) if self.configured else {}
        return {**self.environment, **configured, **named}


@dataclass(frozen=True, kw_only=True)
class Provider:
    """Models that a machine reaches at its gateway."""

    name: str
    format: str
    """`anthropic` or `openai`."""
    base: str
    """URL, without the version."""


def known(providers: Sequence[Provider], *, asks: bool = False) -> Mapping[str, Profile]:
    """The agents by name; each uses the first provider that speaks its format.

    In the machine they may do everything, and what leaves the machine is not theirs to decide.

    :param asks: they ask people first, in a mode in which no model decides for these
    """
    by_format = {one.format: one for one in reversed(providers)}
    openai = by_format.get("openai")
    return {
        "claude-code": _claude_code("default" if asks else "bypassPermissions"),
        "codex": _codex(openai, "workspace-write" if asks else "agent-full-access"),
        "opencode": _opencode(providers[0] if providers else None, "ask" if asks else "allow"),
    }


def _claude_code(mode: str) -> Profile:
    """ANTHROPIC_BASE_URL and its key are variables of every job."""
    return Profile(
        name="claude-code",
        argv=("claude-agent-acp",),
        mode=mode,
        environment={
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
        },
        model_variable="ANTHROPIC_MODEL",
        conversation=(".claude/projects/**",),
        instructions=".claude/CLAUDE.md",
        skills=".claude/skills",
    )


def _codex(provider: Provider | None, mode: str) -> Profile:
    def configured(model: str | None) -> Mapping[str, str]:
        config: dict[str, object] = {"model": model} if model else {}
        if provider is not None:
            served = {
                "name": provider.name,
                "base_url": f"{provider.base}/v1",
                "env_key": KEY_VARIABLE,
                "wire_api": "responses",
            }
            config |= {"model_provider": OURS, "model_providers": {OURS: served}}
        return {"CODEX_CONFIG": json.dumps(config)}

    return Profile(
        name="codex",
        argv=("codex-acp",),
        mode=mode,
        environment={"NO_BROWSER": "1", "INITIAL_AGENT_MODE": mode},
        configured=configured,
        conversation=(".codex/sessions/**",),
        instructions=".codex/AGENTS.md",
        skills=".agents/skills",
    )


def _opencode(provider: Provider | None, permission: str) -> Profile:
    def configured(model: str | None) -> Mapping[str, str]:
        config: dict[str, object] = {
            "autoupdate": False,
            "share": "disabled",
            "permission": dict.fromkeys(("edit", "bash", "webfetch"), permission),
        }
        if provider is not None:
            package = "anthropic" if provider.format == "anthropic" else "openai-compatible"
            options = {"baseURL": f"{provider.base}/v1", "apiKey": f"{{env:{KEY_VARIABLE}}}"}
            if provider.format == "anthropic":
                options["apiKey"] = "{env:ANTHROPIC_API_KEY}"
            served: dict[str, object] = {"npm": f"@ai-sdk/{package}", "options": options}
            if model:
                served["models"] = {model: {"name": model}}
                config["model"] = config["small_model"] = f"{OURS}/{model}"
            config["provider"] = {OURS: served}
        return {"OPENCODE_CONFIG_CONTENT": json.dumps(config)}

    return Profile(
        name="opencode",
        argv=("opencode", "acp"),
        environment={"OPENCODE_DISABLE_AUTOUPDATE": "1", "OPENCODE_DISABLE_MODELS_FETCH": "1"},
        configured=configured,
        conversation=(".local/share/opencode/**",),
        instructions=".config/opencode/AGENTS.md",
        skills=".config/opencode/skills",
    )
