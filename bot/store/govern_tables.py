"""Tables of the audit and of policies; they share the metadata of `bot.store.models`.

Rows of the audit name people, sessions and projects without foreign keys: they outlive them. The
database itself refuses to change or delete them, but for `remove_audit_batches` and
`remove_audit_events`. Whoever owns the database can get around that; what was sealed before tells
it (`bot.govern.verifying`).
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    DDL,
    BigInteger,
    Column,
    DateTime,
    ForeignKey,
    Index,
    LargeBinary,
    UniqueConstraint,
    event,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from bot.store.ids import new_id


def _moment(*, clock: bool = False) -> Any:
    now = func.clock_timestamp() if clock else func.now()
    column = Column(DateTime(timezone=True), nullable=False, server_default=now)
    return Field(default=None, sa_column=column)


def _number(**options: Any) -> Any:
    column = Column(BigInteger, primary_key=True, autoincrement=False, **options)
    return Field(default=None, sa_column=column)


def _bigint() -> Any:
    return Field(sa_column=Column(BigInteger, nullable=False))


def _words() -> Any:
    return Field(default="", sa_column_kwargs={"server_default": ""})


class AuditEvent(SQLModel, table=True):
    """Something that happened and that nothing else records; append-only."""

    __tablename__ = "audit_event"

    number: int = _number(server_default=text("next_audit_number()"))
    """Order in which they were written; transactions that were undone leave gaps."""
    at: datetime = _moment(clock=True)
    kind: str
    """What happened, such as `token.made`."""
    person_id: UUID | None = None
    who: str = _words()
    """The name of the person then, or the part of ona that did it."""
    surface: str = _words()
    """Where it came from: web, api, slack, gateway, clock …"""
    place: str = _words()
    """Where: a thread, a host, a destination."""
    session_id: UUID | None = None
    project_id: UUID | None = None
    outcome: str = Field(default="done", sa_column_kwargs={"server_default": "done"})
    """`done`, `failed`, `refused`, `allowed` or `denied`."""
    body: dict[str, Any] = Field(
        default_factory=dict,
        sa_column=Column(JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    )

    __table_args__ = (
        Index("ix_audit_event_at", "at"),
        Index(
            "ix_audit_event_session_id",
            "session_id",
            postgresql_where=text("session_id IS NOT NULL"),
        ),
        Index(
            "ix_audit_event_project_id",
            "project_id",
            "number",
            postgresql_where=text("project_id IS NOT NULL"),
        ),
    )


class AuditBatch(SQLModel, table=True):
    """A link of the chain: what was sealed together, on top of what was sealed before."""

    __tablename__ = "audit_batch"

    number: int = _number()
    """From 1, without gaps."""
    sealed_at: datetime = _moment(clock=True)
    previous: str
    """The digest of the batch before, in hex; zeros for the first."""
    digest: str
    """Over the one before and everything in this one, in hex."""
    audit_last: int = _bigint()
    """Audit events up to this number are in this batch or an earlier one."""
    removed_at: datetime | None = Field(
        default=None, sa_column=Column(DateTime(timezone=True), nullable=True)
    )
    """Since when its rows are gone; it is where the chain starts now."""


class AuditPart(SQLModel, table=True):
    """What of one source a batch has sealed."""

    __tablename__ = "audit_part"

    batch: int = Field(
        sa_column=Column(
            BigInteger,
            ForeignKey("audit_batch.number", ondelete="CASCADE"),
            primary_key=True,
            autoincrement=False,
        )
    )
    place: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    """Order within the batch."""
    session_id: UUID | None = None
    """Whose events they are; None: audit events."""
    first: int = _bigint()
    last: int = _bigint()
    """Numbers of the first and the last possible row."""
    entries: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    """8 bytes of its number and 32 of its digest for each row."""


class AuditSeal(SQLModel, table=True):
    """How far a session's events are sealed."""

    __tablename__ = "audit_seal"

    session_id: UUID = Field(
        sa_column=Column(ForeignKey("session.id", ondelete="CASCADE"), primary_key=True)
    )
    number: int = _bigint()


