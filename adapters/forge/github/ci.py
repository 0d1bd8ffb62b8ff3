"""GitHub's CI: check runs and commit statuses of a commit, and the logs of Actions.

A check run of Actions is a job, whose log can be had with the permission "Actions: read". Of others
there is what they say of themselves: output and annotations.
"""

from collections.abc import Mapping
from typing import Any

from adapters.chat.port import ChatError, Deadline, Gone, Rejected
from adapters.forge.checking import (
    CHECKS_MAX,
    SUMMARY_LENGTH_MAX,
    Check,
    CheckState,
    readable,
)
from adapters.forge.github.app import App

ACTIONS = "github-actions"
"""The slug of the app that GitHub Actions is."""
ANNOTATIONS_MAX = 50
_PASSED = frozenset({"success", "neutral", "skipped"})
FAILED = frozenset({"failure", "timed_out", "startup_failure"})
"""Conclusions that speak against a commit."""
_STATES = {
    "success": CheckState.PASSED,
    "failure": CheckState.FAILED,
    "error": CheckState.FAILED,
}
"""Of commit statuses; what is not here is pending."""


class GitHubChecks:
    """See `adapters.forge.checking.Checks`."""

    def __init__(self, app: App) -> None:
        """`app` calls."""
        self._app = app

    async def of(
        self, repository: str, commit: str, branch: str, deadline: Deadline
    ) -> list[Check]:
        """See `Checks.of`."""
        us = await self._app.ourselves(deadline)
        path, found = f"/commits/{commit}/check-runs", list[Check]()
        query = {"filter": "latest"}
        async for run in self._app.entries(
            deadline, repository, path, query=query, key="check_runs"
        ):
            if int((run.get("app") or {}).get("id") or 0) != us.id:
                found.append(_of_run(run))
            if len(found) >= CHECKS_MAX:
                break
        return found + await self._statuses(repository, commit, deadline)

    async def log(self, repository: str, check: Check, deadline: Deadline) -> str:
        """See `Checks.log`."""
        said = ""
        if check.job:
            try:
                said = readable(
                    await self._app.download(
                        deadline, repository, f"/actions/jobs/{check.job}/logs"
                    )
                )
            except (Gone, Rejected):
                # The app may not read Actions, or the log is not kept any more.
                said = ""
        return said or await self._said_by(repository, check, deadline)

    async def _statuses(self, repository: str, commit: str, deadline: Deadline) -> list[Check]:
        try:
            answer = await self._app.call(
                deadline, repository, "GET", f"/commits/{commit}/status", query={"per_page": 100}
            )
        except (Gone, Rejected):
            return []
        return [_of_status(one) for one in (answer.data.get("statuses") or [])[:CHECKS_MAX]]

    async def _said_by(self, repository: str, check: Check, deadline: Deadline) -> str:
        kind, _, run = check.id.partition("/")
        lines = [check.summary] if check.summary else []
        if kind == "check":
            path = f"/check-runs/{run}/annotations"
            try:
                answer = await self._app.call(
                    deadline, repository, "GET", path, query={"per_page": ANNOTATIONS_MAX}
                )
                lines += [_annotation(one) for one in answer.data]
            except ChatError:
                # What the check says of itself is still something.
                pass
        return readable("\n".join(lines))


def _of_run(run: Mapping[str, Any]) -> Check:
    app, output = run.get("app") or {}, run.get("output") or {}
    said = "\n".join(str(output[key]) for key in ("title", "summary", "text") if output.get(key))
    return Check(
        id=f"check/{run['id']}",
        name=str(run["name"]),
        state=_state(str(run["status"]), run.get("conclusion")),
        url=str(run.get("html_url") or run.get("details_url") or ""),
        summary=said[:SUMMARY_LENGTH_MAX],
        job=str(run["id"]) if app.get("slug") == ACTIONS else "",
    )


def _state(status: str, conclusion: str | None) -> CheckState:
    if status != "completed":
        return CheckState.PENDING
    if conclusion in _PASSED:
        return CheckState.PASSED
    return CheckState.FAILED if conclusion in FAILED else CheckState.STOPPED


def _of_status(status: Mapping[str, Any]) -> Check:
    return Check(
        id=f"status/{status['id']}",
        name=str(status["context"]),
        state=_STATES.get(str(status["state"]), CheckState.PENDING),
        url=str(status.get("target_url") or ""),
        summary=str(status.get("description") or "")[:SUMMARY_LENGTH_MAX],
    )


def _annotation(one: Mapping[str, Any]) -> str:
    where = f"{one.get('path')}:{one.get('start_line')}"
    return f"{where}: {one.get('annotation_level')}: {one.get('message')}"
