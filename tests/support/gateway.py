"""A gateway on loopback sockets, the servers behind it, and what a client says to it."""

import asyncio
import datetime
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID, uuid4

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from vmpool.network.gateway import Access, Doors, Event, Gateway, Identity, Limits
from vmpool.network.gateway.doors import listen
from vmpool.network.gateway.routes import Route
from vmpool.network.hosts import Address
from vmpool.network.policy import Policy, Rule, read_rule

LOOPBACK = "127.0.0.1"


class MemoryNames:
    """Names that outlive a gateway, though not the test."""

    def __init__(self) -> None:
        self.rows: dict[UUID, dict[str, int]] = {}

    async def known(self, machine: UUID) -> Mapping[str, int]:
        return dict(self.rows.get(machine, {}))

    async def add(self, machine: UUID, name: str) -> int:
        names = self.rows.setdefault(machine, {})
        return names.setdefault(name, len(names))


def allow(*texts: str) -> tuple[Rule, ...]:
    return tuple(read_rule(text, allow=True, source="policy of project web") for text in texts)


def deny(*texts: str) -> tuple[Rule, ...]:
    return tuple(read_rule(text, allow=False, source="policy of everything") for text in texts)


@dataclass
class Zone:
    """What the world's DNS says; a name that is not there has no address."""

    hosts: dict[str, list[str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    seconds: float = 0.0
    """How long it takes."""
    one_by_one: set[str] = field(default_factory=set)
    """Names that have another of their addresses each time, from the second one on."""

    async def __call__(self, host: str) -> Sequence[Address]:
        self.asked.append(host)
        await asyncio.sleep(self.seconds)
        if host not in self.hosts:
            raise OSError(f"{host} is not known")
        found = [ipaddress.ip_address(each) for each in self.hosts[host]]
        if host in self.one_by_one:
            return [found[self.asked.count(host) % len(found)]]
        return found


@dataclass
class Rig:
    """One machine at one gateway."""

    gateway: Gateway
    who: Identity
    zone: Zone
    names: MemoryNames
    proxy: int = 0
    web: int = 0
    tls: int = 0
    dns: int = 0
    dns_stream: int = 0
    policy: Policy = field(default_factory=Policy)
    routes: tuple[Route, ...] = ()
    events: list[Event] = field(default_factory=list)

    async def access(self, who: Identity) -> Access:
        return Access(self.policy, self.routes) if who == self.who else Access()

    def denied(self) -> list[str]:
        return [event.reason for event in self.events if not event.allowed]

    async def attach(self, who: Identity | None = None) -> None:
        doors = loopback_doors()
        await self.gateway.attach(doors, who or self.who)
        ports = {name: sock.getsockname()[1] for name, sock in doors.streams().items()}
        self.proxy, self.web, self.tls = ports["proxy"], ports["web"], ports["tls"]
        self.dns_stream = ports["dns_stream"]
        assert doors.dns is not None
        self.dns = doors.dns.getsockname()[1]


def loopback_doors() -> Doors:
    return Doors(
        proxy=listen(LOOPBACK, 0),
        web=listen(LOOPBACK, 0),
        tls=listen(LOOPBACK, 0),
        dns=listen(LOOPBACK, 0, socket.SOCK_DGRAM),
        dns_stream=listen(LOOPBACK, 0),
    )


@asynccontextmanager
async def rig(
    limits: Limits | None = None,
    tls: ssl.SSLContext | None = None,
    zone: Zone | None = None,
) -> AsyncIterator[Rig]:
    """A gateway with one machine attached, which may reach nothing."""
    zone, names = zone or Zone(), MemoryNames()
    who = Identity(machine=uuid4(), session=uuid4(), project=uuid4())
    made: list[Rig] = []

    async def access(asking: Identity) -> Access:
        return await made[0].access(asking)

    def audit(event: Event) -> None:
        made[0].events.append(event)

    gateway = Gateway(
        access=access,
        audit=audit,
        names=names,
        limits=limits,
        resolve=zone,
        tls=tls,
    )
    made.append(Rig(gateway=gateway, who=who, zone=zone, names=names))
    try:
        await made[0].attach()
        yield made[0]
    finally:
        await gateway.close()


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(
    serve: Serve, tls: ssl.SSLContext | None = None, *, address: str = LOOPBACK, port: int = 0
) -> AsyncIterator[int]:
    """A server on loopback; its port."""

    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            await serve(reader, writer)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(handle(reader, writer)))
        writers.append(writer)

    writers: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(accepted, address, port, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in writers:
            writer.transport.abort()


@dataclass
class Heard:
    """What servers got, head by head and body by body."""

    heads: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def server(self, answer: bytes | None = None) -> Serve:
        """An HTTP server that keeps what it got and answers 200."""
        reply = answer or b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.heads.append(head.decode())
                self.bodies.append(await _body(head.lower(), reader))
                writer.write(reply)
                await writer.drain()

        return serve


async def _body(head: bytes, reader: asyncio.StreamReader) -> bytes:
    if b"content-length:" in head:
        return await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
    body = b""
    if b"transfer-encoding: chunked" in head:
        while size := int(await reader.readline(), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readline()
    return body


async def talk(
    port: int, said: bytes, *, seconds: float = 5.0, address: str = LOOPBACK, read: int = -1
) -> bytes:
    """Say something to a port, and hear everything until the other side closes."""
    reader, writer = await asyncio.open_connection(address, port)
    try:
        writer.write(said)
        async with asyncio.timeout(seconds):
            return await reader.read(read)
    finally:
        writer.close()


async def get(port: int, target: str, host: str, *more: str) -> str:
    """One request, and the whole answer as text."""
    head = "\r\n".join([f"GET {target} HTTP/1.1", f"Host: {host}", "Connection: close", *more])
    return (await talk(port, f"{head}\r\n\r\n".encode())).decode()


async def connect(port: int, target: str) -> tuple[str, asyncio.StreamReader, asyncio.StreamWriter]:
    """Ask for a tunnel; the head of the answer, and what it leads to."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    writer.write(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    except BaseException:
        writer.close()
        raise
    return head, reader, writer


async def tunnel_head(port: int, target: str) -> str:
    """What is answered to a CONNECT."""
    head, _, writer = await connect(port, target)
    writer.close()
    return head


@dataclass(frozen=True)
class Certificates:
    """An authority of the test's, and one server's certificate."""

    server: ssl.SSLContext
    client: ssl.SSLContext
    authority: Path


def certificates(directory: Path, *names: str) -> Certificates:
    """A certificate for these names, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), False)
        .sign(key, hashes.SHA256())
    )
    authority, secret = directory / "authority.pem", directory / "key.pem"
    authority.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(authority, secret)
    return Certificates(server, ssl.create_default_context(cafile=str(authority)), authority)
