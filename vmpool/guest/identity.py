#!/usr/bin/python3 -IS
"""`ona-token --audience NAME`: print an identity token of this session for a service.

The token says which session works here, of which project and for whom, to whoever it is meant for;
it lives for minutes. Exit 0 printed, 1 there is none, 2 wrong usage.
"""

import http.client
import os
import sys
from urllib.parse import quote

DEFAULT_GATEWAY = "172.16.0.1:80"
SECONDS_MAX = 30.0


def main(argv: list[str]) -> int:
    """Ask the gateway, which knows whose machine this is."""
    if len(argv) != 2 or argv[0] != "--audience" or not argv[1]:
        print("usage: ona-token --audience NAME", file=sys.stderr)
        return 2
    where = os.environ.get("ONA_GATEWAY", DEFAULT_GATEWAY)
    connection = http.client.HTTPConnection(where, timeout=SECONDS_MAX)
    try:
        path = f"/identity/token?audience={quote(argv[1], safe='')}"
        connection.request("GET", path, headers={"Host": "gateway.ona"})
        answer = connection.getresponse()
        said = answer.read(65_536).decode("utf-8", "replace").strip()
    except (OSError, http.client.HTTPException) as error:
        print(f"ona-token: the gateway does not answer: {error}", file=sys.stderr)
        return 1
    finally:
        connection.close()
    if answer.status != 200:
        print(f"ona-token: {said or answer.reason}", file=sys.stderr)
        return 1
    print(said)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
