"""The OpenBao that `ona up` brings along: initialised once, unsealed and prepared at each start.

    nothing ─▶ data.new: initialised, its key written ─▶ renamed to data ─▶ started ─▶ unsealed
                 └─ killed here: it held nothing, begun anew                              │
            our token, kept or made ◀─ mounts, roles, policies made where missing ◀───────┘

What a start does is done with a root token that is made of the unseal key and revoked again, so a
start also mends what an earlier one left half done. A server that an earlier process left behind
is ended first. While `kept`, a server that ended is started again at the same address, its token
is renewed, and its audit file is put aside when it has grown too long.
"""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import hvac
import requests
import structlog

from bot.errors import OnaError, Unfit
from bot.openbao import server
from bot.openbao.admin import Admin, NotDone
from bot.openbao.certificate import ensure_certificate
from bot.openbao.files import Files, sync_directory, write_private, write_unseal_key
from bot.openbao.server import Ports
from bot.store.postgres_sockets import choose_socket_dir, forget_socket_dir

log = structlog.get_logger(__name__)

START_SECONDS_MAX = 60.0
STARTS_MAX = 5
"""With other ports each time: somebody may take one before the server does."""
KEEP_SECONDS = 1.0
LOOK_SECONDS = 60.0
RENEW_SECONDS = 3600.0
TOKEN_PERIOD = "24h"
AUDIT_BYTES_MAX = 64 * 1024 * 1024
"""Of the file that is written, and again of the one before it."""

Prepare = Callable[[hvac.Client], None]
"""Makes what is missing in a Vault, with a token that may; runs in a thread."""


@dataclass(frozen=True, kw_only=True)
class Running:
    """Where our processes find it, and what they show there."""

    address: str
    ca_file: Path
    token_file: Path


def find_running(directory: Path) -> Running | None:
    """The one that another process, such as `ona up`, runs on a directory."""
    files = Files(directory.absolute())
    address = server.address(files)
    return None if address is None else _running(files, address)


def _running(files: Files, address: str) -> Running:
    return Running(address=address, ca_file=files.certificate, token_file=files.token)


