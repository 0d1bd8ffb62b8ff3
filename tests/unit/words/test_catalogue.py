"""The catalogue: every message in every language, and no sentence of ours outside of it."""

import ast
import json
import string
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

import adapters
import bot
from adapters.chat import port
from adapters.chat.discord.commands import OF_COMMANDS, SENT
from adapters.chat.slack.listening import NOT_HERE
from adapters.chat.slack.picking import OF_FORM
from adapters.forge.github.checks import OF_CHECK
from adapters.forge.gitlab.statuses import OF_STATUS
from adapters.vault import errors
from bot import on_discord, on_github, on_gitlab, on_slack
from bot.conversation import commands
from bot.words import catalogue
from bot.words.amounts import duration, prompts
from bot.words.catalogue import (
    SOURCE,
    Message,
    again,
    in_source,
    kept,
    listing,
    moment,
    nearest,
    ngettext,
    shipped,
    speaking,
    together,
)
from bot.words.catalogue import gettext as _
from bot.work.granted import OF_VAULT

ROOT = Path(bot.__file__).parent
CALLS = {"_": 1, "gettext": 1, "N_": 1, "ngettext": 2}
"""What marks messages, and how many of its arguments are ids."""
KEYWORDS = {"_": None, "gettext": None, "N_": None, "ngettext": (1, 2)}
LOCALES = [locale for locale in shipped() if locale != SOURCE]
SPOKEN_IN = ("conversation", "words", "work", "govern", "automate")
"""Folders whose sentences people read in threads, as they do those of the `on_….py`."""
AGENT = "only an agent reads it"
MACHINE = "only programs in a machine read it"
SHELL = "only a shell, git, or a program of its own reads it"
OPERATOR = "read on pages and at the command line, in English as `--help` is"
SENDER = "read by programs that deliver webhooks, and by who sets them up"
SAID_TO_US = "what people or programs say to us"
REPOSITORY = "read in the repository, in its language"
ELSEWHERE = {
    "automate/files/checking.py": OPERATOR,
    "automate/files/folders.py": OPERATOR,
    "automate/files/json_schema.py": "read in editors",
    "automate/files/yaml_tree.py": SAID_TO_US,
    "automate/reminders/answering.py": AGENT,
    "automate/runs/actionable.py": AGENT,
    "automate/triggers/hook_checks.py": SENDER,
    "automate/triggers/hook_intake.py": SENDER,
    "automate/triggers/hook_secrets.py": SENDER,
    "govern/credentials.py": OPERATOR,
    "govern/egress.py": OPERATOR,
    "govern/halting.py": OPERATOR,
    "govern/instructions.py": OPERATOR,
    "govern/installation.py": OPERATOR,
    "govern/policy.py": OPERATOR,
    "govern/policy_text.py": OPERATOR,
    "govern/registries.py": SHELL,
    "govern/secret_uses.py": OPERATOR,
    "govern/secrets.py": OPERATOR,
    "govern/spenders.py": MACHINE,
    "govern/verifying.py": OPERATOR,
    "govern/visit_grants.py": OPERATOR,
    "on_gitlab.py": OPERATOR,
    "words/listening.py": OPERATOR,
    "words/pools.py": OPERATOR,
    "words/reminding.py": SAID_TO_US,
    "words/templates.py": OPERATOR,
    "work/briefing.py": AGENT,
    "work/destinations.py": MACHINE,
    "work/detect/guessing.py": SHELL,
    "work/detect/node.py": SHELL,
    "work/detect/python.py": SHELL,
    "work/detect/tools.py": SHELL,
    "work/failed_checks.py": AGENT,
    "work/folder.py": "said anew by who reads the folder",
    "work/furnish.py": "the log of a template, which operators read",
    "work/git.py": "the words of git, which sentences quote",
    "work/moving_back.py": SAID_TO_US,
    "work/own_host.py": OPERATOR,
    "work/pull_body.py": REPOSITORY,
    "work/quoting.py": AGENT,
    "work/relay.py": OPERATOR,
    "work/relay_words.py": OPERATOR,
    "work/relays.py": OPERATOR,
    "work/routes.py": MACHINE,
    "work/running.py": MACHINE,
    "work/scratch.py": SAID_TO_US,
    "work/secret_scan.py": "names of what the scanner looks for",
    "work/signature.py": REPOSITORY,
    "work/tools": AGENT,
    "work/undo.py": AGENT,
    "work/way_out.py": MACHINE,
}
"""Files and folders with sentences that nobody reads in a thread: who does instead."""


