"""A repository behind a forge's HTTP: its credentials get us in and are seen nowhere."""

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from bot.errors import NotFound, Refused
from bot.work.repository import Repositories, clone_into
from tests.fakes import git_tree
from tests.fakes.git_server import serve
from tests.fakes.local_machine import LocalMachine

PROJECT = UUID(int=1)
SECRET = "s3cr3t/tok%en"


@pytest.fixture
def forge(tmp_path: Path) -> Iterator[str]:
    git_tree.make(tmp_path / "forge" / "shop.git", {b"README": b"hello\n"})
    with serve(tmp_path / "forge", f"ada:{SECRET}") as address:
        yield address


@pytest.fixture
def repositories(tmp_path: Path) -> Repositories:
    return Repositories(tmp_path / "mirrors")


async def test_a_private_repository_is_cloned_without_its_secret_in_machine_or_mirror(
    forge: str, repositories: Repositories, tmp_path: Path
) -> None:
    url = f"http://ada:s3cr3t%2Ftok%25en@{forge}/shop.git"
    (tmp_path / "machine").mkdir()
    machine = LocalMachine(tmp_path / "machine")
    await repositories.update(PROJECT, url)
    await clone_into(
        machine,
        repositories,
        PROJECT,
        await repositories.base(PROJECT, None),
        branch="ona/s-1",
        directory=str(machine.directory),
        origin_url=url,
    )
    assert (machine.directory / "README").read_text() == "hello\n"
    origin = git_tree.line(machine.directory, "remote", "get-url", "origin")
    assert origin == f"http://{forge}/shop.git"
    written = [*(tmp_path / "mirrors").rglob("*"), *machine.directory.rglob("*")]
    for path in written:
        assert not path.is_file() or b"s3cr3t" not in path.read_bytes(), path
    assert not any("s3cr3t" in word for argv in machine.calls for word in argv)


@pytest.mark.parametrize("user", ["", "ada:wrong@", "wrong-token@"])
async def test_wrong_credentials_are_said_to_be_refused_and_not_repeated(
    forge: str, repositories: Repositories, user: str
) -> None:
    with pytest.raises(Refused) as raised:
        await repositories.update(PROJECT, f"http://{user}{forge}/shop.git")
    assert f"http://{forge}/shop.git refuses to let us read" in raised.value.happened
    assert "wrong" not in str(raised.value)
    assert "credentials that may read it" in raised.value.do


async def test_a_repository_that_the_forge_does_not_know_is_missing(
    forge: str, repositories: Repositories
) -> None:
    with pytest.raises(NotFound, match="there is no git repository at"):
        await repositories.update(PROJECT, f"http://ada:s3cr3t%2Ftok%25en@{forge}/other.git")


async def test_a_repository_of_our_forge_is_read_by_our_login_there(
    forge: str, tmp_path: Path
) -> None:
    asked: list[str] = []

    async def logins(address: str) -> tuple[str, str] | None:
        asked.append(address)
        return "ada", SECRET

    ours = Repositories(tmp_path / "mirrors", logins=logins)
    await ours.update(PROJECT, f"http://{forge}/shop.git")
    assert (await ours.base(PROJECT, None)).branch == "main"
    assert asked == [f"http://{forge}/shop.git"]
    for path in (tmp_path / "mirrors").rglob("*"):
        assert not path.is_file() or b"s3cr3t" not in path.read_bytes(), path


async def test_an_address_with_a_login_of_its_own_keeps_it(forge: str, tmp_path: Path) -> None:
    async def logins(_address: str) -> tuple[str, str] | None:
        raise AssertionError("nobody asks")

    ours = Repositories(tmp_path / "mirrors", logins=logins)
    await ours.update(PROJECT, f"http://ada:s3cr3t%2Ftok%25en@{forge}/shop.git")


async def test_without_a_login_it_is_refused_in_words(forge: str, tmp_path: Path) -> None:
    async def logins(_address: str) -> tuple[str, str] | None:
        return None

    with pytest.raises(Refused, match="refuses to let us read"):
        await Repositories(tmp_path / "mirrors", logins=logins).update(
            PROJECT, f"http://{forge}/shop.git"
        )
