"""The first prompt of `ona up`: asked through the same door as everybody's, and followed."""

import asyncio
from pathlib import Path

import httpx2

from bot.steps import Say
from bot.web.lines import line
from bot.words.places import here

FIRST_PROMPT = '!echo "Hello from a machine of $(basename $PWD)"; uname -sr; git log -1 --oneline'
SAID = frozenset({"output", "text", "error", "notice"})
"""Kinds of events that are a part of the reply."""
LOOK_SECONDS = 0.1


async def ask_in(directory: Path, client: httpx2.AsyncClient, prompt: str, heard: Say) -> str:
    """Ask as `ona ask` does in this directory; what came back, when the turn has ended.

    :param heard: is told what goes on until then, such as a machine that is made
    """
    body = {"text": prompt, "thread": here(directory), "surface": "terminal"}
    asked = await client.post("/api/v1/prompts", json=body)
    asked.raise_for_status()
    accepted = asked.json()
    session, after = accepted["session"], accepted["event"]
    lines: list[str] = []
    while True:
        page = await client.get(
            f"/api/v1/sessions/{session}/events", params={"after": after, "limit": 200}
        )
        page.raise_for_status()
        for event in page.json()["events"]:
            after, kind, body = event["number"], event["kind"], event["body"]
            if kind in SAID:
                lines.append(body["text"].rstrip("\n"))
            elif kind == "turn.ended":
                return "\n".join([*lines, f"— {body['outcome']}: {body['summary']}"])
            elif (made := line(kind, body)).look == "note":
                heard(made.text)
        await asyncio.sleep(LOOK_SECONDS)
