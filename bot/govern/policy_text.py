"""Reads a policy as it is written: TOML in, what it declares and on which line out. Pure.

[egress]                       what machines of the project may reach
allow = ["api.example.com", "*.cdn.example.com:8443"]
deny = ["tracker.example.com"]              wins, whoever wrote it
services = ["db.example.com:5432"]          any protocol over TCP
ask = false                    nobody is asked about what no line says anything of

[routes.registry]              reached at http://gateway.ona/upstream/registry/ and no other way
url = "https://registry.example.com/npm"

[delivery]                     what becomes of a turn's work, see docs/delivery.md
mode = "pull-request"
protected = ["deploy/**"]

[retention]                    sessions that nobody used for so long are deleted
session_days = 90
audit_days = 180               and what the audit has of the project after so long

[grants.registry]              what each turn gets, see docs/policy.md
kind = "kv"
mode = "injected"
route = "registry"
headers = { Authorization = "Bearer {token}" }
options = { path = "registry" }
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from adapters.vault.errors import Misasked
from adapters.vault.kinds import flaw_of
from adapters.vault.wanted import read as read_wanted
from bot.errors import Refused
from bot.toml_lines import Path, lines_of
from vmpool.network.policy import Policy, Routed, Rule, read_rule

SOURCE_CHARACTERS_MAX = 100_000
SHOWN_CHARACTERS_MAX = 80
DAYS_MAX = 3650
_WITH_PASSWORD = re.compile(r"//[^/\s]*@")
"""What must not be said again."""
NAME = r"^[a-z][a-z0-9-]{0,39}$"
UPSTREAM = "/upstream"
"""Before the names of routes, in the gateway's own paths."""


def _line(text: str) -> str:
    read_rule(text, allow=True, source="")
    return text


def _service(text: str) -> str:
    if read_rule(text, allow=True, source="").port is None:
        raise ValueError("a service has a port, `HOST:PORT`")
    return text


