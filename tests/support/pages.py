"""Writes the pages of docs/ that list what is in the code: `make docs`.

A test compares them with the code, so they are never out of date.
"""

import ast
import enum
import inspect
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from prometheus_client import Counter, Gauge, Histogram

from adapters.chat.discord import listening as discord
from adapters.chat.discord.port import DiscordChat
from adapters.chat.port import (
    AfterUncertain,
    ChatPort,
    Confides,
    HasHome,
    HasTitles,
    Method,
    Reacts,
    ShowsPhases,
    Whispers,
)
from adapters.chat.slack import listening as slack
from adapters.chat.slack.port import SlackChat
from adapters.chat.terminal import TerminalChat
from adapters.forge.github import polling as github
from adapters.forge.github.port import GitHubForge
from adapters.forge.gitlab import polling as gitlab
from adapters.forge.gitlab.port import GitLabForge
from adapters.listening import Hears
from bot import metrics
from bot.automate.files.json_schema import json_schema
from bot.config import reference
from bot.conversation.replies import LIVE_SECONDS
from bot.store import states
from tests.support.tools_page import tools_page
from vmpool import machine

DOCS = Path(__file__).parents[2] / "docs"
STATES = (
    ("Session", states.SessionState, states.SESSION_MOVES),
    ("Prompt", states.PromptState, states.PROMPT_MOVES),
    ("Turn", states.TurnState, states.TURN_MOVES),
    ("Question", states.QuestionState, states.QUESTION_MOVES),
    ("Reply", states.ReplyState, states.REPLY_MOVES),
    ("Charge", states.ChargeState, states.CHARGE_MOVES),
    ("Grant", states.GrantState, states.GRANT_MOVES),
    ("Schedule", states.ScheduleState, states.SCHEDULE_MOVES),
    ("Firing", states.FiringState, states.FIRING_MOVES),
    ("Automation", states.AutomationState, states.AUTOMATION_MOVES),
    ("Target of a run", states.TargetState, states.TARGET_MOVES),
    ("Machine", machine.MachineState, machine.MACHINE_MOVES),
    ("Template", machine.TemplateState, machine.TEMPLATE_MOVES),
)


def settings_page() -> str:
    rows = [
        (f"`{key}`", f"`{variable}`", f"`{default}`" if default else "", meaning)
        for key, variable, default, meaning in reference()
    ]
    return _page(
        "Settings",
        "A variable goes before the file, the file before the default. The file is `ona.toml` in"
        " the data directory, or the one that `ONA_CONFIG` names. A key with a point is in a table:"
        " `queue.turns_max` is `turns_max` under `[queue]`. Lists are written with commas in a"
        " variable. An unknown key is an error. `ONA_URL` and `ONA_TOKEN` tell the command line"
        " which installation to speak to.",
        _table(("key", "variable", "default", "meaning"), rows),
    )


def states_page() -> str:
    parts = []
    for name, kind, moves in STATES:
        meanings = _meanings(kind)
        rows = [(f"`{state.value}`", meanings[state.name], _listed(moves[state])) for state in kind]
        parts.append(f"## {name}\n\n{_table(('state', 'meaning', 'can become'), rows)}")
    return _page(
        "States",
        "What the words on the pages, in the API and in the database mean. The database refuses a"
        " state that is not listed. A move of a machine that is not listed is refused at run time;"
        " the other moves are what the statements do, and the tests run on databases that refuse"
        " every other one.",
        *parts,
    )


def metrics_page() -> str:
    return _page(
        "Metrics",
        "At `/metrics`, for Prometheus. `ona work` has no port: the `ona serve` of the same host"
        " shows its figures too.",
        _table(("metric", "kind", "meaning"), _families()),
    )


def surfaces_page() -> str:
    rows = [(what, *(say(kind) for kind in PORTS.values())) for what, say in CAPABILITIES.items()]
    hears = [(what, *(say(one) for one in LISTENERS.values())) for what, say in HEARD.items()]
    return _page(
        "Surfaces",
        "What each place where people talk can do, as its port and its listener say. Setting them"
        " up: [Slack](slack.md), [Discord](discord.md), [GitHub](github.md), [GitLab](gitlab.md).",
        "## What is said there by ona",
        _table(("", *PORTS), rows),
        "## What is heard there",
        _table(("", *LISTENERS), hears),
    )


def automation_schema() -> str:
    return json.dumps(json_schema(), indent=2) + "\n"


PORTS: Mapping[str, type[ChatPort]] = {
    "slack": SlackChat,
    "discord": DiscordChat,
    "github": GitHubForge,
    "gitlab": GitLabForge,
    "terminal, web, api": TerminalChat,
}
LISTENERS: Mapping[str, Hears] = {
    "slack": slack.HEARS,
    "discord": discord.HEARS,
    "github": github.HEARS,
    "gitlab": gitlab.HEARS,
}


def _yes(answer: bool) -> str:
    return "yes" if answer else "no"


def _marked(kind: type[ChatPort]) -> str:
    match kind.limits.after_uncertain:
        case AfterUncertain.LOOK_UP:
            return "looked up by its mark, then posted"
        case AfterUncertain.POST_AGAIN if kind.limits.again_seconds < math.inf:
            return f"posted again under its mark within {kind.limits.again_seconds:g} s, then not"
        case AfterUncertain.POST_AGAIN:
            return "the row is the post"
    return "not posted again"


