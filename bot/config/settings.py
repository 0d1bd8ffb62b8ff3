"""All settings of an installation, and the paths below its data directory."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from bot.config.agents import (
    KNOWN_AGENTS,
    SERVED_BY,
    AgentsSettings,
    ModelSettings,
    with_known_providers,
)
from bot.config.guards import PolicySettings, VaultSettings
from bot.config.machines import (
    SIZES,
    ContainersSettings,
    MachineSettings,
    PoolSettings,
    SizeSettings,
    with_known_sizes,
)
from bot.config.section import AnyPath, HttpAddress, Listed, Name, Section
from bot.config.surfaces import (
    DiscordSettings,
    GitHubSettings,
    GitLabSettings,
    SlackSettings,
    VisitSettings,
    WebSettings,
)
from bot.config.work import (
    BudgetSettings,
    CheckpointSettings,
    DatabaseSettings,
    DeliverySettings,
    LogSettings,
    QueueSettings,
    SessionSettings,
    TurnSettings,
)
from bot.words.catalogue import SOURCE, shipped
from vmpool.image_recipe.layers import AGENTS


def _shipped(locale: str) -> str:
    if locale not in shipped():
        raise ValueError(f"one of {', '.join(shipped())}")
    return locale


def default_data_dir(variables: Mapping[str, str] = os.environ) -> Path:
    """Where data lie when nobody says where, by XDG."""
    base = Path(variables.get("XDG_DATA_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".local" / "share") / "ona"


class Settings(Section):
    """All settings of an installation."""

    data_dir: AnyPath = Field(
        default_factory=default_data_dir,
        description="everything that ona keeps; default by XDG: ~/.local/share/ona",
    )
    host: str = Field(default="127.0.0.1", description="address of the web server")
    port: Annotated[int, Field(ge=0, le=65535)] = Field(
        default=8484, description="port of the web server"
    )
    public_url: HttpAddress | None = Field(
        default=None,
        description="address under which people and code hosts reach the web server, such as"
        " `https://ona.example.org`; without it posts have no links and hooks are not expected",
    )
    images_dir: AnyPath | None = Field(
        default=None, description="guest images; default: `images` in the data directory"
    )
    mention: Name = Field(
        default="ona", description="name by which people address the bot, `@` or `/` in front"
    )
    language: Annotated[str, AfterValidator(_shipped)] = Field(
        default=SOURCE,
        description="language of our own sentences for people of whom none is known, and for what"
        " is said to a channel",
    )
    database: DatabaseSettings = DatabaseSettings()
    queue: QueueSettings = QueueSettings()
    turn: TurnSettings = TurnSettings()
    session: SessionSettings = SessionSettings()
    machine: MachineSettings = MachineSettings()
    sizes: Annotated[Mapping[str, SizeSettings], BeforeValidator(with_known_sizes)] = Field(
        default=SIZES,
        description="machine sizes by name, as tables `[sizes.NAME]` with `vcpus`, `memory_mib` and"
        " `disk_gib`; `small`, `medium` and `large` are there and may be changed",
    )
    models: Annotated[Mapping[str, ModelSettings], BeforeValidator(with_known_providers)] = Field(
        default={},
        description="providers of models by name, as tables `[models.NAME]` with `format`"
        " (`anthropic` or `openai`), `url`, `key`, `prices` and `offered` (names of models that"
        " people are offered for their new sessions, and where another provider failed; none: its"
        " agent's own default); of `anthropic` and `openai` the key alone has to be set. A key that"
        " is not set is a grant of each project",
    )
    agents: AgentsSettings = AgentsSettings()
    budget: BudgetSettings = BudgetSettings()
    pool: PoolSettings = PoolSettings()
    containers: ContainersSettings = ContainersSettings()
    checkpoint: CheckpointSettings = CheckpointSettings()
    delivery: DeliverySettings = DeliverySettings()
    visits: VisitSettings = VisitSettings()
    web: WebSettings = WebSettings()
    slack: SlackSettings = SlackSettings()
    discord: DiscordSettings = DiscordSettings()
    github: GitHubSettings = GitHubSettings()
    gitlab: GitLabSettings = GitLabSettings()
    open_hosts: Listed = Field(
        default=(),
        description="code hosts that were set up once and no longer are, whose repositories"
        " everybody here may use; those of others that were stay closed",
    )
    vault: VaultSettings = VaultSettings()
    policy: PolicySettings = PolicySettings()
    log: LogSettings = LogSettings()

    @model_validator(mode="after")
    def _known_size(self) -> Self:
        if self.machine.size not in self.sizes:
            known = ", ".join(self.sizes)
            raise ValueError(f"machine.size should be one of {known}, but is {self.machine.size!r}")
        return self

    @model_validator(mode="after")
    def _known_agent(self) -> Self:
        if self.agents.default and self.agents.default not in self.agent_names:
            known = ", ".join(self.agent_names)
            raise ValueError(
                f"agents.default should be one of {known}, but is {self.agents.default!r}"
            )
        return self

    @property
    def agent_names(self) -> tuple[str, ...]:
        """The agents that may be asked for."""
        return (*KNOWN_AGENTS, *self.agents.own)

    @property
    def default_agent(self) -> str:
        """The agent of what names none."""
        return self.agents.default or [*self._served, "shell"][0]

    @property
    def database_dir(self) -> Path:
        """The embedded PostgreSQL."""
        return self.data_dir / "postgres"

    @property
    def openbao_dir(self) -> Path:
        """The embedded OpenBao."""
        return self.data_dir / "openbao"

    @property
    def agents_installed(self) -> tuple[str, ...]:
        """The agents that the guest image is to hold."""
        wanted = self.agents.installed
        if wanted is None:
            wanted = (*self._served, *({self.agents.default} & {*AGENTS}))
        return tuple(dict.fromkeys(wanted))

    @property
    def _served(self) -> tuple[str, ...]:
        """The agents for whose models there is a provider."""
        formats = {provider.format for provider in self.models.values()}
        return tuple(agent for served, agent in SERVED_BY.items() if served in formats)

    @property
    def image_cache(self) -> Path:
        """Where guest images lie."""
        return self.images_dir or self.data_dir / "images"

    @property
    def host_dir(self) -> Path:
        """What is of this host alone: its machines, its keys, its identity."""
        return self.data_dir / "host"

    @property
    def machines_dir(self) -> Path:
        """Their directories."""
        return self.host_dir / "machines"

    @property
    def checkpoints_dir(self) -> Path:
        """Where large checkpoints are files; hosts that share it go on with each other's work."""
        return self.checkpoint.directory or self.data_dir / "blobs"

    @property
    def metrics_file(self) -> Path:
        """What `ona work` of this host has counted."""
        return self.host_dir / "metrics.prom"

    @property
    def logs_dir(self) -> Path:
        """Logs of the processes that `ona up` started."""
        return self.data_dir / "logs"

    @property
    def token_file(self) -> Path:
        """The API token of the command line on this machine."""
        return self.data_dir / "cli-token"
