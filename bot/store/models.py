"""The tables, in the order of a prompt's way: project, people, session, prompt, turn, reply.

Rows of machines, hosts and templates are in `vmpool.machine`, those of the audit and of policies in
`bot.store.govern_tables`, those of the clock in `bot.store.schedule_tables`, those of automations
in `bot.store.automation_tables`; they share this metadata. Nothing here decides anything: states
are in `bot.store.states`, the queue's statements in `bot/work/sql`.
"""

import enum
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Enum,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

import bot.store.automation_tables
import bot.store.govern_tables
import bot.store.schedule_tables
import bot.store.tool_tables
import bot.store.visit_tables  # noqa: F401
import vmpool.machine  # noqa: F401
from bot.store.ids import new_id
from bot.store.states import (
    ChargeState,
    GrantState,
    PromptState,
    QuestionState,
    ReplyState,
    SessionState,
    TurnState,
)


def _key() -> Any:
    return Field(default_factory=new_id, primary_key=True)


def _owned_by(column: str, **options: Any) -> Any:
    """A foreign key whose rows go when their owner goes."""
    nullable = options.pop("nullable", False)
    index = options.pop("index", True)
    return Field(
        default=None,
        sa_column=Column(ForeignKey(column, ondelete="CASCADE"), nullable=nullable, index=index),
    )


def _state(kind: type[enum.StrEnum], first: enum.StrEnum) -> Any:
    return Field(
        default=first,
        sa_column=Column(
            Enum(
                kind,
                native_enum=False,
                create_constraint=True,
                length=16,
                name=kind.__name__.lower(),
                values_callable=lambda states: [state.value for state in states],
            ),
            nullable=False,
            server_default=first.value,
        ),
    )


def _moment(*, now: bool = False) -> Any:
    column = Column(
        DateTime(timezone=True), nullable=not now, server_default=func.now() if now else None
    )
    return Field(default=None, sa_column=column)


def _counter() -> Any:
    return Field(default=0, sa_column=Column(BigInteger, nullable=False, server_default="0"))


def _json(empty: str = "{}") -> Any:
    return Field(
        default_factory=dict if empty == "{}" else list,
        sa_column=Column(JSONB, nullable=False, server_default=text(f"'{empty}'::jsonb")),
    )


class Project(SQLModel, table=True):
    """What sessions work on: a repository, an agent, a machine size."""

    id: UUID = _key()
    name: str = Field(unique=True)
    repository_url: str
    """URL or absolute local path that `git fetch` reads."""
    base_branch: str | None = None
    """None: the repository's own default branch."""
    agent: str | None = None
    """None: the installation's default."""
    size: str | None = None
    """Of its machines, a name of the settings; None: the installation's default."""
    setup: list[str] = _json("[]")
    """Shell commands that ready a machine, in the repository; part of its template."""
    start: list[str] = _json("[]")
    """Shell commands that run on in every machine: its services."""
    rebuild_at: datetime | None = _moment()
    """Templates that were begun before are built again: somebody asked for it."""
    created_at: datetime = _moment(now=True)
    removed_at: datetime | None = _moment()


class ProjectRepository(SQLModel, table=True):
    """A repository that a project's sessions have beside its own one."""

    __tablename__ = "project_repository"

    id: UUID = _key()
    """Also the name of its mirror on hosts."""
    project_id: UUID = _owned_by("project.id")
    name: str
    """Of its directory in machines, beside that of the project."""
    url: str
    base_branch: str | None = None
    """None: the repository's own default branch."""
    created_at: datetime = _moment(now=True)
    removed_at: datetime | None = _moment()

    __table_args__ = (
        Index(
            "uq_project_repository_name",
            "project_id",
            "name",
            unique=True,
            postgresql_where=text("removed_at IS NULL"),
        ),
    )