OF_ADAPTERS = tuple(
    words for opens in (on_slack, on_discord, on_github, on_gitlab) for words in opens.OF_ADAPTERS
)
"""What adapters say to people; what opens one translates it."""
ADAPTERS = Path(adapters.__file__).parent
STATUS = "how a surface is listened to, for the status page and `ona doctor`"
REASON = "why something was not done, for the log; who tells a person does it in own words"
IN_ADAPTERS = {
    "chat/discord/calls.py": "the words of Discord",
    "chat/discord/examining.py": OPERATOR,
    "chat/discord/listening.py": STATUS,
    "chat/files.py": AGENT,
    "chat/incoming.py": SAID_TO_US,
    "chat/port.py": REASON,
    "chat/slack/examining.py": OPERATOR,
    "chat/slack/hooks.py": SENDER,
    "chat/slack/listening.py": STATUS,
    "forge/accounts.py": REASON,
    "forge/ci_by_grant.py": AGENT,
    "forge/github/app.py": "queries of GitHub",
    "forge/github/calls.py": "the words of GitHub",
    "forge/github/event_round.py": "a type",
    "forge/github/examining.py": OPERATOR,
    "forge/github/manifest.py": "what the App is registered with, once and for all its readers",
    "forge/github/polling.py": STATUS,
    "forge/github/port.py": "a name, which bot translates",
    "forge/github/pulls.py": "queries and the words of GitHub",
    "forge/github/reviewing.py": AGENT,
    "forge/gitlab/client.py": "the words of GitLab",
    "forge/gitlab/event_polling.py": "a key",
    "forge/gitlab/examining.py": OPERATOR,
    "forge/gitlab/polling.py": STATUS,
    "forge/gitlab/port.py": "a name, which bot translates, and the words of GitLab",
    "forge/gitlab/request_round.py": "the words of GitLab",
    "forge/gitlab/reviewing.py": AGENT,
    "forge/polled.py": STATUS,
    "forge/port.py": "a ref",
}
"""Files of adapters with sentences that are not for people in a thread: for whom instead."""
NAMED = {"Send to ona"}
"""Names of our own by which people find something, the same in every language."""


def is_elsewhere(path: Path) -> bool:
    below = path.relative_to(ROOT)
    return any(str(one) in ELSEWHERE for one in (below, *below.parents))


OURS = [path for folder in SPOKEN_IN for path in sorted((ROOT / folder).rglob("*.py"))]
SPEAKING = [path for path in (*OURS, *sorted(ROOT.glob("on_*.py"))) if not is_elsewhere(path)]
"""Files whose sentences people read in threads."""

Id = tuple[str, ...]


def extracted() -> set[Id]:
    """What Babel's extraction finds, as translators get it."""
    found = extract_from_dir(ROOT, method_map=[("**.py", "python")], keywords=KEYWORDS)
    return {message if isinstance(message, tuple) else (message,) for _, _, message, *_ in found}


def translated(locale: str) -> dict[Id, Id]:
    with (catalogue.DIRECTORY / locale / "LC_MESSAGES" / "ona.po").open("rb") as source:
        read = read_po(source, locale=locale, abort_invalid=True)
    assert not any(one.fuzzy for one in read if one.id)
    return {_tuple(one.id): _tuple(one.string) for one in read if one.id}


