"""Tables of sessions: their threads, prompts and turns, and what is kept of them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Column, ForeignKey, Index, LargeBinary, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from bot.store.columns import counter, json_of, moment, own_id, owned_by, state_of
from bot.store.states import PromptState, QuestionState, SessionState, TurnState


class Session(SQLModel, table=True):
    """One piece of work with its conversation, and the lease on it."""

    id: UUID = own_id()
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
    narrow: bool = Field(default=False, sa_column_kwargs={"server_default": "false"})
    """Something was said in it where not everybody reads who reads the repository; it stays so."""
    parent_id: UUID | None = Field(default=None, foreign_key="session.id")
    """The session from whose checkpoint it began."""
    state: SessionState = state_of(SessionState, SessionState.IDLE)
    priority: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    """0 people, 1 automations; lower goes first."""
    ready_at: datetime | None = moment()
    """Since when it could be claimed; moves back of its priority after each prompt."""
    position_last: int = counter()
    event_last: int = counter()
    lease_owner: str | None = None
    lease_token: int = counter()
    """Increases with each claim; every write of a worker carries it."""
    lease_until: datetime | None = moment()
    host_id: UUID | None = Field(default=None, foreign_key="host.id", index=True)
    """The host of its machine: only that host's worker may claim it."""
    stop: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB(none_as_null=True)))
    """A request to the worker to end the running turn: {by, name, why, hold}."""
    held_by: UUID | None = Field(default=None, foreign_key="person.id")
    instructed: str | None = None
    """Digest of the instructions that its agent was given last; None: there never were any."""
    created_at: datetime = moment(now=True)
    active_at: datetime = moment(now=True)

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

    id: UUID = own_id()
    session_id: UUID = owned_by("session.id")
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
    replied_to: int = counter()
    """Number of the last event whose reply rows are written."""
    created_at: datetime = moment(now=True)

    __table_args__ = (
        UniqueConstraint("surface", "place"),
        Index("ix_thread_root", "surface", postgresql_where=text("place LIKE '%/~%'")),
    )


class Channel(SQLModel, table=True):
    """What is set for a channel of a surface."""

    id: UUID = own_id()
    surface: str
    address: str
    """The surface's own address of the channel."""
    project_id: UUID | None = owned_by("project.id", nullable=True)
    """What new sessions in it are about; None: that is not set."""
    mention_only: bool = Field(default=False, sa_column_kwargs={"server_default": "false"})
    """Nothing in it is for us without a mention, not even of the one whom we answered last."""
    greeting_until: datetime | None = moment()
    """Deadline of who posts the greeting, or did last; a successor looks the mark up then."""
    warned_at: datetime | None = moment()
    """Since when it is told that everybody can read it."""
    greeted_at: datetime | None = moment()
    """Since when the greeting stands there, or can't."""

    __table_args__ = (UniqueConstraint("surface", "address"),)


class Parked(SQLModel, table=True):
    """A message whose project a person still has to choose; kept for a day."""

    id: UUID = Field(primary_key=True)
    """Made of the message's key, so that one message is parked once; the mark of the question."""
    message: dict[str, Any] = json_of("{}")
    """The message as the inbox takes it."""
    created_at: datetime = moment(now=True)


class Prompt(SQLModel, table=True):
    """One message (or several joined ones) for the agent."""

    id: UUID = own_id()
    session_id: UUID = owned_by("session.id", index=False)
    position: int = Field(sa_column=Column(BigInteger, nullable=False))
    """Order within the session; spaced, so that `now:` fits in front of the open ones."""
    kind: str = "text"
    """`text` for the agent, `command` for a `!command`, `undo` for the way back, `deliver` for what
    was kept back."""
    kept_back: bool = Field(default=False, sa_column_kwargs={"server_default": "false"})
    """What its turn leaves is delivered by a later one of the kind `deliver`."""
    author_id: UUID = Field(foreign_key="person.id")
    thread_id: UUID | None = owned_by("thread.id", nullable=True, index=False)
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
    state: PromptState = state_of(PromptState, PromptState.QUEUED)
    created_at: datetime = moment(now=True)

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

    id: UUID = own_id()
    surface: str
    delivery_key: str
    """The surface's id of this delivery attempt, or the caller's idempotency key."""
    message_key: str
    """The surface's id of the message itself, the same in every delivery of it."""
    person_id: UUID | None = Field(default=None, foreign_key="person.id")
    session_id: UUID | None = owned_by("session.id", nullable=True)
    prompt_id: UUID | None = owned_by("prompt.id", nullable=True)
    text: str = ""
    event: int = counter()
    """Number of the event that announced it; the order of messages within a prompt."""
    quoted: list[dict[str, str]] = json_of("[]")
    """{key, author, at, text} of what was said in its thread before; see `bot.work.quoting`."""
    answer: dict[str, Any] = json_of("{}")
    """What the sender was told, so that a repeated delivery is told the same."""
    received_at: datetime = moment(now=True)
    edited_at: datetime | None = moment()
    """When its author edited it last, by the surface's clock, where that is known."""

    __table_args__ = (
        UniqueConstraint("surface", "delivery_key"),
        UniqueConstraint("surface", "message_key"),
    )


