"""The relay of this host, as the settings want it, and what the database says of it."""

import asyncio
import hashlib
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from sqlalchemy import text

from bot.config import VisitSettings
from bot.govern.visit_grants import Verifier, read_key
from bot.ground import Ground
from bot.work.relay import Relay, RelayLimits
from vmpool.pool import Pool
from vmpool.registry import Registry
from vmpool.ssh import Authority

CERTIFICATE_DAYS = 3650
"""Made anew at each start, and known by its fingerprint alone."""

_SAY = text(
    """
    INSERT INTO relay (host_id, socket, address, fingerprint)
    VALUES (:host, :socket, :address, :fingerprint)
    ON CONFLICT (host_id) DO UPDATE SET socket = excluded.socket, address = excluded.address,
           fingerprint = excluded.fingerprint, at = now()
    """
)


@asynccontextmanager
async def relay_open(
    base: Ground, host_id: UUID, *, pool: Pool, registry: Registry, authority: Authority
) -> AsyncIterator[None]:
    """Take visitors into this host's machines, until the process is told to stop."""
    known = base.settings.visits
    relay = Relay(
        pool.visits, registry, authority, Verifier(await read_key(base.database)), limits_of(known)
    )
    path = base.settings.host_dir / "relay.sock"
    address, tls, fingerprint = _listens(known), None, ""
    if address is not None:
        tls, fingerprint = await asyncio.to_thread(_certificate, base.settings.host_dir)
    ready = asyncio.Event()

    async def run() -> None:
        async with relay.listen(path, address=address, tls=tls) as port:
            said = {"host": host_id, "socket": str(path), "fingerprint": fingerprint}
            said["address"] = known.address or (f"{os.uname().nodename}:{port}" if port else "")
            async with base.database.begin() as tx:
                await tx.execute(_SAY, said)
            ready.set()
            await base.signals.stop.wait()

    running = asyncio.create_task(run())
    waiting = asyncio.create_task(ready.wait())
    try:
        await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
        yield
    finally:
        for task in (running, waiting):
            task.cancel()
        await asyncio.gather(running, waiting, return_exceptions=True)


def _listens(known: VisitSettings) -> tuple[str, int] | None:
    host, _, port = known.listen.rpartition(":")
    return (host.strip("[]"), int(port)) if known.listen else None


def limits_of(known: VisitSettings) -> RelayLimits:
    """What the settings allow."""
    return RelayLimits(
        connections_max=known.connections_max,
        session_connections_max=known.session_connections_max,
        idle_seconds=known.idle_seconds,
    )


def _certificate(directory: Path) -> tuple[ssl.SSLContext, str]:
    """A TLS certificate of this start's own, and its fingerprint."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ona relay")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=CERTIFICATE_DAYS))
        .sign(key, hashes.SHA256())
    )
    der = made.public_bytes(serialization.Encoding.DER)
    return _context(directory, key, made), hashlib.sha256(der).hexdigest()


def _context(
    directory: Path, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate
) -> ssl.SSLContext:
    """A server's; `ssl` reads keys from files alone, so one is there for a moment."""
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path = directory / "relay.pem"
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(path)
    path.unlink()
    return context
