"""What the reference program said, as it is read."""

import pytest

from bot.work.container import Containers, answer_of, environment_of, fixed_parts, why_failed
from vmpool.command import STDERR_BYTES_MAX

DENIED = (
    'Error: initializing source docker://other.test/base:1: Get "https://other.test/v2/": '
    "other.test:443 is not allowed: no line of the policy names it; a line `allow other.test` in "
    "the project's policy would allow it.\n"
)
QUIET = (
    "[2026-01-01T00:00:00Z] Failed to fetch: HTTP 403: containers.dev:443 is not allowed: no "
    "line of the policy names it; a line `allow containers.dev` in the project's policy would "
    "allow it.\n"
)


@pytest.mark.parametrize(
    ("stdout", "answer"),
    [
        (b'{"outcome": "success"}\n', {"outcome": "success"}),
        (b'noise\n{"outcome": "error"}\n[]\n7\n{', {"outcome": "error"}),
        (b"\xff\n", {}),
        (b"", {}),
    ],
)
def test_the_answer_is_the_last_line_that_is_an_object(stdout, answer):
    assert answer_of(stdout) == answer


@pytest.mark.parametrize(
    ("said", "answer", "why"),
    [
        (
            QUIET + DENIED,
            {},
            "other.test:443 is not allowed: no line of the policy names it; a line `allow "
            "other.test` in the project's policy would allow it",
        ),
        (
            QUIET + '[2026-01-01T00:00:00Z] Error: building at STEP "RUN false": exit status 1\n'
            "Error: Command failed: podman build -f x\n",
            {"description": "An error occurred building the image."},
            'Error: building at STEP "RUN false": exit status 1',
        ),
        (QUIET, {"message": "short", "description": "An error."}, "An error."),
        ("", {"message": "short"}, "short"),
        ("", {}, "the reference program ended without a word"),
        ("Error: " + "x" * 9000, {}, "Error: " + "x" * 393),
    ],
)
def test_why_it_failed_is_what_policy_refused_or_the_last_error(said, answer, why):
    assert why_failed(answer, said) == why


def test_the_environment_is_the_shells_with_what_the_file_adds_and_takes_away():
    probed = b"welcome\n\0\0PATH=/usr/bin\0HOME=/root\0A=1\nB=2\0GONE=x\0PWD=/\0_=env\0"
    assert environment_of(probed, {"GONE": None, "MORE": 7}) == {
        "PATH": "/usr/bin:/opt/ona/bin",
        "HOME": "/root",
        "A": "1\nB=2",
        "MORE": "7",
    }
    assert environment_of(b"", {}) == {"PATH": "/usr/local/bin:/usr/bin:/bin:/opt/ona/bin"}


@pytest.mark.parametrize(
    ("globs", "parts"),
    [
        ([".claude/projects/**"], [".claude/projects"]),
        ([".local/share/opencode/**", ".a/*/b/c"], [".local/share/opencode", ".a"]),
        (["*.json", "../x/y", "one"], []),
    ],
)
def test_what_is_kept_of_agents_are_directories_without_wildcards(globs, parts):
    assert fixed_parts(globs) == parts


@pytest.mark.parametrize("unit", [":", "x", "x:1", "x:1 is not allowed", " ", "[", "\n"])
def test_why_it_failed_is_told_of_as_much_as_is_kept_of_what_was_said(unit):
    said = unit * (STDERR_BYTES_MAX // len(unit)) + " " + DENIED
    assert why_failed({}, said).startswith("other.test:443 is not allowed")


def test_the_gateway_and_what_the_settings_name_are_asked_without_tls():
    made = Containers(seconds_max=60, plain_http=["registry.test:5000"])
    assert made.without_tls == ("gateway.ona", "registry.test:5000")
