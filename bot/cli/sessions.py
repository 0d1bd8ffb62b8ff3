"""`ona sessions`: see them, follow them, stop them."""

from typing import Annotated, Any

import typer

from bot.cli import preview, show, ssh
from bot.cli.show import Json

app = typer.Typer(help="See, follow and stop sessions.", rich_markup_mode=None)

Short = Annotated[str, typer.Argument(metavar="SESSION", help="Such as s-7f3kd.")]
COLUMNS = {
    "short": "session",
    "state": "state",
    "project": "project",
    "queued": "queued",
    "machine_state": "machine",
    "active_at": "active",
    "title": "title",
}
FACTS = {
    "short": "Session",
    "title": "Title",
    "state": "State",
    "held_by": "Held by",
    "project": "Project",
    "agent": "Agent",
    "branch": "Branch",
    "creator": "Opened by",
    "created_at": "Opened",
    "active_at": "Active",
    "machine_state": "Machine",
    "last_outcome": "Last turn",
    "models": "Models",
}


@app.callback(invoke_without_command=True)
def sessions(context: typer.Context, json: Json = False) -> None:
    """See, follow and stop sessions; alone it lists them."""
    if context.invoked_subcommand is None:
        list_sessions(json=json)


@app.command("list")
def list_sessions(
    json: Json = False,
    project: Annotated[str | None, typer.Option(help="Only of this project.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="At most so many.")] = 50,
) -> None:
    """List sessions, the one that was active last first."""
    from bot.cli.client import connect

    wanted = {"limit": limit, **({"project": project} if project else {})}
    found = connect().get("/sessions", **wanted)
    if json:
        show.as_json(found)
        return
    of = f" of {project}" if project else ""
    show.table(found["sessions"], COLUMNS, empty=f'No session{of} yet: `ona ask "…"` opens one.')


@app.command("show")
def show_session(session: Short, json: Json = False) -> None:
    """Show a session, its pull requests, its queue and its open question."""
    from bot.cli.client import at, connect

    client = connect()
    found = client.get(at("/sessions/{}", session))
    queue = client.get(at("/sessions/{}/queue", session))
    asked = client.get(at("/sessions/{}/questions", session))["questions"]
    pulls = client.get(at("/sessions/{}/pull-requests", session))["pull_requests"]
    if json:
        more = {"queue": queue["prompts"], "questions": asked, "pull_requests": pulls}
        show.as_json({**found, **more})
        return
    show.record({**found, "models": _paid(found)}, FACTS)
    for pull in pulls:
        show.say(f"Pull request {pull['repository']}#{pull['number']}: {_pull(pull)}")
    for question in asked:
        if question["state"] == "open":
            show.say(f"It asks: {question['text']}")
            show.say(f"Answer with: ona ask -s {session} ANSWER")
    if queue["sessions_before"]:
        show.say(f"Waits for a free machine: {queue['sessions_before']} before it.")
    for prompt in queue["prompts"]:
        said = " ".join(prompt["text"].split())
        show.say(f"{prompt['place']}. {prompt['name']}: {said}")


@app.command()
def title(
    session: Short, text: Annotated[list[str], typer.Argument(metavar="TEXT", help="Its words.")]
) -> None:
    """Give a session another title; its thread on Discord or Slack is called so too."""
    from bot.cli.client import at, connect

    show.say(connect().patch(at("/sessions/{}", session), {"title": " ".join(text)})["text"])


@app.command()
def stop(
    session: Short,
    clear: Annotated[bool, typer.Option("--clear", help="Cancel what is queued too.")] = False,
) -> None:
    """End the running turn and hold the queue."""
    from bot.cli.client import at, connect

    show.say(connect().post(at("/sessions/{}/stop", session), {"clear": clear})["text"])


@app.command()
def resume(session: Short) -> None:
    """Let a held queue go on."""
    from bot.cli.client import at, connect

    show.say(connect().post(at("/sessions/{}/resume", session))["text"])


@app.command()
def undo(session: Short, json: Json = False) -> None:
    """Take the last turn back, its files and its branch."""
    from bot.cli.client import at, connect

    accepted = connect().post(at("/sessions/{}/undo", session))
    if json:
        show.as_json(accepted)
    else:
        show.say(accepted["text"])


@app.command()
def clear(session: Short) -> None:
    """Cancel what is queued; a running turn goes on."""
    from bot.cli.client import at, connect

    show.say(connect().post(at("/sessions/{}/clear", session))["text"])


@app.command()
def cancel(
    session: Short, number: Annotated[int, typer.Argument(help="Place in the queue, from 1.")]
) -> None:
    """Cancel one queued prompt."""
    from bot.cli.client import at, connect

    show.say(connect().delete(at("/sessions/{}/prompts/{}", session, number))["text"])


@app.command()
def delete(
    session: Short,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask whether you mean it.")] = False,
    json: Json = False,
) -> None:
    """Delete a session with its events, files, checkpoints, machine and snapshots."""
    from bot.cli.client import at, connect

    if not yes:
        asked = f"Delete {session} and everything in it? Nothing brings it back"
        typer.confirm(asked, abort=True, err=json)
    done = connect().delete(at("/sessions/{}", session))
    if json:
        show.as_json(done)
    else:
        show.say(done["text"])


@app.command()
def follow(
    session: Short,
    after: Annotated[int, typer.Option(min=0, help="Begin after this event.")] = 0,
    json: Json = False,
) -> None:
    """Show what happens in a session, live, until Ctrl-C; with --json an event a line."""
    import json as json_text

    from bot.cli.client import connect
    from bot.cli.following import Printer, events

    printer = Printer()
    try:
        for event in events(connect(), session, after):
            if json:
                typer.echo(json_text.dumps(event, ensure_ascii=False))
            else:
                printer.show(event)
    except KeyboardInterrupt:
        show.status("\nThe session goes on.")


app.command("ssh")(ssh.ssh)
app.command("ssh-config")(ssh.ssh_config)
app.command("ssh-renew", hidden=True)(ssh.ssh_renew)
app.command("tunnel", hidden=True)(ssh.tunnel)
app.command("preview")(preview.preview)
app.command("previews")(preview.previews)


def _pull(pull: dict[str, Any]) -> str:
    """How a pull request stands, and where."""
    state = "draft" if pull["draft"] and pull["state"] == "open" else pull["state"]
    checks = f", checks {pull['checks']}" if pull["checks"] else ""
    return f"{state}{checks}, {pull['url']}"


def _paid(session: dict[str, Any]) -> str:
    """What models cost in a session, of how much; empty: nothing."""
    if not session["cost_usd"] and session["budget_usd"] is None:
        return ""
    of = "" if session["budget_usd"] is None else f" of {session['budget_usd']:.2f}"
    return f"{session['cost_usd']:.2f}{of} USD"
