"""The shapes of the API: what it takes and what it gives; OpenAPI is made from them."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class Taken(BaseModel):
    """Something the API takes; unknown fields are errors."""

    model_config = ConfigDict(extra="forbid")


class Given(BaseModel):
    """Something the API gives."""


class Problem(Given):
    """Every error."""

    error: str = Field(description="what happened")
    kept: str = Field(description="what was kept; may be empty")
    do: str = Field(description="what to do; may be empty")
    code: str = Field(description="its kind: not_found, nothing_to_do, too_large, refused …")


class NewPrompt(Taken):
    """A message: a prompt, a command, or the answer to a question."""

    text: str
    project: str | None = Field(
        default=None, description="name, for a new session; needed when there are several"
    )
    session: str | None = Field(default=None, description="short id of the session that is meant")
    new: bool = Field(default=False, description="open a new session")
    thread: str | None = Field(
        default=None,
        max_length=500,
        description="your own name of the place where this is said: its session goes on",
    )
    checkout: list[Annotated[str, Field(max_length=2000)]] = Field(
        default_factory=list,
        max_length=20,
        description="addresses of the repository where it is said: its project is meant, for a new"
        " session, unless another is named",
    )
    surface: Literal["api", "terminal"] = "api"


class AcceptedPrompt(Given):
    """What became of a message; the same again for the same Idempotency-Key."""

    verdict: Literal["prompt", "joined", "answer", "command"]
    text: str = Field(description="one or a few sentences for a person")
    session: str | None
    prompt: UUID | None
    event: int = Field(description="number of the event that announced it: read on from here")
    duplicate: bool


class Told(Given):
    """What was done, in one sentence."""

    text: str


class Session(Given):
    """One piece of work."""

    id: UUID
    short: str
    state: str
    title: str
    project: str
    agent: str
    model: str | None
    branch: str
    base_branch: str | None
    creator: str
    held_by: str | None
    queued: int = Field(description="prompts that wait")
    last_outcome: str | None
    cost_usd: float = Field(description="what models cost in it until now")
    budget_usd: float | None = Field(
        description="what they may, as of the last request; none: no limit, or nothing was asked"
    )
    machine_id: UUID | None
    machine_state: str | None
    event_last: int
    created_at: datetime
    active_at: datetime


class SessionChange(Taken):
    """What is to be different about a session."""

    title: str = Field(max_length=2_000, description="one line, at most 100 characters")


class Sessions(Given):
    """Sessions, the one that was active last first."""

    sessions: list[Session]


class SessionEvent(Given):
    """One thing that happened in a session."""

    number: int
    turn: UUID | None
    kind: str
    body: dict[str, Any]
    at: datetime


class Events(Given):
    """A page of events."""

    events: list[SessionEvent]
    last: int = Field(description="pass it as `after` to read on")


class QueuedPrompt(Given):
    """A prompt that waits."""

    place: int = Field(description="from 1; what `cancel 2` means")
    id: UUID
    name: str
    kind: str
    text: str = Field(description="its first words")
    created_at: datetime


class Queue(Given):
    """The queue of a session."""

    state: str
    sessions_before: int = Field(description="sessions that a worker takes before this one")
    prompts: list[QueuedPrompt]


class Question(Given):
    """Something a turn asked a person."""

    id: UUID
    text: str
    choices: list[str]
    state: str
    answer: str | None
    answered_by: str | None
    created_at: datetime
    expires_at: datetime


class Questions(Given):
    """Questions of a session, the newest first."""

    questions: list[Question]


class PullRequest(Given):
    """A pull request, or merge request, of a session, as it was last seen."""

    surface: str = Field(description="of its forge")
    repository: str
    number: int
    url: str
    state: str = Field(description="open, closed or merged")
    draft: bool
    head: str
    base: str
    opened_by: str = Field(description="login of who opened it")
    by_asker: bool = Field(description="who asked opened it with their own account")
    checks: str = Field(
        description="of its newest commit: running, passed or failed; empty: nothing is known"
    )
    created_at: datetime
    seen_at: datetime


class PullRequests(Given):
    """Pull requests of a session, the oldest first."""

    pull_requests: list[PullRequest]


class Answer(Taken):
    """The answer to a question."""

    text: str = Field(min_length=1, max_length=20_000)


class Stop(Taken):
    """How to stop."""

    clear: bool = Field(default=False, description="cancel what is queued as well")


class Machine(Given):
    """One virtual machine."""

    id: UUID
    short: str
    state: str
    request: str | None = Field(description="what was asked of it and is not done yet")
    note: str | None
    session: str | None
    project: str | None
    template: UUID | None = Field(description="what it was cloned from")
    builds: str | None = Field(description="the template that it is set up for, by its short id")
    host: str
    host_silent_since: datetime | None = Field(description="its last report; none: it is heard")
    host_given_up: bool = Field(description="its sessions go on elsewhere")
    driver: str
    accelerator: str
    size: str
    vcpus: int
    memory_mib: int
    disk_gib: int
    generation: int
    facts: dict[str, Any]
    created_at: datetime
    used_at: datetime
    changed_at: datetime


class Machines(Given):
    """Machines, the one used last first."""

    machines: list[Machine]


class Guessed(Given):
    """A set-up command that was guessed for a project which names none."""

    command: str
    file: str = Field(description="path of what it was guessed from")
    exit_status: int = Field(description="of its last run; the machine is used whatever it was")


class NewProject(Taken):
    """A project to add."""

    name: str
    repository_url: str = Field(description="URL, user@host:path or absolute path on the host")
    base_branch: str | None = Field(default=None, min_length=1, max_length=250)
    agent: str | None = Field(
        default=None, max_length=40, description="none: the installation's own"
    )
    size: str | None = Field(default=None, max_length=40, description="of its machines")
    setup: list[str] = Field(
        default_factory=list, description="shell commands that ready a machine, in the repository"
    )
    start: list[str] = Field(
        default_factory=list, description="shell commands that run on in every machine"
    )
    ports: list[int] = Field(
        default_factory=list, description="that a new session's thread gets the addresses of"
    )
    instructions: str = Field(default="", description="what its agents are told besides")


class ProjectChanges(Taken):
    """What to change of a project; what is not named stays."""

    base_branch: str | None = Field(default=None, min_length=1, max_length=250)
    agent: str | None = Field(
        default=None, max_length=40, description="none: the installation's own"
    )
    size: str | None = Field(default=None, max_length=40)
    setup: list[str] = Field(default_factory=list)
    start: list[str] = Field(default_factory=list)
    ports: list[int] = Field(default_factory=list)
    instructions: str = ""


class NewRepository(Taken):
    """A repository that sessions shall have beside the project's own."""

    url: str = Field(description="as the project's own one")
    name: str = Field(
        default="", max_length=63, description="of its directory; none: as its address ends"
    )
    base_branch: str | None = Field(default=None, min_length=1, max_length=250)


