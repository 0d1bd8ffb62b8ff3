"""`ona machines`: see them, put them to rest, destroy them."""

from typing import Annotated, Any

import typer

from bot.cli import show
from bot.cli.show import Json
from bot.words import pools

app = typer.Typer(help="See, hibernate and destroy machines.", rich_markup_mode=None)

Which = Annotated[
    str, typer.Argument(metavar="MACHINE", help="Such as m-1f2e3d4c, or the session it works for.")
]
COLUMNS = {
    "short": "machine",
    "state": "state",
    "session": "session",
    "project": "project",
    "memory_mib": "mib",
    "host": "host",
    "used_at": "used",
    "request": "asked",
}
FACTS = {
    "short": "Machine",
    "id": "Id",
    "state": "State",
    "request": "Asked to",
    "note": "Note",
    "session": "Session",
    "project": "Project",
    "host": "Host",
    "driver": "Driver",
    "accelerator": "Accelerator",
    "vcpus": "vCPUs",
    "memory_mib": "Memory (MiB)",
    "disk_gib": "Disk (GiB)",
    "generation": "Generation",
    "created_at": "Created",
    "used_at": "Last used",
}


@app.callback(invoke_without_command=True)
def machines(context: typer.Context, json: Json = False) -> None:
    """See, hibernate and destroy machines; alone it lists them."""
    if context.invoked_subcommand is None:
        list_machines(json=json)


@app.command("list")
def list_machines(
    json: Json = False,
    everything: Annotated[bool, typer.Option("--all", help="Those that are gone too.")] = False,
) -> None:
    """List machines, the one used last first."""
    from bot.cli.client import connect

    found = connect().get("/machines", all=everything)
    if json:
        show.as_json(found)
        return
    rows = [_shown(machine) for machine in found["machines"]]
    show.table(rows, COLUMNS, empty="No machine: the first turn brings one.")


@app.command("show")
def show_machine(machine: Which, json: Json = False) -> None:
    """Show a machine."""
    from bot.cli.client import at, connect

    found = connect().get(at("/machines/{}", machine))
    if json:
        show.as_json(found)
    else:
        show.record(_shown(found), FACTS)


@app.command()
def hibernate(machine: Which) -> None:
    """Put a machine to rest, its memory included, as soon as no turn uses it."""
    from bot.cli.client import at, connect

    show.say(connect().post(at("/machines/{}/hibernate", machine))["text"])


@app.command()
def destroy(
    machine: Which,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask first.")] = False,
) -> None:
    """Destroy a machine; its session goes on from its last checkpoint."""
    from bot.cli.client import at, connect

    if not yes:
        typer.confirm(f"Destroy {machine}? What runs in it is gone", abort=True, err=True)
    show.say(connect().post(at("/machines/{}/destroy", machine))["text"])


def _shown(machine: dict[str, Any]) -> dict[str, Any]:
    state = pools.state(machine["state"], machine["session"], machine["builds"])
    return {**machine, "state": state, "host": _host(machine)}


def _host(machine: dict[str, Any]) -> str:
    """Its name, and whether it is heard."""
    if machine["host_silent_since"] is None:
        return str(machine["host"])
    return f"{machine['host']} ({'given up' if machine['host_given_up'] else 'silent'})"