class EmbeddedOpenBao:
    """One server on one directory; `start` and `stop` may be called again and again."""

    def __init__(
        self,
        directory: Path,
        prepare: Prepare,
        *,
        policy: str,
        audit_bytes_max: int = AUDIT_BYTES_MAX,
    ) -> None:
        """Keep it in `directory`; whoever calls sees that no other process does.

        :param policy: name of the one that our own token has; `prepare` makes it
        """
        self._files = Files(directory.absolute())
        self._prepare = prepare
        self._policy = policy
        self._audit_bytes_max = audit_bytes_max
        self._ports: Ports | None = None
        self._child: int | None = None
        self._looked = self._renewed = 0.0
        self._sealed = False
        self._log_since = 0
        """Where in its log the server that was started last began."""

    async def start(self) -> Running:
        """Return where one that is open and prepared answers.

        :raises Unfit: it can't run here; the text says why and what to do
        """
        files = self._files
        files.make_directory()
        await server.end(files, self._child)
        try:
            await asyncio.to_thread(ensure_certificate, files.certificate, files.key)
            if not files.data.exists():
                await self._make()
            key = files.unseal_key()
            admin = await self._launch(files.data)
            await self._open(admin, key)
            await self._ready(admin, key)
        except NotDone as error:
            await server.end(files, self._child)
            raise Unfit(
                f"the embedded OpenBao could not be set up: {error}"
                f" ({server.why_it_ended(files, self._log_since)})",
                kept="what is in it is as it was",
                do=f"look at {files.log}",
            ) from error
        assert self._ports is not None
        return _running(files, self._ports.address)

    async def stop(self) -> None:
        """End the server; it is sealed by that. Nothing runs: nothing to do."""
        await server.end(self._files, self._child)
        self._child = None
        forget_socket_dir(self._files.directory)

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """While inside, keep it running, its token alive and its audit file bounded."""
        keeping = asyncio.create_task(self._keep())
        try:
            yield
        finally:
            keeping.cancel()
            await asyncio.wait({keeping})

    # -- making and starting ----------------------------------------------------------------

    async def _make(self) -> None:
        """Initialise a storage beside the place where it belongs, and move it there complete."""
        files = self._files
        if files.making.exists():
            await asyncio.to_thread(shutil.rmtree, files.making)
        files.making.mkdir(mode=0o700)
        admin = await self._launch(files.making)
        key, root = await admin.initialise()
        write_unseal_key(files.making, key)
        # Whoever needs a root token makes one of the key; this one would never end.
        await admin.unseal(key)
        await admin.revoke(root)
        await server.end(files, self._child)
        files.making.rename(files.data)
        sync_directory(files.directory)
        # It is of a storage before this one.
        files.token.unlink(missing_ok=True)

    async def _launch(self, data: Path) -> Admin:
        """Start a server on the storage in `data`; it answers when this returns."""
        files = self._files
        store = data / "store"
        store.mkdir(exist_ok=True, mode=0o700)
        socket_path = choose_socket_dir(files.directory) / server.SOCKET_NAME
        admin = Admin(socket_path)
        for left in reversed(range(STARTS_MAX)):
            ports = self._ports or server.free_ports()
            configured = server.configuration(files, store, socket_path, ports)
            write_private(files.configuration, configured.encode())
            self._log_since = files.log.stat().st_size if files.log.exists() else 0
            self._child = server.spawn(files)
            if await self._answers(admin):
                self._ports = ports
                return admin
            await server.end(files, self._child)
            why = server.why_it_ended(files, self._log_since)
            if "address already in use" not in why or not left:
                raise self._no_start(why)
        raise AssertionError("the last start returns or raises")

    async def _answers(self, admin: Admin) -> bool:
        deadline = monotonic() + START_SECONDS_MAX
        while monotonic() < deadline and not self._child_ended():
            if await admin.status() is not None:
                return True
            await asyncio.sleep(server.POLL_SECONDS)
        return False

    def _child_ended(self) -> bool:
        """Whether there is no server of ours; its pid may be another child's from then on."""
        if server.reap(self._child):
            self._child = None
        return self._child is None

    def _no_start(self, why: str) -> Unfit:
        if "address already in use" in why and self._ports is not None:
            return Unfit(
                f"the port {self._ports.api} of the embedded OpenBao was taken meanwhile",
                kept="the secrets are as they were, and closed",
                do="stop `ona up` and start it again: it takes another port",
            )
        if "timeout" in why and "raft" in why:
            return Unfit(
                f"another process has the storage {self._files.data} open",
                kept="nothing was changed",
                do="end that process: `fuser -v` on its vault.db names it",
            )
        return Unfit(
            f"OpenBao did not start: {why}",
            kept="the secrets are as they were, and closed",
            do=f"look at {self._files.log}",
        )

    async def _open(self, admin: Admin, key: str) -> None:
        status = await admin.status()
        if status is not None and not status["initialized"]:
            raise Unfit(
                f"the storage {self._files.data} is empty, though it was initialised once",
                kept="nothing was changed",
                do=f"bring {self._files.data} back from a copy, or move it away to begin anew",
            )
        try:
            opened = await admin.unseal(key)
        except NotDone as error:
            if not error.status:
                raise
            opened = False
        if not opened:
            await server.end(self._files, self._child)
            raise Unfit(
                f"the key in {self._files.data} does not open the storage beside it",
                kept="the secrets are as they were, and closed",
                do="bring both back from the same copy",
            )
        self._sealed = False

    async def _ready(self, admin: Admin, key: str) -> None:
        """Make what is missing in it, and see that we have a token."""
        async with admin.root(key) as root:
            await asyncio.to_thread(self._prepare_as, root)
            if not await self._renew(admin):
                token = await admin.make_token(root, self._policy, period=TOKEN_PERIOD)
                write_private(self._files.token, f"{token}\n".encode())
        self._renewed = self._looked = monotonic()

    def _prepare_as(self, root: str) -> None:
        assert self._ports is not None
        with requests.Session() as session:
            # Neither a proxy of the environment nor what ~/.netrc has is for this.
            session.trust_env = False
            session.verify = str(self._files.certificate)
            client = hvac.Client(
                url=self._ports.address, token=root, session=session, verify=session.verify
            )
            try:
                self._prepare(client)
            except (hvac.exceptions.VaultError, requests.RequestException) as error:
                raise NotDone(f"preparing it failed: {error}") from error

    async def _renew(self, admin: Admin) -> bool:
        """Whether our token lives on."""
        try:
            token = self._files.token.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return False
        return bool(token) and await admin.renew(token)

    # -- keeping ----------------------------------------------------------------------------

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(KEEP_SECONDS)
            self._child_ended()
            try:
                if server.running(self._files) is None:
                    log.error("openbao_ended", directory=str(self._files.directory))
                    # Not half a start: nobody would know of the server that comes of it.
                    again = asyncio.create_task(self._start_again())
                    try:
                        await asyncio.shield(again)
                    finally:
                        await asyncio.wait({again})
                else:
                    self._rotate()
                    await self._look()
            except (OnaError, OSError) as error:
                log.warning("openbao_not_kept", why=str(error))

    async def _start_again(self) -> None:
        try:
            await self.start()
        except (OnaError, OSError) as error:
            log.error("openbao_away", why=str(error))

    def _rotate(self) -> None:
        audit = self._files.audit
        with contextlib.suppress(FileNotFoundError):
            if audit.stat().st_size > self._audit_bytes_max:
                audit.replace(audit.with_name("audit.old.log"))
                server.reopen(self._files)

    async def _look(self) -> None:
        """Now and then: is it open, and does our token live on."""
        now = monotonic()
        if now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        admin = Admin(choose_socket_dir(self._files.directory) / server.SOCKET_NAME)
        status = await admin.status()
        if status is None:
            log.error("openbao_silent", directory=str(self._files.directory))
            return
        if status["sealed"]:
            # Somebody who sealed it wants it closed: only a start by hand opens it again.
            if not self._sealed:
                log.error("openbao_sealed", do="stop `ona up` and start it again to unseal it")
            self._sealed = True
            return
        if now - self._renewed < RENEW_SECONDS:
            return
        if await self._renew(admin):
            self._renewed = now
        else:
            await self._ready(admin, self._files.unseal_key())