class Attachment(SQLModel, table=True):
    """A file that came with a message."""

    id: UUID = own_id()
    delivery_id: UUID = owned_by("delivery.id")
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

    id: UUID = own_id()
    """Also the id of its job in the machine."""
    session_id: UUID = owned_by("session.id")
    prompt_id: UUID = Field(
        sa_column=Column(ForeignKey("prompt.id", ondelete="CASCADE"), unique=True, nullable=False)
    )
    state: TurnState = state_of(TurnState, TurnState.RUNNING)
    machine_id: UUID | None = Field(default=None, foreign_key="machine.id")
    cursor: dict[str, Any] = json_of("{}")
    """Where the harness reads on in the job's spool; moves together with the events."""
    batches: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    """How many batches of events were written; one whose commit was not answered is known by it."""
    outcome: dict[str, Any] = json_of("{}")
    """{summary, exit_status, seconds, by}: what is said about its end. Where a provider of models
    failed, {provider: {name, model, fault}, others: [{agent, model}]} too, see
    `bot.work.provider_faults`."""
    started_at: datetime = moment(now=True)
    ended_at: datetime | None = moment()
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
    turn_id: UUID | None = owned_by("turn.id", nullable=True)
    kind: str
    body: dict[str, Any] = json_of("{}")
    at: datetime = moment(now=True)

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

    id: UUID = own_id()
    session_id: UUID = owned_by("session.id")
    turn_id: UUID = owned_by("turn.id")
    asked_key: str
    """The harness's own id of the question; asking twice makes one row."""
    text: str
    choices: list[str] = json_of("[]")
    permitted: list[str] = json_of("[]")
    """Ids of the people who may answer; empty: whoever may prompt this session."""
    closed: bool = Field(default=False, sa_column_kwargs={"server_default": "false"})
    """Only one of the choices is an answer."""
    extends_micro: int | None = Field(default=None, sa_column=Column(BigInteger))
    """With its first choice the session may spend so many micro-dollars more; then holders of the
    project's budget may answer too."""
    state: QuestionState = state_of(QuestionState, QuestionState.OPEN)
    answer: str | None = None
    answered_by: UUID | None = Field(default=None, foreign_key="person.id")
    created_at: datetime = moment(now=True)
    expires_at: datetime = moment(now=True)

    __table_args__ = (UniqueConstraint("turn_id", "asked_key"),)


class Checkpoint(SQLModel, table=True):
    """What of a session survives its machine; the newest row counts."""

    id: UUID = own_id()
    session_id: UUID = owned_by("session.id")
    turn_id: UUID | None = owned_by("turn.id", nullable=True)
    repository_id: UUID | None = Field(default=None, foreign_key="project_repository.id")
    """None: of the project's own repository, with the agent's conversation."""
    base: str
    """Commit that the project's mirror has; the bundle starts after it."""
    head: str
    tree: str
    """Commit of the working tree with untracked files, a child of head."""
    size: int = counter()
    """Bytes of the bundle and the conversation files together."""
    inline: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    blob: str | None = None
    """Key in the blob store when it is too large for a row."""
    left_out: list[str] = json_of("[]")
    """What did not fit, told to the thread when the checkpoint is used."""
    created_at: datetime = moment(now=True)


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


class Halt(SQLModel, table=True):
    """An operator's order that something stands still; see `bot.govern.halt`."""

    id: UUID = own_id()
    scope: str
    """As in `bot.govern.halt.Scope`."""
    project_id: UUID | None = owned_by("project.id", nullable=True, index=False)
    person_id: UUID | None = owned_by("person.id", nullable=True, index=False)
    """Whose prompts are halted."""
    by_id: UUID = Field(foreign_key="person.id")
    why: str = Field(default="", sa_column_kwargs={"server_default": ""})
    at: datetime = moment(now=True)

    __table_args__ = (
        UniqueConstraint("scope", "project_id", "person_id", postgresql_nulls_not_distinct=True),
    )