def _rate(kind: type[ChatPort], method: Method) -> str:
    rate = kind.limits.rates.get(method)
    return f"{rate.per_second * 60:g}, {rate.burst:g} at once" if rate else "no limit"


def _pauses(kind: type[ChatPort]) -> str:
    """What lies between two edits of what a running turn does."""
    limits = kind.limits
    if limits.live == "none":
        return "no edits"
    pause = f"{max(LIVE_SECONDS, limits.edit_seconds):g} s"
    if limits.old_seconds is None:
        return pause
    return f"{pause}; {limits.old_edit_seconds:g} s once it is {limits.old_seconds / 60:g} min old"


def _names(kind: type[ChatPort]) -> str:
    rate = kind.limits.rates.get("title")
    return f"{rate.per_second * 3600:.0f}, {rate.burst:g} at once" if rate else "none"


def _live(kind: type[ChatPort]) -> str:
    """Where it stands what a running turn does."""
    match kind.limits.live:
        case "post":
            return "in a message that is edited"
        case "aside":
            return f"in a {kind.limits.aside}"
    return "whoever reads follows it live"


def _project(kind: type[ChatPort]) -> str:
    """How it is known what a new session works on."""
    if hasattr(kind, "repository"):
        return "that of the repository; another one is refused in words"
    if issubclass(kind, Whispers):
        return "named, linked, set for the channel, or asked for; “Wrong project?” moves what runs"
    return "named, or the only one"


CAPABILITIES: Mapping[str, Callable[[type[ChatPort]], str]] = {
    "the project of a new session is": _project,
    "what a turn does is shown": _live,
    "shows at a prompt's message that it waits, failed, needs somebody": lambda kind: _yes(
        issubclass(kind, Reacts)
    ),
    "can say something to one person alone": lambda kind: _yes(issubclass(kind, Whispers)),
    "`private:` is answered in a conversation with one person": lambda kind: _yes(
        issubclass(kind, Confides)
    ),
    "keeps a page of ours for each person": lambda kind: _yes(issubclass(kind, HasHome)),
    "has threads with names, which follow the session's title": lambda kind: _yes(
        issubclass(kind, HasTitles)
    ),
    "changes of such names an hour": _names,
    "shows pictures that agents post": lambda kind: _yes(getattr(kind, "shows_pictures", False)),
    "shows what a turn changed as a file": lambda kind: _yes(
        getattr(kind, "shows_documents", False)
    ),
    "shows a moment in the zone of each reader": lambda kind: _yes(
        getattr(kind, "shows_moments", False)
    ),
    "shows in its own way that a turn runs or waits": lambda kind: _yes(
        issubclass(kind, ShowsPhases)
    ),
    "characters of one post": lambda kind: f"{kind.limits.text_length_max:,}",
    "a post whose end nobody saw is": _marked,
    "posts a minute": lambda kind: _rate(kind, "post"),
    "edits a minute": lambda kind: _rate(kind, "edit"),
    "between two edits of what a turn does lie at least": _pauses,
}

HEARD: Mapping[str, Callable[[Hears], str]] = {
    "it gets to ona by": lambda hears: ", or ".join(hears.ways),
    "what goes on without naming ona is heard": lambda hears: _yes(hears.follow_ups),
    "that one was deleted is heard": lambda hears: hears.deletions,
    "a reaction to a post stops its turn": lambda hears: (
        ", ".join(sorted(hears.stop_signs)) or "no"
    ),
    "what was said while nobody listened is": lambda hears: hears.missed,
}

PAGES = {
    "surfaces.md": surfaces_page,
    "settings.md": settings_page,
    "states.md": states_page,
    "metrics.md": metrics_page,
    "tools.md": tools_page,
    "automation.schema.json": automation_schema,
}


def _meanings(kind: type[enum.StrEnum]) -> dict[str, str]:
    """The text below each member, which Python itself does not keep."""
    (defined,) = ast.parse(inspect.getsource(kind)).body
    assert isinstance(defined, ast.ClassDef)
    found = {}
    for member, below in zip(defined.body, defined.body[1:], strict=False):
        if isinstance(member, ast.Assign) and isinstance(below, ast.Expr):
            (name,) = member.targets
            assert isinstance(name, ast.Name)
            assert isinstance(below.value, ast.Constant)
            found[name.id] = " ".join(str(below.value.value).split())
    return found


def _families() -> list[Sequence[str]]:
    return [
        (
            f"`{family.name}{'_total' if family.type == 'counter' else ''}`",
            family.type,
            family.documentation,
        )
        for metric in vars(metrics).values()
        if isinstance(metric, Counter | Gauge | Histogram)
        for family in metric.describe()
    ]


def _listed(following: frozenset[enum.StrEnum]) -> str:
    return ", ".join(f"`{state.value}`" for state in sorted(following)) or "nothing"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in lines
    )


def _page(title: str, *parts: str) -> str:
    return "\n\n".join((f"# {title}", *parts, "Written by `make docs`.")) + "\n"


def write() -> Mapping[str, str]:
    DOCS.mkdir(exist_ok=True)
    pages = {name: page() for name, page in PAGES.items()}
    for name, text in pages.items():
        (DOCS / name).write_text(text, encoding="utf-8")
    return pages


if __name__ == "__main__":
    for name in write():
        print(f"docs/{name}")
