#!/usr/bin/python3 -IS
"""`ona-ask "text" [choice...]`: ask the person who is talked to, print what they answer.

Exit 0 answered, 1 nobody could be asked, 2 wrong usage. It waits as long as it takes, through
hibernation too; ended by a signal, the question is withdrawn.
"""

import json
import os
import socket
import sys

DEFAULT_SOCKET = "/run/ona/job.sock"


def main(argv: list[str]) -> int:
    """Ask and wait."""
    if not argv or argv[0] in {"-h", "--help"}:
        print('usage: ona-ask "question" [choice...]', file=sys.stderr)
        return 2
    request = json.dumps({"text": argv[0], "choices": argv[1:]}).encode() + b"\n"
    answer = b""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.connect(os.environ.get("ONA_JOB_SOCKET", DEFAULT_SOCKET))
            sock.sendall(request)
            while not answer.endswith(b"\n"):
                data = sock.recv(65536)
                if not data:
                    raise ConnectionError("the machine hung up")
                answer += data
        words = json.loads(answer)
    except (OSError, ValueError) as error:
        words = {"error": str(error)}
    if "answer" not in words:
        print(f"ona-ask: {words.get('error', 'no answer')}", file=sys.stderr)
        return 1
    print(words["answer"])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
