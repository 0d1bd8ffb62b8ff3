"""GitLab's CI: the jobs and outside statuses of a commit, and the traces of jobs."""

from collections.abc import Mapping
from typing import Any

from adapters.chat.port import Deadline, Gone, Rejected
from adapters.forge.checking import CHECKS_MAX, SUMMARY_LENGTH_MAX, Check, CheckState, readable
from adapters.forge.gitlab.client import Client
from adapters.forge.gitlab.places import project_path
from adapters.forge.gitlab.statuses import NAME

_STATES = {
    "success": CheckState.PASSED,
    "skipped": CheckState.PASSED,
    "failed": CheckState.FAILED,
    "canceled": CheckState.STOPPED,
    "canceling": CheckState.STOPPED,
    "manual": CheckState.STOPPED,
}
"""What is not here is pending."""


class GitLabChecks:
    """See `adapters.forge.checking.Checks`."""

    def __init__(self, client: Client) -> None:
        """`client` calls."""
        self._client = client

    async def of(
        self, repository: str, commit: str, branch: str, deadline: Deadline
    ) -> list[Check]:
        """See `Checks.of`: the newest of each name, those of jobs and those from outside."""
        us = await self._client.ourselves(deadline)
        path = f"{project_path(repository)}/repository/commits/{commit}/statuses"
        newest: dict[str, Mapping[str, Any]] = {}
        async for page in self._client.pages(path, deadline, ref=branch):
            for one in page.data:
                if one["name"] == NAME and (one.get("author") or {}).get("id") == us.id:
                    continue
                known = newest.get(one["name"])
                if known is None or int(one["id"]) > int(known["id"]):
                    newest[one["name"]] = one
            if len(newest) >= CHECKS_MAX:
                break
        return [_check(one) for one in newest.values()]

    async def log(self, repository: str, check: Check, deadline: Deadline) -> str:
        """See `Checks.log`."""
        path = f"{project_path(repository)}/jobs/{check.job}/trace"
        try:
            trace = readable(await self._client.text(path, deadline))
        except (Gone, Rejected):
            # It is a status from outside, whose maker has the log.
            trace = ""
        return trace or check.summary


def _check(status: Mapping[str, Any]) -> Check:
    state = _STATES.get(str(status["status"]), CheckState.PENDING)
    if status.get("allow_failure") and state in {CheckState.FAILED, CheckState.STOPPED}:
        state = CheckState.PASSED
    return Check(
        id=f"job/{status['id']}",
        name=str(status["name"]),
        state=state,
        url=str(status.get("target_url") or ""),
        summary=str(status.get("description") or "")[:SUMMARY_LENGTH_MAX],
        job=str(status["id"]),
    )
