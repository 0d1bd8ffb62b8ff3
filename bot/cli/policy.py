"""`ona policy`: what machines may reach."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from bot.cli import show
from bot.cli.show import Json
from bot.errors import EXIT_FAILED, Refused

app = typer.Typer(help="See, set and test what machines may reach.", rich_markup_mode=None)

Project = Annotated[str, typer.Argument(metavar="PROJECT", help="The project's name.")]
LINES = {"line": "line", "service": "any protocol", "source": "stands in"}
VERSIONS = {"version": "version", "set_at": "set", "set_by": "by", "name": "file"}
REGISTRIES = {"manager": "manager", "line": "host", "where": "named by"}


@app.callback(invoke_without_command=True)
def policy(context: typer.Context, json: Json = False) -> None:
    """See, set and test what machines may reach; alone it shows what counts for all projects."""
    if context.invoked_subcommand is None:
        show_policy(None, json=json)


@app.command("show")
def show_policy(
    project: Annotated[
        str | None, typer.Argument(metavar="[PROJECT]", help="None: what counts for all of them.")
    ] = None,
    *,
    version: Annotated[int | None, typer.Option(min=1, help="An older version.")] = None,
    json: Json = False,
) -> None:
    """Print a project's policy as it was set; the lines of the installation go to stderr."""
    from bot.cli.client import at, connect

    client = connect()
    if project is None:
        found = client.get("/policy")
        if json:
            show.as_json(found)
        else:
            show.table(found["lines"], LINES, empty="The installation's policy has no line.")
        return
    asked = {} if version is None else {"version": version}
    found = client.get(at("/projects/{}/policy", project), **asked)
    if json:
        show.as_json(found)
        return
    if found["version"]:
        who = f" by {found['set_by']}" if found["set_by"] else ""
        show.status(f"Version {found['version']} of {project}, set{who}:")
        typer.echo(found["source"].rstrip("\n"))
    else:
        show.status(f"{project} has no policy of its own: `ona policy set {project} FILE`.")
    _say_lines(found["installation"])


def _say_lines(lines: list[dict[str, Any]]) -> None:
    if lines:
        show.status("The installation's lines count besides:")
        for line in lines:
            show.status(f"  {line['line']}  ({line['source']})")


@app.command("set")
def set_policy(
    project: Project,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="TOML, see docs/policy.md; `-` reads stdin.")
    ],
    *,
    json: Json = False,
) -> None:
    """Let a project have the policy in a file; the one before is kept as a version."""
    from bot.cli.client import at, connect

    source = _read(file)
    name = "stdin" if str(file) == "-" else file.name
    made = connect().put(at("/projects/{}/policy", project), {"source": source, "name": name})
    if json:
        show.as_json(made)
    else:
        show.say(f"Version {made['version']} of the policy of {project} counts from now on.")


@app.command("test")
def explain(
    project: Project,
    url: Annotated[str, typer.Argument(metavar="URL", help="Or HOST, or HOST:PORT.")],
    *,
    json: Json = False,
) -> None:
    """Say whether machines of a project may reach it, and by which line; exits 1 if not."""
    from bot.cli.client import at, connect

    found = connect().get(at("/projects/{}/policy/test", project), url=url)
    if json:
        show.as_json(found)
    else:
        show.say(f"{'Allowed' if found['allowed'] else 'Denied'}: {found['reason']}")
    if not found["allowed"]:
        raise typer.Exit(EXIT_FAILED)


@app.command()
def history(project: Project, json: Json = False) -> None:
    """List the versions of a project's policy, the newest first."""
    from bot.cli.client import at, connect

    found = connect().get(at("/projects/{}/policy/versions", project))
    if json:
        show.as_json(found)
        return
    show.table(found["versions"], VERSIONS, empty=f"{project} has no policy of its own.")


@app.command()
def registries(json: Json = False) -> None:
    """List the package registries that this host's package managers are configured for."""
    from bot.govern.registries import here

    found = [{"manager": one.manager, "line": one.line, "where": one.where} for one in here()]
    if json:
        show.as_json({"registries": found})
        return
    show.table(found, REGISTRIES, empty="None is configured here.")


def _read(file: Path) -> str:
    """:raises Refused: it can't be read"""
    try:
        if str(file) == "-":
            return sys.stdin.buffer.read().decode()
        return file.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(
            f"{file} can't be read: {error}", kept="nothing was changed", do="give another file"
        ) from None
