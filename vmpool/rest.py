"""A machine's rest: its memory on disk, paired with its disk, and whether it may be resumed.

    <machine>/rest.partial/   being written; worth nothing
    <machine>/rest/           complete: no guest code has run since, memory and disk belong together
    <machine>/rest.used/      resumed from; memory and disk have parted, only good for removal

        begin            commit (rename)          use_up (rename, fsynced)
    ∅ ─────────▶ partial ──────────────▶ complete ─────────────────────────▶ used ──▶ ∅
                    │ abandon               │ settle: `flush` while the process ends; when it has,
                    ▼                       │         `make_durable`, then `digest` (for `scrub`)
                    ∅                       └ refusal: lengths, small checksums, build, in O(1)

What a `kill -9` of our process leaves, window by window (the hypervisor is a process of its own
and lives on; "paused" means that its virtual CPUs stand still):

| killed …                        | on disk  | process         | what it is                   |
|---------------------------------|----------|-----------------|------------------------------|
| after `begin`, before the stop  | partial  | runs            | running, mended (1)          |
| while memory is written         | partial  | paused, writes  | running, mended (1)          |
| memory written, not yet renamed | partial  | paused          | running, mended (1)          |
| … and the hypervisor died too   | partial  | none            | stopped, broken: half-written|
| renamed, process not yet ended  | complete | paused for good | resting, process ended (2)   |
| … and what it wrote is flushed  | complete | paused for good | the same: not durable (2)    |
| ended, not yet durable          | complete | none            | resting, settled later (3)   |
| durable, host's share not back  | complete | none            | resting, given back (3)      |
| while it is digested            | complete | none            | resting, settled later (3)   |
| resume, before `use_up`         | complete | paused, loading | resting, process ended (2)   |
| resume, between it and unpause  | used     | paused          | running, mended (1)          |
| … and the hypervisor died too   | used     | none            | stopped, broken: used up     |

(1) the next `find`, or whoever connects to the hypervisor first, cancels, unpauses and removes
what is partial or used; (2) by the next find, hibernate, resume or destroy; (3) by the next find.

A power cut before `durable` refuses the rest by the host's boot id; after `use_up` the directory
entry was fsynced, so a used rest never comes back. An fsync says once that something is lost, and
the next one goes well: the rest is marked `broken` at the first.

Everything here is plain file work. `digest` and `scrub` read whole memories, `flush` and
`make_durable` wait for the disk: call them in a thread.
"""

import contextlib
import enum
import errno
import os
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vmpool.errors import HostUnfit, is_of_host
from vmpool.holes import dig_hole
from vmpool.rest_files import (
    Large,
    Small,
    Unkept,
    edges_of,
    fsync,
    length_of,
    read_manifest,
    sealed,
    sha256_of,
    sha256_of_small,
    write_by_rename,
)

FORMAT = 1
MEMORY = "memory"
MANIFEST = "rest.json"
DIGEST_CHARACTERS = 64


class RestState(enum.StrEnum):
    """How far a rest is; when several directories lie there the strongest counts."""

    NONE = "none"
    """Nothing of a rest is there."""
    PARTIAL = "partial"
    """Memory was being written; nothing can be made of it."""
    COMPLETE = "complete"
    """Memory and disk belong together."""
    USED = "used"
    """The machine went on from it; it must never be loaded again."""


@dataclass(frozen=True, kw_only=True)
class Stamp:
    """Who wrote a rest, and therefore who may resume it."""

    build: str
    """Exact build of the hypervisor."""
    fingerprint: str
    """Digest of the machine's configuration as the guest sees it."""
    boot_id: str
    """The host kernel's boot; a rest that isn't durable is worth nothing under another one."""


