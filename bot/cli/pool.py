"""`ona pool`, `ona templates`: what waits to be handed out, and what it is made of."""

from typing import Annotated, Any

import typer

from bot.cli import show
from bot.cli.show import Json
from bot.words.pools import BEING_MADE
from bot.words.templates import times, turn

templates_app = typer.Typer(help="See and rebuild templates.", rich_markup_mode=None)

Which = Annotated[
    str, typer.Argument(metavar="TEMPLATE", help="Such as t-1f2e3d4c, or a project's name.")
]
TEMPLATES = {
    "short": "template",
    "project": "project",
    "size": "size",
    "state": "state",
    "commit": "commit",
    "guessed": "guessed",
    "build_seconds": "seconds",
    "host": "host",
    "created_at": "begun",
    "again": "again",
    "note": "note",
}
FACTS = {
    "short": "Template",
    "id": "Id",
    "project": "Project",
    "size": "Size",
    "state": "State",
    "note": "Note",
    "again": "Tried again",
    "commit": "Commit",
    "host": "Host",
    "fingerprint": "Fingerprint",
    "created_at": "Begun",
    "changed_at": "Changed",
}
POOLS = {
    "project": "project",
    "size": "size",
    "host": "host",
    "hot": "hot",
    "cold": "cold",
    "making": BEING_MADE,
    "hits": "hits",
    "others": "cold/booted",
    "times": "time hot/cold/booted",
    "why": "why",
}
NO_POOL = "No pool yet: a project has one once its template is built, as `ona templates` shows."
NO_TEMPLATE = "No template yet: each project that is added or used gets one, one after the other."
WAITING = {
    "short": "machine",
    "project": "project",
    "size": "size",
    "host": "host",
    "tier": "tier",
    "since": "since",
    "why": "why",
}


def pool(
    json: Json = False,
    machines: Annotated[
        bool, typer.Option("--machines", help="Each machine: its tier, since when, and why.")
    ] = False,
) -> None:
    """Show the machines that wait: hot and cold of how many, hits, hand-out times, and why.

    A hit is a session that got a hot machine; how many got a cold one or had theirs booted stands
    beside it.
    """
    from bot.cli.client import connect

    found = connect().get("/pools/machines" if machines else "/pools")
    if json:
        show.as_json(found)
        return
    if machines:
        show.table(found["machines"], WAITING, empty="No machine waits.")
        return
    rows = [_pool(one) for one in found["pools"]]
    show.table(rows, POOLS, empty=NO_POOL)


@templates_app.callback(invoke_without_command=True)
def templates(context: typer.Context, json: Json = False) -> None:
    """See and rebuild templates; alone it lists them."""
    if context.invoked_subcommand is None:
        list_templates(json=json)


@templates_app.command("list")
def list_templates(
    json: Json = False,
    everything: Annotated[bool, typer.Option("--all", help="Those that are gone too.")] = False,
) -> None:
    """List templates, those that machines are made of first, and what is not begun yet.

    NOTE says why one failed, or which step of its build is under way. AGAIN says when one is tried
    again that failed, or not before when one is begun. Failures that say the same of the same are
    one; with --all each is listed.
    """
    from bot.cli.client import connect

    found = connect().get("/templates", all=everything)
    if json:
        show.as_json(found)
        return
    rows = [*map(_template, found["templates"]), *map(_unbegun, found["waiting"])]
    show.table(rows, TEMPLATES, empty=NO_TEMPLATE)


@templates_app.command("show")
def show_template(template: Which, json: Json = False) -> None:
    """Show a template and the log of its build."""
    from bot.cli.client import at, connect

    found = connect().get(at("/templates/{}", template))
    if json:
        show.as_json(found)
        return
    show.record({**found, "again": _again(found["again"]), "note": _note(found)}, FACTS)
    for step in found["steps"]:
        ended = "" if step["exit_status"] == 0 else f", status {step['exit_status']}"
        file = step["guessed_from"]
        why = f", guessed from {file}" if file else ""
        show.say(f"\n{step['step']} ({step['seconds']:.1f} s{ended}{why})")
        for line in step["output"].splitlines():
            show.say(f"    {line}")


@templates_app.command()
def build(
    project: Annotated[str, typer.Argument(help="The project's name.")],
) -> None:
    """Have the templates of a project built again; machines that wait stay until then."""
    from bot.cli.client import at, connect

    show.say(connect().post(at("/projects/{}/rebuild", project))["text"])


def _template(one: dict[str, Any]) -> dict[str, Any]:
    from bot.words.guesses import count

    return {
        **one,
        "commit": one["commit"][:12] or None,
        "guessed": count(one["guessed"]) or None,
        "build_seconds": "-" if one["state"] == "building" else f"{one['build_seconds']:.1f}",
        "again": _again(one["again"]),
        "note": _note(one),
    }


def _unbegun(wait: dict[str, Any]) -> dict[str, Any]:
    note = f"{wait['why']}; {times(wait['failures'])}" if wait["failures"] else wait["why"]
    return {**wait, "state": "waiting", "again": _again(wait), "note": note}


def _again(wait: dict[str, Any] | None) -> str | None:
    """When it is begun, at the earliest."""
    if wait is None:
        return None
    at: str | None = wait["not_before"]
    return at or turn(wait["ahead"]) or None


def _note(one: dict[str, Any]) -> str | None:
    """With how often it failed, where it is tried again."""
    parts = [one["note"], one["again"] and times(one["again"]["failures"])]
    return "; ".join(part for part in parts if part) or None


def _pool(one: dict[str, Any]) -> dict[str, Any]:
    times = [one["seconds_hot"], one["seconds_cold"], one["seconds_boot"]]
    ratio = one["hit_ratio"]
    return {
        **one,
        "hot": f"{one['hot']} of {one['hot_target']}",
        "cold": f"{one['cold']} of {one['cold_target']}",
        "hits": "" if ratio is None else f"{one['hits']} of {one['handouts']} ({ratio:.0%})",
        "others": f"{one['cold_handouts']}/{one['boots']}",
        "times": "/".join("-" if seconds is None else f"{seconds:.2g} s" for seconds in times),
    }
