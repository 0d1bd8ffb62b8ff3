"""What a machine may reach: the lines of a policy, and what they say of a host and a port. Pure.

    nothing says anything ──▶ refused          any line denies ──▶ refused, whoever wrote it
    a line allows, none denies ──▶ allowed     the host has a route ──▶ refused: it has a route

A line names a host exactly, all hosts below one (`*.example.com`, not `example.com` itself), an
address or a range of them. Names are decided before anything is resolved; the addresses that a
name has are decided once more, as nobody reaches the private network, the metadata service or the
host itself because somebody's name points there.
"""

import ipaddress
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from vmpool.network.hosts import (
    Address,
    BadHost,
    Network,
    address_of,
    is_by_range,
    is_internet_name,
    kind_of,
    normalise,
    plain,
)

WEB_PORTS = (80, 443)
"""What a line without a port allows."""
PORT_MAX = 65535
BELOW = "*."


class BadRule(ValueError):
    """A line of a policy that can't be read; the text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of a policy. The host is normalised when it is made.

    :raises BadRule: the host or the port is none
    """

    allow: bool
    host: str
    """`example.com`, `*.example.com`, `10.1.2.3` or `10.1.2.0/24`."""
    port: int | None = None
    """None: the web's, if it allows; every one, if it denies."""
    source: str = ""
    """Which line of which policy, for people: `policy of project web, line 3`."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "host", _pattern(self.host))
        if self.port is not None and not 0 < self.port <= PORT_MAX:
            raise BadRule(f"{self.port} is not a port; they go from 1 to {PORT_MAX}")

    @property
    def network(self) -> Network | None:
        """The addresses it names; None: it names hosts."""
        if "/" not in self.host and address_of(self.host) is None:
            return None
        return ipaddress.ip_network(self.host)

    @property
    def ports(self) -> tuple[int, ...]:
        """Those that it allows; an allowing line has at least one."""
        return WEB_PORTS if self.port is None else (self.port,)

    def covers_port(self, port: int) -> bool:
        """Whether it speaks of a port."""
        if self.port is None:
            return not self.allow or port in WEB_PORTS
        return self.port == port

    def covers(self, host: str, port: int) -> bool:
        """Whether it speaks of a normalised host and a port."""
        return self.covers_port(port) and self.covers_host(host)

    def covers_host(self, host: str) -> bool:
        """Whether it speaks of a normalised host, on some port."""
        address, network = address_of(host), self.network
        if network is not None:
            return address is not None and address in network
        if self.host.startswith(BELOW):
            return address is None and host.endswith(self.host[1:])
        return host == self.host

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host and self.port else self.host
        port = "" if self.port is None else f":{self.port}"
        return f"{'allow' if self.allow else 'deny'} {host}{port}"


@dataclass(frozen=True, slots=True)
class Routed:
    """A host that is reached by a route of the gateway's, and no other way."""

    host: str
    """Normalised when it is made. :raises BadRule:."""
    prefix: str
    """Where the gateway serves it: `/forge/github/`."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "host", _pattern(self.host))


@dataclass(frozen=True, slots=True)
class Policy:
    """Everything that is said of one project, the installation's lines before its own."""

    rules: tuple[Rule, ...] = ()
    """For the web: HTTP and TLS, by name."""
    services: tuple[Rule, ...] = ()
    """For any protocol over TCP. Each has a port."""
    routed: tuple[Routed, ...] = ()

    def __post_init__(self) -> None:
        for rule in self.services:
            if rule.port is None:
                raise BadRule(f"{rule.host} is named as a service, so it needs a port")

    def lines(self) -> Iterator[Rule]:
        """All of it."""
        yield from self.rules
        yield from self.services


@dataclass(frozen=True, slots=True)
class Decision:
    """What a policy says of one host and port."""

    allowed: bool
    reason: str
    """One sentence: by which line, or what would allow it."""
    rule: Rule | None = None
    """The line that decided; None: none did."""
    any_protocol: bool = False
    """It is a service: what is spoken there is not looked at."""
    open: bool = False
    """It is refused because no line says anything of it, and people may be asked: it is a name of
    the internet, never an address."""


def read_rule(text: str, *, allow: bool, source: str) -> Rule:
    """Read `HOST`, `HOST:PORT`, `[IPV6]:PORT`, or an address or range in place of the host.

    :raises BadRule: it is none of these
    """
    text = text.strip()
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]") or (":" in host and not host.endswith("]")):
        # No port, or an IPv6 address whose last part only looks like one.
        return Rule(allow, text, None, source)
    if not (port.isascii() and port.isdecimal()):
        raise BadRule(f"{port!r} is not a port")
    return Rule(allow, host.strip("[]"), int(port), source)