class Person(SQLModel, table=True):
    """Somebody who prompts, on whatever surfaces."""

    id: UUID = _key()
    name: str
    locale: str | None = None
    """In which they read us, as a surface or they themselves say (`de-DE`); None: not known."""
    locale_chosen: bool = Field(default=False, sa_column_kwargs={"server_default": "false"})
    """They said it: no surface changes it."""
    zone: str | None = None
    """IANA name of their time zone; None: not known."""
    zone_chosen: bool = Field(default=False, sa_column_kwargs={"server_default": "false"})
    zone_asked_at: datetime | None = _moment()
    """Since when they were asked for it, which is done once."""
    created_at: datetime = _moment(now=True)
    deactivated_at: datetime | None = _moment()
    is_service: bool = Field(default=False, sa_column_kwargs={"server_default": "false"})
    """It is nobody: automations work in its name, and it never signs in."""


class Identity(SQLModel, table=True):
    """A person as one surface knows them."""

    id: UUID = _key()
    person_id: UUID = _owned_by("person.id")
    surface: str
    external_id: str
    name: str

    __table_args__ = (UniqueConstraint("surface", "external_id"),)


class Permission(SQLModel, table=True):
    """What a forge last said that a person may do with a repository."""

    person_id: UUID = Field(
        sa_column=Column(ForeignKey("person.id", ondelete="CASCADE"), primary_key=True)
    )
    repository: str = Field(primary_key=True)
    """`surface:host/name`, in lower case."""
    level: int | None = None
    """A number of `adapters.forge.port.Permission`; None: the forge could not be asked."""
    asked_at: datetime = _moment(now=True)


class Session(SQLModel, table=True):
    """One piece of work with its conversation, and the lease on it."""

    id: UUID = _key()
    short: str = Field(unique=True)
    project_id: UUID = Field(foreign_key="project.id", index=True)
    creator_id: UUID = Field(foreign_key="person.id")
    title: str = ""
    agent: str
    model: str | None = None
    size: str | None = None
    """Of its machine, when somebody asked for one; None: the project's."""
    branch: str
    """The branch of its own that the session works on."""
    base_branch: str | None = None
    private_to: UUID | None = Field(default=None, foreign_key="person.id")
    """Nobody else sees it, and nothing of it is pushed."""
    parent_id: UUID | None = Field(default=None, foreign_key="session.id")
    """The session from whose checkpoint it began."""
    state: SessionState = _state(SessionState, SessionState.IDLE)
    priority: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    """0 people, 1 automations; lower goes first."""
    ready_at: datetime | None = _moment()
    """Since when it could be claimed; moves back of its priority after each prompt."""
    position_last: int = _counter()
    event_last: int = _counter()
    lease_owner: str | None = None
    lease_token: int = _counter()
    """Increases with each claim; every write of a worker carries it."""
    lease_until: datetime | None = _moment()
    host_id: UUID | None = Field(default=None, foreign_key="host.id", index=True)
    """The host of its machine: only that host's worker may claim it."""
    stop: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB(none_as_null=True)))
    """A request to the worker to end the running turn: {by, name, why, hold}."""
    held_by: UUID | None = Field(default=None, foreign_key="person.id")
    created_at: datetime = _moment(now=True)
    active_at: datetime = _moment(now=True)

    __table_args__ = (
        Index(
            "ix_session_claimable",
            "priority",
            "ready_at",
            postgresql_where=text("state IN ('queued', 'running')"),
        ),
    )


class Thread(SQLModel, table=True):
    """A place where a session talks."""

    id: UUID = _key()
    session_id: UUID = _owned_by("session.id")
    surface: str
    place: str
    """The surface's own address of the thread."""
    speaker: str = Field(default="", sa_column_kwargs={"server_default": ""})
    """Whose words count without a mention: who addressed us here first, as the surface says it."""
    crowded: bool = Field(default=False, sa_column_kwargs={"server_default": "false"})
    """Somebody else wrote here too: from now on a mention is needed."""
    language: str = Field(default="", sa_column_kwargs={"server_default": ""})
    """Of what is said here about nobody's turn: that of who began it; empty: the installation's."""
    muted: bool = Field(default=False, sa_column_kwargs={"server_default": "false"})
    replied_to: int = _counter()
    """Number of the last event whose reply rows are written."""
    created_at: datetime = _moment(now=True)

    __table_args__ = (
        UniqueConstraint("surface", "place"),
        Index("ix_thread_root", "surface", postgresql_where=text("place LIKE '%/~%'")),
    )


