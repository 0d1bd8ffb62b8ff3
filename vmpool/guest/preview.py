#!/usr/bin/python3 -IS
"""`ona-preview PORT`: print an address under which people see what listens on a port here.

They sign in there, and need the right to write to the project; the machine wakes for them.
Exit 0 printed, 1 there is none, 2 wrong usage.
"""

import http.client
import os
import sys

DEFAULT_GATEWAY = "172.16.0.1:80"
SECONDS_MAX = 30.0


def main(argv: list[str]) -> int:
    """Ask the gateway, which knows whose machine this is."""
    if len(argv) != 1 or not (argv[0].isascii() and argv[0].isdigit()):
        print("usage: ona-preview PORT", file=sys.stderr)
        return 2
    where = os.environ.get("ONA_GATEWAY", DEFAULT_GATEWAY)
    connection = http.client.HTTPConnection(where, timeout=SECONDS_MAX)
    try:
        connection.request("POST", f"/preview/{argv[0]}", headers={"Host": "gateway.ona"})
        answer = connection.getresponse()
        said = answer.read(65_536).decode("utf-8", "replace").strip()
    except (OSError, http.client.HTTPException) as error:
        print(f"ona-preview: the gateway does not answer: {error}", file=sys.stderr)
        return 1
    finally:
        connection.close()
    if answer.status != 200:
        print(f"ona-preview: {said or answer.reason}", file=sys.stderr)
        return 1
    print(said)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
