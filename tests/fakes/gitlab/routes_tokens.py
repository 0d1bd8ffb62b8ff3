"""Access tokens of a project: each is a user of its own, which is a member while it lives."""

from __future__ import annotations

import secrets
from typing import Any

from tests.fakes.gitlab.people import Person
from tests.fakes.gitlab.rest import Call, Listed, Made, Refused, route
from tests.fakes.gitlab.world import MAINTAINER

TOKENS = "/projects/{project}/access_tokens"
DAYS_MAX = 365


@route("POST", TOKENS, "project_tokens.create")
def create_token(call: Call) -> Made:
    project, level = _kept_by_maintainers(call), int(call.body.get("access_level") or 40)
    if level > project.level(call.user):
        raise Refused(400, {"error": "access_level does not have a valid value"})
    ends = call.text("expires_at")
    if ends <= f"{call.gitlab.clock.now():%Y-%m-%d}":
        raise Refused(400, {"message": "Expiration date must be in the future"})
    scopes = call.body.get("scopes")
    if not scopes:
        raise Refused(400, {"error": "scopes is missing"})
    person = call.gitlab.person(f"project_{project.id}_bot_{call.gitlab.new_id()}", is_bot=True)
    person.name, person.scopes, person.token_ends = call.text("name"), tuple(scopes), ends
    person.token = f"glpat-{secrets.token_hex(10)}"
    call.gitlab.issued.append(person.token)
    project.members[person] = level
    project.tokens.append(person)
    call.gitlab.changed()
    return Made(status=201, data={**_shown(person), "token": person.token})


@route("GET", TOKENS, "project_tokens.list")
def list_tokens(call: Call) -> Listed:
    return Listed([_shown(one) for one in _kept_by_maintainers(call).tokens])


@route("DELETE", TOKENS + "/{id}", "project_tokens.revoke")
def revoke_token(call: Call) -> Made:
    project = _kept_by_maintainers(call)
    for person in project.tokens:
        if person.id == call.number("id"):
            project.tokens.remove(person)
            project.members.pop(person, None)
            call.gitlab.people.remove(person)
            call.gitlab.changed()
            return Made(status=204, data=None)
    raise Refused(404, "404 Could not find project access token")


def _kept_by_maintainers(call: Call) -> Any:
    project = call.project
    if project.level(call.user) < MAINTAINER:
        raise Refused(401, "401 Unauthorized")
    return project


def _shown(person: Person) -> dict[str, Any]:
    return {
        "id": person.id,
        "name": person.name,
        "scopes": list(person.scopes),
        "expires_at": person.token_ends,
        "active": True,
        "revoked": False,
    }
