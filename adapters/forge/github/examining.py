"""Whether a GitHub App is good for what we do, found out by using its key."""

from collections.abc import Collection, Mapping
from typing import Any

from adapters.chat.port import ChatError, Deadline, Gone, Rejected
from adapters.forge.examining import EXAMINE_SECONDS, Examined
from adapters.forge.github.app import App
from adapters.forge.github.hooks import EVENTS
from adapters.forge.port import NotLetIn

PERMISSIONS: Mapping[str, tuple[str, str]] = {
    "actions": ("read", "let a turn see what the repository's workflows came to"),
    "checks": ("write", "show the state of a turn at the newest commit, with its Stop button"),
    "contents": ("write", "know which commit a pull request is at; let a turn push its branches"),
    "issues": ("write", "hear and answer comments on issues and pull requests, and react to them"),
    "metadata": ("read", "know who may do what with a repository; every App has it"),
    "pull_requests": ("write", "hear and answer reviews and comments at lines of code"),
    "statuses": ("read", "let a turn see the states of commits that other programs set"),
}
"""The App's permissions: how far each has to go, and what it is for."""
UNSIGNED = 401
"""What we answer a delivery that is not signed with our secret."""
_LEVELS = ("read", "write", "admin")


async def examine(app: App, *, repositories: Collection[str] = (), hook_url: str = "") -> Examined:
    """Ask who we are, what we may do, and whether we see the repositories of projects.

    :param hook_url: where webhooks are to arrive; "": none are expected
    """
    deadline = Deadline.after(EXAMINE_SECONDS)
    try:
        us = (await app.as_app(deadline, "GET", "/app")).data
        missing, unseen = await _at_repositories(app, us, repositories, deadline)
        remarks = await _about_hook(app, hook_url, deadline) if hook_url else ()
    except NotLetIn as error:
        return Examined(wrong=f"the App's id or its private key: {error}")
    except Gone as error:
        return Examined(wrong=f"there is no such App, or no GitHub at {app.api_url}: {error}")
    except (ChatError, KeyError, TypeError, ValueError) as error:
        return Examined(wrong=_sentence(error))
    lacking = [f"{name}: {level}" for name, level in _lacking(us["permissions"])]
    if hook_url:
        lacking += [f"the event {name}" for name in EVENTS if name not in us.get("events", ())]
    return Examined(
        name=str(us["slug"]), missing=(*lacking, *missing), unseen=unseen, remarks=remarks
    )


def _lacking(granted: Mapping[str, str]) -> list[tuple[str, str]]:
    """The permissions that don't go as far as they have to."""

    def reaches(name: str, level: str) -> bool:
        has = granted.get(name, "")
        return has in _LEVELS and _LEVELS.index(has) >= _LEVELS.index(level)

    return [(name, level) for name, (level, _) in PERMISSIONS.items() if not reaches(name, level)]


async def _at_repositories(
    app: App, us: Mapping[str, Any], repositories: Collection[str], deadline: Deadline
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What the accounts have not agreed to that the App asks for, and what we don't see."""
    asked = {name for name, _ in _lacking(us["permissions"])}
    lacking: dict[str, None] = {}
    unseen = []
    for repository in repositories:
        try:
            found = (await app.as_app(deadline, "GET", f"/repos/{repository}/installation")).data
        except Gone:
            unseen.append(repository)
            continue
        account = str(found["account"]["login"])
        if found.get("suspended_at"):
            unseen.append(f"{repository} ({account} has suspended the App)")
        for name, level in _lacking(found["permissions"]):
            if name not in asked:
                lacking[f"{name}: {level} ({account} has not accepted it)"] = None
    return tuple(lacking), tuple(unseen)


async def _about_hook(app: App, hook_url: str, deadline: Deadline) -> tuple[str, ...]:
    try:
        found = (await app.as_app(deadline, "GET", "/app/hook/config")).data
    except Gone:
        return ("the App has no webhook",)
    to = str(found.get("url") or "")
    if to.rstrip("/") != hook_url:
        return (f"its webhook goes to {to or 'no address'}, not to {hook_url}",)
    return await _about_last_delivery(app, deadline)


async def _about_last_delivery(app: App, deadline: Deadline) -> tuple[str, ...]:
    """What became of what GitHub delivered last, as it says itself."""
    try:
        last = (await app.as_app(deadline, "GET", "/app/hook/deliveries?per_page=1")).data
    except (Gone, Rejected):
        # Older servers keep none.
        return ()
    if not last or 200 <= int(last[0]["status_code"]) < 300:
        return ()
    one = last[0]
    answered = f"answered {one['status_code']}" if int(one["status_code"]) else "not answered"
    hint = " (the webhook's secret differs)" if int(one["status_code"]) == UNSIGNED else ""
    return (f"its last delivery, at {one['delivered_at']}, was {answered}{hint}",)


def _sentence(error: Exception) -> str:
    if isinstance(error, ChatError):
        return str(error)
    return f"what answers is no GitHub: {type(error).__name__}"
