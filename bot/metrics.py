"""What Prometheus reads at `/metrics`: one registry for each role of a process.

`ona work` has no port: it writes its registry to a file beside its machines, and `ona serve` on the
same host shows that file together with its own.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

SERVE = CollectorRegistry()
WORK = CollectorRegistry()
SENDER = CollectorRegistry()
"""Of the outbox; the process that sends shows it with its own, see `Sending`."""

_FAST = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_SLOW = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_WIDE = (0.001, 0.0025, 0.005, 0.01, 0.025, *_SLOW)

ACCEPT_SECONDS = Histogram(
    "ona_accept_seconds", "Message in to committed.", buckets=_FAST, registry=SERVE
)
QUEUE_WAIT_SECONDS = Histogram(
    "ona_queue_wait_seconds",
    "Ready session to claimed by a worker.",
    buckets=_SLOW,
    registry=WORK,
)
QUEUE_DEPTH = Gauge("ona_queue_depth", "Sessions that wait for a worker.", registry=SERVE)
TURNS = Counter("ona_turns", "Turns that ended, by outcome.", ["outcome"], registry=WORK)
TURN_SECONDS = Histogram(
    "ona_turn_seconds",
    "How long workers ran a turn, until its outcome; waiting for a person does not count.",
    buckets=_SLOW,
    registry=WORK,
)
TURN_STEP_SECONDS = Histogram(
    "ona_turn_step_seconds",
    "From a session claimed to its agent's program started, by step: allowed, machine (with its"
    " repository), grants (waited for beyond that), begun, briefed, started.",
    ["step"],
    buckets=_WIDE,
    registry=WORK,
)
DELIVERIES = Counter(
    "ona_deliveries",
    "Turns whose work was to be delivered, by what became of it: delivered, nothing, kept, failed.",
    ["result"],
    registry=WORK,
)
MACHINE_READY_SECONDS = Histogram(
    "ona_machine_ready_seconds",
    "Asked for a machine to its guest answering, by way: running, resumed, hot, cold, boot.",
    ["way"],
    buckets=_SLOW,
    registry=WORK,
)
HIBERNATE_SECONDS = Histogram(
    "ona_hibernate_seconds", "Freeze to complete rest.", buckets=_SLOW, registry=WORK
)
MACHINES = Gauge("ona_machines", "Machines of this host, by state.", ["state"], registry=WORK)
OUTBOX_AGE_SECONDS = Gauge(
    "ona_outbox_age_seconds",
    "How long the oldest reply has waited to be sent, by surface.",
    ["surface"],
    registry=SENDER,
)
REPLIES = Counter("ona_replies", "Posts and edits, by result.", ["result"], registry=SENDER)


@contextmanager
def turn_step(name: str) -> Iterator[None]:
    """Time a step of a turn; one that fails is not counted: it may be tried again and again."""
    began = monotonic()
    yield
    TURN_STEP_SECONDS.labels(step=name).observe(monotonic() - began)


class Sending(Collector):
    """The metrics of the outbox, for the registry of whichever process runs it."""

    def collect(self) -> Iterable[Metric]:
        """The families as they are now."""
        return SENDER.collect()


class WorkFile(Collector):
    """The metrics of the `ona work` of this host, from the file that it writes."""

    def __init__(self, path: Path) -> None:
        """The file may be missing: nothing works here."""
        self._path = path

    def collect(self) -> Iterable[Metric]:
        """The families in the file, as they were when it was written."""
        try:
            written = self._path.read_text(encoding="utf-8")
        except OSError:
            return []
        return text_string_to_metric_families(written)


def write_work_metrics(path: Path) -> None:
    """Write the registry of `ona work` for `WorkFile`, by rename."""
    new = path.with_suffix(f".{os.getpid()}")
    new.write_bytes(generate_latest(WORK))
    new.rename(path)
