"""A project's repository as the pages need it: can it be read, and how may its address be shown."""

import tempfile
from pathlib import Path

from bot.work.git import GitFailed, GitLimits, git
from bot.work.remote import Logins, empty, explained, let_in, missing, remote

READ_SECONDS_MAX = 30.0


async def read_repository(url: str, logins: Logins | None = None) -> None:
    """Look whether the repository at `url` can be read from here and has a commit.

    :param logins: how the repositories of forges are read that we have an account on
    :raises TellPerson: what is wrong with it
    """
    source = await let_in(remote(url), logins)
    if source.path is not None and not source.path.is_dir():
        raise missing(source)
    limits = GitLimits(seconds_max=READ_SECONDS_MAX)
    with tempfile.TemporaryDirectory(prefix="ona-look-") as place:
        directory, config = Path(place) / "look.git", Path(place) / "config"
        config.write_text(source.config(), encoding="utf-8")
        try:
            await git("init", "--quiet", "--bare", str(directory), git_dir=directory, limits=limits)
            listed = await git(
                *("ls-remote", "--heads", "--", source.address),
                git_dir=directory,
                limits=limits,
                more=source.environment(config),
            )
        except GitFailed as error:
            raise explained(error, source, seconds_max=READ_SECONDS_MAX, bytes_max=0) from None
    if not listed.strip():
        raise empty(source)


def shown(url: str) -> str:
    """The address without the credentials that it may carry."""
    return remote(url).address
