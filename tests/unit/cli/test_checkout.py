"""Which repository a directory is a checkout of."""

import subprocess

import pytest

from bot.cli.checkout import ADDRESSES_MAX, addresses


@pytest.fixture
def git(tmp_path):
    def run(*arguments: str) -> None:
        subprocess.run(["git", "-C", str(tmp_path / "a"), *arguments], check=True)

    (tmp_path / "a" / "below").mkdir(parents=True)
    (tmp_path / "origin").mkdir()
    run("init", "-q")
    return run


def test_it_is_where_it_is_and_what_it_is_fetched_from_without_credentials(tmp_path, git):
    git("remote", "add", "origin", "https://ann:hunter2@git.acme.test/acme/web.git")
    git("remote", "add", "near", "../origin")
    git("remote", "add", "ssh", "git@git.acme.test:acme/web.git")
    git("remote", "add", "odd", "ext::sh -c id")
    assert addresses(tmp_path / "a" / "below") == [
        str(tmp_path / "a"),
        "https://git.acme.test/acme/web.git",
        str(tmp_path / "origin"),
        "git@git.acme.test:acme/web.git",
    ]


def test_what_is_no_checkout_has_none_nor_has_one_without_git(tmp_path, git, monkeypatch):
    assert addresses(tmp_path) == []
    monkeypatch.setenv("PATH", str(tmp_path))
    assert addresses(tmp_path / "a") == []


def test_few_are_told_of_many(tmp_path, git):
    for n in range(ADDRESSES_MAX + 5):
        git("remote", "add", f"r{n}", f"https://git.acme.test/acme/{n}")
    assert len(addresses(tmp_path / "a")) == ADDRESSES_MAX
