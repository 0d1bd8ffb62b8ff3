"""GitHub's webhooks: whether they are from GitHub, and what they tell.

GitHub delivers once. What doesn't get here, or is answered with an error, is found by the poll.
"""

import hmac
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from adapters.chat.incoming import Checked, Hear, Heard
from adapters.chat.port import Rejected
from adapters.forge.github import events
from adapters.forge.github.checks import STOP
from adapters.forge.github.happening import Event, EventReader
from adapters.forge.github.place import (
    ISSUE_COMMENT,
    REVIEW,
    REVIEW_COMMENT,
    SURFACE,
    Place,
)
from adapters.forge.github.reading import (
    Comment,
    Pressed,
    Reader,
    branch_of,
    comment_of,
    is_foreign,
)
from adapters.forge.hooks import Malformed, Oversized, Unsigned

BODY_BYTES_MAX = 4 * 1024 * 1024
"""The longest comments make some 300 kB; GitHub's own limit is 25 MB."""
EVENTS = (
    "issue_comment",
    "pull_request_review_comment",
    "pull_request_review",
    "check_run",
    "pull_request",
    "push",
    "issues",
    "status",
)
"""What the app has to be subscribed to."""

_DELIVERY = re.compile(r"[0-9A-Za-z-]{1,64}")
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_STOP = re.compile(rf"{STOP}#(\d{{1,15}})")

Body = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """What was delivered."""

    id: str
    told: Comment | Pressed | Checked | None
    """None: nothing for us."""
    happened: tuple[Event, ...] = ()
    """What was done in the repository, for who wants to hear of it."""


def read(headers: Mapping[str, str], body: bytes, secret: bytes) -> Delivery:
    """Read a delivery; pure.

    :param headers: of the request, by name in any letter case
    :param secret: what GitHub signs with; not empty
    :raises HookRefused:
    """
    named = {name.lower(): value for name, value in headers.items()}
    if len(body) > BODY_BYTES_MAX:
        raise Oversized(f"the body has {len(body)} bytes, {BODY_BYTES_MAX} are read")
    expected = "sha256=" + hmac.digest(secret, body, "sha256").hex()
    given = named.get("x-hub-signature-256", "")
    if not secret or not hmac.compare_digest(expected.encode(), given.encode(errors="replace")):
        raise Unsigned("it is not signed with the webhook's secret")
    id_ = named.get("x-github-delivery", "")
    if not _DELIVERY.fullmatch(id_):
        raise Malformed("it has no id")
    name = named.get("x-github-event", "")
    if name not in EVENTS:
        return Delivery(id=id_, told=None)
    try:
        said, reader = json.loads(body), _READERS.get(name)
        told = None if reader is None else reader(said)
        return Delivery(id=id_, told=told, happened=events.read(name, said))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, Rejected) as error:
        raise Malformed(f"it can't be read: {type(error).__name__}") from error


class GitHubHooks:
    """Hears what webhooks tell."""

    def __init__(
        self, reader: Reader, *, secret: bytes, happens: EventReader | None = None
    ) -> None:
        """`secret` is the webhook's, as the app has it.

        :param happens: reads what is done in repositories; None: nobody wants to hear of that
        """
        self._reader = reader
        self._secret = secret
        self._happens = happens

    async def take(self, headers: Mapping[str, str], body: bytes, hear: Hear) -> None:
        """Hear what a request tells; all is committed on return.

        :raises HookRefused: it is refused
        :raises ChatError: GitHub can't be asked what more there is to know; the poll finds it
        """
        delivery = read(headers, body, self._secret)
        heard: list[Heard]
        match delivery.told:
            case Comment():
                heard = await self._reader.comment(delivery.told, delivery.id)
            case Pressed():
                heard = await self._reader.pressed(delivery.told, delivery.id)
            case Checked():
                heard = [delivery.told]
            case None:
                heard = []
        for one in heard:
            await hear(one)
        if self._happens is None:
            return
        for event in delivery.happened:
            found = await self._happens.read(event, delivery.id)
            if found is not None:
                await hear(found)


def _issue_comment(body: Body) -> Comment | None:
    issue = body["issue"]
    place = _place(body, issue["number"])
    # It doesn't say where a pull request is from.
    foreign = None if issue.get("pull_request") else False
    return _comment(body, ISSUE_COMMENT, place, body["comment"], foreign=foreign)


def _review_comment(body: Body) -> Comment | None:
    pull = body["pull_request"]
    place = _place(body, pull["number"])
    return _comment(body, REVIEW_COMMENT, place, body["comment"], foreign=is_foreign(pull))


def _review(body: Body) -> Comment | None:
    if body["action"] == "submitted":
        body = {**body, "action": "created"}
    pull = body["pull_request"]
    place = _place(body, pull["number"])
    review, about = body["review"], {"foreign": is_foreign(pull), "branch": branch_of(pull)}
    return _comment(body, REVIEW, place, review, **about, state=str(review.get("state") or ""))


def _check_run(body: Body) -> Pressed | Checked | None:
    if body["action"] == "completed":
        commit = str(body["check_run"]["head_sha"])
        return Checked(surface=SURFACE, commit=commit) if _COMMIT.fullmatch(commit) else None
    if body["action"] != "requested_action":
        return None
    found = _STOP.fullmatch(body["requested_action"]["identifier"])
    if found is None:
        return None
    run = body["check_run"]
    return Pressed(
        place=_place(body, found[1]),
        user=_account(body["sender"]),
        app=int(run["app"]["id"]),
        run=int(run["id"]),
        mark=str(run["external_id"]),
    )


def _comment(body: Body, kind: str, place: Place, entry: Body, **about: Any) -> Comment | None:
    """:param about: more of what a `Comment` has"""
    action = body["action"]
    more = dict(about)
    if action == "edited":
        if "body" not in body["changes"]:
            return None
        before = str(body["changes"]["body"]["from"] or "")
        more |= {"edited": True, "before": before, "editor": int(body["sender"]["id"])}
    elif action == "deleted":
        more |= {"deleted": True}
    elif action != "created":
        return None
    if entry["user"] is not None:
        _account(entry["user"])
    return comment_of(kind, place, entry, **more)


def _place(body: Body, number: object) -> Place:
    return Place.read(f"{body['repository']['full_name']}#{int(str(number))}")


def _account(user: Body) -> Body:
    """An account. :raises ValueError: it is none"""
    if not isinstance(user["id"], int) or not isinstance(user["login"], str):
        raise ValueError("no account")
    return user


_READERS: Mapping[str, Callable[[Body], Comment | Pressed | Checked | None]] = {
    "issue_comment": _issue_comment,
    "pull_request_review_comment": _review_comment,
    "pull_request_review": _review,
    "check_run": _check_run,
}
