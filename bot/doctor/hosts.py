"""Checks of an installation's hosts: whether each is heard, and what would be lost with one."""

import asyncio
from collections.abc import Sequence

from bot.config import Settings
from bot.doctor import stored
from bot.doctor.finding import Finding, Verdict
from bot.doctor.stored import StoredHost
from bot.store.blobs import DirectoryBlobs
from vmpool.silence import is_silent


async def check_hosts(settings: Settings) -> Finding:
    """Whether every host with machines of sessions is heard."""
    return heard(await stored.hosts(settings), settings.queue.host_grace_seconds)


def heard(hosts: Sequence[StoredHost], grace_seconds: float) -> Finding:
    """The finding about hosts; pure. One without machines of sessions may be silent for ever."""
    name = "hosts"
    silent = [host for host in hosts if is_silent(host.seen_at, host.now)]
    left = [host for host in silent if host.machines or len(silent) == len(hosts)]
    if not left:
        found = f"{len(hosts) - len(silent)} heard" if hosts else "none has reported yet"
        return Finding(name=name, verdict=Verdict.FINE, found=found)
    return Finding(
        name=name,
        verdict=Verdict.LESS,
        found="; ".join(map(_silence, left)),
        follows=_follows(left, hosts, grace_seconds),
        do="Start `ona work` there, or see its log; docs/hosts.md.",
    )


def _silence(host: StoredHost) -> str:
    since = f"{host.seen_at:%Y-%m-%d %H:%M} UTC"
    machines = f"{host.machines} machine{'s' * (host.machines != 1)} of sessions"
    return f"{host.name} has been silent since {since} ({machines})"


def _follows(left: Sequence[StoredHost], hosts: Sequence[StoredHost], grace_seconds: float) -> str:
    if all(is_silent(host.seen_at, host.now) for host in hosts):
        return "No prompt is run."
    if all(host.is_given_up for host in left):
        return "Its sessions go on elsewhere with their next prompts, from their checkpoints."
    return f"Its sessions wait for it, for {grace_seconds:g} s; then they go on elsewhere."


async def check_checkpoints(settings: Settings) -> Finding:
    """Whether sessions of other hosts could go on here."""
    name, where = "checkpoints", settings.checkpoints_dir
    if not (settings.host_dir / "host-id").exists():
        return Finding(name=name, verdict=Verdict.FINE, found="no machines run on this host")
    keys = await stored.large_checkpoints(settings)
    blobs = DirectoryBlobs(where)
    missing = sum([not await asyncio.to_thread(blobs.holds, key) for key in keys])
    if not missing:
        found = f"{len(keys)} large ones at {where}" if keys else f"no large ones yet at {where}"
        return Finding(name=name, verdict=Verdict.FINE, found=found)
    return Finding(
        name=name,
        verdict=Verdict.LESS,
        found=f"{missing} of {len(keys)} large ones are not at {where}",
        follows="If the host that has them is gone, their sessions wait for it.",
        do="Let checkpoint.directory be one that all hosts share; docs/hosts.md.",
    )
