"""`ona automations`: what is done by itself, as files of repositories or people here say."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from bot.cli import show
from bot.cli.show import Json
from bot.errors import EXIT_FAILED, NothingToDo, Refused

app = typer.Typer(help="List, check, approve, run and pause automations.", rich_markup_mode=None)
Name = Annotated[
    str, typer.Argument(metavar="NAME", help="Name, PROJECT/NAME, or short name such as a-7f3kd.")
]
COLUMNS = {
    "automation": "automation",
    "project": "project",
    "name": "name",
    "state": "state",
    "next": "next",
    "when": "when",
}
FACTS = {
    "automation": "automation",
    "project": "project",
    "path": "file",
    "state": "state",
    "why": "why",
    "description": "about",
    "runs_as": "runs as",
    "approved_by": "approved by",
    "approved_at": "approved",
    "next": "next",
}


@app.callback(invoke_without_command=True)
def automations(context: typer.Context, json: Json = False) -> None:
    """List, check, approve, run and pause automations; alone it lists them."""
    if context.invoked_subcommand is None:
        list_automations(json=json)


@app.command("list")
def list_automations(
    *,
    project: Annotated[str | None, typer.Option(help="Of this project alone.")] = None,
    json: Json = False,
) -> None:
    """List them, and what else lies in the folders of the repositories."""
    from bot.cli.client import connect

    asked = {} if project is None else {"project": project}
    found = connect().get("/automations", **asked)
    if json:
        show.as_json(found)
        return
    rows = [
        {**one, "state": _state(one), "when": ", ".join(one["when"])}
        for one in found["automations"]
    ]
    show.table(rows, COLUMNS, empty="No automation: a file in .ona/automations is one.")
    for one in found["unread"]:
        show.status(f"{one['project']} could not be read: {one['problem']}")
    for file in found["files"]:
        for said in file["said"]:
            named = "" if said.startswith(file["path"]) else f"{file['path']} is left alone: "
            show.status(f"{file['project']}: {named}{said}")


@app.command("show")
def show_one(name: Name, json: Json = False) -> None:
    """Show what counts, and what its file proposes instead."""
    from bot.cli.client import connect

    path, more = _parts(name)
    found = connect().get(path, **more)
    if json:
        show.as_json(found)
        return
    show.record({**found, "state": _state(found)}, FACTS)
    for trigger in found["triggers"]:
        address = f" {_whole(trigger['address'])}" if trigger["address"] else ""
        show.say(f"When: {trigger['said']}{address}")
    for run in found["runs"]:
        counts = ", ".join(f"{count} {state}" for state, count in run["targets"].items())
        show.say(f"Run {run['run']}: {counts or 'no targets'}")
    for event in found["dropped"]:
        show.say(f"No run at {show.cell(event['at'])}: {event['why']}")
    if found["source"]:
        show.say("\nWhat counts:")
        typer.echo(found["source"].rstrip("\n"))
    _say_proposed(found)


@app.command()
def validate(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH…", help="Files, or folders of them.")
    ],
    *,
    json: Json = False,
) -> None:
    """Check files without a server; exits 1 if one of ours has a mistake."""
    from bot.automate.files.checking import check_files, files_of

    found = check_files(files_of(paths))
    if json:
        show.as_json({"files": found})
    for one in [] if json else found:
        if one["kind"] == "wrong":
            for said in one["said"]:
                show.say(said)
        else:
            show.say(_checked(one))
    if any(one["kind"] == "wrong" for one in found):
        raise typer.Exit(EXIT_FAILED)


@app.command()
def run(
    name: Name,
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would run; begin nothing.")
    ] = False,
    json: Json = False,
) -> None:
    """Begin a run of what counts now; exits 1 if none begins."""
    from bot.cli.client import connect
    from bot.store.ids import new_id

    client, (path, more) = connect(), _parts(name)
    if dry_run:
        _say_preview(client.get(f"{path}/preview", **more), json=json)
        return
    begun = client.post(f"{path}/run{_query(more)}", key=str(new_id()))
    if json:
        show.as_json(begun)
    else:
        show.told(begun)
    if not begun["run"]:
        raise typer.Exit(EXIT_FAILED)


@app.command()
def approve(
    name: Name,
    *,
    digest: Annotated[
        str | None, typer.Option(help="Of what you saw, 12 characters or more; else it is shown.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask back.")] = False,
    json: Json = False,
) -> None:
    """Let what its file proposes count; it is shown first and asked back."""
    from bot.cli.client import connect

    client, (path, more) = connect(), _parts(name)
    if digest is None:
        found = client.get(path, **more)
        digest = found["proposed_digest"]
        if not digest:
            raise NothingToDo(f"there is nothing to approve in {found['name']}")
        if not json:
            _say_proposed(found)
        if not yes and not (sys.stdin.isatty() and typer.confirm("Approve this?")):
            raise Refused(
                "nothing was approved", do=f"pass --yes, or --digest {digest[:12]} for this content"
            )
    counts = client.post(f"{path}/approve{_query(more)}", {"digest": digest})
    if json:
        show.as_json(counts)
        return
    _say_counts(counts)


@app.command()
def make(
    project: Annotated[str, typer.Argument(metavar="PROJECT")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="As in .ona/automations.")],
    *,
    json: Json = False,
) -> None:
    """Make one here, without a file in the repository; it counts at once, in your name."""
    from bot.cli.client import connect

    try:
        source = file.read_text(encoding="utf-8")
    except OSError as error:
        raise _unread(f"the file {file} can't be read: {error.strerror}") from error
    except ValueError as error:
        raise _unread(f"the file {file} is no text in UTF-8") from error
    if not source.strip():
        raise _unread(f"the file {file} is empty")
    counts = connect().post("/automations", {"project": project, "source": source})
    if json:
        show.as_json(counts)
        return
    _say_counts(counts)


@app.command()
def pause(name: Name) -> None:
    """Let no trigger of it count until it is resumed."""
    _act(name, "pause")


@app.command()
def resume(name: Name) -> None:
    """Let it go on; what was due meanwhile is not done."""
    _act(name, "resume")


@app.command()
def remove(name: Name) -> None:
    """Remove one that was made here; its runs are kept."""
    from bot.cli.client import connect

    path, more = _parts(name)
    show.told(connect().delete(path, **more))


@app.command()
def schema() -> None:
    """Print the JSON Schema of a file, for editors."""
    from bot.automate.files.json_schema import json_schema

    show.as_json(json_schema())


def _unread(happened: str) -> Refused:
    return Refused(happened, kept="nothing was made", do="name a file of YAML")


def _act(name: str, word: str) -> None:
    from bot.cli.client import connect

    path, more = _parts(name)
    show.told(connect().post(f"{path}/{word}{_query(more)}"))


def _say_counts(counts: dict[str, Any]) -> None:
    show.told(counts)
    for hook in counts["webhooks"]:
        show.say(f"Webhook: {_whole(hook['address'])}")
        show.say(f"Its secret, shown only now: {hook['secret']}")
        if not hook["sealed"]:
            show.status("There is no Vault: whoever reads the database can read the secret.")


def _whole(address: str) -> str:
    """Where no public address is set, it is below the one that we ask."""
    from bot.cli.client import connect

    return address if "://" in address else f"{connect().url}{address}"


def _parts(name: str) -> tuple[str, dict[str, str]]:
    """The path of an automation in the API, and the project that the name tells."""
    from bot.cli.client import at

    project, _, own = name.rpartition("/")
    return at("/automations/{}", own), {"project": project} if project else {}


def _query(more: dict[str, str]) -> str:
    from urllib.parse import urlencode

    return f"?{urlencode(more)}" if more else ""


def _state(one: dict[str, Any]) -> str:
    waits = one["proposed_digest"] and one["state"] != "proposed"
    return f"{one['state']}, a change waits" if waits else str(one["state"])


def _checked(one: dict[str, Any]) -> str:
    if one["kind"] == "other":
        return f"{one['path']} is left alone: {one['said'][0]}"
    return f"{one['path']}: {one['name']} is right"


def _say_proposed(found: dict[str, Any]) -> None:
    if not found["proposed_digest"]:
        return
    show.say(f"\nProposed ({found['proposed_digest'][:12]}), not approved yet:")
    if not found["source"]:
        typer.echo(found["proposed"].rstrip("\n"))
        return
    for part in found["differences"]:
        show.say(f"{part['told']}:")
        for sign, words in (("-", part["before"]), ("+", part["after"])):
            for line in words.splitlines():
                show.say(f"  {sign} {line}")


def _say_preview(found: dict[str, Any], *, json: bool) -> None:
    if json:
        show.as_json(found)
        return
    show.told(found)
    for when in found["when"]:
        show.say(f"When: {when}")
    if found["steps"]:
        name = found["runs_as"] or "who approves it"
        show.say(f"In the name of {name}: {', '.join(found['steps'])}")
    for target in found["targets"]:
        show.say(f"On {target['name']}" + (f": {target['why']}" if target["why"] else ""))
    for at in found["next"]:
        show.say(f"Next: {show.cell(at)}")
