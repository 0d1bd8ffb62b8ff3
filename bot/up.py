"""All in one: everything that a Linux machine needs to run ona, from one command to a reply.

    database ─▶ image ─▶ accelerator ─▶ OpenBao ─▶ serve + work ─▶ first project ─▶ first
    prompt ─▶ stay

Each step says what it does and how long it took. Ctrl-C stops everything in the reverse order:
turns are handed back, machines hibernate, the database ends last.
"""

import asyncio
import getpass
import hashlib
import os
import subprocess
from collections.abc import Awaitable, Mapping
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from time import monotonic, sleep

import httpx2
import hvac

from adapters.vault.errors import Misasked
from adapters.vault.importing import import_rsa_key
from adapters.vault.prepare import OWN_POLICY, Names, prepare
from bot.config import Settings
from bot.errors import OnaError, Unfit, WrongSettings
from bot.first_prompt import FIRST_PROMPT, ask_in
from bot.govern.credentials import issue, issue_token, signed_in
from bot.govern.installation import read_installation_policy
from bot.govern.people import LOCAL, ensure_person
from bot.govern.projects import NewProject, add_project, list_projects
from bot.ground import only_process
from bot.hypervisor import chosen_hypervisor
from bot.openbao.embedded import EmbeddedOpenBao
from bot.processes import Overseer
from bot.steps import Say, Steps
from bot.store.database import Database
from bot.store.embedded import EmbeddedPostgres
from bot.store.migrate import upgrade
from bot.supervisor import Child, Signals, Supervisor, ona_argv
from bot.work.worker import unless
from vmpool.image import ensure_image
from vmpool.network.policy import Policy

READY_SECONDS_MAX = 120.0
KV_SECONDS_MAX = 20.0
KV_PAUSE_SECONDS = 0.05
FIRST_PROMPT_SECONDS_MAX = 300.0
REGISTRIES_SHOWN = 6
TOKEN_NAME = "command line"


async def up(settings: Settings, checkout: Path, say: Say) -> None:
    """Run everything until Ctrl-C or SIGTERM.

    :param checkout: directory whose repository becomes the first project, if it is one
    :raises Refused: another `ona up` has this data directory
    :raises OnaError: what is missing, and what to do
    """
    with only_process(settings.data_dir / "up.lock", "`ona up`"):
        signals = Signals()
        signals.install()
        async with AsyncExitStack() as stack:
            await _Up(settings, checkout, signals, say).run(stack)
        say("Stopped.")


