"""Where settings are read from; no other package reads the environment.

Order of precedence: `ONA_…` variables (`__` between section and key), then `ona.toml` in the data
directory or at `ONA_CONFIG`, then the defaults. An unknown key is an error that names the file, the
key, what was expected and what was found.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from bot.config.section import Section
from bot.config.settings import Settings, default_data_dir
from bot.errors import WrongSettings
from bot.toml_lines import lines_of

PREFIX = "ONA_"
OURS = frozenset({"ONA_CONFIG", "ONA_BEAT_FD", "ONA_TOKEN", "ONA_URL"})
"""Variables that are no settings of the installation."""
TEST_PREFIX = "ONA_TEST_"
SHOWN_CHARACTERS_MAX = 80


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
    values.setdefault("data_dir", default_data_dir(variables))
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
    default = Path(directory).expanduser() if directory else default_data_dir(variables)
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