class PolicyVersion(SQLModel, table=True):
    """A policy of a project as somebody set it; the newest counts, the others are kept."""

    __tablename__ = "policy_version"

    id: UUID = Field(default_factory=new_id, primary_key=True)
    project_id: UUID = Field(
        sa_column=Column(ForeignKey("project.id", ondelete="CASCADE"), nullable=False)
    )
    version: int
    """From 1, without gaps."""
    name: str
    """Of the file it came from, for messages about its lines."""
    source: str
    """The file as it was given, comments too."""
    set_by: UUID | None = Field(default=None, foreign_key="person.id")
    set_at: datetime = _moment()

    __table_args__ = (UniqueConstraint("project_id", "version"),)


class Destination(SQLModel, table=True):
    """What no policy names and a session asked for; its people are asked whether it reaches it."""

    session_id: UUID = Field(
        sa_column=Column(ForeignKey("session.id", ondelete="CASCADE"), primary_key=True)
    )
    host: str = Field(primary_key=True)
    """A name of the internet, normalised."""
    port: int = Field(primary_key=True)
    asked_at: datetime = _moment()
    allowed_by: UUID | None = Field(default=None, foreign_key="person.id")
    allowed_at: datetime | None = Field(
        default=None, sa_column=Column(DateTime(timezone=True), nullable=True)
    )
    """None: nobody has allowed it."""


_NUMBERS = "CREATE SEQUENCE audit_event_number"
_NEXT = """
CREATE FUNCTION next_audit_number() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    -- The transaction's id comes first: who has a number is seen to be under way.
    PERFORM pg_current_xact_id();
    RETURN nextval('audit_event_number');
END $$
"""
_KEEP = """
CREATE FUNCTION keep_audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('ona.removes_audit', true) = 'yes' THEN
        RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
    END IF;
    RAISE EXCEPTION 'rows of % are never changed or deleted', TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$
"""
_REMOVE = """
CREATE FUNCTION remove_audit_batches(through bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    last bigint;
    count bigint;
BEGIN
    SELECT audit_last INTO last FROM audit_batch WHERE number = through;
    IF last IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM set_config('ona.removes_audit', 'yes', true);
    DELETE FROM audit_event WHERE number <= last;
    GET DIAGNOSTICS count = ROW_COUNT;
    DELETE FROM audit_part WHERE batch <= through;
    DELETE FROM audit_batch WHERE number < through;
    UPDATE audit_batch SET removed_at = now() WHERE number = through;
    PERFORM set_config('ona.removes_audit', 'no', true);
    RETURN count;
END $$
"""
_REMOVE_SOME = """
CREATE FUNCTION remove_audit_events(numbers bigint[]) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    count bigint;
BEGIN
    PERFORM set_config('ona.removes_audit', 'yes', true);
    DELETE FROM audit_event WHERE number = ANY(numbers);
    GET DIAGNOSTICS count = ROW_COUNT;
    PERFORM set_config('ona.removes_audit', 'no', true);
    RETURN count;
END $$
"""
_ROWS = """
CREATE TRIGGER keep_audit BEFORE UPDATE OR DELETE ON {table}
    FOR EACH ROW EXECUTE FUNCTION keep_audit()
"""
_WHOLE = """
CREATE TRIGGER keep_audit_whole BEFORE TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION keep_audit()
"""
KEPT = ("audit_event", "audit_batch", "audit_part")
"""Tables whose rows nobody changes."""


def _make(table: str, when: str, statement: str) -> None:
    # A DDL element fills in what follows a percent sign.
    ddl = DDL(statement.replace("%", "%%"))  # type: ignore[no-untyped-call]
    event.listen(SQLModel.metadata.tables[table], when, ddl)


for _statement in (_NUMBERS, _NEXT, _KEEP, _REMOVE, _REMOVE_SOME):
    _make("audit_event", "before_create", _statement)
for _table in KEPT:
    for _statement in (_ROWS, _WHOLE):
        _make(_table, "after_create", _statement.format(table=_table))
