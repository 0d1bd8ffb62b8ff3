"""In the machine: a turn's work becomes commits, and those a bundle.

    commit: what lies in the work tree is committed, if there is anything; says where HEAD is then
    bundle: the commits between a commit that the host has and HEAD, as git's bundle

A merge or a rebase that is under way is left alone. Hooks of the repository don't run, and nothing
is signed: they could hold up what a person waits for, and CI has the last word anyway.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bot.errors import OnaError, TooLarge
from bot.words.catalogue import gettext as _
from bot.work.guest import Machine, last_line

COMMIT_SECONDS_MAX = 120.0
BUNDLE_SECONDS_MAX = 600.0
BY_PRODUCTS = (
    *(
        "__pycache__/",
        "*.py[cod]",
        ".pytest_cache/",
        ".mypy_cache/",
        ".ruff_cache/",
        ".hypothesis/",
    ),
    *(".tox/", ".nox/", ".venv/", ".ipynb_checkpoints/", "*.egg-info/", ".coverage"),
    *("node_modules/", ".npm/", ".pnpm-store/", ".gradle/", ".DS_Store", "*.swp", "*~"),
)
"""What tools leave in a work tree and no one commits on purpose; where a repository has such files
or says so itself, they are committed all the same."""
OID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")

_COMMIT = """\
set -eu
cd -- "$1"
list=$(mktemp)
trap 'rm -f -- "$list"' EXIT
printf '%s\\n' "$3" > "$list"
quietly() {
    git -c core.excludesFile="$list" -c core.hooksPath=/dev/null -c commit.gpgSign=false \\
        -c gc.auto=0 "$@"
}
directory=$(git rev-parse --git-dir)
for one in MERGE_HEAD CHERRY_PICK_HEAD REVERT_HEAD rebase-merge rebase-apply; do
    if [ -e "$directory/$one" ]; then printf 'busy %s\\n' "$one"; exit 0; fi
done
if [ -n "$(quietly status --porcelain --ignore-submodules=dirty | head -c 1)" ]; then
    quietly -c advice.addEmbeddedRepo=false add -A 2>/dev/null || quietly add -A
    quietly diff --cached --raw --no-renames --diff-filter=A -z |
        tr '\\0\\n' '\\n?' | sed -n '/^:000000 160000 /{n;p;}' |
        while IFS= read -r path; do
            if grep -qsF "path = $path" .gitmodules; then continue; fi
            quietly update-index --force-remove -- "$path"
            printf 'within %s\\n' "$path"
        done
    if ! quietly diff --cached --quiet; then quietly commit -q --no-verify -m "$2" >/dev/null; fi
fi
printf 'head %s\\n' "$(git rev-parse HEAD)"
if base=$(git rev-parse -q --verify refs/ona/base); then
    printf 'base %s\\nahead %s\\n' "$base" "$(git rev-list --count "$base"..HEAD)"
fi
"""
_LOOK = """\
set -eu
cd -- "$1"
list=$(mktemp)
trap 'rm -f -- "$list"' EXIT
printf '%s\\n' "$2" > "$list"
if [ -n "$(git -c core.excludesFile="$list" status --porcelain --ignore-submodules=dirty |
        head -c 1)" ]; then printf 'dirty\\n'; fi
printf 'head %s\\n' "$(git rev-parse HEAD)"
if base=$(git rev-parse -q --verify refs/ona/base); then
    printf 'base %s\\nahead %s\\n' "$base" "$(git rev-list --count "$base"..HEAD)"
