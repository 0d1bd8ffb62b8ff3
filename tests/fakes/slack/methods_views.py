"""views.*: App Home and modals."""

from __future__ import annotations

import json
import time
from typing import Any

from tests.fakes.slack import blocks as block_rules
from tests.fakes.slack.interactions import TRIGGER_SECONDS
from tests.fakes.slack.web_api import Answer, Call, Refused, method

VIEW_BYTES_MAX = 250 * 1024
VIEW_BLOCKS_MAX = 100


@method("views.publish")
def publish(call: Call) -> Answer:
    person = call.person("user_id")
    view = _view(call, ("home",))
    before = call.team.homes.get(person.id)
    if call.text("hash") and before is not None and before["hash"] != call.text("hash"):
        raise Refused("hash_conflict")
    if before is not None:
        view |= {"id": before["id"], "root_view_id": before["id"]}
    call.team.homes[person.id] = view
    return {"view": view}


@method("views.open")
def open_view(call: Call) -> Answer:
    interaction = call.slack.interactions.by_trigger.get(call.text("trigger_id"))
    if interaction is None or interaction.install is not call.bot:
        raise Refused("invalid_trigger_id")
    if time.monotonic() - interaction.began > TRIGGER_SECONDS:
        raise Refused("expired_trigger_id")
    if interaction.exchanged:
        raise Refused("exchanged_trigger_id")
    view = _view(call, ("modal",))
    interaction.exchanged = True
    interaction.person.modals.append(view)
    return {"view": view}


@method("views.update")
def update(call: Call) -> Answer:
    for person in call.slack.people():
        for number, old in enumerate(person.modals):
            by_name = call.text("external_id") and old["external_id"] == call.text("external_id")
            if old["id"] != call.text("view_id") and not by_name:
                continue
            if call.text("hash") and call.text("hash") != old["hash"]:
                raise Refused("hash_conflict")
            view = _view(call, ("modal",)) | {"id": old["id"], "root_view_id": old["id"]}
            person.modals[number] = view
            return {"view": view}
    raise Refused("not_found")


def _view(call: Call, kinds: tuple[str, ...]) -> dict[str, Any]:
    """The view that was sent, as it comes back."""
    given = call.json("view", "invalid_arguments")
    if not isinstance(given, dict) or given.get("type") not in kinds:
        _invalid("[ERROR] must be a valid view")
    if given["type"] == "modal" and "title" not in given:
        _invalid("[ERROR] missing required field: title")
    if len(json.dumps(given)) > VIEW_BYTES_MAX:
        raise Refused("view_too_large")
    if fault := block_rules.fault(given.get("blocks"), VIEW_BLOCKS_MAX):
        _invalid(f"[ERROR] {fault}")
    new = call.slack.stamps.new
    number = new("V")
    view = dict.fromkeys(("title", "submit", "close", "previous_view_id"))
    view |= {"callback_id": "", "private_metadata": "", "external_id": ""}
    view |= {"clear_on_close": False, "notify_on_close": False}
    view |= given | {"id": number, "root_view_id": number, "hash": new("h")}
    view |= {"team_id": call.team.id, "app_installed_team_id": call.team.id}
    view |= {"app_id": call.slack.app.id, "bot_id": call.bot.bot_id, "state": {"values": {}}}
    view["blocks"] = block_rules.with_ids(given["blocks"], lambda: new("b"))
    return view


def _invalid(message: str) -> None:
    raise Refused("invalid_arguments", response_metadata={"messages": [message]})
