"""Where a repository is fetched from: an address that may be shown, and what must not be shown."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from bot.errors import NotFound, Refused, TellPerson, TooLarge
from bot.words.catalogue import N_
from bot.words.catalogue import gettext as _
from bot.work.git import GitFailed, GitTimedOut, GitTooLarge

SCHEMES = frozenset({"file", "git", "http", "https", "ssh"})
SCP = re.compile(r"(?:[A-Za-z0-9._-]+@)?[A-Za-z0-9][A-Za-z0-9.-]*:(?!/)[^:\s].*")
URL_CHARACTERS_MAX = 2000
KEPT = N_("nothing was changed")
NOT_THERE = re.compile(
    r"not found|does not exist|does not appear to be a git repository|not a git repository"
    r"|error: 404",
    re.IGNORECASE,
)
NOT_ALLOWED = re.compile(
    r"authentication failed|could not read (username|password)|permission denied"
    r"|access denied|error: 40[13]|host key verification failed|terminal prompts disabled",
    re.IGNORECASE,
)
Logins = Callable[[str], Awaitable[tuple[str, str] | None]]
"""User and password for a repository's address; None: nobody has any, git's own are used."""
HELPER = '!printf "username=%s\\npassword=%s\\n" "$ONA_USERNAME" "$ONA_PASSWORD"; :'


@dataclass(frozen=True, kw_only=True)
class Remote:
    """One repository as git reaches it."""

    address: str
    """Without credentials: for git's arguments, for messages, for the machine."""
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    @property
    def path(self) -> Path | None:
        """Where it lies on this host, if it does."""
        if self.address.startswith("/"):
            return Path(self.address)
        if self.address.startswith("file://"):
            return Path(unquote(urlsplit(self.address).path))
        return None

    def environment(self, config: Path) -> dict[str, str]:
        """What git needs to get in; `config` is a file of ours that names a local path safe."""
        if self.path is not None:
            return {"GIT_CONFIG_GLOBAL": str(config)}
        if self.username is None:
            return {}
        helpers = ("", HELPER)
        pairs = [("credential.helper", value) for value in helpers]
        return {
            "GIT_CONFIG_COUNT": str(len(pairs)),
            **{f"GIT_CONFIG_KEY_{n}": key for n, (key, _) in enumerate(pairs)},
            **{f"GIT_CONFIG_VALUE_{n}": value for n, (_, value) in enumerate(pairs)},
            "ONA_USERNAME": self.username,
            "ONA_PASSWORD": self.password or "",
        }

    def config(self) -> str:
        """Text of the file for `environment`: we were told to read it, whoever owns it."""
        path = str(self.path) if self.path else ""
        names = "".join(f"\tdirectory = {quoted(name)}\n" for name in (path, f"{path}/.git"))
        return f"[safe]\n{names}" if path else ""

    def without_secrets(self, text: str) -> str:
        """A text of git's in which credentials can't be read."""
        for secret in (self.password, self.username):
            if secret and len(secret) > 3:
                text = text.replace(secret, "…")
        return re.sub(r"://[^/@\s]+@", "://", text)


def remote(url: str) -> Remote:
    """Read a URL or an absolute path. :raises Refused: it is neither"""
    odd = any(not c.isprintable() or c.isspace() for c in url) and not url.startswith("/")
    if not url or odd or "\n" in url or "\0" in url or len(url) > URL_CHARACTERS_MAX:
        raise _unreadable()
    if url.startswith("/"):
        return Remote(address=url.rstrip("/") or "/")
    if "://" not in url:
        if SCP.fullmatch(url) is None or "::" in url:
            raise _unreadable()
        return Remote(address=url)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise _unreadable() from None
    if parts.scheme not in SCHEMES or host.startswith("-") or (parts.scheme != "file" and not host):
        raise _unreadable()
    place = f"[{host}]" if ":" in host else host
    if port is not None:
        place += f":{port}"
    if parts.scheme == "ssh" and parts.username:
        place = f"{parts.username}@{place}"
    address = urlunsplit((parts.scheme, place, parts.path, parts.query, ""))
    if parts.scheme not in ("http", "https") or parts.username is None:
        return Remote(address=address)
    username, password = unquote(parts.username), unquote(parts.password or "")
    return Remote(address=address, username=username, password=password)


async def let_in(source: Remote, logins: Logins | None) -> Remote:
    """The same repository, with a login of the forge that it is on."""
    if source.username is not None or logins is None or source.path is not None:
        return source
    login = await logins(source.address)
    if login is None:
        return source
    return Remote(address=source.address, username=login[0], password=login[1])


def quoted(value: str) -> str:
    """A value in git's configuration."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _unreadable() -> Refused:
    return Refused(
        _("the project's repository is neither a URL (https, http, ssh, git) nor an absolute path"),
        kept=_(KEPT),
        do=_("correct the project's repository"),
    )


def missing(source: Remote) -> NotFound:
    """There is no repository at the address."""
    return NotFound(
        _(
            "there is no git repository at {address}, or it may not be read from here",
            address=source.address,
        ),
        kept=_(KEPT),
        do=_("correct the project's repository or its credentials"),
    )


def empty(source: Remote) -> Refused:
    """There is one, and nothing was committed to it."""
    return Refused(
        _("the repository {address} is empty: it has no commit", address=source.address),
        kept=_(KEPT),
        do=_("push a first commit to it"),
    )


def explained(
    error: GitFailed, source: Remote, *, seconds_max: float, bytes_max: int
) -> TellPerson:
    """Why a repository could not be fetched."""
    said = source.without_secrets(str(error))
    shown, within = f"{bytes_max / 1e9:g}", f"{seconds_max:g}"
    if isinstance(error, GitTooLarge):
        return TooLarge(
            _(
                "the repository {address} is larger than {size} GB",
                address=source.address,
                size=shown,
            ),
            kept=_(KEPT),
            do=_("use a smaller one, or ask the operator for a higher limit"),
        )
    if isinstance(error, GitTimedOut):
        return Refused(
            _(
                "the repository {address} did not arrive within {seconds} s",
                address=source.address,
                seconds=within,
            ),
            kept=_(KEPT),
            do=_("see whether its server answers"),
        )
    if NOT_THERE.search(said) or (source.path is not None and not source.path.exists()):
        return missing(source)
    if NOT_ALLOWED.search(said):
        return Refused(
            _("{address} refuses to let us read the repository", address=source.address),
            kept=_(KEPT),
            do=_("give the project's URL credentials that may read it"),
        )
    return Refused(
        _(
            "the repository {address} can't be reached: {reason}",
            address=source.address,
            reason=_reason(said),
        ),
        kept=_(KEPT),
        do=_("correct the project's repository, or see whether its server answers"),
    )


def _reason(said: str) -> str:
    """Git's own words in one line."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    fatal = [line for line in lines if line.startswith(("fatal:", "ERROR", "error:"))]
    chosen = (fatal or lines or [_("git did not say why")])[0]
    return re.sub(r"^(fatal|error|ERROR): ", "", chosen)[:300]


Listing = Mapping[str, str]
"""What the remote has: `HEAD` and branches by their full names, to commits."""
