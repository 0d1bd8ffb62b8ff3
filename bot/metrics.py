"""What Prometheus reads at `/metrics`; one registry a process."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()

_FAST = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_SLOW = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)

ACCEPT_SECONDS = Histogram(
    "ona_accept_seconds", "Message in to committed.", buckets=_FAST, registry=REGISTRY
)
QUEUE_WAIT_SECONDS = Histogram(
    "ona_queue_wait_seconds",
    "Ready session to claimed by a worker.",
    buckets=_SLOW,
    registry=REGISTRY,
)
QUEUE_DEPTH = Gauge("ona_queue_depth", "Sessions that wait for a worker.", registry=REGISTRY)
TURNS = Counter("ona_turns", "Turns that ended, by outcome.", ["outcome"], registry=REGISTRY)
TURN_SECONDS = Histogram(
    "ona_turn_seconds", "Begin to outcome of a turn.", buckets=_SLOW, registry=REGISTRY
)
MACHINE_READY_SECONDS = Histogram(
    "ona_machine_ready_seconds",
    "Asked for a machine to its guest answering, by way: running, resumed, booted.",
    ["way"],
    buckets=_SLOW,
    registry=REGISTRY,
)
HIBERNATE_SECONDS = Histogram(
    "ona_hibernate_seconds", "Freeze to complete rest.", buckets=_SLOW, registry=REGISTRY
)
MACHINES = Gauge("ona_machines", "Machines of this host, by state.", ["state"], registry=REGISTRY)
OUTBOX_AGE_SECONDS = Gauge(
    "ona_outbox_age_seconds", "Age of the oldest reply that is due.", registry=REGISTRY
)
REPLIES = Counter("ona_replies", "Posts and edits, by result.", ["result"], registry=REGISTRY)
