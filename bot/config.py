"""Every setting, in one class; the only module that reads the environment.

Order of precedence: `ONA_…` variables (`__` between section and key), then `ona.toml` in the data
directory or at `ONA_CONFIG`, then the defaults here. An unknown key is an error that names the
file, the key, what was expected and what was found.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo

from bot.errors import WrongSettings
from bot.toml_lines import lines_of
from bot.words.catalogue import SOURCE, shipped
from vmpool.image_recipe.layers import AGENTS
from vmpool.network.policy import BadRule, read_rule
from vmpool.network.slot import SLOTS_MAX, UID_FIRST, UID_MAX
from vmpool.silence import BREAK_SECONDS, HOST_GRACE_SECONDS
from vmpool.warm.sizing import WorkingHours

PREFIX = "ONA_"
OURS = frozenset({"ONA_CONFIG", "ONA_BEAT_FD", "ONA_TOKEN", "ONA_URL"})
"""Variables that are no settings of the installation."""
TEST_PREFIX = "ONA_TEST_"

SHOWN_CHARACTERS_MAX = 80


def _split(value: Any) -> Any:
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


def _bare(value: Any) -> Any:
    return value.strip().lstrip("@/") if isinstance(value, str) else value


def _without_colons(value: Any) -> Any:
    return value.strip().strip(":") if isinstance(value, str) else value


def _hours(value: Any) -> Any:
    """`mon-fri 8-19`, as it is written."""
    if not isinstance(value, str):
        return value
    found = _HOURS.fullmatch(value.strip().casefold())
    if found is None:
        raise ValueError("days and hours such as `mon-fri 8-19`")
    first_day, last_day = (DAYS.index(found[n]) for n in (1, 2))
    first_hour, end_hour = int(found[3]), int(found[4])
    if first_day > last_day or not first_hour < end_hour <= 24:
        raise ValueError("days and hours such as `mon-fri 8-19`, the first one first")
    return WorkingHours(
        first_day=first_day, last_day=last_day, first_hour=first_hour, end_hour=end_hour
    )


DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOURS = re.compile(rf"({'|'.join(DAYS)})-({'|'.join(DAYS)}) (\d{{1,2}})-(\d{{1,2}})")


def _http_address(address: str) -> str:
    parts = urlsplit(address)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query:
        raise ValueError("an address that begins with https:// or http://")
    return address.rstrip("/")


Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Kept = Annotated[int, Field(ge=0)]
Listed = Annotated[tuple[str, ...], BeforeValidator(_split)]
"""A list; in a variable its parts stand between commas."""
Name = Annotated[str, BeforeValidator(_bare), Field(min_length=1)]
HttpAddress = Annotated[str, AfterValidator(_http_address)]
Emoji = Annotated[
    str, BeforeValidator(_without_colons), Field(pattern=r"^[a-z0-9_+'-]*$", max_length=100)
]
"""Name of a reaction; the colons around it may be there."""
AnyPath = Annotated[Path, AfterValidator(lambda path: path.expanduser().absolute())]


FOR_PEOPLE_SHARE = 4
"""One of so many is kept for people, unless settings say how many."""


def kept_for_people(said: int | None, of: int) -> int:
    """How many of so many automations leave free; `said`: what a setting says."""
    if said is not None:
        return said
    return 0 if of == 1 else max(1, of // FOR_PEOPLE_SHARE)


def _check_kept(key: str, said: int | None, of: int) -> None:
    """:raises ValueError: nothing would be left, and no automation ever ran"""
    if said is not None and said >= of:
        raise ValueError(f"{key} should be less than {of}, all there are, but is {said}")


class Section(BaseModel):
    """A group of settings; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DatabaseSettings(Section):
    """PostgreSQL: embedded in the data directory, or any 15+ by URL."""

    url: SecretStr | None = Field(
        default=None, description="URL of a PostgreSQL 15+; none: embedded in the data directory"
    )
    connections_max: Count = Field(default=10, description="connections a process may open")