def _tuple(one: object) -> Id:
    return tuple(one) if isinstance(one, tuple | list) else (str(one),)


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("locale", LOCALES)
def test_every_message_is_in_every_locale_with_the_same_placeholders(locale):
    messages, words = extracted(), translated(locale)
    assert messages == set(words)
    for message, said in words.items():
        assert all(said), message
        assert [one[0].isspace() for one in said] == [one[0].isspace() for one in message]
        for form in said:
            assert placeholders(form) == placeholders(message[-1]), message


@pytest.mark.parametrize("locale", LOCALES)
def test_commands_are_the_same_in_every_language(locale):
    for message, said in translated(locale).items():
        for word in ("stop", "resume", "clear", "connect", "retry", "sessions", "queue"):
            assert (f"`{word}`" in said[0]) == (f"`{word}`" in message[0]), message


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=str)
def test_what_is_marked_is_extracted(path):
    """A call within an f-string, or of a name, is a message that no translator ever sees."""
    tree = ast.parse(path.read_text())
    marked = {ids for call in _calls(tree) if (ids := _ids(call))}
    found = extract_from_dir(
        path.parent,
        method_map=[(path.name, "python")],
        keywords=KEYWORDS,
        directory_filter=lambda _: False,
    )
    assert {_tuple(message) for _, _, message, *_ in found} >= marked


@pytest.mark.parametrize("path", SPEAKING, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_sentence_stands_outside_of_the_catalogue(path):
    bare = [f"{path.name}:{line}: {text!r}" for line, text in sentences(path.read_text())]
    assert not bare, "say it by _(…), with values in braces"


def unsaid(path: Path) -> list[str]:
    """The sentences of an adapter that nobody translates, but for the reasons that it raises."""
    errors = [one for one in vars(port).values() if isinstance(one, type)]
    kinds = {one.__name__ for one in errors if issubclass(one, Exception)}
    tree = ast.parse(path.read_text())
    raised = [
        (node.lineno, node.end_lineno or node.lineno)
        for node in ast.walk(tree)
        if isinstance(node, ast.Raise) or (isinstance(node, ast.Call) and _name(node.func) in kinds)
    ]
    return [
        f"{line}: {text!r}"
        for line, text in sentences(path.read_text())
        if text not in {*OF_ADAPTERS, *NAMED}
        and not any(first <= line <= last for first, last in raised)
    ]


FOLDERS = [ADAPTERS / "chat", ADAPTERS / "forge"]
OTHERS = [
    path
    for folder in FOLDERS
    for path in sorted(folder.rglob("*.py"))
    if str(path.relative_to(ADAPTERS)) not in IN_ADAPTERS
]


@pytest.mark.parametrize("path", OTHERS, ids=lambda path: str(path.relative_to(ADAPTERS)))
def test_adapters_say_to_people_what_is_in_the_catalogue(path):
    assert not unsaid(path), "let who opens the adapter translate it (`OF_ADAPTERS`)"


@pytest.mark.parametrize("name", IN_ADAPTERS)
def test_what_adapters_say_elsewhere_has_sentences(name):
    """Else it needs no exception."""
    assert unsaid(ADAPTERS / name)


@pytest.mark.parametrize("name", ELSEWHERE)
def test_what_is_read_elsewhere_has_sentences(name):
    """Else it needs no exception."""
    path = ROOT / name
    files = path.rglob("*.py") if path.is_dir() else [path]
    assert any(list(sentences(one.read_text())) for one in files)


@pytest.mark.parametrize(
    "code",
    [
        'Content(text="Which project is this for?")',
        'await self.whisper(said, f"There is no session {short}.")',
        'raise Refused("the message is empty", do=_("say what to do"))',
        'raise NotFound(_("there is none"), do="add one")',
        'told = "Unmuted."',
        'Button(label="Stop", says="stop")',
        'told += " It goes on."',
        'Part(title="Connect", entries=())',
    ],
)
def test_a_bare_sentence_is_noticed(code):
    assert list(sentences(f"async def f():\n    {code}\n"))


@pytest.mark.parametrize(
    "code",
    [
        '"""Doing what a command asks."""',
        'log.info("hint_not_shown", why="the thread is gone")',
        'raise ValueError("lease longer than it may be")',
        '_FIND = text("SELECT id FROM thread WHERE id = :id")',
        'Content(text=_("Which project is this for?"))',
        'state = "timed_out"',
    ],
)
def test_what_nobody_reads_is_no_sentence(code):
    assert not list(sentences(f"async def f():\n    {code}\n"))


def sentences(source: str) -> Iterator[tuple[int, str]]:
    """Texts of two words, labels, and what ends with a full stop, that no call marks."""
    tree = ast.parse(source)
    exempt = _docstrings(tree) | {id(one) for node in _silent(tree) for one in ast.walk(node)}
    labels = {id(one.value) for one in ast.walk(tree) if _is_label(one)}
    for node in ast.walk(tree):
        if id(node) in exempt:
            continue
        if isinstance(node, ast.JoinedStr):
            text = " x ".join(
                part.value
                for part in node.values
                if isinstance(part, ast.Constant) and isinstance(part.value, str)
            )
            exempt |= {id(part) for part in node.values if isinstance(part, ast.Constant)}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
        else:
            continue
        if text in PROGRAMS or text.lstrip().startswith(SCRIPTS):
            continue
        if _is_sentence(text) or (id(node) in labels and text.strip()):
            yield node.lineno, text


def _is_sentence(text: str) -> bool:
    words = [word.strip(".,:;!?…()“”`'") for word in text.split()]
    spoken = [word for word in words if word.isalpha() and word.lower() != "x"]
    return len(spoken) >= 2 or (bool(spoken) and text[:1].isupper() and text.endswith("."))


def _is_label(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.keyword)
        and node.arg in {"label", "title", "happened", "kept", "do"}
        and isinstance(node.value, ast.Constant | ast.JoinedStr)
    )


