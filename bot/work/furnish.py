"""What of a project goes into a template's machine: its repository, its set-up, its services.

What was guessed for a project that names no set-up is only tried: a step of it that fails is in
the log, and the template is made without it. So is the container of a devcontainer.json; where
there is one, set-up and services run in it, and nothing is guessed.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from uuid import UUID

from adapters.vault.errors import VaultError
from bot.errors import OnaError
from bot.govern.grant_records import NotHeld
from bot.work.container import Containers
from bot.work.detect.devcontainer import Devcontainer
from bot.work.detect.guessing import LEFT_BEHIND, Detected
from bot.work.detect.tools import Install, installs
from bot.work.refresh import TEMPLATE_BRANCH
from bot.work.repository import Base, Repositories, clone_into
from vmpool.channel import Channel
from vmpool.command import Completed
from vmpool.jobs import JobOutput, JobSpec, JobState
from vmpool.ssh import AGENT, ROOT
from vmpool.warm.building import BuildLog, StepFailed

SERVICE_SETTLES_SECONDS = 1.0
"""A service that ends with an error sooner never ran; later it is its own affair."""
SERVICE_OUTPUT_BYTES_MAX = 8 * 1024
INSIDE = "ona-inside"
BROWSER = "chromium"
LOGIN_SHELL = ("/bin/sh", "-lc")

EXCLUDE_SECONDS_MAX = 60.0

Granted = Callable[[UUID, UUID], AbstractAsyncContextManager[None]]
"""Adds what the build of a template has, for its machine, while inside. :raises VaultError:"""

_IN_PLACE = 'exec 2>&1; cd -- "$0" || exit; eval "$1"'
_EXCLUDE = 'cd -- "$0" && mkdir -p .git/info && printf "%s\\n" "$@" >> .git/info/exclude'


@dataclass(frozen=True, kw_only=True)
class Furnishing:
    """What a project puts into the machine that its template is made of."""

    project_id: UUID
    base: Base
    origin_url: str
    directory: str
    setup: Sequence[str]
    """Shell commands, one after the other, in the repository, as the agent."""
    start: Sequence[str]
    """Shell commands that go on running: they are in the template as they then are."""
    setup_seconds_max: float
    detected: Detected = field(default_factory=Detected)
    """Guesses of a project without `setup`; what they need and the machine lacks is installed."""
    is_seen: bool = False
    """People look at ports of it: pictures of them want a browser in the machine."""
    containers: Containers | None = None
    """None: this installation makes no dev containers."""
    granted: Granted | None = None
    """None: there is no Vault, so set-up gets nothing."""

    async def __call__(
        self, repositories: Repositories, channel: Channel, build_log: BuildLog
    ) -> str:
        """Do it, each step logged; the commit. :raises StepFailed:"""
        wants_container = self._container is not None
        if wants_container or self.is_seen or self._because:
            # What it may log in with ends before a long clone does.
            await channel.login(ROOT)
        build_log.expect(self._steps(inside=wants_container))
        async with build_log.step("repository"):
            commit = await self._clone(repositories, channel)
        async with self._with_grants(build_log):
            inside = await self._contained(channel, build_log)
            build_log.expect(self._steps(inside=inside))
            if not inside:
                await self._bring_browser(channel, build_log)
            for command in self.setup:
                async with build_log.step(command) as said:
                    said.append(_output(await self._run(channel, command, inside=inside)))
            if self.detected.guesses and not inside:
                await self._try_guesses(channel, build_log)
        for number, command in enumerate(self.start, 1):
            async with build_log.step(f"start: {command}"):
                await self._start(channel, f"service-{number}", command)
        return commit

    def _steps(self, *, inside: bool) -> int:
        """How many there are; that of grants is there only if it fails, and then the last.

        :param inside: of the container, where nothing is guessed
        """
        containers = int(self._container is not None)
        tried = [*self.detected.guesses, *installs(self._because), *self._browser]
        guesses = [] if inside else tried
        return 1 + containers + len(self.setup) + len(guesses) + len(self.start)

    @property
    def _container(self) -> Devcontainer | None:
        """The container that is to be made."""
        return self.detected.devcontainer if self.containers is not None else None

    @property
    def _browser(self) -> Sequence[Install]:
        """What brings one, where it is wanted."""
        return installs([BROWSER]) if self.is_seen else ()

    @property
    def _because(self) -> Mapping[str, str]:
        """The tools that guesses need, each with the file that it was guessed from first."""
        guesses = reversed(self.detected.guesses)
        return {tool: guess.file for guess in guesses for tool in guess.tools}

    @asynccontextmanager
    async def _with_grants(self, build_log: BuildLog) -> AsyncIterator[None]:
        """What the project's policy grants to builds is there inside. :raises StepFailed:"""
        if self.granted is None:
            yield
            return
        try:
            async with self.granted(build_log.template_id, build_log.machine_id):
                yield
        except (VaultError, NotHeld) as error:
            why = f"{error}; {error.do}" if isinstance(error, VaultError) else "the build is over"
            async with build_log.step("grants"):
                raise StepFailed(f"Set-up has not got what it is granted: {why}") from error

    async def _contained(self, channel: Channel, build_log: BuildLog) -> bool:
        """Make the container that the repository asks for, if it can be had; whether it is."""
        wanted = self._container
        if wanted is None or self.containers is None:
            return False
        with suppress(StepFailed):
            async with build_log.step(f"dev container of {wanted.path}", **_facts(wanted)) as said:
                if wanted.unusable is not None:
                    raise StepFailed(wanted.unusable)
                said.append(await self.containers.make(channel, wanted, self.directory))
                return True
        return False

    async def _clone(self, repositories: Repositories, channel: Channel) -> str:
        try:
            cloned = await clone_into(
                channel,
                repositories,
                self.project_id,
                self.base,
                branch=TEMPLATE_BRANCH,
                directory=self.directory,
                origin_url=self.origin_url,
            )
        except OnaError as error:
            raise StepFailed(str(error)) from error
        return cloned.base.commit

    async def _try_guesses(self, channel: Channel, build_log: BuildLog) -> None:
        # What they leave beside the tracked files is no work of the session's.
        exclude = ["/bin/sh", "-c", _EXCLUDE, self.directory, *LEFT_BEHIND]
        await channel.run(exclude, timeout_seconds=EXCLUDE_SECONDS_MAX)
        because = self._because
        for install in installs(because):
            with suppress(StepFailed):
                file = because[install.tools[0]]
                async with build_log.step(install.name, guessed_from=file) as said:
                    said.append(_output(await self._install(channel, install)))
        for guess in self.detected.guesses:
            with suppress(StepFailed):
                async with build_log.step(guess.command, guessed_from=guess.file) as said:
                    said.append(_output(await self._run(channel, guess.command)))

    async def _bring_browser(self, channel: Channel, build_log: BuildLog) -> None:
        """Without one there are no pictures, and nothing else is missing."""
        for install in self._browser:
            with suppress(StepFailed):
                async with build_log.step(install.name) as said:
                    said.append(_output(await self._install(channel, install)))

    async def _install(self, channel: Channel, install: Install) -> Completed:
        argv = [*LOGIN_SHELL, _IN_PLACE, "/", install.script]
        return await self._finish(channel, argv, install.name, user=ROOT)

    async def _run(self, channel: Channel, command: str, *, inside: bool = False) -> Completed:
        entered = [INSIDE] if inside else []
        argv = [*entered, *LOGIN_SHELL, _IN_PLACE, self.directory, command]
        return await self._finish(channel, argv, command)

    async def _finish(
        self, channel: Channel, argv: list[str], name: str, user: str = AGENT
    ) -> Completed:
        """Run it to its end. :raises StepFailed:"""
        try:
            done = await channel.run(argv, timeout_seconds=self.setup_seconds_max, user=user)
        except TimeoutError:
            minutes = self.setup_seconds_max / 60
            raise StepFailed(
                f"`{name}` did not end within {minutes:g} minutes", exit_status=124
            ) from None
        if done.exit_status != 0:
            raise StepFailed(
                f"`{name}` ended with status {done.exit_status}",
                exit_status=done.exit_status,
                output=_output(done),
            )
        return done

    async def _start(self, channel: Channel, name: str, command: str) -> None:
        argv = [*LOGIN_SHELL, _IN_PLACE, self.directory, command]
        await channel.start_job(JobSpec(id=name, argv=argv, merge_stderr=True))
        await asyncio.sleep(SERVICE_SETTLES_SECONDS)
        status = await channel.job(name)
        if status.state is JobState.ENDED and status.exit_status != 0:
            raise StepFailed(
                f"`{command}` ended with status {status.exit_status} right after its start",
                exit_status=status.exit_status,
                output=await _said(channel, name),
            )


def _facts(wanted: Devcontainer) -> dict[str, str]:
    """What the log says of it besides how it went, as `bot.words.guesses` reads it."""
    facts = {
        "container": wanted.path,
        "left_out": ", ".join(wanted.left_out),
        "ports": ", ".join(str(port) for port in wanted.ports),
    }
    return {name: value for name, value in facts.items() if value}


async def _said(channel: Channel, job_id: str) -> str:
    data = b""
    async for event in channel.attach(job_id):
        if isinstance(event, JobOutput):
            data = (data + event.data)[-SERVICE_OUTPUT_BYTES_MAX:]
    return data.decode("utf-8", "replace")


def _output(done: Completed) -> str:
    return done.stdout.decode("utf-8", "replace")
