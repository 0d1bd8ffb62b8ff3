"""The host's package sources, in both of apt's forms, and which of them are the distribution's."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vmpool.errors import HostUnfit

COMPONENTS = {
    "debian": {"main", "contrib", "non-free", "non-free-firmware"},
    "ubuntu": {"main", "restricted", "universe", "multiverse"},
}
POCKETS = ("", "-updates", "-security")

_ABOUT_THE_HOST = {"architectures", "arch", "languages", "lang", "targets", "target", "pdiffs"}
_ENTRY = re.compile(r"deb\s+(?:\[(?P<options>[^\]]*)\]\s*)?(?P<words>\S.*)")


@dataclass(frozen=True, kw_only=True)
class Release:
    """A release of a distribution."""

    distribution: str
    """`debian` or `ubuntu`."""
    codename: str
    name: str
    """For people."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """One entry of a source list."""

    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]
    architectures: tuple[str, ...] = ()
    """Empty: those of the host."""
    options: tuple[tuple[str, str], ...] = ()
    """Other fields, lower-case name and value: `signed-by`, `trusted`, …"""


def release_of(os_release: str) -> Release:
    """Read /etc/os-release; derivatives count as what they are made of.

    :raises HostUnfit: neither Debian nor Ubuntu is in it
    """
    fields: dict[str, str] = dict(
        re.findall(r"""^(\w+)=["']?(.*?)["']?$""", os_release, re.MULTILINE)
    )
    name = fields.get("PRETTY_NAME", fields.get("ID", "this system"))
    found = {
        "ubuntu": fields.get("UBUNTU_CODENAME"),
        "debian": fields.get("DEBIAN_CODENAME"),
        fields.get("ID", ""): fields.get("VERSION_CODENAME"),
    }
    for distribution in (fields.get("ID", ""), "ubuntu", "debian"):
        codename = found.get(distribution)
        if distribution in COMPONENTS and codename:
            return Release(distribution=distribution, codename=codename, name=name)
    raise HostUnfit(
        f"the guest image is made of the host's own Debian or Ubuntu packages, and this is {name}; "
        "run ona on Debian 12 or Ubuntu 22.04 or later"
    )


def read_sources(etc_apt: Path) -> list[Source]:
    """Everything that apt would use, third parties included."""
    found: list[Source] = []
    for path in [etc_apt / "sources.list", *sorted((etc_apt / "sources.list.d").glob("*"))]:
        if not path.is_file():
            continue
        if path.suffix == ".list":
            found += parse_list(path.read_text(errors="replace"))
        elif path.suffix == ".sources":
            found += parse_deb822(path.read_text(errors="replace"))
    return found


def parse_list(text: str) -> list[Source]:
    """Read the one-line form; what can't be read, `deb-src` and media are skipped."""
    found = []
    for line in text.splitlines():
        match = _ENTRY.fullmatch(line.split(" #")[0].strip())
        if match is None:
            continue
        options = _options(match["options"] or "")
        uri, *rest = match["words"].split()
        if uri.startswith("cdrom:") or len(rest) < 2:
            continue
        found.append(_source((uri,), rest[:1], rest[1:], options))
    return found


def parse_deb822(text: str) -> list[Source]:
    """Read the form of `*.sources`; disabled stanzas and `deb-src` are skipped."""
    found = []
    for fields in _stanzas(text):
        if fields.get("enabled", "yes").lower() in {"no", "false", "0", "off", "without"}:
            continue
        if "deb" not in fields.get("types", "").split():
            continue
        words = {key: fields.pop(key, "").split() for key in ("uris", "suites", "components")}
        for key in ("types", "enabled"):
            fields.pop(key, None)
        if all(words.values()):
            found.append(_source(words["uris"], words["suites"], words["components"], fields))
    return found


def archive_of(sources: Sequence[Source], release: Release, architecture: str) -> list[Source]:
    """Keep the distribution's own: its suites, its components, its key or none named.

    :raises HostUnfit: the release's main archive is not among them
    """
    suites = {release.codename + pocket for pocket in POCKETS}
    known = COMPONENTS[release.distribution]
    kept = []
    for source in sources:
        own = tuple(suite for suite in source.suites if suite in suites)
        components = tuple(each for each in source.components if each in known)
        here = not source.architectures or architecture in source.architectures
        if own and components and here and _is_signed_by(source, release.distribution):
            kept.append(
                Source(uris=source.uris, suites=own, components=components, options=source.options)
            )
    if not any(release.codename in each.suites and "main" in each.components for each in kept):
        raise HostUnfit(
            f"no package source of {release.name} ({release.codename} main, signed by its own "
            "keyring) is in /etc/apt; add one to /etc/apt/sources.list.d and start again"
        )
    return kept


def render(sources: Sequence[Source]) -> str:
    """Write the deb822 form."""
    stanzas = []
    for source in sources:
        fields = {
            "Types": "deb",
            "URIs": " ".join(source.uris),
            "Suites": " ".join(source.suites),
            "Components": " ".join(source.components),
            **{name.title(): value for name, value in source.options},
        }
        stanzas.append("".join(f"{name}: {value}\n" for name, value in fields.items()))
    return "\n".join(stanzas)


def _source(
    uris: Sequence[str], suites: Sequence[str], components: Sequence[str], fields: dict[str, str]
) -> Source:
    architectures = fields.get("architectures") or fields.get("arch") or ""
    return Source(
        uris=tuple(uris),
        suites=tuple(suites),
        components=tuple(components),
        architectures=tuple(re.split(r"[\s,]+", architectures)) if architectures else (),
        options=tuple((key, value) for key, value in fields.items() if key not in _ABOUT_THE_HOST),
    )


def _options(text: str) -> dict[str, str]:
    pairs = (word.partition("=") for word in text.split())
    return {key.rstrip("+-").lower(): value.replace(",", " ") for key, _, value in pairs if value}


def _stanzas(text: str) -> Iterator[dict[str, str]]:
    lines = [line.rstrip() for line in text.splitlines() if not line.startswith("#")]
    fields: dict[str, str] = {}
    name = ""
    for line in [*lines, ""]:
        if not line and fields:
            yield fields
            fields, name = {}, ""
        elif line[:1] in {" ", "\t"}:
            if name:
                fields[name] += f"\n{line}"
        elif ":" in line:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            fields[name] = value.strip()


def _is_signed_by(source: Source, distribution: str) -> bool:
    keys = dict(source.options).get("signed-by", "").split()
    return all(key.startswith("/") and f"{distribution}-archive" in key for key in keys)
