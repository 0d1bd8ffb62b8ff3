"""A machine's rows and states: one virtual machine, the host it lives on, what it was made from.

    creating ──▶ starting ──▶ running ──▶ hibernating ──▶ resting ──▶ starting …
        │ └(clone)─▶ resting  │  ▲ └▶ paused ─┐  │           │
        │            │        │  └────────────┘  └(host full)▶ running
        ▼            ▼        ▼                              ▼
     removing ◀── removing ◀── lost (its process ended)   removing ──▶ gone

    template:  building ──▶ ready ──▶ retired ──▶ gone
                   └──────▶ failed ────────────────▲

- Only the process of the host that owns a machine moves it; everybody else asks. A host that is
  given up can't be asked: whoever has its session's lease loses the machine for it.
- `lost` is a fact found out, never chosen: its memory is gone, its session has a checkpoint.
- `gone` rows stay until their session is deleted, so that a thread can be told what happened.
"""

import enum
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Column, DateTime, Enum, Index, Integer, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel


class MachineState(enum.StrEnum):
    """Where a machine is between its creation and its removal."""

    CREATING = "creating"
    """The row exists; its disk is being laid down."""
    STARTING = "starting"
    """Booting or resuming; the guest has not answered yet."""
    RUNNING = "running"
    """The guest answered; jobs may run."""
    PAUSED = "paused"
    """Up and made its own, its CPUs stopped: hot, handed out at once."""
    HIBERNATING = "hibernating"
    """Memory is being written; the process is about to end."""
    RESTING = "resting"
    """Memory and disk lie on disk; no process."""
    LOST = "lost"
    """Its process ended without a rest, or its rest was refused."""
    REMOVING = "removing"
    """Its process and files are being removed."""
    GONE = "gone"
    """Nothing of it is left on the host."""


_END = frozenset({MachineState.LOST, MachineState.REMOVING})

MACHINE_MOVES: Mapping[MachineState, frozenset[MachineState]] = {
    MachineState.CREATING: frozenset({MachineState.STARTING, MachineState.RESTING}) | _END,
    MachineState.STARTING: frozenset({MachineState.RUNNING, MachineState.RESTING}) | _END,
    MachineState.RUNNING: frozenset({MachineState.HIBERNATING, MachineState.PAUSED}) | _END,
    MachineState.PAUSED: frozenset({MachineState.RUNNING}) | _END,
    MachineState.HIBERNATING: frozenset({MachineState.RESTING, MachineState.RUNNING}) | _END,
    MachineState.RESTING: frozenset({MachineState.STARTING}) | _END,
    MachineState.LOST: frozenset({MachineState.REMOVING}),
    MachineState.REMOVING: frozenset({MachineState.GONE}),
    MachineState.GONE: frozenset(),
}


class TemplateState(enum.StrEnum):
    """Where a template is between the first step of its build and its removal."""

    BUILDING = "building"
    """A machine is set up for it."""
    READY = "ready"
    """Machines are made of it."""
    FAILED = "failed"
    """A step of its build failed; the log says which."""
    RETIRED = "retired"
    """A newer one is ready; it goes when nothing waits of it any more."""
    GONE = "gone"
    """Nothing of it is left on the host; machines made of it may live on."""


TEMPLATE_MOVES: Mapping[TemplateState, frozenset[TemplateState]] = {
    TemplateState.BUILDING: frozenset(
        {TemplateState.READY, TemplateState.FAILED, TemplateState.GONE}
    ),
    TemplateState.READY: frozenset({TemplateState.RETIRED, TemplateState.FAILED}),
    TemplateState.FAILED: frozenset({TemplateState.GONE}),
    TemplateState.RETIRED: frozenset({TemplateState.GONE}),
    TemplateState.GONE: frozenset(),
}


class Tier(enum.StrEnum):
    """Where a session's machine came from when it was handed out."""

    HOT = "hot"
    """It was up and paused."""
    COLD = "cold"
    """It waited as a snapshot."""
    BOOT = "boot"
    """Nothing waited: it was booted."""


def _state(kind: type[enum.StrEnum], name: str) -> Any:
    return Field(
        sa_column=Column(
            Enum(
                kind,
                native_enum=False,
                create_constraint=True,
                length=16,
                name=name,
                values_callable=lambda states: [state.value for state in states],
            ),
            nullable=False,
        )
    )


def _moment(*, index: bool = False, nullable: bool = True) -> Any:
    return Field(
        default=None,
        sa_column=Column(DateTime(timezone=True), index=index, nullable=nullable),
    )


class Host(SQLModel, table=True):
    """A Linux machine that runs machines: one `ona work` process, one directory."""

    id: UUID = Field(primary_key=True)
    name: str
    driver: str
    accelerator: str
    boot_id: str
    """The kernel's boot id when the host last reported; a change means every process is gone."""
    seen_at: datetime = _moment(nullable=False)
    """Its last report, by the database's clock."""
    heard_since: datetime = Field(
        default=None,
        sa_column=Column(DateTime(timezone=True), nullable=False, server_default=text("now()")),
    )
    """The first report of those that came without a break; see `vmpool.silence`."""
    given_up_at: datetime | None = _moment()
    """Since when nobody waits for it any more; its next report ends that."""


