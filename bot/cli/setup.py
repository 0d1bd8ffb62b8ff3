"""`ona setup`: from nothing to a first answer, a step at a time."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from bot.cli import setup_discord, setup_github, setup_tokens, show
from bot.errors import TellPerson

if TYPE_CHECKING:
    from bot.cli.client import Client

FIRST_PROMPT = "!git log --oneline -3"


app = typer.Typer(
    invoke_without_command=True,
    rich_markup_mode=None,
    help="Set ona up, a step at a time, or connect a place where people talk.",
)
app.command("github")(setup_github.github)
app.command("gitlab")(setup_tokens.gitlab)
app.command("slack")(setup_tokens.slack)
app.command("discord")(setup_discord.discord)


@app.callback()
def setup(context: typer.Context) -> None:
    """Add a repository and ask something, a step at a time; or connect a place where people talk.

    Each step is tested when it is entered; Enter alone skips it. Can be repeated.
    """
    if context.invoked_subcommand is not None:
        return
    from bot.cli.client import connect

    client = connect()
    asks = sys.stdin.isatty()
    typer.echo(f"ona runs at {client.url}.")
    _repository(client, asks=asks)
    typer.echo("\n2. The agent: `shell` runs every prompt as a script; nothing to set up.")
    typer.echo("\n3. Where people talk: this terminal (`ona ask`) and the pages:")
    typer.echo(f"   {client.post('/people/me/link')['url']}")
    typer.echo("   Elsewhere: `ona setup slack`, `discord`, `github`, `gitlab`.")
    _first_prompt(client, asks=asks)


def _repository(client: "Client", *, asks: bool) -> None:
    known = client.get("/projects")["projects"]
    names = ", ".join(project["name"] for project in known) or "none yet"
    typer.echo(f"\n1. Repositories: {names}.")
    if not asks:
        typer.echo("   `ona projects add NAME URL` adds one.")
        return
    while address := typer.prompt(
        "   Add (URL or path; Enter skips)", default="", show_default=False
    ):
        local = Path(address).expanduser()
        url = str(local.resolve()) if local.is_dir() else address
        name = typer.prompt("   Name", default=Path(url.rstrip("/")).name.removesuffix(".git"))
        try:
            client.post("/projects", {"name": name, "repository_url": url})
        except TellPerson as error:
            typer.echo(f"   {error}")
        else:
            typer.echo(f"   Read and added as {name}.")


def _first_prompt(client: "Client", *, asks: bool) -> None:
    from bot.cli.ask import follow
    from bot.store.ids import new_id

    projects = client.get("/projects")["projects"]
    typer.echo("\n4. Ask.")
    if not asks or not projects:
        typer.echo(f"   `ona ask '{FIRST_PROMPT}'` runs a first command.")
        return
    if not typer.confirm(f"   Run {FIRST_PROMPT} in {projects[0]['name']} now?", default=True):
        return
    body = {"text": FIRST_PROMPT, "new": True, "project": projects[0]["name"]}
    accepted = client.post("/prompts", {**body, "surface": "terminal"}, key=str(new_id()))
    show.status(f"{accepted['session']}: {accepted['text']}")
    raise typer.Exit(follow(client, accepted))