class QueueSettings(Section):
    """Workers and their leases."""

    turns_max: Count = Field(default=4, description="turns that a worker runs at once")
    turns_for_people: Kept | None = Field(
        default=None,
        description="how many of them automations leave free for people; none: a quarter, at least"
        " 1 of several",
    )
    lease_seconds: Seconds = Field(
        default=30, description="life of a session's lease; renewed at a third of it"
    )
    host_grace_seconds: Annotated[float, Field(ge=2 * BREAK_SECONDS, allow_inf_nan=False)] = Field(
        default=HOST_GRACE_SECONDS,
        description="how long a host may be silent before its sessions go on elsewhere, from their"
        f" checkpoints; {2 * BREAK_SECONDS:g} at least; docs/hosts.md",
    )
    poll_seconds: Seconds = Field(
        default=5, description="slow poll that backs up the database's hints"
    )
    finish_seconds: Seconds = Field(
        default=10, description="how long a clean stop waits for turns before it hands them back"
    )

    @model_validator(mode="after")
    def _some_for_automations(self) -> Self:
        _check_kept("queue.turns_for_people", self.turns_for_people, self.turns_max)
        return self

    @property
    def kept_for_people(self) -> int:
        """Turns that only people's prompts may begin."""
        return kept_for_people(self.turns_for_people, self.turns_max)


class TurnSettings(Section):
    """What bounds a turn."""

    seconds_max: Seconds = Field(default=3600, description="time limit of a turn")
    prompt_bytes_max: Count = Field(
        default=100_000, le=120_000, description="size of one message; 120,000 at most"
    )
    output_bytes_max: Count = Field(
        default=1024 * 1024, description="output of a turn that is shown; the rest stays in a file"
    )
    question_seconds_max: Seconds = Field(
        default=7 * 86400, description="how long a turn waits for a person's answer"
    )
    repeats_max: Annotated[int, Field(ge=2, le=1000)] = Field(
        default=8,
        description="how often an agent may do the same with the same result, one time after the"
        " other, before a person is asked",
    )


class SessionSettings(Section):
    """What bounds all turns of a session together."""

    seconds_max: Seconds = Field(
        default=7 * 86400, description="time that the turns of a session may run together"
    )
    turns_max: Count = Field(default=1000, description="turns of a session")


Dollars = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class BudgetSettings(Section):
    """What turns may spend on models, in US dollars; what might be spent counts too."""

    session_usd: Dollars | None = Field(default=None, description="of a session; none: no limit")
    person_day_usd: Dollars | None = Field(
        default=None, description="of what one person asks for in a day (UTC); none: no limit"
    )
    project_day_usd: Dollars | None = Field(
        default=None, description="of a project in a day (UTC); none: no limit"
    )


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


def _with_known_providers(given: Any) -> Any:
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


class OwnAgentSettings(Section):
    """An agent that is none of ours: a program in the machines that speaks the protocol."""

    argv: Annotated[tuple[str, ...], Field(min_length=1)]
    environment: Mapping[str, str] = {}
    mode: str | None = None
    model_variable: str | None = None
    conversation: tuple[str, ...] = ()


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
        " `model_variable` and `conversation`",
    )
    installed: Annotated[
        tuple[Annotated[str, AfterValidator(_installable)], ...] | None, BeforeValidator(_split)
    ] = Field(
        default=None,
        description=f"agents that machines hold, of {', '.join(f'`{name}`' for name in AGENTS)};"
        " none set: those that a provider among `models` can serve, `claude-code` by the format"
        " `anthropic` and `codex` by `openai`",
    )


SERVED_BY: Mapping[str, str] = {"anthropic": "claude-code", "openai": "codex"}
"""The agent that a format of models is for, where nobody says more."""


