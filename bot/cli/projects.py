"""`ona projects`: what sessions work on."""

from pathlib import Path
from typing import Annotated, Any

import typer

from bot.cli import show
from bot.cli.show import Json

app = typer.Typer(help="Add, see and remove projects.", rich_markup_mode=None)

Name = Annotated[str, typer.Argument(help="The project's name.")]
Size = Annotated[str | None, typer.Option(help="Of its machines, such as small or large.")]
Agent = Annotated[str | None, typer.Option(help="Such as claude-code; default: the usual one.")]
Setup = Annotated[
    list[str] | None,
    typer.Option(help="Shell command that readies a machine, in the repository; repeatable."),
]
Start = Annotated[
    list[str] | None,
    typer.Option(help="Shell command that runs on in every machine, a service; repeatable."),
]
Port = Annotated[
    list[int] | None,
    typer.Option(
        min=0, max=65535, help="Port that a new session gets a preview of; repeatable, 0: none."
    ),
]
Instructions = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Text file with what its agents are told besides; an empty one takes that away.",
    ),
]
COLUMNS = {
    "name": "name",
    "repository_url": "repository",
    "base_branch": "branch",
    "agent": "agent",
    "sessions": "sessions",
}
FACTS = {
    "name": "Name",
    "repository_url": "Repository",
    "repositories": "Beside it",
    "base_branch": "Base branch",
    "agent": "Agent",
    "size": "Machine size",
    "setup": "Set-up",
    "guessed": "Guessed",
    "start": "Services",
    "ports": "Ports",
    "instructions": "Instructions",
    "sessions": "Sessions",
    "created_at": "Added",
}


@app.callback(invoke_without_command=True)
def projects(context: typer.Context, json: Json = False) -> None:
    """Add, see and remove projects; alone it lists them."""
    if context.invoked_subcommand is None:
        list_projects(json=json)


@app.command("list")
def list_projects(json: Json = False) -> None:
    """List projects by name."""
    from bot.cli.client import connect

    found = connect().get("/projects")
    if json:
        show.as_json(found)
        return
    show.table(found["projects"], COLUMNS, empty="No project: `ona projects add` adds one.")


@app.command()
def add(
    name: Name,
    repository: Annotated[
        str,
        typer.Argument(metavar="URL", help="URL, user@host:path, or a path on the host of ona."),
    ],
    *,
    branch: Annotated[str | None, typer.Option(help="Base branch; default: its own.")] = None,
    agent: Agent = None,
    size: Size = None,
    setup: Setup = None,
    start: Start = None,
    port: Port = None,
    instructions: Instructions = None,
    json: Json = False,
) -> None:
    """Add a project; its repository is read first, to be sure that it can be."""
    from bot.cli.client import connect

    body: dict[str, Any] = {
        "name": name,
        "repository_url": _absolute(repository),
        "base_branch": branch,
        "agent": agent,
        "size": size,
        "setup": setup or [],
        "start": start or [],
        "ports": [one for one in port or [] if one],
        "instructions": _read(instructions) or "",
    }
    added = connect().post("/projects", body)
    if json:
        show.as_json(added)
    else:
        show.say(added["text"])


@app.command("show")
def show_project(name: Name, json: Json = False) -> None:
    """Show a project."""
    from bot.cli.client import at, connect
    from bot.words.guesses import line

    found = connect().get(at("/projects/{}", name))
    if json:
        show.as_json(found)
    else:
        lines = [line(**one) for one in found["guessed"]]
        others = [f"{one['name']}: {one['url']}" for one in found["repositories"]]
        facts = {"guessed": lines or None, "repositories": others or None}
        show.record({**found, **facts}, FACTS)


@app.command()
def change(
    name: Name,
    *,
    branch: Annotated[str | None, typer.Option(help="Base branch.")] = None,
    agent: Agent = None,
    size: Size = None,
    setup: Setup = None,
    start: Start = None,
    port: Port = None,
    instructions: Instructions = None,
    json: Json = False,
) -> None:
    """Change what is named of a project; an empty --setup or --start takes the commands away."""
    from bot.cli.client import at, connect

    asked = {
        "base_branch": branch,
        "agent": agent,
        "size": size,
        "setup": setup,
        "start": start,
        "ports": port,
        "instructions": _read(instructions),
    }
    body: dict[str, Any] = {
        key: [one for one in value if one] if isinstance(value, list) else value
        for key, value in asked.items()
        if value is not None
    }
    changed = connect().patch(at("/projects/{}", name), body)
    if json:
        show.as_json(changed)
    else:
        show.say(f"Project {name} is changed; its templates are built again if they differ.")


@app.command("add-repository")
def add_repository(
    name: Name,
    repository: Annotated[
        str,
        typer.Argument(metavar="URL", help="URL, user@host:path, or a path on the host of ona."),
    ],
    *,
    called: Annotated[
        str, typer.Option("--as", help="Its name and directory; default: as its address ends.")
    ] = "",
    branch: Annotated[str | None, typer.Option(help="Base branch; default: its own.")] = None,
    json: Json = False,
) -> None:
    """Let a project's sessions have another repository, beside its own."""
    from bot.cli.client import at, connect

    body = {"url": _absolute(repository), "name": called, "base_branch": branch}
    changed = connect().post(at("/projects/{}/repositories", name), body)
    if json:
        show.as_json(changed)
    else:
        names = ", ".join(one["name"] for one in changed["repositories"])
        show.say(f"Sessions of {name} have these repositories beside its own: {names}.")


@app.command("remove-repository")
def remove_repository(
    name: Name,
    repository: Annotated[str, typer.Argument(help="As `ona projects show` names it.")],
) -> None:
    """Take a repository away that a project has beside its own."""
    from bot.cli.client import at, connect

    show.say(connect().delete(at("/projects/{}/repositories/{}", name, repository))["text"])


@app.command()
def remove(name: Name) -> None:
    """Remove a project; its sessions stay."""
    from bot.cli.client import at, connect

    show.say(connect().delete(at("/projects/{}", name))["text"])


def _read(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        return file.expanduser().read_text(encoding="utf-8").strip("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{file} can't be read: {error}") from error


def _absolute(repository: str) -> str:
    local = Path(repository).expanduser()
    return str(local.resolve()) if local.is_dir() else repository
