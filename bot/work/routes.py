"""The routes of a project's machines at the gateway, and who may use them when.

    /model/<name>/      providers of the settings, each request metered
    /forge/<surface>/   the project's own code host: git, and its API to be read
    /upstream/<name>/   what the project's policy names
    /v2/<name>/         the same as registries of container images
    /identity/token     who the session is, for an audience that the policy has a grant for
    /tools/             what the agent may ask of us (`bot.work.tools`)
    /preview/<port>     an address under which people see that port

Nothing is added to a request between turns; what a policy grants to builds is, until they end.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit
from uuid import UUID

import h11
from pydantic import SecretStr

from bot.config import ModelSettings
from bot.errors import TellPerson
from bot.govern.policy_text import UPSTREAM, Document
from bot.govern.spenders import Spender
from bot.govern.turn_grants import Behind, NoGrants, TurnGrants
from bot.work.branches import BranchRows, OwnBranches
from bot.work.running import Running
from vmpool.network.gateway.forge_route import ForgeRoute
from vmpool.network.gateway.identity_route import IdentityRoute
from vmpool.network.gateway.image_route import ImageRoute
from vmpool.network.gateway.model_route import Meter, ModelRoute
from vmpool.network.gateway.ports import Identity, NoTurn, Refused, Ungranted
from vmpool.network.gateway.preview_route import PreviewRoute
from vmpool.network.gateway.routes import Injected, Route, UpstreamRoute

IDENTITY = "/identity/"
"""Before an audience: what the grant for it is called by."""
GATEWAY_URL = "http://gateway.ona"
PLACEHOLDER = "added-by-the-gateway"
"""Programs want a key to be there; this one works nowhere."""
MakePreview = Callable[[Spender, int], Awaitable[str]]
"""The address of a port in the machine of a session whose turn runs. :raises TellPerson:"""
Used = Callable[[Identity, str, Behind], None]
"""Told of each grant that is added to a request, with the route."""
PUSH = "push"
"""What a forge's route is called for the grant that writes: its prefix and this."""


@dataclass(frozen=True, kw_only=True)
class CodeHost:
    """A forge of the installation, as git and its API are reached."""

    surface: str
    git_base: str
    """Below which repositories are; a GitLab may be below a path of its host."""
    api_base: str

    @property
    def prefix(self) -> str:
        """Of its route."""
        return f"/forge/{self.surface}/"

    @property
    def hosts(self) -> tuple[str, ...]:
        """What is reached through the route alone."""
        named = [urlsplit(one).hostname or "" for one in (self.git_base, self.api_base)]
        return tuple(dict.fromkeys(named))


@dataclass(frozen=True, kw_only=True)
class Working:
    """A project, as its routes have to know it."""

    id: UUID
    repositories: Sequence[str]
    """Their addresses; the first is its own one."""
    document: Document


