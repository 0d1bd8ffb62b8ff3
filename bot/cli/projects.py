"""`ona projects`: what sessions work on."""

from pathlib import Path
from typing import Annotated, Any

import typer

from bot.cli import show
from bot.cli.show import Json

app = typer.Typer(help="Add, see and remove projects.", rich_markup_mode=None)

Name = Annotated[str, typer.Argument(help="The project's name.")]
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
    "base_branch": "Base branch",
    "agent": "Agent",
    "vcpus": "vCPUs",
    "memory_mib": "Memory (MiB)",
    "disk_gib": "Disk (GiB)",
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
    vcpus: Annotated[int | None, typer.Option(min=1, help="Of its machines.")] = None,
    memory_mib: Annotated[int | None, typer.Option(min=256, help="Of its machines.")] = None,
    disk_gib: Annotated[int | None, typer.Option(min=4, help="Of its machines.")] = None,
    json: Json = False,
) -> None:
    """Add a project; its repository is read first, to be sure that it can be."""
    from bot.cli.client import connect

    body: dict[str, Any] = {
        "name": name,
        "repository_url": _absolute(repository),
        "base_branch": branch,
        "vcpus": vcpus,
        "memory_mib": memory_mib,
        "disk_gib": disk_gib,
    }
    added = connect().post("/projects", body)
    if json:
        show.as_json(added)
    else:
        show.say(f"Project {added['name']} is added.")


@app.command("show")
def show_project(name: Name, json: Json = False) -> None:
    """Show a project."""
    from bot.cli.client import connect

    found = connect().get(f"/projects/{name}")
    if json:
        show.as_json(found)
    else:
        show.record(found, FACTS)


@app.command()
def remove(name: Name) -> None:
    """Remove a project; its sessions stay."""
    from bot.cli.client import connect

    show.say(connect().delete(f"/projects/{name}")["text"])


def _absolute(repository: str) -> str:
    local = Path(repository).expanduser()
    return str(local.resolve()) if local.is_dir() else repository