PROGRAMS = {
    "; the reply is on the session's page",  # ends reasons in rows, and is cut off when told
    " permissions are not known",
    "the agent's events ended without an end",
    "the lease ran out",
    "claimed by another worker",
    "this channel is not greeted yet: ",
    "it is just being greeted",
    "nothing was accepted",
    "deliver it again",
    "Choice | None",
    "Place | Level | None",
    "Command failed: podman",
    "exit status ",
    "no room",
    "the machine",  # of its own words, which are quoted
    "ona",
    *("run", "drop", "wait"),  # what is to be done with an event
    *commands.ALONE,
}
"""Texts for programs and logs, names, and what people say to us."""
SCRIPTS = ("set -eu", "umask ", "test -e ", "[remote ", "# v2 git bundle")
SCRIPTS += ("SELECT ", "CASE WHEN ", "CAST(", "build.state = ", "revoked_at IS NULL ")
"""How texts for a shell, git and PostgreSQL begin."""
SILENT = {"text", "load", "compile", "ValueError", "TypeError", "RuntimeError", "AssertionError"}
SILENT |= {"LeaseLost", "NoGrants"}


def _silent(tree: ast.AST) -> Iterator[ast.AST]:
    """What has texts that are marked, or that are read by programs and operators."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = _name(node.func)
            logs = isinstance(node.func, ast.Attribute) and _name(node.func.value) == "log"
            if name in CALLS or name in SILENT or logs:
                yield node
        elif isinstance(node, ast.ClassDef):
            if any(_name(base) == "Enum" for base in node.bases):
                yield node
        elif isinstance(node, ast.keyword) and node.arg == "says":
            yield node


def _docstrings(tree: ast.AST) -> set[int]:
    """Texts that are statements of their own."""
    return {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _name(node.func) in CALLS:
            yield node


def _ids(call: ast.Call) -> Id:
    """The ids that a call marks; of one that says what a name holds there are none."""
    texts = [one.value for one in call.args if isinstance(one, ast.Constant)]
    return tuple(str(one) for one in texts[: CALLS[_name(call.func)]])


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")


def test_a_message_is_said_again_in_another_language():
    why = _("none is free")
    said = _("{step}, place {place} in the line: {why}.", step="Warten", place=3, why=why)
    assert said == "Warten, place 3 in the line: none is free."
    stored = kept(said)
    with speaking("de"):
        assert again(stored) == "Warten, Platz 3 in der Reihe: keine ist frei."
        assert in_source(again(stored)) == said
    assert again(stored) == said


def test_plurals_and_numbers_follow_the_language():
    with speaking("de"):
        assert [prompts(0), prompts(1), prompts(2)] == ["0 Aufträge", "1 Auftrag", "2 Aufträge"]
        assert duration(0.3) == "0,3 s"
        assert again(kept(ngettext("{count} prompt", "{count} prompts", 1))) == "1 Auftrag"
    assert duration(0.3) == "0.3 s"


def test_moments_are_shown_in_the_reader_s_zone():
    at = datetime(2026, 7, 31, 12, 30, tzinfo=UTC)
    said = _("Answer in this thread until {moment}.", moment=at)
    assert said == "Answer in this thread until 2026-07-31 12:30 UTC."
    with speaking("de", "Europe/Berlin"):
        assert again(kept(said)) == "Antworte in diesem Thread bis 2026-07-31 14:30 CEST."
        assert moment(at) == "2026-07-31 14:30 CEST"


def test_a_moment_keeps_its_zone_unless_the_surface_shows_readers_their_own():
    at = datetime(2026, 7, 31, 12, 30, tzinfo=UTC)
    with speaking("en", "America/New_York"):
        told = _("I say it again at {at}.", at=moment(at))
    assert told == "I say it again at 2026-07-31 08:30 EDT."
    stored = json.loads(json.dumps(kept(told)))
    with speaking("de", "Europe/Berlin"):
        assert again(stored) == "Ich sage es um 2026-07-31 08:30 EDT noch einmal."
    with speaking("en", "Europe/Berlin", absolute=True):
        assert again(stored) == "I say it again at 2026-07-31 12:30 UTC."
        with speaking("en", "Asia/Tokyo"):
            assert moment(at) == "2026-07-31 12:30 UTC", "the surface is the same"
    assert in_source(told) == "I say it again at 2026-07-31 12:30 UTC."


def test_words_of_others_are_never_a_template():
    said = _("Error: {text}", text="{count} {0} {}")
    assert said == "Error: {count} {0} {}"
    assert again(kept(said)) == said
    assert _("{not} a {message} of ours") == "{not} a {message} of ours"
    assert together("{a}", _("Accepted."), by="; ") == "{a}; Accepted."


def test_several_are_said_together():
    one, two = _("Accepted."), _("Stopping.")
    stored = kept(together(one, two))
    assert together(one, two) == "Accepted. Stopping."
    assert listing([1, 2, 3]) == "1 and 2 and 3"
    with speaking("de"):
        assert again(stored) == "Angenommen. Wird gestoppt."
        assert _(one) == "Angenommen."


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (("de-AT",), "de"),
        (("de_CH",), "de"),
        (("DE",), "de"),
        (("de-1996",), "de"),
        (("xx-XX", "de"), "de"),
        ((None, ""), "en"),
        (("pt-BR",), "en"),
        (("en-GB", "de"), "en"),
        (("../../etc/passwd",), "en"),
    ],
)
def test_the_nearest_language_is_spoken(wanted, found):
    assert nearest(*wanted) == found


def test_what_adapters_say_is_in_the_catalogue():
    assert {(words,) for words in OF_ADAPTERS} <= extracted()
    assert (NOT_HERE, *OF_FORM) == on_slack.OF_ADAPTERS
    assert (SENT, *OF_COMMANDS) == on_discord.OF_ADAPTERS
    assert on_github.OF_ADAPTERS == OF_CHECK
    assert on_gitlab.OF_ADAPTERS == OF_STATUS
    kinds = [one for one in vars(errors).values() if isinstance(one, type)]
    assert {one.do for one in kinds if issubclass(one, errors.VaultError)} == set(OF_VAULT)


def test_a_message_is_text():
    assert isinstance(_("Accepted."), Message)
    assert isinstance(_("Accepted."), str)
    assert _("") == ""