class MachineSettings(Section):
    """The machines of this host."""

    accelerator: Literal["auto", "kvm", "tcg"] = Field(
        default="auto", description="auto: whatever the start-up probe found to work"
    )
    hypervisor: Literal["auto", "cloud-hypervisor", "qemu"] = Field(
        default="auto", description="auto: Cloud Hypervisor where it and KVM work, else QEMU"
    )
    qemu: str = Field(default="qemu-system-x86_64", description="QEMU program, by name or path")
    cloud_hypervisor: str = Field(
        default="cloud-hypervisor",
        description="Cloud Hypervisor program, by name or path; `CLOUD_HYPERVISOR` sets it too",
    )
    size: str = Field(default="medium", description="size of a machine where nobody asks for one")
    memory_mib_max: Annotated[int, Field(ge=0)] = Field(
        default=0, description="memory for all machines of this host; 0: all but 15 % of it"
    )
    running_max: Count = Field(default=4, description="machines that run at once on this host")
    running_for_people: Kept | None = Field(
        default=None,
        description="how many of them automations leave free for people; none: a quarter, at least"
        " 1 of several",
    )
    boot_seconds: Seconds = Field(default=120, description="time limit of a boot")
    resume_seconds: Seconds = Field(default=60, description="time limit of a resume")
    idle_seconds: Seconds = Field(
        default=600, description="idle time after which a machine hibernates"
    )
    rest_at_stop: bool = Field(
        default=False, description="hibernate every machine when `ona work` is stopped"
    )
    retention_days: Seconds = Field(
        default=14, description="days after which a resting machine is deleted"
    )
    isolated: bool = Field(
        default=True,
        description="keep each machine's process apart from this host, as far as it can: a uid and"
        " a network slot of its own (as root), Landlock",
    )
    uid_first: Annotated[int, Field(ge=1000, le=UID_MAX)] | None = Field(
        default=None,
        description=f"first of {SLOTS_MAX} uids that are for machines' processes alone; none: from"
        f" {UID_FIRST} up, others for each data directory",
    )

    @model_validator(mode="after")
    def _some_for_automations(self) -> Self:
        _check_kept("machine.running_for_people", self.running_for_people, self.running_max)
        return self

    @property
    def kept_for_people(self) -> int:
        """Machines that only people's prompts may take."""
        return kept_for_people(self.running_for_people, self.running_max)


class SizeSettings(Section):
    """A size of machines."""

    vcpus: Count
    memory_mib: Annotated[int, Field(ge=256, le=4 * 1024 * 1024)]
    disk_gib: Annotated[int, Field(ge=4, le=64 * 1024)]


SIZES: Mapping[str, SizeSettings] = {
    "small": SizeSettings(vcpus=1, memory_mib=512, disk_gib=8),
    "medium": SizeSettings(vcpus=2, memory_mib=1024, disk_gib=16),
    "large": SizeSettings(vcpus=4, memory_mib=4096, disk_gib=32),
}
"""Those there are without being set."""
SIZE_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")


class PoolSettings(Section):
    """Templates, and the machines of them that wait to be handed out."""

    enabled: bool = Field(
        default=True, description="build templates and keep machines waiting; else all are booted"
    )
    hot_max: Annotated[int, Field(ge=0)] = Field(
        default=4, description="hot machines of one pool (up, and paused), at most"
    )
    hot_min: Annotated[int, Field(ge=0)] = Field(
        default=1, description="hot machines of a used pool, at least"
    )
    cold_max: Annotated[int, Field(ge=0)] = Field(
        default=8, description="cold machines of one pool (snapshots on disk), at most"
    )
    cold_min: Annotated[int, Field(ge=0)] = Field(
        default=1, description="cold machines of a used pool, at least"
    )
    working_hours: Annotated[WorkingHours | None, BeforeValidator(_hours)] = Field(
        default=None,
        description="when `hot_min` holds, such as `mon-fri 8-19` in the host's time zone; none:"
        " around the clock",
    )
    keep_days: Seconds = Field(
        default=7, description="days after the last session of a project until its pool is let go"
    )
    rebuild_minutes: Seconds = Field(
        default=30, description="how often a template follows a base branch that moves, at most"
    )
    setup_minutes: Seconds = Field(
        default=30, description="time limit of one set-up command of a template"
    )
    at_once_max: Annotated[int, Field(ge=0)] = Field(
        default=0, description="machines made ready at once; 0: half as many as processors"
    )


