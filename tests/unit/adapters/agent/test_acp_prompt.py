"""A prompt in the protocol's words."""

from base64 import b64decode

from adapters.agent.acp.prompt import IMAGE_BYTES_MAX, blocks
from adapters.agent.port import Attachment, Task

SEES = {"promptCapabilities": {"image": True}}


def task(*attachments: Attachment) -> Task:
    return Task(id="t", kind="text", text="look", directory="/", attachments=attachments)


def attachment(media_type: str, data: bytes = b"x") -> Attachment:
    return Attachment(name="a b.png", path="/tmp/1-a b.png", media_type=media_type, data=data)


def test_a_picture_is_shown_to_an_agent_that_sees():
    text, picture = blocks(task(attachment("image/png", b"png")), SEES)
    assert text == {"type": "text", "text": "look"}
    assert (picture["type"], picture["mimeType"]) == ("image", "image/png")
    assert b64decode(picture["data"]) == b"png"


def test_what_is_not_shown_is_linked_to():
    large = attachment("image/png", b"x" * (IMAGE_BYTES_MAX + 1))
    for one, capabilities in [
        (attachment("text/plain"), SEES),
        (attachment("image/png"), {}),
        (attachment("image/png"), {"promptCapabilities": "yes"}),
        (large, SEES),
    ]:
        _, link = blocks(task(one), capabilities)
        assert (link["type"], link["uri"]) == ("resource_link", "file:///tmp/1-a%20b.png")
        assert link["name"] == "a b.png"