class Channel(SQLModel, table=True):
    """What is set for a channel of a surface."""

    id: UUID = _key()
    surface: str
    address: str
    """The surface's own address of the channel."""
    project_id: UUID | None = _owned_by("project.id", nullable=True)
    """What new sessions in it are about; None: that is not set."""
    mention_only: bool = Field(default=False, sa_column_kwargs={"server_default": "false"})
    """Nothing in it is for us without a mention, not even of the one whom we answered last."""
    greeting_until: datetime | None = _moment()
    """Deadline of who posts the greeting, or did last; a successor looks the mark up then."""
    warned_at: datetime | None = _moment()
    """Since when it is told that everybody can read it."""
    greeted_at: datetime | None = _moment()
    """Since when the greeting stands there, or can't."""

    __table_args__ = (UniqueConstraint("surface", "address"),)


class Parked(SQLModel, table=True):
    """A message whose project a person still has to choose; kept for a day."""

    id: UUID = Field(primary_key=True)
    """Made of the message's key, so that one message is parked once; the mark of the question."""
    message: dict[str, Any] = _json()
    """The message as the inbox takes it."""
    created_at: datetime = _moment(now=True)


class Prompt(SQLModel, table=True):
    """One message (or several joined ones) for the agent."""

    id: UUID = _key()
    session_id: UUID = _owned_by("session.id", index=False)
    position: int = Field(sa_column=Column(BigInteger, nullable=False))
    """Order within the session; spaced, so that `now:` fits in front of the open ones."""
    kind: str = "text"
    """`text` for the agent, `command` for a `!command`, `undo` for the way back, `deliver` for what
    was kept back."""
    kept_back: bool = Field(default=False, sa_column_kwargs={"server_default": "false"})
    """What its turn leaves is delivered by a later one of the kind `deliver`."""
    author_id: UUID = Field(foreign_key="person.id")
    thread_id: UUID | None = _owned_by("thread.id", nullable=True, index=False)
    """Where it was said; its answer goes there first."""
    asker: str = Field(default="", sa_column_kwargs={"server_default": ""})
    """The author as the surface of that thread calls them, where it can notify somebody."""
    language: str = Field(default="", sa_column_kwargs={"server_default": ""})
    """The shipped locale in which its author is answered."""
    read_only: bool = Field(default=False, sa_column_kwargs={"server_default": "false"})
    """Its turn changes nothing outside of its machine: nobody is there who would see it."""
    agent: str | None = None
    """With which its turn runs and those after it, where that is another than before."""
    model: str | None = None
    """The same; with an agent and without this, the agent's own default."""
    repeats: UUID | None = None
    """The prompt of its session that it asks again."""
    state: PromptState = _state(PromptState, PromptState.QUEUED)
    created_at: datetime = _moment(now=True)

    __table_args__ = (
        UniqueConstraint("session_id", "position"),
        Index(
            "ix_prompt_open",
            "session_id",
            "position",
            postgresql_where=text("state IN ('queued', 'running')"),
        ),
    )


class Delivery(SQLModel, table=True):
    """One message as it came in: what makes an accepted message exactly one prompt."""

    id: UUID = _key()
    surface: str
    delivery_key: str
    """The surface's id of this delivery attempt, or the caller's idempotency key."""
    message_key: str
    """The surface's id of the message itself, the same in every delivery of it."""
    person_id: UUID | None = Field(default=None, foreign_key="person.id")
    session_id: UUID | None = _owned_by("session.id", nullable=True)
    prompt_id: UUID | None = _owned_by("prompt.id", nullable=True)
    text: str = ""
    event: int = _counter()
    """Number of the event that announced it; the order of messages within a prompt."""
    quoted: list[dict[str, str]] = _json("[]")
    """{key, author, at, text} of what was said in its thread before; see `bot.work.quoting`."""
    answer: dict[str, Any] = _json()
    """What the sender was told, so that a repeated delivery is told the same."""
    received_at: datetime = _moment(now=True)

    __table_args__ = (
        UniqueConstraint("surface", "delivery_key"),
        UniqueConstraint("surface", "message_key"),
    )