class CheckpointSettings(Section):
    """What of a session survives its machine."""

    bytes_max: Count = Field(
        default=64 * 1024 * 1024, description="size of a checkpoint; the rest is left out"
    )
    inline_bytes_max: Count = Field(
        default=1024 * 1024, description="size up to which it is a row and not a file"
    )
    directory: AnyPath | None = Field(
        default=None,
        description="where larger ones are files; several hosts share it; none: `blobs` in the data"
        " directory; docs/hosts.md",
    )
    file_bytes_max: Count = Field(
        default=16 * 1024 * 1024, description="size of one untracked file in it"
    )
    undo_turns_max: Count = Field(
        default=5, description="last turns of a session that `undo` can take back"
    )


class DeliverySettings(Section):
    """How the work of turns gets to code hosts; what gets there is the projects' policies'."""

    email_domain: str = Field(
        default="users.noreply.ona.invalid",
        pattern=r"^[a-z0-9.-]+$",
        description="domain of the addresses in commits of people without an account on the code"
        " host, and of ona itself",
    )
    bytes_max: Count = Field(
        default=200_000_000, description="size of the commits of one delivery together"
    )
    seconds_max: Seconds = Field(
        default=300, description="how long one push or one fetch of a delivery may take"
    )
    ci_rounds_max: Annotated[int, Field(ge=0)] = Field(
        default=3,
        description="prompts in a row that failed checks of a pushed commit make, before a person"
        " is asked; 0: at once",
    )


def _listening(said: str) -> str:
    host, _, port = said.rpartition(":")
    if said and not (host and port.isdigit() and int(port) <= 65535):
        raise ValueError("an address and a port, such as `0.0.0.0:8485`")
    return said


ListenAddress = Annotated[str, AfterValidator(_listening)]


class VisitSettings(Section):
    """People's own ways into machines: `ona sessions ssh` and previews."""

    listen: ListenAddress = Field(
        default="",
        description="`address:port` on which `ona serve` of other hosts reaches the machines of"
        " this one, with TLS; none: only processes of this host do, over a Unix socket",
    )
    address: ListenAddress = Field(
        default="",
        description="`name:port` under which they find it; default: this host's name and the port",
    )
    connections_max: Count = Field(
        default=256, description="connections of people into machines of this host at once"
    )
    session_connections_max: Count = Field(
        default=64, description="of them into one session's machine"
    )
    idle_seconds: Seconds = Field(
        default=1800, description="time without a byte after which such a connection is ended"
    )


class WebSettings(Section):
    """Pages and API."""

    allowed_hosts: Listed = Field(
        default=(), description="names besides the loopback ones under which it may be reached"
    )
    sign_in_days: Seconds = Field(default=30, description="life of a browser's sign-in")
    link_minutes: Seconds = Field(default=60, description="life of a one-time sign-in link")
    streams_max: Count = Field(default=100, description="live event streams at once")
    preview_host: Annotated[str, Field(pattern=r"^([a-z0-9-]+(\.[a-z0-9-]+)*)?$")] = Field(
        default="",
        description="name below which each preview has a host name of its own; its wildcard must"
        " lead here. Default: `preview.localhost` where people reach the web server by loopback,"
        " else none: docs/previews.md",
    )
    preview_hours: Seconds = Field(default=24, description="life of a preview's address")


class SlackSettings(Section):
    """Slack; off without the bot token and a way in: the app's token, or the signing secret."""

    bot_token: SecretStr | None = Field(
        default=None, description="the app's bot token, `xoxb-…`: it posts and reads"
    )
    app_token: SecretStr | None = Field(
        default=None, description="the app's own token, `xapp-…`: it opens the connection"
    )
    signing_secret: SecretStr | None = Field(
        default=None,
        description="the app's signing secret; with it Slack delivers to `/hooks/slack` over HTTP,"
        " and ona opens no connection",
    )
    api_url: str = Field(default="https://slack.com/api/", description="where Slack's Web API is")
    start_reaction: Emoji = Field(
        default="",
        description="name of a reaction, such as `robot_face`, that sends a message to ona;"
        " none: off",
    )


