"""GitLab's webhooks: is it really GitLab, and what does it tell.

A webhook's signing token, where GitLab has those, begins with `whsec_`: each delivery then bears a
signature of its id, its time and its body, as in the Standard Webhooks specification. The secret
token of other versions comes with each delivery as it is. GitLab delivers once; what fails here,
the poll finds.
"""

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from time import time
from typing import Any

from adapters.chat.incoming import Checked, Hear
from adapters.forge.gitlab import events
from adapters.forge.gitlab.happening import Event, EventReader
from adapters.forge.gitlab.places import Kind
from adapters.forge.gitlab.port import SURFACE
from adapters.forge.gitlab.reading import Award, Note, Reader
from adapters.forge.hooks import Malformed, Oversized, Unsigned

BODY_BYTES_MAX = 8 * 1024 * 1024
"""A note may have 1,000,000 characters, and stands in its delivery twice."""
CLOCK_SECONDS_MAX = 300.0
"""So far may the time in a signature be from ours."""
SIGNING_PREFIX = "whsec_"
DELIVERY_IDS = ("webhook-id", "idempotency-key", "x-gitlab-webhook-uuid", "x-gitlab-event-uuid")
"""Headers that tell deliveries apart, the first one there is: a repetition keeps those before."""
ENDED = frozenset({"success", "failed", "canceled", "skipped"})
"""States of pipelines that have come to an end."""
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_KINDS: dict[str, Kind] = {"MergeRequest": "merge_requests", "Issue": "issues"}

Data = Mapping[str, Any]


class GitLabHooks:
    """Hears what the webhooks of one GitLab tell."""

    def __init__(self, reader: Reader, secret: str, happens: EventReader | None = None) -> None:
        """`secret` is the signing token or the secret token of all of them.

        :param happens: reads what is done in projects; None: nobody wants to hear of that
        :raises ValueError: the secret can't be one
        """
        if not secret:
            raise ValueError("webhooks need a secret")
        _key(secret)
        self._reader = reader
        self._secret = secret
        self._happens = happens

    async def take(self, headers: Mapping[str, str], body: bytes, hear: Hear) -> None:
        """Hear a delivery; it is everything's when this returns.

        :raises HookRefused: nothing was heard, and never will be
        :raises ChatError: GitLab can't be asked about it
        """
        told = read(headers, body, self._secret, now=time())
        if isinstance(told, Checked):
            await hear(told)
        if isinstance(told, Note):
            for heard in await self._reader.note(told):
                await hear(heard)
        elif isinstance(told, Award):
            reacted = await self._reader.award(told)
            if reacted is not None:
                await hear(reacted)
        if self._happens is None:
            return
        delivery = delivery_id(headers)
        for event in happenings(body, now=time()):
            found = await self._happens.read(event, f"{delivery}/{event.key}")
            if found is not None:
                await hear(found)


def read(
    headers: Mapping[str, str], body: bytes, secret: str, *, now: float
) -> Note | Award | Checked | None:
    """What a delivery tells; None: nothing for us. Pure.

    :param now: in seconds since 1970
    :raises HookRefused:
    """
    if len(body) > BODY_BYTES_MAX:
        raise Oversized(f"{len(body)} bytes, {BODY_BYTES_MAX} are taken")
    known = {name.lower(): value for name, value in headers.items()}
    _verify(known, body, secret, now)
    with _readable():
        data = json.loads(body)
        match data["object_kind"]:
            case "note":
                return _note(data, delivery_id(headers))
            case "emoji":
                return _award(data)
            case "pipeline":
                return _pipeline(data)
    return None


def happenings(body: bytes, *, now: float) -> tuple[Event, ...]:
    """What was done in a project, by a delivery that was verified. Pure.

    :raises Malformed:
    """
    with _readable():
        return events.read(json.loads(body), datetime.fromtimestamp(now, UTC))


def delivery_id(headers: Mapping[str, str]) -> str:
    """What tells a delivery apart; empty: it has nothing."""
    known = {name.lower(): value for name, value in headers.items()}
    return next((known[one] for one in DELIVERY_IDS if known.get(one)), "")


