"""Looks for secrets in lines that are added.

By the detectors of detect-secrets (Bridgecrew's fork, which is the one that is kept up) that know
the form of a credential, and by the prefixes of those that our own turns have to do with. Those
that judge a line by its entropy or by a word such as `password` are left out: they find every lock
file and every test, and who is asked too often lets everything pass. No detector is let go to the
network, which some would to see whether a secret works.
"""

import asyncio
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from bot.work.delivering import Leak
from bot.work.diffs import AddedLine, added_lines

LINE_CHARACTERS_MAX = 20_000
"""Of a longer line the beginning is looked at: it is generated."""
LOOKED_MAX = 2_000_000
"""Characters of all lines together: whatever they say, that is no more than a minute's work."""
LINE_COSTS = 16
"""Characters as which a line counts besides those that it has."""
LEAKS_MAX = 50
_PREFIXES = re.compile(
    r"\b(?:glpat-[\w-]{20}|sk-ant-[\w-]{20}|sk-(?:proj-)?[\w-]{32}|hv[sb]\.[\w-]{24}"
    r"|ona_[\w-]{20}|gh[ousr]_\w{36}|github_pat_\w{40}|xapp-\d-\w{10})"
)
_KEY = re.compile(r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----|PuTTY-User-Key-File-\d:")
"""The first line of a private key; the package's own detector wants the whole file."""
_DETECTORS = (
    ("artifactory", "ArtifactoryDetector"),
    ("aws", "AWSKeyDetector"),
    ("azure_storage_key", "AzureStorageKeyDetector"),
    ("basic_auth", "BasicAuthDetector"),
    ("discord", "DiscordBotTokenDetector"),
    ("github_token", "GitHubTokenDetector"),
    ("jwt", "JwtTokenDetector"),
    ("mailchimp", "MailchimpDetector"),
    ("npm", "NpmDetector"),
    ("sendgrid", "SendGridDetector"),
    ("slack", "SlackDetector"),
    ("square_oauth", "SquareOAuthDetector"),
    ("stripe", "StripeDetector"),
    ("twilio", "TwilioKeyDetector"),
)
"""Module and class below `detect_secrets.plugins`."""
_EXAMPLES = re.compile(r"@(?:[\w-]+\.)*(?:example\.(?:com|net|org)|localhost|127\.0\.0\.1)\b")
"""Hosts of addresses with a password that lead nowhere."""

Detector = tuple[str, Callable[[str], Iterable[str]]]


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a look through lines came to."""

    leaks: Sequence[Leak]
    """LEAKS_MAX at most."""
    is_whole: bool
    """All of them were looked at, or as many as had leaks enough."""


async def leaks_in(patches: str) -> Found:
    """The lines of `git log -p -U0` that look like secrets; in a thread, because it takes time."""
    return await asyncio.to_thread(lambda: found_in(added_lines(patches)))


def found_in(lines: Iterable[AddedLine]) -> Found:
    """The lines that look like secrets, of the first so many."""
    leaks: list[Leak] = []
    left = LOOKED_MAX
    for line in lines:
        said = line.text[:LINE_CHARACTERS_MAX]
        left -= len(said) + LINE_COSTS
        if left < 0:
            return Found(leaks=leaks, is_whole=False)
        kind = _kind(said)
        if kind is not None:
            leaks.append(Leak(path=line.path, line=line.number, kind=kind))
            if len(leaks) >= LEAKS_MAX:
                break
    return Found(leaks=leaks, is_whole=True)


def is_secret(line: str) -> bool:
    """Whether a line looks like one; the first time it takes most of a second."""
    return _kind(line[:LINE_CHARACTERS_MAX]) is not None


def _kind(text: str) -> str | None:
    if _PREFIXES.search(text):
        return "token"
    if _KEY.search(text):
        return "private key"
    for name, search in _detectors():
        if any(found for found in search(text)):
            if name == "Basic Auth Credentials" and _EXAMPLES.search(text):
                continue
            return name
    return None


@cache
def _detectors() -> Sequence[Detector]:
    """What finds each kind; imported at first use, because that takes most of a second."""
    from importlib import import_module

    made: list[Detector] = []
    for module, name in _DETECTORS:
        plugin = getattr(import_module(f"detect_secrets.plugins.{module}"), name)()
        made.append((str(plugin.secret_type), plugin.analyze_string))
    return made
