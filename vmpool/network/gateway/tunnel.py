"""Connections that are passed on: what CONNECT opened, and what was redirected here.

A service may speak what it likes. Everything else has to say a name first, in TLS or in HTTP, and
it has to be the one that was decided. TLS is not opened: only the name in its first message is
read.
"""

import asyncio
import socket
import struct
from contextlib import suppress
from ipaddress import IPv4Address

from vmpool.network.gateway.attached import Attached, Passage
from vmpool.network.gateway.link import Link
from vmpool.network.gateway.ports import Refused
from vmpool.network.gateway.relay import relay
from vmpool.network.gateway.tls import (
    ACCESS_DENIED,
    HANDSHAKE,
    HELLO_BYTES_MAX,
    Hello,
    HelloReader,
    NotTls,
)
from vmpool.network.hosts import BadHost, address_of, normalise
from vmpool.network.slot import TLS_PORT

SO_ORIGINAL_DST = 80
"""From linux/netfilter_ipv4.h."""


class NotHere(Exception):
    """The client speaks HTTP, which is passed on by request and not by connection."""


def original_destination(sock: socket.socket) -> tuple[IPv4Address, int]:
    """Where a redirected connection was going. :raises OSError: it was not redirected"""
    found = sock.getsockopt(socket.SOL_IP, SO_ORIGINAL_DST, 16)
    port, address = struct.unpack_from("!2xH4s", found)
    return IPv4Address(address), port


async def begins_tls(at: Attached, link: Link, passage: Passage) -> bool:
    """Wait for what a client says first; whether it begins TLS. :raises Refused: it says nothing"""
    host, port = passage.host, passage.port
    try:
        async with asyncio.timeout(at.limits.head_seconds_max):
            if not link.held and not await link.more():
                raise Refused(f"{host}:{port} was closed without a word.")
    except TimeoutError as error:
        why = (
            f"{host}:{port} is allowed for TLS and HTTP, and the client waits for the server to "
            f"speak; a service `{host}:{port}` in the project's policy would allow any protocol."
        )
        raise at.refused(passage.way, host, port, why) from error
    return link.held[0] == HANDSHAKE


async def hello_of(at: Attached, link: Link, where: str) -> Hello:
    """Read the ClientHello, and leave it held. :raises Refused: it is none"""
    reader = HelloReader()
    try:
        async with asyncio.timeout(at.limits.head_seconds_max):
            while (hello := reader.read(link.held)) is None:
                if len(link.held) > HELLO_BYTES_MAX or not await link.more():
                    raise NotTls("the ClientHello does not end")
            return hello
    except (NotTls, TimeoutError) as error:
        words = str(error) or "the ClientHello did not come in time"
        raise at.refused("tls", where, TLS_PORT, f"{where} is refused: {words}.") from error


def check_name(at: Attached, hello: Hello, passage: Passage) -> None:
    """Hold the name in TLS against the one that was decided. :raises Refused: it is another"""
    host, port = passage.host, passage.port
    if hello.name is None and address_of(host) is not None:
        return
    with suppress(BadHost):
        if hello.name is not None and normalise(hello.name) == host:
            return
    asked = "no name" if hello.name is None else f"the name {hello.name[:253]!r}"
    why = f"{host}:{port} was asked for, but TLS asks for {asked}; both have to be the same."
    raise at.refused("tls", host, port, why)


async def pass_on(at: Attached, link: Link, upstream: socket.socket, passage: Passage) -> None:
    """Pass everything on to where it is allowed to, if it is what may be spoken there.

    :raises NotHere: it is HTTP
    :raises Refused: it is neither; the client has been told, as far as it understands
    """
    if not passage.decision.any_protocol:
        if not await begins_tls(at, link, passage):
            raise NotHere
        try:
            check_name(at, await hello_of(at, link, passage.host), passage)
        except Refused:
            await _deny(link)
            raise
    held, link.held = link.held, b""
    await asyncio.get_running_loop().sock_sendall(upstream, held)
    await asyncio.sleep(at.bytes.take(len(held)))
    await relay(link.sock, upstream, at.bytes.take, at.limits.idle_seconds_max)


async def serve_tls(at: Attached, link: Link) -> None:
    """A connection to the gateway's own port 443: where to is told by TLS alone.

    :raises Refused: it is not allowed; the client has been told
    :raises Unreachable: nobody answers there
    """
    hello = await hello_of(at, link, "a connection")
    try:
        if hello.name is None:
            why = "A connection without a server name is refused."
            raise at.refused("tls", "", TLS_PORT, why)
        passage = await at.decide("tls", hello.name, TLS_PORT)
        upstream = await at.connect(passage)
    except Refused:
        await _deny(link)
        raise
    with upstream:
        await pass_on(at, link, upstream, passage)


async def destination(at: Attached, link: Link) -> Passage:
    """Where a redirected connection goes. :raises Refused: nowhere that is allowed"""
    try:
        address, port = original_destination(link.sock)
    except OSError as error:
        raise at.refused("tcp", "", 0, "This port is not connected to directly.") from error
    host = at.names.name(address)
    if host is None:
        why = f"{address}:{port} is refused: this address belongs to no name; ask the resolver."
        raise at.refused("tcp", str(address), port, why)
    return await at.decide("tcp", host, port)


async def _deny(link: Link) -> None:
    with suppress(OSError):
        await link.send(ACCESS_DENIED)
