#!/usr/bin/python3 -IS
"""`ona-inside COMMAND …`: run a command in the dev container of this machine, if it has one.

Directories are the same inside. What the caller's environment says beyond a login's goes in, and
what the container's own says stays. A container that ended is started again first.
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

FILE = "/var/lib/ona/container.json"
"""Written by root when the container is ready: its id, pid, user and environment."""
OF_A_LOGIN = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "SHLVL", "PWD", "OLDPWD", "MAIL", "_"),
        *("XDG_RUNTIME_DIR", "LANG", "SSH_CLIENT", "SSH_CONNECTION"),
    }
)
"""What a login to the machine has, and means nothing in the container."""
ENGINE = "podman"


def command(
    container: Mapping[str, Any],
    environment: Mapping[str, str],
    directory: str,
    argv: Sequence[str],
    *,
    terminal: bool = False,
) -> list[str]:
    """How the engine is asked to run it; values of the caller are taken from its environment."""
    brought = sorted(name for name in environment if name not in OF_A_LOGIN)
    own = {
        name: value for name, value in container["environment"].items() if name not in {*brought}
    }
    return [
        *(ENGINE, "exec", "--interactive", *(["--tty"] if terminal else [])),
        *("--user", container["user"], "--workdir", directory),
        *(word for name, value in sorted(own.items()) for word in ("--env", f"{name}={value}")),
        *(word for name in brought for word in ("--env", name)),
        container["id"],
        *argv,
    ]


def main(argv: list[str]) -> int:
    """Become the engine's client, or without a container the command itself."""
    if not argv:
        print("usage: ona-inside COMMAND …", file=sys.stderr)
        return 2
    try:
        with open(FILE, encoding="utf-8") as file:
            container = json.load(file)
    except FileNotFoundError:
        container = None
    try:
        if container is not None:
            os.environ["XDG_RUNTIME_DIR"] = f"/run/user/{os.getuid()}"
            if not os.path.exists(f"/proc/{container['pid']}"):
                start = [ENGINE, "start", container["id"]]
                null = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
                os.waitpid(os.posix_spawnp(ENGINE, start, os.environ, file_actions=null), 0)
            directory, terminal = os.getcwd(), os.isatty(0) and os.isatty(1)
            argv = command(container, os.environ, directory, argv, terminal=terminal)
        os.execvp(argv[0], argv)
    except OSError as error:
        print(f"ona-inside: {argv[0]}: {error.strerror}", file=sys.stderr)
    return 127


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