fi
"""
_BUNDLE = """\
set -eu
cd -- "$1"
if [ -n "$2" ]; then set -- HEAD --not "$2"; else set -- HEAD; fi
exec git bundle create -q - "$@"
"""


@dataclass(frozen=True, kw_only=True)
class Committed:
    """What a machine says of its repository. It may say anything: it is checked on the host."""

    head: str
    base: str
    """What the session began from; empty: the machine does not know any more."""
    ahead: bool
    """Whether there are commits since then."""
    within: tuple[str, ...] = ()
    """Repositories within the repository, which are left out."""
    dirty: bool = False
    """Something in the work tree is in none of them."""


async def commit(
    machine: Machine, directory: str, message: str, environment: Mapping[str, str]
) -> Committed:
    """Commit what lies in the work tree.

    :param environment: names author and committer
    :raises OnaError: why it can't be
    """
    names = [f"{name}={value}" for name, value in environment.items()]
    argv = [
        "env",
        *names,
        "/bin/sh",
        "-c",
        _COMMIT,
        "commit",
        directory,
        message,
        "\n".join(BY_PRODUCTS),
    ]
    done = await machine.run(argv, timeout_seconds=COMMIT_SECONDS_MAX)
    if done.exit_status != 0:
        said = last_line(done.stderr) or f"exit status {done.exit_status}"
        raise OnaError(
            _("the work could not be committed in the machine: {error}", error=said),
            kept=_("its files are in the machine and in the checkpoint"),
            do=_("ask me to look at the repository's state"),
        )
    return _read(done.stdout.decode("utf-8", "replace"))


async def look(machine: Machine, directory: str) -> Committed:
    """How the repository is, which is left as it is. :raises OnaError: that can't be told"""
    argv = ["/bin/sh", "-c", _LOOK, "look", directory, "\n".join(BY_PRODUCTS)]
    done = await machine.run(argv, timeout_seconds=COMMIT_SECONDS_MAX)
    return _read(done.stdout.decode("utf-8", "replace"))


async def bundle(machine: Machine, directory: str, base: str, to: Path, *, bytes_max: int) -> None:
    """Write the commits after `base` to a file of the host; all of them if it is empty.

    :raises OnaError: why they can't be
    """
    argv = ["/bin/sh", "-c", _BUNDLE, "bundle", directory, base]
    with to.open("wb") as file:
        sink = _Sink(file, bytes_max)
        done = await machine.run(argv, timeout_seconds=BUNDLE_SECONDS_MAX, stdout=sink)
    if sink.size > bytes_max:
        raise TooLarge(
            _("the commits are larger than {size} MB together", size=f"{bytes_max / 1e6:g}"),
            kept=_("they are in the machine and in the checkpoint"),
            do=_("take large files out of the commits, or ask the operator for a higher limit"),
        )
    if done.exit_status != 0:
        said = last_line(done.stderr) or f"exit status {done.exit_status}"
        raise OnaError(
            _("the commits could not be brought out of the machine: {error}", error=said),
            kept=_("they are in the machine and in the checkpoint"),
            do=_("the next turn tries again"),
        )


def _read(said: str) -> Committed:
    """:raises OnaError: something is under way, or it is no answer"""
    lines = [line.partition(" ") for line in said.splitlines()]
    found = {name: value for name, _space, value in lines}
    if "busy" in found:
        raise OnaError(
            _("a merge or rebase is under way in the repository ({what})", what=found["busy"]),
            kept=_("everything is in the machine and in the checkpoint"),
            do=_("ask me to finish it or to give it up"),
        )
    head, base = found.get("head", ""), found.get("base", "")
    if not OID.fullmatch(head) or not (base == "" or OID.fullmatch(base)):
        raise OnaError(
            _("the machine does not say where its repository is"),
            kept=_("the checkpoint"),
            do=_("the next turn tries again"),
        )
    within = tuple(value for name, _space, value in lines if name == "within")
    return Committed(
        head=head,
        base=base,
        ahead=found.get("ahead") != "0",
        within=within,
        dirty="dirty" in found,
    )


class _Sink:
    """A file that takes no more than it may, and counts on."""

    def __init__(self, file: IO[bytes], bytes_max: int) -> None:
        self._file = file
        self._bytes_max = bytes_max
        self.size = 0

    def write(self, data: bytes) -> int:
        self._file.write(data[: max(0, self._bytes_max - self.size)])
        self.size += len(data)
        return len(data)
