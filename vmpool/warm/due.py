"""Which template is built next and which ones go, decided from what is known; pure."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from vmpool.machine import Template, TemplateState
from vmpool.registry import Order

RETRY_SECONDS_MIN = 60.0
RETRY_SECONDS_MAX = 6 * 3600.0
FAILED_KEPT = 3
"""Failed builds of a pool whose logs are kept."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A template that there should be."""

    order: Order
    ingredients: tuple[str, ...]
    """What else goes in, such as the set-up commands, in an order that means something."""
    commit: str
    """Where its repository stands; empty: not known now, whatever there is will do."""
    begun_after: datetime | None = None
    """One whose build began before is too old, whatever it holds."""

    @property
    def key(self) -> tuple[UUID, str]:
        """Which pool it is for."""
        return self.order.project_id, self.order.size

    def is_older(self, template: Template) -> bool:
        """Whether somebody asked for a new one since this one was begun."""
        return self.begun_after is not None and template.created_at < self.begun_after

    def fingerprint(self, driver: str) -> str:
        """Digest of everything that goes in but the commit.

        These are: the guest image, the machine's size, the driver with its build, the host's CPU
        and its kernel (all in `driver`), and the ingredients.
        """
        spec = self.order.spec
        what = [spec.image.digest, spec.vcpus, spec.memory_mib, spec.disk_gib, driver]
        said = json.dumps([*what, *self.ingredients])
        return hashlib.sha256(said.encode()).hexdigest()[:32]


@dataclass(frozen=True, kw_only=True)
class Due:
    """What to do about templates now."""

    build: Wanted | None = None
    why: str = ""
    retire: tuple[UUID, ...] = ()
    """Ready ones that nobody wants any more."""
    forget: tuple[UUID, ...] = ()
    """Retired or failed ones that may go."""


def due(
    wanted: Iterable[Wanted],
    templates: Iterable[Template],
    used: frozenset[UUID],
    *,
    bound_to: Mapping[tuple[UUID, str], str],
    now: datetime,
    rebuild_seconds: float,
) -> Due:
    """Decide: `wanted` in the order of urgency, `used` the templates of which machines wait.

    `bound_to` says for the key of each that is wanted what its rest can only be resumed by.

    At once when there is none of this fingerprint, after `rebuild_seconds` when only the
    repository has moved on, and later and later while it fails.
    """
    by_pool: dict[tuple[UUID, str], list[Template]] = {}
    for template in sorted(templates, key=lambda one: one.created_at, reverse=True):
        by_pool.setdefault((template.project_id, template.size), []).append(template)
    build, why = None, ""
    current: dict[tuple[UUID, str], str] = {}
    for want in wanted:
        fingerprint = current[want.key] = want.fingerprint(bound_to[want.key])
        if build is None:
            there = by_pool.get(want.key, [])
            reason = _reason(want, there, fingerprint, now, rebuild_seconds)
            build, why = (want, reason) if reason else (None, "")
    return Due(
        build=build,
        why=why,
        retire=tuple(
            template.id
            for key, some in by_pool.items()
            for template in some
            if key not in current and template.state is TemplateState.READY
        ),
        forget=tuple(
            one
            for key, some in by_pool.items()
            for one in _forgettable(some, used, current.get(key))
        ),
    )


def is_wanted(
    template: Template, wanted: Iterable[Wanted], bound_to: Mapping[tuple[UUID, str], str]
) -> bool:
    """Whether a template that is being built is still what its project wants.

    One that only a newer commit or somebody's wish has overtaken is: it is right, if old.
    """
    key = template.project_id, template.size
    return any(
        want.key == key and want.fingerprint(bound_to[key]) == template.fingerprint
        for want in wanted
    )


def is_let_go(newest: Template) -> bool:
    """Whether nobody wants machines of a pool any more: its newest template retired without heir.

    Not so one that failed: what waits of the one before serves until it is built again.
    """
    return newest.state is TemplateState.RETIRED


def none_made(newest: Template) -> str:
    """Why no machines are made for a pool without a template that is ready, for a person."""
    if newest.state is TemplateState.FAILED:
        return "its newest template failed, as its log tells"
    return "there is no template to make them of"


def _reason(
    want: Wanted,
    templates: Sequence[Template],
    fingerprint: str,
    now: datetime,
    rebuild_seconds: float,
) -> str:
    """Why it is to be built now; empty: it is not."""
    if any(template.state is TemplateState.BUILDING for template in templates):
        return ""
    ready = next((one for one in templates if one.state is TemplateState.READY), None)
    if ready is None:
        reason = "there is none yet"
    elif ready.fingerprint != fingerprint:
        reason = "its set-up, its image, its size or this host changed"
    elif want.is_older(ready):
        reason = "somebody asked for it"
    elif (
        not want.commit
        or ready.commit == want.commit
        or _since(ready.created_at, now) < rebuild_seconds
    ):
        return ""
    else:
        reason = "the base branch moved on"
    failed = []
    for template in templates:
        same = template.fingerprint == fingerprint and not want.is_older(template)
        if template.state is not TemplateState.FAILED or not same:
            break
        failed.append(template)
    if failed and _since(failed[0].changed_at, now) < _pause(len(failed)):
        return ""
    return reason


def _pause(failures: int) -> float:
    return float(min(RETRY_SECONDS_MIN * 2 ** min(failures - 1, 20), RETRY_SECONDS_MAX))


def _since(moment: datetime, now: datetime) -> float:
    """Seconds since then; a clock that was set back never makes us wait longer than once more."""
    passed = now - moment
    return RETRY_SECONDS_MAX if passed < timedelta(0) else passed.total_seconds()


def _forgettable(
    templates: Sequence[Template], used: frozenset[UUID], current: str | None
) -> Iterable[UUID]:
    """What of a pool may go: a failure tells nothing any more once what is wanted was built."""
    for template in templates:
        if template.state is TemplateState.RETIRED and template.id not in used:
            yield template.id
    failed = [one for one in templates if one.state is TemplateState.FAILED]
    is_built = any(
        one.state is TemplateState.READY and one.fingerprint == current for one in templates
    )
    for place, template in enumerate(failed):
        is_over = is_built and template.fingerprint != current
        if (place >= FAILED_KEPT or is_over) and template.id not in used:
            yield template.id
