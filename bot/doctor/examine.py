"""Makes every check, and turns what a check did not expect into a finding too."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from bot.config import Settings
from bot.doctor import forges, host, hosts, installation, machines, pools, surfaces, vault
from bot.doctor.finding import Finding, Verdict
from bot.doctor.running import with_running

CHECK_SECONDS_MAX = 40.0

Check = Callable[[Settings], Awaitable[Finding]]

CHECKS: tuple[tuple[str, Check], ...] = (
    ("Python", host.check_python),
    ("QEMU", host.check_qemu),
    ("KVM", host.check_accelerator),
    ("Cloud Hypervisor", machines.check_cloud_hypervisor),
    ("shared extents", machines.check_extents),
    ("bounds", machines.check_bounds),
    ("isolation", machines.check_isolation),
    ("programs", host.check_programs),
    ("image programs", host.check_image_programs),
    ("user namespaces", host.check_user_namespaces),
    ("subordinate ids", host.check_subordinate_ids),
    ("memory", host.check_memory),
    ("data directory", installation.check_data_dir),
    ("processes", installation.check_processes),
    ("disk", installation.check_disk),
    ("database", installation.check_database),
    ("hosts", hosts.check_hosts),
    ("checkpoints", hosts.check_checkpoints),
    ("templates", pools.check_templates),
    ("pools", pools.check_pools),
    ("guest image", installation.check_image),
    ("agents", installation.check_agents),
    ("instructions", installation.check_instructions),
    ("halt", installation.check_halts),
    ("Vault", vault.check_vault),
    ("Slack", with_running("slack", surfaces.check_slack)),
    ("Discord", with_running("discord", surfaces.check_discord)),
    ("GitHub", with_running("github", forges.check_github)),
    ("GitLab", with_running("gitlab", forges.check_gitlab)),
)


async def examine(
    settings: Settings, checks: Sequence[tuple[str, Check]] = CHECKS
) -> list[Finding]:
    """Make every check, at the same time; the findings are in the order of the checks."""
    return list(await asyncio.gather(*(_made(name, check, settings) for name, check in checks)))


async def _made(name: str, check: Check, settings: Settings) -> Finding:
    try:
        async with asyncio.timeout(CHECK_SECONDS_MAX):
            return await check(settings)
    except TimeoutError:
        found = f"no answer within {CHECK_SECONDS_MAX:.0f} s"
    except Exception as error:
        found = f"could not be examined: {type(error).__name__}: {error}"
    return Finding(name=name, verdict=Verdict.LESS, found=found, follows="It may or may not work.")
