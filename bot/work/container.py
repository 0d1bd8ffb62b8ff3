"""A dev container in a template's machine: made by the reference program, entered by every job.

    root: engine made ready ─▶ agent: `devcontainer up` ─▶ agents looked for ─▶ root: container.json

The last file is the switch: while it is there, jobs of the agent run in the container (the guest's
`ona-inside`), and so does what a project adds. The engine has no rights beyond the agent's, and its
containers share the machine's network, where the gateway is the only way out.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from bot.words.catalogue import N_
from bot.words.catalogue import gettext as _
from bot.work.detect.devcontainer import Devcontainer, for_machine, probe
from vmpool.channel import Channel
from vmpool.command import Completed
from vmpool.guest.inside import FILE
from vmpool.ssh import ROOT
from vmpool.warm.building import StepFailed

SHORT_SECONDS_MAX = 300.0
"""For a command that takes a second, and half a minute where processors are emulated."""
CONFIG = "/home/agent/.ona/devcontainer.json"
SHARED = (
    *("/home/agent:/home/agent", "/tmp:/tmp", "/run/ona:/run/ona"),
    *(
        "/opt/ona:/opt/ona:ro",
        "/usr:/opt/ona/machine:ro",
        "/usr/lib/ona-guest:/usr/lib/ona-guest:ro",
    ),
)
"""What agents and tools of ours need of the machine, as the engine's volumes. The whole of /usr for
its Python: an image need not have one."""
TOOLS = "/opt/ona/bin"
"""Last on the container's PATH: agents, and tools of ours."""

GATEWAY = "gateway.ona"
"""Where private registries are found, by the routes of the project's policy."""
NO_ENGINE = 3
READY = r"""
set -eu
# Only in a machine of ours: this changes how the engine works for everybody.
command -v podman > /dev/null && [ -d /opt/ona/agents/devcontainers ] || exit 3
mountpoint -q /dev/mqueue || { mkdir -p /dev/mqueue && mount -t mqueue mqueue /dev/mqueue; }
mount --make-rshared /
install -d -m 700 -o agent -g agent "/run/user/$(id -u agent)" /var/lib/containers/agent
if [ "$(stat -f -c %T /)" = overlayfs ]; then
  # Layers can't lie on layers: they go where the machine's own disk is.
  mkdir -p /run/ona-disk
  mount -t ext4 -o noatime /dev/vdb /run/ona-disk
  install -d -m 700 -o agent -g agent /run/ona-disk/containers
  mount --bind /run/ona-disk/containers /var/lib/containers/agent
  umount /run/ona-disk
fi
cat > /etc/containers/containers.conf << 'END'
[containers]
cgroups = "disabled"
ipcns = "host"
netns = "host"
utsns = "host"
log_driver = "none"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "crun"
END
cat > /etc/containers/storage.conf << 'END'
[storage]
driver = "overlay"
rootless_storage_path = "/var/lib/containers/agent"
END
printf '%s\n' 'unqualified-search-registries = ["docker.io"]' > /etc/containers/registries.conf
for registry; do
  printf '[[registry]]\nlocation = "%s"\ninsecure = true\n' "$registry"
done >> /etc/containers/registries.conf
mkdir -p /opt/ona/bin /opt/ona/machine
for program in $(grep -l /opt/ona/agents/ /usr/local/bin/* || true); do
  ln -sf "$program" /opt/ona/bin/ && cp --remove-destination "$program" /opt/ona/bin/
done
libraries=$(echo /usr/lib/*-linux-gnu)
loader=$(echo "$libraries"/ld-linux-*.so.*)
for tool in /usr/bin/ona /usr/bin/ona-ask /usr/bin/ona-preview /usr/bin/ona-token; do
  name=$(basename "$tool")
  cat > "/opt/ona/bin/$name" << END
#!/bin/sh
PYTHONHOME=/opt/ona/machine exec /opt/ona/machine${loader#/usr} \
  --library-path /opt/ona/machine${libraries#/usr} \
  /opt/ona/machine/bin/python3 -s -S $(readlink -f "$tool") "\$@"
END
  chmod 755 "/opt/ona/bin/$name"
done
"""
_MADE = r"""
set -eu
podman container inspect --format '{{.State.Pid}}' "$1"
podman exec --user "$2" --workdir / "$1" sh -c '
  shell=$(grep "^[^:]*:[^:]*:$(id -u):" /etc/passwd 2> /dev/null | head -n 1 | cut -d: -f7)
  if [ -n "$1" ]; then exec "${shell:-/bin/sh}" "$1" "printf \"\\0\\0\"; exec env -0"
  else printf "\0\0"; exec env -0; fi' probe "$3" 2> /dev/null
"""
_KEEP = 'umask 022; mkdir -p "${1%/*}"; cat > "$1.new" && mv "$1.new" "$1"'
_LINK = r"""
set -eu
for path; do
  [ "$HOME" = /home/agent ] && continue
  mkdir -p "/home/agent/$path" "$(dirname "$HOME/$path")"
  [ -e "$HOME/$path" ] || ln -s "/home/agent/$path" "$HOME/$path"
done
"""
_AGENTS = r"""
set -eu
for directory in /opt/ona/agents/*; do
  case ${directory##*/} in node | devcontainers) ;; *) wanted=1 ;; esac
done
[ -n "${wanted-}" ] || exit 0
for node in /opt/ona/agents/node/node_modules/node-linux-*/bin/node; do exec "$node" --version; done
"""
_DENIED = re.compile(r"(?<!\S)\S+?:\d+ is not allowed: [^\n]*")
"""The gateway's sentence, as whoever was refused repeats it at the end of a line."""
_QUIET = "containers.dev:443"
"""Asked by the reference program for a list that it does without."""
_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