class Rest:
    """The rest of the machine whose directory is given; says what is there by looking."""

    def __init__(self, machine: Path) -> None:
        self.machine = machine
        self.partial = machine / "rest.partial"
        self.complete = machine / "rest"
        self.used = machine / "rest.used"
        self._gone = machine / "rest.gone"

    @property
    def state(self) -> RestState:
        """What lies on disk now."""
        if self.complete.is_dir():
            return RestState.COMPLETE
        if self.partial.is_dir():
            return RestState.PARTIAL
        return RestState.USED if self.used.is_dir() else RestState.NONE

    @property
    def build(self) -> str:
        """The hypervisor that wrote a complete rest. :raises OSError, ValueError, KeyError:"""
        return str(read_manifest(self.complete / MANIFEST)["stamp"]["build"])

    @property
    def durable(self) -> bool:
        """Whether a complete rest survives a power cut."""
        return (self.complete / "durable").exists() and not (self.complete / "broken").exists()

    @property
    def settled(self) -> bool:
        """Whether nothing is left to be done with a complete rest."""
        if (self.complete / "broken").exists():
            return True
        return self.durable and (self.complete / "digest").exists()

    @property
    def scrubbed_at(self) -> float | None:
        """When the memory was last seen to be as it was, in Unix seconds; None: never digested.

        None too once it is known to be spoilt: nobody needs to look again.
        """
        if (self.complete / "broken").exists():
            return None
        with contextlib.suppress(FileNotFoundError):
            return (self.complete / "digest").stat().st_mtime
        return None

    def begin(self) -> Path:
        """Make an empty partial rest, dropping an older one; returns where the memory goes."""
        self.abandon()
        self.partial.mkdir(mode=0o700)
        return self.partial / MEMORY

    def commit(
        self,
        stamp: Stamp,
        *,
        small: Sequence[str],
        large: Sequence[str],
        beside_memory: Sequence[str] = (),
    ) -> None:
        """Write the manifest over memory and the named files, then make the rest complete.

        Names are relative to the machine's directory (or absolute); those `beside_memory` are
        small files in the partial rest. Large files are known by length, small ones by checksum.
        Nothing may write any of them from here on.
        """
        memory = self.partial / MEMORY
        manifest = {
            "format": FORMAT,
            "created_at": time.time(),
            "stamp": asdict(stamp),
            "large": [
                asdict(
                    Large(
                        path=f"rest/{MEMORY}",
                        length_bytes=length_of(memory),
                        edges=edges_of(memory),
                    )
                ),
                *(
                    asdict(
                        Large(path=name, length_bytes=length_of(self.machine / name), edges=None)
                    )
                    for name in large
                ),
            ],
            "small": [
                *(
                    asdict(Small(path=name, sha256=sha256_of_small(self.machine / name)))
                    for name in small
                ),
                *(
                    asdict(Small(path=f"rest/{name}", sha256=sha256_of_small(self.partial / name)))
                    for name in beside_memory
                ),
            ],
        }
        (self.partial / MANIFEST).write_text(sealed(manifest))
        os.rename(self.partial, self.complete)

    def abandon(self) -> None:
        """Remove a partial rest; none there is success."""
        shutil.rmtree(self.partial, ignore_errors=True)

    def refusal(self, stamp: Stamp) -> str | None:
        """Say why the rest must not be resumed, or None; constant time, reads no large file.

        :param stamp: who would resume it
        :raises HostUnfit: it can't be looked at now
        """
        state = self.state
        if state is not RestState.COMPLETE:
            return {
                RestState.NONE: "there is no rest",
                RestState.PARTIAL: "its rest is half-written",
                RestState.USED: "its rest was used up and the process that resumed it ended",
            }[state]
        with contextlib.suppress(FileNotFoundError):
            return (self.complete / "broken").read_text()
        try:
            manifest = read_manifest(self.complete / MANIFEST)
            return self._refusal_of(manifest, stamp)
        except FileNotFoundError as error:
            return f"a file of its rest is missing: {Path(str(error.filename)).name}"
        except (OSError, ValueError, KeyError, TypeError) as error:
            if is_of_host(error):
                raise HostUnfit(f"a rest can't be looked at now: {error}") from error
            return f"its rest can't be read ({type(error).__name__})"

    def use_up(self) -> None:
        """Mark the rest as used, durably: after this it is never loaded again."""
        self.drop_used()
        os.rename(self.complete, self.used)
        fsync(self.machine)

    def drop_used(self) -> None:
        """Put a used rest out of sight, at once; `sweep` removes it. None there is success."""
        if self.used.is_dir():
            self.sweep()
            os.rename(self.used, self._gone)

    @property
    def unswept(self) -> bool:
        """Whether something lies there that `sweep` removes."""
        return self._gone.exists()

    def sweep(self) -> None:
        """Remove what `drop_used` put aside. May block for as long as a large file's removal."""
        shutil.rmtree(self._gone, ignore_errors=True)

    def flush(self) -> bool:
        """Bring to the disk what `make_durable` waits for; its process may still be ending.

        Blocking; idempotent. It proves nothing of what that process writes: that may still be under
        way. Returns whether all of it was there.

        :raises OSError: as `make_durable`
        """
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), self._noticing_loss():
            self._fsync_all(read_manifest(self.complete / MANIFEST))
            return True
        return False

    def make_durable(self, *, flushed: bool = False) -> None:
        """Fsync a complete rest and what belongs to it, then mark it durable.

        Blocking; idempotent; ends early when the rest is used up meanwhile. Its machine's process
        must have ended: what that had under way to the disk would come after.

        :param flushed: what `flush` said; if so, only what that process writes is asked again
        :raises OSError: the disk did not keep it; if that was said by an fsync, it is refused
        """
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), self._noticing_loss():
            manifest = read_manifest(self.complete / MANIFEST)
            if not self.durable and not (self.complete / "broken").exists():
                if flushed:
                    self._fsync_parts(manifest["large"])
                else:
                    self._fsync_all(manifest)
                (self.complete / "durable").touch()
                fsync(self.complete)

    def digest(self, stop: threading.Event) -> None:
        """Digest a complete rest's memory, for `scrub`; meanwhile room of only zeros is given back.

        Blocking; idempotent; ends early when `stop` is set or the rest is used up meanwhile.
        """
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            if not (self.complete / "digest").exists():
                memory = self.complete / MEMORY
                # Without room for it a whole memory would be read for nothing, again and again.
                (self.complete / "digest.new").write_text(" " * DIGEST_CHARACTERS)
                digest = sha256_of(memory, stop.is_set, zeros=dig_hole)
                if digest is not None:
                    write_by_rename(self.complete / "digest", digest)

    def scrub(self, stop: threading.Event) -> str | None:
        """Read the memory again and compare; a difference marks the rest broken and is returned.

        Blocking. None: it is as it was, or there was nothing to compare with.
        """
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            digest = self.complete / "digest"
            wanted, why = digest.read_text(), "its memory was altered on disk"
            try:
                found = sha256_of(self.complete / MEMORY, stop.is_set)
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                found, why = "", "the disk does not give its memory back"
            if found is None or stop.is_set():
                return None
            if found != wanted:
                write_by_rename(self.complete / "broken", why)
                return why
            os.utime(digest)
        return None

    @contextlib.contextmanager
    def _noticing_loss(self) -> Iterator[None]:
        """Mark the rest broken when an fsync says that something is lost: it says so once."""
        try:
            yield
        except Unkept:
            try:
                write_by_rename(self.complete / "broken", "the disk did not keep its rest")
            except OSError:
                # What is lost for want of room leaves none for a mark; to remove one takes none.
                (self.complete / MANIFEST).unlink(missing_ok=True)
            raise

    def _fsync_all(self, manifest: dict[str, Any]) -> None:
        """What the rest is made of, and that it is called so."""
        self._fsync_parts([*manifest["large"], *manifest["small"]])
        for path in (self.complete / MANIFEST, self.complete, self.machine, self.machine.parent):
            fsync(path)

    def _fsync_parts(self, parts: Sequence[dict[str, Any]]) -> None:
        for part in parts:
            if not os.path.isabs(part["path"]):
                fsync(self.machine / part["path"])

    def _refusal_of(self, manifest: dict[str, Any], stamp: Stamp) -> str | None:
        if manifest["format"] != FORMAT:
            return f"its rest has format {manifest['format']}, this program reads {FORMAT}"
        written = Stamp(**manifest["stamp"])
        if written.build != stamp.build:
            return f"its rest was written by {written.build}, here is {stamp.build}"
        if written.fingerprint != stamp.fingerprint:
            return "its rest belongs to another machine configuration"
        if written.boot_id != stamp.boot_id and not self.durable:
            return "the host went down before its rest was safely on disk"
        return next(self._altered(manifest), None)

    def _altered(self, manifest: dict[str, Any]) -> Iterator[str]:
        for part in (Large(**entry) for entry in manifest["large"]):
            path = self.machine / part.path
            if length_of(path) != part.length_bytes:
                yield f"{path.name} has {length_of(path)} bytes, not {part.length_bytes}"
            if part.edges is not None and edges_of(path) != part.edges:
                yield f"{path.name} was altered"
        for small in (Small(**entry) for entry in manifest["small"]):
            path = self.machine / small.path
            if sha256_of_small(path) != small.sha256:
                yield f"{path.name} was altered"
