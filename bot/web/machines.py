"""Asking the owner of a machine to rest or destroy it; only its host's process does it."""

from collections.abc import Mapping
from typing import Any, Literal

from sqlalchemy import text

from bot.errors import NothingToDo
from bot.govern.access import Act
from bot.govern.audit import record
from bot.store.database import MACHINES
from bot.store.transaction import Transaction
from bot.web import reading
from bot.web.services import Services
from bot.web.visitor import Visitor, require_project

Request = Literal["rest", "destroy"]

_ASK = text(
    """
    UPDATE machine SET request = :request
     WHERE id = :machine
       AND (state = 'running' OR (state IN ('resting', 'lost') AND :request = 'destroy')
            OR (state NOT IN ('removing', 'gone') AND :request = 'destroy'
                AND host_id IN (SELECT id FROM host WHERE given_up_at IS NOT NULL)))
    RETURNING host_id
    """
)


async def find(visitor: Visitor, services: Services, said: str, act: Act) -> dict[str, Any]:
    """A machine with which they may do that. :raises NotFound: :raises Refused:"""
    async with services.database.begin() as tx:
        machine = await reading.machine(tx, said)
    if machine["private_to"] not in {None, visitor.id}:
        raise reading.no_machine(said)
    narrow = machine["narrow"]
    await require_project(visitor, services, act, machine["project_id"], narrow=narrow)
    return machine


async def ask(
    tx: Transaction, visitor: Visitor, said: str, request: Request
) -> tuple[dict[str, Any], str]:
    """Ask for it; the machine and one sentence for the person.

    A machine in use is asked again when its turn has ended.

    :raises NotFound: no such machine
    :raises NothingToDo: it does not run, or is gone
    """
    machine = await reading.machine(tx, said)
    asked = await tx.execute(_ASK, {"machine": machine["id"], "request": request})
    host_id = asked.scalar_one_or_none()
    if host_id is None:
        verb = "hibernates only from running" if request == "rest" else "can't be destroyed now"
        raise NothingToDo(
            f"machine {machine['short']} is {machine['state']}: it {verb}",
            do="`ona machines` shows when that changes",
        )
    tx.hint(MACHINES, host_id)
    done = {"machine": machine["id"], "session": machine["session"]}
    await record(
        tx,
        visitor.did(
            f"machine.{request}", machine["short"], project_id=machine["project_id"], body=done
        ),
    )
    if machine["host_given_up"]:
        return machine, given_up(machine, request)
    if request == "rest":
        return machine, f"Machine {machine['short']} hibernates as soon as no turn uses it."
    return machine, (
        f"Machine {machine['short']} is destroyed as soon as no turn uses it; "
        "its session goes on from its last checkpoint."
    )


def given_up(machine: Mapping[str, Any], request: Request) -> str:
    """What becomes of what was asked while the machine's host is silent."""
    silent = f"Host {machine['host']} is silent"
    if request == "rest":
        return f"{silent}: machine {machine['short']} hibernates if it is back."
    return (
        f"{silent}: it removes machine {machine['short']} when it is back. "
        "Its session goes on elsewhere with its next prompt, from what can be read there."
    )