class Template(SQLModel, table=True):
    """What machines of a project and size are made from on a host, set up once and frozen."""

    id: UUID = Field(primary_key=True)
    """Also its name with the driver."""
    host_id: UUID = Field(foreign_key="host.id", index=True)
    project_id: UUID = Field(index=True)
    """Whose machines they are; opaque here."""
    size: str
    """Name of the machines' size."""
    vcpus: int
    memory_mib: int
    disk_gib: int
    image_digest: str
    fingerprint: str
    """Digest of everything that goes in but the commit; see `vmpool.warm.due.Wanted`."""
    commit: str = ""
    """What its repository is at; empty until it is known."""
    state: TemplateState = _state(TemplateState, "template_state")
    generation: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    """What its machine's guest was last told; clones go on from it."""
    machine_id: UUID | None = None
    """The machine that is or was set up for it."""
    failures: int = Field(
        default=0, sa_column=Column(Integer, nullable=False, server_default=text("0"))
    )
    """Builds of the same that failed in a row before this one."""
    steps: list[dict[str, Any]] = Field(
        default_factory=list,
        sa_column=Column(JSONB, nullable=False, server_default=text("'[]'::jsonb")),
    )
    """The log of its build, bounded by the builder: {step, seconds, exit_status, output}, and
    what else its builder knows of a step."""
    step_number: int = Field(
        default=0, sa_column=Column(Integer, nullable=False, server_default=text("0"))
    )
    """Of the step that its build began last, from 1; 0: of none yet."""
    step_count: int | None = None
    """How many there are, once that is known."""
    note: str | None = None
    """Why it failed or went, in one sentence for a person; while it is built, the step's name."""
    created_at: datetime = _moment(nullable=False)
    changed_at: datetime = _moment(nullable=False)

    __table_args__ = (
        Index(
            "ux_template_building",
            "host_id",
            "project_id",
            "size",
            unique=True,
            postgresql_where=text("state = 'building'"),
        ),
    )


class Machine(SQLModel, table=True):
    """One virtual machine; a session has at most one that is not gone."""

    id: UUID = Field(primary_key=True)
    host_id: UUID = Field(foreign_key="host.id", index=True)
    template_id: UUID | None = Field(default=None, foreign_key="template.id", index=True)
    """What it was cloned from; None: it was booted."""
    session_id: UUID | None = Field(default=None, index=True)
    """Whom it works for; opaque here. One that ran for a session is never given to another.
    None: it waits to be handed out, or a template is made of it."""
    size: str
    vcpus: int
    memory_mib: int
    disk_gib: int
    image_digest: str
    state: MachineState = _state(MachineState, "machine_state")
    generation: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    """Increases with every boot and resume; the guest learns it in its thaw."""
    request: str | None = None
    """What somebody asked of its owner: `rest` or `destroy`; cleared when it is done."""
    note: str | None = None
    """Why it is lost, in one sentence for a person."""
    facts: dict[str, Any] = Field(
        default_factory=dict,
        sa_column=Column(JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    )
    """What is worth showing and not worth a column: last start and hibernation in seconds."""
    created_at: datetime = _moment(nullable=False)
    used_at: datetime = _moment(nullable=False)
    """When a turn last used it; idle time counts from here."""
    changed_at: datetime = _moment(nullable=False)

    __table_args__ = (
        Index(
            "ux_machine_of_session",
            "session_id",
            unique=True,
            postgresql_where=text("state NOT IN ('lost', 'removing', 'gone')"),
        ),
    )


class MachineName(SQLModel, table=True):
    """A name that a machine was given an address for, which it keeps for its whole life."""

    __tablename__ = "machine_name"

    machine_id: UUID = Field(primary_key=True, foreign_key="machine.id", ondelete="CASCADE")
    name: str = Field(primary_key=True)
    number: int
    """Of the address, in the range that names have; see `vmpool.network.gateway.names`."""

    __table_args__ = (Index("ux_machine_name_number", "machine_id", "number", unique=True),)


class Handout(SQLModel, table=True):
    """A machine given to a session that had none: what pools are sized by, and judged by."""

    id: UUID = Field(primary_key=True)
    host_id: UUID = Field(foreign_key="host.id")
    project_id: UUID
    size: str
    machine_id: UUID
    tier: Tier = _state(Tier, "tier")
    seconds: float
    """From the question for a machine to its answer to the first command."""
    at: datetime = _moment(nullable=False)

    __table_args__ = (Index("ix_handout_at", "host_id", "at"),)


class TemplateWait(SQLModel, table=True):
    """A template that is to be built and is not yet, as its host last decided: for people to read.

    See `vmpool.warm.due.Wait`.
    """

    __tablename__ = "template_wait"

    host_id: UUID = Field(foreign_key="host.id", primary_key=True)
    project_id: UUID = Field(primary_key=True)
    size: str = Field(primary_key=True)
    why: str
    failures: int
    not_before: datetime | None = _moment(nullable=True)
    ahead: int
    changed_at: datetime = _moment(nullable=False)


class PoolStatus(SQLModel, table=True):
    """How a pool stands, as its host last decided: for people to read, never to act on."""

    __tablename__ = "pool"

    host_id: UUID = Field(foreign_key="host.id", primary_key=True)
    project_id: UUID = Field(primary_key=True)
    size: str = Field(primary_key=True)
    hot_target: int
    cold_target: int
    why: str
    """Why these targets, in one sentence."""
    held: str | None = None
    """Why it is not filled, if it is not: no template, no memory, failures."""
    refill_seconds: float
    """How long a machine takes to become hot."""
    changed_at: datetime = _moment(nullable=False)