@dataclass(frozen=True, kw_only=True)
class Containers:
    """How dev containers are made in an installation's templates."""

    seconds_max: float
    """For all that the reference program does."""
    plain_http: Sequence[str] = ()
    """Registries, `HOST:PORT`, that are asked without TLS."""
    kept: Sequence[str] = ()
    """Directories below the agent's home that are to be in it in the container as well."""

    @property
    def without_tls(self) -> Sequence[str]:
        """What the engine asks over plain HTTP; between it and the gateway nobody else is."""
        return (GATEWAY, *self.plain_http)

    async def make(self, channel: Channel, wanted: Devcontainer, directory: str) -> str:
        """Make it of the repository in `directory`; what was said meanwhile.

        :raises StepFailed: there is none, and the machine's jobs run in the machine
        """
        ready = ["/bin/sh", "-c", READY, "ready", *self.without_tls]
        done = await self._run(channel, ready, user=ROOT)
        if done.exit_status == NO_ENGINE:
            raise StepFailed(N_("the machine's image has no container engine in it"))
        if done.exit_status != 0:
            why = N_("the container engine could not be made ready")
            raise _failed(why, done.exit_status, _said(done))
        try:
            return await self._make(channel, wanted, directory)
        except StepFailed:
            await self._undo(channel)
            raise
        except TimeoutError:
            await self._undo(channel)
            raise StepFailed(N_("its container does not answer"), exit_status=124) from None

    async def _make(self, channel: Channel, wanted: Devcontainer, directory: str) -> str:
        await self._pull(channel, wanted)
        config = for_machine(wanted.config, directory, SHARED)
        await self._put(channel, CONFIG, json.dumps(config))
        done = await self._up(channel, wanted, directory)
        said = _COLOUR.sub("", done.stderr.decode("utf-8", "replace"))
        made = answer_of(done.stdout)
        if done.exit_status != 0 or made.get("outcome") != "success":
            raise _failed(why_failed(made, said), done.exit_status, said)
        facts = await self._facts(channel, wanted, made)
        await self._put(channel, FILE, json.dumps(facts), user=ROOT)
        await self._try_inside(channel)
        return said

    async def _undo(self, channel: Channel) -> None:
        """Let jobs run in the machine again, without what would take memory from them."""
        await self._run(channel, ["rm", "-f", FILE], user=ROOT)
        with suppress(TimeoutError):
            await self._run(channel, ["podman", "rm", "--force", "--all", "--time=0"])

    async def _pull(self, channel: Channel, wanted: Devcontainer) -> None:
        """Get the image that is named: the reference program keeps to itself why it can't."""
        image = str(wanted.config.get("image", ""))
        if not image or "${" in image:
            return
        done = await self._timed(channel, ["podman", "pull", "--quiet", "--", image])
        if done.exit_status != 0:
            said = _said(done)
            raise _failed(why_failed({}, said), done.exit_status, said)

    async def _up(self, channel: Channel, wanted: Devcontainer, directory: str) -> Completed:
        argv = [
            *("devcontainer", "up", "--docker-path", "podman", "--skip-post-attach"),
            *("--workspace-folder", directory, "--config", f"{directory}/{wanted.path}"),
            *("--override-config", CONFIG, "--include-merged-configuration"),
        ]
        return await self._timed(channel, argv)

    async def _timed(self, channel: Channel, argv: list[str]) -> Completed:
        """What may take as long as a set-up command."""
        try:
            return await self._run(channel, argv, seconds_max=self.seconds_max)
        except TimeoutError:
            minutes = self.seconds_max / 60
            why = _("it was not made within {minutes} minutes", minutes=f"{minutes:g}")
            raise StepFailed(why, exit_status=124) from None

    async def _facts(
        self, channel: Channel, wanted: Devcontainer, made: Mapping[str, Any]
    ) -> dict[str, object]:
        """As `ona-inside` reads them."""
        user = str(made.get("remoteUser") or "root")
        flags = "".join(probe(wanted.config))
        argv = ["/bin/sh", "-c", _MADE, "made", str(made["containerId"]), user, flags]
        done = await self._run(channel, argv)
        pid, _, rest = done.stdout.partition(b"\n")
        if done.exit_status != 0 or not pid.isdigit():
            raise _failed(N_("the container did not stay up"), done.exit_status, _said(done))
        merged = made.get("mergedConfiguration") or {}
        environment = environment_of(rest, merged.get("remoteEnv") or {})
        return {
            "id": made["containerId"],
            "pid": int(pid),
            "user": user,
            "environment": environment,
        }

    async def _try_inside(self, channel: Channel) -> None:
        """Whether agents start in it; else it is of no use. :raises StepFailed:"""
        await self._run(channel, ["ona-inside", "/bin/sh", "-c", _LINK, "link", *self.kept])
        done = await self._run(channel, ["ona-inside", "/bin/sh", "-c", _AGENTS])
        if done.exit_status != 0:
            why = N_("agents don't start in its image, which takes glibc 2.28 or later")
            raise _failed(why, done.exit_status, _said(done))

    async def _put(self, channel: Channel, path: str, text: str, user: str | None = None) -> None:
        argv = ["/bin/sh", "-c", _KEEP, "keep", path]
        await self._run(channel, argv, user=user, stdin=text.encode())

    async def _run(
        self,
        channel: Channel,
        argv: list[str],
        *,
        user: str | None = None,
        seconds_max: float = SHORT_SECONDS_MAX,
        stdin: bytes | None = None,
    ) -> Completed:
        if user is not None:
            return await channel.run(argv, timeout_seconds=seconds_max, user=user, stdin=stdin)
        engine = ["env", "XDG_RUNTIME_DIR=/run/user/1000", "BUILDAH_LAYERS=false", *argv]
        return await channel.run(engine, timeout_seconds=seconds_max, stdin=stdin)


