"""Checks of the code hosts: are the credentials there, right, and good for what we do."""

from adapters.forge.examining import Examined
from adapters.forge.github import examining as github
from adapters.forge.github.app import App
from adapters.forge.github.place import repository_of, web_address
from adapters.forge.gitlab import examining as gitlab
from adapters.forge.gitlab.client import Client
from adapters.forge.gitlab.urls import repository_name
from adapters.forge.hosts import host_name
from bot.config import Settings
from bot.doctor.finding import Finding, Verdict
from bot.doctor.stored import code_hosts, repository_urls
from bot.errors import WrongSettings
from bot.forges import private_key
from bot.switched import closed_hosts, hook_url, switches
from bot.words.listening import way_in

GITHUB_SAYS = "docs/github.md says how."
GITLAB_SAYS = "docs/gitlab.md says how."


async def check_github(settings: Settings) -> Finding:
    """Whether people can talk to us on GitHub."""
    name, ours = "GitHub", settings.github
    do = f"`ona setup github` makes an App; {GITHUB_SAYS}"
    if off := await _off(name, settings, "github", do):
        return off
    if host_name(ours.url) != (at := host_name(web_address(ours.api_url))):
        return _wrong(
            name,
            f"github.url is at {host_name(ours.url)} and github.api_url belongs to {at}",
            "Set both to the same GitHub; for a server of your own: `https://HOST` and"
            " `https://HOST/api/v3`.",
        )
    try:
        key = private_key(ours) or ""
    except WrongSettings as error:
        return _wrong(name, error.happened, f"Mend it: {error.do}.")
    urls = await repository_urls(settings)
    repositories = [one for url in urls if (one := repository_of(url, ours.url))]
    app = App(app_id=str(ours.app_id), private_key=key, api_url=ours.api_url)
    hooked = hook_url(settings, "github") if ours.webhook_secret else ""
    try:
        found = await github.examine(app, repositories=repositories, hook_url=hooked)
    finally:
        app.close()
    if found.wrong:
        return _wrong(name, found.wrong, f"Mend github.app_id and its key; {GITHUB_SAYS}")
    do = (
        "Give the App what is missing on its page at GitHub, accept it where the App is installed,"
        f" and install it where the repositories are; {GITHUB_SAYS}"
    )
    return _examined(name, settings, "github", found, do)


async def check_gitlab(settings: Settings) -> Finding:
    """Whether people can talk to us on GitLab."""
    name, ours = "GitLab", settings.gitlab
    do = f"`ona setup gitlab` asks for it; {GITLAB_SAYS}"
    if off := await _off(name, settings, "gitlab", do):
        return off
    urls = await repository_urls(settings)
    repositories = [one for url in urls if (one := repository_name(url, ours.url))]
    client = Client(ours.url, ours.token.get_secret_value() if ours.token else "")
    try:
        found = await gitlab.examine(client, repositories=repositories)
    finally:
        client.close()
    if found.wrong:
        return _wrong(name, found.wrong, f"Make a token anew, or mend gitlab.url; {GITLAB_SAYS}")
    do = f"Give the token's user the role Developer there, and the token its scope; {GITLAB_SAYS}"
    return _examined(name, settings, "gitlab", found, do)


async def _off(name: str, settings: Settings, surface: str, do: str) -> Finding | None:
    """What is to be said where it is switched off; None: it is on."""
    switch = switches(settings)[surface]
    if switch.on:
        return None
    known = await code_hosts(settings)
    closed = [host for host, one in closed_hosts(settings, known).items() if one == surface]
    found = f"off: {switch.missing}"
    if not closed:
        return Finding(name=name, verdict=Verdict.FINE, found=found)
    if not switch.begun:
        do += f" To open them to everybody here: open_hosts = {closed}"
    follows = (
        f"Nobody can talk to ona on {name}. Projects with a repository on {' or '.join(closed)} are"
        " for operators only: nobody else can be asked about."
    )
    return Finding(name=name, verdict=Verdict.LESS, found=found, follows=follows, do=do)


def _wrong(name: str, found: str, do: str) -> Finding:
    follows = f"Nobody can talk to ona on {name}."
    return Finding(name=name, verdict=Verdict.LESS, found=found, follows=follows, do=do)


def _examined(name: str, settings: Settings, surface: str, found: Examined, do: str) -> Finding:
    switch = switches(settings)[surface]
    parts = [found.name, way_in(switch.mode, switch.delay_seconds), *found.remarks]
    if found.missing:
        parts.append(f"without {', '.join(found.missing)}")
    if found.unseen:
        parts.append(f"doesn't see {', '.join(found.unseen)}")
    follows = []
    if found.missing:
        follows.append("What these are for does not work.")
    if found.unseen:
        follows.append("Nobody can ask ona in repositories that it doesn't see.")
    if switch.mode == "webhook" and not settings.public_url:
        parts.append("public_url is not set")
    if found.remarks or (switch.mode == "webhook" and not settings.public_url):
        follows.append("What people say may be heard late, or not at all.")
    return Finding(
        name=name,
        verdict=Verdict.LESS if follows else Verdict.FINE,
        found="; ".join(parts),
        follows=" ".join(follows),
        do=do if follows else "",
    )
