"""What the system's ssh needs for a session's machine: key, certificate, known host, options."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bot.errors import Refused

KEY = "key"
CERTIFICATE = "key-cert.pub"
KNOWN_HOSTS = "known_hosts"
CONFIG = "config"


def new_key(directory: Path) -> str:
    """Make a key in `directory` and return its public half, one line."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    write(directory / KEY, _pem(Ed25519PrivateKey.generate()))
    return public_key(directory)


def public_key(directory: Path) -> str:
    """The public half of the key in `directory`. :raises OSError: :raises ValueError:"""
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        PublicFormat,
        load_ssh_private_key,
    )

    key = load_ssh_private_key((directory / KEY).read_bytes(), password=None)
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def _pem(key: Any) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return str(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode())


def keep_access(directory: Path, access: Mapping[str, Any]) -> None:
    """Lay down what the service answered for the key in `directory`."""
    write(directory / CERTIFICATE, f"{access['certificate']}\n")
    write(directory / KNOWN_HOSTS, f"{access['known_hosts']}\n")


def write(path: Path, words: str) -> None:
    """Write a file of this user's own, whole or not at all."""
    draft = path.with_name(f".{path.name}.new")
    draft.touch(mode=0o600)
    draft.write_text(words, encoding="utf-8")
    draft.rename(path)


def options(directory: Path) -> Mapping[str, str]:
    """What ssh is told, beside where and as whom."""
    return {
        "IdentityFile": str(directory / KEY),
        "CertificateFile": str(directory / CERTIFICATE),
        "UserKnownHostsFile": str(directory / KNOWN_HOSTS),
        "GlobalKnownHostsFile": "/dev/null",
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "StrictHostKeyChecking": "yes",
        "UpdateHostKeys": "no",
        "PreferredAuthentications": "publickey",
        "ForwardAgent": "no",
    }


def proxy_command(short: str) -> str:
    """What ssh runs to get there."""
    return command("sessions", "tunnel", short)


def command(*arguments: str) -> str:
    """This program with arguments, as a shell and ssh's own `%` read it."""
    started = Path(sys.argv[0])
    known = started.name == "ona" and started.is_file()
    program = [str(started.absolute())] if known else [sys.executable, "-m", "bot"]
    return shlex.join([*program, *arguments]).replace("%", "%%")


def argv(
    directory: Path,
    short: str,
    access: Mapping[str, Any],
    *,
    words: Sequence[str],
    forwards: Sequence[str] = (),
) -> list[str]:
    """The call of ssh: a shell in the repository, or a command there.

    :param words: several are passed word for word, one alone is for the shell
    :param forwards: `HERE:THERE`, ports
    """
    told = {"ProxyCommand": proxy_command(short), **options(directory)}
    call = ["ssh", "-F", "/dev/null"]
    for name, value in told.items():
        quoted = value if name == "ProxyCommand" else f'"{value}"' if " " in value else value
        call += ["-o", f"{name}={quoted}"]
    for each in forwards:
        call += ["-L", forward(each)]
    into = f"cd {shlex.quote(access['directory'])} 2>/dev/null"
    if words:
        wanted = words[0] if len(words) == 1 else shlex.join(words)
        remote = f"{into}; {wanted}"
    else:
        call.append("-t")
        remote = f"{into}; exec ${{SHELL:-/bin/sh}} -l"
    return [*call, f"{access['user']}@{access['host_name']}", remote]


def forward(said: str) -> str:
    """`8080:3000`, or `3000` for the same on both sides, as ssh wants it; here on loopback alone.

    :raises Refused: it is neither
    """
    here, _, there = said.partition(":")
    there = there or here
    if not all(one.isascii() and one.isdigit() and 0 < int(one) < 65536 for one in (here, there)):
        raise Refused(f"{said[:40]!r} names no ports", do="write HERE:THERE, such as 8080:3000")
    return f"127.0.0.1:{int(here)}:localhost:{int(there)}"


def host_block(alias: str, short: str, directory: Path, *, url: str) -> str:
    """What an editor's ssh finds in its configuration.

    `Match … exec` has the certificate renewed whenever ssh reads it, before it is used.
    """
    renew = f"env ONA_URL={shlex.quote(url)} {command('sessions', 'ssh-renew', short)}"
    if '"' in renew or '"' in str(directory):
        raise Refused("a path here has a quotation mark in it", do="install ona elsewhere")
    lines = [f'Match originalhost {alias} exec "{renew}"', f'    Include "{directory / CONFIG}"']
    lines += [f"Host {alias}"]
    proxy = f"env ONA_URL={shlex.quote(url)} {proxy_command(short)}"
    lines += [f"    ProxyCommand {proxy}"]
    lines += [f'    {name} "{value}"' for name, value in options(directory).items()]
    return "\n".join(lines) + "\n"


def machine_block(access: Mapping[str, Any]) -> str:
    """What changes with the session's machine: its name, by which it proves itself."""
    return f"HostName {access['host_name']}\nUser {access['user']}\n"
