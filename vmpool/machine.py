"""A machine's rows and states: one virtual machine, the host it lives on, what it was made from.

    creating ──▶ starting ──▶ running ──▶ hibernating ──▶ resting ──▶ starting …
        │            │           │             │             │
        │            │           │             └─(host full)─▶ running
        ▼            ▼           ▼                           ▼
     removing ◀── removing ◀── lost (its process ended)   removing ──▶ gone

- Only the process of the host that owns a machine moves it; everybody else asks.
- `lost` is a fact found out, never chosen: its memory is gone, its session has a checkpoint.
- `gone` rows stay until their session is deleted, so that a thread can be told what happened.
"""

import enum
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Column, DateTime, Enum, Index, text
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
    MachineState.CREATING: frozenset({MachineState.STARTING}) | _END,
    MachineState.STARTING: frozenset({MachineState.RUNNING}) | _END,
    MachineState.RUNNING: frozenset({MachineState.HIBERNATING}) | _END,
    MachineState.HIBERNATING: frozenset({MachineState.RESTING, MachineState.RUNNING}) | _END,
    MachineState.RESTING: frozenset({MachineState.STARTING}) | _END,
    MachineState.LOST: frozenset({MachineState.REMOVING}),
    MachineState.REMOVING: frozenset({MachineState.GONE}),
    MachineState.GONE: frozenset(),
}


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


class Template(SQLModel, table=True):
    """What machines of a project are made from, one row per fingerprint."""

    id: UUID = Field(primary_key=True)
    host_id: UUID = Field(foreign_key="host.id")
    fingerprint: str
    """Digest of everything that went into it: image, machine size."""
    image_digest: str
    vcpus: int
    memory_mib: int
    disk_gib: int
    created_at: datetime = _moment(nullable=False)

    __table_args__ = (Index("ux_template_fingerprint", "host_id", "fingerprint", unique=True),)


class Machine(SQLModel, table=True):
    """One virtual machine; a session has at most one that is not gone."""

    id: UUID = Field(primary_key=True)
    host_id: UUID = Field(foreign_key="host.id", index=True)
    template_id: UUID = Field(foreign_key="template.id")
    session_id: UUID | None = Field(default=None, index=True)
    """Whom it works for; opaque here. Set once: a machine is never given to another session."""
    state: MachineState = Field(
        sa_column=Column(
            Enum(
                MachineState,
                native_enum=False,
                create_constraint=True,
                length=16,
                name="machine_state",
                values_callable=lambda states: [state.value for state in states],
            ),
            nullable=False,
        )
    )
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
