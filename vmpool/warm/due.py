"""Which template is built next and which ones go, decided from what is known; pure."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
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
class Wait:
    """A template that is to be built, and is not yet."""

    key: tuple[UUID, str]
    """Project and size."""
    why: str
    """It is to be built."""
    failures: int = 0
    """Builds of the same that failed in a row."""
    not_before: datetime | None = None
    """What holds it back until then: a failure, or how often a moving branch may have one built."""
    ahead: int = 0
    """How many are built before it."""


@dataclass(frozen=True, kw_only=True)
class Due:
    """What to do about templates now."""

    build: Wanted | None = None
    waits: tuple[Wait, ...] = ()
    """Those that are to be built, in their order."""
    retire: tuple[UUID, ...] = ()
    """Ready ones that nobody wants any more."""
    forget: tuple[UUID, ...] = ()
    """Retired or failed ones that may go."""

    @property
    def first(self) -> Wait | None:
        """What is known of the one to build now: the first that nothing holds back."""
        return next((wait for wait in self.waits if wait.not_before is None), None)


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
    build, waits = None, []
    current: dict[tuple[UUID, str], str] = {}
    ahead = sum(one.state is TemplateState.BUILDING for some in by_pool.values() for one in some)
    for want in wanted:
        fingerprint = current[want.key] = want.fingerprint(bound_to[want.key])
        wait = _wait(want, by_pool.get(want.key, []), fingerprint, now, rebuild_seconds)
        if wait is None:
            continue
        waits.append(wait if wait.not_before else replace(wait, ahead=ahead))
        if wait.not_before is None:
            build, ahead = build or want, ahead + 1
    return Due(
        build=build,
        waits=tuple(waits),
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


def _wait(
    want: Wanted,
    templates: Sequence[Template],
    fingerprint: str,
    now: datetime,
    rebuild_seconds: float,
) -> Wait | None:
    """Why it is to be built, and from when on; None: it is not, or it is under way."""
    if any(template.state is TemplateState.BUILDING for template in templates):
        return None
    ready = next((one for one in templates if one.state is TemplateState.READY), None)
    why, not_before = _reason(want, ready, fingerprint, now, rebuild_seconds)
    if not why:
        return None
    failures, newest = 0, templates[0] if templates else None
    if newest is not None and _has_failed(want, newest, fingerprint):
        failures = newest.failures + 1
        again = _until(newest.changed_at, _pause(failures), now)
        not_before = max((one for one in (not_before, again) if one), default=None)
    return Wait(key=want.key, why=why, failures=failures, not_before=not_before)


def _reason(
    want: Wanted, ready: Template | None, fingerprint: str, now: datetime, rebuild_seconds: float
) -> tuple[str, datetime | None]:
    """Why the one that is ready will not do, and until when it has to; empty: it will do."""
    if ready is None:
        return "there is none yet", None
    if ready.fingerprint != fingerprint:
        return "its set-up, its image, its size or this host changed", None
    if want.is_older(ready):
        return "somebody asked for it", None
    if not want.commit or ready.commit == want.commit:
        return "", None
    return "the base branch moved on", _until(ready.created_at, rebuild_seconds, now)


def _has_failed(want: Wanted, newest: Template, fingerprint: str) -> bool:
    """Whether what is wanted is what was tried last, and it failed."""
    same = newest.fingerprint == fingerprint and not want.is_older(newest)
    return same and newest.state is TemplateState.FAILED


def _pause(failures: int) -> float:
    return float(min(RETRY_SECONDS_MIN * 2 ** min(failures - 1, 20), RETRY_SECONDS_MAX))


def _until(moment: datetime, seconds: float, now: datetime) -> datetime | None:
    """When so many seconds have passed since then; None: they have.

    A clock that was set back never makes us wait: what was later than now may be long ago.
    """
    over = moment + timedelta(seconds=seconds)
    return over if moment <= now < over else None


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
