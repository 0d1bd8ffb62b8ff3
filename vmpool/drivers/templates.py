"""Templates: machines at rest that were put aside, and the machines made of them.

<root>/template.<id>/    a machine's directory as its hibernation left it, files read-only
<root>/template.gone.*   one that is being removed

A clone's memory is a hard link to the template's: nothing is copied, every clone maps the same
pages of the page cache, and the template may be removed while they run. What a clone changes is
in its own memory and on its own disk.
"""

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

from vmpool.driver import MachineSpec, TemplateSight
from vmpool.drivers.home import READ_ONLY_MODE, SPEC, Home, is_machine_name
from vmpool.drivers.hypervisor import Hypervisor
from vmpool.drivers.saving import disks
from vmpool.errors import MachineError, RestRefused, is_of_host
from vmpool.rest import MEMORY, RestState, Stamp
from vmpool.rest_files import fsync

PREFIX = "template."
_GONE = "template.gone."
"""No template is called so: an id has no dot."""


class Templates:
    """The templates below a driver's root; every method looks at the disk anew."""

    def __init__(self, root: Path, hypervisor: Hypervisor) -> None:
        self._root = root
        self._hypervisor = hypervisor

    def home(self, template_id: str) -> Home:
        """The directory of one. :raises ValueError: not a name for one"""
        return Home(self._root, template_id, directory=PREFIX + template_id)

    def take(self, machine: Home, template_id: str) -> None:
        """Put a resting machine aside as a template, durably. Blocking, short.

        :raises MachineError: its rest is not durable
        """
        if not machine.rest.durable:
            raise MachineError("a template must be safe on disk, and its rest is not")
        for path in (machine.disk, machine.rest.complete / MEMORY):
            machine.take_back(path)
            path.chmod(READ_ONLY_MODE)
        os.rename(machine.path, self.home(template_id).path)
        fsync(self._root)

    async def clone(self, template_id: str, home: Home) -> None:
        """Lay down a machine that rests as the template does. See `Driver.clone`."""
        template = self.home(template_id)
        try:
            spec, stamp = await self._usable(template)
        except RestRefused as error:
            raise RestRefused(f"its template can't be used: {error}") from error
        home.make()
        rest = home.rest
        os.link(template.rest.complete / MEMORY, rest.begin())
        with contextlib.suppress(FileNotFoundError):
            # It was read once; what is linked needs no second reading.
            shutil.copy(template.rest.complete / "digest", rest.partial)
        beside_memory = await self._hypervisor.clone(template, home, spec)
        home.write_spec(spec)
        rest.commit(
            # Of when the template was looked at: copying takes its time, and an upgrade may come.
            stamp,
            small=[SPEC],
            large=disks(home, spec),
            beside_memory=beside_memory,
        )

    async def find(self) -> Sequence[TemplateSight]:
        """Look at every template, and remove what a removal cut short left."""
        for left in self._root.glob(f"{_GONE}*"):
            shutil.rmtree(left, ignore_errors=True)
        return [await self._look(template_id) for template_id in self._ids()]

    def drop(self, template_id: str) -> None:
        """Remove one, out of sight at once. Blocking. Absent already is success."""
        gone = self._root / f"{_GONE}{uuid.uuid4()}"
        with contextlib.suppress(FileNotFoundError):
            os.rename(self.home(template_id).path, gone)
        shutil.rmtree(gone, ignore_errors=True)

    def homes(self) -> Iterator[Home]:
        """The directories of all of them."""
        return map(self.home, self._ids())

    def _ids(self) -> Iterator[str]:
        for path in sorted(self._root.glob(f"{PREFIX}*")):
            template_id = path.name.removeprefix(PREFIX)
            if is_machine_name(template_id):
                yield template_id

    async def _look(self, template_id: str) -> TemplateSight:
        try:
            await self._usable(self.home(template_id))
        except (MachineError, OSError, ValueError) as error:
            if is_of_host(error):
                return TemplateSight(template_id=template_id)
            return TemplateSight(template_id=template_id, broken=str(error))
        return TemplateSight(template_id=template_id)

    async def _usable(self, template: Home) -> tuple[MachineSpec, Stamp]:
        """What its machines are, and who resumes them.

        :raises RestRefused: why not, for whoever knows whose it is
        """
        spec = template.read_spec()
        if spec is None or template.rest.state is not RestState.COMPLETE:
            raise RestRefused("its files are gone")
        stamp = await self._hypervisor.stamp(spec)
        if why := template.rest.refusal(stamp):
            raise RestRefused(why)
        return spec, stamp
