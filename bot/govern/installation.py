"""The installation's own policy: `[policy]` of the settings, and the registries of this host."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bot.config import PREFIX, PolicySettings, file_path, set_by_variables
from bot.govern import registries
from bot.govern.policy import joined
from bot.govern.registries import Registry
from bot.toml_lines import lines_of
from vmpool.network.policy import Policy, Rule, read_rule


def installation_policy(settings: PolicySettings, found: Sequence[Registry]) -> Policy:
    """What counts for every project; `found` counts when no registries are set."""
    places = _Places(file_path())
    own = Policy(
        rules=(
            *places.rules("deny", settings.deny, allow=False),
            *places.rules("allow", settings.allow, allow=True),
            *places.rules("registries", settings.registries or (), allow=True),
        ),
        services=tuple(places.rules("services", settings.services, allow=True)),
    )
    if settings.registries is not None:
        return own
    return joined(own, registries.policy_of(found))


def read_installation_policy(settings: PolicySettings) -> Policy:
    """The same with the registries of this host, if they count; blocks for a second or so."""
    return installation_policy(
        settings, [] if settings.registries is not None else registries.here()
    )


class _Places:
    """Says where a line of the settings stands: in a variable, or on a line of the file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines = _lines(path)

    def rules(self, key: str, texts: Sequence[str], *, allow: bool) -> Iterator[Rule]:
        variables = set_by_variables("policy", [key])
        for place, text in enumerate(texts):
            number = self._lines.get(("policy", key, place), 0)
            source = f"{PREFIX}POLICY__{key.upper()}"
            if not variables:
                source = f"{self._path.name} of the installation, line {number}"
            yield read_rule(text, allow=allow, source=source)


def _lines(path: Path) -> Mapping[tuple[str | int, ...], int]:
    try:
        return lines_of(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeError):
        return {}
