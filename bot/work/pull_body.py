"""The words of a pull request: what, why, how it was tested, and the way back; pure.

Each turn that is delivered renews them, as far as nobody else has edited them (`pull_marks`). They
are in English, as commits are, whatever language its asker reads; the agent's own words are
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
from bot.work import pull_marks
from bot.work.pull_marks import marked
from bot.work.tested import Ran, passed, ran_tests

WHAT_CHARACTERS_MAX = 8_000
ASKED_CHARACTERS_MAX = 2_000
BODY_CHARACTERS_MAX = 60_000
TITLE_CHARACTERS_MAX = 200
TESTED_MAX = 10
PICTURES_MAX = 10
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
BODY, SINCE, PICTURES, WITH = "body", "since", "pictures", "with"
"""What the agent wished the text to say, what turns did since then, what they showed, and what it
goes with."""
MARKS: Mapping[str, str] = {WHAT: "what", WHY: "why", TESTED: "tested"}
_FITS: Mapping[str, re.Pattern[str]] = {
    TESTED: re.compile(r"test|verif|check(?:ed)? it|qa\b", re.IGNORECASE),
    WHY: re.compile(r"why|motivation|context|reason|background|problem", re.IGNORECASE),
    WHAT: re.compile(r"what|summary|description|overview|changes?\b|about", re.IGNORECASE),
}
"""Which headings of a template each part fits; looked at in this order."""
_ENDED = {True: "passed", False: "failed", None: "ran"}
_HEADING = re.compile(r"^#{1,6}[ \t]+(?P<words>.+?)[ \t]*#*$")
_HIDDEN = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_PICTURE = re.compile(r"!+\[")
_FETCHES = re.compile(
    r"<(?=!--|/?(?:img|image|picture|source|video|audio|svg|object|embed|iframe)\b)", re.IGNORECASE
)
"""What begins a tag that code hosts load something for, or a comment that was put together by
taking another one out of it."""
_COMMAND = re.compile(r"^([ \t]*)/", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Picture:
    """Something that the agent showed."""

    name: str
    """Of its file on the session's page."""
    caption: str


@dataclass(frozen=True, kw_only=True)
class Did:
    """What one turn did."""

    what: str
    """The agent's last words."""
    asked: str
    """The prompt."""
    by: str
    """Who asked."""
    tools: Sequence[Ran] = ()
    pictures: Sequence[Picture] = ()


@dataclass(frozen=True, kw_only=True)
class Story(Did):
    """What is told: of a turn, and of those before it that went into the same pull request."""

    agent: str
    short: str
    """Of the session."""
    link: str = ""
    """Of the session's page; empty: people can't reach it."""
    by_us: bool = True
    """We open it, and say for whom."""
    linked: bool = False
    """Its session has several repositories, whose pull requests go together."""
    earlier: Sequence[Did] = ()

    @property
    def turns(self) -> Sequence[Did]:
        """All of them, the oldest first."""
        return (*self.earlier, self)


@dataclass(frozen=True, kw_only=True)
class Words:
    """What a pull request shall say from now on; None: what it says now."""

    title: str | None = None
    body: str | None = None


def title_of(title: str) -> str:
    """A pull request's title, on one line."""
    return _tame(" ".join(settled(title).split()))[:TITLE_CHARACTERS_MAX] or "Changes"


def wished(body: str, story: Story) -> str:
    """The text of a pull request as the agent wished it, signed as every other."""
    parts = (marked(BODY, _wish(body)), marked(SINCE, ""))
    return _ended(_joined(*parts), story)


def body_of(story: Story, template: str = "") -> str:
    """The text of a pull request."""
    parts = {name: marked(MARKS[name], said) for name, said in _parts(story).items()}
    filled, left = _filled(template.replace("\r\n", "\n"), parts)
    written = [f"## {name}\n\n{said}" for name, said in left.items()]
    whole = _joined(*written, *([filled] if filled else []))
    return _ended(whole[:BODY_CHARACTERS_MAX], story)


def linked(body: str, urls: Sequence[str]) -> str:
    """The text of a pull request that goes together with those at these addresses."""
    listed = "\n".join(f"- {url}" for url in urls)
    return pull_marks.renewed(body, {WITH: _joined("## Together with", listed) if urls else ""})


