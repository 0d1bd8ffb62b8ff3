#!/usr/bin/python3 -IS
"""`ona TOOL …`: the tools of a machine under one name; `ona preview 3000` is `ona-preview 3000`."""

import os
import sys

TOOLS = ("ask", "preview", "token")


def main(argv: list[str]) -> int:
    """Become the tool."""
    if not argv or argv[0] not in TOOLS:
        print(f"usage: ona {'|'.join(TOOLS)} …", file=sys.stderr)
        return 2
    name = f"ona-{argv[0]}"
    try:
        os.execvp(name, [name, *argv[1:]])
    except OSError as error:
        print(f"ona: {name}: {error.strerror}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