class Routes:
    """Makes the routes of projects."""

    def __init__(
        self,
        *,
        running: Running,
        meter: Meter,
        branches: BranchRows,
        models: Mapping[str, ModelSettings],
        code_hosts: Sequence[CodeHost],
        grants: TurnGrants | None,
        preview: MakePreview | None = None,
        used: Used = lambda _who, _route, _grant: None,
    ) -> None:
        """`grants`: None where there is no Vault: what needs a grant is refused then.

        :param preview: for the running turn; None: there are no previews
        :param used: audits the use of grants
        """
        self._preview = preview
        self._used = used
        self._running = running
        self._branches = branches
        self._grants = grants
        self._code_hosts = code_hosts
        self._models = tuple(self._model(name, model, meter) for name, model in models.items())

    def of(self, project: Working) -> tuple[Route, ...]:
        """The routes of a project's machines."""
        forges = [
            ForgeRoute(
                prefix=host.prefix,
                git_base=host.git_base,
                api_base=host.api_base,
                repositories=ProjectRepositories(self, host, project),
                hosts=host.hosts,
            )
            for host in self._code_hosts
        ]
        upstreams: list[Route] = [
            UpstreamRoute(
                prefix=f"{UPSTREAM}/{name}/",
                base=route.url,
                injected=self._of_upstream(name),
                hosts=(route.host,),
            )
            for name, route in project.document.routes.items()
        ]
        images = {
            name: (route.url, self._of_upstream(name))
            for name, route in project.document.routes.items()
        }
        if images:
            upstreams.append(ImageRoute(upstreams=images))
        own = (IdentityRoute(tokens=self.identity), PreviewRoute(make=self.preview))
        return (*self._models, *forges, *upstreams, *own)

    async def granted(self, who: Identity, route: str) -> Mapping[str, str]:
        """What the grants of the running turn, or of the build, add on a route.

        :raises NoTurn: nobody works there
        :raises Refused: there is no grant for it
        """
        added = await self._added(who, route)
        self._note_used(who, route)
        return added

    async def _paid(self, who: Identity, route: str) -> Mapping[str, str]:
        """The same for a request of a session's turn that the meter looks up, as it reserves."""
        added: Mapping[str, str] = {}
        if self._grants is not None and who.session is not None:
            with suppress(NoGrants):
                added = await self._grants.injected(who.session, route)
        if not added:
            return await self.granted(who, route)
        self._note_used(who, route)
        return added

    def _note_used(self, who: Identity, route: str) -> None:
        if self._grants is not None:
            for grant in self._grants.behind(who.session or who.machine, route):
                self._used(who, route, grant)

    async def _added(self, who: Identity, route: str) -> Mapping[str, str]:
        if who.session is None:
            return await self._of_build(who, route)
        spender = await self._running.turn_of(who)
        if self._grants is None:
            raise Refused(f"No grant is there for {route}: this installation has no Vault.")
        try:
            found = await self._grants.injected(who.session, route)
        except NoGrants as error:
            raise Ungranted(
                "This turn has no credentials now: they come as it begins and go as it ends."
            ) from error
        if not found and spender.read_only:
            raise Refused(f"This turn may only read, and its grants are none for {route}.")
        if not found:
            raise Refused(f"The project's policy has no grant for {route}; docs/policy.md.")
        return found

    async def _of_build(self, who: Identity, route: str) -> Mapping[str, str]:
        try:
            found = await self._grants.injected(who.machine, route) if self._grants else None
        except NoGrants:
            found = None
        if found is None:
            raise NoTurn("This machine works for nobody yet.")
        if not found:
            raise Refused(
                f"Nothing is added for {route} while a template is built. A grant of the project's"
                " policy that says builds = true is there for set-up too; docs/policy.md."
            )
        return found

    async def api_headers(
        self, who: Identity, host: CodeHost, beside: str = ""
    ) -> Mapping[str, str]:
        """What reading a code host's API gets: GitLab's takes no other than its own header.

        :param beside: a repository beside the project's own, as its code host calls it
        :raises NoTurn: :raises Refused:
        """
        route = grant_route(host, beside, own=False) if beside else host.prefix
        found = await self.granted(who, route)
        private = {name: value for name, value in found.items() if name.lower() == "private-token"}
        return private or found

    async def identity(self, who: Identity, audience: str) -> str:
        """The session's token for an audience. :raises NoTurn: :raises Refused:"""
        # It would lie in the machine: nothing that does is there while a template is built.
        await self._running.turn_of(who)
        found = await self.granted(who, f"{IDENTITY}{audience}")
        (value,) = found.values()
        return value.removeprefix("Bearer ")

    async def preview(self, who: Identity, port: int) -> str:
        """The address of a port, for whom the turn works. :raises NoTurn: :raises Refused:"""
        spender = await self._running.turn_of(who)
        if self._preview is None:
            raise Refused("This installation has no previews.")
        try:
            return await self._preview(spender, port)
        except TellPerson as error:
            raise Refused(f"{error}.") from error

    async def only_reads(self, who: Identity) -> bool:
        """Whether the running turn may change nothing outside of its machine. :raises NoTurn:"""
        return (await self._running.turn_of(who)).read_only

    async def branches(self, who: Identity, repository: str) -> OwnBranches:
        """Which branches a session has. :raises NoTurn:"""
        spender = await self._running.turn_of(who)
        return await self._branches.of(spender.session_id, repository)

    async def saw(self, who: Identity, repository: str, refs: Mapping[str, str]) -> None:
        """Keep what a session saw. :raises NoTurn:"""
        spender = await self._running.turn_of(who)
        await self._branches.saw(spender.session_id, repository, refs)

    async def moved(self, who: Identity, repository: str, refs: Mapping[str, str]) -> None:
        """Keep what a session pushed, and follow its checks. :raises NoTurn:"""
        spender = await self._running.turn_of(who)
        await self._branches.moved(spender.session_id, repository, refs)

    def _model(self, name: str, model: ModelSettings, meter: Meter) -> ModelRoute:
        prefix = f"/model/{name}/"

        async def injected(who: Identity, route: str, _request: h11.Request) -> Mapping[str, str]:
            if model.key is None:
                return await self.granted(who, route)
            await self._running.turn_of(who)
            return _key(model, model.key)

        async def paid(who: Identity, route: str, _request: h11.Request) -> Mapping[str, str]:
            if model.key is None:
                return await self._paid(who, route)
            return _key(model, model.key)

        return ModelRoute(
            prefix=prefix,
            provider=model.format,
            base=model.url,
            injected=injected,
            paid=paid,
            meter=meter,
            hosts=(urlsplit(model.url).hostname or "",),
        )

    def _of_upstream(self, name: str) -> Injected:
        async def injected(who: Identity, _route: str, _request: h11.Request) -> Mapping[str, str]:
            return await self.granted(who, name)

        return injected


