"""What continuous integration says of a branch, read with credentials that somebody else was given.

    branch ─▶ its commit ─▶ checks and statuses there ─▶ the end of the log of what failed

No port of ours speaks here: whoever reads shows their own grant, and sees what that may see.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol
from urllib.parse import quote

import httpx2

from adapters.chat.port import Gone, Unavailable

SECONDS_MAX = 15.0
"""Of one request."""
CHECKS_MAX = 100
"""Of one kind on a commit."""
LOGS_MAX = 3
"""Failed checks whose logs are read."""
LOG_BYTES_MAX = 32 << 20
"""More of a log is not read; then its end is not known."""
LOG_CHARACTERS_KEPT = 6_000
OURS = "ona"
"""The state of a turn of ours stands among the checks under this name."""

State = Literal["pending", "succeeded", "failed", "skipped"]
Headers = Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Check:
    """One check of a commit."""

    name: str
    state: State
    says: str = ""
    """What it says itself, one line or several."""
    url: str = ""
    log: str = ""
    """The end of the log, of one that failed."""
    job: str = ""
    """By which its log is asked for; empty: it has none that we can read."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """The checks of a branch."""

    commit: str
    checks: tuple[Check, ...]


class Reader(Protocol):
    """Reads the checks of a forge."""

    async def read(self, repository: str, branch: str, headers: Headers) -> Report:
        """The checks of the newest commit of a branch.

        :param headers: by which we are let in
        :raises Gone: there is no such branch, or we don't see it
        :raises Unavailable: the forge does not answer, or does not let us in
        """
        ...


class GitHubReader:
    """Check runs and commit statuses; the logs of GitHub's own Actions."""

    def __init__(self, api_base: str) -> None:
        self._base = api_base.rstrip("/")

    async def read(self, repository: str, branch: str, headers: Headers) -> Report:
        """See `Reader`."""
        at = f"{self._base}/repos/{quote(repository)}"
        async with _client(headers) as client:
            found = await _get(client, f"{at}/git/ref/heads/{quote(branch)}")
            commit = str(found["object"]["sha"])
            runs = await _get(client, f"{at}/commits/{commit}/check-runs?per_page={CHECKS_MAX}")
            statuses = await _get_if_there(
                client, f"{at}/commits/{commit}/status?per_page={CHECKS_MAX}"
            )
            checks = [_of_run(one) for one in runs.get("check_runs", [])]
            checks += [_of_status(one) for one in (statuses or {}).get("statuses", [])]
            checks = [one for one in checks if one.name != OURS]
            return Report(
                commit=commit,
                checks=await _with_logs(client, checks, f"{at}/actions/jobs/{{}}/logs"),
            )


class GitLabReader:
    """Commit statuses, of which jobs of pipelines are some; the traces of jobs."""

    def __init__(self, api_base: str) -> None:
        self._base = api_base.rstrip("/")

    async def read(self, repository: str, branch: str, headers: Headers) -> Report:
        """See `Reader`."""
        at = f"{self._base}/projects/{quote(repository, safe='')}"
        async with _client(headers) as client:
            found = await _get(client, f"{at}/repository/branches/{quote(branch, safe='')}")
            commit = str(found["commit"]["id"])
            listed = await _get(
                client, f"{at}/repository/commits/{commit}/statuses?per_page={CHECKS_MAX}"
            )
            checks = [one for one in map(_of_job, listed) if one.name != OURS]
            return Report(
                commit=commit, checks=await _with_logs(client, checks, f"{at}/jobs/{{}}/trace")
            )


_CONCLUSIONS: Mapping[str, State] = {
    "success": "succeeded",
    "neutral": "skipped",
    "skipped": "skipped",
    "stale": "skipped",
}
_STATUSES: Mapping[str, State] = {"success": "succeeded", "pending": "pending"}
_JOBS: Mapping[str, State] = {
    "success": "succeeded",
    "failed": "failed",
    "canceled": "failed",
    "skipped": "skipped",
    "manual": "skipped",
}


def _of_run(run: Mapping[str, Any]) -> Check:
    output = run.get("output") or {}
    said = [str(output.get(part) or "") for part in ("title", "summary", "text")]
    state: State = "pending"
    if run.get("status") == "completed":
        state = _CONCLUSIONS.get(str(run.get("conclusion")), "failed")
    is_job = (run.get("app") or {}).get("slug") == "github-actions"
    return Check(
        name=str(run.get("name")),
        state=state,
        says="\n".join(part for part in said if part)[:LOG_CHARACTERS_KEPT],
        url=str(run.get("details_url") or run.get("html_url") or ""),
        job=str(run.get("id") or "") if is_job else "",
    )


def _of_status(status: Mapping[str, Any]) -> Check:
    return Check(
        name=str(status.get("context")),
        state=_STATUSES.get(str(status.get("state")), "failed"),
        says=str(status.get("description") or ""),
        url=str(status.get("target_url") or ""),
    )


def _of_job(status: Mapping[str, Any]) -> Check:
    allowed = " (it may fail)" if status.get("allow_failure") else ""
    return Check(
        name=str(status.get("name")),
        state=_JOBS.get(str(status.get("status")), "pending"),
        says=f"{status.get('description') or ''}{allowed}".strip(),
        url=str(status.get("target_url") or ""),
        job=str(status.get("id") or ""),
    )


async def _with_logs(
    client: httpx2.AsyncClient, checks: Sequence[Check], place: str
) -> tuple[Check, ...]:
    """The checks, with the ends of the logs of the first that failed, as far as they are there."""
    found, read = [], 0
    for check in checks:
        one = check
        if check.state == "failed" and check.job and read < LOGS_MAX:
            read += 1
            one = replace(check, log=await _tail(client, place.format(check.job)))
        found.append(one)
    return tuple(found)


async def _tail(client: httpx2.AsyncClient, url: str) -> str:
    """The end of a log; empty: it can't be read."""
    kept, total = b"", 0
    try:
        async with client.stream("GET", url, follow_redirects=True) as answer:
            if answer.status_code != httpx2.codes.OK:
                return ""
            async for chunk in answer.aiter_bytes():
                total += len(chunk)
                if total > LOG_BYTES_MAX:
                    return ""
                kept = (kept + chunk)[-4 * LOG_CHARACTERS_KEPT :]
    except httpx2.HTTPError:
        return ""
    return kept.decode("utf-8", "replace")[-LOG_CHARACTERS_KEPT:]


@asynccontextmanager
async def _client(headers: Headers) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(
        headers={"Accept": "application/json", **headers}, timeout=SECONDS_MAX, trust_env=False
    ) as client:
        try:
            yield client
        except (httpx2.HTTPError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise Unavailable(f"the forge did not answer: {type(error).__name__}") from error


async def _get(client: httpx2.AsyncClient, url: str) -> Any:
    answer = await client.get(url)
    if answer.status_code == httpx2.codes.NOT_FOUND:
        raise Gone("there is no such branch there, or it can't be seen")
    if answer.status_code >= httpx2.codes.BAD_REQUEST:
        raise Unavailable(f"the forge answered {answer.status_code}")
    return answer.json()


async def _get_if_there(client: httpx2.AsyncClient, url: str) -> Any:
    """None: the forge has nothing there."""
    try:
        return await _get(client, url)
    except Gone:
        return None
