"""files.*: an address to upload to, the upload, and the file in a conversation."""

from __future__ import annotations

import mimetypes
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.fakes.slack.web_api import Answer, Call, Refused, method
from tests.fakes.slack.world import File, Message

if TYPE_CHECKING:
    from tests.fakes.slack.people import Person
    from tests.fakes.slack.server import FakeSlack


def new_file(slack: FakeSlack, owner: Person, name: str, data: bytes | None) -> File:
    """A file that somebody has; it is in no conversation yet."""
    file = File(
        id=slack.stamps.new("F"),
        name=name,
        title=name,
        owner=owner,
        data=data,
        size=len(data or b""),
        mimetype=mimetypes.guess_type(name)[0] or "application/octet-stream",
        base_url=slack.url,
    )
    slack.files[file.id] = file
    return file


@method("files.getUploadURLExternal")
def get_upload_url(call: Call) -> Answer:
    length = call.text("length")
    if not call.text("filename") or not length.isdigit() or int(length) < 1:
        raise Refused("missing_argument")
    file = new_file(call.slack, call.bot.user, call.text("filename"), None)
    file.size = int(length)
    return {"upload_url": f"{call.slack.url}/upload/v1/{file.id}", "file_id": file.id}


@method("files.completeUploadExternal")
def complete_upload(call: Call) -> Answer:
    asked: list[dict[str, Any]] = call.json("files", "invalid_arguments") or []
    files = [_uploaded(call, each) for each in asked]
    if not files:
        raise Refused("file_not_found")
    channels = [each for each in call.text("channels").split(",") if each]
    channels += [call.text("channel_id")] if call.text("channel_id") else []
    for wanted in channels:
        _share(call, files, wanted)
    return {"files": [file.payload() for file in files]}


@method("files.info")
def info(call: Call) -> Answer:
    file = call.slack.files.get(call.text("file"))
    if file is None or file.data is None:
        raise Refused("file_not_found")
    if file.deleted:
        raise Refused("file_deleted")
    if not visible(file, call.bot.user):
        raise Refused("file_not_found")
    return {"file": file.payload()}


def visible(file: File, person: Person) -> bool:
    """Whether somebody may read it: the owner, and who is where it was shared."""
    return person is file.owner or any(person in channel.members for channel in file.channels)


async def upload(slack: FakeSlack, request: web.Request) -> web.Response:
    """The bytes come to the address that was given out; it needs no token."""
    file = slack.files.get(request.match_info["file"])
    if file is None or file.data is not None:
        return web.Response(status=404, text="no such upload")
    data = await _bytes(request)
    if len(data) != file.size:
        return web.Response(status=400, text="length mismatch")
    file.data = data
    return web.Response(text=f"OK - {len(data)}")


async def download(slack: FakeSlack, request: web.Request) -> web.Response:
    """The bytes for who shows a token that may read them; a page to log in for all others."""
    file = slack.files.get(request.match_info["file"])
    token = request.headers.get("Authorization", "").removeprefix("Bearer ")
    reader = next((one for one in slack.installs() if one.token == token), None)
    if reader is None or reader.revoked or "files:read" not in reader.scopes:
        return web.Response(text="<html>Sign in</html>", content_type="text/html")
    if file is None or file.deleted or file.data is None or not visible(file, reader.user):
        return web.Response(status=404)
    return web.Response(body=file.data, content_type=file.mimetype)


async def _bytes(request: web.Request) -> bytes:
    if request.content_type != "multipart/form-data":
        return await request.read()
    fields = await request.post()
    part = next(value for value in fields.values() if isinstance(value, web.FileField))
    return part.file.read()


def _uploaded(call: Call, asked: dict[str, Any]) -> File:
    file = call.slack.files.get(str(asked.get("id")))
    if file is None or file.data is None or file.owner is not call.bot.user:
        raise Refused("file_not_found")
    file.title = asked.get("title") or file.name
    return file


def _share(call: Call, files: list[File], wanted: str) -> None:
    channel = next((one for one in call.team.channels if one.id == wanted), None)
    if channel is None:
        raise Refused("channel_not_found")
    call.inside(channel)
    root = channel.find(call.text("thread_ts")) if call.text("thread_ts") else None
    message = Message(
        channel=channel,
        ts=call.slack.stamps.ts(),
        author=call.bot.user,
        text=call.text("initial_comment"),
        thread_ts=root.place if root else None,
        files=files,
        subtype="file_share",
        install=call.bot,
    )
    call.slack.messages.post(message)
