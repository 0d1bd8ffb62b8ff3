"""The parts of `make bench`: what is measured, and how long it may take at most.

A part is imported only by the process that runs it.
"""

import asyncio
import importlib
import inspect
from dataclasses import dataclass

from tests.bench.figures import Figure


@dataclass(frozen=True, kw_only=True)
class Part:
    """A function without parameters that returns figures; plain, or a coroutine function."""

    module: str
    function: str
    seconds_max: float
    about: str


PARTS: dict[str, Part] = {
    "throughput": Part(
        module="tests.bench.queue",
        function="throughput",
        seconds_max=300,
        about="prompts through the queue, against procrastinate",
    ),
    "accept": Part(
        module="tests.bench.queue",
        function="accept",
        seconds_max=90,
        about="a message until it is committed, against psycopg",
    ),
    "claim": Part(
        module="tests.bench.claim",
        function="measure",
        seconds_max=60,
        about="a commit until a worker has claimed, against NOTIFY",
    ),
    "chat-load": Part(
        module="tests.bench.chat_load",
        function="measure",
        seconds_max=1200,
        about="events of Slack until they are acknowledged, under load, against the bare SDK",
    ),
    "gateway": Part(
        module="tests.bench.gateway",
        function="measure",
        seconds_max=120,
        about="downloads and connections through the gateway, none, squid and mitmproxy; memory",
    ),
    "model-stream": Part(
        module="tests.bench.model_stream",
        function="measure",
        seconds_max=180,
        about="a model's stream through the gateway until its first event, against none",
    ),
    "grants": Part(
        module="tests.bench.grants",
        function="measure",
        seconds_max=180,
        about="all grants of a turn, against the same calls to Vault by hand",
    ),
    "replay": Part(
        module="tests.bench.replay",
        function="measure",
        seconds_max=120,
        about="10,000 updates of an agent until they are posted: CPU and memory",
    ),
    "overhead": Part(
        module="tests.bench.overhead",
        function="measure",
        seconds_max=900,
        about="what we add until an agent has asked its model, and until its events are shown",
    ),
    "first-byte": Part(
        module="tests.bench.first_byte",
        function="measure",
        seconds_max=180,
        about="a prompt until its first output is in the log, against SSH (boots a machine)",
    ),
    "rest": Part(
        module="tests.bench.rest",
        function="measure",
        seconds_max=210,
        about="hibernate and resume, against the same by hand (boots two machines)",
    ),
    "pool": Part(
        module="tests.bench.pool",
        function="measure",
        seconds_max=7200.0,
        about="machines handed out of a pool, against the driver's bare steps (boots many)",
    ),
    "decision": Part(
        module="tests.bench.pool",
        function="decide",
        seconds_max=60,
        about="one decision over 10,000 machines that wait",
    ),
    "schedules": Part(
        module="tests.bench.schedules",
        function="measure",
        seconds_max=1200,
        about="the clock: 10,000 schedules, how late, how taken over, nothing missed or doubled",
    ),
    "fleet": Part(
        module="tests.bench.fleet",
        function="measure",
        seconds_max=1800,
        about="500 targets, 25 at a time, against a turn alone; a person's prompt meanwhile",
    ),
    "memory": Part(
        module="tests.bench.memory",
        function="measure",
        seconds_max=240,
        about="`ona serve` and `ona work` with 1,000 sessions at rest (boots a machine)",
    ),
}


def run(part: Part) -> list[Figure]:
    """Measure it in this process."""
    measure = getattr(importlib.import_module(part.module), part.function)
    measured = measure()
    figures: list[Figure] = asyncio.run(measured) if inspect.iscoroutine(measured) else measured
    return figures