class _Up:
    def __init__(self, settings: Settings, checkout: Path, signals: Signals, say: Say) -> None:
        self._settings = settings
        self._checkout = checkout
        self._signals = signals
        self._say = say
        self._steps = Steps(say)

    async def run(self, stack: AsyncExitStack) -> None:
        began = monotonic()
        self._say(f"ona keeps everything in {self._settings.data_dir}")
        url = await self._steps.run("database", self._database(stack), lambda _: "")
        making = self._steps.run(
            "guest image",
            ensure_image(
                self._settings.image_cache,
                progress=self._steps.within,
                agents=self._settings.agents_installed,
            ),
            lambda image: " with ".join((image.digest[:12], *image.agents)),
        )
        image = await unless(self._signals.stop, making)
        if image is None:
            return
        await self._steps.run(
            "machines",
            chosen_hypervisor(self._settings, image.kernel),
            lambda found: f"{found.hypervisor.accelerator}: {found.why}",
        )
        vault = await self._steps.run("credentials", self._vault(stack), _vault_said)
        await self._steps.run(
            "registries",
            asyncio.to_thread(read_installation_policy, self._settings.policy),
            _registries,
        )
        if self._signals.stop.is_set():
            return
        overseer = Overseer(self._settings.data_dir, self._say)
        supervisor = Supervisor(self._children(url, vault), overseer)
        running = asyncio.create_task(supervisor.run(self._signals.stop))
        hurrying = asyncio.create_task(self._hurry(supervisor))
        try:
            await self._first_steps(url, running, began)
            await running
        finally:
            self._signals.stop.set()
            self._say("Stopping: turns are handed back, machines hibernate …")
            await running
            hurrying.cancel()

    async def _hurry(self, supervisor: Supervisor) -> None:
        await self._signals.now.wait()
        supervisor.hurry()

    async def _database(self, stack: AsyncExitStack) -> str:
        configured = self._settings.database.url
        if configured is not None:
            url = configured.get_secret_value()
        else:
            embedded = EmbeddedPostgres(self._settings.database_dir)
            url = await embedded.start()
            stack.push_async_callback(embedded.stop)
            await stack.enter_async_context(embedded.kept())
        await asyncio.to_thread(upgrade, url)
        return url

    async def _vault(self, stack: AsyncExitStack) -> dict[str, str]:
        """Start an OpenBao where no Vault is set; the settings that lead our processes there."""
        settings = self._settings
        if settings.vault.address is not None or not settings.vault.embedded:
            return {}
        issuer, app_key = settings.public_url or "", _app_key(settings)
        bao = EmbeddedOpenBao(
            settings.openbao_dir,
            lambda client: _prepare(client, issuer, app_key),
            policy=OWN_POLICY,
        )
        stack.push_async_callback(bao.stop)
        running = await bao.start()
        await stack.enter_async_context(bao.kept())
        return {
            "ONA_VAULT__ADDRESS": running.address,
            "ONA_VAULT__CA_FILE": str(running.ca_file),
            "ONA_VAULT__TOKEN_FILE": str(running.token_file),
            **({"ONA_VAULT__GITHUB_KEY": app_key[0]} if app_key is not None else {}),
        }

    def _children(self, url: str, vault: Mapping[str, str]) -> list[Child]:
        environment = {
            "ONA_DATABASE__URL": url,
            "ONA_DATA_DIR": str(self._settings.data_dir),
            **vault,
        }
        resting = {**environment, "ONA_MACHINE__REST_AT_STOP": "true"}
        logs = self._settings.logs_dir
        logs.mkdir(parents=True, exist_ok=True, mode=0o700)
        return [
            Child(
                name="serve",
                argv=ona_argv("serve"),
                environment=environment,
                log=logs / "serve.log",
            ),
            Child(
                name="work",
                argv=ona_argv("work"),
                environment=resting,
                log=logs / "work.log",
                stop_seconds=120.0,
            ),
        ]

    async def _first_steps(self, url: str, running: "asyncio.Task[None]", began: float) -> None:
        database = Database(url, connections_max=2)
        welcoming = asyncio.create_task(self._welcome(database, began))
        try:
            await asyncio.wait({welcoming, running}, return_when=asyncio.FIRST_COMPLETED)
            if welcoming.done():
                welcoming.result()
        finally:
            welcoming.cancel()
            await database.close()

    async def _welcome(self, database: Database, began: float) -> None:
        token, link = await credentials_here(database, self._settings)
        base = f"http://{_reachable(self._settings.host)}:{self._settings.port}"
        async with httpx2.AsyncClient(
            base_url=base, headers={"Authorization": f"Bearer {token}"}, timeout=30
        ) as client:
            await self._steps.run("service", self._until_ready(client), lambda _: base)
            first = await self._first_project(database)
            if first is not None:
                self._say(f"  {'project':<12} {first}")
                await self._ask_first(client)
        self._say(f"Ready after {monotonic() - began:.1f} s.")
        self._say(f"Open {base}{link}")
        self._say('Ask with `ona ask "…"`; logs are in ' + str(self._settings.logs_dir))
        self._say("Ctrl-C stops everything; machines keep their memory.")

    async def _until_ready(self, client: httpx2.AsyncClient) -> None:
        deadline = monotonic() + READY_SECONDS_MAX
        while monotonic() < deadline:
            try:
                if (await client.get("/ready")).status_code == httpx2.codes.OK:
                    return
            except httpx2.TransportError:
                pass
            await asyncio.sleep(0.2)
        raise Unfit(
            f"the service was not ready within {READY_SECONDS_MAX:.0f} s",
            do=f"look at {self._settings.logs_dir}",
        )

    async def _first_project(self, database: Database) -> str | None:
        """Make a project of the checkout when there is none yet; its name if it was made."""
        async with database.begin() as tx:
            if await list_projects(tx):
                return None
        top = await asyncio.to_thread(_repository_at, self._checkout)
        if top is None:
            self._say("  No repository here: add a project with `ona projects add`.")
            return None
        async with database.begin() as tx:
            await add_project(tx, NewProject(name=top.name, repository_url=str(top)))
        return f"{top.name} from {top}"

    async def _ask_first(self, client: httpx2.AsyncClient) -> None:
        """Run one prompt through the whole path and show its reply; a failure is only said."""
        self._say(f"  {'first prompt':<12} {FIRST_PROMPT}")
        asking = ask_in(self._checkout, client, FIRST_PROMPT, self._steps.within)
        try:
            async with asyncio.timeout(FIRST_PROMPT_SECONDS_MAX):
                await self._steps.run("replied", self._shown(asking), lambda _: "")
        except (OnaError, httpx2.HTTPError, TimeoutError) as error:
            self._say(f"    it did not come through: {error or 'time is up'}")

    async def _shown(self, asking: Awaitable[str]) -> None:
        for one in (await asking).splitlines():
            self._say(f"    {one}")


