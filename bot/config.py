"""Every setting, in one class; the only module that reads the environment.

Order of precedence: `ONA_…` variables (`__` between section and key), then `ona.toml` in the data
directory or at `ONA_CONFIG`, then the defaults here. An unknown key is an error that names the
file, the key, what was expected and what was found.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from bot.errors import WrongSettings

PREFIX = "ONA_"
OURS = frozenset({"ONA_CONFIG", "ONA_BEAT_FD", "ONA_TOKEN", "ONA_URL"})
"""Variables that are no settings of the installation."""
TEST_PREFIX = "ONA_TEST_"

Seconds = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


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
    lease_seconds: Seconds = Field(
        default=30, description="life of a session's lease; renewed at a third of it"
    )
    poll_seconds: Seconds = Field(
        default=5, description="slow poll that backs up the database's hints"
    )
    finish_seconds: Seconds = Field(
        default=10, description="how long a clean stop waits for turns before it hands them back"
    )


class TurnSettings(Section):
    """What bounds a turn."""

    seconds_max: Seconds = Field(default=3600, description="time limit of a turn")
    prompt_bytes_max: Count = Field(default=100_000, description="size of one message")
    output_bytes_max: Count = Field(
        default=1024 * 1024, description="output of a turn that is shown; the rest stays in a file"
    )
    question_seconds_max: Seconds = Field(
        default=7 * 86400, description="how long a turn waits for a person's answer"
    )


class MachineSettings(Section):
    """The machines of this host."""

    accelerator: Literal["auto", "kvm", "tcg"] = Field(
        default="auto", description="auto: whatever the start-up probe found to work"
    )
    qemu: str = Field(default="qemu-system-x86_64", description="QEMU program, by name or path")
    vcpus: Count = Field(default=2, description="virtual CPUs of a machine")
    memory_mib: Annotated[int, Field(ge=256)] = Field(
        default=1024, description="memory of a machine in MiB"
    )
    disk_gib: Annotated[int, Field(ge=4)] = Field(
        default=16, description="disk of a machine in GiB; takes only what is written"
    )
    running_max: Count = Field(default=4, description="machines that run at once on this host")
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


class CheckpointSettings(Section):
    """What of a session survives its machine."""

    bytes_max: Count = Field(
        default=64 * 1024 * 1024, description="size of a checkpoint; the rest is left out"
    )
    inline_bytes_max: Count = Field(
        default=1024 * 1024, description="size up to which it is a row and not a file"
    )
    file_bytes_max: Count = Field(
        default=16 * 1024 * 1024, description="size of one untracked file in it"
    )


class WebSettings(Section):
    """Pages and API."""

    allowed_hosts: tuple[str, ...] = Field(
        default=(), description="names besides the loopback ones under which it may be reached"
    )
    sign_in_days: Seconds = Field(default=30, description="life of a browser's sign-in")
    link_minutes: Seconds = Field(default=60, description="life of a one-time sign-in link")
    streams_max: Count = Field(default=100, description="live event streams at once")


class LogSettings(Section):
    """Logs."""

    format: Literal["auto", "json", "console"] = Field(
        default="auto", description="auto: console on a terminal, else JSON"
    )
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="least severe level that is written"
    )


def _default_data_dir() -> Path:
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "ona"


class Settings(Section):
    """All settings of an installation."""

    data_dir: Path = Field(
        default_factory=_default_data_dir,
        description="everything that ona keeps; default by XDG: ~/.local/share/ona",
    )
    host: str = Field(default="127.0.0.1", description="address of the web server")
    port: Annotated[int, Field(ge=0, le=65535)] = Field(
        default=8484, description="port of the web server"
    )
    mention: str = Field(default="ona", description="name by which people address the bot")
    database: DatabaseSettings = DatabaseSettings()
    queue: QueueSettings = QueueSettings()
    turn: TurnSettings = TurnSettings()
    machine: MachineSettings = MachineSettings()
    checkpoint: CheckpointSettings = CheckpointSettings()
    web: WebSettings = WebSettings()
    log: LogSettings = LogSettings()

    @property
    def database_dir(self) -> Path:
        """The embedded PostgreSQL."""
        return self.data_dir / "postgres"

    @property
    def images_dir(self) -> Path:
        """Guest images."""
        return self.data_dir / "images"

    @property
    def host_dir(self) -> Path:
        """The machines of this host."""
        return self.data_dir / "host"

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


def load(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings. :raises WrongSettings: with file or variable, key, expected, got."""
    variables = dict(os.environ if environment is None else environment)
    from_variables, names = _variables(variables)
    path = _file_path(variables, from_variables)
    from_file = _file(path)
    try:
        return Settings.model_validate(_merged(from_file, from_variables))
    except ValidationError as error:
        raise _explained(error, path, from_variables, names) from None


def _file_path(variables: Mapping[str, str], values: Mapping[str, Any]) -> Path:
    if "ONA_CONFIG" in variables:
        return Path(variables["ONA_CONFIG"])
    return Path(values.get("data_dir") or _default_data_dir()) / "ona.toml"


def _file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise WrongSettings(f"{path} can't be read: {error}", do="mend it or remove it") from None


def _variables(variables: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """The settings among the variables as nested values, and which variable gave each."""
    values: dict[str, Any] = {}
    names: dict[str, str] = {}
    for name, value in variables.items():
        if not name.startswith(PREFIX) or name in OURS or name.startswith(TEST_PREFIX):
            continue
        keys = name.removeprefix(PREFIX).lower().split("__")
        place = values
        for key in keys[:-1]:
            place = place.setdefault(key, {})
        place[keys[-1]] = _read(value)
        names[".".join(keys)] = name
    return values, names


def _read(value: str) -> Any:
    """Lists are written with commas; numbers and booleans are read by the model."""
    return value.split(",") if "," in value else value


def _merged(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(low)
    for key, value in high.items():
        below = merged.get(key)
        both = isinstance(value, dict) and isinstance(below, dict)
        merged[key] = _merged(below, value) if both and isinstance(below, dict) else value
    return merged


def _explained(
    error: ValidationError, path: Path, values: Mapping[str, Any], names: Mapping[str, str]
) -> WrongSettings:
    first = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    where = names.get(key) or (str(path) if not _has(values, key) else "the environment")
    if first["type"] == "extra_forbidden":
        return WrongSettings(
            f"{where}: there is no setting {key}", do="docs/settings.md lists those there are"
        )
    got = "a secret" if "url" in key else repr(first["input"])
    expected = first["msg"].removeprefix("Input should be ")
    return WrongSettings(f"{where}: {key} should be {expected}, but is {got}", do="mend it")


def _has(values: Mapping[str, Any], key: str) -> bool:
    place: Any = values
    for part in key.split("."):
        if not isinstance(place, Mapping) or part not in place:
            return False
        place = place[part]
    return True


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
    rows: list[tuple[str, str, str, str]] = []
    for name, field in Settings.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            rows.extend(
                _row(f"{name}.{key}", inner.default, inner.description)
                for key, inner in kind.model_fields.items()
            )
        else:
            rows.append(_row(name, field.default, field.description))
    return rows


def _row(key: str, default: Any, meaning: str | None) -> tuple[str, str, str, str]:
    shown = "" if default is None or type(default).__name__ == "PydanticUndefinedType" else default
    variable = PREFIX + key.upper().replace(".", "__")
    return key, variable, str(shown), meaning or ""
