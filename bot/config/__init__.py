"""Every setting of an installation, in groups, and where they are read from."""

from bot.config.agents import SERVED_BY, AgentsSettings, ModelSettings
from bot.config.guards import PolicySettings, VaultSettings
from bot.config.machines import SIZES, MachineSettings, PoolSettings, SizeSettings
from bot.config.reading import (
    PREFIX,
    beat_descriptor,
    client_variables,
    file_path,
    load,
    reference,
    set_by_variables,
)
from bot.config.section import Section, kept_for_people
from bot.config.settings import Settings
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
    LogSettings,
    QueueSettings,
)

__all__ = [
    "PREFIX",
    "SERVED_BY",
    "SIZES",
    "AgentsSettings",
    "BudgetSettings",
    "CheckpointSettings",
    "DatabaseSettings",
    "DiscordSettings",
    "GitHubSettings",
    "GitLabSettings",
    "LogSettings",
    "MachineSettings",
    "ModelSettings",
    "PolicySettings",
    "PoolSettings",
    "QueueSettings",
    "Section",
    "Settings",
    "SizeSettings",
    "SlackSettings",
    "VaultSettings",
    "VisitSettings",
    "WebSettings",
    "beat_descriptor",
    "client_variables",
    "file_path",
    "kept_for_people",
    "load",
    "reference",
    "set_by_variables",
]
