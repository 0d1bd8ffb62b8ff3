"""Machines, their sizes, and the pools that they wait in."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from bot.config.section import (
    Count,
    Kept,
    Seconds,
    Section,
    ServiceLines,
    check_kept,
    kept_for_people,
)
from vmpool.network.slot import SLOTS_MAX, UID_FIRST, UID_MAX
from vmpool.warm.sizing import WorkingHours


def _hours(value: Any) -> Any:
    """`mon-fri 8-19`, as it is written."""
    if not isinstance(value, str):
        return value
    found = _HOURS.fullmatch(value.strip().casefold())
    if found is None:
        raise ValueError("days and hours such as `mon-fri 8-19`")
    first_day, last_day = (DAYS.index(found[n]) for n in (1, 2))
    first_hour, end_hour = int(found[3]), int(found[4])
    if first_day > last_day or not first_hour < end_hour <= 24:
        raise ValueError("days and hours such as `mon-fri 8-19`, the first one first")
    return WorkingHours(
        first_day=first_day, last_day=last_day, first_hour=first_hour, end_hour=end_hour
    )


DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOURS = re.compile(rf"({'|'.join(DAYS)})-({'|'.join(DAYS)}) (\d{{1,2}})-(\d{{1,2}})")


class MachineSettings(Section):
    """The machines of this host."""

    accelerator: Literal["auto", "kvm", "tcg"] = Field(
        default="auto", description="auto: whatever the start-up probe found to work"
    )
    hypervisor: Literal["auto", "cloud-hypervisor", "qemu"] = Field(
        default="auto", description="auto: Cloud Hypervisor where it and KVM work, else QEMU"
    )
    qemu: str = Field(default="qemu-system-x86_64", description="QEMU program, by name or path")
    cloud_hypervisor: str = Field(
        default="cloud-hypervisor",
        description="Cloud Hypervisor program, by name or path; `CLOUD_HYPERVISOR` sets it too",
    )
    size: str = Field(default="medium", description="size of a machine where nobody asks for one")
    memory_mib_max: Annotated[int, Field(ge=0)] = Field(
        default=0, description="memory for all machines of this host; 0: all but 15 % of it"
    )
    running_max: Count = Field(default=4, description="machines that run at once on this host")
    running_for_people: Kept | None = Field(
        default=None,
        description="how many of them automations leave free for people; none: a quarter, at least"
        " 1 of several",
    )
    boot_seconds: Seconds = Field(default=120, description="time limit of a boot")
    resume_seconds: Seconds = Field(default=60, description="time limit of a resume")
    idle_seconds: Seconds = Field(
        default=600, description="idle time after which a machine hibernates"
    )
    rest_at_stop: bool = Field(
        default=False, description="hibernate every machine when `ona work` is stopped"
    )
    retention_days: Seconds = Field(
        default=14, description="days after which a resting machine is deleted"
    )
    isolated: bool = Field(
        default=True,
        description="keep each machine's process apart from this host, as far as it can: a uid and"
        " a network slot of its own (as root), Landlock",
    )
    uid_first: Annotated[int, Field(ge=1000, le=UID_MAX)] | None = Field(
        default=None,
        description=f"first of {SLOTS_MAX} uids that are for machines' processes alone; none: from"
        f" {UID_FIRST} up, others for each data directory",
    )

    @model_validator(mode="after")
    def _some_for_automations(self) -> Self:
        check_kept("machine.running_for_people", self.running_for_people, self.running_max)
        return self

    @property
    def kept_for_people(self) -> int:
        """Machines that only people's prompts may take."""
        return kept_for_people(self.running_for_people, self.running_max)


class SizeSettings(Section):
    """A size of machines."""

    vcpus: Count
    memory_mib: Annotated[int, Field(ge=256, le=4 * 1024 * 1024)]
    disk_gib: Annotated[int, Field(ge=4, le=64 * 1024)]


SIZES: Mapping[str, SizeSettings] = {
    "small": SizeSettings(vcpus=1, memory_mib=512, disk_gib=8),
    "medium": SizeSettings(vcpus=2, memory_mib=1024, disk_gib=16),
    "large": SizeSettings(vcpus=4, memory_mib=4096, disk_gib=32),
}
"""Those there are without being set."""
SIZE_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")


class PoolSettings(Section):
    """Templates, and the machines of them that wait to be handed out."""

    enabled: bool = Field(
        default=True, description="build templates and keep machines waiting; else all are booted"
    )
    hot_max: Annotated[int, Field(ge=0)] = Field(
        default=4, description="hot machines of one pool (up, and paused), at most"
    )
    hot_min: Annotated[int, Field(ge=0)] = Field(
        default=1, description="hot machines of a used pool, at least"
    )
    cold_max: Annotated[int, Field(ge=0)] = Field(
        default=8, description="cold machines of one pool (snapshots on disk), at most"
    )
    cold_min: Annotated[int, Field(ge=0)] = Field(
        default=1, description="cold machines of a used pool, at least"
    )
    working_hours: Annotated[WorkingHours | None, BeforeValidator(_hours)] = Field(
        default=None,
        description="when `hot_min` holds, such as `mon-fri 8-19` in the host's time zone; none:"
        " around the clock",
    )
    keep_days: Seconds = Field(
        default=7, description="days after the last session of a project until its pool is let go"
    )
    rebuild_minutes: Seconds = Field(
        default=30, description="how often a template follows a base branch that moves, at most"
    )
    setup_minutes: Seconds = Field(
        default=30, description="time limit of one set-up command of a template"
    )
    at_once_max: Annotated[int, Field(ge=0)] = Field(
        default=0, description="machines made ready at once; 0: half as many as processors"
    )


class ContainersSettings(Section):
    """Dev containers in templates; docs/environment.md."""

    enabled: bool = Field(
        default=True,
        description="make what a repository's devcontainer.json asks for; else the file is as if"
        " it were not there",
    )
    plain_http: ServiceLines = Field(
        default=(), description="image registries, `HOST:PORT`, that are asked without TLS"
    )


def with_known_sizes(given: Any) -> Any:
    """What is set goes over what is there, number by number."""
    if not isinstance(given, Mapping):
        return given
    sizes: dict[str, Any] = {name: dict(size) for name, size in SIZES.items()}
    for name, size in given.items():
        if not SIZE_NAME.fullmatch(name):
            raise ValueError(f"size names of small letters, digits and dashes, not {name[:40]!r}")
        is_table = isinstance(size, Mapping)
        sizes[name] = {**sizes.get(name, {}), **size} if is_table else size
    return sizes