def again(
    now: Words,
    story: Story,
    *,
    wish: Words,
    changed: bool = True,
    since: Sequence[Did] | None = None,
) -> Words:
    """What an open pull request shall say after another turn.

    What somebody edited stays as it is: a title that is not ours any more, a part of the text, or
    all of it where the agent wishes another one.

    :param wish: of this turn's agent
    :param changed: the turn changed files
    :param since: turns since the agent wished the text; None: it never did, or does now
    """
    there = now.body or ""
    kept = pull_marks.ours(there)
    body = _wish(wish.body or "")
    title = None
    if wish.title and pull_marks.is_our_title(there, now.title or ""):
        title = title_of(wish.title)
    parts = {PICTURES: _pictures(story)}
    parts |= {MARKS[name]: said for name, said in _parts(story).items()} if changed else {}
    if body and body != kept.get(BODY):
        parts |= {BODY: body, SINCE: ""} if BODY in kept else {MARKS[WHAT]: body}
    elif since is not None:
        parts[SINCE] = _since(since)
    if body and BODY not in kept and pull_marks.is_whole(there):
        said = pull_marks.sealed(wished(body, story), title or now.title or "")
    else:
        said = pull_marks.renewed(there, parts, title)
    return Words(
        title=None if title == now.title else title,
        body=None if said.split() == there.split() else said,
    )


def _parts(story: Story) -> Mapping[str, str]:
    room = WHAT_CHARACTERS_MAX // len(story.turns)
    whats = (_tame(one.what).strip()[:room] for one in story.turns)
    tools = [ran for one in story.turns for ran in one.tools]
    return {
        WHAT: _joined(*(one for one in whats if one)) or "See the commits.",
        WHY: _joined(*(_why(one) for one in story.turns)),
        TESTED: _tested(tools),
    }


def _since(turns: Sequence[Did]) -> str:
    """What turns did after the agent had wished its text; empty: there are none."""
    if not turns:
        return ""
    room = WHAT_CHARACTERS_MAX // len(turns)
    told = [part for one in turns for part in (_why(one), _tame(one.what).strip()[:room]) if part]
    tools = [ran for one in turns for ran in one.tools]
    tests = [_tested(tools)] if ran_tests(tools, most=TESTED_MAX) else []
    return _joined("## Since then", *told, *tests)


def _pictures(story: Story) -> str:
    """Where they are to be seen; empty: there are none, or people can't reach them.

    A code host can't show them itself: who looks at one has to be signed in with us.
    """
    shown = [one for did in story.turns for one in did.pictures][-PICTURES_MAX:]
    if not shown or not story.link:
        return ""
    lines = (f"- [{_inline(one.caption)}]({story.link}/pictures/{one.name})" for one in shown)
    return _joined("## Pictures", "\n".join(lines))


def _wish(body: str) -> str:
    return _tame(body).strip()[:BODY_CHARACTERS_MAX]


def _ended(text: str, story: Story) -> str:
    parts = [text]
    parts += [marked(PICTURES, _pictures(story))] if story.link else []
    parts += [marked(WITH, "")] if story.linked else []
    return _joined(*parts, f"---\n{_signed(story)}\n")


def _joined(*parts: str) -> str:
    return "\n\n".join(parts)


def _why(did: Did) -> str:
    asked = _tame(did.asked).strip()[:ASKED_CHARACTERS_MAX]
    if not asked:
        return f"{_inline(did.by)} asked for it."
    quoted = "\n".join(f"> {line}".rstrip() for line in asked.splitlines())
    return f"{_inline(did.by)} asked:\n\n{quoted}"


def _tested(tools: Sequence[Ran]) -> str:
    tests = ran_tests(tools, most=TESTED_MAX)
    if not tests:
        return "No test was seen to run."
    return "\n".join(f"- `{_code(one.name)}`: {_ENDED[passed(one)]}" for one in tests)


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
    text = _FETCHES.sub(f"<{WORD_JOINER}", _HIDDEN.sub("", settled(text)))
    text = _PICTURE.sub("[", text.replace("@", f"@{WORD_JOINER}"))
    return _COMMAND.sub(rf"\1{WORD_JOINER}/", text)


def _inline(text: str) -> str:
    """Words of one line that are no markup."""
    line = " ".join(_tame(text).split())
    return re.sub(r"([\\`*_\[\]<>|])", r"\\\1", line)


def _code(text: str) -> str:
    shown = _FETCHES.sub(f"<{WORD_JOINER}", _HIDDEN.sub("", settled(text)))
    return " ".join(shown.split()).replace("`", "'")
