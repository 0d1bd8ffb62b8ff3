"""Lines that look like secrets, and those that do not."""

from collections.abc import Iterator

import pytest

from bot.work.diffs import AddedLine
from bot.work.secret_scan import LEAKS_MAX, LOOKED_MAX, found_in


def kinds(*texts: str) -> list[str]:
    lines = [AddedLine(path="a", number=n, text=text) for n, text in enumerate(texts, 1)]
    return [one.kind for one in found_in(lines).leaks]


@pytest.mark.parametrize(
    "text",
    [
        "token = 'ghp_" + "a1B2" * 9 + "'",
        "GITLAB=glpat-" + "x" * 20,
        "ANTHROPIC_API_KEY=sk-ant-" + "api03-" + "x" * 30,
        "aws_access_key_id = AKIA" + "ABCDEFGHIJKLMNOP",
        "-----BEGIN RSA PRIVATE KEY-----",
        "url: https://ann:hunter22@db.internal/x",
        "VAULT_TOKEN=hvs." + "x" * 24,
        "slack: xoxb-" + "1" * 12 + "-" + "2" * 12 + "-" + "a" * 24,
    ],
)
def test_credentials_are_found(text: str) -> None:
    assert len(kinds(text)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "password = os.environ['PASSWORD']",
        'password = "test"',
        "integrity sha512-" + "Zm9v" * 20,
        "commit 4b825dc642cb6eb9a060e54bf8d69288fbee4904",
        "https://user:password@example.com/x",
        "the prefix is glpat- and then some",
        "",
        "x" * 100_000,
    ],
)
def test_what_every_repository_is_full_of_is_not(text: str) -> None:
    assert kinds(text) == []


def test_where_it_stands_is_told_and_no_more_than_people_read() -> None:
    secret = "glpat-" + "x" * 20
    (found,) = found_in([AddedLine(path="src/a", number=7, text=secret)]).leaks
    assert (found.path, found.line, found.kind) == ("src/a", 7, "token")
    assert secret not in repr(found)
    many = [AddedLine(path="a", number=n, text=secret) for n in range(LEAKS_MAX * 2)]
    assert len(found_in(many).leaks) == LEAKS_MAX


@pytest.mark.parametrize("text", ["", "x = 1", "x" * 100_000])
def test_of_any_number_of_lines_no_more_are_looked_at_than_in_a_minute(text: str) -> None:
    taken = []

    def lines() -> Iterator[AddedLine]:
        for number in range(10_000_000):
            taken.append(number)
            yield AddedLine(path="a", number=number, text=text)

    found = found_in(lines())
    assert not found.is_whole
    assert len(taken) <= LOOKED_MAX // 16 + 1


def test_a_few_lines_are_looked_at_whole() -> None:
    assert found_in([AddedLine(path="a", number=1, text="x")]).is_whole