def decide(policy: Policy, host: str, port: int) -> Decision:
    """What a policy says of a host as a client spelled it, before anything is resolved."""
    try:
        host = normalise(host)
    except BadHost as error:
        return Decision(False, f"{host[:80]!r} is refused: {error}.")
    where = _where(host, port)
    matching = [rule for rule in policy.lines() if rule.covers(host, port)]
    denied = next((rule for rule in matching if not rule.allow), None)
    if denied is not None:
        return Decision(False, f"{where} is denied by {_said(denied)}.", denied)
    for routed in policy.routed:
        if Rule(True, routed.host, port).covers(host, port):
            way = f"http://gateway.ona{routed.prefix}"
            return Decision(False, f"{host} is reached through {way} and no other way.")
    if not matching:
        return Decision(False, _unnamed(policy, host, port), open=is_internet_name(host))
    services = [rule for rule in matching if rule in policy.services]
    rule = (services or matching)[0]
    reason = f"{where} is allowed by {_said(rule)}."
    return Decision(True, reason, rule, any_protocol=bool(services))


def allowances(destinations: Iterable[tuple[str, int]], source: str) -> Policy:
    """What people let one session reach besides its policy.

    Each names one host of the internet and one port, for TLS and HTTP. It is one more line that
    allows, so that any line that denies wins, and an address that nobody names stays refused.
    """
    return Policy(
        rules=tuple(
            Rule(True, host, port, source)
            for host, port in destinations
            if is_internet_name(normalise(host))
        )
    )


def open_ports(policy: Policy, host: str) -> tuple[int, ...]:
    """On which ports a normalised host is allowed at all."""
    lines = [rule for rule in policy.lines() if rule.allow and rule.covers_host(host)]
    ports = sorted({port for rule in lines for port in rule.ports})
    return tuple(port for port in ports if decide(policy, host, port).allowed)


def decide_address(
    policy: Policy, host: str, port: int, address: Address, own: Collection[Address] = ()
) -> Decision:
    """What a policy says of an address that an allowed host has.

    :param own: the addresses of the gateway's host
    """
    address = plain(address)
    where = f"{_where(host, port)} is at {address}, and"
    named = [
        (rule, rule.network)
        for rule in policy.lines()
        if rule.network is not None and address in rule.network and rule.covers_port(port)
    ]
    denied = next((rule for rule, _ in named if not rule.allow), None)
    if denied is not None:
        return Decision(False, f"{where} that is denied by {_said(denied)}.", denied)
    kind = kind_of(address, own)
    if kind is None:
        return Decision(True, f"{where} that is of the internet.")
    for rule, network in named:
        if is_by_range(kind) or network.num_addresses == 1:
            return Decision(True, f"{where} that is named by {_said(rule)}.", rule)
    line = Rule(True, str(address), port)
    alone = "" if is_by_range(kind) else ", by itself and not in a range"
    reason = f"{where} that is {kind}; only a policy that names it{alone} allows it: `{line}`."
    return Decision(False, reason)


def _pattern(host: str) -> str:
    """:raises BadRule: it names no hosts"""
    host = host.strip()
    try:
        if "/" in host:
            return str(ipaddress.ip_network(host.strip("[]")))
        if host.startswith(BELOW):
            below = normalise(host.removeprefix(BELOW))
            if address_of(below) is not None:
                raise BadHost("nothing is below an address")
            return BELOW + below
        return normalise(host)
    except ValueError as error:  # BadHost is one
        raise BadRule(f"{host!r} is refused: {error}") from error


def _unnamed(policy: Policy, host: str, port: int) -> str:
    line = Rule(True, host, None if port in WEB_PORTS else port)
    others = [rule for rule in policy.lines() if rule.allow and rule.covers_host(host)]
    why = "no line of the policy names it"
    if others:
        ports = sorted({each for rule in others for each in rule.ports})
        shown = ", ".join(map(str, ports))
        why = f"the policy allows {host} on port {shown} only"
    where = _where(host, port)
    return f"{where} is not allowed: {why}; a line `{line}` in the project's policy would allow it."


def _where(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _said(rule: Rule) -> str:
    return f"`{rule}`" + (f" ({rule.source})" if rule.source else "")