@contextmanager
def _readable() -> Iterator[None]:
    """:raises Malformed: what is read within is nothing that GitLab sends"""
    try:
        yield
    except (
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        OverflowError,
        RecursionError,
    ) as error:
        raise Malformed(f"{type(error).__name__}: {error}") from error


def _verify(headers: Mapping[str, str], body: bytes, secret: str, now: float) -> None:
    """:raises Unsigned:"""
    key = _key(secret)
    if key is None:
        token = headers.get("x-gitlab-token", "")
        if not hmac.compare_digest(token.encode(), secret.encode()):
            raise Unsigned("the secret token is wrong")
        return
    moment, signed = headers.get("webhook-timestamp", ""), headers.get("webhook-signature", "")
    begin = f"{headers.get('webhook-id', '')}.{moment}.".encode()
    digest = base64.b64encode(hmac.digest(key, begin + body, hashlib.sha256))
    given = [one.removeprefix("v1,").encode() for one in signed.split() if one.startswith("v1,")]
    if not any([hmac.compare_digest(one, digest) for one in given]):
        raise Unsigned("the signature is wrong")
    if not moment.isascii() or not moment.isdigit() or abs(int(moment) - now) > CLOCK_SECONDS_MAX:
        raise Unsigned("it was signed at another time")


def _key(secret: str) -> bytes | None:
    """Key of a signing token; None: it is a secret token. :raises ValueError: it is neither"""
    if not secret.startswith(SIGNING_PREFIX):
        return None
    try:
        return base64.b64decode(secret.removeprefix(SIGNING_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError(f"a token that begins with {SIGNING_PREFIX} goes on in base64") from None


def _note(data: Data, delivery: str) -> Note | None:
    said, author, project = data["object_attributes"], data["user"], data["project"]
    kind = _KINDS.get(said["noteable_type"])
    if kind is None or said["system"]:
        return None
    about = data["merge_request" if kind == "merge_requests" else "issue"]
    is_edited = said.get("action", "create") == "update"
    author_id = int(said["author_id"])
    edited_by = said.get("updated_by_id")
    if is_edited and edited_by not in {None, author_id}:
        # Somebody who may edit everybody's notes does not speak for their authors.
        return None
    return Note(
        project=str(project["path_with_namespace"]),
        clone_url=str(project["git_http_url"]),
        kind=kind,
        iid=int(about["iid"]),
        id=int(said["id"]),
        author_id=author_id,
        author_name=str(author["username"]),
        body=str(said["note"]),
        delivery=f"{delivery}/{said['id']}",
        discussion=str(said["discussion_id"]) if said.get("type") else "",
        is_internal=_is_internal(data, said, about),
        is_confidential=bool(about.get("confidential")),
        branch=str(about.get("source_branch") or ""),
        is_from_fork=kind == "merge_requests" and _is_from_fork(about),
        is_new=not is_edited or edited_by == author_id,
        is_edited=is_edited,
    )


def _is_internal(data: Data, said: Data, about: Data) -> bool:
    """In doubt it is: versions that don't say so tell confidential ones by the event alone."""
    flag = said.get("internal", said.get("confidential"))
    if flag is not None:
        return bool(flag)
    return data.get("event_type") == "confidential_note" and not about.get("confidential")


def _is_from_fork(about: Data) -> bool:
    return bool(about["source_project_id"] != about["target_project_id"])


def _pipeline(data: Data) -> Checked | None:
    """A pipeline that came to its end, where the webhook tells of those."""
    pipeline = data["object_attributes"]
    commit = str(pipeline["sha"])
    if pipeline["status"] not in ENDED or not _COMMIT.fullmatch(commit):
        return None
    return Checked(surface=SURFACE, commit=commit)


def _award(data: Data) -> Award | None:
    award = data["object_attributes"]
    is_award = award.get("action", data.get("event_type")) == "award"
    if award["awardable_type"] != "Note" or not is_award:
        return None
    note = data["note"]
    if note["noteable_type"] not in _KINDS:
        return None
    return Award(
        project=str(data["project"]["path_with_namespace"]),
        id=int(award["id"]),
        name=str(award["name"]),
        user_id=int(award["user_id"]),
        user_name=str(data["user"]["username"]),
        note_id=int(note["id"]),
        note_author_id=int(note["author_id"]),
    )
