"""`ona secrets`: what a project's turns may use; values go in and never come out."""

import sys
from typing import Annotated

import typer

from bot.cli import show
from bot.cli.show import Json
from bot.errors import Refused

app = typer.Typer(help="Set, list, test and remove a project's secrets.", rich_markup_mode=None)

Project = Annotated[str, typer.Argument(help="The project's name.")]
Name = Annotated[str, typer.Argument(help="The secret's name.")]
COLUMNS = {"name": "name", "set_at": "set", "by": "by", "versions": "versions"}


@app.command("set", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def set_(context: typer.Context, project: Project, name: Name, json: Json = False) -> None:
    """Store a value, from a hidden prompt or from standard input, never from an argument."""
    from bot.cli.client import at, connect

    if context.args:
        # Read here because the parser's own words would repeat it.
        raise Refused(
            "`ona secrets set` takes a project, a name and --json; no value, which other programs"
            " and the shell's history would see",
            kept="nothing was stored",
            do=f"run `ona secrets set {project} NAME` and type it unseen, or pipe it in",
        )
    done = connect().put(at("/projects/{}/secrets/{}", project, name), {"value": _value(name)})
    if json:
        show.as_json(done)
    else:
        show.say(done["text"])


@app.command("list")
def list_secrets(project: Project, json: Json = False) -> None:
    """List the names, with who set each and when."""
    from bot.cli.client import at, connect

    found = connect().get(at("/projects/{}/secrets", project))
    if json:
        show.as_json(found)
        return
    show.table(
        found["secrets"], COLUMNS, empty=f"No secret: `ona secrets set {project} NAME` sets one."
    )


@app.command("test")
def try_(project: Project, name: Name, json: Json = False) -> None:
    """Say whether a turn of the project could read it; exit 1 if it could not."""
    from bot.cli.client import at, connect

    tried = connect().post(at("/projects/{}/secrets/{}/test", project, name))
    if json:
        show.as_json(tried)
    else:
        fields = f" (fields: {', '.join(tried['fields'])})" if tried["fields"] else ""
        show.say(f"{tried['why'][:1].upper()}{tried['why'][1:]}{fields}.")
        for use in tried["used_by"]:
            show.say(f"Used by {use}.")
        if not tried["used_by"]:
            show.say("No grant of the project's policy uses it; docs/policy.md shows one.")
    if not tried["readable"]:
        raise typer.Exit(1)


@app.command()
def remove(project: Project, name: Name, json: Json = False) -> None:
    """Remove every version of it."""
    from bot.cli.client import at, connect

    done = connect().delete(at("/projects/{}/secrets/{}", project, name))
    if json:
        show.as_json(done)
    else:
        show.say(done["text"])


def _value(name: str) -> str:
    """What was typed unseen, or all of standard input without the newline at its end."""
    if sys.stdin.isatty():
        from getpass import getpass

        return getpass(f"Value of {name} (not shown): ")
    try:
        said = sys.stdin.read()
        said.encode()
    except UnicodeError as error:
        raise Refused(
            "the value is no text in UTF-8",
            kept="nothing was stored",
            do="encode it first, for example by `base64`",
        ) from error
    return said.removesuffix("\n").removesuffix("\r")