class DiscordSettings(Section):
    """Discord; off without a token."""

    token: SecretStr | None = Field(default=None, description="token of the bot")
    start_reaction: Annotated[str, Field(pattern=r"^[^\s<>@:]*$", max_length=100)] = Field(
        default="",
        description="a reaction that sends a message to ona: the emoji itself, such as `🤖`, or the"
        " name of one of the server's own; none: off",
    )


class GitHubSettings(Section):
    """GitHub, by a GitHub App; off without its id and key."""

    app_id: Annotated[int, Field(gt=0)] | None = Field(
        default=None, description="number of the GitHub App"
    )
    private_key: SecretStr | None = Field(
        default=None, description="the App's private key, as the text of its PEM file"
    )
    private_key_file: AnyPath | None = Field(
        default=None, description="or the file that holds the private key"
    )
    webhook_secret: SecretStr | None = Field(
        default=None,
        description="the App's webhook secret; without it repositories are asked every 30 s",
    )
    client_id: str | None = Field(
        default=None, description="the App's client id: lets people connect their accounts"
    )
    client_secret: SecretStr | None = Field(
        default=None, description="the App's client secret: lets them do so without typing a code"
    )
    forks: bool = Field(
        default=False, description="whether pull requests from forks may be talked about"
    )
    url: HttpAddress = Field(default="https://github.com", description="where GitHub's pages are")
    api_url: HttpAddress = Field(
        default="https://api.github.com",
        description="where its API is; a server of your own: `https://HOST/api/v3`",
    )


class GitLabSettings(Section):
    """GitLab, by the token of a group or of a service account; off without one."""

    token: SecretStr | None = Field(
        default=None, description="access token with the scope `api`, of a group or a bot"
    )
    webhook_secret: SecretStr | None = Field(
        default=None,
        description="secret token of the webhooks; without it projects are asked every 30 s",
    )
    client_id: str | None = Field(
        default=None, description="id of an application: lets people connect their accounts"
    )
    client_secret: SecretStr | None = Field(
        default=None, description="its secret: lets them do so without typing a code"
    )
    act_for_people: bool = Field(
        default=False,
        description="whether people who connect their accounts are asked for the scope `api`, with"
        " which their merge requests are opened as theirs; needs Vault, which seals their tokens",
    )
    forks: bool = Field(
        default=False, description="whether merge requests from forks may be talked about"
    )
    bots: Listed = Field(
        default=(),
        description="usernames of bots that GitLab takes for people; those that it knows as bots,"
        " such as the users of tokens and service accounts, need not be named",
    )
    url: HttpAddress = Field(default="https://gitlab.com", description="where GitLab is")


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


def _egress_line(text: str) -> str:
    try:
        read_rule(text, allow=True, source="")
    except BadRule as error:
        raise ValueError(
            f"a list of HOST, *.HOST, HOST:PORT, addresses, ranges ({error})"
        ) from error
    return text


def _service_line(text: str) -> str:
    if read_rule(_egress_line(text), allow=True, source="").port is None:
        raise ValueError("a list of HOST:PORT, each with its port")
    return text


EgressLines = Annotated[
    tuple[Annotated[str, AfterValidator(_egress_line)], ...], BeforeValidator(_split)
]
ServiceLines = Annotated[
    tuple[Annotated[str, AfterValidator(_service_line)], ...], BeforeValidator(_split)
]


class ContainersSettings(Section):
    """Dev containers in templates; docs/environment.md."""

    enabled: bool = Field(
        default=True,
        description="make what a repository's devcontainer.json asks for; else the file is as if"
        " it were not there",
    )
    plain_http: ServiceLines = Field(
        default=(), description="image registries, `HOST:PORT`, that are asked without TLS"
    )


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
    registries: EgressLines | None = Field(
        default=None,
        description="package registries that they may reach; none: those that the package"
        " managers of the host are configured for, `ona policy registries` shows them",
    )
    audit_days: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        default=400, description="days for which the audit is kept; 0: for ever"
    )