class Repository(Given):
    """A repository that sessions have beside the project's own."""

    name: str
    url: str
    base_branch: str | None


class Project(Given):
    """What sessions work on."""

    id: UUID
    name: str
    repository_url: str
    repositories: list[Repository] = Field(description="those beside its own one")
    base_branch: str | None
    agent: str | None
    size: str | None
    setup: list[str]
    start: list[str]
    ports: list[int]
    instructions: str
    guessed: list[Guessed] = Field(
        default_factory=list, description="its set-up as the newest template has it, if guessed"
    )
    sessions: int
    created_at: datetime


class AddedProject(Project):
    """A project that was just added."""

    text: str = Field(description="what happens next, for a person")


class Projects(Given):
    """Projects by name."""

    projects: list[Project]


class Person(Given):
    """Somebody who prompts."""

    person_id: UUID
    name: str
    active: bool
    operator: bool
    is_service: bool
    """It is nobody: automations work in its name."""
    identities: list[str]
    locale: str | None
    """In which they read us, as a surface or they themselves say; null: not known."""
    zone: str | None
    """IANA name of their time zone; null: not known."""
    created_at: datetime


class People(Given):
    """Everybody by name."""

    people: list[Person]


class NewPerson(Taken):
    """A person to add."""

    name: str


class NewAccount(Taken):
    """An account on a forge that is a service account's."""

    forge: Literal["github", "gitlab"]
    id: str = Field(max_length=20, description="the number that the forge gave it")
    login: str = Field(max_length=80)


class Link(Given):
    """A one-time sign-in link."""

    url: str
    minutes: float
    name: str


class NewToken(Taken):
    """An API token to make."""

    name: str
    days: float | None = Field(default=None, gt=0, le=3650, description="none: until revoked")


class MadeToken(Given):
    """A new API token; its secret is shown this once."""

    name: str
    token: str


class Token(Given):
    """An API token that holds."""

    id: str
    name: str
    created_at: datetime
    expires_at: datetime | None
    used_at: datetime | None


class Tokens(Given):
    """Your API tokens."""

    tokens: list[Token]


class SurfaceProcess(Given):
    """What one `ona serve` says of a surface."""

    owner: str
    state: str
    why: str
    since: datetime


class Surface(Given):
    """A place where people talk that needs settings."""

    surface: str
    name: str
    state: Literal["listening", "failing", "connecting", "waiting", "off", "silent"] = Field(
        description="silent: no process has said anything lately"
    )
    why: str = Field(description="what is missing or failed; may be empty")
    since: datetime | None = Field(description="since when it is in this state")
    mode: str = Field(description="socket, http, gateway, webhook, poll; empty when off")
    delay_seconds: float = Field(
        description="how late at most it hears, where it asks; with webhooks, of lost ones"
    )
    unsent: int = Field(description="replies that wait to be posted there")
    unsent_since: datetime | None = Field(description="since when the oldest of them waits")
    processes: list[SurfaceProcess]


class Surfaces(Given):
    """All surfaces that need settings."""

    surfaces: list[Surface]


class NewHalt(Taken):
    """What shall stand still: everything, or a project or a person's work."""

    project: str | None = Field(default=None, description="its name")
    person: str | None = Field(default=None, description="name or id")
    why: str = Field(default="", max_length=300, description="shown to whoever waits")


class Halt(Given):
    """Something that stands still."""

    scope: Literal["all", "project", "person"]
    target: str = Field(description="name of the project or the person; empty for everything")
    by: str
    why: str
    at: datetime


class Halts(Given):
    """Everything that stands still."""

    halts: list[Halt]


class NewSecret(Taken):
    """A value to store."""

    value: SecretStr


class Secret(Given):
    """What is known of a stored value."""

    name: str
    set_at: datetime
    by: str = Field(description="who set it last; empty: somebody in Vault itself")
    versions: int


class Secrets(Given):
    """The secrets of a project, without their values."""

    secrets: list[Secret]


class TriedSecret(Given):
    """Whether a turn of the project can read it."""

    readable: bool
    why: str
    fields: list[str] = Field(description="names of what would be read")
    used_by: list[str] = Field(description="grants of the project's policy, each with its route")
