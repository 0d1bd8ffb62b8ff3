"""Links to what was said on a surface: which thread they are about; pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

_SLACK = re.compile(r"https://[\w-]+\.slack\.com/archives/(\w+)/p(\d+)(\d{6})")
_DISCORD = re.compile(r"https://(?:\w+\.)?discord\.com/channels/(\d+)/(\d+)(?:/(\d+))?/?")
_GITHUB = re.compile(r"https?://[^/]+/([\w-]+/[\w.-]+)/(?:pull|issues)/(\d+)(?:/\w+)?/?")
_GITLAB = re.compile(r"https?://[^/]+/([\w./-]+?)/-/(issues|merge_requests)/(\d+)(?:/\w+)?/?")
_COMMENT = re.compile(r"(?:issuecomment-|discussion_r|note_)(\d+)")
_WILD = re.compile(r"([%_\\])")


@dataclass(frozen=True, kw_only=True)
class ThreadLink:
    """Threads of a surface that a link may be about."""

    surface: str
    places: Sequence[str]
    """Their addresses, as patterns of SQL's LIKE."""
    ref: str = ""
    """The number of a comment: the thread in which it stands is meant."""


def read(url: str) -> ThreadLink | None:
    """What a link is about; None: no thread of a surface."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    bare = parts._replace(query="", fragment="").geturl()
    if found := _SLACK.fullmatch(bare):
        (stamp, *_) = parse_qs(parts.query).get("thread_ts", [f"{found[2]}.{found[3]}"])
        return ThreadLink(surface="slack", places=[f"%/{found[1]}/{_WILD.sub('', stamp)}"])
    if found := _DISCORD.fullmatch(bare):
        guild, channel, message = found.groups()
        # What stands in a thread is linked to by the thread alone, as if that were a channel.
        below = [f"{guild}/{channel}/{message}"] if message else []
        return ThreadLink(surface="discord", places=[*below, f"{guild}/%/{channel}"])
    comment = _COMMENT.fullmatch(parts.fragment)
    if found := _GITLAB.fullmatch(bare):
        whole = f"{found[1]}{'#' if found[2] == 'issues' else '!'}{found[3]}"
        return _of_forge("gitlab", whole, comment)
    if found := _GITHUB.fullmatch(bare):
        return _of_forge("github", f"{found[1]}#{found[2]}", comment)
    return None


def _of_forge(surface: str, whole: str, comment: re.Match[str] | None) -> ThreadLink:
    place = _WILD.sub(r"\\\1", whole)
    ref = comment[1] if comment else ""
    return ThreadLink(surface=surface, places=[place, f"{place}/%"], ref=ref)