class Attachment(SQLModel, table=True):
    """A file that came with a message."""

    id: UUID = _key()
    delivery_id: UUID = _owned_by("delivery.id")
    place: int
    """Order beside the message."""
    message_key: str
    """Of the message that it stood beside, as the surface says it."""
    name: str
    media_type: str
    """Found out from its bytes; empty when it was left out."""
    data: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    why: str
    """Why it was left out, if it was."""


class Turn(SQLModel, table=True):
    """The run of one prompt."""

    id: UUID = _key()
    """Also the id of its job in the machine."""
    session_id: UUID = _owned_by("session.id")
    prompt_id: UUID = Field(
        sa_column=Column(ForeignKey("prompt.id", ondelete="CASCADE"), unique=True, nullable=False)
    )
    state: TurnState = _state(TurnState, TurnState.RUNNING)
    machine_id: UUID | None = Field(default=None, foreign_key="machine.id")
    cursor: dict[str, Any] = _json()
    """Where the harness reads on in the job's spool; moves together with the events."""
    batches: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    """How many batches of events were written; one whose commit was not answered is known by it."""
    outcome: dict[str, Any] = _json()
    """{summary, exit_status, seconds, by}: what is said about its end. Where a provider of models
    failed, {provider: {name, model, fault}, others: [{agent, model}]} too, see
    `bot.work.provider_faults`."""
    started_at: datetime = _moment(now=True)
    ended_at: datetime | None = _moment()
    checkpoint_id: UUID | None = None
    """What its files were like at its end; known for longer than it is kept. None: not saved."""
    undone_by: UUID | None = Field(
        default=None, sa_column=Column(ForeignKey("turn.id", ondelete="SET NULL"), nullable=True)
    )
    """The turn that took it back."""
    unreached: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    """How often in a row its machine took no word about its job, since events were written last."""
    ran_seconds: float = Field(default=0, sa_column_kwargs={"server_default": "0"})
    """How long holders of the lease ran it, rests not counted; as of the last renewal."""


class TurnEvent(SQLModel, table=True):
    """What happened in a session; append-only, numbered without gaps."""

    __tablename__ = "turn_event"

    session_id: UUID = Field(
        sa_column=Column(ForeignKey("session.id", ondelete="CASCADE"), primary_key=True)
    )
    number: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    turn_id: UUID | None = _owned_by("turn.id", nullable=True)
    kind: str
    body: dict[str, Any] = _json()
    at: datetime = _moment(now=True)

    __table_args__ = (
        Index("ix_turn_event_at", "at", postgresql_using="brin"),
        Index(
            "ix_turn_event_conversation",
            "session_id",
            "number",
            postgresql_where=text("kind = 'conversation'"),
        ),
    )


class Question(SQLModel, table=True):
    """Something a turn asked a person: free text, a choice or a permission."""

    id: UUID = _key()
    session_id: UUID = _owned_by("session.id")
    turn_id: UUID = _owned_by("turn.id")
    asked_key: str
    """The harness's own id of the question; asking twice makes one row."""
    text: str
    choices: list[str] = _json("[]")
    permitted: list[str] = _json("[]")
    """Ids of the people who may answer; empty: whoever may prompt this session."""
    closed: bool = Field(default=False, sa_column_kwargs={"server_default": "false"})
    """Only one of the choices is an answer."""
    extends_micro: int | None = Field(default=None, sa_column=Column(BigInteger))
    """With its first choice the session may spend so many micro-dollars more; then holders of the
    project's budget may answer too."""
    state: QuestionState = _state(QuestionState, QuestionState.OPEN)
    answer: str | None = None
    answered_by: UUID | None = Field(default=None, foreign_key="person.id")
    created_at: datetime = _moment(now=True)
    expires_at: datetime = _moment(now=True)

    __table_args__ = (UniqueConstraint("turn_id", "asked_key"),)