class LogSettings(Section):
    """Logs."""

    format: Literal["auto", "json", "console"] = Field(
        default="auto", description="auto: console on a terminal, else JSON"
    )
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="least severe level that is written"
    )


def _shipped(locale: str) -> str:
    if locale not in shipped():
        raise ValueError(f"one of {', '.join(shipped())}")
    return locale


def _with_known_sizes(given: Any) -> Any:
    """What is set goes over what is there, number by number."""
    if not isinstance(given, Mapping):
        return given
    sizes: dict[str, Any] = {name: dict(size) for name, size in SIZES.items()}
    for name, size in given.items():
        if not SIZE_NAME.fullmatch(name):
            raise ValueError(f"size names of small letters, digits and dashes, not {name[:40]!r}")
        is_table = isinstance(size, Mapping)
        sizes[name] = {**sizes.get(name, {}), **size} if is_table else size
    return sizes


def _default_data_dir(variables: Mapping[str, str] = os.environ) -> Path:
    base = Path(variables.get("XDG_DATA_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".local" / "share") / "ona"


class Settings(Section):
    """All settings of an installation."""

    data_dir: AnyPath = Field(
        default_factory=_default_data_dir,
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
    sizes: Annotated[Mapping[str, SizeSettings], BeforeValidator(_with_known_sizes)] = Field(
        default=SIZES,
        description="machine sizes by name, as tables `[sizes.NAME]` with `vcpus`, `memory_mib` and"
        " `disk_gib`; `small`, `medium` and `large` are there and may be changed",
    )
    models: Annotated[Mapping[str, ModelSettings], BeforeValidator(_with_known_providers)] = Field(
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


class _Given(dict[str, tuple[str, str]]):
    """The settings among the variables: key → (variable, value)."""


def load(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings. :raises WrongSettings: with file or variable, key, expected, got."""
    variables = os.environ if environment is None else environment
    given = _given(variables)
    path, values = _file(variables, given)
    for key, (_, value) in given.items():
        *sections, name = key.split(".")
        place: Any = values
        for section in sections:
            place = place.setdefault(section, {}) if isinstance(place, dict) else None
        if isinstance(place, dict):
            place[name] = value
    values.setdefault("data_dir", _default_data_dir(variables))
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise _explained(error, path, given) from None


def _given(variables: Mapping[str, str]) -> _Given:
    """Find the settings among the variables; an empty one counts as not set."""
    known = {key for key, _ in _fields()}
    given = _Given()
    for variable, value in variables.items():
        if not variable.startswith(PREFIX) or variable in OURS or variable.startswith(TEST_PREFIX):
            continue
        key = variable.removeprefix(PREFIX).lower().replace("__", ".")
        if key not in known and not _NAMED_KEY.fullmatch(key):
            raise _unknown(variable, key)
        if value:
            given[key] = (variable, value)
    if binary := variables.get("CLOUD_HYPERVISOR"):
        given.setdefault("machine.cloud_hypervisor", ("CLOUD_HYPERVISOR", binary))
    if address := variables.get("VAULT_ADDR"):
        given.setdefault("vault.address", ("VAULT_ADDR", address))
    return given


_NAMED_KEY = re.compile(
    r"sizes\.[^.]+\.(vcpus|memory_mib|disk_gib)|models\.[^.]+\.(format|url|key)"
)


def file_path(environment: Mapping[str, str] | None = None) -> Path:
    """Where `ona.toml` is, or would be."""
    variables = os.environ if environment is None else environment
    return _path(variables, _given(variables))


def _path(variables: Mapping[str, str], given: _Given) -> Path:
    named = variables.get("ONA_CONFIG", "")
    _, directory = given.get("data_dir", ("", ""))
    default = Path(directory).expanduser() if directory else _default_data_dir(variables)
    return Path(named).expanduser() if named else default / "ona.toml"


def _file(variables: Mapping[str, str], given: _Given) -> tuple[Path, dict[str, Any]]:
    """Read `ona.toml`; it may be missing unless ONA_CONFIG names it."""
    named, path = variables.get("ONA_CONFIG", ""), _path(variables, given)
    try:
        return path, tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if not named:
            return path, {}
        raise WrongSettings(
            f"there is no file {path}, which ONA_CONFIG names", do="make it or unset ONA_CONFIG"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise WrongSettings(f"{path} can't be read: {error}", do="mend it or remove it") from None


def _explained(error: ValidationError, path: Path, given: _Given) -> WrongSettings:
    first = error.errors(include_url=False)[0]
    fields = dict(_fields())
    loc = [str(part) for part in first["loc"]]
    is_known = ".".join(loc[:2]) in fields
    if first["type"] == "value_error" and not is_known:
        # Settings that don't fit together: the text names them.
        return WrongSettings(f"{path}: {first['ctx']['error']}", do="mend it")
    file = _in_file(path, first["loc"])
    key = ".".join(loc[:2]) if is_known else loc[0]
    where, _ = given.get(key, (file, ""))
    if first["type"] == "extra_forbidden":
        return _unknown(where, ".".join(loc))
    if key not in fields:
        return WrongSettings(f"{where}: {key} should be a table, but is none", do="mend it")
    said = first["msg"].removeprefix("Value error, ")
    expected = said.removeprefix("Input should be ").partition(", unable")[0]
    got = repr(first["input"])[:SHOWN_CHARACTERS_MAX]
    if "SecretStr" in str(fields[key].annotation) or loc[-1] == "key":
        got = "something else"
    return WrongSettings(f"{where}: {key} should be {expected}, but is {got}", do="mend it")


def _in_file(path: Path, key: tuple[str | int, ...]) -> str:
    """The file, and the line of the key if it stands there."""
    try:
        lines = lines_of(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return str(path)
    known = [key[:end] for end in range(len(key), 0, -1) if key[:end] in lines]
    return f"{path}, line {lines[known[0]]}" if known else str(path)


def _unknown(where: str, key: str) -> WrongSettings:
    near = difflib.get_close_matches(key, [known for known, _ in _fields()], n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    return WrongSettings(
        f"{where}: there is no setting {key}", do=f"{hint}docs/settings.md lists those there are"
    )


def _fields() -> Iterator[tuple[str, FieldInfo]]:
    """Every setting by its key: `port`, `queue.turns_max`, …"""
    for name, field in Settings.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            for inner_name, inner in kind.model_fields.items():
                yield f"{name}.{inner_name}", inner
        else:
            yield name, field


def set_by_variables(
    section: str, keys: Iterable[str], environment: Mapping[str, str] | None = None
) -> list[str]:
    """The variables that are set here for keys of a section: they go before the file."""
    variables = os.environ if environment is None else environment
    given = _given(variables)
    return [given[name][0] for key in keys if (name := f"{section}.{key}") in given]


def client_variables(environment: Mapping[str, str] | None = None) -> tuple[str, str]:
    """ONA_URL and ONA_TOKEN: which installation a command line speaks to, and as whom."""
    variables = os.environ if environment is None else environment
    return variables.get("ONA_URL", "").rstrip("/"), variables.get("ONA_TOKEN", "").strip()


def beat_descriptor() -> int | None:
    """Where a child of `ona up` beats; None when it has no supervisor."""
    value = os.environ.get("ONA_BEAT_FD")
    return int(value) if value else None


def reference() -> list[tuple[str, str, str, str]]:
    """Every setting as (key, variable, default, meaning), for the documentation."""
    return [
        (key, PREFIX + key.upper().replace(".", "__"), _shown(field), field.description or "")
        for key, field in _fields()
    ]


def _shown(field: FieldInfo) -> str:
    """The default as it would be written in the file; empty where it is described in words."""
    if field.is_required() or field.default_factory is not None:
        return ""
    if field.default is None or field.default == () or isinstance(field.default, Mapping):
        return ""
    return str(field.default).lower() if isinstance(field.default, bool) else str(field.default)