def _app_key(settings: Settings) -> tuple[str, str] | None:
    """What the key of the GitHub App is called in transit, and the key; None: there is none.

    One that can't be used is said by `ona doctor`; everything else works without it.
    """
    if settings.github.app_id is None or settings.vault.github_key:
        return None
    from bot.forges import private_key

    with suppress(WrongSettings):
        if pem := private_key(settings.github):
            digest = hashlib.sha256(pem.encode()).hexdigest()[:8]
            return f"ona-github-{settings.github.app_id}-{digest}", pem
    return None


def _prepare(client: hvac.Client, issuer: str, app_key: tuple[str, str] | None) -> None:
    """Make what is missing, and return when the KV engine is at work: it takes a moment."""
    names = Names()
    prepare(client, names, issuer=issuer)
    if app_key is not None and client.read(f"{names.transit}/keys/{app_key[0]}") is None:
        with suppress(Misasked):
            import_rsa_key(client, *app_key, mount=names.transit)
    deadline = monotonic() + KV_SECONDS_MAX
    while True:
        try:
            client.secrets.kv.v2.read_configuration(mount_point=names.kv)
        except hvac.exceptions.InvalidRequest:
            if monotonic() > deadline:
                raise
            sleep(KV_PAUSE_SECONDS)
        else:
            return


def _vault_said(found: Mapping[str, str]) -> str:
    address = found.get("ONA_VAULT__ADDRESS")
    return f"OpenBao at {address}" if address else ""


async def credentials_here(database: Database, settings: Settings) -> tuple[str, str]:
    """The command line's token, kept in a private file, and the path of a one-time sign-in link.

    A kept token that this database doesn't know, because it is a new one, is replaced.
    """
    user = getpass.getuser()
    seconds = settings.web.link_minutes * 60
    async with database.begin() as tx:
        person = await ensure_person(tx, surface=LOCAL, external_id=user, name=user)
        secret = await issue(tx, "link", person.person_id, seconds=seconds)
        token = _read(settings.token_file)
        if token is None or await signed_in(tx, "token", token) is None:
            token = await issue_token(tx, person.person_id, TOKEN_NAME, None)
    _write_private(settings.token_file, token)
    return token, f"/sign-in?link={secret}"


def _registries(policy: Policy) -> str:
    """What machines may reach without a policy of their project."""
    reached = list(dict.fromkeys(rule.host for rule in policy.lines() if rule.allow))
    shown = ", ".join(reached[:REGISTRIES_SHOWN]) or "none"
    more = len(reached) - REGISTRIES_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


def _repository_at(directory: Path) -> Path | None:
    """The top of the git checkout at `directory` if it has a commit."""
    found = subprocess.run(
        ["git", "-C", str(directory), "rev-parse", "--show-toplevel", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
    )
    return Path(found.stdout.splitlines()[0]) if found.returncode == 0 else None


def _reachable(host: str) -> str:
    return "127.0.0.1" if host in {"0.0.0.0", ""} else host


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None


def _write_private(path: Path, secret: str) -> None:
    new = path.with_suffix(".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(f"{secret}\n")
    new.rename(path)
