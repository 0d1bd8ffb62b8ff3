"""What becomes of a turn's work."""

from dataclasses import replace

import pytest

from adapters.forge.port import PullRequest
from bot.govern.policy_text import Delivery
from bot.work.delivering import (
    Change,
    ChangedFile,
    Leak,
    aside,
    concerns,
    is_protected,
    landing,
    newest,
    request,
    shown,
    turned,
)
from vmpool.network.forge.pushing import ZERO

A, B, C = "a" * 40, "b" * 40, "c" * 40


@pytest.mark.parametrize(
    ("pattern", "path", "is_one"),
    [
        (".github/workflows/**", ".github/workflows/ci.yml", True),
        (".github/workflows/**", ".github/workflows/deep/ci.yml", True),
        (".github/workflows/**", ".github/dependabot.yml", False),
        (".github/workflows/**", "sub/.github/workflows/ci.yml", False),
        (".gitlab-ci.yml", ".gitlab-ci.yml", True),
        (".gitlab-ci.yml", "sub/.gitlab-ci.yml", True),
        ("*.pem", "deploy/keys/a.pem", True),
        ("deploy/", "deploy/a/b", True),
        ("deploy/", "sub/deploy/a", True),
        ("deploy/*", "deploy/a", True),
        ("deploy/*", "deploy/a/b", False),
        ("**/secrets/**", "a/b/secrets/c", True),
        ("**/secrets/**", "secrets/c", True),
        ("a?c/x", "abc/x", True),
        ("a.c/x", "abc/x", False),
    ],
)
def test_a_pattern_means_paths_as_in_gitignore(pattern: str, path: str, is_one: bool) -> None:
    assert is_protected(path, (pattern,)) is is_one


def kinds(change: Change, **policy) -> list[str]:
    return [one.kind for one in concerns(change, Delivery(**policy))]


def test_each_concern_is_found_and_the_gravest_first() -> None:
    files = [ChangedFile(path=".gitlab-ci.yml", insertions=3), ChangedFile(path="a", deletions=3)]
    leak = Leak(path="a", line=7, kind="token")
    assert kinds(Change(files=files)) == ["protected"]
    assert kinds(Change(files=files[1:])) == []
    assert kinds(Change(files=files[1:], leaks=[leak])) == ["secrets"]
    assert kinds(Change(files=files, leaks=[leak]), lines_max=5) == ["secrets", "protected", "size"]
    assert kinds(Change(files=files), protected=(), lines_max=6) == []
    assert kinds(Change(files=files), protected=(), files_max=1) == ["size"]
    assert kinds(Change(files=files, is_whole=False), protected=()) == ["size"]
    (found,) = concerns(Change(leaks=[leak]), Delivery())
    assert list(found.about) == ["a:7 (token)"]


@pytest.mark.parametrize(
    ("there", "seen", "contains", "step"),
    [
        (A, ZERO, False, "there"),
        (ZERO, ZERO, False, "push"),
        (ZERO, B, False, "push"),
        (B, B, False, "push"),
        (B, B, True, "push"),
        (C, B, True, "push"),
        (C, B, False, "moved"),
        (C, ZERO, False, "moved"),
    ],
)
def test_a_branch_is_moved_only_where_nothing_is_lost(
    there: str, seen: str, contains: bool, step: str
) -> None:
    assert landing(head=A, there=there, seen=seen, contains_there=contains) == step


def test_the_branch_beside_is_the_next_free_one() -> None:
    assert aside("ona/s-7f3k", []) == "ona/s-7f3k-2"
    assert aside("ona/s-7f3k", ["ona/s-7f3k-2", "ona/s-7f3k-3"]) == "ona/s-7f3k-4"
    assert aside("ona/s-7f3k-2", ["ona/s-7f3k-2"]) == "ona/s-7f3k-3"


def pull(state: str) -> PullRequest:
    return PullRequest(
        number=1,
        url="https://x/1",
        state=state,  # type: ignore[arg-type]
        draft=False,
        head="ona/s-1",
        base="main",
        author="ona[bot]",
        place="a/b#1",
    )


@pytest.mark.parametrize(
    ("found", "mode", "step"),
    [
        (None, "pull-request", "open"),
        ("open", "pull-request", "keep"),
        ("merged", "pull-request", "open"),
        ("closed", "pull-request", "open"),
        (None, "branch", "none"),
        ("open", "branch", "none"),
    ],
)
def test_a_branch_has_one_open_pull_request(found: str | None, mode: str, step: str) -> None:
    known = None if found is None else pull(found)
    assert request(known, Delivery(mode=mode)) == step


@pytest.mark.parametrize(
    ("is_draft", "wished", "wants_drafts", "turned_to"),
    [
        (True, False, False, False),
        (True, False, True, None),
        (False, True, False, True),
        (False, True, True, True),
        (True, None, False, None),
        (False, None, True, None),
        (True, True, False, None),
        (False, False, True, None),
    ],
)
def test_an_agent_says_ready_only_where_the_policy_wants_no_drafts(
    is_draft: bool, wished: bool | None, wants_drafts: bool, turned_to: bool | None
) -> None:
    found = replace(pull("open"), draft=is_draft)
    assert turned(found, wished, Delivery(draft=wants_drafts)) is turned_to


def test_many_paths_are_counted() -> None:
    assert shown(["a", "b"]) == "a, b"
    assert shown([str(n) for n in range(8)]) == "0, 1, 2, 3, 4 (+3)"


def test_a_session_goes_on_where_it_went_last() -> None:
    refs = ["refs/heads/ona/s-1", "refs/heads/ona/s-1-x", "refs/heads/ona/s-12-9"]
    assert newest("ona/s-1", []) == "ona/s-1"
    assert newest("ona/s-1", refs) == "ona/s-1"
    assert newest("ona/s-1", [*refs, "refs/heads/ona/s-1-2", "refs/heads/ona/s-1-10"]) == (
        "ona/s-1-10"
    )
