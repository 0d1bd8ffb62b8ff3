"""What goes into the guest image, and the digests that name it."""

import hashlib
import json
import platform
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from vmpool.errors import HostUnfit
from vmpool.image_recipe.layers import DEVCONTAINERS, Layer, layers_of
from vmpool.image_recipe.sources import Release, archive_of, read_sources, release_of, render

HERE = Path(__file__).parent
PROGRAM = HERE.parent / "guest"
"""The guest program as it lies in our own package."""

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}

NEEDED = (
    "bash", "busybox-static", "ca-certificates", "curl", "e2fsprogs", "git", "iproute2", "kmod",
    "less", "mount", "openssh-server", "openssh-client", "passwd", "procps", "python3", "xz-utils",
    "zstd",
)  # fmt: skip
EXPECTED = (
    "bc", "bzip2", "diffutils", "file", "gawk", "gnupg", "jq", "make", "netcat-openbsd", "patch",
    "psmisc", "python3-pip", "python3-venv", "ripgrep", "rsync", "sqlite3", "tree", "tzdata",
    "unzip", "vim-tiny", "wget", "zip",
)  # fmt: skip
"""What people and agents reach for in a script before anything was set up."""

ENGINE = ("podman", "crun", "uidmap", "catatonit")
"""For machines with a dev container: the engine, which the agent's user runs without any right."""

LEFT_OUT = ("/usr/share/man/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/doc/*")
KEPT = ("/usr/share/doc/*/copyright", "/usr/share/locale/locale.alias")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides what an image is, apart from what the archive holds today."""

    release: Release
    architecture: str
    """As Debian spells it."""
    sources: str
    """Package sources, deb822; the machine keeps them."""
    packages: tuple[str, ...]
    program: Mapping[str, bytes]
    """The guest program: file name → content."""
    layers: tuple[Layer, ...] = ()
    """Agents and what they run on."""

    @property
    def base_options(self) -> tuple[str, ...]:
        """How mmdebstrap is to make the tree; what dpkg is told stays in force in the machine."""
        dpkg = [
            # A machine's disk is not written through either.
            "force-unsafe-io",
            *(f"path-exclude={pattern}" for pattern in LEFT_OUT),
            *(f"path-include={pattern}" for pattern in KEPT),
        ]
        return (
            "--variant=minbase",
            f"--architectures={self.architecture}",
            f"--include={','.join(self.packages)}",
            *(f"--dpkgopt={option}" for option in dpkg),
            f"--customize-hook={_text('customize.sh').decode()}",
        )

    @property
    def base_key(self) -> str:
        """Digest of what the expensive half is made of."""
        return _digest([self.release.codename, self.sources, self.base_options])

    def image_digest(self, manifest: str) -> str:
        """Digest of the whole image, given what the packages turned out to be."""
        program = {name: data.hex() for name, data in sorted(self.program.items())}
        layers = [[layer.name, layer.digest, layer.scripts()] for layer in self.layers]
        parts = [self.base_key, manifest, program, layers]
        return _digest(parts, *map(_text, ("pack.py", "initrd.py", "cpio.py", "init.sh")))


def recipe_of_host(
    *,
    agents: Collection[str] = (),
    engine: bool = False,
    etc: Path = Path("/etc"),
    program: Path = PROGRAM,
) -> Recipe:
    """Read what this host is and what our guest program is now; a few small files.

    :param agents: those of `AGENTS` that are to be in the image
    :param engine: whether it is to hold what makes dev containers
    :raises HostUnfit: not a Debian or Ubuntu with its own archive among its package sources
    """
    architecture = ARCHITECTURES.get(platform.machine())
    if architecture is None:
        raise HostUnfit(f"there is no guest image for {platform.machine()} processors; use x86-64")
    try:
        release = release_of((etc / "os-release").read_text())
    except FileNotFoundError:
        raise HostUnfit(f"{etc}/os-release is missing; run ona on Debian or Ubuntu") from None
    own = archive_of(read_sources(etc / "apt"), release, architecture)
    kernel = {"debian": f"linux-image-cloud-{architecture}", "ubuntu": "linux-image-virtual"}
    return Recipe(
        release=release,
        architecture=architecture,
        sources=render(own),
        packages=(
            *(*NEEDED, *EXPECTED, *(ENGINE if engine else ())),
            kernel[release.distribution],
        ),
        program={path.name: path.read_bytes() for path in program.glob("*.py")},
        layers=layers_of((*agents, *([DEVCONTAINERS] if engine else [])), architecture),
    )


def _text(name: str) -> bytes:
    return (HERE / name).read_bytes()


def _digest(parts: object, *files: bytes) -> str:
    digests = [hashlib.sha256(file).hexdigest() for file in files]
    return hashlib.sha256(json.dumps([parts, digests]).encode()).hexdigest()[:16]
