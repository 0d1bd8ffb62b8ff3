"""What the set-up of a surface writes: into ona.toml, or on the terminal where that can't be."""

import sys
from collections.abc import Mapping
from getpass import getpass
from pathlib import Path

import typer

from bot.errors import Refused, WrongSettings

TRIES_MAX = 3


def secret(words: str) -> str:
    """Ask for a secret without showing it; a program gives it as a line of its input. "": none."""
    if sys.stdin.isatty():
        return getpass(f"{words}: ").strip()
    return sys.stdin.readline().strip()


def keep(
    path: Path,
    section: str,
    values: Mapping[str, str | int | None],
    *,
    files: Mapping[Path, str] | None = None,
) -> None:
    """Write settings, and files beside them, or say what to write where that may not be."""
    from bot.config import set_by_variables
    from bot.settings_file import replace, shown, write

    if before := set_by_variables(section, values):
        typer.echo(f"   Note: {', '.join(before)} goes before the file; unset it.")

    try:
        for file, text in (files or {}).items():
            replace(file, text)
        write(path, section, values)
    except (OSError, WrongSettings) as error:
        typer.echo(f"   {path} can't be written: {error}.\n   Write this into it:\n")
        typer.echo(shown(section, values))
        for file, text in (files or {}).items():
            typer.echo(f"\n   And this into {file}, for its owner alone:\n\n{text}")
        return
    named = ", ".join(key for key, value in values.items() if value is not None)
    typer.echo(f"   Written into {path}, [{section}]: {named}.")


def refused(wrong: str) -> None:
    """Nobody can mend what a program gave. :raises Refused: there is no terminal"""
    if not sys.stdin.isatty():
        raise Refused(wrong, kept="nothing was written", do="give another one")
    typer.echo(f"   {wrong}.")