def _upstream(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("an address that begins with https:// or http://")
    if parts.username or parts.password:
        raise ValueError("an address without a password: that is what grants are for")
    return url.rstrip("/")


def _path(pattern: str) -> str:
    if not pattern or pattern.startswith("/") or ".." in pattern.split("/"):
        raise ValueError("a path from the top of the repository, in which `*` and `**` may stand")
    return pattern


Line = Annotated[str, AfterValidator(_line)]
"""`HOST`, `*.HOST`, an address or a range, each with `:PORT` behind it or without."""
Service = Annotated[str, AfterValidator(_service)]
Name = Annotated[str, Field(pattern=NAME)]
PathPattern = Annotated[str, AfterValidator(_path)]
PROTECTED = (".github/workflows/**", ".github/actions/**", ".gitlab-ci.yml")
"""What a code host runs with secrets of its own as soon as it is pushed."""


class Declared(BaseModel):
    """Part of a policy; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Egress(Declared):
    """What machines may reach."""

    allow: tuple[Line, ...] = ()
    deny: tuple[Line, ...] = ()
    services: tuple[Service, ...] = ()
    ask: bool = True
    """Whether people are asked about what no line says anything of."""


class Route(Declared):
    """An upstream that the gateway adds a grant for."""

    url: Annotated[str, AfterValidator(_upstream)]

    @property
    def host(self) -> str:
        """Reached through the route alone."""
        return urlsplit(self.url).hostname or ""


class Grant(Declared):
    """What each turn gets; the fields of `adapters.vault.port.Wanted`."""

    kind: Name
    mode: Literal["injected", "handed"]
    purpose: str = ""
    route: str = ""
    headers: Mapping[str, str] = Field(default_factory=dict)
    options: Mapping[str, Any] = Field(default_factory=dict)
    reads: bool = False
    """Nothing can be changed with it: turns that may only read get it too."""
    builds: bool = False
    """Set-up gets it too, while a template is built."""

    def entry(self, name: str) -> Mapping[str, Any]:
        """As `adapters.vault.wanted` reads one."""
        return {"name": name, **self.model_dump()}


class Delivery(Declared):
    """What becomes of a turn's work."""

    mode: Literal["pull-request", "branch", "none"] = "pull-request"
    draft: bool = True
    """Whether pull requests are opened as drafts."""
    protected: tuple[PathPattern, ...] = PROTECTED
    """Paths whose change a person has to let pass."""
    files_max: Annotated[int, Field(gt=0)] = 200
    lines_max: Annotated[int, Field(gt=0)] = 5_000
    """Of what one turn adds and removes, without a person being asked."""


class Retention(Declared):
    """How long what is kept of a project stays."""

    session_days: Annotated[int, Field(gt=0, le=DAYS_MAX)] | None = None
    """Sessions that nobody used for so long are deleted; None: a person does."""
    audit_days: Annotated[int, Field(gt=0, le=DAYS_MAX)] | None = None
    """What the audit has of the project goes after so long; None: with all of the audit."""


class Document(Declared):
    """A policy as it is declared."""

    egress: Egress = Egress()
    delivery: Delivery = Delivery()
    retention: Retention = Retention()
    routes: Mapping[Name, Route] = Field(default_factory=dict)
    grants: Mapping[Name, Grant] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _routes_of_grants(self) -> Self:
        for name, grant in self.grants.items():
            if grant.mode == "handed" and (grant.route or grant.headers):
                raise ValueError(f"grants.{name} is handed, so it has neither route nor headers")
            known = grant.route in self.routes or grant.route.startswith("/")
            if grant.route and not known:
                raise ValueError(
                    f"grants.{name}.route is {grant.route!r}, which no route is called"
                )
            if grant.mode == "injected" and not (grant.route and grant.headers):
                raise ValueError(f"grants.{name} is injected, so it needs a route and headers")
            if grant.mode == "handed" and grant.builds:
                raise ValueError(
                    f"grants.{name} is handed, so no build has it: it would stay in the template"
                )
        return self


@dataclass(frozen=True, kw_only=True)
class Read:
    """A policy that was read."""

    document: Document
    lines: Mapping[Path, int]

    def policy(self, of: str) -> Policy:
        """Its lines for the gateway, each with where it stands: `of`, line 3."""
        egress = self.document.egress
        return Policy(
            rules=(
                *self._rules("deny", egress.deny, of, allow=False),
                *self._rules("allow", egress.allow, of, allow=True),
            ),
            services=tuple(self._rules("services", egress.services, of, allow=True)),
            routed=tuple(
                Routed(route.host, f"{UPSTREAM}/{name}/")
                for name, route in self.document.routes.items()
            ),
        )

    def _rules(self, key: str, texts: tuple[str, ...], of: str, *, allow: bool) -> Iterator[Rule]:
        for place, text in enumerate(texts):
            number = self.lines.get(("egress", key, place), 0)
            yield read_rule(text, allow=allow, source=f"{of}, line {number}")


def read(source: str, name: str) -> Read:
    """Read a policy; `name` is what it is called in messages, a file's name.

    :raises Refused: it can't be read; says the line, the key and what was expected
    """
    if len(source) > SOURCE_CHARACTERS_MAX:
        raise Refused(f"{name}: a policy has at most {SOURCE_CHARACTERS_MAX:,} characters")
    try:
        values = tomllib.loads(source)
        lines = lines_of(source)
        return Read(document=Document.model_validate(values), lines=lines)
    except tomllib.TOMLDecodeError as error:
        raise _refused(f"{name}: it is no TOML: {error}") from None
    except ValidationError as error:
        raise _refused(_explained(error, name, lines)) from None


def check_grants(found: Read, name: str) -> None:
    """What is looked at when a policy is set, and not each time that it is read.

    :raises Refused: no issuer would take one of its grants; says the line, the key and why
    """
    for grant, declared in found.document.grants.items():
        try:
            flaw = flaw_of(read_wanted([declared.entry(grant)])[0])
        except Misasked as error:
            path: Path = ("grants", grant, "headers")
            raise _refused(f"{name}, line {_line_of(path, found.lines)}: {error}") from None
        if flaw is not None:
            path = ("grants", grant, *flaw.key)
            where = f"{name}, line {_line_of(path, found.lines)}: {_key(path)}"
            raise _refused(f"{where} {flaw.text}")


def _refused(what: str) -> Refused:
    return Refused(what, kept="nothing was changed", do="docs/policy.md says what can stand there")


def _explained(error: ValidationError, name: str, lines: Mapping[Path, int]) -> str:
    first = error.errors(include_url=False)[0]
    path: Path = tuple(part for part in first["loc"] if part != "[key]")
    message = str(first["msg"]).removeprefix("Value error, ")
    if not path:
        found = re.match(r"grants\.([a-z0-9-]+)", message)
        path = ("grants", found[1]) if found else ()
        return f"{name}, line {_line_of(path, lines)}: {message}"
    where = f"{name}, line {_line_of(path, lines)}: {_key(path)}"
    if first["type"] == "extra_forbidden":
        return f"{where}: there is no such key"
    if first["type"] == "missing":
        return f"{where} is missing"
    got = _WITH_PASSWORD.sub("//…@", repr(first["input"]))[:SHOWN_CHARACTERS_MAX]
    if first["type"] == "value_error":
        return f"{where} is {got}: {message}"
    wanted = message.removeprefix("Input should be ").replace("a valid tuple", "a list")
    return f"{where} should be {wanted}, but is {got}"


def _line_of(path: Path, lines: Mapping[Path, int]) -> int:
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


def _key(path: Path) -> str:
    """`egress.allow, entry 2`."""
    names = ".".join(str(part) for part in path if isinstance(part, str))
    places = [part for part in path if isinstance(part, int)]
    return names + "".join(f", entry {place + 1}" for place in places)
