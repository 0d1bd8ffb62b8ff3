"""What of a session's work tree is kept outside its machine: read there, and put back there.

The modules here run inside the machine as its agent. The host sends their text with each request
(`program`), so that a machine made weeks ago does what today's host expects; they use the standard
library and each other, nothing else.

    save    stdout: one JSON line, then the bundle if there is one
    restore stdin: the bundle.  stdout: one JSON line
    undo    the same, into a work tree that is in use

What is kept is one git commit, `refs/ona/tree` of the bundle: the files as they lie on disk, byte
for byte, past every filter of git. Its parents, as far as there are such: `head`; `index`, what
was staged; `files`, a tree of the conversation files. Its message is JSON {branch, parents: their
roles in order, refs, left_out}. So its id covers everything, and an equal id means: nothing new.
"""

from collections.abc import Mapping
from pathlib import Path

MODULES = {
    "save": ("git", "json", "look", "names", "scratch", "save"),
    "restore": ("git", "json", "scratch", "restore"),
    "undo": ("git", "json", "names", "scratch", "restore", "undo"),
}
"""What each script consists of, in the order in which it is imported."""


def program(entry: str, request: Mapping[str, object]) -> str:
    """Python text for `python3 -I -S -c` that runs `save`, `restore` or `undo`.

    `request`: what their `Request` takes; strings, integers, None and lists of strings
    """
    here = Path(__file__).parent
    lines = ["import sys", "Module = type(sys)"]
    for name in MODULES[entry]:
        source = (here / f"{name}.py").read_text(encoding="utf-8")
        full = f"{__name__}.{name}"
        lines.append(f"module = sys.modules[{full!r}] = Module({full!r})")
        lines.append(f"exec({source!r}, module.__dict__)")
    return "\n".join([*lines, f"module.main(module.Request(**{dict(request)!a}))", ""])
