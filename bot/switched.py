"""Which surfaces the settings switch on, how each listens, and what an off one lacks; pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from adapters.forge import polled
from adapters.forge.github.place import web_address
from adapters.forge.hosts import host_name
from bot.config import Section, Settings

Mode = Literal["", "socket", "http", "gateway", "webhook", "poll"]
"""How what is said gets to us; "": not at all."""
SURFACES = ("slack", "discord", "github", "gitlab")
"""Those that need settings."""


@dataclass(frozen=True, kw_only=True)
class Switch:
    """One surface, as the settings have it."""

    missing: str = ""
    """The settings that it lacks, in words; "": it is on."""
    begun: bool = False
    """Some of its settings are there, and if it is only its address."""
    mode: Mode = ""
    delay_seconds: float = 0.0
    """How late at most we hear what was said, where we ask for it; with webhooks, what was lost."""

    @property
    def on(self) -> bool:
        """Whether it runs."""
        return not self.missing


def switches(settings: Settings) -> Mapping[str, Switch]:
    """Every surface that needs settings, by its name."""
    return {
        "slack": _slack(settings),
        "discord": _discord(settings),
        "github": _github(settings),
        "gitlab": _gitlab(settings),
    }


def hook_url(settings: Settings, surface: str) -> str:
    """Where a surface delivers to; "": nowhere, without a public address."""
    return f"{settings.public_url}/hooks/{surface}" if settings.public_url else ""


def code_hosts(settings: Settings) -> Mapping[str, str]:
    """The hosts of forges that the settings name, complete or not, each to its surface."""
    hosts = {}
    if _named(settings.github):
        # Where the two don't belong together, either may be the one that is meant.
        for url in (settings.github.url, web_address(settings.github.api_url)):
            hosts[host_name(url)] = "github"
    if _named(settings.gitlab):
        hosts[host_name(settings.gitlab.url)] = "gitlab"
    return hosts


def closed_hosts(settings: Settings, known: Mapping[str, str]) -> Mapping[str, str]:
    """The hosts whose repositories nobody may use unless a forge says so, each to its surface.

    They are those that the settings name, and those that they named once: an access that was
    refused does not come back because a forge was switched off. `open_hosts` opens the latter.

    :param known: the hosts that they ever named
    """
    opened = {one.casefold() for one in settings.open_hosts}
    past = {host: surface for host, surface in known.items() if host not in opened}
    return {**past, **code_hosts(settings)}


def _named(section: Section) -> bool:
    return bool(section.model_fields_set)


def _slack(settings: Settings) -> Switch:
    ours = settings.slack
    way_in = ours.app_token or ours.signing_secret
    missing = _listed(
        ("slack.bot_token", ours.bot_token), ("slack.app_token or slack.signing_secret", way_in)
    )
    if missing:
        return Switch(missing=missing, begun=bool(ours.bot_token or way_in))
    return Switch(mode="http" if ours.signing_secret else "socket")


def _discord(settings: Settings) -> Switch:
    missing = _listed(("discord.token", settings.discord.token))
    return Switch(missing=missing) if missing else Switch(mode="gateway")


def _github(settings: Settings) -> Switch:
    ours = settings.github
    key = ours.private_key or ours.private_key_file
    missing = _listed(
        ("github.app_id", ours.app_id), ("github.private_key_file or github.private_key", key)
    )
    if missing:
        return Switch(missing=missing, begun=_named(ours))
    if ours.webhook_secret is None:
        return Switch(mode="poll", delay_seconds=polled.POLL_SECONDS)
    return Switch(mode="webhook", delay_seconds=polled.CATCH_UP_SECONDS)


def _gitlab(settings: Settings) -> Switch:
    ours = settings.gitlab
    missing = _listed(("gitlab.token", ours.token))
    if missing:
        return Switch(missing=missing, begun=_named(ours))
    if ours.webhook_secret is None:
        return Switch(mode="poll", delay_seconds=polled.POLL_SECONDS)
    return Switch(mode="webhook", delay_seconds=polled.CATCH_UP_SECONDS)


def _listed(*needed: tuple[str, object]) -> str:
    missing = [name for name, value in needed if not value]
    if not missing:
        return ""
    return f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set"