class ProjectRepositories:
    """See `vmpool.network.gateway.forge_route.Repositories`."""

    def __init__(self, routes: Routes, host: CodeHost, project: Working) -> None:
        self._routes = routes
        self._host = host
        self._repositories = {
            path.lower(): (path, number == 0)
            for number, url in reversed([*enumerate(project.repositories)])
            if (path := path_of(url, host)) is not None
        }
        """By how they are asked for: how the host calls them, and whether it is its own one."""
        self._keeps = project.document.delivery.mode == "none"

    async def headers(self, who: Identity, repository: str, *, writes: bool) -> Mapping[str, str]:
        """What is added for git."""
        found = self._repositories.get(repository.lower())
        if found is None:
            raise Refused(f"{repository} is none of this project's repositories.")
        if writes:
            await self._check_push(who, repository)
        path, own = found
        route = grant_route(self._host, path, own=own, writes=writes)
        added = await self._routes.granted(who, route)
        return {name: value for name, value in added.items() if name.lower() == "authorization"}

    async def _check_push(self, who: Identity, repository: str) -> None:
        """What is not delivered, nobody pushes from inside. :raises Refused: :raises NoTurn:"""
        if self._keeps:
            raise Refused("The project's policy keeps what turns make in their sessions.")
        if (await self.branches(who, repository)).is_private:
            raise Refused("What a private session makes is not pushed.")
        if await self._routes.only_reads(who):
            raise Refused("This turn may only read, so it pushes nothing.")

    async def api_headers(self, who: Identity) -> Mapping[str, str]:
        """What is added for reading the API."""
        return await self._routes.api_headers(who, self._host)

    async def branches(self, who: Identity, repository: str) -> OwnBranches:
        """Which branches the session has there."""
        return await self._routes.branches(who, self._key(repository))

    async def saw(self, who: Identity, repository: str, refs: Mapping[str, str]) -> None:
        """The session has seen these commits."""
        await self._routes.saw(who, self._key(repository), refs)

    async def moved(self, who: Identity, repository: str, refs: Mapping[str, str]) -> None:
        """The session has moved its branches."""
        await self._routes.moved(who, self._key(repository), refs)

    def _key(self, repository: str) -> str:
        return f"{self._host.surface}:{urlsplit(self._host.git_base).netloc}/{repository}"


def grant_route(host: CodeHost, path: str, *, own: bool, writes: bool = False) -> str:
    """What the grant for one of a project's repositories is called by.

    :param path: as the code host calls it
    :param own: it is the project's own one
    """
    base = host.prefix if own else f"{host.prefix}{path}/"
    return f"{base}{PUSH}" if writes else base


def path_of(url: str, host: CodeHost) -> str | None:
    """What a repository is called on a code host: `owner/name`; None: it is on another one."""
    parts, base = urlsplit(url), urlsplit(host.git_base)
    place, root = parts.netloc.rpartition("@")[2].lower(), f"{base.path.rstrip('/')}/"
    if parts.scheme not in {"http", "https"} or place != base.netloc.lower():
        return None
    if not parts.path.startswith(root):
        return None
    return parts.path.removeprefix(root).strip("/").removesuffix(".git") or None


def _key(model: ModelSettings, key: SecretStr) -> Mapping[str, str]:
    value = key.get_secret_value()
    return (
        {"x-api-key": value}
        if model.format == "anthropic"
        else {"authorization": f"Bearer {value}"}
    )


def model_base(name: str) -> str:
    """Where a provider is in machines."""
    return f"{GATEWAY_URL}/model/{name}"


def machine_environment(
    models: Mapping[str, ModelSettings], code_hosts: Sequence[CodeHost]
) -> Mapping[str, str]:
    """What programs in machines find the routes by: git rewrites addresses, SDKs have a base.

    The first provider of a format is the one that programs of that format speak to.
    """
    found: dict[str, str] = {}
    for name, model in models.items():
        base = model_base(name)
        if model.format == "anthropic":
            found.setdefault("ANTHROPIC_BASE_URL", base)
            found.setdefault("ANTHROPIC_API_KEY", PLACEHOLDER)
        else:
            found.setdefault("OPENAI_BASE_URL", f"{base}/v1")
            found.setdefault("OPENAI_API_KEY", PLACEHOLDER)
    rewritten = [
        (f"url.{GATEWAY_URL}{host.prefix}.insteadOf", address)
        for host in code_hosts
        for address in _spellings(host)
    ]
    if rewritten:
        found["GIT_CONFIG_COUNT"] = str(len(rewritten))
    for number, (key, value) in enumerate(rewritten):
        found[f"GIT_CONFIG_KEY_{number}"] = key
        found[f"GIT_CONFIG_VALUE_{number}"] = value
    return found


def _spellings(host: CodeHost) -> Sequence[str]:
    base = urlsplit(host.git_base)
    name, root = base.netloc, base.path.rstrip("/")
    # By SSH a GitLab's repositories are at the root, wherever its pages are.
    return (
        *(f"{scheme}://{name}{root}/" for scheme in ("https", "http")),
        *(f"ssh://git@{name}/", f"git@{name}:"),
    )
