"""The words of a pull request: what, why, how it was tested, and the way back; pure.

They are in English, as commits are, whatever language its asker reads; the agent's own words are
in the language that it chose. The repository's template is kept: what fits a heading of it stands
there, the rest comes before.

What people and agents said is shown, and does nothing: no command of the code host, no mention of
a person, no comment that is hidden, no picture that is fetched.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from adapters.forge.markdown import WORD_JOINER
from bot.words.plain import settled

WHAT_CHARACTERS_MAX = 8_000
ASKED_CHARACTERS_MAX = 2_000
BODY_CHARACTERS_MAX = 60_000
TITLE_CHARACTERS_MAX = 200
TESTED_MAX = 10
TEMPLATE_NAMES: Mapping[str, Sequence[str]] = {
    "github": (
        ".github/pull_request_template.md",
        ".github/PULL_REQUEST_TEMPLATE.md",
        "pull_request_template.md",
        "PULL_REQUEST_TEMPLATE.md",
        "docs/pull_request_template.md",
        "docs/PULL_REQUEST_TEMPLATE.md",
    ),
    "gitlab": (
        ".gitlab/merge_request_templates/Default.md",
        ".gitlab/merge_request_templates/default.md",
    ),
}
"""Where a repository keeps its template, by surface, in the order in which they are looked for."""
WHAT, WHY, TESTED = "What", "Why", "How it was tested"
_FITS: Mapping[str, re.Pattern[str]] = {
    TESTED: re.compile(r"test|verif|check(?:ed)? it|qa\b", re.IGNORECASE),
    WHY: re.compile(r"why|motivation|context|reason|background|problem", re.IGNORECASE),
    WHAT: re.compile(r"what|summary|description|overview|changes?\b|about", re.IGNORECASE),
}
"""Which headings of a template each part fits; looked at in this order."""
_HEADING = re.compile(r"^#{1,6}[ \t]+(?P<words>.+?)[ \t]*#*$")
_TESTS = re.compile(
    r"\b(?:pytest|tox|nox|unittest|vitest|jest|mocha|rspec|phpunit|ctest|bats|go test|go vet"
    r"|cargo (?:test|nextest)|dotnet test|(?:npm|pnpm|yarn|bun)(?: run)?(?: \S+)? test\S*"
    r"|make (?:test|check)\S*|mvn\b.*\b(?:test|verify)|gradlew?\b.*\b(?:test|check))\b",
    re.IGNORECASE,
)
_HIDDEN = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_COMMAND = re.compile(r"^([ \t]*)/", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Ran:
    """Something that the agent did with a tool."""

    title: str
    status: str
    """`completed`, `failed`, …"""


@dataclass(frozen=True, kw_only=True)
class Story:
    """What is told."""

    what: str
    """The agent's last words."""
    asked: str
    """The prompt."""
    by: str
    """Who asked."""
    agent: str
    short: str
    """Of the session."""
    tools: Sequence[Ran] = ()
    link: str = ""
    """Of the session's page; empty: people can't reach it."""
    by_us: bool = True
    """We open it, and say for whom."""


def title_of(title: str) -> str:
    """A pull request's title, on one line."""
    return _tame(" ".join(settled(title).split()))[:TITLE_CHARACTERS_MAX] or "Changes"


def wished(body: str, story: Story) -> str:
    """The text of a pull request as the agent wished it, signed as every other."""
    return f"{_tame(body).strip()[:BODY_CHARACTERS_MAX]}\n\n---\n{_signed(story)}\n"


def body_of(story: Story, template: str = "") -> str:
    """The text of a pull request."""
    parts = {
        WHAT: _tame(story.what).strip()[:WHAT_CHARACTERS_MAX] or "See the commits.",
        WHY: _why(story),
        TESTED: _tested(story.tools),
    }
    filled, left = _filled(template.replace("\r\n", "\n"), parts)
    written = [f"## {name}\n\n{said}" for name, said in left.items()]
    whole = "\n\n".join([*written, *([filled] if filled else [])])
    return f"{whole[:BODY_CHARACTERS_MAX]}\n\n---\n{_signed(story)}\n"


def ran_tests(tools: Sequence[Ran]) -> Sequence[Ran]:
    """The last run of each command that looks like one of tests."""
    found = {one.title: one for one in tools if _TESTS.search(one.title)}
    return list(found.values())[-TESTED_MAX:]


def _why(story: Story) -> str:
    asked = _tame(story.asked).strip()[:ASKED_CHARACTERS_MAX]
    quoted = "\n".join(f"> {line}".rstrip() for line in asked.splitlines())
    return f"{_inline(story.by)} asked:\n\n{quoted}"


def _tested(tools: Sequence[Ran]) -> str:
    tests = ran_tests(tools)
    if not tests:
        return "No test was seen to run in this turn."
    return "\n".join(f"- `{_code(one.title)}`: {_inline(one.status)}" for one in tests)


def _signed(story: Story) -> str:
    session = f"[{story.short}]({story.link})" if story.link else story.short
    opened = f"Opened by ona for {_inline(story.by)}" if story.by_us else "Made with ona"
    return f"{opened}, with {_inline(story.agent)}, in session {session}."


def _filled(template: str, parts: Mapping[str, str]) -> tuple[str, Mapping[str, str]]:
    """The template with what fits its headings, and the parts that fit none."""
    left, lines = dict(parts), []
    for line in template.strip().splitlines():
        lines.append(line)
        heading = _HEADING.match(line)
        name = _fit(heading["words"], left) if heading else None
        if name is not None:
            lines += ["", left.pop(name)]
    return "\n".join(lines), left


def _fit(heading: str, left: Mapping[str, str]) -> str | None:
    return next(
        (name for name, words in _FITS.items() if name in left and words.search(heading)), None
    )


def _tame(text: str) -> str:
    """Markdown that may look as it likes, and does nothing."""
    text = _HIDDEN.sub("", settled(text))
    text = text.replace("@", f"@{WORD_JOINER}").replace("![", "[")
    return _COMMAND.sub(rf"\1{WORD_JOINER}/", text)


def _inline(text: str) -> str:
    """Words of one line that are no markup."""
    line = " ".join(_tame(text).split())
    return re.sub(r"([\\`*_\[\]<>|])", r"\\\1", line)


def _code(text: str) -> str:
    return " ".join(settled(text).split()).replace("`", "'")