class Reply(SQLModel, table=True):
    """Something we post to a thread: a row of the outbox."""

    id: UUID = _key()
    """Also the mark by which the surface finds it again."""
    thread_id: UUID = _owned_by("thread.id")
    turn_id: UUID | None = _owned_by("turn.id", nullable=True)
    kind: str
    """`live` (edited while the turn runs), `answer`, `notice`, `question`; `reaction` is the sign
    that we leave at a prompt's message: its body names the sign, its ref the message."""
    key: str
    """What this reply is about; one row per thread and key, whoever computes it."""
    body: str
    buttons: list[dict[str, str]] = _json("[]")
    """{label, says, url} of each, as in `adapters.chat.port.Button`."""
    notify: str = Field(default="", sa_column_kwargs={"server_default": ""})
    """The surface's id of the person who is told of the post."""
    final: bool = Field(default=False, sa_column_kwargs={"server_default": "false"})
    live: str = Field(default="", sa_column_kwargs={"server_default": ""})
    """Of a live one: how far its turn is, as in `adapters.chat.port.Live`."""
    language: str = Field(default="", sa_column_kwargs={"server_default": ""})
    """The shipped locale of its body."""
    state: ReplyState = _state(ReplyState, ReplyState.PENDING)
    wording: int = _counter()
    """Counts changes of the body; the sender writes back only the one it sent."""
    wording_sent: int = _counter()
    posted_ref: str | None = None
    """The surface's id of the post; None until the first post is certain."""
    attempts: int = _counter()
    tried_at: datetime | None = _moment()
    """When the first attempt began of which it is not known whether it posted."""
    due_at: datetime = _moment(now=True)
    undelivered: bool = Field(default=False, sa_column_kwargs={"server_default": "false"})
    """It failed for good, and its asker may be told of it directly."""
    sender: str | None = None
    sender_until: datetime | None = _moment()
    """Deadline of the post under way; a successor waits it out, then looks the mark up."""
    error: str | None = None
    created_at: datetime = _moment(now=True)

    __table_args__ = (
        UniqueConstraint("thread_id", "key"),
        Index(
            "ix_reply_due",
            "due_at",
            postgresql_where=text("state IN ('pending', 'sending')"),
        ),
        Index("ix_reply_undelivered", "created_at", postgresql_where=text("undelivered")),
        Index("ix_reply_posted", "posted_ref", postgresql_where=text("posted_ref IS NOT NULL")),
    )


class Bucket(SQLModel, table=True):
    """Tokens left for one method of one installation of a surface."""

    surface: str = Field(sa_column=Column(String, primary_key=True))
    method: str = Field(sa_column=Column(String, primary_key=True))
    tokens: float
    filled_at: datetime = _moment(now=True)


class Checkpoint(SQLModel, table=True):
    """What of a session survives its machine; the newest row counts."""

    id: UUID = _key()
    session_id: UUID = _owned_by("session.id")
    turn_id: UUID | None = _owned_by("turn.id", nullable=True)
    repository_id: UUID | None = Field(default=None, foreign_key="project_repository.id")
    """None: of the project's own repository, with the agent's conversation."""
    base: str
    """Commit that the project's mirror has; the bundle starts after it."""
    head: str
    tree: str
    """Commit of the working tree with untracked files, a child of head."""
    size: int = _counter()
    """Bytes of the bundle and the conversation files together."""
    inline: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    blob: str | None = None
    """Key in the blob store when it is too large for a row."""
    left_out: list[str] = _json("[]")
    """What did not fit, told to the thread when the checkpoint is used."""
    created_at: datetime = _moment(now=True)


class TurnCheckpoint(SQLModel, table=True):
    """What the files of a repository beside the project's own were like at the end of a turn."""

    __tablename__ = "turn_checkpoint"

    turn_id: UUID = Field(
        sa_column=Column(ForeignKey("turn.id", ondelete="CASCADE"), primary_key=True)
    )
    repository_id: UUID = Field(
        sa_column=Column(ForeignKey("project_repository.id", ondelete="CASCADE"), primary_key=True)
    )
    checkpoint_id: UUID
    """Known for longer than it is kept."""


