"""Every command by its name. What a command needs is imported when it runs: help is quick."""

from typing import Annotated

import typer

from bot.cli import (
    ask,
    audit,
    automations,
    halt,
    machines,
    memory,
    people,
    policy,
    pool,
    projects,
    reminders,
    runs,
    secrets,
    sessions,
    setup,
    tokens,
    usage,
)
from bot.cli.show import Json

app = typer.Typer(
    name="ona",
    help="Background coding agents in machines of your own.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"ona {version('ona')}")
        raise typer.Exit


@app.callback()
def main(
    _: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Background coding agents in machines of your own."""


@app.command()
def up() -> None:
    """Run everything on this machine: database, service, machines. Ctrl-C stops all of it."""
    from bot.cli import up as commands

    commands.up()


@app.command()
def serve() -> None:
    """Run pages, API and replies; any number of processes may. Needs ONA_DATABASE__URL."""
    from bot.cli import up as commands

    commands.serve()


@app.command()
def work() -> None:
    """Run turns and the machines of this host; one process a host. Needs ONA_DATABASE__URL."""
    from bot.cli import up as commands

    commands.work()


@app.command()
def migrate() -> None:
    """Bring the database of ONA_DATABASE__URL up to date."""
    from bot.cli import up as commands

    commands.migrate()


@app.command()
def status(json: Json = False) -> None:
    """See what `ona up` runs here, and since when."""
    from bot.cli import status as commands

    commands.status(json=json)


@app.command()
def doctor(json: Json = False) -> None:
    """See what ona needs here: found or not, what follows, what to do."""
    from bot.cli import doctor as commands

    commands.doctor(json=json)


app.add_typer(setup.app, name="setup")
app.command("ask")(ask.ask)
app.add_typer(sessions.app, name="sessions")
app.add_typer(machines.app, name="machines")
app.command("pool")(pool.pool)
app.add_typer(pool.templates_app, name="templates")
app.add_typer(projects.app, name="projects")
app.add_typer(memory.app, name="memory")
app.add_typer(reminders.app, name="reminders")
app.add_typer(runs.app, name="runs")
app.add_typer(automations.app, name="automations")
app.add_typer(policy.app, name="policy")
app.add_typer(audit.app, name="audit")
app.add_typer(people.app, name="people")
app.add_typer(tokens.app, name="tokens")
app.add_typer(secrets.app, name="secrets")
app.command("usage")(usage.usage)
app.command("halt")(halt.halt)
app.command("resume")(halt.resume)
