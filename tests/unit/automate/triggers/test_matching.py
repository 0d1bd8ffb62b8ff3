"""Which triggers are about what happened in a repository, and what is kept of it."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from adapters.chat.incoming import Author, Happened
from bot.automate.definition import CiFailed, Cron, IssueLabelled, PullRequestTrigger, Push
from bot.automate.triggers.matching import Match, about, facts, matches

NOW = datetime(2026, 11, 28, 12, 0, 0, 500_000, tzinfo=UTC)
ANN = Author(account="github.com", id="7", name="ann")
BOT = Author(account="github.com", id="9", name="renovate[bot]", standing="bot")
GUEST = Author(account="github.com", id="8", name="gus", standing="stranger")
PULL = Happened(
    surface="github",
    delivery="d",
    key="pull_request/12/opened",
    kind="pull_request",
    action="opened",
    repository="acme/shop",
    url="https://github.com/acme/shop.git",
    author=ANN,
    opened_by="ann",
    number=12,
    title="Mend it",
    branch="work",
    base="main",
    default_branch="main",
    commit="a" * 40,
    labels=("Bug",),
    at=NOW,
)
PUSH = replace(
    PULL, kind="push", action="", number=0, branch="main", base="", key="push/main/0..a", labels=()
)
RED = replace(PUSH, kind="ci_failed", author=None, key="ci/a/check/1", detail="unit")
ISSUE = replace(PULL, kind="issue_labelled", action="", branch="", base="", detail="Bug")
ALL = ("opened", "updated", "ready", "approved", "merged", "closed", "review_requested")


def on(*actions, **more):
    return PullRequestTrigger(pull_request=actions or ALL, **more)


def push(*branches):
    return Push(push={"branches": branches})


def red(*branches):
    return CiFailed(ci_failed={"branches": branches})


def changed(of=PULL, **more):
    return replace(of, **more)


ASKED, KNOWN = Match(ask=ANN), Match()


@pytest.mark.parametrize(
    ("trigger", "happened", "expected"),
    [
        (on(), PULL, ASKED),
        (on("merged"), PULL, "action"),
        (on("opened"), PUSH, "kind"),
        (Cron(cron="0 9 * * *"), PULL, "kind"),
        (push(), PULL, "kind"),
        # Branches that it is to be merged into.
        (on(branches=("main",)), PULL, ASKED),
        (on(branches=("release/*", "ma*")), PULL, ASKED),
        (on(branches=("release/*",)), PULL, "branch"),
        (on(branches=("work",)), PULL, "branch"),
        (on(branches=("release/*",)), changed(base="release/1/2"), ASKED),
        (on(branches=("MAIN",)), PULL, "branch"),
        # Labels and drafts.
        (on(labels=("bug", "other")), PULL, ASKED),
        (on(labels=("other",)), PULL, "label"),
        (on(labels=("bug",)), changed(labels=()), "label"),
        (on(), changed(draft=True), "draft"),
        (on(drafts=True), changed(draft=True), ASKED),
        # Who opened it, and who did something to it.
        (on(authors=("Ann",)), PULL, ASKED),
        (on(authors=("bo",)), PULL, "author"),
        (on(authors=("bo",)), changed(opened_by="bo"), ASKED),
        (on(), changed(author=BOT), "bot"),
        (on(authors=("renovate[bot]",)), changed(author=BOT, opened_by="renovate[bot]"), KNOWN),
        (on(), changed(author=BOT, by_us=True), KNOWN),
        (on(), changed(author=GUEST), "author"),
        (on(), changed(author=None), "author"),
        # What takes the right to write needs no asking.
        (on(), changed(action="updated", author=None), KNOWN),
        (on(), changed(action="merged", author=None), KNOWN),
        (on(), changed(action="approved", author=None), "author"),
        (on(), changed(action="closed"), ASKED),
        # Forks.
        (on(), changed(foreign=True), "foreign"),
        (on(), changed(foreign=True, action="merged"), "foreign"),
        (red("*"), changed(RED, foreign=True), "foreign"),
        # Pushes and failures: the default branch, unless others are named.
        (push(), PUSH, KNOWN),
        (push(), changed(PUSH, branch="work"), "branch"),
        (push("work", "hot*"), PUSH, "branch"),
        (push("work", "hot*"), changed(PUSH, branch="hotfix"), KNOWN),
        (push(), changed(PUSH, branch="trunk", default_branch="trunk"), KNOWN),
        (push(), changed(PUSH, author=BOT), KNOWN),
        (push(), changed(PUSH, branch="", default_branch=""), "branch"),
        (red(), RED, KNOWN),
        (red(), changed(RED, branch="work"), "branch"),
        (red("*"), changed(RED, branch="work"), KNOWN),
        (red("*"), changed(RED, branch=""), "branch"),
        (red(), PUSH, "kind"),
        # Labels of issues.
        (IssueLabelled(issue_labelled=("bug",)), ISSUE, ASKED),
        (IssueLabelled(issue_labelled=("fix me", "bug")), ISSUE, ASKED),
        (IssueLabelled(issue_labelled=("other",)), ISSUE, "label"),
        (IssueLabelled(issue_labelled=("bug",)), changed(ISSUE, author=BOT), "bot"),
        (IssueLabelled(issue_labelled=("bug",)), changed(ISSUE, author=BOT, by_us=True), KNOWN),
    ],
)
def test_what_a_trigger_is_about(trigger, happened, expected):
    assert matches(trigger, happened, since=NOW - timedelta(hours=1)) == expected


def test_what_happened_before_a_trigger_counted_is_nothing_to_it():
    assert matches(on(), PULL, since=NOW + timedelta(seconds=1)) == "older"
    whole = changed(at=NOW.replace(microsecond=0))
    assert matches(on(), whole, since=NOW) == ASKED, "a forge may tell whole seconds alone"


def test_what_events_have_in_common():
    assert about(PULL) == about(changed(action="updated")) == "github:acme/shop#12"
    assert about(PUSH) == about(RED) == "github:acme/shop@main"


def test_facts_are_json_and_say_what_strangers_wrote():
    said = json.loads(json.dumps(facts(PULL)))
    assert said["number"] == 12
    assert said["author"] == "ann"
    assert said["untrusted"] == ["title", "branch", "labels"]
    assert "base" not in facts(PUSH)