class Cursor(SQLModel, table=True):
    """Where a listener that asks again and again has read to."""

    name: str = Field(primary_key=True)
    value: str
    put_at: datetime = _moment(now=True)


class Kept(SQLModel, table=True):
    """What an installation keeps of itself, such as a secret that its marks are made with."""

    name: str = Field(primary_key=True)
    value: str
    kept_at: datetime = _moment(now=True)


class SurfaceState(SQLModel, table=True):
    """Whether a process hears what is said on a surface, as it said last."""

    __tablename__ = "surface_state"

    surface: str = Field(primary_key=True)
    owner: str = Field(primary_key=True)
    """The process."""
    state: str
    """As in `adapters.listening.Condition`."""
    why: str = Field(default="", sa_column_kwargs={"server_default": ""})
    mode: str = Field(default="", sa_column_kwargs={"server_default": ""})
    """As in `bot.switched.Mode`."""
    delay_seconds: float = Field(default=0, sa_column_kwargs={"server_default": "0"})
    at: datetime = _moment(now=True)
    """Since when it is in this state."""
    seen_at: datetime = _moment(now=True)
    """When the process said so last."""


class Lease(SQLModel, table=True):
    """The right to be the only one at something that is not a session, such as a clock."""

    name: str = Field(primary_key=True)
    owner: str
    token: int = _counter()
    until: datetime = _moment(now=True)


class Tombstone(SQLModel, table=True):
    """What is left of a deleted session."""

    id: UUID = _key()
    session_id: UUID = Field(unique=True)
    """It is gone, or about to be."""
    short: str = Field(unique=True)
    by_id: UUID | None = Field(default=None, foreign_key="person.id")
    """None: ona did, because its project keeps it no longer."""
    name: str
    """Of who deleted it."""
    at: datetime = _moment(now=True)
    finished_at: datetime | None = _moment()
    """Since when nothing of it is left."""


class TombstoneThread(SQLModel, table=True):
    """A thread that a deleted session had; one with another session since is told of nothing."""

    __tablename__ = "tombstone_thread"

    surface: str = Field(primary_key=True)
    place: str = Field(primary_key=True)
    tombstone_id: UUID = _owned_by("tombstone.id")
    shown: bool = Field(default=False, sa_column_kwargs={"server_default": "false"})
    """The surface still shows in its own way what goes on in the session."""


class TombstonePost(SQLModel, table=True):
    """A post or sign of a deleted session that still says that it works or waits."""

    __tablename__ = "tombstone_post"

    id: UUID = Field(primary_key=True)
    """Of the reply that it was: the post's mark."""
    surface: str
    place: str
    tombstone_id: UUID = _owned_by("tombstone.id")
    kind: str
    """`live` or `reaction`."""
    ref: str | None = None
    """Of the post, or of the message that bears the sign; None: it was under way."""
    language: str = Field(default="", sa_column_kwargs={"server_default": ""})


class Halt(SQLModel, table=True):
    """An operator's order that something stands still; see `bot.govern.halt`."""

    id: UUID = _key()
    scope: str
    """As in `bot.govern.halt.Scope`."""
    project_id: UUID | None = _owned_by("project.id", nullable=True, index=False)
    person_id: UUID | None = _owned_by("person.id", nullable=True, index=False)
    """Whose prompts are halted."""
    by_id: UUID = Field(foreign_key="person.id")
    why: str = Field(default="", sa_column_kwargs={"server_default": ""})
    at: datetime = _moment(now=True)

    __table_args__ = (
        UniqueConstraint("scope", "project_id", "person_id", postgresql_nulls_not_distinct=True),
    )


class Credential(SQLModel, table=True):
    """A way to sign in: API token, one-time link or browser session; only digests are kept."""

    digest: str = Field(primary_key=True)
    kind: str
    """`token`, `link` or `browser`."""
    person_id: UUID = _owned_by("person.id")
    name: str = ""
    created_at: datetime = _moment(now=True)
    expires_at: datetime | None = _moment()
    used_at: datetime | None = _moment()
    revoked_at: datetime | None = _moment()


