"""Which tests a turn ran and how they ended, by what its agent did with tools; pure."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.words.failing import LEFT_OUT, failing_lines
from bot.words.plain import settled

COMMANDS_MAX = 3
"""That an outcome tells of."""
COMMAND_LENGTH_MAX = 200
LINES_MAX = 10
_RUNNERS = (
    r"(?:pytest|py\.test|tox|nox|unittest|vitest|jest|mocha|rspec|phpunit|ctest|bats|go test|go vet"
    r"|cargo (?:test|nextest)|dotnet test|(?:npm|pnpm|yarn|bun)(?: run)?(?: \S+)? test\S*"
    r"|make (?:test|check)\S*|mvn\b.*\b(?:test|verify)|gradlew?\b.*\b(?:test|check))(?![\w.-])"
)
_BEFORE = (
    r"(?>(?:\w+=\S*|-\S+|\d+\w*|(?:\S*/)?(?:time|nice|sudo|env|timeout|xvfb-run|npx|bunx|uvx?|run|poetry"
    r"|pipenv|hatch|pdm|bundle|exec|coverage|python[\d.]*|(?:ba|z|da)?sh))(?=\s))\s++"
)
"""What may stand before a runner: variables, options, and programs that run another one."""
_TEST = re.compile(
    rf"[\s`'\"(]*(?:(?:docker|podman|kubectl)\b.*\s)?(?:{_BEFORE})*+[`'\"(]*(?:\S*/)?{_RUNNERS}",
    re.IGNORECASE,
)
_NEXT = re.compile(r"&&|\|\||(?<![<>])&(?!>)|[|;\n]")
"""Between the commands of a line; not in `2>&1`."""
_HIDES = re.compile(r"\|\||(?<![<>&])&(?![>&])|[|;\n]")
"""After what was run before it, a status says nothing of that."""
_FAILED = re.compile(
    r"\b(?i:[1-9]\d* (?:failed|failures?|errors?)\b|fail(?:ed|ures?|s)?[:=] ?[1-9])"
    r"|^(?:FAILED|FAIL)\b|^\s*--- FAIL|^not ok\b",
    re.MULTILINE,
)
_PASSED = re.compile(
    r"\b[1-9]\d* (?:passed|passing|tests? pass)|\btest result: ok\b|^ok\b|^PASS\b|^OK\b",
    re.MULTILINE,
)


@dataclass(frozen=True, kw_only=True)
class Ran:
    """Something that the agent did with a tool."""

    title: str
    status: str
    """`completed`, `failed`, …"""
    command: str = ""
    exit_status: int | None = None
    output: str = ""
    """The end of what it wrote."""

    @property
    def said(self) -> str:
        """What it ran; what it did, where its agent names no command."""
        return self.command or self.title

    @property
    def name(self) -> str:
        """The same on one line, as it stands between backticks."""
        line = " ".join(settled(self.said).split()).strip("`").replace("`", "'")
        too_long = len(line) > COMMAND_LENGTH_MAX
        return line[:COMMAND_LENGTH_MAX] + LEFT_OUT if too_long else line


def is_test(said: str) -> bool:
    """Whether a command looks like one of tests."""
    return any(_TEST.match(one) for one in _NEXT.split(said))


def ran_tests(tools: Sequence[Ran], *, most: int) -> Sequence[Ran]:
    """The last run of each command that looks like one of tests, in the order of these runs."""
    found: dict[str, Ran] = {}
    for one in tools:
        if is_test(one.said):
            found.pop(one.name, None)
            found[one.name] = one
    return list(found.values())[-most:]


def passed(ran: Ran) -> bool | None:
    """Whether these tests passed; None: nothing tells.

    A status that is good says nothing where another command follows, such as `| tail`: then what
    was written decides.
    """
    known = ran.exit_status is not None
    if ran.exit_status if known else ran.status == "failed":
        return False
    if not known and ran.status != "completed":
        return None
    if not _is_hidden(ran.said):
        return True
    if _FAILED.search(ran.output):
        return False
    return True if _PASSED.search(ran.output) else None


def told(tools: Sequence[Ran], is_secret: Callable[[str], bool]) -> Sequence[Mapping[str, Any]]:
    """As an outcome keeps it: which commands, whether they passed, the lines that say why not.

    :param is_secret: lines and commands for which it holds are left out
    """
    return [
        {
            "command": LEFT_OUT if is_secret(one.said) else one.name,
            "passed": (good := passed(one)),
            "failing": _failing(one, is_secret) if good is False else "",
        }
        for one in ran_tests(tools, most=COMMANDS_MAX)
    ]


def _failing(ran: Ran, is_secret: Callable[[str], bool]) -> str:
    return failing_lines(ran.output, lines_max=LINES_MAX, is_secret=is_secret)


def _is_hidden(said: str) -> bool:
    """Whether something comes after the tests that decides about the status instead of them."""
    said = said.strip().strip("`")
    if "pipefail" in said:
        return False
    at, last = 0, 0
    for part in _NEXT.finditer(said + "\n"):
        if _TEST.match(said[at : part.start()]):
            last = part.start()
        at = part.end()
    return _HIDES.search(said[last:]) is not None
