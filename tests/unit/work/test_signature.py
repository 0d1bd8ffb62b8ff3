"""Who made a commit, as git is told."""

import uuid

import pytest

from bot.work.signature import ForgeAccount, author, environment, message

ANN = uuid.UUID(int=7)


@pytest.mark.parametrize(
    ("account", "email"),
    [
        (None, f"{ANN}@ona.invalid"),
        (("github", "github.com", "42", "ann"), "42+ann@users.noreply.github.com"),
        (("github", "git.acme.example", "42", "ann"), "ann@users.noreply.git.acme.example"),
        (("gitlab", "gitlab.com", "42", "ann"), "42-ann@users.noreply.gitlab.com"),
        (("github", "github.com", "42", "a n>n\n"), "42+a-n-n-@users.noreply.github.com"),
    ],
)
def test_the_address_leads_to_the_account_where_there_is_one(
    account: tuple[str, str, str, str] | None, email: str
) -> None:
    known = account and ForgeAccount(
        surface=account[0], host=account[1], id=account[2], login=account[3]
    )
    assert author(ANN, "Ann", known, email_domain="ona.invalid").email == email


@pytest.mark.parametrize(
    ("name", "shown"),
    [("Ann Lee", "Ann Lee"), ("Ann <x@y>\nEve", "Ann x@y Eve"), ("<>", "ona"), ("", "ona")],
)
def test_a_name_is_one_that_git_takes(name: str, shown: str) -> None:
    by = author(ANN, name, None, email_domain="ona.invalid")
    assert by.name == shown
    signed = environment(by, email_domain="ona.invalid")
    assert signed["GIT_AUTHOR_NAME"] == shown
    assert signed["GIT_COMMITTER_EMAIL"] == "ona@ona.invalid"


@pytest.mark.parametrize(
    ("prompt", "title", "subject"),
    [
        ("fix the *flaky* test", "A title", "fix the flaky test"),
        ("```\n```", "A title", "A title"),
        ("", "", "Work of session s-1"),
        ("word " * 40, "", None),
    ],
)
def test_a_message_says_what_was_asked_and_who_helped(
    prompt: str, title: str, subject: str | None
) -> None:
    said = message(prompt, title=title, agent="codex", short="s-1", email_domain="ona.invalid")
    first, blank, *trailers = said.splitlines()
    assert len(first) <= 72
    assert subject in (None, first)
    assert blank == ""
    assert trailers == ["Ona-Session: s-1", "Co-authored-by: Codex <noreply@openai.com>"]


def test_an_agent_that_is_not_known_has_an_address_of_ours() -> None:
    said = message("x", title="", agent="my agent", short="s-1", email_domain="ona.invalid")
    assert said.endswith("Co-authored-by: my agent <my-agent@ona.invalid>\n")