class Budget(SQLModel, table=True):
    """What somebody or something may spend on models, and has; in micro-dollars."""

    kind: str = Field(primary_key=True)
    """`session`, or for one day `person`, `project`."""
    owner: UUID = Field(primary_key=True)
    day: date = Field(primary_key=True)
    limit_micro: int | None = Field(default=None, sa_column=Column(BigInteger))
    """As the last request was told; None: there is none."""
    extra_micro: int = _counter()
    """Allowed by a person beyond the limit."""
    reserved_micro: int = _counter()
    """The worst case of the requests under way."""
    spent_micro: int = _counter()


class Charge(SQLModel, table=True):
    """One request to a model: what it may cost, then what it did."""

    id: UUID = _key()
    turn_id: UUID = Field(index=True)
    """Like those below no reference: what was spent is known for longer than for what."""
    session_id: UUID = Field(index=True)
    person_id: UUID
    project_id: UUID
    day: date = Field(index=True)
    """UTC, of its reservation."""
    provider: str = Field(default="", sa_column_kwargs={"server_default": ""})
    """The name of whose model it is."""
    model: str
    fault: str | None = None
    """How its provider failed, as `vmpool.network.model.fault` calls it; None: it did not."""
    state: ChargeState = _state(ChargeState, ChargeState.RESERVED)
    worst_micro: int = _counter()
    cost_micro: int = _counter()
    input_tokens: int = _counter()
    output_tokens: int = _counter()
    cache_read_tokens: int = _counter()
    cache_write_tokens: int = _counter()
    created_at: datetime = _moment(now=True)
    settled_at: datetime | None = _moment()

    __table_args__ = (
        Index("ix_charge_reserved", "created_at", postgresql_where=text("state = 'reserved'")),
    )


class BudgetRefusal(SQLModel, table=True):
    """The last request to a model of a turn that no budget bore; gone when it is extended."""

    __tablename__ = "budget_refusal"

    turn_id: UUID = Field(
        sa_column=Column(ForeignKey("turn.id", ondelete="CASCADE"), primary_key=True)
    )
    kind: str
    """Of the budget, as in `Budget`."""
    limit_micro: int = _counter()
    """With what was allowed beyond it."""
    spent_micro: int = _counter()
    reserved_micro: int = _counter()
    worst_micro: int = _counter()
    """What the request may cost."""
    more_micro: int = _counter()
    """By how much a session's budget would be extended so that it bears the request."""
    at: datetime = _moment(now=True)


class TurnGrant(SQLModel, table=True):
    """A short-lived credential of a turn or a build, written down before its issuer is asked."""

    __tablename__ = "turn_grant"

    id: UUID = _key()
    """Issuers that name what they issue call it by this."""
    session_id: UUID | None = Field(
        default=None,
        sa_column=Column(ForeignKey("session.id", ondelete="SET NULL"), nullable=True, index=True),
    )
    """None: the session is deleted, and the grant has to go; or a template's build has it."""
    template_id: UUID | None = Field(
        default=None,
        sa_column=Column(ForeignKey("template.id", ondelete="SET NULL"), nullable=True),
    )
    """Whose build has it."""
    turn_id: UUID | None = Field(
        default=None,
        sa_column=Column(ForeignKey("turn.id", ondelete="SET NULL"), nullable=True, index=True),
    )
    """None: the turn had not begun yet."""
    kind: str
    """Of its issuer; `token` is the turn's own in Vault, whose leases end with it."""
    name: str
    """Within the project."""
    mode: str
    """`injected` outside the machine, or `handed` into it."""
    purpose: str = ""
    options: dict[str, Any] = _json()
    """As the project asks for it."""
    trace: dict[str, Any] = _json()
    """What its issuer needs to end it; never a value that works."""
    state: GrantState = _state(GrantState, GrantState.ISSUING)
    owner: str
    """Who held the session when it was issued, by which lease; empty and 0: a build had it."""
    lease_token: int = Field(sa_column=Column(BigInteger, nullable=False))
    created_at: datetime = _moment(now=True)
    issued_at: datetime | None = _moment()
    ends_at: datetime | None = _moment()
    """Its issuer refuses it from then on, renewed or not; None: it has no time of its own."""
    ended_at: datetime | None = _moment()

    __table_args__ = (
        Index(
            "ix_turn_grant_alive",
            "created_at",
            postgresql_where=text("state IN ('issuing', 'issued')"),
        ),
    )


