"""Bringing a repository that came with a machine's template to where a session begins."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from uuid import UUID

import structlog

from bot.work.git import GitFailed
from bot.work.guest import Machine, last_line
from bot.work.repository import CLONED_MARK, READY_MARK, Base, Repositories

log = structlog.get_logger(__name__)

REFRESH_SECONDS_MAX = 600.0
TEMPLATE_BRANCH = "ona-template"
"""What a template's repository is on; no session's branch is called so."""

_REFRESH = f"""\
set -eu
directory=$1 branch=$2 commit=$3 head=$4
cd -- "$directory"
test -e .git/{CLONED_MARK}
! test -e .git/{READY_MARK}
cat > .git/ona.bundle
if [ -s .git/ona.bundle ]; then
    git fetch -q --no-auto-maintenance --no-write-fetch-head .git/ona.bundle \\
        '+refs/heads/*:refs/remotes/origin/*' '+refs/tags/*:refs/tags/*' '+refs/ona/*:refs/ona/*'
fi
rm -f .git/ona.bundle
if [ -n "$head" ]; then
    printf 'ref: refs/remotes/origin/%s\\n' "$head" > .git/refs/remotes/origin/HEAD
fi
git checkout -q -f -B "$branch" "$commit"
git branch -q -D {TEMPLATE_BRANCH}
"""


async def refresh(
    machine: Machine,
    repositories: Repositories,
    project_id: UUID,
    base: Base,
    *,
    since: str,
    branch: str,
    directory: str,
) -> bool:
    """Put the template's repository on a new branch at the base; what was built stays beside it.

    :param since: the commit that the template was built at
    :returns: whether it worked; if not, the repository is to be cloned anew
    """
    await repositories.keep(project_id, base.commit)
    source = _changes(repositories, project_id, base, since)
    try:
        async with aclosing(source) as chunks:
            done = await machine.run(
                ["/bin/sh", "-c", _REFRESH, "refresh", directory, branch, base.commit, base.branch],
                stdin=chunks,
                timeout_seconds=REFRESH_SECONDS_MAX,
            )
    except GitFailed as error:
        log.warning("refresh_failed", project=str(project_id), error=str(error)[:300])
        return False
    if done.exit_status != 0:
        said = last_line(done.stderr)
        log.warning("refresh_failed", project=str(project_id), error=said)
    return done.exit_status == 0


async def _changes(
    repositories: Repositories, project_id: UUID, base: Base, since: str
) -> AsyncGenerator[bytes, None]:
    if base.commit == since:
        return
    async with aclosing(repositories.bundle(project_id, base, since=since)) as bundle:
        async for data in bundle:
            yield data
