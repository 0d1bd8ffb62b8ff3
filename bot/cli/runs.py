"""`ona runs`: what automations did, target by target."""

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from bot.cli import show
from bot.cli.show import Json
from bot.errors import Refused

app = typer.Typer(help="See runs of automations, stop and repeat them.", rich_markup_mode=None)
Short = Annotated[str, typer.Argument(metavar="RUN", help="Such as run-7f3kd.")]
State = Literal["waiting", "running", "done", "failed", "skipped", "stopped"]
COLUMNS = {
    "run": "run",
    "status": "status",
    "project": "project",
    "targets": "targets",
    "created_at": "begun",
    "name": "name",
}
FACTS = {
    "run": "Run",
    "name": "Name",
    "status": "Status",
    "stopped": "Stopped",
    "targets": "Targets",
    "questions": "Waiting for an answer",
    "pulls": "Pull requests",
    "eta": "Left",
    "cost": "Cost",
    "project": "Project",
    "trigger": "Because of",
    "by": "Begun by",
    "runs_as": "In the name of",
    "session": "Session",
    "created_at": "Begun",
    "settled_at": "Over",
}
TARGET_COLUMNS = {
    "place": "no",
    "repository": "target",
    "state": "state",
    "session": "session",
    "pulls": "pull request",
    "why": "why",
}
PAGE = 200


@app.callback(invoke_without_command=True)
def runs(context: typer.Context, json: Json = False) -> None:
    """See runs of automations, stop and repeat them; alone it lists them."""
    if context.invoked_subcommand is None:
        list_runs(json=json)


@app.command("list")
def list_runs(
    *,
    project: Annotated[str | None, typer.Option(help="Only of this project.")] = None,
    automation: Annotated[str | None, typer.Option(help="Only of this one.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100, help="At most so many.")] = 50,
    json: Json = False,
) -> None:
    """List runs, the newest first."""
    from bot.cli.client import connect

    named = {"project": project, "automation": automation}
    wanted = {key: value for key, value in named.items() if value is not None}
    found = connect().get("/runs", limit=limit, **wanted)
    if json:
        show.as_json(found)
        return
    rows = [{**one, "targets": _counts(one["counts"])} for one in found["runs"]]
    empty = "No run yet: an automation makes one whenever it fires."
    if automation is not None:
        empty = f"No run of {automation}: `ona automations` lists what there is."
    show.table(rows, COLUMNS, empty=empty)


@app.command("show")
def show_run(
    run: Short,
    *,
    state: Annotated[State | None, typer.Option(help="Only targets in it.")] = None,
    json: Json = False,
) -> None:
    """Show how far one is, and its targets."""
    from bot.cli.client import at, connect

    client = connect()
    found = client.get(at("/runs/{}", run))
    targets = _targets(client, run, state)
    if json:
        show.as_json({**found, **targets})
        return
    show.record(_facts(found), FACTS)
    rows = [{**one, "pulls": _pulls(one)} for one in targets["targets"]]
    show.table(rows, TARGET_COLUMNS, empty="No targets.")
    if targets["hidden"]:
        are = "is" if targets["hidden"] == 1 else "are"
        show.status(f"{targets['hidden']} more {are} of projects that you may not read.")


@app.command()
def stop(run: Short) -> None:
    """Stop all: what waits is not begun, what runs is asked to stop."""
    from bot.cli.client import at, connect

    show.told(connect().post(at("/runs/{}/stop", run)))


@app.command()
def rerun(
    run: Short,
    which: Annotated[
        str, typer.Argument(help="failed, all, or the number of a target.")
    ] = "failed",
) -> None:
    """Run targets again, each in a session of its own."""
    from bot.cli.client import at, connect

    number = which.removeprefix("#")
    wanted = int(number) if number.isascii() and number.isdecimal() else which
    if wanted not in {"failed", "all"} and not isinstance(wanted, int):
        raise Refused(
            f"there are no targets called {which}",
            kept="nothing is run again",
            do="say failed, all, or the number of a target",
        )
    show.told(connect().post(at("/runs/{}/rerun", run), {"which": wanted}))


@app.command()
def export(
    run: Short,
    *,
    form: Annotated[Literal["csv", "json"], typer.Option("--format", help="csv or json.")] = "csv",
    output: Annotated[Path | None, typer.Option("-o", "--output", help="A file.")] = None,
) -> None:
    """Print all targets of one, or write them to a file."""
    from bot.cli.client import at, connect

    text = connect().text(at("/runs/{}/export.{}", run, form))
    if output is None:
        sys.stdout.write(text)
        return
    try:
        output.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise Refused(
            f"{output} can't be written: {error.strerror}", do="give another file with -o"
        ) from error
    show.status(f"{output} has it.")


def _targets(client: Any, run: str, state: str | None) -> dict[str, Any]:
    """All targets, page by page."""
    from bot.cli.client import at

    found: dict[str, Any] = {"targets": [], "hidden": 0}
    after: int | None = 0
    while after is not None:
        only = {"state": state} if state else {}
        page = client.get(at("/runs/{}/targets", run), after=after, limit=PAGE, **only)
        found["targets"] += page["targets"]
        found["hidden"] += page["hidden"]
        after = page["next"]
    return found


def _facts(run: dict[str, Any]) -> dict[str, Any]:
    eta = run["eta_seconds"]
    return {
        **run,
        "targets": _counts(run["counts"]),
        "questions": run["questions"] or None,
        "pulls": ", ".join(f"{count} {state}" for state, count in run["pull_requests"].items()),
        "eta": f"about {int(eta // 60) + 1} min" if eta else None,
        "cost": f"{run['cost_usd']:.2f} USD",
    }


def _counts(counts: dict[str, int]) -> str:
    said = [f"{count} {name}" for name, count in counts.items() if count and name != "total"]
    return ", ".join(said) or "none"


def _pulls(target: dict[str, Any]) -> str:
    return " ".join(pull["url"] for pull in target["pull_requests"])