class CiWatch(SQLModel, table=True):
    """A commit that a turn pushed, whose checks on its forge are followed."""

    __tablename__ = "ci_watch"

    session_id: UUID = Field(
        sa_column=Column(ForeignKey("session.id", ondelete="CASCADE"), primary_key=True)
    )
    repository: str = Field(primary_key=True)
    """`surface:host/name`, in lower case."""
    ref: str = Field(primary_key=True)
    """Whole: `refs/heads/…`."""
    commit: str
    turn_id: UUID = _owned_by("turn.id")
    rounds: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    """Prompts in a row that failed checks made."""
    told: str = Field(default="", sa_column_kwargs={"server_default": ""})
    """Key of what was said or asked about its checks last."""
    state: str = Field(default="", sa_column_kwargs={"server_default": ""})
    """Of its checks, as they were seen last: `running`, `passed`, `failed`; empty: there are none,
    or they say nothing."""
    over: bool = Field(default=False, sa_column_kwargs={"server_default": "false"})
    """They are not followed any more."""
    since: datetime = _moment(now=True)
    due_at: datetime = _moment(now=True)

    __table_args__ = (Index("ix_ci_watch_due", "due_at", postgresql_where=text("NOT over")),)


class Branch(SQLModel, table=True):
    """A branch of a session on a forge, as the session last saw it there."""

    session_id: UUID = Field(
        sa_column=Column(ForeignKey("session.id", ondelete="CASCADE"), primary_key=True)
    )
    repository: str = Field(primary_key=True)
    """`surface:host/name`, in lower case."""
    ref: str = Field(primary_key=True)
    """Whole: `refs/heads/…`."""
    commit: str
    seen_at: datetime = _moment(now=True)
    told: str | None = None
    """The commit of which people were told last that it was delivered; None: of none."""


class PullRequest(SQLModel, table=True):
    """A pull request of a session's branch, as it was last seen."""

    __tablename__ = "pull_request"

    id: UUID = _key()
    session_id: UUID = _owned_by("session.id")
    surface: str
    """Of its forge."""
    repository: str
    """As the forge spells it."""
    number: int
    url: str
    state: str
    """`open`, `closed` or `merged`."""
    draft: bool
    head: str
    """The branch, without `refs/heads/`."""
    base: str
    opened_by: str
    """The login of who opened it."""
    asker_id: UUID = Field(foreign_key="person.id")
    """Whose prompt it was opened for."""
    by_asker: bool = Field(default=False, sa_column_kwargs={"server_default": "false"})
    """Their own token opened it; else we did."""
    offer: bool = Field(default=False, sa_column_kwargs={"server_default": "false"})
    """They are still to be told, in private, that the next ones can be theirs."""
    created_at: datetime = _moment(now=True)
    seen_at: datetime = _moment(now=True)

    __table_args__ = (UniqueConstraint("surface", "repository", "number"),)


class PersonToken(SQLModel, table=True):
    """What acts as a person on a forge, sealed by Vault."""

    __tablename__ = "person_token"

    id: UUID = _key()
    person_id: UUID = _owned_by("person.id")
    surface: str
    """With its host: `github:github.com`."""
    sealed: str
    """JSON {access, refresh}; only Vault can read it."""
    ends_at: datetime | None = _moment()
    """None: when somebody revokes it."""
    refreshing_until: datetime | None = _moment()
    """Somebody gets another one until then."""
    kept_at: datetime = _moment(now=True)
