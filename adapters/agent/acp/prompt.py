"""What a prompt is in the protocol: its text, and the files that came with it; pure."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from adapters.agent.port import Attachment, Task

IMAGE_BYTES_MAX = 5 * 1024 * 1024
"""Of a picture that is shown to the model; providers take no larger ones. The agent finds it in
the machine all the same."""


def blocks(task: Task, capabilities: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The content blocks of a prompt, the same ones whoever makes them.

    :param capabilities: what the agent said that it takes
    """
    takes = capabilities.get("promptCapabilities")
    sees = isinstance(takes, Mapping) and takes.get("image") is True
    text = {"type": "text", "text": task.text}
    return [text, *(_block(one, sees=sees) for one in task.attachments)]


def _block(attached: Attachment, *, sees: bool) -> Mapping[str, Any]:
    is_image = attached.media_type.startswith("image/")
    if sees and is_image and len(attached.data) <= IMAGE_BYTES_MAX:
        data = b64encode(attached.data).decode()
        return {"type": "image", "data": data, "mimeType": attached.media_type}
    return {
        "type": "resource_link",
        "name": attached.name,
        "uri": f"file://{quote(attached.path)}",
        "mimeType": attached.media_type,
    }
