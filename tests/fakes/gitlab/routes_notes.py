"""Endpoints of notes, discussions and award emoji."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tests.fakes.gitlab import payloads
from tests.fakes.gitlab.notes import Invalid, NoDiscussion
from tests.fakes.gitlab.rest import Call, Listed, Made, Refused, route
from tests.fakes.gitlab.world import Award, Note

NOTEABLES = "/projects/{project}/{kind:issues|merge_requests}"
NOTES = NOTEABLES + "/{iid}/notes"
DISCUSSIONS = NOTEABLES + "/{iid}/discussions"
AWARDS = NOTES + "/{note}/award_emoji"


@route("GET", NOTEABLES, "noteables.list")
def list_noteables(call: Call) -> Listed:
    order = call.query.get("order_by", "created_at")
    found = [one for one in call.project.noteables if one.kind == call.where["kind"]]
    if "updated_after" in call.query:
        after = datetime.fromisoformat(call.query["updated_after"])
        found = [one for one in found if one.updated_at >= after]
    if call.query.get("state", "all") != "all":
        found = [one for one in found if one.state == call.query["state"]]
    if "source_branch" in call.query:
        found = [one for one in found if one.branch == call.query["source_branch"]]
    found.sort(key=lambda one: getattr(one, order), reverse=_descending(call))
    return Listed([payloads.noteable(one) for one in found])


@route("GET", NOTEABLES + "/{iid}", "noteables.show")
def show_noteable(call: Call) -> Any:
    return payloads.noteable(call.noteable)


@route("GET", "/projects/{project}/{kind:merge_requests}/{iid}/versions", "versions.list")
def list_versions(call: Call) -> Listed:
    request = call.noteable
    times = [request.pushed.get(one, request.created_at) for one in request.heads]
    found = [payloads.version(*one) for one in zip(request.heads, times, strict=True)]
    return Listed(found[::-1])


@route("GET", NOTES, "notes.list")
def list_notes(call: Call) -> Listed:
    order = call.query.get("order_by", "created_at")
    found = [one for one in call.noteable.notes if call.sees(one)]
    found.sort(key=lambda one: (getattr(one, order), one.id), reverse=_descending(call))
    return Listed([payloads.note(one) for one in found])


@route("GET", NOTES + "/{note}", "notes.show")
def show_note(call: Call) -> Any:
    return payloads.note(call.note)


@route("POST", NOTES, "notes.create")
def create_note(call: Call) -> Made:
    internal = bool(call.body.get("internal") or call.body.get("confidential"))
    return _made(call, internal=internal)


@route("PUT", NOTES + "/{note}", "notes.update")
def update_note(call: Call) -> Any:
    note = _own(call)
    call.gitlab.notes.reword(note, call.user, call.text("body"))
    return payloads.note(note)


@route("DELETE", NOTES + "/{note}", "notes.delete")
def delete_note(call: Call) -> Made:
    call.gitlab.notes.remove(_own(call))
    return Made(status=204, data=None)


@route("GET", DISCUSSIONS, "discussions.list")
def list_discussions(call: Call) -> Listed:
    return Listed([payloads.discussion(one) for one in _discussions(call).values()])


@route("GET", DISCUSSIONS + "/{discussion}", "discussions.show")
def show_discussion(call: Call) -> Any:
    notes = _discussions(call).get(call.where["discussion"])
    if notes is None:
        raise Refused(404, "404 Discussion Not Found")
    return payloads.discussion(notes)


@route("POST", DISCUSSIONS, "discussions.create")
def create_discussion(call: Call) -> Made:
    made = call.gitlab.notes.make(call.noteable, call.user, call.text("body"), begins=True)
    if not isinstance(made, Note):
        raise Refused(400, "400 Bad request - Note {:commands_only=>...}")
    return Made(status=201, data=payloads.discussion([made]))


@route("POST", DISCUSSIONS + "/{discussion}/notes", "discussions.reply")
def reply(call: Call) -> Made:
    return _made(call, discussion=call.where["discussion"])


@route("GET", AWARDS, "awards.list")
def list_awards(call: Call) -> Listed:
    note = call.note
    return Listed([payloads.award(one, note) for one in note.awards])


@route("POST", AWARDS, "awards.create")
def create_award(call: Call) -> Made:
    note = call.note
    award = call.gitlab.notes.award(note, call.user, call.text("name"))
    if award is None:
        raise Refused(404, "404 Award Emoji Name has already been taken Not Found")
    return Made(status=201, data=payloads.award(award, note))


@route("DELETE", AWARDS + "/{award}", "awards.delete")
def delete_award(call: Call) -> Made:
    note = call.note
    award = _award(call, note)
    if award.user is not call.user:
        raise Refused(401, "401 Unauthorized")
    call.gitlab.notes.revoke(note, award)
    return Made(status=204, data=None)


def _made(call: Call, *, internal: bool = False, discussion: str = "") -> Made:
    try:
        made = call.gitlab.notes.make(
            call.noteable, call.user, call.text("body"), internal=internal, discussion=discussion
        )
    except Invalid as error:
        raise Refused(400, f"400 Bad request - {error}") from None
    except NoDiscussion:
        raise Refused(404, "404 Discussion Not Found") from None
    if isinstance(made, Note):
        return Made(status=201, data=payloads.note(made))
    data = {"commands_changes": dict(made), "summary": ["Applied the commands."]}
    return Made(status=202, data=data)


def _own(call: Call) -> Note:
    note = call.note
    if note.author is not call.user:
        raise Refused(403, "403 Forbidden")
    return note


def _award(call: Call, note: Note) -> Award:
    for one in note.awards:
        if one.id == call.number("award"):
            return one
    raise Refused(404, "404 Award Emoji Not Found")


def _discussions(call: Call) -> dict[str, list[Note]]:
    found: dict[str, list[Note]] = {}
    for note in call.noteable.notes:
        if call.sees(note):
            found.setdefault(note.discussion, []).append(note)
    return found


def _descending(call: Call) -> bool:
    return call.query.get("sort", "desc") == "desc"
