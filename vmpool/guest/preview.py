#!/usr/bin/python3 -IS
"""`ona-preview PORT`: print an address under which people see what listens on a port here.

They sign in there, and need the right to write to the project; the machine wakes for them. With
`--picture [PATH]` a picture of the page goes into the thread, and into the pull request as well.
Exit 0 printed (and shown), 1 there is none, 2 wrong usage.
"""

import http.client
import json
import os
import socket
import sys

DEFAULT_GATEWAY = "172.16.0.1:80"
SECONDS_MAX = 30.0
PICTURE = "--picture"
USAGE = f"usage: ona-preview PORT [{PICTURE} [/PATH]]"


class Failed(Exception):
    """A sentence that says why."""


def main(argv: list[str]) -> int:
    """Ask the gateway, which knows whose machine this is."""
    port, *more = argv or [""]
    path = (more[1:] or ["/"])[0]
    is_usage = more[:1] in ([], [PICTURE]) and len(more) <= 2 and path.startswith("/")
    if not (is_usage and port.isascii() and port.isdigit()):
        print(USAGE, file=sys.stderr)
        return 2
    try:
        print(_asked(f"/preview/{port}"), flush=True)
        if more:
            _show(port, path)
    except Failed as error:
        print(f"ona-preview: {error}", file=sys.stderr)
        return 1
    return 0


def _show(port: str, path: str) -> None:
    """Take a picture, upload it and post it. :raises Failed:"""
    sys.path.insert(
        0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
    )
    from vmpool.guest.picture import NoPicture, find_browser, take

    try:
        # A browser takes seconds to find that out.
        socket.create_connection(("localhost", int(port)), timeout=SECONDS_MAX).close()
    except (OSError, OverflowError) as error:
        raise Failed(f"no picture: nothing listens on port {port}: {error}") from error
    try:
        picture = take(find_browser(os.environ), f"http://localhost:{port}{path}")
    except (NoPicture, OSError) as error:
        raise Failed(f"no picture: {error}") from error
    name = _asked("/tools/pictures", picture, kind="image/png")
    caption = f"Preview of port {port}" + (f": {path[:100]}" if path != "/" else "")
    call = {"name": "post_picture", "arguments": {"picture": name, "caption": caption}}
    request = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
    answer = json.loads(_asked("/tools/mcp", json.dumps(request).encode(), kind="application/json"))
    result = answer.get("result", {})
    if "error" in answer or result.get("isError"):
        parts = result.get("content") or [{"text": answer.get("error", {}).get("message")}]
        raise Failed(f"no picture: {parts[0]['text']}")


def _asked(path: str, body: bytes = b"", *, kind: str = "text/plain") -> str:
    """What the gateway answers. :raises Failed:"""
    where = os.environ.get("ONA_GATEWAY", DEFAULT_GATEWAY)
    connection = http.client.HTTPConnection(where, timeout=SECONDS_MAX)
    try:
        headers = {"Host": "gateway.ona", "Content-Type": kind}
        connection.request("POST", path, body=body, headers=headers)
        answer = connection.getresponse()
        said = answer.read(65_536).decode("utf-8", "replace").strip()
    except (OSError, http.client.HTTPException) as error:
        raise Failed(f"the gateway does not answer: {error}") from error
    finally:
        connection.close()
    if answer.status != 200:
        raise Failed(said or answer.reason)
    return said


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