def fixed_parts(globs: Iterable[str]) -> list[str]:
    """The directories that what these match lies in, below the home directory."""
    found = []
    for glob in globs:
        *parents, _ = glob.split("/")
        fixed = list(takewhile(lambda part: not set(part) & set("*?["), parents))
        if fixed and ".." not in fixed:
            found.append("/".join(fixed))
    return found


def answer_of(stdout: bytes) -> Mapping[str, Any]:
    """What the reference program answered: the last line, an object; empty: it said none."""
    for line in reversed(stdout.decode("utf-8", "replace").splitlines()):
        try:
            said = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(said, dict):
            return said
    return {}


def why_failed(answer: Mapping[str, Any], said: str) -> str:
    """A clause for people: what policy refused, else the last error in what was said."""
    denied: list[str] = [one for one in _DENIED.findall(said) if not one.startswith(_QUIET)]
    if denied:
        return denied[-1].lstrip('"').rstrip(". ")[:400]
    bare = (re.sub(r"^\[[^\]]*\]\s*", "", line).strip() for line in said.splitlines())
    errors = [line for line in bare if re.match(r"error\b", line, re.IGNORECASE)]
    own = [line for line in errors if "Command failed: podman" not in line]
    words = [*own[-1:], str(answer.get("description") or answer.get("message") or "")]
    return next((one for one in words if one), N_("the reference program ended without a word"))[
        :400
    ]


def environment_of(probed: bytes, remote: Mapping[str, Any]) -> dict[str, str]:
    """What a process in the container has of the machine's knowledge, our programs last on PATH.

    :param probed: what the shell printed before, two zero bytes, and `NAME=value` pairs
    :param remote: `remoteEnv`, its variables filled in; null: the variable is taken away
    """
    _, _, pairs = probed.partition(b"\0\0")
    found = (pair.decode("utf-8", "replace").partition("=") for pair in pairs.split(b"\0") if pair)
    environment = {name: value for name, _, value in found if name not in {"_", "SHLVL", "PWD"}}
    for name, value in remote.items():
        if value is None:
            environment.pop(name, None)
        else:
            environment[name] = str(value)
    path = environment.get("PATH", "/usr/local/bin:/usr/bin:/bin")
    return {**environment, "PATH": f"{path}:{TOOLS}"}


def _failed(why: str, exit_status: int, said: str) -> StepFailed:
    """Of a step whose log ends with the reason."""
    return StepFailed(why, exit_status=exit_status, output=f"{said.rstrip()}\n{why}\n".lstrip())


def _said(done: Completed) -> str:
    return (done.stdout + done.stderr).decode("utf-8", "replace")
