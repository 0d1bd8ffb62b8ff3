"""`ona sessions ssh`: a login into a session's machine, with the system's own ssh."""

import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bot.cli import show
from bot.errors import Refused, Unfit

if TYPE_CHECKING:
    from bot.cli.client import Client

Short = Annotated[str, typer.Argument(metavar="SESSION", help="Such as s-7f3kd.")]
INCLUDE = "Include ona/*.conf"
RENEW_SECONDS = 120
"""A certificate that is younger is used once more."""


def ssh(
    session: Short,
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[-- COMMAND]", help="Run it instead of a shell.")
    ] = None,
    *,
    forward: Annotated[
        list[str] | None,
        typer.Option(metavar="HERE:THERE", help="Forward a port of this machine, as 8080:3000."),
    ] = None,
) -> None:
    """Log in to a session's machine; it wakes if it rests. Exits as ssh does.

    Needs the right to write to the project. The login gets no credential of the session's; while a
    turn runs, what you start has the same ways out as the agent.
    """
    from bot.cli import ssh_files
    from bot.cli.client import connect

    forwards = forward or []
    for each in forwards:
        ssh_files.forward(each)
    client = connect()
    with tempfile.TemporaryDirectory(prefix="ona-ssh-") as name:
        access = _certified(client, session, Path(name), ssh_files.new_key(Path(name)))
        call = ssh_files.argv(Path(name), session, access, words=words or [], forwards=forwards)
        try:
            status = subprocess.call(call)
        except FileNotFoundError:
            raise Unfit("there is no `ssh` here", do="install OpenSSH's client") from None
    raise typer.Exit(status)


def tunnel(session: Short, port: Annotated[int, typer.Option(min=0, max=65535)] = 0) -> None:
    """Carry standard input and output into a session's machine: ssh's ProxyCommand."""
    from bot.cli import tunnel as carrying
    from bot.cli.client import connect

    carrying.carry(connect(), session, port)


def ssh_config(
    session: Short,
    write: Annotated[
        bool, typer.Option("--write", help="Put it into ~/.ssh, where editors find it.")
    ] = False,
) -> None:
    """Show how editors reach a session's machine: a Host block for ssh's configuration."""
    from bot.cli import ssh_files
    from bot.cli.client import at, connect

    client = connect()
    client.get(at("/sessions/{}", session))
    alias, home = f"ona-{session}", Path.home() / ".ssh"
    block = ssh_files.host_block(alias, session, _directory(session), url=client.url)
    if not write:
        typer.echo(block, nl=False)
        return
    _directory(session).mkdir(mode=0o700, parents=True, exist_ok=True)
    ssh_files.write(home / "ona" / f"{session}.conf", block)
    _include(home / "config")
    show.say(
        f"Written. `ssh {alias}` works now; in VS Code choose “Remote-SSH: Connect to Host…” and "
        f"{alias}, in JetBrains Gateway a new SSH connection to {alias} with OpenSSH's config."
    )


def ssh_renew(session: Short) -> None:
    """Renew what the Host block of a session needs; ssh calls this by itself."""
    import time

    from bot.cli import ssh_files
    from bot.cli.client import connect

    directory = _directory(session)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    certificate = directory / ssh_files.CERTIFICATE
    # Editors call ssh several times at once: they share the key, so either certificate fits it.
    if certificate.exists() and time.time() - certificate.stat().st_mtime < RENEW_SECONDS:
        return
    try:
        key = ssh_files.public_key(directory)
    except (OSError, ValueError):
        key = ssh_files.new_key(directory)
    access = _certified(connect(), session, directory, key)
    ssh_files.write(directory / ssh_files.CONFIG, ssh_files.machine_block(access))


def _certified(client: "Client", session: str, directory: Path, key: str) -> dict[str, Any]:
    from bot.cli import ssh_files
    from bot.cli.client import at

    access = client.post(at("/sessions/{}/ssh", session), {"public_key": key})
    ssh_files.keep_access(directory, access)
    return access


def _directory(session: str) -> Path:
    if not session.replace("-", "").isalnum():
        raise Refused(f"{session[:40]!r} is no session", do="`ona sessions` lists them")
    return Path.home() / ".ssh" / "ona" / session


def _include(config: Path) -> None:
    """Have ssh read our blocks; before all others, because what it finds first counts."""
    from bot.cli import ssh_files

    known = config.read_text(encoding="utf-8") if config.exists() else ""
    if INCLUDE not in known.splitlines():
        ssh_files.write(config, f"{INCLUDE}\n\n{known}")
