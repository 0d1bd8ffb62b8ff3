"""The only way out of a machine: one service per host that decides, resolves, injects and counts.

service    attach and detach machines, accept      doors     the sockets inside a slot
attached   one machine: decide, connect, note      limits    what one machine may take
proxy      HTTP and CONNECT, own pages             tunnel    TLS and services, by name
resolver   DNS, over dns and names                 upstream  resolve, decide again, connect
routes     named upstreams with injected headers   …_route   those with a protocol of their own
"""

from vmpool.network.gateway.doors import Doors
from vmpool.network.gateway.limits import Limits
from vmpool.network.gateway.ports import (
    Access,
    Accesses,
    Audit,
    Event,
    Identity,
    Names,
    NoTurn,
    Refused,
    Unreachable,
)
from vmpool.network.gateway.routes import Route, UpstreamRoute
from vmpool.network.gateway.service import Gateway

__all__ = [
    "Access",
    "Accesses",
    "Audit",
    "Doors",
    "Event",
    "Gateway",
    "Identity",
    "Limits",
    "Names",
    "NoTurn",
    "Refused",
    "Route",
    "Unreachable",
    "UpstreamRoute",
]
